//! The words of the guest's command line as a table: what the help, the manual page and docs/settings.md
//! show, and where the parser has its keys from.

/// A key of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// The key.
    pub key: &'static str,
    /// What its value may be, and what it does.
    pub value: &'static str,
    /// What holds without it.
    pub default: &'static str,
}

const fn word(key: &'static str, value: &'static str, default: &'static str) -> Word {
    Word {
        key,
        value,
        default,
    }
}

/// Every key, in the order in which a person reads them.
pub const WORDS: [Word; 15] = [
    word("ip", "dhcp, or ADDR/LEN (IPv4)", "10.0.2.15/24"),
    word(
        "gw",
        "IPv4 address of the gateway",
        "10.0.2.2 unless ip is given",
    ),
    word(
        "ip6",
        "slaac, off, or ADDR/LEN; a link-local address is there too, unless off",
        "slaac",
    ),
    word(
        "gw6",
        "IPv6 address of the gateway, for a fixed ip6",
        "none",
    ),
    word("port", "TCP port of the site, 1-65535", "80"),
    word("admin", "TCP port of the admin endpoints, or off", "9100"),
    word(
        "public",
        "on, off: /healthz and /stats.json on the site's port too",
        "on",
    ),
    word(
        "security",
        "on, off: fields against sniffing, framing and leaking of referrers with every file",
        "off",
    ),
    word(
        "conns",
        "most connections at once, 1-1000000",
        "what memory allows",
    ),
    word(
        "conns_per_source",
        "most connections of one client (an IPv4 address, or an IPv6 network of 64 bits), \
         1-1000000, or off; behind user networking or a proxy all clients share an address",
        "off",
    ),
    word(
        "time_wait",
        "seconds that a closed connection is remembered, 1-240",
        "60",
    ),
    word("log", "off, error, warn, info, debug, trace", "info"),
    word(
        "heartbeat",
        "seconds between lines for machines on the serial port, 1-3600, or off",
        "off",
    ),
    word(
        "reflect",
        "for measurements: on, off: datagrams to port 7 go back by the shortest way",
        "off",
    ),
    word(
        "provoke",
        "for tests: a fault to cause right after boot, such as panic; or console: the console takes provoke FAULT",
        "none",
    ),
];
