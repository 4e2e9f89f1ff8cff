#!/bin/bash
# Installs what is missing, and says so in one line; quiet and instant when nothing is.
#
#   qemu/setup.sh run     what building and running take: a linker, QEMU, the Rust sources
#   qemu/setup.sh debug   and the debugger
#   qemu/setup.sh bench   and what the benchmark drives the guests with, and its peers
#   qemu/setup.sh test    and what the tests drive the guest with: clients, a browser, a real site
#
# Debian packages come by apt-get, as root or through sudo. The PostgreSQL manual that the tests
# serve, nginx and Caddy, which would start services, and promtool are unpacked below target/, not installed.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    printf 'quartz: set-up: %s\n' "$*" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

mode=${1:-run}
missing=()
has cc && has objcopy && has addr2line || missing+=(build-essential)
has qemu-system-x86_64 || missing+=(qemu-system-x86)
case $mode in
run) ;;
debug)
    has gdb || missing+=(gdb)
    ;;
bench)
    has wrk || missing+=(wrk)
    PATH="$PATH:/usr/sbin:/sbin" has ip || missing+=(iproute2)
    has cpio || missing+=(cpio)
    ;;
test)
    has curl || missing+=(curl)
    has wrk || missing+=(wrk)
    PATH="$PATH:/usr/sbin:/sbin" has ip || missing+=(iproute2)
    has ping || missing+=(iputils-ping)
    has chromium || missing+=(chromium)
    has node || missing+=(nodejs)
    has ab || missing+=(apache2-utils)
    has h2load || missing+=(nghttp2-client)
    has slowhttptest || missing+=(slowhttptest)
    PATH="$PATH:/usr/sbin:/sbin" has tcpdump || missing+=(tcpdump)
    # In front of several guests.
    PATH="$PATH:/usr/sbin" has haproxy || missing+=(haproxy)
    has socat || missing+=(socat)
    # For the manual pages and the completions.
    has mandoc || missing+=(mandoc)
    has zsh || missing+=(zsh)
    has fish || missing+=(fish)
    has gdb || missing+=(gdb)
    python=/usr/bin/python3
    "$python" -c 'import requests' 2>/dev/null || missing+=(python3-requests)
    "$python" -c 'import httpx' 2>/dev/null || missing+=(python3-httpx)
    if [ "$(id -u)" = 0 ]; then
        # The container with systemd; it takes root.
        has systemd-nspawn || missing+=(systemd-container)
        PATH="$PATH:/usr/sbin:/sbin" has debootstrap || missing+=(debootstrap)
    fi
    ;;
*) fail "unknown mode '$mode': run, debug, bench or test" ;;
esac

# What is unpacked: package and a file of it, unless that is there, installed or unpacked earlier.
manual=/usr/share/doc/postgresql-doc-15/html/index.html
unpacked=()
if [ "$mode" = test ]; then
    [ -e $manual ] || [ -e target/manual$manual ] || unpacked+=(postgresql-doc-15)
    [ -e /usr/bin/promtool ] || [ -e target/prometheus/usr/bin/promtool ] || unpacked+=(prometheus)
    [ -e /usr/bin/caddy ] || [ -e target/caddy/usr/bin/caddy ] || unpacked+=(caddy)
    [ -e /usr/sbin/nginx ] || [ -e target/nginx/usr/sbin/nginx ] || unpacked+=(nginx)
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Runs a command quietly; its output is shown if it fails.
quietly() {
    if ! "$@" >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        return 1
    fi
}

# unpack PACKAGE FOLDER FILE: puts a package below target/ without installing it.
unpack() {
    rm -rf "target/$2"
    mkdir -p "target/$2"
    (cd "target/$2" && quietly apt-get -q download "$1") ||
        fail "apt-get could not download $1 (its last lines stand above)"
    quietly dpkg-deb -x "target/$2/$1"_*.deb "target/$2" || fail "could not unpack $1"
    rm -f "target/$2"/*.deb
    [ -e "target/$2$3" ] || fail "$1 has no $3"
}

if [ ${#missing[@]} -gt 0 ] || [ ${#unpacked[@]} -gt 0 ]; then
    wanted="${missing[*]}"
    [ ${#unpacked[@]} -gt 0 ] && wanted="$wanted${wanted:+ }${unpacked[*]} (unpacked in target/)"
    has apt-get || fail "missing: $wanted; there is no apt-get here, please install the equivalent packages"
    as_root=()
    if [ "$(id -u)" != 0 ]; then
        if has sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
            as_root=(sudo)
        elif [ ${#missing[@]} -gt 0 ]; then
            fail "missing: $wanted; neither root nor sudo, please run as root: apt-get install ${missing[*]}"
        fi
    fi
    printf 'quartz: installing %s\n' "$wanted" >&2
    if [ "$(id -u)" = 0 ] || [ ${#as_root[@]} -gt 0 ]; then
        # A failed update alone is no reason to stop: the lists may be good enough.
        quietly "${as_root[@]}" apt-get -q update || true
    fi
    if [ ${#missing[@]} -gt 0 ]; then
        quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${missing[@]}" ||
            fail "apt-get could not install ${missing[*]} (its last lines stand above)"
    fi
    for package in "${unpacked[@]}"; do
        case $package in
        nginx) unpack nginx nginx /usr/sbin/nginx ;;
        caddy) unpack caddy caddy /usr/bin/caddy ;;
        prometheus)
            unpack prometheus prometheus /usr/bin/promtool
            # The tool alone is needed.
            find target/prometheus -type f ! -name promtool -delete
            ;;
        *) unpack postgresql-doc-15 manual "$manual" ;;
        esac
    done
fi

# The Debian that the tests of the services boot in a container.
if [ "$mode" = test ] && [ "$(id -u)" = 0 ] && [ ! -e target/container/root/.complete ]; then
    printf 'quartz: making a Debian with systemd for the tests (in target/container)\n' >&2
    rm -rf target/container
    mkdir -p target/container
    quietly env PATH="$PATH:/usr/sbin:/sbin" debootstrap --variant=minbase \
        --include=systemd,systemd-sysv,dbus,libnss-systemd,procps,curl,qemu-system-x86 \
        bookworm target/container/root ||
        fail "debootstrap could not make a system (its last lines stand above)"
    : >target/container/root/.complete
fi

# rust-toolchain.toml names compiler and components. They are fetched here, and not by rustup's own
# first-use installation, so that a person sees what takes the time.
has cargo || fail "cargo is missing: install Rust with rustup (https://rustup.rs), then try again"
export RUSTUP_AUTO_INSTALL=0
if sysroot=$(rustc --print sysroot 2>"$log"); then
    if [ ! -e "$sysroot/lib/rustlib/src/rust/library/core/src/lib.rs" ]; then
        has rustup || fail "the Rust sources are missing, and there is no rustup to fetch them: install Rust with rustup (https://rustup.rs)"
        printf 'quartz: installing the Rust sources (rust-src)\n' >&2
        quietly rustup component add rust-src ||
            fail "rustup could not install rust-src (its last lines stand above)"
    fi
    if [ "$mode" = test ]; then
        for component in rustfmt clippy; do
            if ! quietly cargo "${component/rust/}" --version >/dev/null 2>&1; then
                printf 'quartz: installing %s\n' "$component" >&2
                quietly rustup component add "$component" ||
                    fail "rustup could not install $component (its last lines stand above)"
            fi
        done
    fi
else
    has rustup || { cat "$log" >&2 && fail "the Rust compiler does not run (what it said stands above)"; }
    version=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
    printf 'quartz: installing Rust %s with its sources\n' "$version" >&2
    quietly rustup toolchain install "$version" --profile minimal --component rust-src --component rustfmt --component clippy ||
        fail "rustup could not install Rust $version (its last lines stand above)"
fi
