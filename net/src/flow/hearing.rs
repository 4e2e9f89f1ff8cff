//! What a connection hears: segments, until they are a request, an acknowledgement, or the socket's.

use super::handshake::Heard;
use super::{Flow, Stage};
use crate::challenge::{self, Standing, Verdict};
use crate::context::Context;
use crate::host::Host;
use crate::link::Link;
use crate::segment::{self, Segment};
use crate::sender::{Ack, Sack, before};
use crate::sequence::Numbering;
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::time::{Duration, Instant};

/// How long an acknowledgement waits for an answer to ride on (RFC 9293, 3.8.6.3 allows 500 ms).
const ACK_DELAY: Duration = Duration::from_millis(10);

impl Flow {
    /// Gives the connection a segment of its own. Whether there is something to do now.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn ingest<H: Host>(
        &mut self,
        context: &mut Context,
        segment: &Segment,
        frame: &[u8],
        host: &mut H,
        now: Instant,
    ) -> bool {
        if self.stage == Stage::HalfOpen {
            if segment.flags.rst() && segment.seq != self.irs.wrapping_add(1) {
                // Of a handshake nobody is told where it stands.
                context.service.stats.dropped.ignored += 1;
                return false;
            }
            self.peer = segment.source;
            if self.awake {
                self.shake(context, segment, frame, host, now);
                return true;
            }
            match self.hear_handshake(context, segment, now) {
                Heard::Complete if segment.payload > 0 || segment.flags.fin() => {}
                Heard::Syn | Heard::Complete => return true,
                Heard::Other => {
                    self.wake(context, host, now);
                    self.shake(context, segment, frame, host, now);
                    return true;
                }
            }
        }
        let expected = self.is_expected(segment);
        if !expected && let Some(answer) = self.suspect(context, segment, now) {
            return answer;
        }
        self.peer = segment.source;
        let blocks = segment::blocks(frame, segment);
        let ack = Ack {
            ack: segment.ack,
            window: segment.window,
            seq: segment.seq,
            bare: segment.payload == 0 && segment.flags.is_bare_ack(),
            blocks: blocks.as_ref().unwrap_or(&Sack::NONE),
        };
        let speaks = segment.flags.acknowledges() && !segment.flags.rst();
        if expected || (speaks && self.is_near(segment)) {
            let count = self.sender.acknowledge(&ack, self.in_sight(), now);
            self.queue.acknowledge(&mut context.blocks, count as usize);
            self.taken |= count > 0;
        }
        let ended = self.sender.has_ended();
        if ack.bare && segment.seq == self.heard && !(ended && self.awake) {
            // Nothing in it is for the socket.
            return self.has_more();
        }
        if self.read_in_place(context, segment, frame, now) {
            return true;
        }
        if ended && self.hear_the_end(segment) {
            return true;
        }
        self.wake(context, host, now);
        // What the socket believes to have sent: perhaps a FIN, and nothing else.
        let number = self.base.wrapping_add(u32::from(ended));
        self.feed(context, segment, frame, Some(number), host, now);
        true
    }

    /// Whether a segment is the peer's FIN and nothing else, after it has acknowledged ours: then
    /// everything is over, and smoltcp need not hear of it.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn hear_the_end(&mut self, segment: &Segment) -> bool {
        let is_end = !self.awake
            && segment.flags.fin()
            && !segment.flags.rst()
            && segment.payload == 0
            && segment.seq == self.heard;
        if is_end {
            self.heard = self.heard.wrapping_add(1);
            self.ack_now = true;
            self.over = true;
        }
        is_end
    }

    /// Whether a segment is the next one, acknowledges what may be acknowledged, and does nothing
    /// else: nobody has to judge it.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn is_expected(&self, segment: &Segment) -> bool {
        let (una, max, _) = self.sender.span();
        segment.seq == self.heard
            && segment.flags.is_data()
            && segment.payload as u32 <= self.window()
            && segment.ack.wrapping_sub(una) <= max.wrapping_sub(una)
    }

    /// Judges a segment. If it is not to be taken: whether there is something to do.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn suspect(&mut self, context: &mut Context, segment: &Segment, now: Instant) -> Option<bool> {
        match challenge::judge(segment, &self.standing()) {
            Verdict::Take => None,
            Verdict::Drop => {
                context.service.stats.dropped.ignored += 1;
                Some(false)
            }
            Verdict::Challenge if self.challenges.allows(now) => {
                context.service.stats.challenged += 1;
                self.ack_now = true;
                Some(true)
            }
            Verdict::Challenge => {
                context.service.stats.dropped.limited += 1;
                Some(false)
            }
        }
    }

    /// Where the connection stands, for who judges segments.
    fn standing(&self) -> Standing {
        let (una, max, widest) = self.sender.span();
        Standing {
            next: self.heard,
            window: self.edge.wrapping_sub(self.heard),
            una,
            max,
            widest,
        }
    }

    /// Whether a segment lies where the peer may send now (RFC 9293, 3.4): old ones and forged
    /// ones acknowledge nothing.
    fn is_near(&self, segment: &Segment) -> bool {
        let window = self.edge.wrapping_sub(self.told) as i32;
        let from = segment.seq.wrapping_sub(self.told) as i32;
        let to = segment.end().wrapping_sub(self.told) as i32;
        // A keep-alive is one byte too old.
        (-1..=window).contains(&from) || (0..=window).contains(&to)
    }

    /// Whether a turn would change anything after an acknowledgement.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn has_more(&self) -> bool {
        let idle = self.queue.len() == 0;
        self.sender.has_more(self.in_sight())
            || self.sender.watches()
            || (self.taken && (idle || self.conn.has_more()))
            || idle != (self.stage == Stage::Idle)
    }

    /// Reads a request where it lies, if the segment is the next one, holds a whole request and
    /// nothing else, and there is nothing before it: what most segments are. smoltcp does not hear
    /// of it, and its numbers are shifted by so much from then on.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn read_in_place(
        &mut self,
        context: &mut Context,
        segment: &Segment,
        frame: &[u8],
        now: Instant,
    ) -> bool {
        if segment.seq != self.heard
            || !segment.flags.is_data()
            || segment.payload as u32 > self.window()
            || before(self.heard, self.reach)
            || !self.conn.is_listening()
        {
            return false;
        }
        if self.awake {
            let socket = self.set.get_mut::<Socket<'_>>(self.handle);
            if socket.state() != State::Established || socket.recv_queue() > 0 {
                return false;
            }
        }
        let bytes = segment::payload(frame, segment);
        let port = self.tuple.local_port;
        let Context { memo, service, .. } = context;
        if !self.conn.read_in_place(bytes, memo, service, port) {
            return false;
        }
        let len = segment.payload as u32;
        self.heard = self.heard.wrapping_add(len);
        self.reach = self.heard;
        self.edge = self.edge.wrapping_add(len);
        self.skipped = self.skipped.wrapping_add(len);
        if self.ack_by.is_none() {
            self.ack_by = Some(now + ACK_DELAY);
        }
        true
    }

    /// Gives the socket a segment. `number`: what its acknowledgement number is replaced by.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn feed<H: Host>(
        &mut self,
        context: &mut Context,
        segment: &Segment,
        frame: &[u8],
        number: Option<u32>,
        host: &mut H,
        now: Instant,
    ) {
        let packet = match number {
            None => Some(&frame[segment::ETHERNET..]),
            Some(number) => {
                let seq = segment.seq.wrapping_sub(self.skipped);
                Context::renumbered(&mut context.desk, frame, segment, seq, number)
            }
        };
        if before(self.reach, segment.end()) {
            self.reach = segment.end();
        }
        context.service.stats.dropped.malformed += u64::from(packet.is_none());
        context.wire.numbering = match self.stage {
            Stage::HalfOpen => self.numbering,
            _ => Numbering::At(self.sender.number()),
        };
        context.wire.skipped = self.skipped;
        context.wire.clear();
        let before = self.received();
        let mut link = Link {
            host,
            wire: &mut context.wire,
            input: packet,
            to: Some(self.peer),
        };
        let _ = context
            .internet
            .poll_ingress_single(now, &mut link, &mut self.set);
        context.wire.numbering = Numbering::Plain;
        context.wire.skipped = 0;
        let after = self.received();
        self.heard = self.heard.wrapping_add((after.0 - before.0) as u32);
        if after.1 && !before.1 {
            self.heard = self.heard.wrapping_add(1);
            self.ack_now = true;
        }
        if self.heard != self.told && self.ack_by.is_none() {
            self.ack_by = Some(now + ACK_DELAY);
        }
        if self.note_synced(context) {
            self.note_told();
        }
    }

    /// Bytes that wait to be read, and whether there will be no more.
    fn received(&mut self) -> (usize, bool) {
        let socket = self.socket();
        let over = matches!(
            socket.state(),
            State::CloseWait | State::Closing | State::LastAck | State::TimeWait
        );
        (socket.recv_queue(), over)
    }

    /// Gives a half-open connection a segment.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn shake<H: Host>(
        &mut self,
        context: &mut Context,
        segment: &Segment,
        frame: &[u8],
        host: &mut H,
        now: Instant,
    ) {
        let shift = self.numbering.shift();
        let number = shift.map(|shift| segment.ack.wrapping_sub(shift));
        self.feed(context, segment, frame, number, host, now);
        let (Some(number), State::Established | State::CloseWait) = (number, self.socket().state())
        else {
            return;
        };
        self.base = number;
        self.establish(context, segment, now);
    }
}
