//! What time brings: retransmissions, deadlines, records to forget, the end of draining. Each in
//! bounded pieces.

use super::{BUSY, CLOSING, HALF_OPEN, IDLE, STALL, Stack};
use crate::flow::{Expiry, Stage};
use crate::host::Host;
use smoltcp::time::Instant;

/// Connections whose deadlines are looked at in one turn.
const TIMERS_PER_TURN: usize = 64;
/// Records that are forgotten in one turn.
const RECORDS_PER_TURN: usize = 256;

impl Stack {
    /// Connections that met a full transmit ring, in the order in which they did.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub(super) fn retry_stalled(&mut self, host: &mut impl Host, now: Instant) {
        for _ in 0..self.stalled.len() {
            if !host.can_transmit() {
                self.stalled_until = now + STALL;
                break;
            }
            let Some(flow) = self.stalled.pop_front() else {
                break;
            };
            let state = &mut self.pool[flow];
            state.in_stalled = false;
            if state.stage != Stage::Free && state.stalled {
                self.run(flow, None, host, now);
            }
        }
    }

    #[cfg_attr(target_os = "none", optimize(speed))]
    pub(super) fn forget_records(&mut self, now: Instant) -> bool {
        for _ in 0..RECORDS_PER_TURN {
            match self.time_wait.oldest() {
                Some(record) if self.time_wait.get(record).deadline <= now => self.forget(record),
                _ => return false,
            }
        }
        true
    }

    #[cfg_attr(target_os = "none", optimize(speed))]
    pub(super) fn run_due(&mut self, host: &mut impl Host, now: Instant) -> bool {
        for _ in 0..TIMERS_PER_TURN {
            let Some(flow) = self.deadlines.pop(now) else {
                return false;
            };
            let state = &mut self.pool[flow];
            if state.stage == Stage::Free {
                continue;
            }
            if let Some(expiry) = state.expiry(now) {
                let expired = &mut self.context.service.stats.expired;
                match expiry {
                    Expiry::HalfOpen => {
                        expired.half_open += 1;
                        self.release(flow);
                        continue;
                    }
                    Expiry::Idle => expired.idle += 1,
                    Expiry::Request => expired.request += 1,
                    Expiry::Answer => expired.answer += 1,
                    Expiry::Closing => expired.closing += 1,
                }
                state.expire(expiry);
            }
            self.run(flow, None, host, now);
        }
        true
    }

    #[inline(never)]
    #[cfg_attr(target_os = "none", optimize(size))]
    pub(super) fn go_on_draining(&mut self, host: &mut impl Host, now: Instant) -> bool {
        let Some(by) = self.drain_by else {
            return false;
        };
        for _ in 0..TIMERS_PER_TURN {
            if let Some(flow) = self.order.oldest(HALF_OPEN) {
                self.release(flow);
            } else if let Some(flow) = self.order.oldest(IDLE) {
                self.pool[flow].close();
                self.run(flow, None, host, now);
            } else if now >= by
                && let Some(flow) = self.order.oldest(BUSY).or(self.order.oldest(CLOSING))
            {
                self.pool[flow].reset();
                self.run(flow, None, host, now);
            } else {
                if now >= by {
                    self.drain_by = None;
                }
                return false;
            }
        }
        true
    }
}
