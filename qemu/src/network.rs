//! How the guest is attached to a network: what a person may ask for, checked.

use rustix::net::{AddressFamily, SocketType, netdevice, socket};
use std::fmt;
use std::net::Ipv4Addr;
use std::path::Path;
use std::str::FromStr;

/// Longest name of an interface (IFNAMSIZ without its terminator).
const MAX_NAME: usize = 15;

/// What `--net` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// QEMU's user networking: the host's loopback port is forwarded to the guest; the guest
    /// cannot reach anything by itself. Its network is 10.0.2.0/24.
    User,
    /// A tap device that exists and that this user may open. The guest is a host on its network,
    /// at the address that its command line gives it (10.0.2.15/24 unless told otherwise).
    Tap(String),
}

/// Why a network cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NetworkError {
    /// Neither `user` nor `tap:NAME`.
    #[error("expected `user` or `tap:NAME`, NAME being an interface of at most 15 characters")]
    Unknown,
    /// No such interface.
    #[error(
        "there is no interface {0}; make one with `ip tuntap add dev {0} mode tap user $USER`, give it an address (`ip addr add 10.0.2.2/24 dev {0}`) and set it up (`ip link set {0} up`)"
    )]
    TapMissing(String),
    /// The interface is no tap.
    #[error("interface {0} is no tap device")]
    NoTap(String),
    /// This user may not open it.
    #[error(
        "tap {0} cannot be opened: {1}; it must belong to this user (`ip tuntap add dev {0} mode tap user $USER`) and /dev/net/tun must be open to it"
    )]
    TapForbidden(String, String),
    /// Another program has it open.
    #[error("tap {0} is in use by another program")]
    TapBusy(String),
    /// User networking only reaches its own network.
    #[error(
        "with --net user the guest's address must lie in 10.0.2.0/24 and differ from 10.0.2.0, .2, .3 and .255, which are QEMU's own: {0} does not"
    )]
    OutsideUserNet(Ipv4Addr),
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        if text == "user" {
            return Ok(Network::User);
        }
        let name = text.strip_prefix("tap:").ok_or(NetworkError::Unknown)?;
        // A comma would end QEMU's option; the rest is what Linux itself refuses.
        let fits = (1..=MAX_NAME).contains(&name.len())
            && name != "."
            && name != ".."
            && name
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"/:,".contains(&b));
        if fits {
            Ok(Network::Tap(name.to_owned()))
        } else {
            Err(NetworkError::Unknown)
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::User => f.write_str("user"),
            Network::Tap(name) => write!(f, "tap:{name}"),
        }
    }
}

/// Checks that there is such a tap. Whether it can be opened, QEMU finds out.
///
/// # Errors
/// There is no such interface, or it is something else.
pub fn check_tap(name: &str) -> Result<(), NetworkError> {
    // Asked through a socket, not /sys: a socket sees the network namespace of its thread.
    let exists = socket(AddressFamily::INET, SocketType::DGRAM, None)
        .and_then(|socket| netdevice::name_to_index(&socket, name))
        .is_ok();
    if !exists {
        return Err(NetworkError::TapMissing(name.to_owned()));
    }
    let seen = Path::new("/sys/class/net").join(name);
    if seen.exists() && !seen.join("tun_flags").exists() {
        return Err(NetworkError::NoTap(name.to_owned()));
    }
    Ok(())
}

/// Checks that user networking can forward to `address`.
///
/// # Errors
/// The address is outside QEMU's network, or QEMU's own.
pub fn check_user(address: Ipv4Addr) -> Result<(), NetworkError> {
    match address.octets() {
        [10, 0, 2, last] if ![0, 2, 3, 255].contains(&last) => Ok(()),
        _ => Err(NetworkError::OutsideUserNet(address)),
    }
}

/// What QEMU's complaint about a tap means, if it is one.
#[must_use]
pub fn explain_tap(name: &str, complaint: &str) -> Option<NetworkError> {
    if !complaint.contains("/dev/net/tun") {
        return None;
    }
    if complaint.contains("busy") {
        return Some(NetworkError::TapBusy(name.to_owned()));
    }
    let why = complaint.rsplit(": ").next().unwrap_or(complaint);
    Some(NetworkError::TapForbidden(name.to_owned(), why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_printed() {
        for text in ["user", "tap:tap0", "tap:a.b-c_d"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "tap",
            "tap:",
            "tap:a,b",
            "tap:a/b",
            "tap:a b",
            "tap:..",
            "bridge:br0",
            "tap:0123456789abcdef",
            "User",
        ] {
            assert_eq!(
                text.parse::<Network>(),
                Err(NetworkError::Unknown),
                "{text}"
            );
        }
    }

    #[test]
    fn interfaces_are_told_apart() {
        let missing = check_tap("quartz-no-such").unwrap_err();
        assert!(matches!(missing, NetworkError::TapMissing(_)));
        assert_eq!(check_tap("lo"), Err(NetworkError::NoTap("lo".into())));
    }

    #[test]
    fn complaints_of_qemu_are_explained() {
        let busy =
            "qemu-system-x86_64: could not configure /dev/net/tun (t0): Device or resource busy";
        assert_eq!(
            explain_tap("t0", busy),
            Some(NetworkError::TapBusy("t0".into()))
        );
        let closed = "qemu-system-x86_64: could not open /dev/net/tun: Permission denied";
        assert_eq!(
            explain_tap("t0", closed),
            Some(NetworkError::TapForbidden(
                "t0".into(),
                "Permission denied".into()
            ))
        );
        assert_eq!(explain_tap("t0", "qemu-system-x86_64: no bios"), None);
    }

    #[test]
    fn user_networking_has_its_own_network() {
        assert!(check_user(Ipv4Addr::new(10, 0, 2, 15)).is_ok());
        for last in [0, 2, 3, 255] {
            assert!(check_user(Ipv4Addr::new(10, 0, 2, last)).is_err());
        }
        assert!(check_user(Ipv4Addr::new(192, 0, 2, 15)).is_err());
    }
}
