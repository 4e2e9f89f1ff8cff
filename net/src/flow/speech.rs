//! How a connection speaks: data, acknowledgements, and what smoltcp has to say.

use super::{Flow, HORIZON, Stage};
use crate::context::Context;
use crate::frame::Head;
use crate::host::Host;
use crate::link::Link;
use crate::segment::Flags;
use crate::sender::Chunk;
use crate::sequence::Numbering;
use smoltcp::socket::tcp::State;
use smoltcp::time::Instant;

/// Most bytes of a long segment that are copied, in front of those that are not.
const MOST_BEFORE: usize = 1400;
/// Most data of a long segment: an IPv6 packet's headers fit the 65,535 bytes of IP beside it.
const LONGEST: usize = 65_535 - 60;

impl Flow {
    /// Sends what can be sent.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub(super) fn send<H: Host>(&mut self, context: &mut Context, host: &mut H, now: Instant) {
        self.stalled = false;
        if !self.awake {
            return match (self.reset, self.stage) {
                (true, _) => self.say_reset(context, host),
                (false, Stage::HalfOpen) => self.shake_hands(context, host, now),
                (false, _) => self.speak(context, host, now),
            };
        }
        match self.socket().state() {
            State::Listen => {}
            State::SynReceived | State::Closed => self.let_socket_speak(context, host, now),
            _ => self.speak(context, host, now),
        }
    }

    /// Resets a connection whose socket sleeps.
    fn say_reset<H: Host>(&mut self, context: &mut Context, host: &mut H) {
        let head = Head {
            window: 0,
            ..self.head(self.sender.number(), Flags(Flags::RST | Flags::ACK))
        };
        context.wire.say(host, &head, 0, |_| {});
    }

    /// Sends the SYN|ACK or RST that the socket has to say.
    fn let_socket_speak<H: Host>(&mut self, context: &mut Context, host: &mut H, now: Instant) {
        let shaking = self.stage == Stage::HalfOpen;
        context.wire.numbering = match shaking {
            true => self.numbering,
            false => Numbering::At(self.sender.number()),
        };
        self.poll(context, host, now, false);
        if shaking {
            if self.numbering.shift().is_some() && context.wire.sent.is_some() {
                self.sender.opened_again();
            }
            self.numbering = context.wire.numbering;
        }
        context.wire.numbering = Numbering::Plain;
        self.stalled = context.wire.exhausted;
        if self.note_synced(context) {
            self.note_told();
        }
    }

    /// Lets smoltcp write what it wants to. `hold`: it is not sent.
    pub(super) fn poll<H: Host>(
        &mut self,
        context: &mut Context,
        host: &mut H,
        now: Instant,
        hold: bool,
    ) {
        context.wire.clear();
        context.wire.hold = hold;
        context.wire.skipped = self.skipped;
        let mut link = Link {
            host,
            wire: &mut context.wire,
            input: None,
            to: Some(self.peer),
        };
        let _ = context.internet.poll_egress(now, &mut link, &mut self.set);
        context.wire.hold = false;
        context.wire.skipped = 0;
    }

    /// Takes note of the acknowledgement and window in what smoltcp has just written. Whether it
    /// has written something.
    pub(super) fn note_synced(&mut self, context: &Context) -> bool {
        let Some(sent) = context.wire.sent else {
            return false;
        };
        self.edge = sent.ack.wrapping_add(u32::from(sent.window));
        true
    }

    /// The peer has been told where we are.
    pub(super) fn note_told(&mut self) {
        self.told = self.heard;
        self.ack_now = false;
        self.ack_by = None;
    }

    /// Moves the end of the window when less than half of it is left. That takes smoltcp a
    /// segment, which is not sent.
    fn open_window<H: Host>(&mut self, context: &mut Context, host: &mut H, now: Instant) {
        if self.awake && self.window() < self.capacity / 2 {
            self.move_edge(context, host, now);
        }
    }

    fn move_edge<H: Host>(&mut self, context: &mut Context, host: &mut H, now: Instant) {
        self.poll(context, host, now, true);
        self.note_synced(context);
    }

    /// Bytes that the peer may send now.
    pub(super) fn window(&self) -> u32 {
        let window = self.edge.wrapping_sub(self.heard) as i32;
        window.max(0) as u32
    }

    #[cfg_attr(target_os = "none", optimize(speed))]
    fn speak<H: Host>(&mut self, context: &mut Context, host: &mut H, now: Instant) {
        if self.conn.is_closed() && self.queue.len() <= HORIZON {
            self.sender.close();
        }
        if host.can_transmit()
            && let Some(chunk) = self.sender.whole(self.queue.len(), now)
        {
            self.open_window(context, host, now);
            self.emit(&chunk, context, host);
            return self.note_told();
        }
        self.sender.tick(now);
        let mut spoke = false;
        while self.sender.has_more(self.in_sight()) {
            if !host.can_transmit() {
                self.stalled = true;
                break;
            }
            let most = self.longest(context, host);
            let Some(chunk) = self.sender.next(self.in_sight(), most, now) else {
                break;
            };
            if !spoke {
                spoke = true;
                self.open_window(context, host, now);
            }
            self.emit(&chunk, context, host);
        }
        if !spoke && self.is_ack_due(now) {
            if !host.can_transmit() {
                self.stalled = true;
                return;
            }
            spoke = true;
            if self.awake {
                // This is a peer that sends much.
                self.move_edge(context, host, now);
            }
            let head = self.head(self.sender.number(), Flags(Flags::ACK));
            context.wire.say(host, &head, 0, |_| {});
        }
        if spoke {
            self.note_told();
        }
    }

    /// Most bytes of data that can go out as one segment now, to be cut below.
    fn longest<H: Host>(&self, context: &Context, host: &H) -> u32 {
        let (segment, at) = (self.sender.segment(), self.sender.position());
        let left = self.queue.len().saturating_sub(at);
        if left <= segment as usize || !context.wire.cuts(host) {
            return segment;
        }
        let (before, slice) = self.queue.stretch(at);
        if before > MOST_BEFORE || slice == 0 {
            return segment;
        }
        let most = (before + slice).min(LONGEST) as u32;
        // What does not end the queue is whole segments.
        match before + slice == left && left <= LONGEST {
            true => most,
            false => most - most % segment,
        }
    }

    /// Puts a segment into a frame.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn emit<H: Host>(&mut self, chunk: &Chunk, context: &mut Context, host: &mut H) {
        let mut flags = Flags::ACK;
        if chunk.push {
            flags |= Flags::PSH;
        }
        if chunk.fin {
            flags |= Flags::FIN;
        }
        context.service.stats.retransmitted += u64::from(chunk.again);
        let head = self.head(chunk.seq, Flags(flags));
        let blocks = &context.blocks;
        let (mut len, mut tail) = (chunk.len, None);
        let segment = self.sender.segment();
        if len > segment as usize {
            let (before, slice) = self.queue.stretch(chunk.skip);
            let slice = slice.min(len.saturating_sub(before));
            tail = Some((segment, self.queue.slice(chunk.skip + before, slice)));
            len -= slice;
        }
        context
            .wire
            .say_at_length(host, &head, len, tail, |target| {
                self.queue.copy(blocks, chunk.skip, target);
            });
    }

    fn head(&self, seq: u32, flags: Flags) -> Head<'_> {
        Head {
            tuple: &self.tuple,
            to: self.peer,
            seq,
            ack: self.heard,
            window: self.window().min(u32::from(u16::MAX)) as u16,
            flags,
            options: 0,
        }
    }

    /// Whether an acknowledgement has to go out now: for every second full segment at least
    /// (RFC 9293, 3.8.6.3), for a FIN, after a while, or when there is much more room than the
    /// peer knows of.
    fn is_ack_due(&mut self, now: Instant) -> bool {
        let unacked = self.heard.wrapping_sub(self.told);
        if self.ack_now
            || self.ack_by.is_some_and(|at| at <= now)
            || unacked > self.sender.segment()
        {
            return true;
        }
        let known = self.window() as usize;
        if !self.awake || known >= self.capacity as usize / 2 {
            return false;
        }
        let socket = self.socket();
        let free = socket.recv_capacity() - socket.recv_queue();
        free >= 2 * known.max(1) && socket.may_recv()
    }
}
