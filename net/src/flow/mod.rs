//! One connection: a socket in a set of its own, the HTTP conversation on it, and the sending half.
//!
//! smoltcp looks through a set for the socket that a segment belongs to. With one socket to a set
//! that costs the same for ten connections as for ten thousand; which set is the stack's business.
//!
//! The socket receives, and keeps the state. It has no send buffer and never learns of a byte that we
//! send: what is said lies in the [`Queue`], `sender` decides what of it goes out, and
//! acknowledgements of data end here. It sleeps until it is needed, which mostly it is not.
//!
//! | part | has |
//! | --- | --- |
//! | `handshake` | how a connection begins |
//! | `hearing` | what becomes of a segment of its own |
//! | `wake` | how the socket comes to know of it |
//! | `speech` | what is sent |
//! | `patience` | what it waits for, and how long |
//! | `census` | what there is to see of it |

mod census;
mod handshake;
mod hearing;
mod patience;
mod speech;
mod wake;

use crate::challenge::Challenges;
use crate::context::Context;
use crate::host::Host;
use crate::http::conn::Scene;
use crate::http::{Conn, Ear, Wait};
use crate::outbox::{Blocks, Outbox, Queue};
use crate::segment::{Segment, Tuple};
use crate::sender::{Peer, Sender};
use crate::sequence::Numbering;
use patience::HALF_OPEN;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, Socket, State};
use smoltcp::time::Instant;

pub(crate) use patience::Expiry;

/// How far the sender looks ahead: further than any window.
const HORIZON: usize = 1 << 30;

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

    /// A router says that packets of more than `mtu` bytes do not pass. Whether they are shorter
    /// from now on.
    pub fn shorten(&mut self, mtu: u32, now: Instant) -> bool {
        let most = mtu.saturating_sub(crate::frame::overhead(&self.tuple) as u32);
        self.stage != Stage::HalfOpen && self.sender.shorten(most, now)
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
                let mut ear = ear(self.awake, &mut self.set, self.handle);
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

    /// Ends an idle connection in order. `run` sends it.
    pub fn close(&mut self) {
        let mut ear = ear(self.awake, &mut self.set, self.handle);
        self.conn.close(&mut ear);
    }

    /// Ends the connection by a reset. `run` sends it.
    pub fn reset(&mut self) {
        match self.awake {
            true => self.socket().abort(),
            false => self.reset = true,
        }
    }

    /// Bytes of the queue that the sender looks at: numbers wrap (RFC 9293, 3.4), and a queue may be
    /// longer than that.
    fn in_sight(&self) -> usize {
        self.queue.len().min(HORIZON)
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.set.get_mut::<Socket<'static>>(self.handle)
    }
}

/// What a connection hears with. Of the flow it borrows the socket alone.
fn ear<'a>(awake: bool, set: &'a mut SocketSet<'static>, handle: SocketHandle) -> Ear<'a, 'static> {
    Ear(awake.then(|| set.get_mut::<Socket<'static>>(handle)))
}
