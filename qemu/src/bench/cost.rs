//! What a request costs the guest: instructions, and accesses that leave it. These figures do not
//! depend on how fast or how busy the machine is.

use super::BenchError;
use super::meter::{Counts, Meter};
use super::sheet::Word;
use super::statistics::Spread;
use super::subject::Running;
use super::wrk::Run;
use crate::error::Error;
use crate::http::Client;
use serde_json::{Map, Value, json};
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Deadline of each request.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the idle guest is watched.
const IDLE: Duration = Duration::from_secs(3);
/// How often each figure is taken.
const TIMES: usize = 3;

/// Requests one after the other.
struct Sequence {
    key: &'static str,
    path: &'static str,
    close: bool,
    requests: u32,
}

const SEQUENCES: [Sequence; 4] = [
    Sequence {
        key: "keep-alive, 1 KiB, sequential",
        path: "/",
        close: false,
        requests: 500,
    },
    Sequence {
        key: "connection per request, 1 KiB",
        path: "/",
        close: true,
        requests: 200,
    },
    Sequence {
        key: "100 KiB",
        path: "/100k",
        close: false,
        requests: 50,
    },
    Sequence {
        key: "10 MiB",
        path: "/10m",
        close: false,
        requests: 2,
    },
];

/// Names and figures, in the order of the table.
pub type Figures = Vec<(String, f64)>;

/// Instructions for each kind of request, and at idle.
///
/// # Errors
/// The guest does not answer.
pub fn instructions(guest: &Running) -> Result<Figures, Error> {
    let meter = guest.meter.as_ref().ok_or(BenchError::NoMeter)?;
    let mut figures = Figures::new();
    for sequence in &SEQUENCES {
        burst(guest, meter, sequence, sequence.requests / 10 + 1)?;
        let mut spread = Vec::new();
        for _ in 0..TIMES {
            // The difference of two runs: what does not depend on the requests goes out of it.
            let one = burst(guest, meter, sequence, sequence.requests)?;
            let two = burst(guest, meter, sequence, sequence.requests * 2)?;
            let grown = two.get(Word::Instructions) as f64 - one.get(Word::Instructions) as f64;
            spread.push(grown / f64::from(sequence.requests));
        }
        figures.push((sequence.key.into(), Spread::of(spread).median()));
    }
    for (connections, close) in [(16, false), (64, false), (16, true)] {
        let run = Run {
            connections,
            seconds: 3,
            path: "/",
            close,
        };
        let before = read(meter)?;
        let report = run.against(guest.address)?;
        let grown = read(meter)?.since(&before);
        let key = match close {
            false => format!("keep-alive, 1 KiB, {connections} connections"),
            true => format!("connection per request, {connections} at once"),
        };
        let requests = report.requests.max(1) as f64;
        figures.push((key, grown.get(Word::Instructions) as f64 / requests));
    }
    sleep(Duration::from_secs(1));
    let before = read(meter)?;
    sleep(IDLE);
    let idle = read(meter)?.since(&before);
    let idle = idle.get(Word::Instructions) as f64 / IDLE.as_secs_f64();
    figures.push(("idle, in a second".into(), idle));
    Ok(figures)
}

/// Accesses that leave the guest, for each request: sequential, and with 64 connections.
///
/// # Errors
/// The guest does not answer.
pub fn exits(guest: &Running) -> Result<Figures, Error> {
    const KINDS: [(&str, Word); 3] = [
        ("notifications", Word::Notifications),
        ("interrupts", Word::Interrupts),
        ("timer settings", Word::Timers),
    ];
    let meter = guest.meter.as_ref().ok_or(BenchError::NoMeter)?;
    burst(guest, meter, &SEQUENCES[0], 50)?;
    let requests = SEQUENCES[0].requests;
    let sequential = burst(guest, meter, &SEQUENCES[0], requests)?;
    let run = Run {
        connections: 64,
        seconds: 3,
        path: "/",
        close: false,
    };
    let before = read(meter)?;
    let report = run.against(guest.address)?;
    let loaded = read(meter)?.since(&before);
    let mut figures = Figures::new();
    for (name, word) in KINDS {
        let each = sequential.get(word) as f64 / f64::from(requests);
        figures.push((format!("{name}, sequential"), each));
        let each = loaded.get(word) as f64 / report.requests.max(1) as f64;
        figures.push((format!("{name}, 64 connections"), each));
    }
    Ok(figures)
}

/// As a JSON object.
#[must_use]
pub fn to_json(figures: &Figures) -> Value {
    let map: Map<String, Value> = figures
        .iter()
        .map(|(key, figure)| (key.clone(), json!((figure * 1000.0).round() / 1000.0)))
        .collect();
    Value::Object(map)
}

/// What `requests` requests cost.
fn burst(
    guest: &Running,
    meter: &Meter,
    sequence: &Sequence,
    requests: u32,
) -> Result<Counts, BenchError> {
    let run = || -> io::Result<Counts> {
        let deadline = || Instant::now() + PATIENCE;
        let mut client = Client::connect(guest.address, deadline())?;
        client.request("GET", sequence.path)?;
        let before = meter.read()?;
        for _ in 0..requests {
            if sequence.close {
                let mut client = Client::connect(guest.address, deadline())?;
                let host = "Host: quartz\r\nConnection: close";
                client
                    .send(format!("GET {} HTTP/1.1\r\n{host}\r\n\r\n", sequence.path).as_bytes())?;
                client.answer(false)?;
                client.at_end()?;
            } else {
                client.set_deadline(deadline());
                client.request("GET", sequence.path)?;
            }
        }
        // What follows an answer (its acknowledgement, the end of the connection) belongs to it.
        sleep(Duration::from_millis(100));
        Ok(meter.read()?.since(&before))
    };
    run().map_err(BenchError::Request)
}

fn read(meter: &Meter) -> Result<Counts, BenchError> {
    meter.read().map_err(BenchError::Counters)
}
