#!/bin/bash
# Writes the licences of every crate that is linked into the tool and the kernel, and those of Rust's own
# library, as their authors ask of whoever gives binaries away.
#
#   qemu/notices.sh FOLDER     THIRD-PARTY and THIRD-PARTY-rust.html
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:?usage: qemu/notices.sh FOLDER}
# The compiler brings them.
library=$(rustc --print sysroot)/share/doc/rust/COPYRIGHT-library.html
if [ -e "$library" ]; then
    install -m 644 "$library" "$folder/THIRD-PARTY-rust.html"
else
    printf 'quartz: note: this compiler has no %s\n' "$library" >&2
fi

exec >"$folder/THIRD-PARTY"
printf 'What Quartz is built of beside its own sources, and under which licences.\n'
sources=("${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/)
{
    cargo tree --locked -p quartz --target x86_64-unknown-linux-gnu -e normal,no-proc-macro --prefix none -f '{p}|{l}'
    cargo tree --locked -p quartz-unikernel --target x86_64-unknown-none -e normal,no-proc-macro --prefix none -f '{p}|{l}'
} | sed -n 's/^\([^ ]*\) v\([^ |]*\)|\([^(]*\).*$/\1 \2 \3/p' | LC_ALL=C sort -u |
    while read -r crate version license; do
        printf '\n%s\n%s %s: %s\n' "$(printf '=%.0s' {1..80})" "$crate" "$version" "$license"
        for source in "${sources[@]}"; do
            [ -d "$source$crate-$version" ] || continue
            for file in "$source$crate-$version"/{LICENSE,LICENCE,COPYING,NOTICE,UNLICENSE,license}*; do
                [ ! -f "$file" ] || { printf '\n--- %s\n\n' "${file##*/}" && cat "$file"; }
            done
            [ -n "$(compgen -G "$source$crate-$version/[Ll][Ii][Cc]*")" ] || printf '\n(The crate has no text of it.)\n'
            break
        done
    done
