//! One connection: a socket in a set of its own, the HTTP conversation on it, and the sending half.
//!
//! smoltcp looks through a set for the socket that a segment belongs to. With one socket to a set
//! that costs the same for ten connections as for ten thousand; which set is the stack's business.
//!
//! The socket receives, and keeps the state. It has no send buffer and never learns of a byte that we
//! send: what is said lies in the [`Queue`], `sender` decides what of it goes out, and
//! acknowledgements of data end here. It sleeps until it is needed, which mostly it is not: see
//! `handshake` and `wake`.

mod census;
mod handshake;
mod speech;
mod wake;

use crate::challenge::{self, Challenges, Standing, Verdict};
use crate::context::Context;
use crate::deadlines::earlier;
use crate::host::Host;
use crate::http::conn::Scene;
use crate::http::{Conn, Ear, Wait};
use crate::link::Link;
use crate::outbox::{Blocks, Outbox, Queue};
use crate::segment::{self, Segment, Tuple};
use crate::sender::{Ack, Peer, Sack, Sender, before};
use crate::sequence::Numbering;
use handshake::Heard;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, Socket, State};
use smoltcp::time::{Duration, Instant};

/// How long a handshake may take.
const HALF_OPEN: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request.
const IDLE: Duration = Duration::from_secs(60);
/// How long a request may take to arrive.
const REQUEST: Duration = Duration::from_secs(15);
/// How long the peer may take nothing of an answer.
const ANSWER: Duration = Duration::from_secs(60);
/// How long the peer may take to close.
const CLOSING: Duration = Duration::from_secs(10);

/// How long an acknowledgement waits for an answer to ride on (RFC 9293, 3.8.6.3 allows 500 ms).
const ACK_DELAY: Duration = Duration::from_millis(10);
/// How far the sender looks ahead: further than any window.
const HORIZON: usize = 1 << 30;
/// When a connection that found no memory for its answer tries again.
const MEMORY: Duration = Duration::from_millis(50);

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There is none in this slot.
    Free,
    /// The handshake is not complete.
    HalfOpen,
    /// It waits for a request.
    Idle,
    /// A request or its answer is under way.
    Busy,
    /// We have said everything.
    Closing,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes on.
    Lives,
    /// It has ended and has to be remembered for a while.
    Lingers,
    /// It has ended.
    Ends,
}

/// How a connection begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    /// The hash of its tuple.
    pub hash: u64,
    /// The peer's initial sequence number.
    pub irs: u32,
    /// Ours.
    pub iss: u32,
    /// What the peer said of itself.
    pub peer: Peer,
}

/// Which deadline of a connection has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// That of the handshake: the connection goes without a word.
    HalfOpen,
    /// That of the next request.
    Idle,
    /// That of the rest of a request.
    Request,
    /// That of an answer.
    Answer,
    /// That of the end.
    Closing,
}

/// A connection, or the slot for one.
pub(crate) struct Flow {
    set: SocketSet<'static>,
    handle: SocketHandle,
    conn: Conn,
    wait: Wait,
    /// What it is doing.
    pub stage: Stage,
    /// Whose it is.
    pub tuple: Tuple,
    /// The tuple's hash.
    pub hash: u64,
    /// When its first segment came.
    opened: Instant,
    /// The hardware address that the last segment came from, where the next one goes.
    peer: [u8; 6],
    /// The peer's initial sequence number.
    pub irs: u32,
    /// Ours.
    pub iss: u32,
    /// When the SYN|ACK goes out again, and how often it did.
    again: Instant,
    shakes: u8,
    /// smoltcp knows of the connection: see [`wake`].
    awake: bool,
    /// The connection is to be reset. Only for one whose socket sleeps.
    reset: bool,
    /// Both ends have said everything. The same.
    over: bool,
    /// How our numbers differ on the wire from smoltcp's, for the handshake.
    numbering: Numbering,
    /// smoltcp's next number after the handshake.
    base: u32,
    /// What is said and not acknowledged.
    queue: Queue,
    /// What of it goes out, and when.
    sender: Sender,
    /// Next number that we expect (RCV.NXT).
    heard: u32,
    /// What of it the peer was told.
    told: u32,
    /// The end of the window that smoltcp would take: what lies behind, it does not.
    edge: u32,
    /// Bytes that were read from their frames, and of which smoltcp does not know.
    skipped: u32,
    /// Behind all that smoltcp was given, in order or not.
    reach: u32,
    /// Bytes of the receive buffer.
    capacity: u32,
    /// The peer waits for an acknowledgement, whatever else there is to say.
    ack_now: bool,
    /// When it gets one.
    ack_by: Option<Instant>,
    /// The peer has taken something since the last turn.
    taken: bool,
    /// When the peer was challenged.
    challenges: Challenges,
    /// When it has to get further.
    deadline: Instant,
    /// In the queue of those that wait for the transmit ring.
    pub in_stalled: bool,
    /// The last attempt to send met a full transmit ring.
    pub stalled: bool,
}

impl Flow {
    /// A slot with its socket.
    pub fn new(set: SocketSet<'static>, handle: SocketHandle) -> Flow {
        let mut flow = Flow {
            set,
            handle,
            conn: Conn::new(),
            wait: Wait::Request,
            stage: Stage::Free,
            tuple: Tuple {
                remote: 0,
                local: 0,
                remote_port: 0,
                local_port: 0,
            },
            hash: 0,
            opened: Instant::ZERO,
            peer: [0; 6],
            irs: 0,
            iss: 0,
            again: Instant::ZERO,
            shakes: 0,
            awake: false,
            reset: false,
            over: false,
            numbering: Numbering::Plain,
            base: 0,
            queue: Queue::new(),
            sender: Sender::new(),
            heard: 0,
            told: 0,
            edge: 0,
            skipped: 0,
            reach: 0,
            capacity: 0,
            ack_now: false,
            ack_by: None,
            taken: false,
            challenges: Challenges::new(),
            deadline: Instant::ZERO,
            in_stalled: false,
            stalled: false,
        };
        let socket = flow.socket();
        let capacity = socket.recv_capacity() as u32;
        // When acknowledgements go out is decided here, and there is no data to be held back.
        socket.set_ack_delay(None);
        socket.set_nagle_enabled(false);
        socket.set_congestion_control(CongestionControl::None);
        flow.capacity = capacity;
        flow
    }

    /// Makes the slot ready for a connection, by its SYN or by the acknowledgement of a cookie: then it
    /// is half open, and the segment is still to be taken. `mtu`: that of our link.
    pub fn open(&mut self, segment: &Segment, opening: &Opening, mtu: usize, now: Instant) {
        self.conn = Conn::new();
        self.wait = Wait::Request;
        self.stage = Stage::HalfOpen;
        self.tuple = segment.tuple;
        self.hash = opening.hash;
        self.opened = now;
        self.peer = segment.source;
        self.irs = opening.irs;
        self.iss = opening.iss;
        self.again = now;
        self.shakes = 0;
        self.awake = false;
        self.reset = false;
        self.over = false;
        self.numbering = Numbering::Plain;
        let most = mtu - crate::frame::overhead(&segment.tuple);
        self.sender.open(opening.iss, opening.peer, most, now);
        if !segment.flags.syn() {
            // Nobody knows when the cookie was sent.
            self.sender.opened_again();
        }
        self.heard = opening.irs.wrapping_add(1);
        self.skipped = 0;
        self.reach = self.heard;
        self.ack_now = false;
        self.ack_by = None;
        self.taken = false;
        self.challenges = Challenges::new();
        self.deadline = now + HALF_OPEN;
        self.stalled = false;
    }

    /// Empties the slot. Nothing is sent.
    pub fn vacate(&mut self, blocks: &mut Blocks) {
        if self.awake {
            self.socket().abort();
            self.awake = false;
        }
        self.queue.clear(blocks);
        self.stage = Stage::Free;
    }

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

    /// A router says that packets of more than `mtu` bytes do not pass. Whether they are shorter
    /// from now on.
    pub fn shorten(&mut self, mtu: u32, now: Instant) -> bool {
        let most = mtu.saturating_sub(crate::frame::overhead(&self.tuple) as u32);
        self.stage != Stage::HalfOpen && self.sender.shorten(most, now)
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

    /// Bytes of the queue that the sender looks at: numbers wrap (RFC 9293, 3.4), and a queue may be
    /// longer than that.
    fn in_sight(&self) -> usize {
        self.queue.len().min(HORIZON)
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

    /// Reads, answers, sends. `at_rest`: no received frame is being looked at.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn run<H: Host>(
        &mut self,
        context: &mut Context,
        host: &mut H,
        at_rest: bool,
        now: Instant,
    ) -> Fate {
        match self.has_the_word() {
            false => {}
            true => {
                let mut ear = Ear(match self.awake {
                    true => Some(self.set.get_mut::<Socket<'_>>(self.handle)),
                    false => None,
                });
                let service = &mut context.service;
                let served = service.stats.requests_served;
                let mut outbox = Outbox::new(&mut self.queue, &mut context.blocks);
                let mut scene = Scene {
                    service,
                    snapshot: &|| host.snapshot(),
                    black_box_len: host.black_box_len(),
                    read_black_box: &|at, target| host.read_black_box(at, target),
                    at_rest,
                    port: self.tuple.local_port,
                    now,
                };
                let wait = self.conn.advance(&mut ear, &mut outbox, &mut scene);
                let fresh = context.service.stats.requests_served != served;
                self.note_wait(wait, fresh, now);
            }
        }
        self.send(context, host, now);
        // The queue of those that wait for the ring is looked at when the frames of this turn
        // have gone back.
        self.stalled |= self.conn.is_deferred();
        if !self.awake {
            return match (self.reset, self.over) {
                (true, _) => Fate::Ends,
                (false, true) => Fate::Lingers,
                (false, false) => Fate::Lives,
            };
        }
        match self.socket().state() {
            State::TimeWait => Fate::Lingers,
            State::Closed | State::Listen => Fate::Ends,
            _ => Fate::Lives,
        }
    }

    /// Whether requests may come and answers go.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn has_the_word(&mut self) -> bool {
        match self.awake {
            false => self.stage != Stage::HalfOpen && !self.reset,
            true => !matches!(
                self.socket().state(),
                State::SynReceived | State::Listen | State::Closed
            ),
        }
    }

    /// Whether a segment of ours with this number may be under way.
    pub fn awaits(&self, seq: u32) -> bool {
        self.sender.awaits(seq)
    }

    /// Which deadline has passed, if one has.
    pub fn expiry(&self, now: Instant) -> Option<Expiry> {
        if now < self.deadline {
            return None;
        }
        Some(match (self.stage, self.wait) {
            (Stage::Free, _) => return None,
            (Stage::HalfOpen, _) => Expiry::HalfOpen,
            (Stage::Idle, _) => Expiry::Idle,
            (Stage::Busy, Wait::Head | Wait::Content) => Expiry::Request,
            (Stage::Busy, _) => Expiry::Answer,
            (Stage::Closing, _) => Expiry::Closing,
        })
    }

    /// Ends what has taken too long: politely if the peer can still be told, else by a reset.
    /// `run` sends it.
    pub fn expire(&mut self, expiry: Expiry) {
        if expiry == Expiry::Answer || !self.give_up() {
            self.reset();
        }
    }

    fn give_up(&mut self) -> bool {
        let mut ear = Ear(match self.awake {
            true => Some(self.set.get_mut::<Socket<'_>>(self.handle)),
            false => None,
        });
        self.conn.give_up(&mut ear)
    }

    /// Ends an idle connection in order. `run` sends it.
    pub fn close(&mut self) {
        let mut ear = Ear(match self.awake {
            true => Some(self.set.get_mut::<Socket<'_>>(self.handle)),
            false => None,
        });
        self.conn.close(&mut ear);
    }

    /// Ends the connection by a reset. `run` sends it.
    pub fn reset(&mut self) {
        match self.awake {
            true => self.socket().abort(),
            false => self.reset = true,
        }
    }

    /// When the connection wants attention next.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn next(&mut self, context: &mut Context, now: Instant) -> Instant {
        let own = if self.stage == Stage::HalfOpen && !self.awake {
            Some(self.again)
        } else if self.stage == Stage::HalfOpen {
            context.internet.poll_at(now, &self.set)
        } else if self.wait == Wait::Room && self.queue.len() == 0 {
            // There was no memory for its answer, and nothing of its own that will be freed.
            Some(now + MEMORY)
        } else {
            let wakes_at = match self.wait {
                Wait::Time => self.conn.wakes_at(),
                _ => None,
            };
            earlier(earlier(self.sender.deadline(), self.ack_by), wakes_at)
        };
        own.map_or(self.deadline, |at| at.min(self.deadline))
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.set.get_mut::<Socket<'static>>(self.handle)
    }

    /// Sets stage and deadline by what the conversation waits for. `fresh`: a request has been
    /// answered.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn note_wait(&mut self, wait: Wait, fresh: bool, now: Instant) {
        // As long as the peer has not taken all that was said, that is what is waited for.
        let wait = match wait {
            Wait::Request | Wait::End | Wait::Time if self.queue.len() > 0 => Wait::Room,
            wait => wait,
        };
        let (stage, patience) = match wait {
            Wait::Request => (Stage::Idle, IDLE),
            Wait::Head | Wait::Content => (Stage::Busy, REQUEST),
            Wait::Room | Wait::Time => (Stage::Busy, ANSWER),
            Wait::End => (Stage::Closing, CLOSING),
        };
        let taken = self.taken && matches!(wait, Wait::Room | Wait::End);
        self.taken = false;
        if fresh || taken || wait != self.wait || stage != self.stage {
            self.deadline = now + patience;
        }
        if wait == Wait::Time {
            // Nobody is late but the handler, and it may name any time.
            self.deadline = self.conn.wakes_at().unwrap_or(now).max(now) + patience;
        }
        self.wait = wait;
        self.stage = stage;
    }
}
