//! Our sequence numbers on the wire.
//!
//! smoltcp draws initial sequence numbers from a generator whose next values follow from a few
//! that were seen. So what it draws stays inside: on the wire each connection begins at a number
//! of RFC 6528, and the difference is added to what leaves and taken from what arrives. That is so
//! for the handshake; afterwards the numbers are `sender`'s.

use crate::segment::Tuple;
use siphasher::sip::SipHasher13;
use smoltcp::time::Instant;

/// How far above the last number of an old connection a new one begins at least.
const MARGIN: u32 = 65_537;

/// Chooses initial sequence numbers.
pub(crate) struct Sequence {
    key: SipHasher13,
}

impl Sequence {
    /// `key` is random.
    pub fn new(key: &[u8; 16]) -> Sequence {
        Sequence {
            key: SipHasher13::new_with_key(key),
        }
    }

    /// A connection's initial sequence number (RFC 6528, 3): a clock that ticks every 4
    /// microseconds, and a keyed hash of the tuple. `above`: the last number of the connection
    /// that had this tuple before and is still remembered (RFC 9293, 3.6.1).
    pub fn initial(&self, tuple: &Tuple, above: Option<u32>, now: Instant) -> u32 {
        let clock = (now.total_micros() >> 2) as u32;
        let number = (tuple.hash(&self.key) as u32).wrapping_add(clock);
        match above {
            Some(last) if (number.wrapping_sub(last) as i32) <= 0 => last.wrapping_add(MARGIN),
            _ => number,
        }
    }
}

/// How the numbers of a connection differ on the wire from smoltcp's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// They do not: this is no connection.
    Plain,
    /// The first segment will have this number.
    From(u32),
    /// By this much.
    Shifted(u32),
    /// smoltcp's numbers stand still; this is where we are.
    At(u32),
}

impl Numbering {
    /// The number on the wire for smoltcp's `seq`, which the first call fixes.
    pub fn outgoing(&mut self, seq: u32) -> u32 {
        match *self {
            Numbering::Plain => seq,
            Numbering::From(first) => {
                *self = Numbering::Shifted(first.wrapping_sub(seq));
                first
            }
            Numbering::Shifted(shift) => seq.wrapping_add(shift),
            Numbering::At(number) => number,
        }
    }

    /// What is to be taken from an acknowledgement, if anything.
    pub fn shift(self) -> Option<u32> {
        match self {
            Numbering::Shifted(shift) => Some(shift),
            Numbering::Plain | Numbering::From(_) | Numbering::At(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::mapped;

    const TUPLE: Tuple = Tuple {
        remote: mapped([10, 0, 2, 2]),
        local: mapped([10, 0, 2, 15]),
        remote_port: 40_000,
        local_port: 80,
    };

    fn initial(above: Option<u32>, seconds: i64) -> u32 {
        Sequence::new(&[1; 16]).initial(&TUPLE, above, Instant::from_secs(seconds))
    }

    #[test]
    fn numbers_rise_with_the_clock_and_depend_on_tuple_and_key() {
        assert_eq!(initial(None, 9).wrapping_sub(initial(None, 5)), 1_000_000);
        let other = Tuple {
            remote_port: 40_001,
            ..TUPLE
        };
        let now = Instant::from_secs(5);
        let of = |key: u8, tuple: &Tuple| Sequence::new(&[key; 16]).initial(tuple, None, now);
        assert_ne!(of(1, &TUPLE), of(1, &other));
        assert_ne!(of(1, &TUPLE), of(2, &TUPLE));
    }

    #[test]
    fn a_new_connection_begins_above_the_old_one() {
        let plain = initial(None, 5);
        for ahead in [0, 1, 100_000, 0x7fff_fffe] {
            let last = plain.wrapping_add(ahead);
            assert_eq!(initial(Some(last), 5), last.wrapping_add(MARGIN));
        }
        assert_eq!(initial(Some(plain.wrapping_sub(1)), 5), plain);
    }

    #[test]
    fn the_first_segment_fixes_the_shift() {
        let mut numbering = Numbering::From(1000);
        assert_eq!(numbering.shift(), None);
        assert_eq!(numbering.outgoing(u32::MAX), 1000);
        assert_eq!(numbering.outgoing(u32::MAX), 1000);
        assert_eq!(numbering.outgoing(5), 1006);
        assert_eq!(numbering.shift(), Some(1001));
    }
}
