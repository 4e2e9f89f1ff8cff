//! Load: wrk against a guest, and what both sides counted.

use super::guest::Served;
use super::process::{Process, success};
use super::stats::{Stats, wait_for_idle_rings};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

/// Connections that wrk keeps open at once.
pub const CONNECTIONS: u64 = 64;

/// Whether a connection carries many requests or one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    KeepAlive,
    Close,
}

/// What wrk counted, and the guest's figures before and after.
#[derive(Debug)]
pub struct Load {
    wrk: Value,
    pub before: Stats,
    pub after: Stats,
    seconds: u64,
}

/// Drives a demo page for some seconds: `wrk -t2 -c64`. What wrk counted.
pub fn wrk(site: SocketAddr, mode: Mode, seconds: u64) -> Value {
    let mut command = Command::new("wrk");
    command
        .args(["-t2", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s")])
        .args(["--timeout", "10s", "-s"])
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/harness/report.lua"
        ));
    if mode == Mode::Close {
        command.args(["-H", "Connection: close"]);
    }
    command.arg(format!("http://{site}/"));
    let printed = success(&mut command, Duration::from_secs(seconds + 30));
    let json = printed.lines().rfind(|line| line.starts_with('{'));
    serde_json::from_str(json.unwrap_or_else(|| panic!("{printed}"))).unwrap()
}

/// Drives the guest's demo page for some seconds, with its figures before and after.
pub fn drive(served: &mut Served, mode: Mode, seconds: u64) -> Load {
    let before = served.stats();
    let wrk = wrk(served.site, mode, seconds);
    wait_for_idle_rings(served);
    Load {
        wrk,
        before,
        after: served.stats(),
        seconds,
    }
}

/// A small load for as long as the value lives, and no longer than so many seconds: what a test
/// looks at meanwhile changes.
pub fn load_for(served: &Served, seconds: u64) -> Process {
    let mut command = Command::new("wrk");
    command
        .args(["-t1", "-c8", &format!("-d{seconds}s")])
        .arg(format!("http://{}/", served.site));
    Process::start(&mut command)
}

impl Load {
    /// A number that wrk counted.
    pub fn wrk(&self, name: &str) -> u64 {
        self.wrk[name].as_u64().unwrap()
    }

    /// Answered requests in a second.
    pub fn rate(&self) -> u64 {
        self.wrk("requests") / self.seconds
    }

    /// Errors of wrk's connections, of any kind.
    pub fn socket_errors(&self) -> u64 {
        ["connect", "read", "write", "timeout"]
            .iter()
            .map(|name| self.wrk(name))
            .sum()
    }

    /// Growth of one of the guest's counters.
    pub fn grown(&self, path: &str) -> u64 {
        self.after.number(path) - self.before.number(path)
    }

    /// What the load must look like on both sides; the first thing that is wrong, if any.
    pub fn fault(&self) -> Option<String> {
        let errors = self.socket_errors();
        if errors != 0 || self.wrk("status") != 0 || self.wrk("requests") == 0 {
            return Some(format!("wrk saw errors: {}", self.wrk));
        }
        // Requests in flight when wrk stopped were served but not counted; so was the question for
        // the figures.
        let served = self.grown("requests_served");
        let counted = self.wrk("requests");
        let slack = CONNECTIONS + 1;
        if served < counted || served > counted + slack {
            return Some(format!("the guest served {served}, wrk counted {counted}"));
        }
        for ring in ["rx", "tx"] {
            for counter in ["bad_used", "resets", "missed_interrupts"] {
                let n = self.after.number(&format!("{ring}.{counter}"));
                if n != 0 {
                    return Some(format!("{ring}.{counter} is {n}"));
                }
            }
        }
        None
    }
}
