//! What is measured: Quartz and its peers, each as a guest on the same kind of machine.

use super::BenchError;
use super::meter::Meter;
use crate::error::Error;
use crate::guest::{Guest, Patience};
use crate::http;
use crate::machine::{Attachment, Forward, Machine};
use crate::memory::Memory;
use crate::namespace;
use crate::port;
use crate::site::Site;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The kernel that the peers run on, in their folder.
pub const PEERS_KERNEL: &str = "vmlinuz";
/// How long a guest may take to answer first; under the plugin everything is slower.
const FIRST_ANSWER: Duration = Duration::from_secs(120);

/// A program to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// This project.
    Quartz,
    /// nginx in a Debian guest.
    Nginx,
    /// lighttpd in a Debian guest.
    Lighttpd,
    /// This project, sending datagrams back: the limit that driver and host set.
    Reflector,
}

impl Subject {
    /// Who serves, ours first.
    pub const ALL: [Subject; 3] = [Subject::Quartz, Subject::Nginx, Subject::Lighttpd];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Subject::Quartz => "quartz",
            Subject::Nginx => "nginx",
            Subject::Lighttpd => "lighttpd",
            Subject::Reflector => "reflector",
        }
    }
}

/// How a guest is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// To a tap of its own.
    Tap,
    /// To QEMU's user networking.
    User,
}

impl Wire {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Wire::Tap => "tap",
            Wire::User => "user networking",
        }
    }
}

/// What every guest of a benchmark is made of.
#[derive(Clone, Debug)]
pub struct Kit {
    /// The QEMU program.
    pub qemu: PathBuf,
    /// The kernel of Quartz.
    pub kernel: PathBuf,
    /// The site as an image.
    pub site: Arc<Site>,
    /// The folder with the peers.
    pub peers: PathBuf,
    /// The plugin that counts.
    pub plugin: PathBuf,
}

/// What the plugin is to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Nothing: without the plugin.
    Nothing,
    /// Instructions.
    Instructions,
    /// Instructions and writes to device registers.
    Exits,
    /// Instructions, each by its address.
    Profile,
}

/// A guest that answers.
pub struct Running {
    /// Which.
    pub subject: Subject,
    /// Where it serves.
    pub address: SocketAddr,
    /// From starting QEMU to the first answer.
    pub first_answer: Duration,
    /// Its counters, if it was started with some.
    pub meter: Option<Meter>,
    guest: Guest,
    _counters: tempfile::TempDir,
}

impl Kit {
    /// Starts `subject` and waits until it answers. On a tap it lives in network `10.0.NET.0/24`.
    ///
    /// # Errors
    /// It cannot be started, or does not answer.
    pub fn start(
        &self,
        subject: Subject,
        wire: Wire,
        net: u8,
        count: Count,
    ) -> Result<Running, Error> {
        self.start_in(Memory::mib(256), subject, wire, net, count, FIRST_ANSWER)
    }

    /// The same with so much memory, and as much time to answer.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_in(
        &self,
        memory: Memory,
        subject: Subject,
        wire: Wire,
        net: u8,
        count: Count,
        patience: Duration,
    ) -> Result<Running, Error> {
        let folder = tempfile::tempdir().map_err(Error::system("cannot make a folder"))?;
        let mut machine = Machine::new(self.kernel.clone());
        machine.qemu = self.qemu.clone();
        machine.memory = memory;
        let own = Ipv4Addr::new(10, 0, net, 15);
        let gateway = Ipv4Addr::new(10, 0, net, 2);
        let address = match wire {
            Wire::Tap => {
                let tap = format!("bench{net}");
                namespace::tap(&tap, gateway)?;
                machine.attachment = Attachment::Tap(tap);
                SocketAddr::from((own, 80))
            }
            Wire::User => {
                let host = port::free(0)?;
                let guest = SocketAddrV4::new(own, 80);
                machine.attachment = Attachment::User(vec![Forward { host, guest }]);
                SocketAddr::from((Ipv4Addr::LOCALHOST, host))
            }
        };
        self.equip(&mut machine, subject, own, gateway);
        let counters = folder.path().join("counters");
        if count != Count::Nothing {
            let words = match count {
                Count::Exits => ",exits=on",
                Count::Profile => ",profile=on",
                Count::Nothing | Count::Instructions => "",
            };
            let plugin = self.plugin.display();
            let plugin = format!("{plugin},out={}{words}", counters.display());
            machine.extra.extend(["-plugin".into(), plugin.into()]);
        }
        let began = Instant::now();
        let guest = Guest::start(&machine, false)?;
        wait(&guest, subject, address, patience)?;
        let first_answer = began.elapsed();
        run_in_batches(guest.pid())?;
        if wire == Wire::User {
            // Without this the measure would be QEMU's backlog of one.
            let _ = guest.widen(address.port());
        }
        let meter = match count {
            Count::Nothing => None,
            _ => Some(Meter::open(&counters).map_err(BenchError::Counters)?),
        };
        Ok(Running {
            subject,
            address,
            first_answer,
            meter,
            guest,
            _counters: folder,
        })
    }

    /// What makes the machine that of `subject`.
    fn equip(&self, machine: &mut Machine, subject: Subject, own: Ipv4Addr, gateway: Ipv4Addr) {
        if matches!(subject, Subject::Quartz | Subject::Reflector) {
            machine.site = Some(self.site.clone());
            machine.append = format!("ip={own}/24 gw={gateway}");
            if subject == Subject::Reflector {
                machine.append.push_str(" reflect=on");
            }
            return;
        }
        // Linux notifies once, for which QEMU's default is made. With `tx=timer` under the
        // translator, which leaves Linux' fences out, it stops sending within a minute, for good.
        machine.notifies_twice = false;
        machine.kernel = self.peers.join(PEERS_KERNEL);
        let image = self.peers.join(format!("{}.img", subject.name()));
        machine.extra.extend(["-initrd".into(), image.into()]);
        // Linux takes the slower paths of what `max` offers; QEMU's own default is its best.
        machine.extra.extend(["-cpu".into(), "qemu64".into()]);
        // On a busy host under the translator Linux measures its clocks wrongly now and then and
        // hangs: it is told. Page table isolation would be a cost that a user would turn off.
        machine.append = format!(
            "quiet mitigations=off no_timer_check tsc_early_khz={} \
             serve={} address={own}/24 gateway={gateway}",
            clock_khz(),
            subject.name(),
        );
    }
}

impl Running {
    /// The id of the QEMU process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.guest.pid()
    }

    /// Ends it.
    ///
    /// # Errors
    /// It does not go.
    pub fn stop(mut self) -> Result<(), Error> {
        if matches!(self.subject, Subject::Quartz | Subject::Reflector) {
            self.guest.stop(Patience::default(), None)?;
        } else {
            self.guest.kill()?;
        }
        Ok(())
    }
}

fn wait(
    guest: &Guest,
    subject: Subject,
    address: SocketAddr,
    patience: Duration,
) -> Result<(), BenchError> {
    let deadline = Instant::now() + patience;
    let mut patience = Duration::from_millis(100);
    while Instant::now() < deadline {
        if http::get(address, "/", Instant::now() + patience).is_ok_and(|r| r.status == 200) {
            return Ok(());
        }
        patience = (patience * 2).min(Duration::from_secs(2));
        std::thread::sleep(Duration::from_millis(2));
    }
    Err(BenchError::NoAnswer {
        subject: subject.name(),
        last: guest.journal().tail(3).join(" | "),
    })
}

/// Has the scheduler let no thread of process `pid` interrupt another when it wakes (`sched(7)`,
/// `SCHED_BATCH`). Load generator and guests share the processors here. Otherwise QEMU would
/// interrupt the generator for each of its frames, which with clients on other machines it cannot.
fn run_in_batches(pid: u32) -> Result<(), BenchError> {
    let program = "chrt";
    let failed = |source| BenchError::Load { program, source };
    let words = ["--all-tasks", "--batch", "--pid", "0", &pid.to_string()];
    let done = Command::new(program).args(words).output().map_err(failed)?;
    match done.status.success() {
        true => Ok(()),
        false => Err(failed(io::Error::other(
            String::from_utf8_lossy(&done.stderr).trim().to_owned(),
        ))),
    }
}

/// The processor's clock, as the system knows it.
fn clock_khz() -> u64 {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mhz = text.lines().find_map(|line| {
        let (_, figure) = line.strip_prefix("cpu MHz")?.split_once(':')?;
        figure.trim().parse::<f64>().ok()
    });
    (mhz.unwrap_or(2000.0) * 1000.0) as u64
}

/// Makes the files that everybody serves: 1 KiB, 100 KiB and 10 MiB.
///
/// # Errors
/// They cannot be written.
pub fn files(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("index.html"), vec![b'a'; 1 << 10])?;
    std::fs::write(folder.join("100k"), vec![b'b'; 100 << 10])?;
    std::fs::write(folder.join("10m"), vec![b'c'; 10 << 20])
}
