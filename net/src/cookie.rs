//! SYN cookies (RFC 4987, 3.6): a handshake that takes no memory until the peer has proved that it
//! hears us.
//!
//! Our initial sequence number is the cookie: 24 bits of a keyed hash over both ends, the peer's
//! number and the time, and 8 bits of what is to be remembered of the peer's SYN. There is no room
//! for all of it, so the options are rounded down to a few values; nothing else is lost.
//!
//! | bits | what |
//! | --- | --- |
//! | 30–31 | the time, in steps of 64 s |
//! | 28–29 | segment size |
//! | 25–27 | window scale |
//! | 24 | selective acknowledgements |
//! | 0–23 | hash |

use crate::segment::{Segment, Tuple};
use crate::sender::Peer;
use siphasher::sip::SipHasher13;
use smoltcp::time::Instant;

/// Seconds of a step of the time. A cookie is good for this step and the next.
const STEP: i64 = 64;
/// Segment sizes, for IPv4 and IPv6: the least, those of tunnels, and those of Ethernet.
const SEGMENTS: [[u16; 4]; 2] = [[536, 1300, 1440, 1460], [1220, 1360, 1420, 1440]];
/// Window scales; the first stands for a SYN without the option too.
const SCALES: [u8; 7] = [0, 2, 4, 6, 7, 8, 10];
/// The code for a SYN without the option.
const UNSCALED: usize = 7;

/// Makes and checks cookies.
pub(crate) struct Cookies {
    key: SipHasher13,
    /// When the last one was sent: later than two steps after it none is good, and nobody can
    /// guess one.
    issued: Option<i64>,
}

impl Cookies {
    /// `key` is random.
    pub fn new(key: &[u8; 16]) -> Cookies {
        Cookies {
            key: SipHasher13::new_with_key(key),
            issued: None,
        }
    }

    /// The cookie for a SYN, and what will be known of its options.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn issue(&mut self, segment: &Segment, peer: Peer, now: Instant) -> (u32, Peer) {
        let step = now.secs() / STEP;
        self.issued = Some(step);
        let data = encode(&segment.tuple, peer);
        let cookie = self.cookie(&segment.tuple, segment.seq, step, data);
        (cookie, decode(&segment.tuple, data))
    }

    /// The options of the SYN whose cookie `segment` acknowledges, if it does.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn check(&self, segment: &Segment, now: Instant) -> Option<Peer> {
        let step = now.secs() / STEP;
        self.issued.filter(|issued| step - issued <= 1)?;
        let cookie = segment.ack.wrapping_sub(1);
        let age = (step as u32).wrapping_sub(cookie >> 30) & 3;
        let (irs, data) = (segment.seq.wrapping_sub(1), cookie >> 24 & 0x3f);
        let right = self.cookie(&segment.tuple, irs, step - i64::from(age), data);
        (age <= 1 && right == cookie).then(|| decode(&segment.tuple, data))
    }

    fn cookie(&self, tuple: &Tuple, irs: u32, step: i64, data: u32) -> u32 {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&tuple.hash(&self.key).to_ne_bytes());
        bytes[8..16].copy_from_slice(&step.to_ne_bytes());
        bytes[16..20].copy_from_slice(&irs.to_ne_bytes());
        bytes[20..].copy_from_slice(&data.to_ne_bytes());
        (step as u32) << 30 | data << 24 | self.key.hash(&bytes) as u32 & 0xff_ffff
    }
}

fn segments(tuple: &Tuple) -> &'static [u16; 4] {
    &SEGMENTS[usize::from(!tuple.is_ipv4())]
}

/// Six bits about a peer.
fn encode(tuple: &Tuple, peer: Peer) -> u32 {
    let size = segments(tuple).iter().rposition(|&s| s <= peer.segment);
    let scale = match peer.scale {
        None => UNSCALED,
        Some(scale) => SCALES.iter().rposition(|&s| s <= scale).unwrap_or(0),
    };
    (size.unwrap_or(0) << 4 | scale << 1) as u32 | u32::from(peer.sack)
}

fn decode(tuple: &Tuple, data: u32) -> Peer {
    Peer {
        segment: segments(tuple)[(data >> 4 & 3) as usize],
        scale: SCALES.get((data >> 1 & 7) as usize).copied(),
        sack: data & 1 != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Flags, mapped};

    fn syn() -> Segment {
        Segment {
            tuple: Tuple {
                remote: mapped([192, 0, 2, 7]),
                local: mapped([10, 0, 2, 15]),
                remote_port: 40_000,
                local_port: 80,
            },
            seq: 1000,
            ack: 0,
            flags: Flags(2),
            window: 64_000,
            payload: 0,
            start: 34,
            source: [2; 6],
        }
    }

    const PEER: Peer = Peer {
        segment: 1460,
        scale: Some(7),
        sack: true,
    };

    fn ack(cookie: u32) -> Segment {
        Segment {
            seq: 1001,
            ack: cookie.wrapping_add(1),
            flags: Flags(Flags::ACK),
            ..syn()
        }
    }

    #[test]
    fn a_cookie_comes_back_with_what_it_remembers() {
        let mut cookies = Cookies::new(&[3; 16]);
        let now = Instant::from_secs(1000);
        for segment in [100, 536, 1000, 1400, 1460, 8960] {
            for scale in [None, Some(0), Some(1), Some(7), Some(9), Some(14)] {
                let peer = Peer {
                    segment,
                    scale,
                    sack: segment == 1000,
                };
                let (cookie, known) = cookies.issue(&syn(), peer, now);
                assert_eq!(cookies.check(&ack(cookie), now), Some(known));
                assert_eq!(known.sack, peer.sack);
                assert!(known.segment <= segment.max(536));
                assert_eq!(known.scale.is_some(), scale.is_some());
                assert!(known.scale <= scale, "never more than there is");
            }
        }
        let (_, known) = cookies.issue(&syn(), PEER, now);
        assert_eq!(known, PEER, "what most clients say is kept whole");
    }

    #[test]
    fn nothing_else_is_a_cookie() {
        let mut cookies = Cookies::new(&[3; 16]);
        let now = Instant::from_secs(1000);
        let (cookie, _) = cookies.issue(&syn(), PEER, now);
        let right = ack(cookie);
        let mut others = std::vec![
            Segment { seq: 1002, ..right },
            Segment {
                ack: right.ack ^ 0x1000,
                ..right
            },
            Segment {
                ack: right.ack ^ 1 << 27,
                ..right
            },
        ];
        let mut other = right;
        other.tuple.remote_port += 1;
        others.push(other);
        other = right;
        other.tuple.remote += 1;
        others.push(other);
        for other in others {
            assert_eq!(cookies.check(&other, now), None);
        }
        let stranger = Cookies {
            issued: cookies.issued,
            ..Cookies::new(&[4; 16])
        };
        assert_eq!(stranger.check(&right, now), None);
    }

    #[test]
    fn a_cookie_grows_old() {
        let mut cookies = Cookies::new(&[3; 16]);
        let at = |s| Instant::from_secs(1024 + s);
        let (cookie, _) = cookies.issue(&syn(), PEER, at(63));
        assert!(cookies.check(&ack(cookie), at(64)).is_some());
        assert!(cookies.check(&ack(cookie), at(127)).is_some());
        assert!(cookies.check(&ack(cookie), at(128)).is_none());
        // Other cookies are issued; the two bits come round again.
        cookies.issue(&syn(), PEER, at(256));
        assert!(cookies.check(&ack(cookie), at(256)).is_none());
    }

    #[test]
    fn without_a_cookie_issued_none_is_good() {
        let mut cookies = Cookies::new(&[3; 16]);
        let (cookie, _) = cookies.issue(&syn(), PEER, Instant::from_secs(0));
        cookies.issued = None;
        assert_eq!(cookies.check(&ack(cookie), Instant::from_secs(0)), None);
    }
}
