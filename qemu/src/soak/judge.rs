//! Stalls while it runs, and the verdict at the end.

use super::load::Outcome;
use super::sample::{PROBE_REQUESTS, Sample};
use crate::autopsy;
use crate::guest::Guest;
use crate::verdict::{Look, Signature, Wire};
use serde_json::{Value, json};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long QEMU may take to tell what it knows of a ring.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two looks at the device's side of a ring.
const BETWEEN: Duration = Duration::from_millis(100);
/// How long it may take QEMU to write the guest's memory out.
const DUMP: Duration = Duration::from_secs(10);
/// Stalls that are described; more are only counted.
const DESCRIBED: usize = 10;
/// Stalls whose black box is kept.
const KEPT: usize = 3;
/// Frames in a second that make a wire busy: more than some stray ARP.
const BUSY: u64 = 10;

/// A soak of this length has to prove something: that many frames, and each ring's indices round
/// their 65,536 that often. A slower machine needs a longer one.
const LONG: Duration = Duration::from_secs(20 * 60);
const FRAMES: u64 = 5_000_000;
const WRAPS: u64 = 50;

/// Looks at every sample.
pub struct Judge {
    /// Where evidence goes.
    out: PathBuf,
    /// The guest did not give its figures a second ago.
    late: bool,
    kept: usize,
    last: Option<Sample>,
    stalls: Vec<String>,
    stalled: usize,
    heap_early: Option<u64>,
}

/// What came of it.
pub struct Verdict {
    /// Why it did not pass; empty: it passed.
    pub failures: Vec<String>,
    /// The figures that the report shows.
    pub figures: Value,
}

impl Judge {
    /// A judge who has seen nothing. Evidence of stalls will be left in `out`.
    #[must_use]
    pub fn new(out: &Path) -> Judge {
        Judge {
            out: out.to_owned(),
            late: false,
            kept: 0,
            last: None,
            stalls: Vec::new(),
            stalled: 0,
            heap_early: None,
        }
    }

    /// Seconds without progress so far.
    #[must_use]
    pub fn stalls(&self) -> usize {
        self.stalled
    }

    /// Looks at one second. If nothing moved in it, the evidence is taken at once.
    pub fn look(&mut self, sample: &Sample, guest: &mut Guest) {
        if let Some(last) = &self.last {
            // Without figures the frames that the guest sent have to do, once: it may be busy
            // and yet get on.
            let stands = if sample.answered {
                // The sampler's own requests are no progress of the load.
                sample.requests.saturating_sub(last.requests) <= PROBE_REQUESTS
            } else {
                self.late || sample.frames.from_guest - last.frames.from_guest <= BUSY
            };
            self.late = !sample.answered;
            if stands {
                self.stalled += 1;
                let wire = match sample.frames.to_guest.saturating_sub(last.frames.to_guest) {
                    n if n > BUSY => Wire::Busy,
                    _ => Wire::Silent,
                };
                if self.stalls.len() < DESCRIBED {
                    let device = device_ring(guest).and_then(|first| {
                        thread::sleep(BETWEEN);
                        Some((first, device_ring(guest)?))
                    });
                    let mut text = describe(sample, device, wire);
                    if self.kept < KEPT {
                        let path = self.out.join(format!("stall-{}.box", self.kept));
                        if keep_black_box(guest, &path).is_some() {
                            self.kept += 1;
                            text += &format!(", black box in {}", path.display());
                        }
                    }
                    self.stalls.push(text);
                }
            }
        }
        // Everything that is made lazily is there after some seconds of full load.
        if sample.at >= Duration::from_secs(10) && self.heap_early.is_none() {
            self.heap_early = Some(sample.heap_used);
        }
        self.last = Some(sample.clone());
    }

    /// The verdict, with the rings as they stand after the load.
    #[must_use]
    pub fn verdict(self, idle: &Sample, load: &Outcome, complaint: Option<String>) -> Verdict {
        let mut failures = self.stalls;
        if self.stalled > failures.len() {
            failures.push(format!("{} seconds without progress in all", self.stalled));
        }
        failures.extend(load.errors.iter().cloned());
        failures.extend(complaint);
        if !idle.answered {
            failures.push("the guest gave no figures after the load".into());
        }
        if idle.rx.gap != idle.rx.size {
            failures.push(format!(
                "receive descriptors were lost: gap {} of {} at idle",
                idle.rx.gap, idle.rx.size
            ));
        }
        if idle.tx.gap.wrapping_add(idle.tx.free) != idle.tx.size {
            failures.push(format!(
                "transmit descriptors were lost: gap {} and {} free of {} at idle",
                idle.tx.gap, idle.tx.free, idle.tx.size
            ));
        }
        let frames = idle.rx.harvested + idle.tx.posted;
        let wraps = [idle.rx.posted / 65_536, idle.tx.posted / 65_536];
        if idle.at >= LONG && (frames < FRAMES || wraps.iter().any(|n| *n < WRAPS)) {
            failures.push(format!(
                "too little load to prove anything: {frames} frames, {} and {} wraps",
                wraps[0], wraps[1]
            ));
        }
        for (ring, name) in [(&idle.rx, "rx"), (&idle.tx, "tx")] {
            for (count, what) in [
                (ring.missed_interrupts, "missed interrupts"),
                (ring.rekicks, "repeated kicks"),
                (ring.bad_used, "bad used entries"),
                (ring.resets, "resets"),
            ] {
                if count > 0 {
                    failures.push(format!("{name}: {count} {what}"));
                }
            }
        }
        if let Some(early) = self.heap_early
            && idle.heap_used > early
        {
            failures.push(format!(
                "the heap grew from {early} to {} bytes",
                idle.heap_used
            ));
        }
        let figures = json!({
            "seconds": idle.at.as_secs(),
            "requests": idle.requests,
            "requests_by_wrk": load.requests,
            "aborted_clients": load.aborted,
            "frames": frames,
            "rx_wraps": wraps[0],
            "tx_wraps": wraps[1],
            "gap_at_idle": idle.rx.gap,
            "ring_size": idle.rx.size,
            "stalled_seconds": self.stalled,
            "heap_after_10_s": self.heap_early,
            "heap_at_end": idle.heap_used,
            "rss_kib": idle.rss_kib,
        });
        Verdict { failures, figures }
    }
}

/// What QEMU itself knows of the receive ring: indices up to which the device has looked at
/// available entries and has used them.
fn device_ring(guest: &mut Guest) -> Option<Look> {
    let deadline = Instant::now() + PATIENCE;
    let monitor = guest.monitor();
    let devices = monitor
        .execute("x-query-virtio", Value::Null, deadline)
        .ok()?;
    let path = devices
        .as_array()?
        .iter()
        .find(|d| d["name"] == "virtio-net")?["path"]
        .as_str()?
        .to_owned();
    let status = monitor
        .execute(
            "x-query-virtio-queue-status",
            json!({"path": path, "queue": 0}),
            deadline,
        )
        .ok()?;
    let index = |name: &str| status[name].as_u64().map(|n| n as u16);
    Some(Look {
        avail_idx: index("shadow-avail-idx")?,
        used_idx: index("used-idx")?,
    })
}

/// Leaves the guest's black box in `path`, out of a dump of its memory: the guest itself may be
/// unable to send it.
fn keep_black_box(guest: &mut Guest, path: &Path) -> Option<()> {
    let dump = path.with_extension("dump");
    let protocol = format!("file:{}", std::path::absolute(&dump).ok()?.display());
    let arguments = json!({"paging": false, "protocol": protocol});
    let deadline = Instant::now() + DUMP;
    let found = guest
        .monitor()
        .execute("dump-guest-memory", arguments, deadline)
        .ok()
        .and_then(|_| autopsy::find(&dump).ok());
    // A dump is as large as the guest; it may not even have been begun.
    let _ = fs::remove_file(&dump);
    fs::write(path, found?).ok()
}

fn describe(sample: &Sample, device: Option<(Look, Look)>, wire: Wire) -> String {
    let at = sample.at.as_secs();
    let size = sample.rx.size;
    let Some((first, second)) = device else {
        return format!(
            "stall at {at} s: QEMU's monitor tells nothing of the ring, so QEMU itself stands \
             [gap {} of {size} a second before, wire {wire:?}]",
            sample.rx.gap
        );
    };
    let signature = Signature::of_device(first, second, size, wire);
    let gap = second.avail_idx.wrapping_sub(second.used_idx);
    format!(
        "stall at {at} s: {signature} [gap {gap} of {size}, device saw avail {} and used {}, wire {wire:?}]",
        second.avail_idx, second.used_idx
    )
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(figures) = self.figures.as_object() {
            for (name, value) in figures {
                writeln!(f, "{name:18} {value}")?;
            }
        }
        match self.failures.as_slice() {
            [] => f.write_str("soak: PASS"),
            failures => {
                for failure in failures {
                    writeln!(f, "- {failure}")?;
                }
                write!(f, "soak: FAIL")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quartz_abi::RingStats;

    fn idle() -> Sample {
        let rx = RingStats {
            size: 256,
            gap: 256,
            avail_idx: 256,
            ..RingStats::default()
        };
        Sample {
            answered: true,
            rx,
            tx: RingStats {
                size: 256,
                free: 256,
                ..RingStats::default()
            },
            ..Sample::default()
        }
    }

    fn failures(idle: &Sample, load: &Outcome, complaint: Option<String>) -> Vec<String> {
        let judge = Judge::new(Path::new("."));
        judge.verdict(idle, load, complaint).failures
    }

    #[test]
    fn a_clean_run_passes_and_each_flaw_fails() {
        let load = Outcome::default();
        assert!(failures(&idle(), &load, None).is_empty());

        let mut lost = idle();
        lost.rx.gap = 255;
        assert!(failures(&lost, &load, None)[0].contains("descriptors were lost"));
        lost = idle();
        lost.tx.free -= 1;
        assert!(failures(&lost, &load, None)[0].contains("descriptors were lost"));
        for flaw in [
            |r: &mut RingStats| r.missed_interrupts = 1,
            |r: &mut RingStats| r.rekicks = 1,
            |r: &mut RingStats| r.bad_used = 1,
            |r: &mut RingStats| r.resets = 1,
        ] {
            let mut flawed = idle();
            flaw(&mut flawed.tx);
            assert_eq!(failures(&flawed, &load, None).len(), 1);
        }
        let mut silent = idle();
        silent.answered = false;
        assert_eq!(failures(&silent, &load, None).len(), 1);
        let errors = Outcome {
            errors: vec!["wrk (close): Socket errors".into()],
            ..Outcome::default()
        };
        assert_eq!(failures(&idle(), &errors, None).len(), 1);
        assert_eq!(
            failures(&idle(), &load, Some("it panicked".into())).len(),
            1
        );
    }

    #[test]
    fn a_long_soak_has_to_carry_something() {
        let load = Outcome::default();
        let mut end = idle();
        (end.rx.harvested, end.rx.posted) = (3_300_000, 3_300_256);
        end.tx.posted = 3_300_000;
        end.at = LONG;
        assert!(failures(&end, &load, None).is_empty());
        for less in [
            |s: &mut Sample| s.rx.harvested = 1_000_000,
            |s: &mut Sample| s.rx.posted = 50 * 65_536 - 1,
            |s: &mut Sample| s.tx.posted = 50 * 65_536 - 1,
        ] {
            let mut idler = end.clone();
            less(&mut idler);
            assert!(failures(&idler, &load, None)[0].contains("too little load"));
            // A short one says nothing about it.
            idler.at = LONG - Duration::from_secs(1);
            assert!(failures(&idler, &load, None).is_empty());
        }
    }

    #[test]
    fn a_growing_heap_fails() {
        let mut judge = Judge::new(Path::new("."));
        judge.heap_early = Some(1000);
        let mut end = idle();
        end.heap_used = 1001;
        let verdict = judge.verdict(&end, &Outcome::default(), None);
        assert!(verdict.failures[0].contains("the heap grew"));
    }

    #[test]
    fn a_stall_is_named_with_its_evidence() {
        let look = |used_idx| Look {
            avail_idx: 256,
            used_idx,
        };
        let text = describe(&idle(), Some((look(0), look(0))), Wire::Busy);
        assert!(text.contains("gap = size and busy wire"), "{text}");
        let text = describe(&idle(), Some((look(9), look(9))), Wire::Busy);
        assert!(text.contains("used ≠ harvested"), "{text}");
        let text = describe(&idle(), None, Wire::Busy);
        assert!(text.contains("QEMU itself stands"), "{text}");
    }
}
