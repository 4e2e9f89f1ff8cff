//! The heartbeat: a line on the serial port, every few seconds, for machines (`heartbeat=SECS`).
//!
//! `heartbeat up_ms=12000 requests=34 open=2 rx=300/44/44 tx=20/20/20`
//!
//! A ring is `avail_idx/used_idx/harvested`, the last one modulo 2^16. The main loop writes the
//! line, so that it comes says that the loop turns.

use crate::ring::RingStats;
use core::fmt;

const WORD: &str = "heartbeat ";

/// How far a ring has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Indices {
    /// `avail.idx`.
    pub avail: u16,
    /// `used.idx` as the guest last read it.
    pub used: u16,
    /// Used entries taken in, modulo 2^16.
    pub harvested: u16,
}

impl From<&RingStats> for Indices {
    fn from(ring: &RingStats) -> Indices {
        Indices {
            avail: ring.avail_idx,
            used: ring.used_idx,
            harvested: ring.harvested as u16,
        }
    }
}

/// What one line says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// Milliseconds since boot.
    pub up_ms: u64,
    /// Requests answered.
    pub requests: u64,
    /// Connections open.
    pub open: u64,
    /// Receive ring.
    pub rx: Indices,
    /// Transmit ring.
    pub tx: Indices,
}

impl Heartbeat {
    /// The heartbeat on a line of the serial port, if it is one.
    #[must_use]
    pub fn parse(line: &str) -> Option<Heartbeat> {
        let mut beat = Heartbeat::default();
        let mut seen = 0;
        for word in line.strip_prefix(WORD)?.split_ascii_whitespace() {
            let (key, value) = word.split_once('=')?;
            match key {
                "up_ms" => beat.up_ms = value.parse().ok()?,
                "requests" => beat.requests = value.parse().ok()?,
                "open" => beat.open = value.parse().ok()?,
                "rx" => beat.rx = Indices::parse(value)?,
                "tx" => beat.tx = Indices::parse(value)?,
                // A newer kernel may say more.
                _ => continue,
            }
            seen += 1;
        }
        (seen == 5).then_some(beat)
    }
}

impl Indices {
    fn parse(text: &str) -> Option<Indices> {
        let mut parts = text.split('/').map(|part| part.parse().ok());
        let indices = Indices {
            avail: parts.next()??,
            used: parts.next()??,
            harvested: parts.next()??,
        };
        parts.next().is_none().then_some(indices)
    }
}

impl fmt::Display for Indices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.avail, self.used, self.harvested)
    }
}

impl fmt::Display for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{WORD}up_ms={} requests={} open={} rx={} tx={}",
            self.up_ms, self.requests, self.open, self.rx, self.tx
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn what_is_written_is_read() {
        let beat = Heartbeat {
            up_ms: u64::MAX,
            requests: 7,
            open: 2,
            rx: Indices {
                avail: 300,
                used: 44,
                harvested: 65_535,
            },
            tx: Indices::default(),
        };
        let line = format!("{beat}");
        assert_eq!(Heartbeat::parse(&line), Some(beat));
        assert_eq!(Heartbeat::parse(&format!("{line} more=1")), Some(beat));
    }

    #[test]
    fn other_lines_are_none() {
        for line in [
            "",
            "heartbeat",
            "heartbeat up_ms=1 requests=2 open=3 rx=1/2/3",
            "heartbeat up_ms=1 requests=2 open=3 rx=1/2/3 tx=1/2",
            "heartbeat up_ms=1 requests=2 open=3 rx=1/2/3 tx=1/2/3/4",
            "heartbeat up_ms=x requests=2 open=3 rx=1/2/3 tx=1/2/3",
            "[    0.1] INFO heartbeat up_ms=1 requests=2 open=3 rx=1/2/3 tx=1/2/3",
        ] {
            assert_eq!(Heartbeat::parse(line), None, "{line}");
        }
    }
}
