//! A guest under test.

use super::stats::Stats;
use super::{kernel, soon};
use quartz::guest::{Ending, Guest, Means, Patience};
use quartz::http::{self, Client, Response};
use quartz::machine::{Attachment, Forward, Machine};
use quartz::pack::{Choice, Plan};
use quartz::port;
use quartz::site::Site;
use quartz_abi::ExitCode;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The guest's address unless told otherwise.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

/// A guest that has answered. Dropped in a failing test, it shows its serial log.
pub struct Served {
    pub guest: Guest,
    /// Where the site is.
    pub site: SocketAddr,
    /// From before QEMU was started to the first answer.
    pub first_answer: Duration,
}

/// A machine with the kernel under test and user networking that leads to its site.
pub fn machine() -> (Machine, SocketAddr) {
    let mut machine = Machine::new(kernel());
    let port = port::free(0).unwrap();
    machine.attachment = forward(port);
    (machine, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// User networking from a port of the host to the site.
pub fn forward(port: u16) -> Attachment {
    Attachment::User(vec![Forward {
        host: port,
        guest: SocketAddrV4::new(ADDRESS, 80),
    }])
}

/// Boots a guest behind user networking, as `configure` wants it, and waits for its first answer.
pub fn boot(configure: impl FnOnce(&mut Machine)) -> Served {
    let (mut machine, site) = machine();
    configure(&mut machine);
    start(&machine, site)
}

/// Starts a machine and waits for its first answer at `site`.
pub fn start(machine: &Machine, site: SocketAddr) -> Served {
    let began = Instant::now();
    let mut served = Served {
        guest: Guest::start(machine, false).unwrap(),
        site,
        first_answer: Duration::ZERO,
    };
    let deadline = soon();
    let mut patience = Duration::from_millis(100);
    loop {
        match http::get(site, "/healthz", deadline.min(Instant::now() + patience)) {
            Ok(answer) => {
                assert_eq!(answer.status, 200, "{answer:?}");
                break;
            }
            Err(error) => {
                let ended = served.guest.wait(Instant::now()).unwrap();
                assert_eq!(ended, None, "the guest ended before it answered");
                assert!(Instant::now() < deadline, "no answer in time: {error}");
                if error.kind() == std::io::ErrorKind::TimedOut {
                    patience *= 2;
                }
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
    served.first_answer = began.elapsed();
    if let Attachment::User(forwards) = &machine.attachment {
        for forward in forwards {
            served.guest.widen(forward.host).unwrap();
        }
    }
    served
}

/// Boots a guest that is to end by itself; gives how, and what it said.
pub fn boot_to_end(configure: impl FnOnce(&mut Machine)) -> (Ending, Vec<String>) {
    let mut machine = Machine::new(kernel());
    configure(&mut machine);
    let mut guest = Guest::start(&machine, false).unwrap();
    let ended = guest.wait(soon()).unwrap();
    let mut said = guest.journal().since(0);
    let Some(ending) = ended else {
        panic!("the guest still runs:\n{}", said.join("\n"));
    };
    said.extend(guest.complaints().since(0));
    (ending, said)
}

/// The image of a directory.
pub fn packed(directory: &Path) -> Option<Arc<Site>> {
    let plan = Plan::of(directory, &Choice::default()).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    plan.write(&mut file).unwrap();
    let bytes = file.metadata().unwrap().len();
    Some(Arc::new(Site { file, bytes }))
}

/// The image that is in a file.
pub fn image(path: &Path) -> Option<Arc<Site>> {
    Some(Arc::new(Site::from_tar(path).unwrap()))
}

impl Served {
    /// A connection to the site.
    pub fn connect(&self) -> Client {
        Client::connect(self.site, soon()).unwrap()
    }

    /// Fetches one target on a connection of its own.
    pub fn get(&self, target: &str) -> Response {
        http::get(self.site, target, soon()).unwrap()
    }

    /// The figures.
    pub fn stats(&self) -> Stats {
        Stats::from(&self.get("/stats.json"))
    }

    /// What the guest said so far.
    pub fn log(&self) -> Vec<String> {
        self.guest.journal().since(0)
    }

    /// Drains the guest; it must stop by that, cleanly.
    pub fn stop(mut self) {
        let stopped = self.guest.stop(Patience::default(), None).unwrap();
        assert_eq!(stopped, (Ending::Code(ExitCode::CleanStop), Means::Drain));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("--- serial log of the guest ---");
            for line in self.guest.journal().tail(60) {
                println!("{line}");
            }
            for line in self.guest.complaints().since(0) {
                println!("{line}");
            }
        }
    }
}
