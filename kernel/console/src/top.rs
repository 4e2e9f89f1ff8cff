//! The first few of many, in order, without keeping the others.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// The first of everything that was offered, as many as there are places.
#[derive(Debug)]
pub struct Top<T> {
    rows: Vec<T>,
    most: usize,
    offered: u64,
}

impl<T> Top<T> {
    /// No place at all.
    #[must_use]
    pub const fn new() -> Top<T> {
        Top {
            rows: Vec::new(),
            most: 0,
            offered: 0,
        }
    }

    /// Memory for `most` rows, now.
    #[must_use]
    pub fn with_capacity(most: usize) -> Top<T> {
        Top {
            rows: Vec::with_capacity(most),
            most,
            offered: 0,
        }
    }

    /// Forgets everything; from now on the first `most` count, at most as many as there is memory
    /// for.
    pub fn begin(&mut self, most: usize) {
        self.rows.clear();
        self.most = most.min(self.rows.capacity());
        self.offered = 0;
    }

    /// Offers one; `order` says which comes first.
    pub fn offer(&mut self, one: T, order: impl Fn(&T, &T) -> Ordering) {
        self.offered += 1;
        let full = self.rows.len() == self.most;
        let fits = |last: &T| order(&one, last) == Ordering::Less;
        if full && !self.rows.last().is_some_and(fits) {
            return;
        }
        if full {
            self.rows.pop();
        }
        let at = self
            .rows
            .partition_point(|row| order(row, &one) != Ordering::Greater);
        self.rows.insert(at, one);
    }

    /// The first ones, in order.
    #[must_use]
    pub fn rows(&self) -> &[T] {
        &self.rows
    }

    /// How many were offered and are no rows.
    #[must_use]
    pub fn others(&self) -> u64 {
        self.offered - self.rows.len() as u64
    }
}

impl<T> Default for Top<T> {
    fn default() -> Top<T> {
        Top::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_those_that_sorting_gives() {
        let mut top = Top::with_capacity(20);
        for most in [0, 1, 7, 20, 50] {
            for count in [0, 1, 6, 7, 8, 1000_u32] {
                top.begin(most);
                let all: Vec<u32> = (0..count).map(|n| n * 7919 % 1009 / 2).collect();
                for one in &all {
                    top.offer(*one, Ord::cmp);
                }
                let mut sorted = all;
                sorted.sort_unstable();
                sorted.truncate(most.min(20));
                assert_eq!(top.rows(), sorted);
                assert_eq!(top.others(), u64::from(count) - sorted.len() as u64);
            }
        }
    }

    #[test]
    fn equals_stay_in_the_order_of_their_coming() {
        let mut top = Top::with_capacity(3);
        top.begin(3);
        for one in [(1, 'a'), (0, 'b'), (1, 'c'), (1, 'd')] {
            top.offer(one, |a, b| a.0.cmp(&b.0));
        }
        assert_eq!(top.rows(), [(0, 'b'), (1, 'a'), (1, 'c')]);
    }
}
