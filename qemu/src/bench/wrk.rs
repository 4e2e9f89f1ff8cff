//! One run of wrk, and what it reports.

use super::BenchError;
use crate::spawn;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// What wrk is to do.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Connections at once.
    pub connections: u32,
    /// How long, in seconds.
    pub seconds: u64,
    /// The path to ask for.
    pub path: &'a str,
    /// A connection for each request.
    pub close: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Requests that were answered.
    pub requests: u64,
    /// The same in a second.
    pub rate: f64,
    /// Bytes in a second, in MiB.
    pub mib: f64,
    /// Median time of an answer, in microseconds.
    pub p50_us: f64,
    /// The time that 99 of 100 answers came within, in microseconds.
    pub p99_us: f64,
    /// Connections that could not be made or broke, answers that did not come in 5 s, and answers
    /// other than 2xx and 3xx.
    pub errors: u64,
}

impl Run<'_> {
    /// Runs wrk against `address` to its end.
    ///
    /// # Errors
    /// wrk cannot be started, or says nothing that can be read.
    pub fn against(&self, address: SocketAddr) -> Result<Report, BenchError> {
        let mut command = Command::new("wrk");
        command
            .args(["-t1", "--latency", "--timeout", "5s"])
            .arg(format!("-c{}", self.connections))
            .arg(format!("-d{}s", self.seconds));
        if self.close {
            command.args(["-H", "Connection: close"]);
        }
        command
            .arg(format!("http://{address}{}", self.path))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let failed = |source| BenchError::Load {
            program: "wrk",
            source,
        };
        let child = spawn::bound(&mut command, Vec::new()).map_err(failed)?;
        let output = child.wait_with_output().map_err(failed)?;
        let text = String::from_utf8_lossy(&output.stdout);
        read(&text).ok_or_else(|| BenchError::Unreadable(text.into_owned()))
    }
}

/// Reads wrk's report.
fn read(text: &str) -> Option<Report> {
    let mut report = Report::default();
    let mut complete = false;
    for line in text.lines().map(str::trim) {
        if let Some((count, _)) = line.split_once(" requests in ") {
            report.requests = count.parse().ok()?;
        } else if let Some(rate) = line.strip_prefix("Requests/sec:") {
            report.rate = rate.trim().parse().ok()?;
            complete = true;
        } else if let Some(rate) = line.strip_prefix("Transfer/sec:") {
            report.mib = bytes(rate.trim())? / f64::from(1 << 20);
        } else if let Some(time) = line.strip_prefix("50%") {
            report.p50_us = microseconds(time.trim())?;
        } else if let Some(time) = line.strip_prefix("99%") {
            report.p99_us = microseconds(time.trim())?;
        } else if let Some(counts) = line.strip_prefix("Socket errors:") {
            report.errors += counts
                .split(|c: char| !c.is_ascii_digit())
                .filter_map(|figure| figure.parse::<u64>().ok())
                .sum::<u64>();
        } else if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses:") {
            report.errors += count.trim().parse::<u64>().ok()?;
        }
    }
    complete.then_some(report)
}

fn microseconds(text: &str) -> Option<f64> {
    scaled(text, &[("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 6e7)])
}

fn bytes(text: &str) -> Option<f64> {
    let kib = 1024.0;
    let units = [
        ("GB", kib * kib * kib),
        ("MB", kib * kib),
        ("KB", kib),
        ("B", 1.0),
    ];
    scaled(text, &units)
}

fn scaled(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    units.iter().find_map(|(unit, factor)| {
        let figure: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(figure * factor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read() {
        let text = "Running 4s test @ http://x/\n  1 threads and 8 connections\n  \
            Thread Stats   Avg      Stdev     Max   +/- Stdev\n    \
            Latency    99.00us    1.00ms   2.00s    91.00%\n  Latency Distribution\n     \
            50%  812.00us\n     75%    1.20ms\n     90%    2.10ms\n     99%    4.50ms\n  \
            8784 requests in 4.01s, 351.70KB read\n  \
            Socket errors: connect 0, read 1, write 0, timeout 2\n  \
            Non-2xx or 3xx responses: 7\nRequests/sec:   2191.91\nTransfer/sec:      1.50MB\n";
        let report = read(text).unwrap();
        assert_eq!((report.requests, report.errors), (8784, 10));
        assert_eq!((report.p50_us, report.p99_us), (812.0, 4500.0));
        assert_eq!((report.rate, report.mib), (2191.91, 1.5));
        assert_eq!(read("unable to connect"), None);
    }
}
