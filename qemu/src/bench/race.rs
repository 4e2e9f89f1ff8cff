//! Rates and times beside the peers': every subject takes its turn in every round, so that what
//! the machine does meanwhile meets all of them alike.

use super::BenchError;
use super::statistics::{Spread, short};
use super::subject::{Kit, Running, Subject, Wire};
use super::wrk::{Report, Run};
use crate::error::Error;
use serde_json::{Value, json};

/// One column of figures for each subject.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// Unit of the figures.
    pub unit: &'static str,
    /// The figures of every round, by subject.
    pub figures: Vec<(Subject, Vec<f64>)>,
    /// Errors of all rounds, by subject.
    pub errors: Vec<(Subject, u64)>,
}

impl Row {
    /// A row without figures.
    #[must_use]
    pub fn new(what: String, unit: &'static str, subjects: &[Subject]) -> Row {
        Row {
            what,
            unit,
            figures: subjects.iter().map(|s| (*s, Vec::new())).collect(),
            errors: subjects.iter().map(|s| (*s, 0)).collect(),
        }
    }

    /// Adds what a round brought.
    pub fn add(&mut self, subject: Subject, figure: f64, errors: u64) {
        for (of, figures) in &mut self.figures {
            if *of == subject {
                figures.push(figure);
            }
        }
        for (of, count) in &mut self.errors {
            if *of == subject {
                *count += errors;
            }
        }
    }

    /// The figures of one.
    #[must_use]
    pub fn of(&self, subject: Subject) -> &[f64] {
        let found = self.figures.iter().find(|(of, _)| *of == subject);
        found.map_or(&[], |(_, figures)| figures)
    }

    /// How many times the peer's figure ours is, round by round.
    #[must_use]
    pub fn ratio(&self, peer: Subject) -> Spread {
        let pairs = self.of(Subject::Quartz).iter().zip(self.of(peer));
        Spread::of(pairs.map(|(ours, theirs)| ours / theirs))
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let figures: serde_json::Map<String, Value> = self
            .figures
            .iter()
            .map(|(subject, figures)| (subject.name().to_owned(), json!(figures)))
            .collect();
        let errors: serde_json::Map<String, Value> = self
            .errors
            .iter()
            .map(|(subject, errors)| (subject.name().to_owned(), json!(errors)))
            .collect();
        json!({ "what": self.what, "unit": self.unit, "figures": figures, "errors": errors })
    }
}

/// Prints rows as one table: medians, and ours as a multiple of each peer's with its spread.
pub fn print(title: &str, rows: &[Row]) {
    let subjects: Vec<Subject> = rows
        .first()
        .map(|row| row.figures.iter().map(|(subject, _)| *subject).collect())
        .unwrap_or_default();
    print!("\n{title:<40} {:<7}", "");
    for subject in &subjects {
        print!(" {:>10}", subject.name());
    }
    for peer in subjects.iter().filter(|s| **s != Subject::Quartz) {
        print!(" {:>24}", format!("to {}", peer.name()));
    }
    println!(" {:>7}", "errors");
    for row in rows {
        print!("{:<40} {:<7}", row.what, row.unit);
        for subject in &subjects {
            let median = Spread::of(row.of(*subject).iter().copied()).median();
            print!(" {:>10}", short(median));
        }
        for peer in subjects.iter().filter(|s| **s != Subject::Quartz) {
            print!(" {:>24}", format!("{}×", row.ratio(*peer)));
        }
        let errors: Vec<String> = row.errors.iter().map(|(_, e)| e.to_string()).collect();
        println!(" {:>7}", errors.join("/"));
    }
}

struct Workload {
    name: &'static str,
    path: &'static str,
    connections: u32,
    close: bool,
    by_bytes: bool,
}

const fn load(name: &'static str, path: &'static str, connections: u32) -> Workload {
    Workload {
        name,
        path,
        connections,
        close: false,
        by_bytes: false,
    }
}

const WORKLOADS: [Workload; 8] = [
    load("keep-alive 1 KiB, 1 connection", "/", 1),
    load("keep-alive 1 KiB, 16 connections", "/", 16),
    load("keep-alive 1 KiB, 64 connections", "/", 64),
    load("keep-alive 1 KiB, 256 connections", "/", 256),
    Workload {
        close: true,
        ..load("connection per request, 1 at once", "/", 1)
    },
    Workload {
        close: true,
        ..load("connection per request, 16 at once", "/", 16)
    },
    load("100 KiB, 4 connections", "/100k", 4),
    Workload {
        by_bytes: true,
        ..load("10 MiB, 4 connections", "/10m", 4)
    },
];

/// Rates over `wire`, in `rounds` rounds of `seconds` for each run.
///
/// # Errors
/// A guest cannot be started, or wrk cannot.
pub fn rates(kit: &Kit, wire: Wire, rounds: u32, seconds: u64) -> Result<Vec<Row>, Error> {
    let mut tap = 20;
    let mut start = |subject| {
        // User networking is each guest's own: all may live in the same.
        let net = match wire {
            Wire::Tap => tap,
            Wire::User => 2,
        };
        tap += 1;
        kit.start(subject, wire, net, super::subject::Count::Nothing)
    };
    let mut guests: Vec<Running> = Vec::new();
    for subject in Subject::ALL {
        guests.push(start(subject)?);
    }
    let mut rows: Vec<Row> = WORKLOADS
        .iter()
        .map(|w| {
            let unit = if w.by_bytes { "MiB/s" } else { "1/s" };
            Row::new(w.name.into(), unit, &Subject::ALL)
        })
        .collect();
    let tail = |what: &str| Row::new(format!("{what}, p99 / p50"), "", &Subject::ALL);
    let mut tails = [tail("64 connections"), tail("256 connections")];
    for round in 0..rounds {
        for (at, workload) in WORKLOADS.iter().enumerate() {
            super::say(&format_args!(
                "{}: {}, round {} of {rounds}",
                wire.name(),
                workload.name,
                round + 1
            ));
            for guest in &mut guests {
                let mut report = run(workload, guest, seconds)?;
                if report.requests == 0 {
                    // It has happened to Linux guests under the translator. The next figures are
                    // to be real ones, but the stop counts.
                    super::say(&format_args!(
                        "{} stands still and is started again",
                        guest.subject.name()
                    ));
                    let again = start(guest.subject)?;
                    std::mem::replace(guest, again).stop()?;
                    report = run(workload, guest, seconds)?;
                    report.errors += 1;
                }
                let figure = if workload.by_bytes {
                    report.mib
                } else {
                    report.rate
                };
                rows[at].add(guest.subject, figure, report.errors);
                let tail = report.p99_us / report.p50_us.max(1.0);
                match workload.connections {
                    64 => tails[0].add(guest.subject, tail, 0),
                    256 => tails[1].add(guest.subject, tail, 0),
                    _ => {}
                }
            }
        }
    }
    for guest in guests {
        guest.stop()?;
    }
    rows.extend(tails);
    Ok(rows)
}

fn run(workload: &Workload, guest: &Running, seconds: u64) -> Result<Report, BenchError> {
    Run {
        connections: workload.connections,
        seconds,
        path: workload.path,
        close: workload.close,
    }
    .against(guest.address)
}

/// Time from starting QEMU to the first answer, beside the floor: QEMU's own time to the first
/// instruction of a guest that does nothing.
///
/// # Errors
/// A guest cannot be started.
pub fn boots(kit: &Kit, rounds: u32) -> Result<(Row, Vec<f64>), Error> {
    let mut row = Row::new("exec to first answer".into(), "ms", &Subject::ALL);
    let mut floor = Vec::new();
    for _ in 0..rounds {
        floor.push(super::floor::measure(&kit.qemu)?.as_secs_f64() * 1e3);
        for subject in Subject::ALL {
            let guest = kit.start(subject, Wire::User, 2, super::subject::Count::Nothing)?;
            row.add(subject, guest.first_answer.as_secs_f64() * 1e3, 0);
            guest.stop()?;
        }
    }
    Ok((row, floor))
}
