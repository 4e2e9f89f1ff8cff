//! The host's port: whether it is free, and if not, who has it.

use rustix::net::listen;
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::BorrowedFd;
use std::path::Path;

/// Connections that may wait to be taken; the system caps it (net.core.somaxconn).
const BACKLOG: i32 = 1024;

/// Why a port cannot be served on.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Another program listens there.
    #[error("port {port} is taken{}; choose another one with --port (make run PORT=n)", by(.holder.as_ref()))]
    Taken {
        /// The port.
        port: u16,
        /// Who listens, where it can be seen.
        holder: Option<Holder>,
    },
    /// Low ports are for privileged programs.
    #[error(
        "port {0} needs privileges that this process does not have; choose one from 1024 on with --port (make run PORT=n)"
    )]
    Forbidden(u16),
    /// The system refused for another reason.
    #[error("port {port} cannot be used: {source}")]
    Unusable {
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
}

/// A process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its name.
    pub name: String,
    /// Its process id.
    pub pid: u32,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.pid)
    }
}

fn by(holder: Option<&Holder>) -> String {
    holder.map(|h| format!(" by {h}")).unwrap_or_default()
}

/// Checks that `port` of 127.0.0.1 is free; for 0, finds one that is.
///
/// # Errors
/// It is taken or forbidden.
pub fn free(port: u16) -> Result<u16, PortError> {
    let unusable = |source| PortError::Unusable { port, source };
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(listener) => Ok(listener.local_addr().map_err(unusable)?.port()),
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => Err(taken(port)),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Err(PortError::Forbidden(port)),
        Err(source) => Err(unusable(source)),
    }
}

/// The error for a port that turned out to be taken.
#[must_use]
pub fn taken(port: u16) -> PortError {
    PortError::Taken {
        port,
        holder: holder(port),
    }
}

/// Lets more connections wait on `port`, which the process `pid` listens on: QEMU's user
/// networking asks for a backlog of 1, so that a browser that opens six at once waits a second.
/// A socket's backlog may be changed while it listens, by whoever may have a copy of it.
///
/// # Errors
/// The process does not listen there, or this process may not have a copy.
pub fn widen(pidfd: BorrowedFd<'_>, pid: u32, port: u16) -> io::Result<()> {
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let wanted = listening_socket(port).ok_or_else(missing)?;
    let theirs = descriptors(&Path::new("/proc").join(pid.to_string()))
        .find(|(_, target)| *target == wanted)
        .and_then(|(name, _)| name.parse().ok())
        .ok_or_else(missing)?;
    let copy = pidfd_getfd(pidfd, theirs, PidfdGetfdFlags::empty())?;
    Ok(listen(&copy, BACKLOG)?)
}

/// The socket that listens on `port`, as `/proc` shows it among a process's descriptors.
fn listening_socket(port: u16) -> Option<String> {
    // The tables of the thread's network namespace, not of the process's first thread.
    let inode = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|table| listening_inode(&table, port))?;
    Some(format!("socket:[{inode}]"))
}

/// Who listens on `port`, as far as this process may know.
fn holder(port: u16) -> Option<Holder> {
    let wanted = listening_socket(port)?;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        if descriptors(&entry.path()).any(|(_, target)| target == wanted) {
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            return Some(Holder {
                name: crate::journal::clean(name.trim_end().as_bytes()),
                pid,
            });
        }
    }
    None
}

/// A process's descriptors that may be seen, with what they are.
fn descriptors(process: &Path) -> impl Iterator<Item = (String, String)> {
    let entries = fs::read_dir(process.join("fd")).into_iter().flatten();
    entries.flatten().filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?;
        Some((
            entry.file_name().into_string().ok()?,
            target.into_os_string().into_string().ok()?,
        ))
    })
}

/// The inode of the socket that listens on `port`, from a table as in `/proc/net/tcp`:
/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode`.
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let local = words.nth(1)?;
        let state = words.nth(1)?;
        let inode = words.nth(5)?.parse().ok()?;
        let (_, local_port) = local.rsplit_once(':')?;
        (state == LISTEN && u16::from_str_radix(local_port, 16) == Ok(port)).then_some(inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{PidfdFlags, pidfd_open};
    use std::os::fd::AsFd;

    #[test]
    fn a_taken_port_names_its_holder() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        match free(port) {
            Err(PortError::Taken { holder, .. }) => {
                assert_eq!(holder.unwrap().pid, std::process::id());
            }
            other => panic!("{other:?}"),
        }
        let message = free(port).unwrap_err().to_string();
        assert!(message.contains("is taken by"), "{message}");
        drop(listener);
        assert_eq!(free(port).unwrap(), port);
    }

    #[test]
    fn a_backlog_can_be_widened() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listen(&listener, 0).unwrap();
        let me = rustix::process::getpid();
        let pidfd = pidfd_open(me, PidfdFlags::empty()).unwrap();
        widen(pidfd.as_fd(), std::process::id(), address.port()).unwrap();
        // Nobody takes them: with the old backlog most would wait in vain.
        let within = std::time::Duration::from_millis(500);
        let waiting: Vec<_> = (0..20)
            .map(|_| std::net::TcpStream::connect_timeout(&address, within).unwrap())
            .collect();
        assert_eq!(waiting.len(), 20);
        drop(listener);
        assert!(widen(pidfd.as_fd(), std::process::id(), address.port()).is_err());
    }

    #[test]
    fn zero_finds_a_port() {
        assert_ne!(free(0).unwrap(), 0);
    }

    #[test]
    fn the_socket_table_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
             0: 0100007F:1F90 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 111 1 0\n   \
             1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0\n";
        assert_eq!(listening_inode(table, 8080), Some(222));
        assert_eq!(listening_inode(table, 8081), None);
        assert_eq!(listening_inode("", 8080), None);
    }
}
