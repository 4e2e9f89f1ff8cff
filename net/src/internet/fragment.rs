//! Datagrams in pieces (RFC 791, 3.2; RFC 8200, 4.5), put together again in a few places of fixed
//! size.
//!
//! Pieces that overlap make the whole datagram void (RFC 5722, for IPv4 too); what else of it
//! comes until its deadline is dropped. A piece that came twice is no overlap.

use super::plain::Fragment;
use crate::checksum;
use crate::segment::{ETHERNET, IPV6, MAPPED};
use crate::stats::Fragmented;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use smoltcp::time::{Duration, Instant};

/// Most content of a datagram, in bytes. RFC 1122, 3.3.2 wants 576 at least, RFC 8200, 5 wants
/// 1500.
pub(crate) const LARGEST: usize = 9216;
/// Fragments are counted in units of eight bytes.
const UNIT: usize = 8;
const WORDS: usize = LARGEST / UNIT / 64;
/// How long the first piece waits for the last one (RFC 8200, 4.5; RFC 1122, 3.3.2).
const PATIENCE: Duration = Duration::from_secs(60);
/// Most headers in front of the content.
const HEADERS: usize = ETHERNET + IPV6;

/// Which datagram a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Who sent it.
    pub source: u128,
    /// To whom.
    pub destination: u128,
    /// The sender's number for it.
    pub id: u32,
    /// Its protocol, for IPv4; else 0.
    pub protocol: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    /// Pieces are missing.
    Open,
    /// Pieces overlapped.
    Void,
}

struct Place {
    state: State,
    key: Key,
    since: Instant,
    /// Which units are there.
    units: [u64; WORDS],
    /// Length of the content, once the last piece is there.
    total: Option<usize>,
    /// The headers of the first piece, once it is there, end here.
    head: Option<usize>,
    /// Room for the headers, then the content.
    bytes: Box<[u8]>,
}

/// A datagram of which something was missing for too long.
pub(crate) struct Expired<'a> {
    /// Headers and first bytes of its first piece as a frame, if that is there.
    pub first: Option<&'a [u8]>,
}

/// The places.
pub(crate) struct Fragments {
    places: Vec<Place>,
    /// When the oldest datagram is given up, or before that.
    next: Option<Instant>,
}

impl Fragments {
    /// So many places as become a stack with `memory` bytes.
    pub fn places(memory: usize) -> usize {
        (memory >> 19).clamp(2, 8)
    }

    /// Bytes that they take.
    pub fn cost(memory: usize) -> usize {
        Self::places(memory) * (size_of::<Place>() + HEADERS + LARGEST)
    }

    /// Reserves `places`.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn new(places: usize) -> Fragments {
        let place = || Place {
            state: State::Free,
            key: Key {
                source: 0,
                destination: 0,
                id: 0,
                protocol: 0,
            },
            since: Instant::ZERO,
            units: [0; WORDS],
            total: None,
            head: None,
            bytes: vec![0; HEADERS + LARGEST].into_boxed_slice(),
        };
        Fragments {
            places: (0..places).map(|_| place()).collect(),
            next: None,
        }
    }

    /// When the oldest datagram is given up, or before that; `None`: there is none.
    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    fn earliest(&self) -> Option<Instant> {
        let taken = self.places.iter().filter(|p| p.state != State::Free);
        taken.map(|place| place.since + PATIENCE).min()
    }

    /// Gives up one datagram whose time has come.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn expire(&mut self, now: Instant, stats: &mut Fragmented) -> Option<Expired<'_>> {
        let due = |place: &&Place| place.state != State::Free && place.since + PATIENCE <= now;
        let Some(at) = self.places.iter().position(|place| due(&place)) else {
            self.next = self.earliest();
            return None;
        };
        let place = &mut self.places[at];
        let open = place.state == State::Open;
        place.state = State::Free;
        stats.expired += u64::from(open);
        let head = place.head.filter(|_| open);
        Some(Expired {
            first: head.map(|head| &place.bytes[HEADERS - head..HEADERS + UNIT]),
        })
    }

    /// Takes a piece in, which stands in a plain frame. If it was the last one that was missing,
    /// gives a frame with the whole datagram.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn add(
        &mut self,
        piece: &Fragment,
        frame: &[u8],
        now: Instant,
        stats: &mut Fragmented,
    ) -> Option<&[u8]> {
        stats.received += 1;
        let data = &frame[piece.start..piece.end];
        let end = piece.offset + data.len();
        let uneven = piece.more && !data.len().is_multiple_of(UNIT);
        if data.is_empty() || uneven || end > LARGEST {
            stats.refused += 1;
            return None;
        }
        let at = self.find(&piece.key, now, stats)?;
        let place = &mut self.places[at];
        if place.state == State::Void || !place.take(piece, &frame[..piece.start], data, stats) {
            return None;
        }
        let (total, head) = (place.total?, place.head?);
        if place.len() < total.div_ceil(UNIT) {
            return None;
        }
        place.state = State::Free;
        stats.reassembled += 1;
        let frame = &mut place.bytes[HEADERS - head..HEADERS + total];
        seal(frame, head, total);
        Some(frame)
    }

    /// The place of a datagram, or one for it.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn find(&mut self, key: &Key, now: Instant, stats: &mut Fragmented) -> Option<usize> {
        let mine = |place: &Place| place.state != State::Free && place.key == *key;
        if let Some(at) = self.places.iter().position(mine) {
            return Some(at);
        }
        // One sender gets half of the places: then the oldest is one of his own.
        let of_sender =
            |place: &Place| place.state != State::Free && place.key.source == key.source;
        let greedy = self.places.iter().filter(|p| of_sender(p)).count() >= self.places.len() / 2;
        let free = self.places.iter().position(|p| p.state == State::Free);
        let at = match free {
            Some(at) if !greedy => at,
            _ => {
                let candidates = self.places.iter().enumerate();
                let (at, _) = candidates
                    .filter(|(_, p)| !greedy || of_sender(p))
                    .min_by_key(|(_, p)| p.since)?;
                stats.evicted += 1;
                at
            }
        };
        let place = &mut self.places[at];
        place.state = State::Open;
        place.key = *key;
        place.since = now;
        self.next = self.next.or(Some(now + PATIENCE));
        place.units = [0; WORDS];
        place.total = None;
        place.head = None;
        Some(at)
    }
}

impl Place {
    fn has(&self, unit: usize) -> bool {
        self.units[unit / 64] >> (unit % 64) & 1 != 0
    }

    /// Units that are there.
    fn len(&self) -> usize {
        self.units
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// Takes a piece in. False: there is nothing new in it, or it makes the datagram void.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn take(&mut self, piece: &Fragment, head: &[u8], data: &[u8], stats: &mut Fragmented) -> bool {
        let end = piece.offset + data.len();
        let units = piece.offset / UNIT..end.div_ceil(UNIT);
        let room = HEADERS + piece.offset..HEADERS + end;
        let known = units.clone().filter(|&unit| self.has(unit)).count();
        if known == units.len() && self.bytes[room.clone()] == *data {
            return false;
        }
        let last_unit = (0..WORDS * 64).rfind(|&unit| self.has(unit));
        let beyond = last_unit.is_some_and(|last| last >= end.div_ceil(UNIT));
        let contradicts = match self.total {
            Some(total) if piece.more => end >= total,
            Some(total) => end != total,
            None => !piece.more && beyond,
        };
        if known > 0 || contradicts {
            self.state = State::Void;
            stats.overlapping += 1;
            return false;
        }
        for unit in units {
            self.units[unit / 64] |= 1 << (unit % 64);
        }
        self.bytes[room].copy_from_slice(data);
        if !piece.more {
            self.total = Some(end);
        }
        if piece.offset == 0 {
            self.bytes[HEADERS - head.len()..HEADERS].copy_from_slice(head);
            self.head = Some(head.len());
            if self.key.destination >> 32 != MAPPED >> 32 {
                self.bytes[HEADERS - IPV6 + 6] = piece.protocol;
            }
        }
        true
    }
}

/// Makes the headers of a datagram's first piece those of the whole.
fn seal(frame: &mut [u8], head: usize, total: usize) {
    let ip = &mut frame[ETHERNET..head];
    if ip.len() == IPV6 {
        ip[4..6].copy_from_slice(&(total as u16).to_be_bytes());
        return;
    }
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&((total + 20) as u16).to_be_bytes());
    ip[6..8].fill(0);
    ip[10..12].fill(0);
    let sum = checksum::plain(ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(id: u32, offset: usize, more: bool) -> Fragment {
        Fragment {
            key: Key {
                source: MAPPED | 1,
                destination: MAPPED | 2,
                id,
                protocol: 17,
            },
            offset,
            more,
            start: 34,
            end: 0,
            protocol: 17,
        }
    }

    struct Rig {
        fragments: Fragments,
        stats: Fragmented,
        now: Instant,
    }

    impl Rig {
        #[cfg_attr(target_os = "none", optimize(size))]
        fn new() -> Rig {
            Rig {
                fragments: Fragments::new(4),
                stats: Fragmented::default(),
                now: Instant::from_secs(1),
            }
        }

        #[cfg_attr(target_os = "none", optimize(size))]
        fn add(&mut self, mut piece: Fragment, data: &[u8]) -> Option<Vec<u8>> {
            let mut frame = vec![0x45; 34];
            frame.extend_from_slice(data);
            piece.end = frame.len();
            let whole = self
                .fragments
                .add(&piece, &frame, self.now, &mut self.stats);
            whole.map(|frame| frame[34..].to_vec())
        }
    }

    #[test]
    fn pieces_in_any_order_and_twice() {
        let parts = [&[1u8; 16][..], &[2; 8], &[3; 5]];
        let whole = parts.concat();
        let orders = [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ];
        let mut rig = Rig::new();
        for (id, order) in orders.into_iter().enumerate() {
            for (n, part) in order.into_iter().enumerate() {
                let piece = piece(id as u32, [0, 16, 24][part], part < 2);
                let made = rig.add(piece, parts[part]);
                match n {
                    2 => assert_eq!(made, Some(whole.clone())),
                    _ => {
                        assert_eq!(made, None);
                        assert_eq!(rig.add(piece, parts[part]), None);
                    }
                }
            }
        }
        assert_eq!(rig.stats.reassembled, 6);
        assert_eq!((rig.stats.overlapping, rig.stats.evicted), (0, 0));
    }

    #[test]
    fn an_overlap_voids_the_whole_until_its_deadline() {
        let mut rig = Rig::new();
        assert_eq!(rig.add(piece(1, 0, true), &[1; 16]), None);
        assert_eq!(rig.add(piece(1, 8, true), &[2; 16]), None);
        assert_eq!(rig.stats.overlapping, 1);
        // Neither its rest nor all of it again.
        assert_eq!(rig.add(piece(1, 16, false), &[1; 16]), None);
        assert_eq!(rig.add(piece(1, 0, true), &[1; 16]), None);
        rig.now += PATIENCE;
        assert!(rig.fragments.expire(rig.now, &mut rig.stats).is_some());
        assert!(rig.fragments.expire(rig.now, &mut rig.stats).is_none());
        assert_eq!(rig.add(piece(1, 0, true), &[1; 16]), None);
        assert!(rig.add(piece(1, 16, false), &[1; 16]).is_some());
        assert_eq!(rig.stats.expired, 0, "what was void does not count");
    }

    #[test]
    fn ends_that_contradict_each_other_void_it_too() {
        for (first, second) in [
            ((16, false), (24, false)),
            ((16, true), (8, false)),
            ((8, false), (16, true)),
        ] {
            let mut rig = Rig::new();
            assert_eq!(rig.add(piece(1, first.0, first.1), &[1; 8]), None);
            assert_eq!(rig.add(piece(1, second.0, second.1), &[1; 8]), None);
            assert_eq!(rig.stats.overlapping, 1);
            assert_eq!(rig.add(piece(1, 0, true), &[1; 8]), None);
        }
    }

    #[test]
    fn what_cannot_be_a_piece_takes_no_place() {
        let mut rig = Rig::new();
        rig.add(piece(1, 0, true), &[]);
        rig.add(piece(1, 0, true), &[1; 9]);
        rig.add(piece(1, LARGEST - 8, false), &[1; 9]);
        assert_eq!(rig.stats.refused, 3);
        assert_eq!(rig.fragments.next(), None);
        // The largest there is.
        assert_eq!(rig.add(piece(1, LARGEST - 8, false), &[1; 8]), None);
        assert!(rig.add(piece(1, 0, true), &[1; LARGEST - 8]).is_some());
    }

    #[test]
    fn one_sender_gets_half_of_the_places_and_the_oldest_goes() {
        let mut rig = Rig::new();
        let from = |source, id| {
            let mut piece = piece(id, 0, true);
            piece.key.source = MAPPED | source;
            piece
        };
        for id in 0..1000 {
            rig.now += Duration::from_micros(1);
            rig.add(from(1, id), &[1; 8]);
        }
        assert_eq!(rig.stats.evicted, 998);
        rig.now += Duration::from_micros(1);
        rig.add(from(2, 1), &[2; 8]);
        rig.add(from(3, 1), &[3; 8]);
        assert_eq!(rig.stats.evicted, 998, "there was room for others");
        rig.add(from(4, 1), &[4; 8]);
        assert_eq!(rig.stats.evicted, 999);
        let mut last = from(3, 1);
        (last.offset, last.more) = (8, false);
        assert!(rig.add(last, &[3; 8]).is_some());
    }
}
