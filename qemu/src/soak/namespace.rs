//! A network of the soak's own: a namespace with one tap, gone with the last process in it.

use super::SoakError;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{env, fs};

/// Where the guest serves.
pub const GUEST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 2, 15)), 80);
/// The host's end.
const HOST: &str = "10.0.2.2/24";
/// The tap's name, in its own namespace.
pub const TAP: &str = "quartz0";

/// Starts this program again in a new network namespace; comes back only with an error. Without
/// root a user namespace gives the rights to set the network up.
pub fn enter() -> SoakError {
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => return SoakError::Namespace(error.to_string()),
    };
    let mut command = Command::new("unshare");
    command.arg("--net");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let error = command
        .arg("--")
        .arg(program)
        .args(env::args_os().skip(1))
        .arg("--inside")
        .exec();
    SoakError::Namespace(format!("unshare: {error}"))
}

/// Makes the tap; its name.
///
/// # Errors
/// `ip` is missing or refuses.
pub fn tap() -> Result<&'static str, SoakError> {
    for words in [
        &["link", "set", "lo", "up"][..],
        &["tuntap", "add", "dev", TAP, "mode", "tap"],
        &["addr", "add", HOST, "dev", TAP],
        &["link", "set", TAP, "up"],
    ] {
        let done = Command::new("ip")
            .args(words)
            .output()
            .map_err(|error| SoakError::Namespace(format!("ip: {error}")))?;
        if !done.status.success() {
            let complaint = String::from_utf8_lossy(&done.stderr).trim().to_owned();
            return Err(SoakError::Namespace(format!(
                "ip {}: {complaint}",
                words.join(" ")
            )));
        }
    }
    Ok(TAP)
}

/// Frames on the tap so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// For the guest: handed to QEMU, and dropped because QEMU did not read.
    pub to_guest: u64,
    /// From the guest.
    pub from_guest: u64,
}

/// Reads the tap's counters (the table is the reader's own namespace's).
#[must_use]
pub fn frames() -> Frames {
    let table = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    parse(&table).unwrap_or_default()
}

fn parse(table: &str) -> Option<Frames> {
    let row = table
        .lines()
        .find_map(|line| line.trim().strip_prefix(TAP)?.strip_prefix(':'))?;
    let figures: Vec<u64> = row
        .split_whitespace()
        .map(|figure| figure.parse().unwrap_or(0))
        .collect();
    // Receive is the host's: bytes, packets, errs, drop, fifo, frame, compressed, multicast;
    // then the same for transmit.
    Some(Frames {
        from_guest: *figures.get(1)?,
        to_guest: figures.get(9)? + figures.get(11)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_are_read_from_the_host_s_side() {
        let table = "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
             lo: 1 2 0 0 0 0 0 0 1 2 0 0 0 0 0 0\n\
             quartz0: 100 7 0 0 0 0 0 0 200 9 0 3 0 0 0 0\n";
        let frames = parse(table).unwrap();
        assert_eq!((frames.from_guest, frames.to_guest), (7, 12));
        assert_eq!(parse("nothing"), None);
    }
}
