//! How often something may be done: a steady rate and a burst on top of it.

use smoltcp::time::{Duration, Instant};

/// A rate limit, by the generic cell rate algorithm (ITU-T I.371): one instant is all its state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    every: Duration,
    slack: Duration,
    /// When all that was allowed would be used up at the steady rate.
    due: Instant,
}

impl Limit {
    /// Once in `every`, and at most `burst` times at once.
    pub const fn new(every: Duration, burst: u32) -> Limit {
        Limit {
            every,
            slack: Duration::from_micros(every.total_micros() * (burst as u64 - 1)),
            due: Instant::ZERO,
        }
    }

    /// Whether it may be done now; if so, it counts as done.
    pub fn allows(&mut self, now: Instant) -> bool {
        let due = self.due.max(now);
        if due > now + self.slack {
            return false;
        }
        self.due = due + self.every;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut limit = Limit::new(Duration::from_millis(10), 3);
        let start = Instant::from_secs(5);
        let count = |limit: &mut Limit, at: Instant| (0..9).filter(|_| limit.allows(at)).count();
        assert_eq!(count(&mut limit, start), 3);
        assert_eq!(count(&mut limit, start + Duration::from_millis(9)), 0);
        assert_eq!(count(&mut limit, start + Duration::from_millis(10)), 1);
        assert_eq!(count(&mut limit, start + Duration::from_millis(31)), 2);
        assert_eq!(count(&mut limit, start + Duration::from_secs(9)), 3);
    }
}
