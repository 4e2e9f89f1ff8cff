# The bodies of memcpy and its kin: see copy.rs, which gives them their names. They stand in a file
# of their own so that a test on the host can run them (kernel/abi/tests/copy.rs).
    .section .text.copy, "ax", @progbits
    .p2align 4
    .globl quartz_memmove
quartz_memmove:
    mov rax, rdi
    cmp rdx, 64
    jbe 20f
    # Forward is right unless the target begins within the source.
    mov rcx, rdi
    sub rcx, rsi
    cmp rcx, rdx
    jae 40f
    lea rsi, [rsi + rdx - 8]
    lea rdi, [rdi + rdx - 8]
    # From the end, eight bytes a step, and what is left in front at last.
2:  mov rcx, [rsi]
    mov [rdi], rcx
    sub rsi, 8
    sub rdi, 8
    sub rdx, 8
    cmp rdx, 8
    jae 2b
    add rsi, 8
    add rdi, 8
    test rdx, rdx
    je 4f
3:  dec rsi
    dec rdi
    mov cl, [rsi]
    mov [rdi], cl
    dec rdx
    jne 3b
4:  ret

    .p2align 4
    .globl quartz_memcpy
quartz_memcpy:
    mov rax, rdi
    cmp rdx, 64
    ja 40f
20: # At most 64 bytes: all are loaded, then all are stored.
    cmp rdx, 16
    jb 30f
    movups xmm0, [rsi]
    movups xmm1, [rsi + rdx - 16]
    cmp rdx, 32
    jbe 21f
    movups xmm2, [rsi + 16]
    movups xmm3, [rsi + rdx - 32]
    movups [rdi + 16], xmm2
    movups [rdi + rdx - 32], xmm3
21: movups [rdi], xmm0
    movups [rdi + rdx - 16], xmm1
    ret
30: cmp edx, 8
    jb 31f
    mov rcx, [rsi]
    mov r8, [rsi + rdx - 8]
    mov [rdi], rcx
    mov [rdi + rdx - 8], r8
    ret
31: cmp edx, 4
    jb 32f
    mov ecx, [rsi]
    mov r8d, [rsi + rdx - 4]
    mov [rdi], ecx
    mov [rdi + rdx - 4], r8d
    ret
32: test edx, edx
    je 34f
    movzx ecx, byte ptr [rsi]
    cmp edx, 2
    jb 33f
    movzx r8d, word ptr [rsi + rdx - 2]
    mov [rdi + rdx - 2], r8w
33: mov [rdi], cl
34: ret

40: # More: from the front in large steps, and the end, which was loaded before.
    cmp byte ptr [rip + quartz_copy_wide], 0
    jne 50f
    movups xmm4, [rsi + rdx - 64]
    movups xmm5, [rsi + rdx - 48]
    movups xmm6, [rsi + rdx - 32]
    movups xmm7, [rsi + rdx - 16]
    lea r8, [rdi + rdx - 64]
41: movups xmm0, [rsi]
    movups xmm1, [rsi + 16]
    movups xmm2, [rsi + 32]
    movups xmm3, [rsi + 48]
    movups [rdi], xmm0
    movups [rdi + 16], xmm1
    movups [rdi + 32], xmm2
    movups [rdi + 48], xmm3
    add rsi, 64
    add rdi, 64
    cmp rdi, r8
    jb 41b
    movups [r8], xmm4
    movups [r8 + 16], xmm5
    movups [r8 + 32], xmm6
    movups [r8 + 48], xmm7
    ret
50: cmp rdx, 128
    ja 51f
    vmovdqu ymm0, [rsi]
    vmovdqu ymm1, [rsi + 32]
    vmovdqu ymm2, [rsi + rdx - 64]
    vmovdqu ymm3, [rsi + rdx - 32]
    vmovdqu [rdi], ymm0
    vmovdqu [rdi + 32], ymm1
    vmovdqu [rdi + rdx - 64], ymm2
    vmovdqu [rdi + rdx - 32], ymm3
    vzeroupper
    ret
51: vmovdqu ymm4, [rsi + rdx - 128]
    vmovdqu ymm5, [rsi + rdx - 96]
    vmovdqu ymm6, [rsi + rdx - 64]
    vmovdqu ymm7, [rsi + rdx - 32]
    lea r8, [rdi + rdx - 128]
52: vmovdqu ymm0, [rsi]
    vmovdqu ymm1, [rsi + 32]
    vmovdqu ymm2, [rsi + 64]
    vmovdqu ymm3, [rsi + 96]
    vmovdqu [rdi], ymm0
    vmovdqu [rdi + 32], ymm1
    vmovdqu [rdi + 64], ymm2
    vmovdqu [rdi + 96], ymm3
    sub rsi, -128
    sub rdi, -128
    cmp rdi, r8
    jb 52b
    vmovdqu [r8], ymm4
    vmovdqu [r8 + 32], ymm5
    vmovdqu [r8 + 64], ymm6
    vmovdqu [r8 + 96], ymm7
    vzeroupper
    ret

    .p2align 4
    .globl quartz_memset
quartz_memset:
    mov rax, rdi
    movzx ecx, sil
    mov r8, 0x0101010101010101
    imul rcx, r8
    cmp rdx, 16
    jae 62f
    test rdx, rdx
    je 61f
60: mov [rdi + rdx - 1], cl
    dec rdx
    jne 60b
61: ret
62: movq xmm0, rcx
    punpcklqdq xmm0, xmm0
    lea r8, [rdi + rdx - 16]
    lea r9, [rdi + rdx - 64]
    cmp rdx, 64
    jb 64f
63: movups [rdi], xmm0
    movups [rdi + 16], xmm0
    movups [rdi + 32], xmm0
    movups [rdi + 48], xmm0
    add rdi, 64
    cmp rdi, r9
    jbe 63b
64: cmp rdi, r8
    jae 65f
    movups [rdi], xmm0
    add rdi, 16
    jmp 64b
65: movups [r8], xmm0
    ret

    .p2align 4
    .globl quartz_bcmp
    .globl quartz_memcmp
quartz_bcmp:
quartz_memcmp:
    cmp rdx, 8
    jb 74f
    lea r8, [rdx - 8]
    xor ecx, ecx
70: # Eight bytes a step; the last step overlaps the one before.
    mov rax, [rdi + rcx]
    mov r9, [rsi + rcx]
    cmp rax, r9
    jne 73f
    add rcx, 8
    cmp rcx, r8
    jb 70b
    mov rax, [rdi + r8]
    mov r9, [rsi + r8]
    cmp rax, r9
    jne 73f
    xor eax, eax
    ret
73: bswap rax
    bswap r9
    cmp rax, r9
    sbb eax, eax
    or eax, 1
    ret
74: xor ecx, ecx
75: cmp rcx, rdx
    je 76f
    movzx eax, byte ptr [rdi + rcx]
    movzx r9d, byte ptr [rsi + rcx]
    inc rcx
    sub eax, r9d
    je 75b
    ret
76: xor eax, eax
    ret
    .text
