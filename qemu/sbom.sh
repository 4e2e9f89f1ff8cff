#!/bin/bash
# The bills of materials of the tool and of the kernel, as CycloneDX 1.5 in JSON: every crate with its
# version, licence, package URL and checksum. Called by `make sbom`.
#
#   qemu/sbom.sh FOLDER
#
# cargo-cyclonedx writes them; it is built once into target/tools (some minutes). They are checked
# against the schema if the Python package cyclonedx-python-lib[json-validation] is there.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:?usage: qemu/sbom.sh FOLDER}
version=0.5.9
tools=target/tools
export PATH="$PWD/$tools/bin:$PATH"
if ! cargo cyclonedx --version 2>/dev/null | grep -q " $version\$"; then
    printf 'quartz: building cargo-cyclonedx %s into %s (some minutes, once)\n' "$version" "$tools" >&2
    cargo install --quiet --locked --root "$tools" --target-dir "$tools/build" "cargo-cyclonedx@$version"
    rm -rf "$tools/build"
fi

# It writes beside each Cargo.toml; so it works on a copy of what describes the sources.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar c --exclude=./target --exclude=./.git . | tar x -C "$copy"
mkdir -p "$folder"
# No serial number and no time of now: the same sources make the same bills.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
for each in quartz:qemu:x86_64-unknown-linux-gnu quartz-unikernel:kernel:x86_64-unknown-none; do
    IFS=: read -r package from target <<<"$each"
    env -u CARGO_TARGET_DIR cargo cyclonedx --quiet --manifest-path "$copy/$from/Cargo.toml" \
        --format json --spec-version 1.5 --target "$target" --override-filename bom
    sed "s#$copy#.#g" "$copy/$from/bom.json" >"$folder/$package.cdx.json"
done

python=python3
[ ! -x $tools/python/bin/python ] || python=$tools/python/bin/python
if "$python" -c 'import cyclonedx.validation.json' 2>/dev/null; then
    "$python" - "$folder"/*.cdx.json <<'PYTHON'
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

for path in sys.argv[1:]:
    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(path).read())
    if error is not None:
        sys.exit(f"quartz: {path} breaks the schema of CycloneDX 1.5: {error}")
PYTHON
    printf 'quartz: the bills of materials keep to the schema of CycloneDX 1.5\n'
else
    printf 'quartz: the bills of materials were not checked against the schema (python3 -m venv %s/python && %s/python/bin/pip install "cyclonedx-python-lib[json-validation]")\n' $tools $tools
fi
