#!/bin/bash
# A fleet on one machine: three guests with HAProxy in front, and a rolling upgrade.
#
#   examples/fleet/fleet.sh up SITE      serves on 127.0.0.1:$PORT until Ctrl-C
#   examples/fleet/fleet.sh roll SITE    another site for each guest in turn; no request is lost
#   examples/fleet/fleet.sh status       how HAProxy sees them
#
# Variables: PORT (8000); ONE, TWO, THREE: the guests' ports (8101 to 8103); FLEET: a directory for
# sockets, process ids and logs (target/fleet); QUARTZ: the command; RUN: more words for `quartz run`.
# On several machines a guest is a service there, and `node_*` below become commands over ssh
# (docs/fleet.md).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)

export PORT=${PORT:-8000} ONE=${ONE:-8101} TWO=${TWO:-8102} THREE=${THREE:-8103}
export FLEET=${FLEET:-$top/target/fleet}
quartz=${QUARTZ:-$top/target/release/quartz}
nodes=(one two three)
# Seconds: for a guest to start, and for HAProxy to have no request there any more.
patience=40
PATH="$PATH:/usr/sbin"

say() {
    printf 'fleet: %s\n' "$*"
}

fail() {
    printf 'fleet: %s\n' "$*" >&2
    exit 1
}

for command in haproxy socat; do
    command -v $command >/dev/null || fail "$command is missing: apt-get install $command"
done
[ -x "$quartz" ] || fail "$quartz is missing: run \`make build\` first"

# until_ok COMMAND...: repeats it until it succeeds; whether it did in time.
until_ok() {
    local end=$((SECONDS + patience))
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

# The process of a guest, if it runs.
node_process() {
    local pid
    pid=$(cat "$FLEET/$1.pid" 2>/dev/null) || return 1
    # The number may be another's by now.
    grep -qz "^$quartz\$" "/proc/$pid/cmdline" 2>/dev/null || return 1
    echo "$pid"
}

# Starts a guest with a site, and waits for its first answer.
node_start() {
    local node=$1 site=$2 port=${1^^}
    : >"$FLEET/$node.log"
    # A session of its own: it stays when this script ends.
    # shellcheck disable=SC2016,SC2086
    setsid sh -c 'echo $$ >"$0"; exec "$@"' "$FLEET/$node.pid" \
        "$quartz" run --port "${!port}" --site "$site" ${RUN:-} </dev/null >>"$FLEET/$node.log" 2>&1 &
    local end=$((SECONDS + patience))
    until grep -q '^quartz: serving' "$FLEET/$node.log"; do
        # It has ended, and says why, or takes too long.
        if { [ -s "$FLEET/$node.pid" ] && ! node_process "$node" >/dev/null && sleep 0.2 &&
            ! node_process "$node" >/dev/null; } || [ $SECONDS -ge $end ]; then
            tail -n 5 "$FLEET/$node.log" >&2
            return 1
        fi
        sleep 0.1
    done
    echo "$site" >"$FLEET/$node.site"
}

node_gone() {
    ! node_process "$1" >/dev/null
}

# Lets a guest finish what it is answering, and stops it.
node_stop() {
    local pid
    pid=$(node_process "$1") || return 0
    kill -TERM "$pid"
    until_ok node_gone "$1"
}

haproxy_says() {
    echo "$1" | socat -t 5 - "UNIX-CONNECT:$FLEET/haproxy.sock"
}

# column NODE N: of HAProxy's statistics (management.txt, 9.1): 5 is requests under way, 18 the state.
column() {
    haproxy_says 'show stat' | awk -F, -v node="$1" -v n="$2" '$1 == "quartz" && $2 == node { print $n }'
}

is_up() {
    [ "$(column "$1" 18)" = UP ]
}

is_idle() {
    [ "$(column "$1" 5)" = 0 ]
}

up() {
    local node
    mkdir -p "$FLEET"
    rm -f "$FLEET"/*.pid
    balancer=''
    # shellcheck disable=SC2329
    down() {
        trap '' INT TERM HUP
        [ -z "$balancer" ] || kill "$balancer" 2>/dev/null || true
        for node in "${nodes[@]}"; do
            node_stop "$node" || true
        done
        rm -f "$FLEET/haproxy.sock"
    }
    trap down EXIT
    trap 'exit 0' INT TERM HUP
    for node in "${nodes[@]}"; do
        node_start "$node" "$1" || fail "guest $node does not start"
    done
    haproxy -db -f "$here/haproxy.cfg" >"$FLEET/haproxy.log" 2>&1 &
    balancer=$!
    until_ok test -S "$FLEET/haproxy.sock" || fail "HAProxy does not start: $(tail -n 3 "$FLEET/haproxy.log")"
    for node in "${nodes[@]}"; do
        until_ok is_up "$node" || fail "HAProxy does not reach $node"
    done
    say "serving http://127.0.0.1:$PORT/"
    wait $balancer || fail "HAProxy ended: $(tail -n 3 "$FLEET/haproxy.log")"
}

roll() {
    local node old began=$SECONDS
    for node in "${nodes[@]}"; do
        old=$(cat "$FLEET/$node.site")
        # It gets no new request; what it is answering it finishes.
        haproxy_says "set server quartz/$node state drain" >/dev/null
        until_ok is_idle "$node" || say "$node still has requests after $patience s; going on"
        node_stop "$node" || fail "$node does not stop; it gets no requests, the others serve"
        if ! node_start "$node" "$1"; then
            say "$node does not start with $1: back to $old"
            node_start "$node" "$old" || fail "$node does not start again; the others serve"
            haproxy_says "set server quartz/$node state ready" >/dev/null
            fail 'the upgrade was given up; every guest that it had not reached is as it was'
        fi
        haproxy_says "set server quartz/$node state ready" >/dev/null
        # Not before it has proved itself is the next one touched.
        until_ok is_up "$node" || fail "HAProxy does not reach $node again; the others serve"
        say "$node serves $1"
    done
    say "done in $((SECONDS - began)) s"
}

status() {
    local node
    for node in "${nodes[@]}"; do
        printf '%-6s %-6s %s requests under way, %s\n' "$node" "$(column "$node" 18)" \
            "$(column "$node" 5)" "$(cat "$FLEET/$node.site")"
    done
}

case ${1:-} in
up | roll)
    [ -e "${2:-}" ] || fail "usage: fleet.sh $1 SITE, a directory or an image"
    $1 "$(realpath "$2")"
    ;;
status) status ;;
*) fail 'usage: fleet.sh up SITE | roll SITE | status' ;;
esac
