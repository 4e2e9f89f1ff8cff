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
    /// The signature of a ring as the guest itself saw it, all of `rx` at one moment.
    #[must_use]
    pub fn of_guest(rx: &RingStats, wire: Wire) -> Signature {
        let gap = rx.avail_idx.wrapping_sub(rx.used_idx);
        if rx.used_idx != harvested_idx(rx) {
            Signature::UsedNotHarvested
        } else {
            Signature::of_gap(gap, rx.size, Signature::Moving, wire)
        }
    }

    /// The signature of a ring as the device sees it, from two looks with some time between.
    #[must_use]
    pub fn of_device(first: Look, second: Look, size: u16, wire: Wire) -> Signature {
        if first != second {
            return Signature::Moving;
        }
        // A ring that stands with a part of its buffers used: nobody takes them in.
        let gap = second.avail_idx.wrapping_sub(second.used_idx);
        Signature::of_gap(gap, size, Signature::UsedNotHarvested, wire)
    }

    fn of_gap(gap: u16, size: u16, between: Signature, wire: Wire) -> Signature {
        match wire {
            _ if gap == 0 => Signature::Starved,
            _ if gap < size => between,
            Wire::Busy => Signature::FrozenDevice,
            Wire::Silent => Signature::QuietWire,
            Wire::Unknown => Signature::FullGap,
        }
    }
}

/// What the device knows of a ring at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Available entries up to here were seen.
    pub avail_idx: u16,
    /// Used entries up to here were written.
    pub used_idx: u16,
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
        for (rx, wire, expected) in [
            (ring(356, 100, 100), Silent, QuietWire),
            (ring(356, 100, 100), Busy, FrozenDevice),
            (ring(356, 100, 100), Unknown, FullGap),
            (ring(100, 100, 100), Busy, Starved),
            (ring(300, 100, 100), Busy, Moving),
            (ring(356, 101, 100), Busy, UsedNotHarvested),
            // Across the wrap of the 16-bit indices.
            (ring(200, 65_480, 65_480 + 3 * 65_536), Busy, FrozenDevice),
        ] {
            assert_eq!(Signature::of_guest(&rx, wire), expected, "{rx:?} {wire:?}");
        }
    }

    #[test]
    fn the_device_s_view_is_judged_by_two_looks() {
        use Signature::*;
        use Wire::*;
        let look = |avail_idx, used_idx| Look {
            avail_idx,
            used_idx,
        };
        for (first, second, wire, expected) in [
            (look(300, 100), look(301, 101), Busy, Moving),
            (look(300, 100), look(300, 101), Silent, Moving),
            (look(300, 100), look(300, 100), Busy, UsedNotHarvested),
            (look(300, 300), look(300, 300), Busy, Starved),
            (look(100, 65_380), look(100, 65_380), Busy, FrozenDevice),
            (look(100, 65_380), look(100, 65_380), Silent, QuietWire),
        ] {
            let seen = Signature::of_device(first, second, 256, wire);
            assert_eq!(seen, expected, "{first:?} {second:?} {wire:?}");
        }
    }
}
