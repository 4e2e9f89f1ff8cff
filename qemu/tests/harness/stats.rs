//! The guest's figures, as `/stats.json` gives them.

use super::guest::Served;
use super::{soon, wait_until};
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

/// Waits until the device owns every receive buffer and no frame to send.
///
/// Asked on the console: a question over HTTP would itself hold some buffers.
pub fn wait_for_idle_rings(served: &mut Served) {
    wait_until("the gap is back at the ring size", || {
        let rx = ring(served, "rx");
        let tx = ring(served, "tx");
        let number = |line: &str, name: &str| -> u64 {
            let mut words = line.split(' ').skip_while(|word| *word != name);
            let value = words.nth(1).and_then(|word| word.parse().ok());
            value.unwrap_or_else(|| panic!("no {name} in {line}"))
        };
        number(&rx, "gap") == number(&rx, "size") && number(&tx, "gap") == 0
    });
}

/// What the console's `stats` says of a ring.
fn ring(served: &mut Served, name: &str) -> String {
    let mark = served.guest.journal().mark();
    served.guest.type_line("stats").unwrap();
    let start = format!("{name}: size ");
    let end = " resets ";
    let line = served.guest.journal().wait_for(mark, soon(), |line| {
        line.starts_with(&start) && line.contains(end)
    });
    line.expect("an answer to `stats`")
}
