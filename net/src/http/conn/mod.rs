//! One connection's turn of requests and answers.
//!
//! The connection holds no copy of anything: what is not read yet lies in the socket's receive
//! buffer, what is said lies in its [`Outbox`], and files in the site's image.

mod reading;
mod writing;

use super::answer::Answer;
use super::body::Body;
use super::ear::Ear;
use super::range::Spans;
use super::response::Rest;
use super::status::Status;
use crate::app;
use crate::host::Snapshot;
use crate::outbox::Outbox;
use crate::service::Service;
use reading::Read;
use smoltcp::time::Instant;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The next request; nothing of it has arrived.
    Request,
    /// The rest of a request's head.
    Head,
    /// The rest of a request's content.
    Content,
    /// Room for what is to be said: the peer has to take what was sent.
    Room,
    /// The time that a handler has named for the next piece of its answer.
    Time,
    /// The end: everything has been said.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Reading a head.
    Head,
    /// The client is to be told to send its content.
    Continue,
    /// Throwing a request's content away.
    Body,
    /// An answer is to be written.
    Answer,
    /// An answer's head has been written.
    Content,
    /// The sending side is closed. What still arrives is thrown away, so that the peer is not
    /// reset before it has read the last answer (RFC 9112, 9.6).
    Closed,
}

/// A connection.
pub(crate) struct Conn {
    state: State,
    answer: Answer,
    head_only: bool,
    old: bool,
    keep: bool,
    body: Body,
    /// What of the content is not in the outbox yet.
    rest: Rest,
    /// The ranges of a file that it is made of, if it is.
    spans: Spans,
    /// The answer waits until no received frame is in anybody's hands.
    deferred: bool,
    /// So many bytes of a head stay in the receive buffer until its answer is written: the answer
    /// repeats some of them.
    held: usize,
    /// What a handler keeps of a request whose content arrives.
    work: app::State,
}

/// What else an answer may need.
pub(crate) struct Scene<'a> {
    /// What all connections share.
    pub service: &'a mut Service,
    /// Asks the machine for its figures.
    pub snapshot: &'a dyn Fn() -> Snapshot,
    /// Bytes of the machine's black box.
    pub black_box_len: usize,
    /// Reads from it.
    pub read_black_box: &'a dyn Fn(usize, &mut [u8]) -> usize,
    /// No received frame is being looked at.
    pub at_rest: bool,
    /// Our port of this connection.
    pub port: u16,
    /// The time.
    pub now: Instant,
}

impl Conn {
    /// A fresh connection.
    pub const fn new() -> Conn {
        Conn {
            state: State::Head,
            answer: Answer::Status(Status::BadRequest),
            head_only: false,
            old: false,
            keep: true,
            body: Body::NONE,
            rest: Rest::NONE,
            spans: Spans::NONE,
            deferred: false,
            held: 0,
            work: app::State([0; 4]),
        }
    }

    /// Reads and answers as much as there is room for.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn advance(
        &mut self,
        ear: &mut Ear<'_, '_>,
        outbox: &mut Outbox<'_>,
        scene: &mut Scene<'_>,
    ) -> Wait {
        loop {
            match self.state {
                State::Head => match self.read_head(ear, scene) {
                    Read::Whole => {}
                    Read::Partial | Read::Divided if ear.recv_queue() == 0 => {
                        return Wait::Request;
                    }
                    Read::Partial | Read::Divided => return Wait::Head,
                    Read::Ended => self.close(ear),
                },
                State::Continue => {
                    if !outbox.push_static(b"HTTP/1.1 100 Continue\r\n\r\n") {
                        return Wait::Room;
                    }
                    self.state = State::Body;
                }
                State::Body => {
                    if !self.read_body(ear, scene) {
                        if ear.may_recv() {
                            return Wait::Content;
                        }
                        self.close(ear);
                    }
                }
                State::Answer => {
                    if let Answer::File(choice) = self.answer {
                        if !self.write_file(choice, ear, outbox, scene) {
                            return Wait::Room;
                        }
                    } else if !self.write_head(ear, outbox, scene) {
                        return Wait::Room;
                    }
                }
                State::Content => {
                    if let Rest::Stream(_) = self.rest {
                        if let Some(wait) = self.go_on(ear, outbox, scene) {
                            return wait;
                        }
                    } else if !self.rest.write(&self.spans, outbox, scene) {
                        return Wait::Room;
                    }
                    if self.keep {
                        self.state = State::Head;
                    } else {
                        self.close(ear);
                    }
                }
                State::Closed => {
                    while ear.recv_queue() > 0 && ear.recv(|buffer| (buffer.len(), ())).is_ok() {}
                    return Wait::End;
                }
            }
        }
    }

    /// Whether it waits for a head, of which it has taken nothing.
    pub fn is_listening(&self) -> bool {
        self.state == State::Head
    }

    /// Whether the answer waits for a turn without a received frame.
    pub fn is_deferred(&self) -> bool {
        self.deferred
    }

    /// The first slot of the page of connections that the next answer shows.
    pub fn asks_for_flows(&self) -> Option<u32> {
        match self.state {
            State::Answer => self.answer.asks_for_flows(),
            _ => None,
        }
    }

    /// When a handler wants to go on with its answer.
    pub fn wakes_at(&self) -> Option<Instant> {
        match self.rest {
            Rest::Stream(stream) if self.state == State::Content => Some(stream.not_before()),
            _ => None,
        }
    }

    /// Whether there is an answer to go on with.
    pub fn has_more(&self) -> bool {
        matches!(self.state, State::Continue | State::Answer | State::Content)
    }

    /// Whether everything has been said.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Ends the connection in order.
    pub fn close(&mut self, ear: &mut Ear<'_, '_>) {
        ear.close();
        self.state = State::Closed;
    }

    /// The peer took too long. Says whether there is something to tell it.
    pub fn give_up(&mut self, ear: &mut Ear<'_, '_>) -> bool {
        match self.state {
            State::Head if ear.recv_queue() == 0 => self.close(ear),
            State::Head | State::Body => self.refuse(Status::RequestTimeout),
            State::Continue | State::Answer | State::Content | State::Closed => return false,
        }
        true
    }

    fn refuse(&mut self, status: Status) {
        self.answer = Answer::Status(status);
        self.head_only = false;
        self.keep = false;
        self.state = State::Answer;
    }
}
