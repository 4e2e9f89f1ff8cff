//! `quartz bench`: figures beside those of the peers, and what a request costs the guest.
//!
//! | part | does |
//! | --- | --- |
//! | [`subject`] | starts Quartz and its peers on the same kind of machine |
//! | [`race`] | rates and times, round by round, as ratios |
//! | [`cost`] | instructions and exits for each request, by the plugin's counters |
//! | [`baseline`] | the figures of the last time |
//! | [`floor`] | how long QEMU itself takes |
//! | [`reflector`] | how many frames driver and host allow |
//! | [`footprint`] | bytes, memory, idle time, allocations |
//! | [`markdown`] | the report as a page |
//! | [`mod@profile`] | which functions the instructions belong to |
//! | [`wrk`], [`meter`], [`sheet`], [`statistics`] | one run, the counters, their file, medians |

pub mod baseline;
pub mod cost;
pub mod floor;
pub mod footprint;
pub mod markdown;
pub mod meter;
pub mod profile;
pub mod race;
pub mod reflector;
#[path = "../../plugin/src/sheet.rs"]
pub mod sheet;
pub mod statistics;
pub mod subject;
pub mod wrk;

use crate::cli::{BenchArgs, ProfileArgs};
use crate::error::Error;
use crate::image::Image;
use crate::namespace;
use crate::outcome;
use crate::program;
use crate::site::Site;
use cost::Figures;
use markdown::Page;
use serde_json::{Value, json};
use statistics::{Spread, short};
use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use subject::{Count, Kit, Running, Subject, Wire};

/// Why a benchmark could not be run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A program could not be started.
    #[error("cannot run {program}: {source}; `make bench` installs what it needs")]
    Load {
        /// The program.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// wrk's report is not one.
    #[error("wrk reported nothing that can be read: {0}")]
    Unreadable(String),
    /// The peers were not built.
    #[error("there are no peers in {}: qemu/peers/build.sh makes them there (`make bench` does it), --quick goes without", .0.display())]
    NoPeers(PathBuf),
    /// A guest did not begin to serve.
    #[error("{subject} did not answer; its last lines: {last}")]
    NoAnswer {
        /// Which.
        subject: &'static str,
        /// What it said.
        last: String,
    },
    /// A request failed.
    #[error("a request failed: {0}")]
    Request(io::Error),
    /// The plugin's counters cannot be read.
    #[error("cannot read the plugin's counters: {0}")]
    Counters(io::Error),
    /// A guest runs without the plugin.
    #[error("the guest was started without counters")]
    NoMeter,
    /// The smallest guest did not end as it should.
    #[error("the guest of one instruction ended otherwise: {0}")]
    Floor(String),
    /// The baseline is damaged.
    #[error("{}: {}", .0.display(), .1)]
    Baseline(PathBuf, String),
    /// The kernel's symbols cannot be read.
    #[error("cannot read the symbols of {}: {}", .0.display(), .1)]
    Symbols(PathBuf, String),
}

/// Tells how far the benchmark is.
fn say(what: &dyn Display) {
    outcome::say(&format_args!("bench: {what}"));
}

/// `quartz bench`.
///
/// # Errors
/// Something cannot be started or written.
pub fn main(args: &BenchArgs) -> Result<(), Error> {
    if !args.quick && !args.peers.join(subject::PEERS_KERNEL).exists() {
        return Err(BenchError::NoPeers(args.peers.clone()).into());
    }
    if !args.inside {
        return Err(namespace::enter().into());
    }
    namespace::loopback()?;
    namespace::reno()?;
    let kit = kit(
        &args.out,
        args.kernel.as_deref(),
        args.qemu.as_deref(),
        &args.peers,
    )?;
    say(&"instructions of a request, tap");
    let guest = kit.start(Subject::Quartz, Wire::Tap, 10, Count::Instructions)?;
    let mut ours = cost::instructions(&guest)?;
    guest.stop()?;
    let guest = kit.start(Subject::Quartz, Wire::Tap, 11, Count::Exits)?;
    ours.extend(cost::exits(&guest)?);
    guest.stop()?;
    baseline::compare(&ours, &args.baseline)?;
    if args.keep {
        baseline::keep(&ours, &args.baseline).map_err(output(&args.baseline))?;
        say(&format_args!(
            "{} is the baseline now",
            args.baseline.display()
        ));
    }
    let mut report = json!({ "cost": { "quartz": cost::to_json(&ours) } });
    if !args.quick {
        let page = whole(&kit, args, &ours, &mut report)?;
        let file = args.out.join("performance.md");
        fs::write(&file, page.text()).map_err(output(&file))?;
        say(&format_args!("wrote {}", file.display()));
    }
    let file = args.out.join("bench.json");
    fs::write(&file, format!("{report:#}\n")).map_err(output(&file))?;
    say(&format_args!("wrote {}", file.display()));
    Ok(())
}

/// The peers' cost, the race, the boots, the limits.
fn whole(kit: &Kit, args: &BenchArgs, ours: &Figures, report: &mut Value) -> Result<Page, Error> {
    let mut page = Page::default();
    let mut costs = Vec::new();
    for (at, peer) in [Subject::Nginx, Subject::Lighttpd].into_iter().enumerate() {
        say(&format_args!(
            "instructions of a request, tap, {}",
            peer.name()
        ));
        let guest: Running = kit.start(peer, Wire::Tap, 12 + at as u8, Count::Instructions)?;
        let figures = cost::instructions(&guest)?;
        guest.stop()?;
        report["cost"][peer.name()] = cost::to_json(&figures);
        show(&format!("instructions, {}", peer.name()), &figures);
        costs.push((peer.name(), figures));
    }
    let mut columns = vec![("quartz", ours)];
    columns.extend(costs.iter().map(|(name, figures)| (*name, figures)));
    page.figures("instructions and exits of a request, tap", &columns);
    for wire in [Wire::Tap, Wire::User] {
        let rows = race::rates(kit, wire, args.rounds, args.seconds)?;
        race::print(wire.name(), &rows);
        page.race(wire.name(), &rows);
        report[wire.name()] = rows.iter().map(race::Row::to_json).collect();
    }
    say(&"time to boot");
    let (boots, floor) = race::boots(kit, args.rounds.max(5))?;
    race::print("boot, user networking", std::slice::from_ref(&boots));
    page.race("boot, user networking", std::slice::from_ref(&boots));
    report["boot"] = boots.to_json();
    report["floor_ms"] = json!(Spread::of(floor.iter().copied()).median());
    let times = Spread::of(
        boots
            .of(Subject::Quartz)
            .iter()
            .zip(&floor)
            .map(|(b, f)| b / f),
    );
    let sentence = format!(
        "QEMU to the first instruction of any guest: {} ms; Quartz to its first answer: {times} \
         times that.",
        Spread::of(floor)
    );
    println!("{sentence}");
    page.say(&sentence);
    say(&"the limit of driver and host");
    let limit = reflector::measure(kit, args.rounds, args.seconds)?;
    show("limit, tap", &limit);
    page.figures("limit, tap", &[("quartz", &limit)]);
    report["limit"] = cost::to_json(&limit);
    say(&"what a guest takes");
    let footprint = footprint::measure(kit, args.seconds)?;
    show("footprint", &footprint);
    page.figures("footprint", &[("quartz", &footprint)]);
    report["footprint"] = cost::to_json(&footprint);
    Ok(page)
}

/// Prints figures as a table.
fn show(title: &str, figures: &Figures) {
    println!("\n{title}");
    for (key, figure) in figures {
        println!("{key:<54} {:>14}", short(*figure));
    }
}

/// `quartz profile`.
///
/// # Errors
/// Something cannot be started, read or written.
pub fn profile(args: &ProfileArgs) -> Result<(), Error> {
    if !args.inside {
        return Err(namespace::enter().into());
    }
    namespace::loopback()?;
    let kit = kit(
        &args.out,
        args.kernel.as_deref(),
        args.qemu.as_deref(),
        Path::new(""),
    )?;
    profile::run(&kit, args)
}

fn kit(out: &Path, kernel: Option<&Path>, qemu: Option<&Path>, peers: &Path) -> Result<Kit, Error> {
    let files = out.join("files");
    subject::files(&files).map_err(output(&files))?;
    Ok(Kit {
        qemu: program::find(qemu)?,
        kernel: Image::find(kernel)?.path,
        site: Arc::new(Site::open(&files)?),
        peers: peers.to_owned(),
        plugin: meter::plugin(),
    })
}

fn output(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Output { path, source }
}
