//! The guest's figures, as `/stats.json` gives them.

use super::guest::Served;
use super::wait_until;
use quartz::http::Response;
use serde_json::Value;

/// One reading of `/stats.json`.
#[derive(Clone, Debug)]
pub struct Stats(pub Value);

impl From<&Response> for Stats {
    fn from(answer: &Response) -> Stats {
        assert_eq!(answer.status, 200, "{answer:?}");
        Stats(serde_json::from_slice(&answer.body).unwrap())
    }
}

impl Stats {
    /// A number by its path, as in `rx.gap`.
    pub fn number(&self, path: &str) -> u64 {
        let pointer = format!("/{}", path.replace('.', "/"));
        self.0
            .pointer(&pointer)
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("no number {path} in {}", self.0))
    }

    /// What must be zero as long as the device is honest.
    pub fn assert_no_trouble(&self) {
        for ring in ["rx", "tx"] {
            for counter in ["bad_used", "resets", "missed_interrupts"] {
                let path = format!("{ring}.{counter}");
                assert_eq!(self.number(&path), 0, "{path} in {}", self.0);
            }
        }
    }
}

/// Waits until the receive ring is wholly in the device's hands again; gives how often it looked.
///
/// The frame that asks for the figures may be in the guest's hands while they are written.
pub fn wait_for_idle_rings(served: &Served) -> u64 {
    let mut looks = 0;
    wait_until("the gap is back at the ring size", || {
        let stats = served.stats();
        looks += 1;
        stats.number("rx.size") - stats.number("rx.gap") <= 1
    });
    looks
}
