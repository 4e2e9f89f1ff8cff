#!/bin/bash
# The bills of materials of the tool and of the kernel, as CycloneDX 1.5 in JSON: every crate with its
# version, licence, package URL and checksum. Called by `make sbom`.
#
#   qemu/sbom.sh FOLDER
#
# cargo-cyclonedx writes them; it is built once into target/tools (some minutes). cyclonedx-python-lib,
# which goes to target/tools too, checks them against the schema, and every crate that cargo links has to
# be in them.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:?usage: qemu/sbom.sh FOLDER}
. qemu/cargo-tool.sh
cargo_tool cyclonedx 0.5.9

# It writes beside each Cargo.toml; so it works on a copy of what describes the sources.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar c --exclude=./target --exclude=./.git . | tar x -C "$copy"
mkdir -p "$folder"
# No serial number and no time of now: the same sources make the same bills.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
for each in quartz:qemu:x86_64-unknown-linux-gnu quartz-unikernel:kernel/image:x86_64-unknown-none; do
    IFS=: read -r package from target <<<"$each"
    env -u CARGO_TARGET_DIR cargo cyclonedx --quiet --manifest-path "$copy/$from/Cargo.toml" \
        --format json --spec-version 1.5 --target "$target" --override-filename bom
    sed "s#$copy#.#g" "$copy/$from/bom.json" >"$folder/$package.cdx.json"
done

# Nothing that is linked in may be missing.
for each in quartz:quartz:x86_64-unknown-linux-gnu quartz-unikernel:quartz-unikernel:x86_64-unknown-none; do
    IFS=: read -r bill from target <<<"$each"
    cargo tree --locked -p "$from" --target "$target" -e normal --prefix none -f '{p}' |
        sed -n "/^$from /d; s/^\([^ ]*\) v\([^ ]*\).*/\1 \2/p" | LC_ALL=C sort -u |
        while read -r crate number; do
            grep -A 1 "\"name\": \"$crate\"," "$folder/$bill.cdx.json" | grep -q "\"version\": \"$number\"" || {
                printf 'quartz: %s %s is not in %s.cdx.json\n' "$crate" "$number" "$bill" >&2
                exit 1
            }
        done
done

python=$tools/python/bin/python
if [ ! -x "$python" ]; then
    rm -rf $tools/python
    { python3 -m venv $tools/python && "$python" -m pip install -q 'cyclonedx-python-lib[json-validation]'; } >&2 ||
        rm -rf $tools/python
fi
if [ ! -x "$python" ]; then
    printf 'quartz: the bills of materials were NOT CHECKED against the schema: Python could not get cyclonedx-python-lib (what it said stands above)\n' >&2
    [ "${STRICT:-}" != 1 ]
    exit
fi
"$python" - "$folder"/*.cdx.json <<'PYTHON'
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

for path in sys.argv[1:]:
    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(path).read())
    if error is not None:
        sys.exit(f"quartz: {path} breaks the schema of CycloneDX 1.5: {error}")
PYTHON
printf 'quartz: the bills of materials name every crate that is linked in, and keep to the schema of CycloneDX 1.5\n'
