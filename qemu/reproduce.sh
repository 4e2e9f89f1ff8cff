#!/bin/bash
# Builds the kernel twice, from nothing, in two directories, and compares the bytes. Called by
# `make reproduce`; takes two whole builds.
#
#   qemu/reproduce.sh [FILE]    also compares with FILE, such as a release's quartz-unikernel.elf
#
# The same sources, the same compiler (rust-toolchain.toml) and the same crates (Cargo.lock) make the
# same image. What differs between two machines, their paths, is kept out by the flags in
# .cargo/config.toml.
set -euo pipefail
cd "$(dirname "$0")/.."

given=${1:-}
[ -z "$given" ] || [ -r "$given" ] || { printf 'quartz: cannot read %s\n' "$given" >&2 && exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# build NAME: copies the sources to a directory of this name and builds them there.
build() {
    local at="$folder/$1"
    mkdir -p "$at"
    tar c --exclude=./target --exclude=./.git . | tar x -C "$at"
    printf 'quartz: reproduce: building in %s\n' "$at" >&2
    (
        cd "$at"
        env -u CARGO_TARGET_DIR RUSTC_BOOTSTRAP=1 cargo kernel --quiet --locked
        objcopy --strip-all target/x86_64-quartz/kernel/quartz-unikernel "$folder/$2.elf"
        cp target/x86_64-quartz/kernel/quartz-unikernel "$folder/$2.debug"
    )
    rm -rf "$at"
}

build a first
build another/directory/with-a-longer-name second

hash() {
    sha256sum "$1" | cut -d ' ' -f 1
}

for kind in elf debug; do
    printf '%s  quartz-unikernel.%s, first build\n' "$(hash "$folder/first.$kind")" $kind
    printf '%s  quartz-unikernel.%s, second build\n' "$(hash "$folder/second.$kind")" $kind
done
status=0
for kind in elf debug; do
    cmp -s "$folder/first.$kind" "$folder/second.$kind" || {
        printf 'quartz: reproduce: the two quartz-unikernel.%s DIFFER\n' $kind >&2
        status=1
    }
done
if [ -n "$given" ]; then
    printf '%s  %s\n' "$(hash "$given")" "$given"
    cmp -s "$folder/first.elf" "$given" || {
        printf 'quartz: reproduce: %s DIFFERS from what these sources make\n' "$given" >&2
        status=1
    }
fi
[ $status != 0 ] || printf 'quartz: reproduce: the same bytes\n'
exit $status
