#!/bin/bash
# What Quartz is built of: licences, sources, banned crates, known weaknesses. Called by `make audit`.
#
# cargo-deny does it, by deny.toml; it is built once into target/tools (some minutes). Known weaknesses
# come from the RustSec database, which is fetched from GitHub: where that cannot be reached they are
# not checked, which is said at the end, and fails with STRICT=1.
set -euo pipefail
cd "$(dirname "$0")/.."

. qemu/cargo-tool.sh
# The version that deny.toml was written for.
cargo_tool deny 0.20.2

# The lock file is what is looked at: it has to say what is built.
cargo metadata --locked --format-version 1 >/dev/null
cargo deny --locked check --hide-inclusion-graph licenses bans sources

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if cargo deny --locked fetch db >"$log" 2>&1; then
    cargo deny --locked check --hide-inclusion-graph advisories
    printf 'quartz: audit: licences, bans, sources and advisories are well\n'
else
    tail -n 3 "$log" >&2
    printf 'quartz: audit: licences, bans and sources are well; ADVISORIES WERE NOT CHECKED: their database could not be fetched (its last words stand above)\n' >&2
    [ "${STRICT:-}" != 1 ]
fi
