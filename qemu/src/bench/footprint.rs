//! What a guest takes while it does little: bytes of its kernel, memory, time of the processor,
//! allocations.

use super::BenchError;
use super::cost::Figures;
use super::subject::{Count, Kit, Running, Subject, Wire};
use super::wrk::Run;
use crate::error::Error;
use crate::http;
use crate::memory::Memory;
use crate::site::Site;
use std::fs;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long an idle guest is watched.
const IDLE: Duration = Duration::from_secs(10);
/// Sizes of memory that are tried, in MiB, from one that serves down.
const SIZES: [u32; 5] = [8, 6, 4, 3, 2];
/// How long a small guest has to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long connections are made one after the other, in seconds.
const LONG: u64 = 60;

/// All of it.
///
/// # Errors
/// A guest cannot be started, or does not answer.
pub fn measure(kit: &Kit, seconds: u64) -> Result<Figures, Error> {
    let size = fs::metadata(&kit.kernel)
        .map_err(BenchError::Counters)?
        .len();
    let mut figures: Figures = vec![("stripped kernel, bytes".into(), size as f64)];
    // A page alone: the files of the other measurements are larger than these guests.
    let folder = tempfile::tempdir().map_err(Error::system("cannot make a folder"))?;
    fs::write(folder.path().join("index.html"), [b'a'; 1 << 10]).map_err(BenchError::Counters)?;
    let small = Kit {
        site: Arc::new(Site::open(folder.path())?),
        ..kit.clone()
    };
    let mut least = None;
    for mib in SIZES {
        let memory = Memory::mib(mib);
        let started = small.start_in(
            memory,
            Subject::Quartz,
            Wire::User,
            2,
            Count::Nothing,
            PATIENCE,
        );
        let Ok(guest) = started else { break };
        guest.stop()?;
        least = Some(mib);
    }
    figures.push((
        "smallest memory that serves, MiB".into(),
        least.map_or(f64::NAN, f64::from),
    ));
    let guest = kit.start(Subject::Quartz, Wire::Tap, 43, Count::Nothing)?;
    sleep(Duration::from_secs(3));
    let (before, began) = (busy(guest.pid()), Instant::now());
    sleep(IDLE);
    let grown = busy(guest.pid()) - before;
    let share = grown / began.elapsed().as_secs_f64() * 100.0;
    figures.push(("idle, % of a core".into(), share));
    let run = Run {
        connections: 64,
        seconds,
        path: "/",
        close: false,
    };
    run.against(guest.address)?;
    let before = allocations(&guest)?;
    let report = run.against(guest.address)?;
    let each = (allocations(&guest)? - before) / report.requests.max(1) as f64;
    figures.push(("allocations of a request, 64 connections".into(), each));
    let report = Run {
        connections: 16,
        seconds: LONG.max(seconds),
        path: "/",
        close: true,
    }
    .against(guest.address)?;
    figures.push((
        "connection per request, 60 s: requests".into(),
        report.requests as f64,
    ));
    figures.push((
        "connection per request, 60 s: errors".into(),
        report.errors as f64,
    ));
    guest.stop()?;
    Ok(figures)
}

/// Seconds that all threads of a process have run.
fn busy(pid: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<f64>().ok())
        .sum::<f64>()
        / 1e9
}

/// How often the guest has asked for memory, as it says itself.
fn allocations(guest: &Running) -> Result<f64, BenchError> {
    let deadline = Instant::now() + PATIENCE;
    let answer = http::get(guest.address, "/stats.json", deadline).map_err(BenchError::Request)?;
    let stats: serde_json::Value = serde_json::from_slice(&answer.body)
        .map_err(|error| BenchError::Unreadable(error.to_string()))?;
    stats["heap"]["allocations"]
        .as_f64()
        .ok_or_else(|| BenchError::Unreadable("no count of allocations".into()))
}
