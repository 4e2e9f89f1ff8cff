//! The guest's command line (`-append`): `key=value` words separated by blanks.
//!
//! [`WORDS`] has every key with its values and its default.
//!
//! QEMU itself adds `virtio_mmio.device=SIZE@BASE:IRQ` words (microvm, `acpi=off`); they are read
//! as hints. Any other key, a repeated key and a bad value are errors that name the word.

use crate::words::WORDS;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

/// Most `virtio_mmio.device=` hints kept; microvm has 24 slots at most.
pub const MAX_DEVICES: usize = 24;

/// How the guest gets its IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv4Setup {
    /// Ask by DHCP (RFC 2131).
    Dhcp,
    /// A fixed address, its prefix length (0–32) and, where there is one, the gateway.
    Static {
        /// The guest's own address.
        address: Ipv4Addr,
        /// Prefix length in bits.
        prefix_len: u8,
        /// Default gateway.
        gateway: Option<Ipv4Addr>,
    },
}

/// How the guest gets its IPv6 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6Setup {
    /// No IPv6 at all.
    Off,
    /// Link-local address, and global ones from router advertisements (RFC 4862).
    Slaac,
    /// Link-local address and a fixed one.
    Static {
        /// The guest's own address.
        address: Ipv6Addr,
        /// Prefix length in bits, 0–128.
        prefix_len: u8,
        /// Default gateway.
        gateway: Option<Ipv6Addr>,
    },
}

/// Log levels, from silent to chatty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the levels of the `log` crate")]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// A fault that the kernel causes on purpose, so that a test can look at the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Read from page 0, which is unmapped.
    NullRead,
    /// Write to the kernel's own code, which is read-only.
    WriteText,
    /// Jump into data, which is no-execute.
    ExecuteData,
    /// Recurse until the stack meets its guard page.
    StackOverflow,
    /// Divide by zero.
    DivideError,
    /// Execute an undefined instruction.
    InvalidOpcode,
    /// Access a non-canonical address.
    GeneralProtection,
    /// Call `panic!`.
    Panic,
    /// Allocate more than there is.
    OutOfMemory,
    /// Stand still with interrupts off.
    Spin,
    /// From now on, take nothing in from the receive ring, and do not look after it.
    Deaf,
}

impl Fault {
    /// Each fault with its name on the command line.
    pub const ALL: [(&'static str, Fault); 11] = [
        ("null-read", Fault::NullRead),
        ("write-text", Fault::WriteText),
        ("execute-data", Fault::ExecuteData),
        ("stack-overflow", Fault::StackOverflow),
        ("divide-error", Fault::DivideError),
        ("invalid-opcode", Fault::InvalidOpcode),
        ("general-protection", Fault::GeneralProtection),
        ("panic", Fault::Panic),
        ("out-of-memory", Fault::OutOfMemory),
        ("spin", Fault::Spin),
        ("deaf", Fault::Deaf),
    ];

    /// The fault of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Fault> {
        let found = Fault::ALL.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, fault)| fault)
    }
}

/// A virtio-mmio device that QEMU announced on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmioDevice {
    /// Physical address of its registers.
    pub base: u64,
    /// Size of the register window in bytes.
    pub size: u64,
    /// Global interrupt number: pin of the first IOAPIC.
    pub irq: u32,
}

/// The command line, parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// IPv4 address.
    pub ipv4: Ipv4Setup,
    /// IPv6 addresses.
    pub ipv6: Ipv6Setup,
    /// TCP port of the site.
    pub port: u16,
    /// TCP port of the admin endpoints.
    pub admin: Option<u16>,
    /// Whether the site's port answers `/healthz` and `/stats.json` too.
    pub public_endpoints: bool,
    /// Whether files are sent with fields against some attacks on their readers.
    pub security_fields: bool,
    /// Most connections at once; `None`: what the memory allows.
    pub conns: Option<u32>,
    /// Most connections of one client, an IPv4 address or an IPv6 network of 64 bits; `None`: no
    /// limit.
    pub conns_per_source: Option<u32>,
    /// Seconds that a closed connection is remembered (RFC 9293, 3.6.1).
    pub time_wait_s: u16,
    /// Most verbose level that is printed.
    pub log: LogLevel,
    /// Seconds between heartbeat lines.
    pub heartbeat_s: Option<u16>,
    /// Whether datagrams to the echo port go back without a look from the protocol stack, for
    /// measurements.
    pub reflect: bool,
    /// A fault to cause, for tests.
    pub provoke: Option<Fault>,
    /// Whether the console takes `provoke FAULT`, for tests.
    pub provoke_on_console: bool,
    devices: [Option<MmioDevice>; MAX_DEVICES],
}

impl Default for CommandLine {
    fn default() -> Self {
        CommandLine {
            ipv4: Ipv4Setup::Static {
                address: Ipv4Addr::new(10, 0, 2, 15),
                prefix_len: 24,
                gateway: Some(Ipv4Addr::new(10, 0, 2, 2)),
            },
            ipv6: Ipv6Setup::Slaac,
            port: 80,
            admin: Some(9100),
            public_endpoints: true,
            security_fields: false,
            conns: None,
            conns_per_source: None,
            time_wait_s: 60,
            log: LogLevel::Info,
            heartbeat_s: None,
            reflect: false,
            provoke: None,
            provoke_on_console: false,
            devices: [None; MAX_DEVICES],
        }
    }
}

/// A word of the command line that was refused, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandLineError<'a> {
    /// The word is not of the form `key=value`.
    NotKeyValue(&'a str),
    /// The key is not in the table.
    UnknownKey(&'a str),
    /// The key stands twice.
    RepeatedKey(&'a str),
    /// The value does not fit its key.
    BadValue {
        /// The key.
        key: &'a str,
        /// Its value, as given.
        value: &'a str,
        /// What would have been accepted.
        expected: &'static str,
    },
    /// A key that needs another one, which is missing or says otherwise.
    Conflict {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl fmt::Display for CommandLineError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotKeyValue(word) => write!(f, "`{word}` is not of the form key=value"),
            Self::UnknownKey(key) => write!(f, "unknown key `{key}`"),
            Self::RepeatedKey(key) => write!(f, "key `{key}` stands twice"),
            Self::BadValue {
                key,
                value,
                expected,
            } => write!(f, "bad value `{value}` for `{key}`: expected {expected}"),
            Self::Conflict { key, reason } => write!(f, "key `{key}`: {reason}"),
        }
    }
}

impl core::error::Error for CommandLineError<'_> {}

/// Keys that may stand once; the index is the bit in the set of those seen.
const KEYS: [&str; WORDS.len()] = {
    let mut keys = [""; WORDS.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = WORDS[at].key;
        at += 1;
    }
    keys
};

const ADDRESS_V4: &str = "dhcp or ADDR/LEN, such as 10.0.2.15/24";
const ADDRESS_V6: &str = "slaac, off or ADDR/LEN, such as fd00::2/64";

impl CommandLine {
    /// Parses a whole command line.
    ///
    /// # Errors
    /// The first word that is unknown, repeated, malformed or out of range.
    pub fn parse(text: &str) -> Result<CommandLine, CommandLineError<'_>> {
        let mut line = CommandLine::default();
        let mut seen = 0u32;
        let (mut ip, mut gateway) = (None, None);
        let (mut ip6, mut gateway6) = (None, None);
        for word in text.split_ascii_whitespace() {
            let (key, value) = word
                .split_once('=')
                .ok_or(CommandLineError::NotKeyValue(word))?;
            let bad = |expected| CommandLineError::BadValue {
                key,
                value,
                expected,
            };
            if key == "virtio_mmio.device" {
                let device =
                    parse_device(value).ok_or(bad("SIZE@BASE:IRQ, such as 512@0xfeb00e00:12"))?;
                if let Some(slot) = line.devices.iter_mut().find(|d| d.is_none()) {
                    *slot = Some(device);
                }
                continue;
            }
            let bit = KEYS
                .iter()
                .position(|k| *k == key)
                .ok_or(CommandLineError::UnknownKey(key))?;
            if seen & (1 << bit) != 0 {
                return Err(CommandLineError::RepeatedKey(key));
            }
            seen |= 1 << bit;
            match key {
                "ip" if value == "dhcp" => line.ipv4 = Ipv4Setup::Dhcp,
                "ip" => ip = Some(parse_v4(value).ok_or(bad(ADDRESS_V4))?),
                "gw" => gateway = Some(value.parse().map_err(|_| bad("an IPv4 address"))?),
                "ip6" if value == "slaac" => line.ipv6 = Ipv6Setup::Slaac,
                "ip6" if value == "off" => line.ipv6 = Ipv6Setup::Off,
                "ip6" => ip6 = Some(parse_v6(value).ok_or(bad(ADDRESS_V6))?),
                "gw6" => gateway6 = Some(value.parse().map_err(|_| bad("an IPv6 address"))?),
                "port" => line.port = number(value, 1, 65535).ok_or(bad("a port, 1-65535"))? as u16,
                "admin" if value == "off" => line.admin = None,
                "admin" => {
                    let port = number(value, 1, 65535).ok_or(bad("a port, 1-65535, or off"))?;
                    line.admin = Some(port as u16);
                }
                "public" => line.public_endpoints = switch(value).ok_or(bad("on or off"))?,
                "security" => line.security_fields = switch(value).ok_or(bad("on or off"))?,
                "reflect" => line.reflect = switch(value).ok_or(bad("on or off"))?,
                "conns" => {
                    let most = number(value, 1, 1_000_000).ok_or(bad("a number, 1-1000000"))?;
                    line.conns = Some(most);
                }
                "conns_per_source" if value == "off" => line.conns_per_source = None,
                "conns_per_source" => {
                    let most =
                        number(value, 1, 1_000_000).ok_or(bad("a number, 1-1000000, or off"))?;
                    line.conns_per_source = Some(most);
                }
                "time_wait" => {
                    line.time_wait_s = number(value, 1, 240).ok_or(bad("seconds, 1-240"))? as u16;
                }
                "log" => {
                    line.log = level(value).ok_or(bad("off, error, warn, info, debug or trace"))?;
                }
                "heartbeat" if value == "off" => line.heartbeat_s = None,
                "heartbeat" => {
                    let s = number(value, 1, 3600).ok_or(bad("seconds, 1-3600, or off"))?;
                    line.heartbeat_s = Some(s as u16);
                }
                "provoke" if value == "console" => line.provoke_on_console = true,
                "provoke" => {
                    let fault = Fault::named(value);
                    line.provoke = Some(fault.ok_or(bad("the name of a fault, or console"))?);
                }
                _ => return Err(CommandLineError::UnknownKey(key)),
            }
        }
        if let Some((address, prefix_len)) = ip {
            line.ipv4 = Ipv4Setup::Static {
                address,
                prefix_len,
                gateway,
            };
        } else if gateway.is_some() {
            match &mut line.ipv4 {
                Ipv4Setup::Static { gateway: g, .. } => *g = gateway,
                Ipv4Setup::Dhcp => {
                    return Err(CommandLineError::Conflict {
                        key: "gw",
                        reason: "the gateway comes by DHCP when ip=dhcp",
                    });
                }
            }
        }
        if let Some((address, prefix_len)) = ip6 {
            line.ipv6 = Ipv6Setup::Static {
                address,
                prefix_len,
                gateway: gateway6,
            };
        } else if gateway6.is_some() {
            return Err(CommandLineError::Conflict {
                key: "gw6",
                reason: "needs ip6=ADDR/LEN",
            });
        }
        if line.admin == Some(line.port) {
            return Err(CommandLineError::Conflict {
                key: "admin",
                reason: "is the same port as the site's",
            });
        }
        Ok(line)
    }

    /// The devices that QEMU announced, in the order in which they stand.
    pub fn devices(&self) -> impl Iterator<Item = MmioDevice> + '_ {
        self.devices.iter().flatten().copied()
    }
}

fn number(text: &str, least: u32, most: u32) -> Option<u32> {
    // `parse` alone would take "+5".
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n = text.parse().ok()?;
    (least..=most).contains(&n).then_some(n)
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

fn level(text: &str) -> Option<LogLevel> {
    Some(match text {
        "off" => LogLevel::Off,
        "error" => LogLevel::Error,
        "warn" => LogLevel::Warn,
        "info" => LogLevel::Info,
        "debug" => LogLevel::Debug,
        "trace" => LogLevel::Trace,
        _ => return None,
    })
}

fn parse_v4(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, len) = text.split_once('/')?;
    let address: Ipv4Addr = address.parse().ok()?;
    let unusable = address.is_unspecified() || address.is_multicast() || address.is_broadcast();
    (!unusable).then_some(())?;
    Some((address, number(len, 0, 32)? as u8))
}

fn parse_v6(text: &str) -> Option<(Ipv6Addr, u8)> {
    let (address, len) = text.split_once('/')?;
    let address: Ipv6Addr = address.parse().ok()?;
    (!address.is_unspecified() && !address.is_multicast()).then_some(())?;
    Some((address, number(len, 0, 128)? as u8))
}

/// `SIZE@BASE:IRQ[:ID]`, as Linux documents it for `virtio_mmio.device`.
fn parse_device(text: &str) -> Option<MmioDevice> {
    let (size, rest) = text.split_once('@')?;
    let mut parts = rest.split(':');
    let base = hex_or_decimal(parts.next()?)?;
    let irq = number(parts.next()?, 0, 255)?;
    let size = match size.strip_suffix(['k', 'K']) {
        Some(kib) => hex_or_decimal(kib)?.checked_mul(1024)?,
        None => hex_or_decimal(size)?,
    };
    Some(MmioDevice { base, size, irq })
}

fn hex_or_decimal(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn refused(text: &str) -> std::string::String {
        CommandLine::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_line_is_the_default() {
        assert_eq!(CommandLine::parse(" \t "), Ok(CommandLine::default()));
    }

    #[test]
    fn every_key_is_read() {
        let line = CommandLine::parse(
            "ip=192.0.2.7/28 gw=192.0.2.1 ip6=fd00::2/64 gw6=fd00::1 port=8080 admin=off public=off security=on \
             conns=5000 conns_per_source=40 time_wait=30 log=debug heartbeat=2 provoke=null-read",
        )
        .unwrap();
        assert_eq!(
            line.ipv4,
            Ipv4Setup::Static {
                address: Ipv4Addr::new(192, 0, 2, 7),
                prefix_len: 28,
                gateway: Some(Ipv4Addr::new(192, 0, 2, 1))
            }
        );
        assert_eq!(
            line.ipv6,
            Ipv6Setup::Static {
                address: "fd00::2".parse().unwrap(),
                prefix_len: 64,
                gateway: Some("fd00::1".parse().unwrap())
            }
        );
        assert_eq!((line.port, line.admin), (8080, None));
        assert!(!line.public_endpoints && line.security_fields);
        assert_eq!((line.conns, line.time_wait_s), (Some(5000), 30));
        assert_eq!(line.conns_per_source, Some(40));
        assert_eq!(line.log, LogLevel::Debug);
        assert_eq!(line.heartbeat_s, Some(2));
        assert_eq!(line.provoke, Some(Fault::NullRead));
    }

    #[test]
    fn a_fixed_address_without_gateway_has_none() {
        let line = CommandLine::parse("ip=192.0.2.7/24").unwrap();
        assert!(matches!(line.ipv4, Ipv4Setup::Static { gateway: None, .. }));
    }

    #[test]
    fn what_qemu_adds_is_a_hint() {
        let line = CommandLine::parse(
            "ip=dhcp virtio_mmio.device=512@0xfeb00e00:12 virtio_mmio.device=512@0xfeb00c00:11",
        )
        .unwrap();
        assert_eq!(line.ipv4, Ipv4Setup::Dhcp);
        let irqs: std::vec::Vec<_> = line.devices().map(|d| (d.base, d.size, d.irq)).collect();
        assert_eq!(irqs, [(0xfeb00e00, 512, 12), (0xfeb00c00, 512, 11)]);
    }

    #[test]
    fn refusals_name_the_word() {
        assert_eq!(refused("quiet"), "`quiet` is not of the form key=value");
        assert_eq!(refused("prot=80"), "unknown key `prot`");
        assert_eq!(refused("port=80 port=81"), "key `port` stands twice");
        assert_eq!(
            refused("port=0"),
            "bad value `0` for `port`: expected a port, 1-65535"
        );
        assert_eq!(
            refused("admin=80"),
            "key `admin`: is the same port as the site's"
        );
    }

    #[test]
    fn every_word_with_a_default_that_can_be_written_takes_it() {
        for word in &WORDS {
            let text = std::format!("{}={}", word.key, word.default);
            // Some defaults are none, or a description.
            let described = word.default.contains(' ') || word.default == "none";
            let error = CommandLine::parse(&text).err();
            assert!(
                described || word.key == "gw6" || error.is_none(),
                "{text}: {error:?}"
            );
        }
    }

    #[test]
    fn bad_values_are_refused() {
        for text in [
            "port=+80",
            "port=65536",
            "port=",
            "port=99999999999999999999",
            "admin=on",
            "ip=10.0.2.15",
            "ip=10.0.2.15/33",
            "ip=0.0.0.0/0",
            "ip=224.0.0.1/24",
            "ip=10.0.2/24",
            "gw=nowhere",
            "ip6=::/64",
            "ip6=fd00::2/129",
            "gw6=fd00::1",
            "ip=dhcp gw=10.0.2.2",
            "conns=0",
            "conns=1000001",
            "conns_per_source=0",
            "time_wait=241",
            "log=loud",
            "heartbeat=0",
            "provoke=love",
            "virtio_mmio.device=512",
            "public=yes",
            "security=1",
        ] {
            assert!(CommandLine::parse(text).is_err(), "accepted {text}");
        }
    }

    #[test]
    fn every_fault_has_a_name() {
        for (name, fault) in Fault::ALL {
            let text = std::format!("provoke={name}");
            assert_eq!(CommandLine::parse(&text).unwrap().provoke, Some(fault));
        }
        let line = CommandLine::parse("provoke=console").unwrap();
        assert!(line.provoke.is_none() && line.provoke_on_console);
    }
}
