#!/bin/bash
# Puts Quartz onto this host, takes it away again, or packs it.
#
#   qemu/install.sh install      into $DESTDIR/usr (default: this host)
#   qemu/install.sh uninstall    removes it; /etc/quartz and /var/lib/quartz stay
#   qemu/install.sh deb FILE     a Debian package
#
# What is installed was built before: `make build`. The same input makes the same package: files carry
# the time SOURCE_DATE_EPOCH, which is the last commit's unless it is set.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    printf 'quartz: %s\n' "$*" >&2
    exit 1
}

# The command that is installed.
quartz=${QUARTZ:-target/release/quartz}
units=(quartz@.service quartz@.socket quartz-forward@.service)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH
# Where shells look for completions.
bash=/usr/share/bash-completion/completions/quartz
zsh=/usr/share/zsh/vendor-completions/_quartz
fish=/usr/share/fish/vendor_completions.d/quartz.fish

# Every file, below a directory.
lay_out() {
    local to=$1 unit shell
    [ -e "$quartz" ] && [ -e target/quartz-unikernel.elf ] && [ -e target/quartz-unikernel.debug ] || fail 'not built: run `make build` first'
    install -d -m 755 "$to/etc/quartz"
    install -D -m 755 -s "$quartz" "$to/usr/bin/quartz"
    install -D -m 644 target/quartz-unikernel.elf "$to/usr/lib/quartz/quartz-unikernel.elf"
    # For the names in backtraces, and for gdb.
    objcopy --compress-debug-sections=zlib target/quartz-unikernel.debug "$to/usr/lib/quartz/quartz-unikernel.debug"
    chmod 644 "$to/usr/lib/quartz/quartz-unikernel.debug"
    install -D -m 644 qemu/gdb/quartz.py "$to/usr/lib/quartz/quartz.py"
    for unit in "${units[@]}"; do
        install -D -m 644 "qemu/systemd/$unit" "$to/usr/lib/systemd/system/$unit"
    done
    install -D -m 755 qemu/systemd/quartz-generator "$to/usr/lib/systemd/system-generators/quartz-generator"
    "$quartz" manual "$to/usr/share/man" --date "$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)"
    gzip -9nf "$to"/usr/share/man/man1/quartz*.1 "$to/usr/share/man/man5/quartz.toml.5"
    for shell in bash zsh fish; do
        install -D -m 644 /dev/null "$to${!shell}"
        "$quartz" completions $shell >"$to${!shell}"
    done
    install -D -m 644 qemu/systemd/example.toml "$to/usr/share/doc/quartz/example.toml"
    install -D -m 644 docs/operations.md "$to/usr/share/doc/quartz/operations.md"
    install -D -m 644 qemu/package/copyright "$to/usr/share/doc/quartz/copyright"
}

# systemd learns of it, if this is a host that runs it.
tell_systemd() {
    if [ -z "${DESTDIR:-}" ] && [ -d /run/systemd/system ]; then
        systemctl daemon-reload
    fi
}

case ${1:-} in
install)
    lay_out "${DESTDIR:-}"
    tell_systemd
    printf 'quartz: installed; next: write /etc/quartz/NAME.toml (man quartz.toml), then: systemctl daemon-reload && systemctl enable --now quartz@NAME\n'
    ;;
uninstall)
    if [ -z "${DESTDIR:-}" ] && [ -d /run/systemd/system ]; then
        systemctl stop 'quartz@*.service' 'quartz@*.socket' 'quartz-forward@*.service' || true
    fi
    root=${DESTDIR:-}
    rm -f "$root/usr/bin/quartz" "$root/usr/lib/systemd/system-generators/quartz-generator"
    for unit in "${units[@]}"; do
        rm -f "$root/usr/lib/systemd/system/$unit"
    done
    rm -f "$root"/usr/share/man/man1/quartz{,-*}.1.gz "$root/usr/share/man/man5/quartz.toml.5.gz"
    rm -f "$root$bash" "$root$zsh" "$root$fish"
    rm -rf "$root/usr/lib/quartz" "$root/usr/share/doc/quartz"
    rmdir --ignore-fail-on-non-empty "$root/etc/quartz" 2>/dev/null || true
    tell_systemd
    printf 'quartz: removed; configurations in /etc/quartz and autopsies in /var/lib/quartz stay\n'
    ;;
deb)
    [ -n "${2:-}" ] || fail 'usage: qemu/install.sh deb FILE'
    version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
    umask 022
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    chmod 755 "$folder"
    lay_out "$folder"
    install -D -m 644 qemu/package/lintian-overrides "$folder/usr/share/lintian/overrides/quartz"
    # No address is published; who publishes the package sets his own.
    maintainer=${MAINTAINER:-The Quartz founders <quartz@localhost>}
    doc=$folder/usr/share/doc/quartz
    qemu/notices.sh "$doc"
    gzip -9n "$doc"/THIRD-PARTY*
    gzip -9n <CHANGELOG.md >"$doc/CHANGELOG.md.gz"
    printf 'quartz (%s) unstable; urgency=medium\n\n  * CHANGELOG.md.gz says what is new.\n\n -- %s  %s\n' \
        "$version" "$maintainer" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$doc/changelog.gz"
    chmod 644 "$doc"/*
    mkdir "$folder/DEBIAN"
    cat >"$folder/DEBIAN/control" <<CONTROL
Package: quartz
Version: $version
Architecture: amd64
Section: httpd
Priority: optional
Maintainer: $maintainer
Installed-Size: $(du -sk --apparent-size "$folder" | cut -f 1)
Depends: libc6 (>= 2.34), qemu-system-x86, systemd (>= 252)
Description: web sites from a unikernel in a QEMU microvm
 The quartz command, its kernel, and systemd units that keep guests alive.
CONTROL
    cat >"$folder/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    # Supervisors are replaced; their guests stay.
    systemctl kill --kill-who=main --signal=USR2 'quartz@*.service' || true
fi
POSTINST
    cat >"$folder/DEBIAN/prerm" <<'PRERM'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl stop 'quartz@*.service' 'quartz@*.socket' 'quartz-forward@*.service' || true
fi
PRERM
    cat >"$folder/DEBIAN/postrm" <<'POSTRM'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
POSTRM
    chmod 755 "$folder/DEBIAN/postinst" "$folder/DEBIAN/prerm" "$folder/DEBIAN/postrm"
    mkdir -p "$(dirname "$2")"
    dpkg-deb --root-owner-group --build "$folder" "$2" >/dev/null
    printf 'quartz: %s\n' "$2"
    ;;
*) fail 'usage: qemu/install.sh install|uninstall|deb FILE' ;;
esac
