# Sourced by the scripts here, in the project's folder: a subcommand of cargo in the version that a script was
# written for, built once into target/tools (some minutes).
#
#   cargo_tool SUBCOMMAND VERSION

tools=target/tools
export PATH="$PWD/$tools/bin:$PATH"

cargo_tool() {
    if ! cargo "$1" --version 2>/dev/null | grep -q " $2\$"; then
        printf 'quartz: building cargo-%s %s into %s (some minutes, once)\n' "$1" "$2" "$tools" >&2
        cargo install --quiet --locked --root "$tools" --target-dir "$tools/build" "cargo-$1@$2"
        rm -rf "$tools/build"
    fi
}
