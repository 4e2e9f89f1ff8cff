//! A network of a command's own: a namespace with taps, gone with the last process in it.

use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{env, fs};

/// The network could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a network for this command: {0}")]
pub struct NamespaceError(String);

/// Starts this program again in a new network namespace; comes back only with an error. Without
/// root a user namespace gives the rights to set the network up.
pub fn enter() -> NamespaceError {
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => return NamespaceError(error.to_string()),
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
    NamespaceError(format!("unshare: {error}"))
}

/// Sets the loopback device up.
///
/// # Errors
/// `ip` is missing or refuses.
pub fn loopback() -> Result<(), NamespaceError> {
    ip("link set lo up")
}

/// Has new TCP connections of the host use Reno, which every namespace may choose, whatever the
/// host's own choice is: BBR sets a timer for each segment, which a figure should not depend on.
///
/// # Errors
/// The system refuses.
pub fn reno() -> Result<(), NamespaceError> {
    const FILE: &str = "/proc/sys/net/ipv4/tcp_congestion_control";
    fs::write(FILE, "reno").map_err(|error| NamespaceError(format!("{FILE}: {error}")))
}

/// Makes a tap with the host at `address`, in a network of 256 addresses.
///
/// # Errors
/// `ip` is missing or refuses.
pub fn tap(name: &str, address: Ipv4Addr) -> Result<(), NamespaceError> {
    ip(&format!("tuntap add dev {name} mode tap"))?;
    ip(&format!("addr add {address}/24 dev {name}"))?;
    ip(&format!("link set {name} up"))
}

fn ip(words: &str) -> Result<(), NamespaceError> {
    let done = Command::new("ip")
        .args(words.split(' '))
        .output()
        .map_err(|error| NamespaceError(format!("ip: {error}")))?;
    if done.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(NamespaceError(format!("ip {words}: {complaint}")))
}

/// Frames on the tap so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// For the guest: handed to QEMU, and dropped because QEMU did not read.
    pub to_guest: u64,
    /// From the guest.
    pub from_guest: u64,
}

/// Reads a tap's counters (the table is the reader's own namespace's).
#[must_use]
pub fn frames(tap: &str) -> Frames {
    let table = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    parse(&table, tap).unwrap_or_default()
}

fn parse(table: &str, tap: &str) -> Option<Frames> {
    let row = table
        .lines()
        .find_map(|line| line.trim().strip_prefix(tap)?.strip_prefix(':'))?;
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
        let frames = parse(table, "quartz0").unwrap();
        assert_eq!((frames.from_guest, frames.to_guest), (7, 12));
        assert_eq!(parse("nothing", "quartz0"), None);
    }
}
