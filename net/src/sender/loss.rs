//! Loss of which the peer tells (RFC 6675, RFC 8985), and that of a tail, of which nobody tells.
//!
//! The window is reduced once for all that was lost in a round; what is lost goes out again before
//! anything new, as far as the window allows with what has arrived and what is lost not counted.
//! What is sent again and lost again is found by time. If the peer says that what was sent again
//! had arrived all the same (RFC 2883), the reduction is undone, and more reordering is tolerated.
//!
//! When the last segments of an answer are lost there is nothing behind them that could tell. So
//! after two round trips of silence the last one is sent again (RFC 8985, 7), which either repairs
//! the loss or makes the peer tell of it. The retransmission timer is left for what that does not
//! help.

use super::scoreboard::{Scoreboard, Tolerance};
use super::{Ack, Chunk, Congestion, Sender, before};
use crate::deadlines::earlier;
use smoltcp::time::{Duration, Instant};

/// Least reordering window.
const LEAST: Duration = Duration::from_millis(1);
/// The round trip before one was measured, for all that is decided here.
const UNKNOWN: Duration = Duration::from_millis(200);
/// How long a peer may delay the acknowledgement of a single segment. RFC 8985, 7.2 says as long
/// as the worst of them; those in use take 40 ms or a little more.
const DELAYED: Duration = Duration::from_millis(50);
/// What a probe of the tail waits beyond two round trips anyhow.
const MARGIN: Duration = Duration::from_millis(10);
/// Reordering windows of a quarter of a round trip are tolerated so often at most.
const MOST_PATIENCE: u32 = 4;

/// What is known of loss.
#[derive(Clone, Copy)]
pub(super) struct Loss {
    /// The network was seen to reorder.
    pub reorders: bool,
    /// Reordering windows that are tolerated.
    patience: u32,
    /// Something is lost and may be sent again.
    holes: bool,
    /// When something will be.
    next: Option<Instant>,
    /// The first segment of a recovery goes out whatever the window is.
    first: bool,
    /// Segments sent again in this recovery that may have been sent for nothing.
    again: u32,
    /// The window before this recovery.
    undo: Option<Congestion>,
    /// When the tail is probed.
    pub tail: Option<Instant>,
    /// The probe is to be sent.
    due: bool,
    /// A probe was sent, when this was behind everything; whether it was an old segment.
    probed: Option<(u32, bool)>,
}

impl Loss {
    /// Nothing is known.
    pub const fn new() -> Loss {
        Loss {
            reorders: false,
            patience: 1,
            holes: false,
            next: None,
            first: false,
            again: 0,
            undo: None,
            tail: None,
            due: false,
            probed: None,
        }
    }

    /// Whether nothing is lost, nothing may be, and nothing was probed.
    pub fn is_calm(&self) -> bool {
        !self.holes && !self.due && self.next.is_none() && self.probed.is_none()
    }

    /// Whether there is something to be sent again.
    pub fn is_waiting(&self) -> bool {
        self.holes || self.due
    }

    /// When [`Sender::tick`] has to be called.
    pub fn deadline(&self) -> Option<Instant> {
        earlier(self.next, self.tail)
    }
}

impl Sender {
    fn tolerance(&self) -> Tolerance {
        let trip = self.rtt.smoothed().unwrap_or(UNKNOWN);
        let window = (trip / 4 * self.loss.patience).min(trip).max(LEAST);
        Tolerance {
            window,
            reorders: self.loss.reorders,
            again: trip + trip / 4 + window,
            segment: self.segment,
        }
    }

    /// Takes in what an acknowledgement tells of gaps. Whether something has arrived twice.
    pub(super) fn hear_blocks(&mut self, ack: &Ack<'_>, now: Instant) -> bool {
        if !self.selective || ack.blocks.count == 0 {
            return false;
        }
        let late = self.score.take(ack.blocks, self.una, self.max, now);
        self.loss.reorders |= late;
        if !Scoreboard::is_duplicate(ack.blocks, ack.ack) {
            return false;
        }
        self.loss.reorders = true;
        if self.loss.again > 0 {
            self.loss.patience = (self.loss.patience + 1).min(MOST_PATIENCE);
            self.loss.again -= 1;
            if self.loss.again == 0
                && let Some(old) = self.loss.undo.take()
            {
                self.congestion.restored(&old);
            }
        }
        true
    }

    /// Bytes of those sent that are not under way: they have arrived, or are lost.
    pub(super) fn landed(&self, now: Instant) -> u32 {
        if self.nxt != self.max {
            // Everything is sent again.
            return self.score.bytes_before(self.nxt);
        }
        self.score.bytes() + self.score.missing(self.una, &self.tolerance(), now)
    }

    /// Looks what is lost now.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub(super) fn assess(&mut self, now: Instant) {
        self.loss.holes = false;
        self.loss.next = None;
        if self.score.is_empty() || self.nxt != self.max || self.window == 0 {
            return;
        }
        self.loss.tail = None;
        let tolerance = self.tolerance();
        self.loss.next = self.score.next_loss(self.una, &tolerance, now);
        if !self.score.has_lost(self.una, &tolerance, now) {
            return;
        }
        self.loss.holes = true;
        let timed_out = self.timed_out_at.is_some_and(|at| before(self.una, at));
        if self.recovery.is_none() && !timed_out {
            // RFC 6675, 5 (4.2): of what is not acknowledged by a number, arrived or not.
            let sent = self.max.wrapping_sub(self.una);
            self.loss.undo = Some(self.congestion);
            self.loss.again = 0;
            self.loss.first = true;
            self.congestion.reduced(sent.min(self.congestion.window()));
            self.recovery = Some(self.max);
        }
    }

    /// A segment to be sent again, or one that probes the tail. `end`: behind all that is queued.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub(super) fn repair(&mut self, end: u32, now: Instant) -> Option<Chunk> {
        if self.loss.due {
            self.loss.due = false;
            return self.probe_of_tail(end, now);
        }
        if !self.loss.holes {
            return None;
        }
        let flight = self.flight(now);
        let first = core::mem::take(&mut self.loss.first);
        if !first && flight + self.segment > self.congestion.window() {
            return None;
        }
        let tolerance = self.tolerance();
        let (start, behind) = self.score.resend(self.una, &tolerance, now)?;
        if start == self.una {
            self.timer = Some(now + self.rtt.timeout());
        }
        self.loss.again += 1;
        self.rtt.resent();
        self.assess(now);
        Some(self.chunk(start, behind.wrapping_sub(start), end))
    }

    /// The timer has fired: everything is sent again.
    pub(super) fn forget_loss(&mut self) {
        self.score.forget_resent(self.una);
        self.loss = Loss {
            reorders: self.loss.reorders,
            patience: self.loss.patience,
            ..Loss::new()
        };
    }

    /// Something was sent, or something new acknowledged: the time of silence begins anew.
    pub(super) fn watch_tail(&mut self, now: Instant) {
        self.loss.tail = None;
        let quiet = self.recovery.is_none()
            && self.timed_out_at.is_none()
            && self.score.is_empty()
            && self.loss.probed.is_none();
        if !quiet || self.una == self.max || self.window == 0 {
            return;
        }
        self.time_tail(self.max.wrapping_sub(self.una) <= self.segment, now);
    }

    /// Sets the time of the probe. `single`: one segment is under way.
    pub(super) fn time_tail(&mut self, single: bool, now: Instant) {
        let Some(trip) = self.rtt.smoothed() else {
            return;
        };
        let at = now + trip * 2 + if single { DELAYED } else { MARGIN };
        if self.timer.is_some_and(|timer| at < timer) {
            self.loss.tail = Some(at);
        }
    }

    /// Probes the tail if it is time.
    pub(super) fn probe_tail(&mut self, now: Instant) {
        if self.loss.tail.is_some_and(|at| at <= now) {
            self.loss.tail = None;
            self.loss.due = self.una != self.max && self.nxt == self.max;
        }
    }

    /// Something new if there is room for it at the peer, else the last segment once more.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn probe_of_tail(&mut self, end: u32, now: Instant) -> Option<Chunk> {
        let sent = self.max.wrapping_sub(self.una);
        self.timer = Some(now + self.rtt.timeout());
        self.spoke = now;
        let fresh = before(self.nxt, end) && sent + self.segment <= self.window;
        self.loss.probed = Some((self.max, !fresh));
        if fresh {
            let len = end.wrapping_sub(self.nxt).min(self.segment);
            let chunk = self.chunk(self.nxt, len, end);
            let behind = self.nxt.wrapping_add(len + u32::from(chunk.fin));
            self.rtt.sent(behind, now);
            (self.nxt, self.max) = (behind, behind);
            return Some(chunk);
        }
        self.rtt.resent();
        // A FIN has a number and no byte.
        let data = if before(end, self.max) { end } else { self.max };
        let len = data.wrapping_sub(self.una).min(self.segment);
        Some(self.chunk(data.wrapping_sub(len), len, end))
    }

    /// What a probe of the tail has shown: if it was the last segment, and nothing has arrived
    /// twice, something was lost (RFC 8985, 7.4.2).
    pub(super) fn end_of_tail(&mut self, ack: u32, twice: bool) {
        let Some((end, old)) = self.loss.probed else {
            return;
        };
        if before(ack, end) {
            return;
        }
        self.loss.probed = None;
        if old && self.selective && before(end, ack) && !twice && self.recovery.is_none() {
            self.congestion.reduced(self.max.wrapping_sub(self.una));
        }
    }
}
