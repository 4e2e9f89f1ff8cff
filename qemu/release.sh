#!/bin/bash
# Makes a release of what was built, and tries it out. Called by `make release`.
#
#   qemu/release.sh [FOLDER]     default: target/release-VERSION
#
# In FOLDER: quartz-VERSION.tar.gz, quartz_VERSION_amd64.deb, two bills of materials (CycloneDX), and
# SHA256SUMS. The same input makes the same bytes: times are SOURCE_DATE_EPOCH, which is the last
# commit's unless it is set. QUICK=1 leaves out what takes long, for tests: the bills, whose tool takes
# minutes to build, and lintian.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

fail() {
    printf 'quartz: release: %s\n' "$*" >&2
    exit 1
}
say() {
    printf 'quartz: release: %s\n' "$*" >&2
}

quartz=${QUARTZ:-target/release/quartz}
kernel=target/quartz-unikernel
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
out=${1:-target/release-$version}
name=quartz-$version
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH
[ -e "$quartz" ] && [ -e $kernel.elf ] && [ -e $kernel.debug ] || fail 'not built: run `make build` first'
command -v curl >/dev/null || fail "curl is missing, which tries the release out"
rm -rf "$out"
mkdir -p "$out"
stage=$(mktemp -d)
server=''
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$stage"' EXIT

# What a person who releases should know; a rehearsal need not mind.
grep -q "^## \[$version\]" CHANGELOG.md || say "note: CHANGELOG.md has no section [$version]"
[ -z "$(git status --porcelain 2>/dev/null)" ] || say 'note: the working tree has changes that are not committed'

# The bills of materials: what the kernel and the tool are made of.
bills() {
    local package folder=$1
    qemu/sbom.sh "$folder"
    for package in quartz quartz-unikernel; do
        install -m 644 "$folder/$package.cdx.json" "$out/$package-$version.cdx.json"
    done
}

# Everything that goes into the tarball, in a folder. The kernel lies where the command looks first.
top=$stage/$name
install -D -m 755 -s "$quartz" "$top/bin/quartz"
install -m 644 $kernel.elf $kernel.debug qemu/gdb/quartz.py "$top"
"$quartz" manual "$top/share/man" --date "$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)"
mkdir -p "$top/share/completions" "$top/share/systemd" "$top/docs"
for shell in bash zsh fish; do
    "$quartz" completions $shell >"$top/share/completions/quartz.$shell"
done
install -m 644 qemu/systemd/*.service qemu/systemd/*.socket qemu/systemd/example.toml "$top/share/systemd"
install -m 755 qemu/systemd/quartz-generator "$top/share/systemd"
cp -R docs/. "$top/docs"
install -m 644 README.md CHANGELOG.md CONTRIBUTING.md LICENSE "$top"
qemu/notices.sh "$top"
if [ "${QUICK:-}" != 1 ]; then
    bills "$stage/bills"
    install -m 644 "$stage"/bills/*.cdx.json "$top"
fi
chmod -R u=rwX,go=rX "$top"
(cd "$top" && find . -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum >SHA256SUMS)

tar c -C "$stage" --sort=name --format=posix --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
    --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner "$name" | gzip -9n >"$out/$name.tar.gz"
QUARTZ=$quartz qemu/install.sh deb "$out/quartz_${version}_amd64.deb" >/dev/null
(cd "$out" && LC_ALL=C sha256sum -- * >SHA256SUMS)

# The tarball as somebody who has only it: unpacked in an empty directory, checked, and served from.
try=$stage/try
mkdir -p "$try/site"
printf 'a page of the release %s\n' "$version" >"$try/site/index.html"
tar x -C "$try" -f "$out/$name.tar.gz"
(cd "$try/$name" && sha256sum --quiet -c SHA256SUMS)
mkfifo "$try/said"
env -C "$try" "$name/bin/quartz" run --port 0 --site site >"$try/said" 2>"$try/log" &
server=$!
read -r -t 60 line <"$try/said" || { cat "$try/log" >&2 && fail 'the tarball does not serve'; }
page=$(curl -sS -m 20 "${line#quartz: serving }")
[ "$page" = "a page of the release $version" ] || fail "the tarball served this: $page"
kill -INT "$server"
wait "$server" || fail "the tarball's guest did not stop as asked"
server=''
say 'the tarball, unpacked in an empty directory, served a page'

# The package: dpkg reads it, and lintian, where it is installed, finds no error.
dpkg-deb --info "$out/quartz_${version}_amd64.deb" >/dev/null
if [ "${QUICK:-}" != 1 ] && command -v lintian >/dev/null; then
    lintian --allow-root --fail-on error "$out/quartz_${version}_amd64.deb" >&2
    say 'lintian finds no error in the package'
fi
(cd "$out" && ls -l --time-style=+ | awk 'NR > 1 { printf "%10d  %s\n", $5, $6 }')
printf 'quartz: release: %s\n' "$out"
