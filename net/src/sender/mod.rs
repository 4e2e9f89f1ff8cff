//! The sending half of a connection: what may be sent, what has to be sent again, and when.
//!
//! It knows numbers and times and no bytes: those lie in the [`Queue`](crate::outbox::Queue), and
//! `flow` puts them into frames. smoltcp has the receiving half and the state machine, and believes
//! that we never send a byte of data; so windows, round trips and loss are all here (RFC 9293,
//! 3.8; RFC 5681; RFC 6298). A peer that tells what it has beyond a gap is sent the gap (`loss`);
//! with another, loss is guessed from repeated acknowledgements (RFC 6582). Sequence numbers are
//! those on the wire.

mod congestion;
mod loss;
mod rtt;
mod scoreboard;

use crate::deadlines::earlier;
use congestion::Congestion;
use rtt::Rtt;
use scoreboard::Scoreboard;
pub(crate) use scoreboard::{BLOCKS, Sack};
use smoltcp::time::Instant;

/// What the peer said of itself in its SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Largest segment that it takes (RFC 9293, 3.7.1).
    pub segment: u16,
    /// How far its windows are shifted (RFC 7323, 2.2); `None`: it knows of no shift.
    pub scale: Option<u8>,
    /// It takes selective acknowledgements (RFC 2018, 2).
    pub sack: bool,
}

/// What an acknowledgement says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack<'a> {
    /// The number behind what has arrived.
    pub ack: u32,
    /// The window, as it stands in the segment.
    pub window: u16,
    /// The segment's own number.
    pub seq: u32,
    /// Whether the segment carries nothing else.
    pub bare: bool,
    /// What has arrived beyond that number.
    pub blocks: &'a Sack,
}

/// A segment to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Its number.
    pub seq: u32,
    /// Where its data lies in the queue.
    pub skip: usize,
    /// Bytes of data.
    pub len: usize,
    /// It ends what there is to send now.
    pub push: bool,
    /// It ends the connection's sending half.
    pub fin: bool,
    /// It, or a part of it, was sent before.
    pub again: bool,
}

/// The sending half of a connection.
pub(crate) struct Sender {
    /// Oldest number that is not acknowledged (SND.UNA).
    una: u32,
    /// Next number to be sent (SND.NXT); goes back when something is lost.
    nxt: u32,
    /// Behind everything sent.
    max: u32,
    /// The peer's window (SND.WND), and the segment that told it (SND.WL1, SND.WL2).
    window: u32,
    told_by: (u32, u32),
    widest: u32,
    scale: u8,
    /// It knows of shifts.
    scales: bool,
    /// Largest segment.
    segment: u32,
    /// Nothing follows what is queued.
    closed: bool,
    /// The FIN has been acknowledged.
    ended: bool,
    congestion: Congestion,
    rtt: Rtt,
    duplicates: u8,
    /// Fast recovery lasts until this number is acknowledged.
    recovery: Option<u32>,
    /// What was sent before this number has seen a timeout already: no reason for a fast
    /// retransmission (RFC 6582, 4).
    timed_out_at: Option<u32>,
    /// The oldest segment is to be sent again.
    resend: bool,
    /// The window is closed and has to be probed.
    probe: bool,
    /// When the retransmission or persist timer fires.
    timer: Option<Instant>,
    /// When something was sent last.
    spoke: Instant,
    /// Loss, of which the peer tells.
    selective: bool,
    score: Scoreboard,
    loss: loss::Loss,
}

/// After so many timeouts without progress, long segments may be what does not arrive, and no router
/// says so (RFC 4821, 7.7).
const BLACK_HOLE: u8 = 3;
/// A part of the window that is worth a long segment.
const PATIENT: u32 = 4;
/// A segment that passes everywhere.
const SURE: u32 = 1220;

/// Whether number `a` comes before `b`.
pub(crate) fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

impl Sender {
    /// For a slot without a connection.
    pub const fn new() -> Sender {
        Sender {
            una: 0,
            nxt: 0,
            max: 0,
            window: 0,
            told_by: (0, 0),
            widest: 0,
            scale: 0,
            scales: false,
            segment: 536,
            closed: false,
            ended: false,
            congestion: Congestion::new(536),
            rtt: Rtt::new(),
            duplicates: 0,
            recovery: None,
            timed_out_at: None,
            resend: false,
            probe: false,
            timer: None,
            spoke: Instant::ZERO,
            selective: false,
            score: Scoreboard::new(),
            loss: loss::Loss::new(),
        }
    }

    /// Begins: a SYN with the number `iss` goes out. `most`: largest segment that our link takes.
    pub fn open(&mut self, iss: u32, peer: Peer, most: usize, now: Instant) {
        let segment = u32::from(peer.segment).min(most as u32);
        let first = iss.wrapping_add(1);
        *self = Sender {
            una: first,
            nxt: first,
            max: first,
            scale: peer.scale.unwrap_or(0),
            scales: peer.scale.is_some(),
            segment,
            selective: peer.sack,
            congestion: Congestion::new(segment),
            ..Sender::new()
        };
        self.rtt.sent(first, now);
    }

    /// What the peer said of itself.
    pub fn peer(&self) -> Peer {
        Peer {
            segment: self.segment as u16,
            scale: self.scales.then_some(self.scale),
            sack: self.selective,
        }
    }

    /// The SYN was sent again, or nobody knows when.
    pub fn opened_again(&mut self) {
        self.rtt.resent();
    }

    /// The handshake is complete by this segment.
    pub fn established(&mut self, ack: &Ack<'_>, now: Instant) {
        self.rtt.acknowledged(ack.ack, now);
        self.told_by = (ack.seq, ack.ack);
        self.take_window(ack);
        self.spoke = now;
    }

    /// The number that a segment without data has.
    pub fn number(&self) -> u32 {
        self.max
    }

    /// The oldest number that is not acknowledged, the one behind all that was sent, and the widest
    /// window that the peer has told.
    pub fn span(&self) -> (u32, u32, u32) {
        (self.una, self.max, self.widest)
    }

    /// Segments of more than `most` bytes do not arrive: shorter ones are sent from now on, and
    /// what is under way again (RFC 1191, 6.4). False: they were not longer.
    pub fn shorten(&mut self, most: u32, now: Instant) -> bool {
        if most >= self.segment || most == 0 {
            return false;
        }
        self.segment = most;
        self.congestion.resize(most);
        if self.una != self.max && self.window > 0 {
            self.forget_loss();
            self.recovery = None;
            self.nxt = self.una;
            self.timer = Some(now + self.rtt.timeout());
        }
        true
    }

    /// Largest segment, in bytes.
    pub fn segment(&self) -> u32 {
        self.segment
    }

    /// Whether there is something that was not sent, or has to be sent again.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn has_more(&self, queued: usize) -> bool {
        let end = self.una.wrapping_add(queued as u32);
        let fin = u32::from(self.closed && !self.ended);
        self.resend || self.loss.is_waiting() || before(self.nxt, end.wrapping_add(fin))
    }

    /// Whether there is a deadline that may be nearer than the last one.
    pub fn watches(&self) -> bool {
        self.loss.deadline().is_some()
    }

    /// Whether a segment with this number may be under way, or the SYN.
    pub fn awaits(&self, seq: u32) -> bool {
        before(seq, self.max) && !before(seq.wrapping_add(1), self.una)
    }

    /// Nothing follows what is queued.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether the FIN was acknowledged.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The number behind the FIN, once it was sent.
    fn fin_end(&self, queued: usize) -> Option<u32> {
        let end = self.una.wrapping_add(queued as u32).wrapping_add(1);
        (self.closed && !self.ended && self.max == end).then_some(end)
    }

    /// Takes note of an acknowledgement of something that was sent. `queued`: bytes in the queue.
    /// So many of them have arrived; the queue has to drop them.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn acknowledge(&mut self, ack: &Ack<'_>, queued: usize, now: Instant) -> u32 {
        debug_assert!(!before(self.max, ack.ack));
        if ack.ack == self.max && ack.blocks.count == 0 && self.una != self.max && self.is_calm() {
            return self.settle(ack, queued, now);
        }
        let twice = self.hear_blocks(ack, now);
        if before(ack.ack, self.una) {
            self.assess(now);
            return 0;
        }
        let old_window = self.window;
        self.take_window(ack);
        if ack.ack == self.una {
            let duplicate =
                ack.bare && self.window == old_window && self.una != self.max && self.window > 0;
            if duplicate && !self.selective {
                self.duplicate();
            }
            if old_window == 0 && self.window > 0 {
                // The next segment starts the timer anew.
                self.probe = false;
                self.timer = None;
                self.rtt.opened();
            }
            self.assess(now);
            return 0;
        }
        self.end_of_tail(ack.ack, twice);
        let count = self.progress(ack.ack, queued, now);
        self.assess(now);
        self.watch_tail(now);
        count
    }

    /// Whether everything goes as it should: nothing was lost, sent again or probed.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn is_calm(&self) -> bool {
        let quiet = !self.resend && !self.probe && self.duplicates == 0;
        quiet
            && self.nxt == self.max
            && self.score.is_empty()
            && self.recovery.is_none()
            && self.timed_out_at.is_none()
            && self.loss.is_calm()
    }

    /// All that was under way has arrived, and everything goes as it should: what
    /// [`Sender::acknowledge`] does then, which is what it mostly does.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn settle(&mut self, ack: &Ack<'_>, queued: usize, now: Instant) -> u32 {
        self.take_window(ack);
        let flight = self.max.wrapping_sub(self.una);
        let fin = self.fin_end(queued) == Some(ack.ack);
        let count = flight - u32::from(fin);
        self.ended |= fin;
        self.una = ack.ack;
        self.rtt.acknowledged(ack.ack, now);
        if 2 * flight >= self.congestion.window() {
            self.congestion.acknowledged(count, false);
        }
        self.timer = None;
        self.loss.tail = None;
        count
    }

    fn take_window(&mut self, ack: &Ack<'_>) {
        let (seq, number) = self.told_by;
        if before(seq, ack.seq) || (seq == ack.seq && !before(ack.ack, number)) {
            self.window = u32::from(ack.window) << self.scale;
            self.widest = self.widest.max(self.window);
            self.told_by = (ack.seq, ack.ack);
        }
    }

    /// The same acknowledgement as before (RFC 5681, 3.2).
    fn duplicate(&mut self) {
        self.duplicates = self.duplicates.saturating_add(1);
        if self.recovery.is_some() {
            self.congestion.inflate();
            return;
        }
        if self.duplicates < 3 {
            return;
        }
        let timed_out = self.timed_out_at.is_some_and(|at| before(self.una, at));
        if self.duplicates == 3 && !timed_out {
            self.congestion.lost(self.nxt.wrapping_sub(self.una));
            self.recovery = Some(self.max);
            self.resend = true;
            self.loss.tail = None;
        }
    }

    /// Something new was acknowledged.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn progress(&mut self, ack: u32, queued: usize, now: Instant) -> u32 {
        let flight = self.flight(now);
        let fin = self.fin_end(queued) == Some(ack);
        let count = ack.wrapping_sub(self.una) - u32::from(fin);
        self.ended |= fin;
        self.una = ack;
        if before(self.nxt, ack) {
            self.nxt = ack;
        }
        self.loss.reorders |= self.score.acknowledge(ack);
        self.rtt.acknowledged(ack, now);
        self.probe = false;
        self.resend = false;
        match self.recovery {
            Some(until) if before(ack, until) => {
                if !self.selective {
                    self.congestion.partial(count);
                    self.resend = true;
                }
            }
            Some(_) => {
                // With SACK the window was never larger than what it is now.
                if !self.selective {
                    self.congestion.recovered(self.nxt.wrapping_sub(self.una));
                }
                self.recovery = None;
                self.duplicates = 0;
            }
            None => {
                self.duplicates = 0;
                // A window that was not used proves nothing (RFC 7661).
                if 2 * flight >= self.congestion.window() {
                    self.congestion
                        .acknowledged(count, self.timed_out_at.is_some());
                }
            }
        }
        if self.timed_out_at.is_some_and(|at| !before(ack, at)) {
            self.timed_out_at = None;
        }
        self.timer = (self.una != self.max).then(|| now + self.rtt.timeout());
        count
    }

    /// Bytes under way.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn flight(&self, now: Instant) -> u32 {
        let sent = self.nxt.wrapping_sub(self.una);
        match self.score.is_empty() {
            true => sent,
            false => sent.saturating_sub(self.landed(now)),
        }
    }

    /// Does what time brings.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn tick(&mut self, now: Instant) {
        if self.timer.is_none_or(|at| now < at) {
            self.probe_tail(now);
            self.assess(now);
            return;
        }
        self.timer = None;
        self.rtt.timed_out();
        self.forget_loss();
        if self.window == 0 {
            // RFC 9293, 3.8.6.1. What was sent beyond the window is gone.
            self.probe = true;
            self.nxt = self.una;
            return;
        }
        let again = self.timed_out_at.is_some_and(|at| before(self.una, at));
        if self.rtt.timeouts() == BLACK_HOLE && self.segment > SURE {
            self.segment = SURE;
            self.congestion.resize(SURE);
        }
        self.congestion
            .timed_out(self.max.wrapping_sub(self.una), again);
        self.timed_out_at = Some(self.max);
        self.recovery = None;
        self.duplicates = 0;
        self.nxt = self.una;
    }

    /// When [`Sender::tick`] has to be called.
    pub fn deadline(&self) -> Option<Instant> {
        earlier(self.timer, self.loss.deadline())
    }

    /// All that is queued as one segment, if it fits one, may go out, and everything before it has
    /// arrived: what [`Sender::next`] gives then, which is what it mostly gives.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn whole(&mut self, queued: usize, now: Instant) -> Option<Chunk> {
        let fits = queued > 0 && queued <= self.segment as usize && queued <= self.window as usize;
        if !fits || self.una != self.max || self.ended || !self.is_calm() {
            return None;
        }
        if now >= self.spoke + self.rtt.timeout() {
            self.congestion.restart();
        }
        let len = queued as u32;
        if len > self.congestion.window() {
            return None;
        }
        let seq = self.nxt;
        let behind = seq.wrapping_add(len).wrapping_add(u32::from(self.closed));
        self.rtt.sent(behind, now);
        (self.nxt, self.max) = (behind, behind);
        self.spoke = now;
        self.timer = Some(now + self.rtt.timeout());
        self.loss.tail = None;
        self.time_tail(true, now);
        Some(Chunk {
            seq,
            skip: 0,
            len: queued,
            push: true,
            fin: self.closed,
            again: false,
        })
    }

    /// Where the next new segment begins, in bytes from the front of the queue.
    pub fn position(&self) -> usize {
        self.nxt.wrapping_sub(self.una) as usize
    }

    /// The next segment to be sent, if one may be. `queued`: bytes in the queue; `most`: bytes that
    /// may go out as one, which are cut below if they are more than a segment. The caller has
    /// room for it; if it is lost nevertheless, that is a loss like any other.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn next(&mut self, queued: usize, most: u32, now: Instant) -> Option<Chunk> {
        let chunk = self.choose(queued, most.max(self.segment), now);
        if chunk.is_some() {
            self.watch_tail(now);
        }
        chunk
    }

    #[cfg_attr(target_os = "none", optimize(speed))]
    fn choose(&mut self, queued: usize, most: u32, now: Instant) -> Option<Chunk> {
        let end = self.una.wrapping_add(queued as u32);
        if let Some(chunk) = self.repair(end, now) {
            return Some(chunk);
        }
        if self.resend && self.una != self.max {
            let chunk = self.chunk(self.una, self.segment, end);
            self.resend = false;
            self.rtt.resent();
            self.timer = Some(now + self.rtt.timeout());
            return Some(chunk);
        }
        if self.nxt == self.una && self.una == self.max && now >= self.spoke + self.rtt.timeout() {
            self.congestion.restart();
        }
        let left = if before(self.nxt, end) {
            end.wrapping_sub(self.nxt)
        } else {
            0
        };
        let fin_due = self.closed && !self.ended && !before(end, self.nxt);
        if left == 0 && !fin_due {
            return None;
        }
        let mut len = left.min(most);
        if before(self.nxt, self.max) {
            // What is sent again goes by segments: it has to be known which of them are.
            len = len.min(self.segment);
        }
        if let Some(above) = self.score.next_above(self.nxt) {
            len = len.min(above.wrapping_sub(self.nxt));
        }
        let probing = self.probe && len > 0;
        self.probe = false;
        if len > 0 {
            // Limited transmit (RFC 3042): the first two duplicates let a new segment out each.
            let spare = match self.recovery {
                None => u32::from(self.duplicates.min(2)) * self.segment,
                Some(_) => 0,
            };
            let flight = self.flight(now);
            let sent = self.nxt.wrapping_sub(self.una);
            let usable = (self.congestion.window() + spare)
                .saturating_sub(flight)
                .min(self.window.saturating_sub(sent));
            if probing {
                len = 1;
            } else if usable < len && usable >= self.segment {
                // Long ones cost less than many, and the peer acknowledges them one by one: as long
                // as something is under way, a good part of the window is waited for.
                let worth = (self.congestion.window().min(self.window) / PATIENT).min(len);
                if usable < worth && flight > 0 {
                    return None;
                }
                len = usable - usable % self.segment;
            } else if usable < len {
                // A small segment would make many of a large one (RFC 9293, 3.8.6.2.1).
                if usable == 0 || (usable < self.widest / 2 && flight > 0) {
                    self.hold(now);
                    return None;
                }
                len = usable;
            }
        }
        let chunk = self.chunk(self.nxt, len, end);
        let behind = chunk
            .seq
            .wrapping_add(len)
            .wrapping_add(u32::from(chunk.fin));
        if chunk.again {
            self.rtt.resent();
            self.score.resent(chunk.seq, behind, now);
        } else {
            self.rtt.sent(behind, now);
        }
        if before(self.max, behind) {
            self.max = behind;
        }
        if !probing {
            self.nxt = self.score.end_of(behind).unwrap_or(behind);
        }
        self.spoke = now;
        if self.timer.is_none() {
            self.timer = Some(now + self.rtt.timeout());
        }
        Some(chunk)
    }

    /// There is data that the peer has no room for. Without an acknowledgement to come, its window
    /// has to be asked for.
    fn hold(&mut self, now: Instant) {
        if self.timer.is_none() && self.window < self.segment {
            self.timer = Some(now + self.rtt.timeout());
        }
    }

    #[cfg_attr(target_os = "none", optimize(speed))]
    fn chunk(&self, seq: u32, most: u32, end: u32) -> Chunk {
        let left = if before(seq, end) {
            end.wrapping_sub(seq)
        } else {
            0
        };
        let len = left.min(most);
        let last = len == left;
        Chunk {
            seq,
            skip: seq.wrapping_sub(self.una) as usize,
            len: len as usize,
            push: last && len > 0,
            fin: last && self.closed && !self.ended,
            again: before(seq, self.max),
        }
    }
}
