#!/bin/bash
# The peers of the benchmark: what a person would run instead. One Debian kernel, and for each web
# server one initramfs that serves the benchmark's three files, from Debian packages alone.
#
#   qemu/peers/build.sh OUT    leaves OUT/vmlinuz, OUT/nginx.img, OUT/lighttpd.img
#
# Packages are fetched by apt-get, unpacked below OUT, never installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(realpath "$1")

say() {
    printf 'quartz: peers: %s\n' "$*" >&2
}

kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^  Depends: //p' | head -n 1)
[ -n "$kernel" ] || { say 'apt knows no linux-image-cloud-amd64'; exit 1; }
packages="$kernel busybox-static nginx lighttpd libc6 libcrypt1 libpcre2-8-0 libssl3 zlib1g libxxhash0 libnettle8"
mkdir -p "$out/packages"
for package in $packages; do
    compgen -G "$out/packages/${package}_*.deb" >/dev/null && continue
    say "fetching $package"
    (cd "$out/packages" && apt-get -q -o APT::Sandbox::User=root download "$package" >/dev/null)
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for package in $packages; do
    tree=$work/user
    [ "$package" = "$kernel" ] && tree=$work/kernel
    dpkg-deb -x "$(compgen -G "$out/packages/${package}_*.deb" | sort | tail -n 1)" "$tree"
done
cp "$work"/kernel/boot/vmlinuz-* "$out/vmlinuz"
modules=$(echo "$work"/kernel/lib/modules/*/kernel)

# library NAME: the file of a shared library.
library() {
    find "$work/user/lib" "$work/user/usr/lib" "$work/user/lib64" -name "$1" 2>/dev/null | head -n 1
}

# initramfs NAME PROGRAM CONFIGURATION: the image of one web server.
initramfs() {
    local root=$work/$1 todo next seen=' ' file needed
    mkdir -p "$root"/{bin,etc,proc,sys,dev,tmp,run,lib/modules,lib64,lib/x86_64-linux-gnu,var/log,var/lib/nginx}
    mkdir "$root/www"
    # The files that the tool makes for Quartz (qemu/src/bench/subject.rs).
    head -c 1024 /dev/zero | tr '\0' a >"$root/www/index.html"
    head -c 102400 /dev/zero | tr '\0' b >"$root/www/100k"
    head -c 10485760 /dev/zero | tr '\0' c >"$root/www/10m"
    cp "$work/user/bin/busybox" "$root/bin/"
    for applet in sh mount insmod ip cat; do ln -s busybox "$root/bin/$applet"; done
    for module in net/core/failover drivers/net/net_failover drivers/virtio/virtio_ring \
        drivers/virtio/virtio drivers/virtio/virtio_mmio drivers/net/virtio_net; do
        cp "$modules/$module.ko" "$root/lib/modules/"
    done
    cp "$work/user/$2" "$root/bin/$1"
    cp "$here/$3" "$root/etc/$1.conf"
    cp "$here/init" "$root/init"
    printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
    todo=$root/bin/$1
    while [ -n "$todo" ]; do
        next=
        for file in $todo; do
            for needed in $(objdump -p "$file" | sed -n 's/^ *NEEDED *//p'); do
                case $seen in *" $needed "*) continue ;; esac
                seen+="$needed "
                cp -L "$(library "$needed")" "$root/lib/x86_64-linux-gnu/$needed"
                next+=" $root/lib/x86_64-linux-gnu/$needed"
            done
        done
        todo=$next
    done
    ln -s ../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 "$root/lib64/"
    (cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -6n) >"$out/$1.img.new"
    mv "$out/$1.img.new" "$out/$1.img"
}

initramfs nginx usr/sbin/nginx nginx.conf
initramfs lighttpd usr/sbin/lighttpd lighttpd.conf
