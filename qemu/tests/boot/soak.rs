//! The soak: a short one passes, and a guest that stands still is noticed and named.

use crate::harness::process::{Process, run};
use crate::harness::{heavy, kernel, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

fn soak(seconds: u32, out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quartz"));
    command
        .args(["soak", "--seconds", &seconds.to_string(), "--kernel"])
        .arg(kernel())
        .arg("--out")
        .arg(out);
    command
}

fn report(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("soak.json")).unwrap()).unwrap()
}

#[test]
fn a_short_soak_passes() {
    let _heavy = heavy();
    let directory = tempfile::tempdir().unwrap();
    let output = run(&mut soak(8, directory.path()), Duration::from_secs(60));
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.contains("soak: PASS"), "{output:?}");

    let report = report(directory.path());
    assert_eq!(report["passed"], true);
    let samples = report["samples"].as_array().unwrap();
    assert!(samples.len() >= 8, "{} samples", samples.len());
    let figures = &report["figures"];
    assert!(figures["requests"].as_u64() > Some(100), "{figures}");
    assert!(figures["aborted_clients"].as_u64() > Some(10), "{figures}");
    assert_eq!(figures["gap_at_idle"], figures["ring_size"]);
    let picture = fs::read_to_string(directory.path().join("soak.svg")).unwrap();
    assert!(picture.contains("receive ring"), "{picture}");
}

#[test]
fn a_guest_that_stands_still_is_named() {
    let _heavy = heavy();
    let directory = tempfile::tempdir().unwrap();
    let soak = Process::start(&mut soak(10, directory.path()));
    let mut qemu = None;
    wait_until("QEMU starts", || {
        qemu = child(soak.id(), "qemu-system");
        qemu.is_some()
    });
    let qemu = qemu.unwrap();
    thread::sleep(Duration::from_secs(4));
    // All of the machine stands, its monitor included, while clients go on sending.
    kill_process(qemu, Signal::STOP).unwrap();
    thread::sleep(Duration::from_secs(3));
    kill_process(qemu, Signal::CONT).unwrap();

    let output = soak.finish(Duration::from_secs(60));
    assert!(!output.status.success(), "{output:?}");
    assert!(output.stdout.contains("soak: FAIL"), "{output:?}");
    assert!(output.stdout.contains("- stall at "), "{output:?}");
    assert!(output.stdout.contains("gap "), "{output:?}");
    let report = report(directory.path());
    assert_eq!(report["passed"], false);
    assert!(report["figures"]["stalled_seconds"].as_u64() >= Some(1));
}

/// The child of `parent` whose program's name begins with `name`.
fn child(parent: Pid, name: &str) -> Option<Pid> {
    let parent = parent.as_raw_nonzero();
    let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    list.split_whitespace().find_map(|id| {
        let program = fs::read_to_string(format!("/proc/{id}/comm")).ok()?;
        let found = program.starts_with(name);
        found.then(|| Pid::from_raw(id.parse().ok()?))?
    })
}
