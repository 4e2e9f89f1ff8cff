//! `quartz ended`: what systemd runs after a supervisor has ended, however that was
//! (`ExecStopPost=`, systemd.service(5)). It leaves a marker, and ends a guest that the supervisor
//! was to stop and did not.

use crate::cli::NameArgs;
use crate::error::Error;
use crate::outcome;
use crate::supervise::config::check_name;
use crate::supervise::life::{Phase, Then};
use crate::supervise::places::Places;
use crate::supervise::process::{Process, boot_id, now};
use crate::supervise::record::Record;
use rustix::process::{Signal, pidfd_send_signal};
use serde_json::json;
use std::env;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How long a process may take to go after SIGTERM.
const TERMINATE: Duration = Duration::from_secs(2);
/// How long a killed process may take to go.
const KILL: Duration = Duration::from_secs(5);

/// `quartz ended`.
///
/// # Errors
/// The name is none, or the marker cannot be written.
pub fn main(args: &NameArgs) -> Result<(), Error> {
    check_name(&args.name)?;
    let places = Places::of(&args.name);
    let word = |name: &str| env::var(name).unwrap_or_default();
    let result = word("SERVICE_RESULT");
    let marker = json!({
        "result": result,
        "code": word("EXIT_CODE"),
        "status": word("EXIT_STATUS"),
        "at_ms": now(),
    });
    let path = places.runtime().join("ended.json");
    fs::write(&path, format!("{marker}\n")).map_err(|source| Error::Output { path, source })?;
    // A supervisor that crashed is started again and finds its guest; one that was stopping it, and
    // ran out of time or was killed, is not.
    let record = Record::read(&places.record(), &boot_id());
    let stopping = record.as_ref().is_some_and(|record| {
        record.memo.phase == Phase::Stopping && record.memo.then == Then::Stop
    });
    if result == "timeout" || stopping {
        for process in record.map(left).unwrap_or_default() {
            end(&process);
        }
    }
    Ok(())
}

/// Ends a process for certain.
fn end(process: &Process) {
    let pid = process.identity().pid;
    outcome::say(&format_args!(
        "ending process {pid}, which the supervisor left"
    ));
    for (signal, patience) in [(Signal::TERM, TERMINATE), (Signal::KILL, KILL)] {
        // It may have gone by itself.
        let _ = pidfd_send_signal(process, signal);
        let deadline = Instant::now() + patience;
        while process.state().is_some() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Guests of the note that still run.
fn left(record: Record) -> Vec<Process> {
    let leaving = record.leaving.into_iter().map(|(note, _)| note);
    let notes = record.guest.into_iter().chain(leaving);
    notes
        .filter_map(|note| Process::again(note.process).ok().flatten())
        .collect()
}
