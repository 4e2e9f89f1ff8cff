//! One connection: a socket in a set of its own, and the HTTP conversation on it.
//!
//! smoltcp looks through a set for the socket that a segment belongs to. With one socket to a set
//! that costs the same for ten connections as for ten thousand; which set is the stack's business.

use crate::context::Context;
use crate::host::Host;
use crate::http::conn::Scene;
use crate::http::{Conn, Wait};
use crate::link::{Link, Sent};
use crate::segment::{self, Segment, Tuple};
use crate::sequence::Numbering;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, Socket, State};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::IpListenEndpoint;

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

/// smoltcp's delay of a bare acknowledgement; nothing that it starts comes up earlier.
pub(crate) const SOONEST: Duration = Duration::from_millis(10);
/// smoltcp's least time before it sends again.
pub(crate) const RETRANSMIT: Duration = Duration::from_millis(1000);
/// How often a peer whose window seems to be closed is asked for it.
const NUDGE: Duration = Duration::from_secs(1);
/// The initial window of RFC 6928 at an MTU of 1500. A send buffer of this size may be in flight
/// whole, so that before the first loss there is no window to open; a larger one needs congestion
/// control from the start.
pub(crate) const INITIAL_WINDOW: usize = 14_600;

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
    /// The hardware address that the last segment came from, where the next one goes.
    peer: [u8; 6],
    /// The peer's initial sequence number.
    pub irs: u32,
    /// How our numbers differ on the wire from smoltcp's.
    numbering: Numbering,
    /// The sequence number behind everything sent, once something was.
    snd_max: Option<u32>,
    /// When it has to get further.
    deadline: Instant,
    /// Bytes in the send buffer after the last turn.
    queued: usize,
    /// Congestion control is on.
    controlled: bool,
    /// The peer is asked for its window from time to time.
    nudged: bool,
    /// In the queue of those that wait for the transmit ring.
    pub in_stalled: bool,
    /// The last attempt to send met a full transmit ring.
    pub stalled: bool,
    /// The last attempt to send sent something, and with it an acknowledgement.
    pub spoke: bool,
}

impl Flow {
    /// A slot with its socket.
    pub fn new(set: SocketSet<'static>, handle: SocketHandle) -> Flow {
        Flow {
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
            peer: [0; 6],
            irs: 0,
            numbering: Numbering::Plain,
            snd_max: None,
            deadline: Instant::ZERO,
            queued: 0,
            controlled: false,
            nudged: false,
            in_stalled: false,
            stalled: false,
            spoke: false,
        }
    }

    /// Makes the slot ready for the SYN in `segment`. `iss`: our initial sequence number.
    pub fn open(&mut self, segment: &Segment, hash: u64, iss: u32, now: Instant) {
        self.conn = Conn::new();
        self.wait = Wait::Request;
        self.stage = Stage::HalfOpen;
        self.tuple = segment.tuple;
        self.hash = hash;
        self.irs = segment.seq;
        self.numbering = Numbering::From(iss);
        self.deadline = now + HALF_OPEN;
        self.snd_max = None;
        self.queued = 0;
        self.nudged = false;
        self.stalled = false;
        let endpoint = IpListenEndpoint {
            addr: Some(segment.tuple.local_address().into()),
            port: segment.tuple.local_port,
        };
        let socket = self.socket();
        socket.set_keep_alive(None);
        socket.set_nagle_enabled(false);
        // What fits the initial window needs no control until something is lost. smoltcp's reset
        // leaves the last connection's window in place, so it is set anew either way.
        let controlled = socket.send_capacity() > INITIAL_WINDOW;
        socket.set_congestion_control(control(controlled));
        let listening = socket.listen(endpoint);
        debug_assert!(listening.is_ok(), "the slot's socket was not closed");
        self.controlled = controlled;
    }

    /// Empties the slot. Nothing is sent.
    pub fn vacate(&mut self) {
        self.socket().abort();
        self.stage = Stage::Free;
    }

    /// Gives the connection a segment of its own.
    pub fn ingest<H: Host>(
        &mut self,
        context: &mut Context,
        segment: &Segment,
        frame: &[u8],
        host: &mut H,
        now: Instant,
    ) {
        let packet = match self.numbering.shift() {
            None => Some(&frame[segment::ETHERNET..]),
            Some(shift) => Context::shifted(&mut context.desk, frame, segment, shift),
        };
        context.service.stats.dropped.malformed += u64::from(packet.is_none());
        self.peer = segment.source;
        context.wire.numbering = self.numbering;
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
    }

    /// Whether a bare acknowledgement left nothing to do.
    pub fn is_quiet(&mut self) -> bool {
        self.stage == Stage::Idle && {
            let socket = self.socket();
            socket.state() == State::Established
                && socket.send_queue() == 0
                && socket.recv_queue() == 0
        }
    }

    /// Reads, answers, sends. `at_rest`: no received frame is being looked at.
    pub fn run<H: Host>(
        &mut self,
        context: &mut Context,
        host: &mut H,
        at_rest: bool,
        now: Instant,
    ) -> Fate {
        let socket = self.set.get_mut::<Socket<'_>>(self.handle);
        match socket.state() {
            State::SynReceived | State::Listen | State::Closed => {}
            _ => {
                let service = &mut context.service;
                if self.stage == Stage::HalfOpen {
                    service.stats.connections_served += 1;
                }
                let served = service.stats.requests_served;
                let taken = socket.send_queue() < self.queued;
                if taken && self.nudged {
                    self.nudged = false;
                    socket.set_keep_alive(None);
                }
                let mut scene = Scene {
                    service,
                    snapshot: &|| host.snapshot(),
                    black_box_len: host.black_box_len(),
                    read_black_box: &|at, target| host.read_black_box(at, target),
                    at_rest,
                    port: self.tuple.local_port,
                    now,
                };
                let wait = self.conn.advance(socket, &mut scene);
                self.queued = socket.send_queue();
                let fresh = context.service.stats.requests_served != served;
                self.note_wait(wait, taken, fresh, now);
            }
        }
        self.send(context, host, now);
        // The queue of those that wait for the ring is looked at when the frames of this turn
        // have gone back.
        self.stalled |= self.conn.is_deferred();
        match self.socket().state() {
            State::TimeWait => Fate::Lingers,
            State::Closed | State::Listen => Fate::Ends,
            _ => Fate::Lives,
        }
    }

    /// Whether a segment of ours with this number may be under way.
    pub fn awaits(&self, seq: u32) -> bool {
        self.snd_max.is_some_and(|max| {
            let back = max.wrapping_sub(seq) as usize;
            back > 0 && back <= self.queued + 1
        })
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
    pub fn expire(&mut self) {
        let socket = self.set.get_mut::<Socket<'_>>(self.handle);
        if !self.conn.give_up(socket) {
            socket.abort();
        }
    }

    /// Ends an idle connection in order. `run` sends it.
    pub fn close(&mut self) {
        let socket = self.set.get_mut::<Socket<'_>>(self.handle);
        self.conn.close(socket);
    }

    /// Ends the connection by a reset. `run` sends it.
    pub fn reset(&mut self) {
        self.socket().abort();
    }

    /// When the connection wants attention next.
    pub fn next(&mut self, context: &mut Context, now: Instant) -> Instant {
        match context.internet.poll_at(now, &self.set) {
            Some(at) => at.min(self.deadline),
            None if self.socket().send_queue() > 0 => {
                // smoltcp has data to send and no timer: its retransmission came up while the
                // peer's window was closed, and it does not go over to probing the window
                // (RFC 9293, 3.8.6.1). A keep-alive makes the peer tell its window as well.
                self.nudged = true;
                self.socket().set_keep_alive(Some(NUDGE));
                now
            }
            None => self.deadline,
        }
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.set.get_mut::<Socket<'static>>(self.handle)
    }

    /// Sets stage and deadline by what the conversation waits for. `taken`: the peer has taken
    /// something of what was sent; `fresh`: a request has been answered.
    fn note_wait(&mut self, wait: Wait, taken: bool, fresh: bool, now: Instant) {
        let (stage, patience) = match wait {
            Wait::Request => (Stage::Idle, IDLE),
            Wait::Head | Wait::Content => (Stage::Busy, REQUEST),
            Wait::Room => (Stage::Busy, ANSWER),
            Wait::End => (Stage::Closing, CLOSING),
        };
        let taken = taken && matches!(wait, Wait::Room | Wait::End);
        if fresh || taken || wait != self.wait || stage != self.stage {
            self.deadline = now + patience;
        }
        self.wait = wait;
        self.stage = stage;
    }

    /// Sends what can be sent.
    fn send<H: Host>(&mut self, context: &mut Context, host: &mut H, now: Instant) {
        self.spoke = false;
        context.wire.numbering = self.numbering;
        self.send_all(context, host, now);
        self.numbering = context.wire.numbering;
        context.wire.numbering = Numbering::Plain;
    }

    fn send_all<H: Host>(&mut self, context: &mut Context, host: &mut H, now: Instant) {
        loop {
            context.wire.clear();
            let mut link = Link {
                host,
                wire: &mut context.wire,
                input: None,
                to: Some(self.peer),
            };
            let _ = context.internet.poll_egress(now, &mut link, &mut self.set);
            self.stalled = context.wire.exhausted;
            let Some(sent) = context.wire.sent else {
                return;
            };
            self.spoke = true;
            self.note_sent(&sent, context);
            // PSH or FIN: smoltcp has nothing more to send, and would only look again.
            if sent.payload == 0 || sent.flags.psh() || sent.flags.fin() {
                return;
            }
        }
    }

    fn note_sent(&mut self, sent: &Sent, context: &mut Context) {
        let len = sent.payload as u32 + u32::from(sent.flags.syn()) + u32::from(sent.flags.fin());
        if len == 0 || sent.flags.rst() {
            return;
        }
        let end = sent.seq.wrapping_add(len);
        let Some(max) = self.snd_max else {
            self.snd_max = Some(end);
            return;
        };
        if (sent.seq.wrapping_sub(max) as i32) < 0 {
            context.service.stats.retransmitted += 1;
            if !self.controlled {
                self.controlled = true;
                self.socket().set_congestion_control(control(true));
            }
        }
        if (end.wrapping_sub(max) as i32) > 0 {
            self.snd_max = Some(end);
        }
    }
}

fn control(on: bool) -> CongestionControl {
    match on {
        true => CongestionControl::Reno,
        false => CongestionControl::None,
    }
}
