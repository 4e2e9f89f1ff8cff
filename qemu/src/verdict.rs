//! What the figures of a ring say about a guest that does not get on: the incident signatures.
//!
//! `docs/ring.md` has the same table for people.

use quartz_abi::RingStats;
use std::fmt;

/// Whether frames still come in from the host's side of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Frames keep coming for the guest.
    Busy,
    /// Nothing comes.
    Silent,
    /// Nobody looked.
    Unknown,
}

/// The signature of an incident, from the receive ring and the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// The device has handed frames over that the driver has not taken in.
    UsedNotHarvested,
    /// The device owns no buffer: credits leaked, or the loop stopped giving them back.
    Starved,
    /// The device owns every buffer, frames keep coming, none is delivered.
    FrozenDevice,
    /// The device owns every buffer and nothing comes: the cause is outside the guest.
    QuietWire,
    /// The device owns every buffer; without a look at the wire it cannot be said why.
    FullGap,
    /// Buffers move: the ring is not the cause.
    Moving,
}

impl Signature {
    /// The signature of a ring that stands as in `rx`, whose driver has harvested up to
    /// `rx.harvested`. `device_used_idx` is the device's index where it is known better.
    #[must_use]
    pub fn of(rx: &RingStats, device_used_idx: Option<u16>, wire: Wire) -> Signature {
        let used = device_used_idx.unwrap_or(rx.used_idx);
        let gap = rx.avail_idx.wrapping_sub(used);
        if used != harvested_idx(rx) {
            Signature::UsedNotHarvested
        } else if gap == 0 {
            Signature::Starved
        } else if gap < rx.size {
            Signature::Moving
        } else {
            match wire {
                Wire::Busy => Signature::FrozenDevice,
                Wire::Silent => Signature::QuietWire,
                Wire::Unknown => Signature::FullGap,
            }
        }
    }
}

/// The index up to which the driver has taken used entries in. A reset sets the indices back to
/// zero and the count goes on, so after one the driver's own view of `used.idx` has to serve.
fn harvested_idx(rx: &RingStats) -> u16 {
    if rx.resets == 0 {
        rx.harvested as u16
    } else {
        rx.used_idx
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signature::UsedNotHarvested => {
                "used ≠ harvested: the device delivered frames that the driver never took in (lost interrupt, or the loop stands)"
            }
            Signature::Starved => {
                "gap = 0: the device owns no receive buffer (buffers leaked, or the loop does not give them back)"
            }
            Signature::FrozenDevice => {
                "gap = size and busy wire: frames arrive at the host's side, the device delivers none (frozen device or host back end)"
            }
            Signature::QuietWire => {
                "gap = size and silent wire: the ring is ready, no frame arrives (network or client side)"
            }
            Signature::FullGap => {
                "gap = size: the device owns every buffer and delivers nothing (look at the wire to tell a quiet network from a dead device)"
            }
            Signature::Moving => "the receive ring moves: the cause is above it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(avail: u16, used: u16, harvested: u64) -> RingStats {
        RingStats {
            size: 256,
            avail_idx: avail,
            used_idx: used,
            harvested,
            ..RingStats::default()
        }
    }

    #[test]
    fn each_signature_is_told_from_the_others() {
        use Signature::*;
        use Wire::*;
        for (rx, device, wire, expected) in [
            (ring(356, 100, 100), None, Silent, QuietWire),
            (ring(356, 100, 100), None, Busy, FrozenDevice),
            (ring(356, 100, 100), None, Unknown, FullGap),
            (ring(100, 100, 100), None, Busy, Starved),
            (ring(300, 100, 100), None, Busy, Moving),
            (ring(356, 101, 100), None, Busy, UsedNotHarvested),
            (ring(356, 100, 100), Some(107), Silent, UsedNotHarvested),
            // Across the wrap of the 16-bit indices.
            (
                ring(200, 65_480, 65_480 + 3 * 65_536),
                None,
                Busy,
                FrozenDevice,
            ),
        ] {
            assert_eq!(
                Signature::of(&rx, device, wire),
                expected,
                "{rx:?} {wire:?}"
            );
        }
    }
}
