//! The switchboard of faults: the test sets them, the device asks at every chance.

use crate::fault::{Fault, Moment, Queue};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long a fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// This many times. For a fault that is a state rather than an event, such as
    /// [`Fault::Frozen`]: this many chances.
    Times(u32),
    /// Until the driver has reset the device this many times.
    Resets(u32),
    /// Until [`Board::clear`].
    Cleared,
}

/// One fault, ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// What to do.
    pub fault: Fault,
    /// On which queue.
    pub queue: Queue,
    /// Chances to let pass first.
    pub after: u32,
    /// How long.
    pub lifetime: Lifetime,
}

impl Order {
    /// `fault` on `queue`, once, at the first chance.
    #[must_use]
    pub const fn once(fault: Fault, queue: Queue) -> Order {
        Order::times(fault, queue, 1)
    }

    /// `fault` on `queue`, `count` times.
    #[must_use]
    pub const fn times(fault: Fault, queue: Queue, count: u32) -> Order {
        Order {
            fault,
            queue,
            after: 0,
            lifetime: Lifetime::Times(count),
        }
    }

    /// `fault` on `queue`, until the driver has reset the device `count` times.
    #[must_use]
    pub const fn until_resets(fault: Fault, queue: Queue, count: u32) -> Order {
        Order {
            fault,
            queue,
            after: 0,
            lifetime: Lifetime::Resets(count),
        }
    }

    /// `fault` on `queue`, until it is cleared.
    #[must_use]
    pub const fn until_cleared(fault: Fault, queue: Queue) -> Order {
        Order {
            fault,
            queue,
            after: 0,
            lifetime: Lifetime::Cleared,
        }
    }

    /// The same, but not before `count` chances have passed.
    #[must_use]
    pub const fn after(mut self, count: u32) -> Order {
        self.after = count;
        self
    }
}

/// The faults that are in force, and how often each was committed.
#[derive(Debug, Default)]
pub struct Board {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    orders: Vec<Order>,
    committed: HashMap<(Fault, Queue), u64>,
}

impl Board {
    /// Orders a fault. Several may be in force; the oldest that fits a chance takes it. Through
    /// [`crate::Backend::inject`] it takes effect even if nothing moves.
    pub fn inject(&self, order: Order) {
        self.lock().orders.push(order);
    }

    /// Ends every fault.
    pub fn clear(&self) {
        self.lock().orders.clear();
    }

    /// How often `fault` was committed on `queue`.
    #[must_use]
    pub fn committed(&self, fault: Fault, queue: Queue) -> u64 {
        let state = self.lock();
        state.committed.get(&(fault, queue)).copied().unwrap_or(0)
    }

    /// Whether any fault is in force.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.lock().orders.is_empty()
    }

    /// Whether `fault` is in force on `queue`. Costs no chance.
    pub(crate) fn has(&self, fault: Fault, queue: Queue) -> bool {
        let state = self.lock();
        let fits = |o: &&Order| o.fault == fault && o.queue == queue && o.after == 0;
        state.orders.iter().any(|o| fits(&o))
    }

    /// A chance at `moment` on `queue`: the fault to commit, if any.
    pub(crate) fn take(&self, moment: Moment, queue: Queue) -> Option<Fault> {
        self.take_if(|o| o.queue == queue && o.fault.moment() == moment)
    }

    /// A chance for `fault` alone.
    pub(crate) fn take_one(&self, fault: Fault, queue: Queue) -> bool {
        self.take_if(|o| o.queue == queue && o.fault == fault)
            .is_some()
    }

    fn take_if(&self, fits: impl Fn(&Order) -> bool) -> Option<Fault> {
        let mut state = self.lock();
        let at = state.orders.iter().position(fits)?;
        let order = &mut state.orders[at];
        if order.after > 0 {
            order.after -= 1;
            return None;
        }
        let key = (order.fault, order.queue);
        if let Lifetime::Times(left) = &mut order.lifetime {
            *left = left.saturating_sub(1);
            if *left == 0 {
                state.orders.remove(at);
            }
        }
        *state.committed.entry(key).or_default() += 1;
        Some(key.0)
    }

    /// The driver has reset the device.
    pub(crate) fn reset(&self) {
        self.lock().orders.retain_mut(|order| {
            let Lifetime::Resets(left) = &mut order.lifetime else {
                return true;
            };
            *left = left.saturating_sub(1);
            *left > 0
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_waits_fires_and_ends() {
        let board = Board::default();
        board.inject(Order::times(Fault::LenZero, Queue::Rx, 2).after(1));
        let chance = || board.take(Moment::Entry, Queue::Rx);
        assert_eq!(board.take(Moment::Entry, Queue::Tx), None);
        assert_eq!(board.take(Moment::Call, Queue::Rx), None);
        assert_eq!(chance(), None);
        assert_eq!(chance(), Some(Fault::LenZero));
        assert_eq!(chance(), Some(Fault::LenZero));
        assert_eq!(chance(), None);
        assert_eq!(board.committed(Fault::LenZero, Queue::Rx), 2);
        assert_eq!(board.committed(Fault::LenZero, Queue::Tx), 0);
        assert!(!board.is_active());
    }

    #[test]
    fn resets_end_only_what_lasts_until_a_reset() {
        let board = Board::default();
        board.inject(Order::until_resets(Fault::Frozen, Queue::Rx, 2));
        board.inject(Order::until_cleared(Fault::Frozen, Queue::Tx));
        board.reset();
        assert!(board.has(Fault::Frozen, Queue::Rx));
        board.reset();
        assert!(!board.has(Fault::Frozen, Queue::Rx));
        assert!(board.has(Fault::Frozen, Queue::Tx));
        board.clear();
        assert!(!board.is_active());
    }
}
