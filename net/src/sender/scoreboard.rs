//! What the peer has beyond the oldest missing byte (RFC 2018), and which gaps are lost.
//!
//! A gap is lost by time and not by a count of acknowledgements, as in RFC 8985: what was sent
//! after it has arrived, and a reordering window has passed since. There is one time for each gap
//! instead of one for each segment, that at which it was noticed.

use super::before;
use smoltcp::time::{Duration, Instant};

/// Most ranges that are kept. What is beyond them is as good as not acknowledged.
const MOST: usize = 8;
/// Sack that an option holds (RFC 2018, 3).
pub(crate) const BLOCKS: usize = 4;
/// Bytes above a gap, in segments, that make it lost at once while no reordering was seen
/// (RFC 6675, 2: DupThresh).
const THRESHOLD: u32 = 3;

/// The blocks of a SACK option, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sack {
    /// Number before each block's bytes, and behind them.
    pub blocks: [(u32, u32); BLOCKS],
    /// How many there are.
    pub count: u8,
}

impl Sack {
    /// No blocks.
    pub const NONE: Sack = Sack {
        blocks: [(0, 0); BLOCKS],
        count: 0,
    };

    /// The blocks.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.blocks[..usize::from(self.count)].iter().copied()
    }
}

/// Bytes that have arrived, and the gap below them.
#[derive(Clone, Copy, Debug)]
struct Range {
    start: u32,
    end: u32,
    /// When the gap below was noticed.
    since: Instant,
    /// How far the gap has been sent again.
    next: u32,
    /// When that began.
    resent: Option<Instant>,
}

/// How long a gap may be just late.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tolerance {
    /// The reordering window.
    pub window: Duration,
    /// Segments were seen to overtake each other: a count proves nothing.
    pub reorders: bool,
    /// How long a gap that was sent again may stay.
    pub again: Duration,
    /// Largest segment.
    pub segment: u32,
}

/// What has arrived out of order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scoreboard {
    ranges: [Range; MOST],
    count: u8,
}

impl Scoreboard {
    /// Nothing.
    pub const fn new() -> Scoreboard {
        const NONE: Range = Range {
            start: 0,
            end: 0,
            since: Instant::ZERO,
            next: 0,
            resent: None,
        };
        Scoreboard {
            ranges: [NONE; MOST],
            count: 0,
        }
    }

    fn ranges(&self) -> &[Range] {
        &self.ranges[..usize::from(self.count)]
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that have arrived.
    pub fn bytes(&self) -> u32 {
        let ranges = self.ranges().iter();
        ranges.map(|r| r.end.wrapping_sub(r.start)).sum()
    }

    /// Bytes below a number that have arrived.
    pub fn bytes_before(&self, seq: u32) -> u32 {
        let below = self.ranges().iter().filter(|r| before(r.start, seq));
        let end = |r: &Range| if before(seq, r.end) { seq } else { r.end };
        below.map(|r| end(r).wrapping_sub(r.start)).sum()
    }

    /// Takes blocks in, of what lies between `una` and `max`. True: something was late that was not
    /// sent again, so the network reorders.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn take(&mut self, blocks: &Sack, una: u32, max: u32, now: Instant) -> bool {
        let mut late = false;
        for (start, end) in blocks.iter() {
            // Nothing else can be true, but for what has arrived twice (RFC 2883).
            if before(start, end) && before(una, start) && !before(max, end) {
                let above = self.ranges().iter().find(|r| !before(r.end, start));
                late |= above.is_some_and(|r| before(start, r.start) && r.resent.is_none());
                self.insert(start, end, una, now);
            }
        }
        late
    }

    /// Whether the first block tells of something that has arrived twice (RFC 2883, 4).
    pub fn is_duplicate(blocks: &Sack, ack: u32) -> bool {
        let mut blocks = blocks.iter();
        let Some((start, end)) = blocks.next() else {
            return false;
        };
        let inside = |(from, to): (u32, u32)| !before(start, from) && !before(to, end);
        !before(ack, end) || blocks.next().is_some_and(inside)
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn insert(&mut self, start: u32, end: u32, una: u32, now: Instant) {
        let count = usize::from(self.count);
        let at = self.ranges().iter().position(|r| !before(r.end, start));
        let at = at.unwrap_or(count);
        // Those that the new one touches become one with it.
        let touched = self.ranges[at..count]
            .iter()
            .take_while(|r| !before(end, r.start));
        let touched = touched.count();
        if touched > 0 {
            let last = self.ranges[at + touched - 1].end;
            let first = &mut self.ranges[at];
            if before(start, first.start) {
                first.start = start;
            }
            first.end = if before(end, last) { last } else { end };
            if before(first.start, first.next) {
                first.next = first.start;
            }
            self.ranges.copy_within(at + touched..count, at + 1);
            self.count -= touched as u8 - 1;
        } else if at < MOST {
            // A gap that is divided was noticed when it was whole, and sent again as far as it was.
            let mut range = match self.ranges().get(at) {
                Some(above) => Range {
                    start,
                    end,
                    ..*above
                },
                None => Range {
                    start,
                    end,
                    since: now,
                    next: self.floor(at, una),
                    resent: None,
                },
            };
            if before(start, range.next) {
                range.next = start;
            }
            // What is highest is forgotten first: it is needed last.
            let kept = count.min(MOST - 1);
            self.ranges.copy_within(at..kept, at + 1);
            self.ranges[at] = range;
            self.count = kept as u8 + 1;
        }
        self.raise(una);
    }

    /// Nothing is sent again below the gap that it lies in.
    fn raise(&mut self, una: u32) {
        let mut floor = una;
        for range in &mut self.ranges[..usize::from(self.count)] {
            if before(range.next, floor) {
                range.next = floor;
            }
            floor = range.end;
        }
    }

    /// Drops what lies before `una`. True: something was late that was not sent again.
    pub fn acknowledge(&mut self, una: u32) -> bool {
        let count = usize::from(self.count);
        let late = |r: &Range| !before(una, r.start) && r.resent.is_none();
        let late = self.ranges().first().is_some_and(late);
        let gone = self
            .ranges()
            .iter()
            .take_while(|r| !before(una, r.end))
            .count();
        self.ranges.copy_within(gone..count, 0);
        self.count -= gone as u8;
        if let Some(first) = self.ranges[..count - gone].first_mut()
            && before(first.start, una)
        {
            first.start = una;
        }
        self.raise(una);
        late
    }

    /// Takes note that the bytes between two numbers were sent again, for another reason than
    /// [`Scoreboard::resend`].
    pub fn resent(&mut self, start: u32, end: u32, now: Instant) {
        let count = usize::from(self.count);
        let gap = self.ranges[..count]
            .iter_mut()
            .find(|r| before(start, r.start));
        if let Some(range) = gap {
            range.resent.get_or_insert(now);
            if before(range.next, end) {
                range.next = if before(end, range.start) {
                    end
                } else {
                    range.start
                };
            }
        }
    }

    /// Everything has to be sent again.
    pub fn forget_resent(&mut self, una: u32) {
        let mut floor = una;
        for range in &mut self.ranges[..usize::from(self.count)] {
            range.resent = None;
            range.next = floor;
            floor = range.end;
        }
    }

    /// Where a gap begins that lies below the range at `at`.
    fn floor(&self, at: usize, una: u32) -> u32 {
        match at {
            0 => una,
            at => self.ranges[at - 1].end,
        }
    }

    /// Bytes above the gap below the range at `at`.
    fn above(&self, at: usize) -> u32 {
        let ranges = self.ranges()[at..].iter();
        ranges.map(|r| r.end.wrapping_sub(r.start)).sum()
    }

    /// When the gap below the range at `at` is lost, for the first time or again.
    fn lost_at(&self, at: usize, una: u32, tolerance: &Tolerance) -> Option<Instant> {
        let range = &self.ranges[at];
        if !before(self.floor(at, una), range.start) {
            return None;
        }
        if let Some(resent) = range.resent {
            // Only when all of it was sent again it can be lost again.
            return (range.next == range.start).then(|| resent + tolerance.again);
        }
        let plenty = self.above(at) > (THRESHOLD - 1) * tolerance.segment;
        match plenty && !tolerance.reorders {
            true => Some(range.since),
            false => Some(range.since + tolerance.window),
        }
    }

    /// Whether a gap is lost and not sent again.
    pub fn has_lost(&self, una: u32, tolerance: &Tolerance, now: Instant) -> bool {
        (0..usize::from(self.count)).any(|at| self.is_open(at, una, tolerance, now))
    }

    /// Whether something of the gap below the range at `at` is to be sent again now.
    fn is_open(&self, at: usize, una: u32, tolerance: &Tolerance, now: Instant) -> bool {
        let range = &self.ranges[at];
        let begun = range.resent.is_some() && before(range.next, range.start);
        begun
            || self
                .lost_at(at, una, tolerance)
                .is_some_and(|lost| lost <= now)
    }

    /// When a gap is lost next that is not lost yet.
    pub fn next_loss(&self, una: u32, tolerance: &Tolerance, now: Instant) -> Option<Instant> {
        let all = 0..usize::from(self.count);
        let lost = all.filter_map(|at| self.lost_at(at, una, tolerance));
        lost.filter(|at| *at > now).min()
    }

    /// Bytes that are lost and were not sent again.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn missing(&self, una: u32, tolerance: &Tolerance, now: Instant) -> u32 {
        let mut bytes = 0;
        for at in 0..usize::from(self.count) {
            let range = &self.ranges[at];
            if !self.is_open(at, una, tolerance, now) {
                continue;
            }
            let all_again = range.next == range.start;
            let from = if all_again {
                self.floor(at, una)
            } else {
                range.next
            };
            bytes += range.start.wrapping_sub(from);
        }
        bytes
    }

    /// The next piece to be sent again: where it begins and ends.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn resend(&mut self, una: u32, tolerance: &Tolerance, now: Instant) -> Option<(u32, u32)> {
        let all = 0..usize::from(self.count);
        let at = all
            .into_iter()
            .find(|&at| self.is_open(at, una, tolerance, now))?;
        let floor = self.floor(at, una);
        let range = &mut self.ranges[at];
        if range.next == range.start || range.resent.is_none() {
            range.next = floor;
            range.resent = Some(now);
        }
        let start = range.next;
        let len = range.start.wrapping_sub(start).min(tolerance.segment);
        range.next = start.wrapping_add(len);
        Some((start, range.next))
    }

    /// The range that holds a number: where it ends.
    pub fn end_of(&self, seq: u32) -> Option<u32> {
        let inside = |r: &&Range| !before(seq, r.start) && before(seq, r.end);
        self.ranges().iter().find(inside).map(|r| r.end)
    }

    /// Where the next range above a number begins.
    pub fn next_above(&self, seq: u32) -> Option<u32> {
        let above = |r: &&Range| before(seq, r.start);
        self.ranges().iter().find(above).map(|r| r.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    const TOLERANCE: Tolerance = Tolerance {
        window: Duration::from_millis(10),
        reorders: false,
        again: Duration::from_millis(100),
        segment: 10,
    };

    fn sack(start: u32, end: u32) -> Sack {
        let mut sack = Sack::default();
        sack.blocks[0] = (start, end);
        sack.count = 1;
        sack
    }

    #[test]
    fn agrees_with_a_set_of_bytes_over_the_wrap() {
        let mut random = 7u64;
        let mut next = move |below: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            ((random >> 33) % below) as u32
        };
        for _ in 0..300 {
            let base = 0u32.wrapping_sub(next(400));
            let (mut score, mut model) = (Scoreboard::new(), BTreeSet::new());
            let (mut una, max) = (0, 400);
            let mut full = false;
            let mut now = Instant::from_secs(1);
            for _ in 0..40 {
                now += Duration::from_millis(u64::from(next(20)));
                let number = |at: u32| base.wrapping_add(at);
                if una >= max {
                    break;
                }
                let start = una + 1 + next(u64::from(max - una));
                let end = (start + next(40)).min(max);
                score.take(
                    &sack(number(start), number(end)),
                    number(una),
                    number(max),
                    now,
                );
                model.extend(start..end);
                if next(4) == 0 {
                    // The first gap is filled, as far as the set knows.
                    una = una.max((una..=max).find(|at| !model.contains(at)).unwrap_or(max));
                    if next(2) == 0 {
                        una = (una + next(30)).min(max);
                        una = (una..=max).find(|at| !model.contains(at)).unwrap_or(max);
                    }
                    model.retain(|at| *at >= una);
                    score.acknowledge(number(una));
                }
                let here: Vec<(u32, u32)> =
                    score.ranges().iter().map(|r| (r.start, r.end)).collect();
                // What is kept is right, in order, apart, and all there is unless it is too much.
                let kept = |at: &u32| {
                    here.iter()
                        .any(|r| !before(number(*at), r.0) && before(number(*at), r.1))
                };
                let known = (una..max).filter(kept).count();
                assert_eq!(known, score.bytes() as usize);
                assert!((una..max).filter(kept).all(|at| model.contains(&at)));
                assert!(here.windows(2).all(|pair| before(pair[0].1, pair[1].0)));
                full |= here.len() == MOST;
                if !full {
                    assert_eq!(known, model.len());
                }
                while let Some((start, end)) = score.resend(number(una), &TOLERANCE, now) {
                    let range = start.wrapping_sub(base)..end.wrapping_sub(base);
                    assert!(!range.is_empty() && range.len() <= 10);
                    assert!(range.into_iter().all(|at| at >= una && !kept(&at)));
                }
                assert!(!score.has_lost(number(una), &TOLERANCE, now));
                assert_eq!(score.missing(number(una), &TOLERANCE, now), 0);
            }
        }
    }

    #[test]
    fn a_gap_is_sent_again_once_and_later_once_more() {
        let now = Instant::from_secs(1);
        let mut score = Scoreboard::new();
        score.take(&sack(130, 160), 100, 200, now);
        let pieces = |score: &mut Scoreboard, now| {
            let mut pieces = Vec::new();
            while let Some(piece) = score.resend(100, &TOLERANCE, now) {
                pieces.push(piece);
            }
            pieces
        };
        let all = [(100, 110), (110, 120), (120, 130)];
        assert_eq!(score.missing(100, &TOLERANCE, now), 30);
        assert_eq!(pieces(&mut score, now), all);
        assert_eq!(pieces(&mut score, now + Duration::from_millis(99)), []);
        assert_eq!(pieces(&mut score, now + Duration::from_millis(100)), all);
        // A piece of it that arrives is not sent any more.
        score.take(&sack(110, 120), 100, 200, now);
        let later = now + Duration::from_millis(300);
        assert_eq!(pieces(&mut score, later), [(100, 110), (120, 130)]);
    }

    #[test]
    fn little_that_overtakes_proves_nothing_until_the_window_is_over() {
        let now = Instant::from_secs(1);
        let mut score = Scoreboard::new();
        score.take(&sack(110, 130), 100, 200, now);
        assert!(!score.has_lost(100, &TOLERANCE, now));
        let lost = now + TOLERANCE.window;
        assert_eq!(score.next_loss(100, &TOLERANCE, now), Some(lost));
        assert!(score.has_lost(100, &TOLERANCE, lost));
        // What was late was not lost: the network reorders.
        assert!(score.acknowledge(130));
    }

    #[test]
    fn what_has_arrived_twice_is_noticed() {
        assert!(Scoreboard::is_duplicate(&sack(10, 20), 100));
        assert!(!Scoreboard::is_duplicate(&sack(110, 120), 100));
        let mut twice = sack(110, 120);
        twice.blocks[1] = (105, 130);
        twice.count = 2;
        assert!(Scoreboard::is_duplicate(&twice, 100));
    }
}
