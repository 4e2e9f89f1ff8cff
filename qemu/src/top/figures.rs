//! What readings say: rates, the last minutes, and for how long there was none.

use super::source::Reading;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Readings whose rates are kept: two minutes.
const KEPT: usize = 120;

/// What grows, as a rate in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Requests answered.
    pub requests: f64,
    /// Bytes sent on the wire.
    pub bytes_out: f64,
    /// Bytes received.
    pub bytes_in: f64,
    /// Frames sent.
    pub frames_out: f64,
    /// Frames received.
    pub frames_in: f64,
}

/// All that is known of a guest.
#[derive(Debug)]
pub struct Figures {
    /// What it is called.
    pub guest: String,
    last: Option<Reading>,
    rates: VecDeque<Rates>,
    /// Since when there is no answer, and why.
    silent: Option<(Instant, String)>,
}

impl Figures {
    /// Nothing yet.
    #[must_use]
    pub fn new(guest: String) -> Figures {
        Figures {
            guest,
            last: None,
            rates: VecDeque::new(),
            silent: None,
        }
    }

    /// Takes in a reading, or why there is none: then the last one stays.
    pub fn take(&mut self, reading: Result<Reading, String>) {
        let reading = match reading {
            Ok(reading) => reading,
            Err(why) => {
                let since = self.silent.take().map_or_else(Instant::now, |(at, _)| at);
                self.silent = Some((since, why));
                return;
            }
        };
        self.silent = None;
        if let Some(last) = &self.last {
            match rates(&last.stats, &reading.stats) {
                Some(rates) => self.rates.push_back(rates),
                // Another guest, or the same anew.
                None => self.rates.clear(),
            }
            while self.rates.len() > KEPT {
                self.rates.pop_front();
            }
        }
        self.last = Some(reading);
    }

    /// The last reading.
    #[must_use]
    pub fn last(&self) -> Option<&Reading> {
        self.last.as_ref()
    }

    /// The rates of the last two minutes, the newest last.
    pub fn rates(&self) -> impl DoubleEndedIterator<Item = &Rates> {
        self.rates.iter()
    }

    /// The connections of the last reading.
    #[must_use]
    pub fn flows(&self) -> &[Value] {
        let flows = self.last.as_ref().and_then(|last| last.flows.as_ref());
        flows.map_or(&[], |(rows, _)| rows)
    }

    /// For how long there was no answer, and why; `None`: the last question was answered.
    #[must_use]
    pub fn silence(&self) -> Option<(Duration, &str)> {
        let silent = self.silent.as_ref();
        silent.map(|(since, why)| (since.elapsed(), why.as_str()))
    }

    /// For a program.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let last = self.last.as_ref();
        let flows = last.and_then(|last| last.flows.as_ref());
        json!({
            "guest": self.guest,
            "answers": self.silent.is_none(),
            "supervisor": last.and_then(|last| last.supervisor.as_deref()),
            "health": last.map(|last| &last.health),
            "rates": self.rates.back().map(|rates| json!({
                "requests": rates.requests,
                "bytes_out": rates.bytes_out,
                "bytes_in": rates.bytes_in,
                "frames_out": rates.frames_out,
                "frames_in": rates.frames_in,
            })),
            "stats": last.map(|last| &last.stats),
            "flows": flows.map(|(rows, total)| json!({"total": total, "rows": rows})),
        })
    }
}

/// A number by its path, as in `rx.gap`; 0 if there is none.
#[must_use]
pub fn number(stats: &Value, path: &str) -> u64 {
    let mut at = stats;
    for key in path.split('.') {
        at = &at[key];
    }
    at.as_u64().unwrap_or(0)
}

/// What grew from one reading to the next in a second of the guest's own time; `None`: it was
/// started anew in between.
fn rates(before: &Value, after: &Value) -> Option<Rates> {
    let grown = |path: &str| number(after, path).checked_sub(number(before, path));
    let ms = grown("uptime_ms").filter(|ms| *ms > 0)?;
    let rate = |path: &str| grown(path).map(|n| n as f64 * 1000.0 / ms as f64);
    Some(Rates {
        requests: rate("requests_served")?,
        bytes_out: rate("frames.bytes_out")?,
        bytes_in: rate("frames.bytes_in")?,
        frames_out: rate("frames.out")?,
        frames_in: rate("frames.in")?,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn reading(up: u64, requests: u64) -> Reading {
        Reading {
            stats: json!({
                "version": "0.1.0", "uptime_ms": up, "requests_served": requests,
                "connections_served": 7,
                "connections": {"open": 3, "busy": 1, "closing": 0, "half_open": 1,
                    "time_wait": 2, "limit": 4891, "evicted": 0},
                "frames": {"in": requests * 2, "out": requests * 2, "bytes_in": requests * 100,
                    "bytes_out": requests * 2500, "retransmitted": 0,
                    "dropped": {"malformed": 0, "checksum": 0}},
                "status": {"5xx": 0},
                "rx": {"size": 256, "gap": 256, "resets": 0},
                "tx": {"size": 256, "gap": 4, "resets": 0},
                "heap": {"used": 62_000_000, "total": 64_000_000},
            }),
            health: "ok".into(),
            flows: Some((
                (0..5)
                    .map(|n| {
                        json!({"slot": n, "state": "idle", "peer": format!("10.0.2.2:{}", 4000 + n),
                            "port": 80, "age_ms": 1000 * (5 - n), "received": 10 * n,
                            "sent": 1000 * n, "queued": 0})
                    })
                    .collect(),
                5,
            )),
            supervisor: None,
        }
    }

    #[test]
    fn rates_are_of_the_guests_own_time() {
        let mut figures = Figures::new("www".into());
        figures.take(Ok(reading(1_000, 100)));
        assert_eq!(figures.rates().count(), 0);
        figures.take(Ok(reading(3_000, 300)));
        let last = *figures.rates().next_back().unwrap();
        assert_eq!((last.requests, last.frames_in), (100.0, 200.0));
        assert_eq!(figures.to_json()["rates"]["bytes_out"], 250_000.0);
        // Asked twice within a millisecond, and a guest that begins anew.
        figures.take(Ok(reading(500, 10)));
        assert_eq!(figures.rates().count(), 0);
        figures.take(Ok(reading(500, 10)));
        assert_eq!(figures.rates().count(), 0);
        for n in 0..300 {
            figures.take(Ok(reading(1_000 + n * 1_000, 10 + n)));
        }
        assert_eq!(figures.rates().count(), KEPT);
    }

    #[test]
    fn the_last_figures_stay_while_there_is_no_answer() {
        let mut figures = Figures::new("www".into());
        figures.take(Ok(reading(1_000, 100)));
        figures.take(Err("connection refused".into()));
        std::thread::sleep(Duration::from_millis(20));
        figures.take(Err("no answer within 2 s".into()));
        let (since, why) = figures.silence().unwrap();
        assert!(since >= Duration::from_millis(20) && why == "no answer within 2 s");
        assert_eq!(figures.flows().len(), 5);
        figures.take(Ok(reading(9_000, 101)));
        assert!(figures.silence().is_none());
    }
}
