//! When each connection wants attention next: a heap with one entry per connection.
//!
//! An entry may be early, never late. A connection whose deadline moves away leaves its entry
//! where it is; when the entry comes up, it is put back. So a busy connection costs no heap
//! operation per request.

use alloc::vec::Vec;
use smoltcp::time::Instant;

const ABSENT: u32 = u32::MAX;

/// The earlier of two times. It costs a sixth of an iterator's `min`.
#[inline]
pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b < a { b } else { a }),
        (a, None) => a,
        (None, b) => b,
    }
}

/// The heap. Members are small numbers.
pub(crate) struct Deadlines {
    /// A binary heap: no entry is later than its two children.
    heap: Vec<(Instant, u32)>,
    /// Where each member's entry lies in the heap.
    place: Vec<u32>,
}

impl Deadlines {
    /// For the members 0 to `limit`, exclusive.
    pub fn new(limit: usize) -> Deadlines {
        Deadlines {
            heap: Vec::with_capacity(limit),
            place: Vec::with_capacity(limit),
        }
    }

    /// Bytes per member.
    pub const fn cost() -> usize {
        size_of::<(Instant, u32)>() + size_of::<u32>()
    }

    /// The time of `member`'s entry.
    #[cfg(test)]
    pub fn get(&self, member: u32) -> Option<Instant> {
        match self.place.get(member as usize) {
            Some(&place) if place != ABSENT => Some(self.heap[place as usize].0),
            _ => None,
        }
    }

    /// Makes sure that `member` comes up at `at` or earlier.
    pub fn by(&mut self, member: u32, at: Instant) {
        while self.place.len() <= member as usize {
            self.place.push(ABSENT);
        }
        match self.place[member as usize] {
            ABSENT => {
                self.heap.push((at, member));
                self.rise(self.heap.len() - 1);
            }
            place => {
                let entry = &mut self.heap[place as usize];
                if at < entry.0 {
                    entry.0 = at;
                    self.rise(place as usize);
                }
            }
        }
    }

    /// The earliest entry's time.
    pub fn next(&self) -> Option<Instant> {
        self.heap.first().map(|entry| entry.0)
    }

    /// Takes out a member whose entry is due.
    pub fn pop(&mut self, now: Instant) -> Option<u32> {
        let &(at, member) = self.heap.first()?;
        if at > now {
            return None;
        }
        self.place[member as usize] = ABSENT;
        if let Some(last) = self.heap.pop()
            && !self.heap.is_empty()
        {
            self.heap[0] = last;
            self.sink(0);
        }
        Some(member)
    }

    fn rise(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.heap[parent].0 <= self.heap[at].0 {
                break;
            }
            self.heap.swap(parent, at);
            self.note(at);
            at = parent;
        }
        self.note(at);
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let left = 2 * at + 1;
            let Some(mut child) = (left < self.heap.len()).then_some(left) else {
                break;
            };
            if left + 1 < self.heap.len() && self.heap[left + 1].0 < self.heap[left].0 {
                child = left + 1;
            }
            if self.heap[at].0 <= self.heap[child].0 {
                break;
            }
            self.heap.swap(at, child);
            self.note(at);
            at = child;
        }
        self.note(at);
    }

    fn note(&mut self, at: usize) {
        self.place[self.heap[at].1 as usize] = at as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn comes_up_in_order_and_never_late() {
        let mut deadlines = Deadlines::new(64);
        let mut model: BTreeMap<u32, i64> = BTreeMap::new();
        let mut random = 9u64;
        for now in 0..30_000i64 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let member = (random >> 58) as u32;
            let at = now + (random >> 40 & 0x3ff) as i64;
            deadlines.by(member, Instant::from_micros(at));
            let entry = model.entry(member).or_insert(at);
            *entry = at.min(*entry);
            assert_eq!(
                deadlines.get(member).map(|i| i.total_micros()),
                Some(model[&member])
            );
            let earliest = model.values().min().copied();
            assert_eq!(deadlines.next().map(|i| i.total_micros()), earliest);
            while let Some(due) = deadlines.pop(Instant::from_micros(now)) {
                let at = model.remove(&due).unwrap();
                assert_eq!(at, now, "entries come up on time");
            }
        }
    }
}
