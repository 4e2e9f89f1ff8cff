//! The supervisor's own figures, for Prometheus (text format 0.0.4) and for `status`, and where the
//! guest's own are.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

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
    /// Consoles that did not read what the guest said.
    pub consoles_let_go: AtomicU64,
    /// Gauge: 1 while the guest answers.
    pub healthy: AtomicU64,
    /// Gauge: what the last answer on the clients' path took, in microseconds.
    pub latency_us: AtomicU64,
    admin: Mutex<Option<SocketAddr>>,
}

/// A figure: its name, type and help, and its value, of which one is so many units.
type Figure = (&'static str, &'static str, &'static str, u64, u64);

impl Metrics {
    /// Says where the guest's admin port is now.
    pub fn set_admin(&self, admin: Option<SocketAddr>) {
        *self.admin.lock().unwrap_or_else(PoisonError::into_inner) = admin;
    }

    /// Where the guest's admin port is; `None`: there is no guest, or it has none.
    #[must_use]
    pub fn admin(&self) -> Option<SocketAddr> {
        *self.admin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> [Figure; 11] {
        let n = |value: &AtomicU64| value.load(Relaxed);
        let counter = |name, help, value| (name, "counter", help, n(value), 1);
        [
            counter("starts_total", "Guests started.", &self.starts),
            counter("adoptions_total", "Guests found running.", &self.adoptions),
            counter(
                "wedges_total",
                "Guests that stopped answering.",
                &self.wedges,
            ),
            counter("crashes_total", "Guests that ended unasked.", &self.crashes),
            counter("autopsies_total", "Autopsies taken.", &self.autopsies),
            counter(
                "autopsies_incomplete_total",
                "Autopsies of which something is missing.",
                &self.autopsies_incomplete,
            ),
            counter(
                "upgrades_total",
                "Successors that took over.",
                &self.upgrades,
            ),
            counter(
                "upgrades_failed_total",
                "Successors that did not take over.",
                &self.upgrades_failed,
            ),
            counter(
                "consoles_let_go_total",
                "Consoles that did not read what the guest said.",
                &self.consoles_let_go,
            ),
            (
                "healthy",
                "gauge",
                "1 while the guest answers.",
                n(&self.healthy),
                1,
            ),
            (
                "health_latency_seconds",
                "gauge",
                "What the last answer to a health question took.",
                n(&self.latency_us),
                1_000_000,
            ),
        ]
    }

    /// For Prometheus. `answers`: the guest's own figures stand on the same page.
    #[must_use]
    pub fn text(&self, name: &str, answers: bool) -> String {
        let mut text = String::new();
        let help = "1 if the guest's own figures are on this page.";
        let scraped = ("guest_scraped", "gauge", help, answers.into(), 1);
        for (key, kind, help, value, unit) in self.all().into_iter().chain([scraped]) {
            // Writing to a string cannot fail. A name has no character to be escaped.
            let value = value as f64 / unit as f64;
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
        all.map(|(key, _, _, value, unit)| {
            let value = match unit {
                1 => json!(value),
                unit => json!(value as f64 / unit as f64),
            };
            (key.to_owned(), value)
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_in_base_units() {
        let metrics = Metrics::default();
        metrics.wedges.fetch_add(2, Relaxed);
        metrics.latency_us.store(1_500, Relaxed);
        let text = metrics.text("www", true);
        for line in [
            "quartz_host_wedges_total{guest=\"www\"} 2\n",
            "# TYPE quartz_host_health_latency_seconds gauge\n",
            "quartz_host_health_latency_seconds{guest=\"www\"} 0.0015\n",
            "quartz_host_guest_scraped{guest=\"www\"} 1\n",
        ] {
            assert!(text.contains(line), "no {line} in {text}");
        }
        assert_eq!(metrics.json()["wedges_total"], 2);
        assert_eq!(metrics.json()["health_latency_seconds"], 0.0015);
    }
}
