#!/bin/bash
# Every test, one after the other, with one summary at the end. Called by `make test`.
#
# Each step's output is kept in target/test/. Ctrl-C, SIGTERM and SIGHUP end the running step with
# all its processes; guests end with the test that started them.
set -uo pipefail
cd "$(dirname "$0")/.."

logs=target/test
rm -rf "$logs"
mkdir -p "$logs"
# What the tests write goes away with this script, even when a test is killed.
TMPDIR=$(mktemp -d)
export TMPDIR
job=''
passed=0
failed=0
summary=()
began=$SECONDS

cleanup() {
    rm -rf "$TMPDIR"
}

interrupted() {
    trap '' INT TERM HUP
    # The step runs in a process group of its own.
    [ -n "$job" ] && kill -TERM -- "-$job" 2>/dev/null && wait "$job" 2>/dev/null
    printf '\nquartz: tests interrupted\n' >&2
    exit 130
}

trap cleanup EXIT
trap interrupted INT TERM HUP

# step NAME COMMAND...: runs a command; one that prints cargo's test results counts its tests, any
# other counts as one.
step() {
    local name=$1 log from=$SECONDS status counts good bad
    shift
    log="$logs/${name// /-}.log"
    printf '== %s\n' "$name"
    : >"$log"
    set -m
    "$@" >"$log" 2>&1 &
    job=$!
    set +m
    # Each test's verdict as it comes; this ends with the step.
    tail -n +1 -s 0.2 -f --pid="$job" "$log" | grep --line-buffered -E '^test .* \.\.\. ' &
    wait "$job"
    status=$?
    job=''
    wait
    counts=$(awk '/^test result:/ { good += $4; bad += $6 } END { print good + 0, bad + 0 }' "$log")
    read -r good bad <<<"$counts"
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    elif [ "$status" -eq 0 ] && [ "$good" -eq 0 ]; then
        good=1
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
    if [ "$status" -ne 0 ]; then
        tail -n 200 "$log"
        printf '== %s FAILED; all of its output: %s\n' "$name" "$log"
    fi
    summary+=("$(printf '%-22s %5d passed %5d failed %6d s' "$name" "$good" "$bad" $((SECONDS - from)))")
}

# What is only meant for the kernel's own commands.
kernel_cargo() {
    RUSTC_BOOTSTRAP=1 cargo "$@"
}

documentation() {
    RUSTDOCFLAGS="-D warnings" "$@"
}

# The boot tests make network namespaces: as another user than root, in a user namespace.
private=()
[ "$(id -u)" = 0 ] || private=(unshare --user --map-root-user)

step "formatting" cargo fmt --all --check
step "kernel build" make --no-print-directory kernel
step "example build" make --no-print-directory example
step "kernel lints" kernel_cargo kernel-clippy -- -D warnings
step "kernel documentation" documentation kernel_cargo kernel-doc --profile kernel
step "host lints" cargo clippy --all-targets -- -D warnings
step "host documentation" documentation cargo doc --no-deps
step "host tests" cargo test --no-fail-fast -p quartz-abi -p quartz-console -p quartz-drivers -p quartz-net
step "tool tests" cargo test -p quartz --lib --bins
step "documentation tests" cargo test -p quartz --test docs
step "counter build" cargo build --release -p quartz-plugin
step "boot tests" "${private[@]}" cargo test -p quartz --test boot
step "service tests" cargo test -p quartz --test service
step "hostile device tests" "${private[@]}" cargo test --no-fail-fast -p quartz-hostile

printf '\n'
printf '%s\n' "${summary[@]}"
printf 'in %d s\n' $((SECONDS - began))
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
