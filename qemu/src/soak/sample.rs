//! The figures of one second.

use super::{GUEST, TAP};
use crate::guest::Guest;
use crate::http::Client;
use crate::namespace::{self, Frames};
use quartz_abi::RingStats;
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::time::{Duration, Instant};

/// How long the guest may take to give its figures before the second counts as a stall.
const PATIENCE: Duration = Duration::from_secs(1);
/// Requests whose time is taken in each second.
const PROBES: usize = 10;
/// Requests that a sample itself makes: the probes and the figures.
pub const PROBE_REQUESTS: u64 = PROBES as u64 + 1;

/// One second.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Time since the start.
    pub at: Duration,
    /// Whether the guest gave its figures in time; if not, they are those of the second before.
    pub answered: bool,
    /// Requests that the guest has served.
    pub requests: u64,
    /// Requests in a second.
    pub rate: f64,
    /// Median of the probes' times, in milliseconds.
    pub p50_ms: f64,
    /// The longest of them.
    pub max_ms: f64,
    /// Receive ring.
    pub rx: RingStats,
    /// Transmit ring.
    pub tx: RingStats,
    /// Connections that are open.
    pub open: u64,
    /// Connections that are remembered.
    pub time_wait: u64,
    /// Bytes of the guest's heap in use.
    pub heap_used: u64,
    /// Frames on the tap.
    pub frames: Frames,
    /// Resident memory of QEMU, in KiB.
    pub rss_kib: u64,
}

impl Sample {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "s": self.at.as_secs_f64(),
            "answered": self.answered,
            "requests": self.requests,
            "rate": self.rate,
            "p50_ms": self.p50_ms,
            "max_ms": self.max_ms,
            "rx": ring_json(&self.rx),
            "tx": ring_json(&self.tx),
            "open": self.open,
            "time_wait": self.time_wait,
            "heap_used": self.heap_used,
            "frames_to_guest": self.frames.to_guest,
            "frames_from_guest": self.frames.from_guest,
            "rss_kib": self.rss_kib,
        })
    }
}

fn ring_json(r: &RingStats) -> Value {
    json!({
        "size": r.size, "avail_idx": r.avail_idx, "used_idx": r.used_idx, "gap": r.gap,
        "free": r.free, "harvested": r.harvested, "posted": r.posted, "kicks": r.kicks,
        "interrupts": r.interrupts, "spurious": r.spurious,
        "missed_interrupts": r.missed_interrupts, "rekicks": r.rekicks,
        "bad_used": r.bad_used, "resets": r.resets,
    })
}

fn ring(value: &Value) -> RingStats {
    let long = |name: &str| value[name].as_u64().unwrap_or(0);
    let short = |name: &str| long(name) as u16;
    RingStats {
        size: short("size"),
        avail_idx: short("avail_idx"),
        used_idx: short("used_idx"),
        gap: short("gap"),
        free: short("free"),
        harvested: long("harvested"),
        posted: long("posted"),
        kicks: long("kicks"),
        interrupts: long("interrupts"),
        spurious: long("spurious"),
        missed_interrupts: long("missed_interrupts"),
        rekicks: long("rekicks"),
        bad_used: long("bad_used"),
        resets: long("resets"),
    }
}

/// Takes samples over a connection of its own.
pub struct Sampler {
    client: Option<Client>,
    pid: u32,
    samples: Vec<Sample>,
}

impl Sampler {
    /// A sampler of `guest`.
    #[must_use]
    pub fn new(guest: &Guest) -> Sampler {
        Sampler {
            client: None,
            pid: guest.pid(),
            samples: Vec::new(),
        }
    }

    /// Every sample so far.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Takes one.
    pub fn take(&mut self, at: Duration) -> Sample {
        let last = self.samples.last().cloned().unwrap_or_default();
        let mut sample = Sample {
            at,
            answered: false,
            rate: 0.0,
            p50_ms: 0.0,
            max_ms: 0.0,
            frames: namespace::frames(TAP),
            rss_kib: rss_kib(self.pid),
            ..last.clone()
        };
        match self.figures() {
            Ok((stats, times)) => {
                let count = |name: &str| stats["connections"][name].as_u64().unwrap_or(0);
                sample.answered = true;
                sample.requests = stats["requests_served"].as_u64().unwrap_or(0);
                let seconds = (at - last.at).as_secs_f64().max(0.001);
                sample.rate = sample.requests.saturating_sub(last.requests) as f64 / seconds;
                sample.rx = ring(&stats["rx"]);
                sample.tx = ring(&stats["tx"]);
                sample.open = count("open");
                sample.time_wait = count("time_wait");
                sample.heap_used = stats["heap"]["used"].as_u64().unwrap_or(0);
                sample.p50_ms = times[times.len() / 2];
                sample.max_ms = times[times.len() - 1];
            }
            // The next sample tries a new connection.
            Err(_) => self.client = None,
        }
        self.samples.push(sample.clone());
        sample
    }

    /// The guest's figures, and the sorted times of the probes in milliseconds.
    fn figures(&mut self) -> io::Result<(Value, Vec<f64>)> {
        let deadline = Instant::now() + PATIENCE;
        let mut client = match self.client.take() {
            Some(mut client) => {
                client.set_deadline(deadline);
                client
            }
            None => Client::connect(GUEST, deadline)?,
        };
        let mut times = Vec::new();
        for _ in 0..PROBES {
            let began = Instant::now();
            client.request("GET", "/healthz")?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let answer = client.request("GET", "/stats.json")?;
        let stats = serde_json::from_slice(&answer.body)?;
        self.client = Some(client);
        times.sort_by(f64::total_cmp);
        Ok((stats, times))
    }
}

fn rss_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
