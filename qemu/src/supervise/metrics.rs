//! The supervisor's own figures, for Prometheus (text format 0.0.4) and for `status`.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// How long a reader may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Counters. They only grow, from the start of the supervisor.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Guests started.
    pub starts: AtomicU64,
    /// Guests found running.
    pub adoptions: AtomicU64,
    /// Guests that stopped answering.
    pub wedges: AtomicU64,
    /// Guests whose process ended unasked.
    pub crashes: AtomicU64,
    /// Autopsies.
    pub autopsies: AtomicU64,
    /// Autopsies of which something is missing.
    pub autopsies_incomplete: AtomicU64,
    /// Successors that took over.
    pub upgrades: AtomicU64,
    /// Successors that did not.
    pub upgrades_failed: AtomicU64,
    /// Gauge: 1 while the guest answers.
    pub healthy: AtomicU64,
    /// Gauge: what the last answer on the clients' path took, in microseconds.
    pub latency_us: AtomicU64,
}

impl Metrics {
    fn all(&self) -> [(&'static str, &'static str, &'static str, u64); 10] {
        let n = |value: &AtomicU64| value.load(Relaxed);
        [
            (
                "starts_total",
                "counter",
                "Guests started.",
                n(&self.starts),
            ),
            (
                "adoptions_total",
                "counter",
                "Guests found running.",
                n(&self.adoptions),
            ),
            (
                "wedges_total",
                "counter",
                "Guests that stopped answering.",
                n(&self.wedges),
            ),
            (
                "crashes_total",
                "counter",
                "Guests that ended unasked.",
                n(&self.crashes),
            ),
            (
                "autopsies_total",
                "counter",
                "Autopsies taken.",
                n(&self.autopsies),
            ),
            (
                "autopsies_incomplete_total",
                "counter",
                "Autopsies of which something is missing.",
                n(&self.autopsies_incomplete),
            ),
            (
                "upgrades_total",
                "counter",
                "Successors that took over.",
                n(&self.upgrades),
            ),
            (
                "upgrades_failed_total",
                "counter",
                "Successors that did not take over.",
                n(&self.upgrades_failed),
            ),
            (
                "healthy",
                "gauge",
                "1 while the guest answers.",
                n(&self.healthy),
            ),
            (
                "health_latency_microseconds",
                "gauge",
                "What the last answer to a health question took.",
                n(&self.latency_us),
            ),
        ]
    }

    /// For Prometheus.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        let mut text = String::new();
        for (key, kind, help, value) in self.all() {
            // Writing to a string cannot fail. A name has no character to be escaped.
            let _ = write!(
                text,
                "# HELP quartz_host_{key} {help}\n# TYPE quartz_host_{key} {kind}\n\
                 quartz_host_{key}{{guest=\"{name}\"}} {value}\n"
            );
        }
        text
    }

    /// For `status`.
    #[must_use]
    pub fn json(&self) -> Value {
        let all = self.all().into_iter();
        all.map(|(key, _, _, value)| (key.to_owned(), json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// Serves the figures at `address`, on a thread of its own, one reader at a time.
///
/// # Errors
/// The address cannot be listened on.
pub fn serve(address: SocketAddr, name: String, metrics: Arc<Metrics>) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    thread::Builder::new()
        .name("metrics".into())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                // A reader that goes away comes again.
                let _ = answer(stream, &metrics.text(&name));
            }
        })?;
    Ok(())
}

fn answer(mut stream: TcpStream, text: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // Whatever is asked: there is one page.
    let mut request = [0; 4096];
    let _ = stream.read(&mut request)?;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        text.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;
    use std::time::Instant;

    #[test]
    fn the_figures_are_served() {
        let metrics = Arc::new(Metrics::default());
        metrics.wedges.fetch_add(2, Relaxed);
        let address = SocketAddr::from(([127, 0, 0, 1], crate::port::free(0).unwrap()));
        serve(address, "www".into(), Arc::clone(&metrics)).unwrap();
        let soon = Instant::now() + Duration::from_secs(20);
        let answer = http::get(address, "/metrics", soon).unwrap();
        let text = String::from_utf8(answer.body).unwrap();
        assert!(
            text.contains("quartz_host_wedges_total{guest=\"www\"} 2\n"),
            "{text}"
        );
        assert_eq!(metrics.json()["wedges_total"], 2);
    }
}
