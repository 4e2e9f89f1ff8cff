//! The ledger against a plain list of who holds what, in every state that a small one has.

use super::{BadUsed, Ledger, Length};
use crate::index::RingIndex;
use std::collections::{BTreeSet, VecDeque};
use std::format;
use std::string::String;
use std::vec::Vec;

const SHORTEST: u32 = 12;
const LONGEST: u32 = 2048;

impl Ledger {
    /// A ledger whose rings have come as far as `index`.
    fn beginning_at(size: u16, index: RingIndex) -> Ledger {
        let mut ledger = Ledger::new(size);
        ledger.written = index;
        ledger.published = index;
        ledger.seen = index;
        ledger.taken = index;
        ledger
    }
}

/// What a ledger should say, kept as simply as possible: lists of descriptors.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Books {
    free: Vec<u16>,
    held: Vec<u16>,
    written: Vec<u16>,
    published: Vec<u16>,
    /// Used, and `used.idx` shows it.
    used: VecDeque<u16>,
    /// Of these, how many the ledger has seen.
    seen: usize,
    posts: usize,
}

#[derive(Clone)]
struct World {
    ledger: Ledger,
    books: Books,
    credits: Vec<super::Credit>,
    used_idx: RingIndex,
}

impl World {
    fn key(&self) -> String {
        format!("{:?} {:?}", self.books, self.ledger)
    }

    fn take(&mut self) -> bool {
        let credit = self.ledger.take_free();
        let expected = self.books.free.pop();
        assert_eq!(credit.as_ref().map(super::Credit::id), expected);
        self.books.held.extend(expected);
        self.credits.extend(credit);
        expected.is_some()
    }

    fn release(&mut self) -> bool {
        let Some(credit) = self.credits.pop() else {
            return false;
        };
        self.books.free.extend(self.books.held.pop());
        self.ledger.release(credit);
        true
    }

    fn post(&mut self) -> bool {
        let Some(credit) = self.credits.pop() else {
            return false;
        };
        let at = self.ledger.post(credit);
        let before = self.books.written.len() + self.books.published.len() + self.books.used.len();
        let taken = self.ledger.taken();
        assert_eq!(usize::from(at.since(taken)), before);
        self.books.written.extend(self.books.held.pop());
        self.books.posts += 1;
        true
    }

    fn publish(&mut self) -> bool {
        let count = self.books.written.len();
        assert_eq!(self.ledger.has_unpublished(), count > 0);
        let (old, new) = self.ledger.publish();
        assert_eq!(usize::from(new.since(old)), count);
        self.books.published.append(&mut self.books.written);
        count > 0
    }

    /// The device uses the `nth` of the published buffers.
    fn device_uses(&mut self, nth: usize) -> bool {
        if nth >= self.books.published.len() {
            return false;
        }
        let id = self.books.published.remove(nth);
        self.books.used.push_back(id);
        self.used_idx = self.used_idx.plus(1);
        true
    }

    fn observe(&mut self) -> bool {
        self.ledger.observe(self.used_idx).expect("it is true");
        let changed = self.books.seen != self.books.used.len();
        self.books.seen = self.books.used.len();
        changed
    }

    fn accept(&mut self) -> bool {
        assert_eq!(self.ledger.has_seen(), self.books.seen > 0);
        if self.books.seen == 0 {
            return false;
        }
        let id = self.books.used.pop_front().expect("one was seen");
        self.books.seen -= 1;
        let credit = self.ledger.accept(id.into(), 60, SHORTEST, LONGEST);
        let credit = credit.expect("the entry is true");
        assert_eq!(credit.id(), id);
        self.books.held.push(id);
        self.credits.push(credit);
        true
    }

    fn reclaim(&mut self) -> bool {
        self.ledger.reclaim();
        let mut back: Vec<u16> = self.books.written.drain(..).collect();
        back.append(&mut self.books.published);
        back.extend(self.books.used.drain(..));
        back.sort_unstable();
        self.books.free.append(&mut back);
        self.books.seen = 0;
        self.used_idx = RingIndex::ZERO;
        true
    }

    /// Every lie about this state is found out, and changes nothing.
    fn lies(&mut self) {
        let before = self.key();
        let size = u32::from(self.ledger.size());
        for id in (0..size + 2).chain([0x7fff, 0xffff, 0x1_0000, u32::MAX]) {
            let outstanding = u16::try_from(id).is_ok_and(|id| {
                self.books.published.contains(&id) || self.books.used.contains(&id)
            });
            if outstanding {
                for (len, fault) in [
                    (0, Length::Short),
                    (SHORTEST - 1, Length::Short),
                    (LONGEST + 1, Length::Long),
                    (u32::MAX, Length::Long),
                ] {
                    let said = self.ledger.accept(id, len, SHORTEST, LONGEST);
                    assert_eq!(said, Err(BadUsed::Length { id, len, fault }));
                }
            } else {
                let said = self.ledger.accept(id, 60, SHORTEST, LONGEST);
                let len = 60;
                let expected = if id < size {
                    BadUsed::NotOutstanding { id, len }
                } else {
                    BadUsed::NoSuchId { id, len }
                };
                assert_eq!(said, Err(expected), "{self:?}");
            }
        }
        // Every used.idx that would go back, or past what was published.
        let taken = self.ledger.taken();
        let most = (self.books.used.len() + self.books.published.len()) as u16;
        for ahead in (0..=2 * self.ledger.size() + 2).chain([0x7fff, 0x8000, 0xfffe, 0xffff]) {
            let idx = taken.plus(ahead);
            let possible = usize::from(ahead) >= self.books.seen && ahead <= most;
            let mut copy = self.ledger.clone();
            assert_eq!(copy.observe(idx).is_ok(), possible, "{idx}: {self:?}");
        }
        assert_eq!(self.key(), before);
    }

    fn balances(&self) {
        let (ledger, books) = (&self.ledger, &self.books);
        assert!(ledger.holds(), "{self:?}");
        let stats = ledger.stats(0);
        let unseen = books.used.len() - books.seen;
        assert_eq!(usize::from(stats.gap), books.published.len() + unseen);
        assert_eq!(usize::from(stats.free), books.free.len());
        let all: BTreeSet<u16> = books
            .free
            .iter()
            .chain(&books.held)
            .chain(&books.written)
            .chain(&books.published)
            .chain(&books.used)
            .copied()
            .collect();
        assert_eq!(all.len(), usize::from(ledger.size()), "one owner each");
    }
}

impl core::fmt::Debug for World {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?} {:?}", self.books, self.ledger)
    }
}

/// Walks through every state that `size` descriptors and at most `posts` posts can reach.
fn explore(size: u16, posts: usize, start: u16) -> usize {
    let start = RingIndex::new(start);
    let books = Books {
        free: (0..size).rev().collect(),
        ..Books::default()
    };
    let first = World {
        ledger: Ledger::beginning_at(size, start),
        books,
        credits: Vec::new(),
        used_idx: start,
    };
    let mut known = BTreeSet::from([first.key()]);
    let mut queue = VecDeque::from([first]);
    while let Some(mut world) = queue.pop_front() {
        world.balances();
        world.lies();
        let mut visit = |step: &dyn Fn(&mut World) -> bool| {
            let mut next = world.clone();
            if step(&mut next) && next.books.posts <= posts && known.insert(next.key()) {
                queue.push_back(next);
            }
        };
        visit(&World::take);
        visit(&World::release);
        visit(&World::post);
        visit(&World::publish);
        visit(&World::observe);
        visit(&World::accept);
        visit(&World::reclaim);
        for nth in 0..usize::from(size) {
            visit(&|world| world.device_uses(nth));
        }
    }
    known.len()
}

#[test]
fn every_state_of_two_descriptors() {
    // Both ends of the wrap lie within reach.
    assert!(explore(2, 6, 65_533) > 1000);
}

#[test]
fn every_state_of_three_descriptors() {
    assert!(explore(3, 4, 65_534) > 1000);
}

/// `used.idx` against integers that do not wrap, from every start.
#[test]
fn the_bounds_of_used_idx_for_every_index() {
    for start in 0..=u16::MAX {
        let start = RingIndex::new(start);
        for published in [1_u16, 2, 255, 256] {
            let mut ledger = Ledger::new(0);
            ledger.published = start.plus(published);
            ledger.written = ledger.published;
            ledger.seen = start;
            ledger.taken = start;
            for ahead in [0, 1, published / 2, published - 1, published] {
                ledger.seen = start;
                assert!(ledger.observe(start.plus(ahead)).is_ok());
                assert_eq!(ledger.gap(), published - ahead);
                // Never back behind what was seen.
                assert_eq!(ledger.observe(start).is_ok(), ahead == 0);
            }
            ledger.seen = start;
            for beyond in [published + 1, published + 2, 0x8000, 0xffff] {
                assert!(ledger.observe(start.plus(beyond)).is_err());
            }
        }
    }
}

/// A buffer that the device keeps while the rings wrap many times is still its own.
#[test]
fn a_buffer_kept_for_long() {
    let mut ledger = Ledger::new(4);
    let kept = ledger.take_free().expect("all are free");
    let kept_id = kept.id();
    let _ = ledger.post(kept);
    ledger.publish();
    let mut used_idx = RingIndex::ZERO;
    for _ in 0..200_000 {
        let credit = ledger.take_free().expect("three are free");
        let id = credit.id();
        let _ = ledger.post(credit);
        // Written, not published: nobody can have used either of them by surprise.
        assert_eq!(
            ledger.accept(id.into(), 60, 12, 2048),
            Err(BadUsed::NotOutstanding {
                id: id.into(),
                len: 60
            })
        );
        ledger.publish();
        used_idx = used_idx.plus(1);
        ledger.observe(used_idx).expect("true");
        let credit = ledger.accept(id.into(), 60, 12, 2048).expect("true");
        ledger.release(credit);
    }
    used_idx = used_idx.plus(1);
    ledger.observe(used_idx).expect("true");
    let credit = ledger.accept(kept_id.into(), 60, 12, 2048);
    ledger.release(credit.expect("it was outstanding all the time"));
    assert_eq!((ledger.gap(), ledger.stats(0).free), (0, 4));
}

/// A credit that was held over a reset comes back exactly once.
#[test]
fn credits_over_a_reset() {
    let mut ledger = Ledger::new(4);
    let held = ledger.take_free().expect("all are free");
    while let Some(credit) = ledger.take_free() {
        let _ = ledger.post(credit);
    }
    ledger.publish();
    ledger.reclaim();
    assert_eq!(ledger.stats(0).free, 3, "the one that is held is not");
    assert!(ledger.holds());
    let id = u32::from(held.id());
    assert!(
        ledger.accept(id, 60, 12, 2048).is_err(),
        "nor is it the device's"
    );
    ledger.release(held);
    assert_eq!(ledger.stats(0).free, 4);
    let mut ids: Vec<u16> = core::iter::from_fn(|| ledger.take_free())
        .map(|credit| credit.id())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2, 3]);
}

/// The slow look finds what cannot happen.
#[test]
fn books_that_do_not_balance() {
    let mut ledger = Ledger::new(4);
    for _ in 0..3 {
        let credit = ledger.take_free().expect("there are four");
        let _ = ledger.post(credit);
    }
    ledger.publish();
    ledger.observe(RingIndex::new(1)).expect("true");
    let breaks: [fn(&mut Ledger); 6] = [
        Ledger::lose_one,
        |l| l.owners[3] = 1,
        |l| l.written = l.written.plus(2),
        |l| l.published = l.published.plus(1),
        |l| l.seen = l.seen.plus(3),
        |l| l.free.extend([0, 1].map(super::Credit)),
    ];
    for (nth, spoil) in breaks.into_iter().enumerate() {
        let mut spoilt = ledger.clone();
        assert!(spoilt.holds());
        spoil(&mut spoilt);
        assert!(!spoilt.holds(), "{nth}: {spoilt:?}");
    }
}
