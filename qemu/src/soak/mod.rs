//! `quartz soak`: real load for a long time, every counter once a second, a verdict at the end.
//!
//! | part | does |
//! | --- | --- |
//! | [`load`] | wrk with and without keep-alive, and clients that go away in the middle |
//! | [`sample`] | the figures of one second |
//! | [`judge`] | stalls, and the verdict |
//! | [`plot`] | the picture |

pub mod judge;
pub mod load;
pub mod plot;
pub mod sample;

use crate::cli::SoakArgs;
use crate::error::Error;
use crate::guest::{Guest, Patience};
use crate::http;
use crate::image::Image;
use crate::machine::{Attachment, Machine};
use crate::namespace;
use crate::outcome;
use crate::program;
use crate::signals::{Signals, wait_any};
use judge::Judge;
use load::Load;
use quartz_abi::ExitCode;
use sample::Sampler;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// Where the guest serves.
const GUEST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 2, 15)), 80);
/// The host's end.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The tap's name, in its own namespace.
const TAP: &str = "quartz0";

/// Time between two samples.
const SECOND: Duration = Duration::from_secs(1);
/// How long the guest may take to answer first.
const FIRST_ANSWER: Duration = Duration::from_secs(30);
/// How long the guest is left alone after the load, before the rings are judged.
const SETTLE: Duration = Duration::from_secs(3);

/// Why a soak could not be run, or failed.
#[derive(Debug, thiserror::Error)]
pub enum SoakError {
    /// The load could not be started.
    #[error("cannot start {program}: {source}; `make soak` installs it")]
    Load {
        /// The program.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The guest did not begin to serve.
    #[error("the guest did not answer; its last line: {0}")]
    NoAnswer(String),
    /// It ran, and did not pass.
    #[error("the soak failed: {0}")]
    Failed(String),
}

/// `quartz soak`.
///
/// # Errors
/// The soak could not be run, or found something.
pub fn main(args: &SoakArgs) -> Result<(), Error> {
    if !args.inside {
        return Err(namespace::enter().into());
    }
    fs::create_dir_all(&args.out).map_err(|source| Error::Output {
        path: args.out.clone(),
        source,
    })?;
    namespace::loopback()?;
    namespace::tap(TAP, HOST)?;
    let signals = Signals::new().map_err(Error::system("cannot catch signals"))?;
    let mut machine = Machine::new(Image::find(args.kernel.as_deref())?.path);
    machine.qemu = program::find(args.qemu.as_deref())?;
    machine.memory = args.mem;
    machine.attachment = Attachment::Tap(TAP.into());
    machine.append = args.append.clone();
    let mut guest = Guest::start(&machine, false)?;
    wait_until_served(&guest)?;

    let mut sampler = Sampler::new(&guest);
    let mut judge = Judge::new(&args.out);
    let load = Load::start(Duration::from_secs(args.seconds))?;
    let mut progress = Progress::new(args.seconds);
    let began = Instant::now();
    let end = began + Duration::from_secs(args.seconds);
    let mut next = began + SECOND;
    let mut cut_short = false;
    while next <= end && !cut_short {
        let ready = wait_any(&[guest.as_fd(), signals.as_fd()], Some(next))
            .map_err(Error::system("cannot watch the guest"))?;
        if ready[0] {
            break;
        }
        cut_short = ready[1];
        let sample = sampler.take(began.elapsed());
        judge.look(&sample, &mut guest);
        progress.show(&sample, judge.stalls());
        next += SECOND;
    }
    progress.end();
    let load = load.stop();
    wait_any(&[guest.as_fd()], Some(Instant::now() + SETTLE))
        .map_err(Error::system("cannot watch the guest"))?;
    let last = sampler.take(began.elapsed());
    let (ending, means) = guest.stop(Patience::default(), None)?;
    let complaint = (ending != crate::guest::Ending::Code(ExitCode::CleanStop)).then(|| {
        let words = guest.journal().tail(3).join(" | ");
        format!("the guest ended by {}: {ending}; {words}", means.name())
    });
    let verdict = judge.verdict(&last, &load, complaint);

    write(&args.out, &verdict, sampler.samples())?;
    println!("{verdict}");
    if cut_short {
        outcome::say(&"the soak was cut short");
    }
    match verdict.failures.is_empty() {
        true => Ok(()),
        false => Err(SoakError::Failed(verdict.failures.join("; ")).into()),
    }
}

fn wait_until_served(guest: &Guest) -> Result<(), SoakError> {
    let deadline = Instant::now() + FIRST_ANSWER;
    while Instant::now() < deadline {
        let soon = Instant::now() + Duration::from_millis(500);
        if http::get(GUEST, "/healthz", soon).is_ok_and(|r| r.status == 200) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let last = guest.journal().tail(1).pop().unwrap_or_default();
    Err(SoakError::NoAnswer(last))
}

fn write(to: &Path, verdict: &judge::Verdict, samples: &[sample::Sample]) -> Result<(), Error> {
    let output = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Output { path, source }
    };
    let json = to.join("soak.json");
    let text = serde_json::json!({
        "passed": verdict.failures.is_empty(),
        "failures": verdict.failures,
        "figures": verdict.figures,
        "samples": samples.iter().map(sample::Sample::to_json).collect::<Vec<_>>(),
    });
    fs::write(&json, format!("{text:#}\n")).map_err(output(&json))?;
    let svg = to.join("soak.svg");
    fs::write(&svg, plot::draw(samples)).map_err(output(&svg))?;
    outcome::say(&format_args!(
        "wrote {} and {}",
        json.display(),
        svg.display()
    ));
    Ok(())
}

/// The line that tells how far it is.
struct Progress {
    total: u64,
    terminal: bool,
}

impl Progress {
    fn new(total: u64) -> Progress {
        Progress {
            total,
            terminal: io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, sample: &sample::Sample, stalls: usize) {
        let at = sample.at.as_secs();
        // In a log file, a line a minute is enough.
        if !self.terminal && !at.is_multiple_of(60) {
            return;
        }
        let line = format!(
            "soak {at}/{} s: {:.0} requests/s, gap {}/{}, {} connections, {} stalls",
            self.total, sample.rate, sample.rx.gap, sample.rx.size, sample.open, stalls
        );
        let mut out = io::stderr().lock();
        let _ = if self.terminal {
            write!(out, "\r\x1b[K{line}")
        } else {
            writeln!(out, "{line}")
        };
        let _ = out.flush();
    }

    fn end(&self) {
        if self.terminal {
            eprintln!();
        }
    }
}
