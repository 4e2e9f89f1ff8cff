//! Where a guest's processor stands: from its registers and the stack in its memory.

use crate::backtrace::Backtrace;
use quartz_abi::BlackBox;
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The backtrace of a guest that still exists. `registers`: what QEMU's `info registers` shows;
/// the kernel maps its memory one to one, so an address is a place in the file.
#[must_use]
pub fn backtrace(registers: &str, memory: &File, black_box: Option<&[u8]>) -> Option<Backtrace> {
    let rip = register(registers, "RIP")?;
    let rbp = register(registers, "RBP")?;
    let build = black_box.and_then(|bytes| BlackBox::parse(bytes).ok()?.build());
    let word = |at: u64| {
        let mut bytes = [0; 8];
        memory.read_exact_at(&mut bytes, at).ok()?;
        Some(u64::from_le_bytes(bytes))
    };
    Some(Backtrace::walk(build, rip, rbp, word))
}

/// The value of a register, as in `RIP=0000000000116c60`.
fn register(text: &str, name: &str) -> Option<u64> {
    let word = text
        .split_ascii_whitespace()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
    u64::from_str_radix(word, 16).ok()
}

/// The functions of a backtrace; its addresses where there are no symbols, and why.
#[must_use]
pub fn named(place: &Backtrace, kernel: Option<&Path>) -> String {
    let why = match kernel.map(|kernel| place.named(kernel)) {
        Some(Ok(names)) => return names,
        Some(Err(error)) => error.to_string(),
        None => "no names: the kernel is gone".into(),
    };
    let mut text = format!("{why}\n");
    for (depth, address) in place.addresses.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  #{depth} {address:#018x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_in_memory_tells_where_it_stands() {
        let registers = "RAX=0000000000000000 RBX=0000000000000001\r\n\
            RSI=0000000000000000 RDI=0000000000000000 RBP=0000000000000100 RSP=00000000000000f0\r\n\
            RIP=0000000000116c60 RFL=00000046 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\n";
        let memory = tempfile::tempfile().unwrap();
        memory
            .write_all_at(&0x120_u64.to_le_bytes(), 0x100)
            .unwrap();
        memory
            .write_all_at(&0xabc_u64.to_le_bytes(), 0x108)
            .unwrap();
        let found = backtrace(registers, &memory, None).unwrap();
        assert_eq!(found.addresses, [0x11_6c60, 0xabc]);
        let text = named(&found, None);
        assert!(
            text.starts_with("no names: ") && text.contains("#1 0x0000000000000abc"),
            "{text}"
        );
        let text = named(&found, Some(Path::new("/nonexistent/kernel.elf")));
        assert!(text.contains("does not say"), "{text}");
        assert_eq!(backtrace("QEMU says nothing", &memory, None), None);
    }
}
