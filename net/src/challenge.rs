//! Segments that may be forged, judged before smoltcp sees them (RFC 5961): a reset is believed if
//! it has exactly the next number, and a SYN or an acknowledgement that cannot be true is answered
//! with what is true, now and then. A peer that is honest then proves it.

use crate::segment::Segment;
use smoltcp::time::{Duration, Instant};

/// Least time between two challenges on a connection, as in Linux. A limit for all connections
/// together would tell one peer of the others' (RFC 5961, 7, and what came of it: CVE-2016-5696).
const PAUSE: Duration = Duration::from_millis(500);

/// What becomes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is taken.
    Take,
    /// The peer is told where we are, and the segment is dropped.
    Challenge,
    /// It is dropped.
    Drop,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// The next number that we expect (RCV.NXT).
    pub next: u32,
    /// How much of what follows we would take (RCV.WND).
    pub window: u32,
    /// The oldest number of ours that is not acknowledged (SND.UNA).
    pub una: u32,
    /// The number behind all that we have sent (SND.NXT).
    pub max: u32,
    /// The widest window that the peer has told (MAX.SND.WND).
    pub widest: u32,
}

/// Judges a segment of a connection whose handshake is complete.
pub(crate) fn judge(segment: &Segment, standing: &Standing) -> Verdict {
    let flags = segment.flags;
    if flags.rst() {
        // RFC 5961, 3.2.
        let ahead = segment.seq.wrapping_sub(standing.next);
        return match ahead {
            0 => Verdict::Take,
            _ if ahead < standing.window => Verdict::Challenge,
            _ => Verdict::Drop,
        };
    }
    if flags.syn() {
        // RFC 5961, 4.2.
        return Verdict::Challenge;
    }
    if !flags.acknowledges() {
        return Verdict::Drop;
    }
    // RFC 5961, 5.2: SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT.
    let oldest = standing.una.wrapping_sub(standing.widest);
    let reach = standing.max.wrapping_sub(oldest);
    match segment.ack.wrapping_sub(oldest) <= reach {
        true => Verdict::Take,
        false => Verdict::Challenge,
    }
}

/// When the last challenge was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Challenges {
    again: Instant,
}

impl Challenges {
    /// There was none.
    pub const fn new() -> Challenges {
        Challenges {
            again: Instant::ZERO,
        }
    }

    /// Whether there may be one now; if so, it counts.
    pub fn allows(&mut self, now: Instant) -> bool {
        let may = now >= self.again;
        if may {
            self.again = now + PAUSE;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Flags, Tuple};

    const STANDING: Standing = Standing {
        next: 0xffff_fff0,
        window: 100,
        una: 0xffff_ff00,
        max: 0x100,
        widest: 0x1000,
    };

    fn verdict(flags: u8, seq: u32, ack: u32) -> Verdict {
        let tuple = Tuple {
            remote: 1,
            local: 2,
            remote_port: 3,
            local_port: 4,
        };
        let segment = Segment {
            tuple,
            seq,
            ack,
            flags: Flags(flags),
            window: 0,
            payload: 0,
            start: 0,
            source: [0; 6],
        };
        judge(&segment, &STANDING)
    }

    const SYN: u8 = 2;
    const RST: u8 = 4;
    const ACK: u8 = 16;

    #[test]
    fn a_reset_has_to_hit_the_number() {
        assert_eq!(verdict(RST, 0xffff_fff0, 0), Verdict::Take);
        for seq in [0xffff_fff1, 0, 0x53] {
            assert_eq!(verdict(RST, seq, 0), Verdict::Challenge, "{seq:x}");
        }
        for seq in [0xffff_ffef, 0x54, 0x8000_0000] {
            assert_eq!(verdict(RST | ACK, seq, 0), Verdict::Drop, "{seq:x}");
        }
    }

    #[test]
    fn a_syn_is_challenged_wherever_it_lies() {
        for seq in [0, 0xffff_fff0, 0x8000_0000] {
            assert_eq!(verdict(SYN, seq, 0), Verdict::Challenge);
            assert_eq!(verdict(SYN | ACK, seq, 0), Verdict::Challenge);
        }
    }

    #[test]
    fn an_acknowledgement_has_to_be_possible() {
        for ack in [0xffff_ef00, 0xffff_ff00, 0, 0x100] {
            assert_eq!(verdict(ACK, 0xffff_fff0, ack), Verdict::Take, "{ack:x}");
        }
        for ack in [0x101, 0xffff_eeff, 0x7000_0000] {
            assert_eq!(
                verdict(ACK, 0xffff_fff0, ack),
                Verdict::Challenge,
                "{ack:x}"
            );
        }
        assert_eq!(verdict(0, 0xffff_fff0, 0), Verdict::Drop);
    }
}
