//! One connection's turn of requests and answers.
//!
//! The connection holds no copy of anything: what is not read yet lies in the socket's receive
//! buffer, what is not acknowledged yet in its send buffer, and files in the site's image.

use super::body::{Body, Progress};
use super::request::{self, Framing, Parsed, Refused, Request};
use super::response::{self, Answer, ending, put};
use super::status::Status;
use crate::endpoints::Endpoint;
use crate::host::Snapshot;
use crate::service::Service;
use crate::site::{Resolved, Site};
use smoltcp::socket::tcp::Socket;
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
    /// Room in the send buffer: the peer has to take what was sent.
    Room,
    /// The end: everything has been said.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Reading a head.
    Head,
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
    /// What of the content is not in the send buffer yet.
    rest: Rest,
    /// The answer waits until no received frame is in anybody's hands.
    deferred: bool,
}

/// Content that is still to be sent.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// Of a file.
    File(&'static [u8]),
    /// Of the black box: these bytes.
    BlackBox { at: usize, end: usize },
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

/// What reading a head came to.
enum Read {
    /// A request, or something to be refused: it is to be answered.
    Whole,
    /// Not all is here.
    Partial,
    /// The peer will send no more.
    Ended,
    /// The receive buffer's end divides it; it has to be looked at in one piece.
    Divided,
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
            rest: Rest::File(&[]),
            deferred: false,
        }
    }

    /// Reads and answers as much as the buffers allow.
    pub fn advance(&mut self, socket: &mut Socket<'_>, scene: &mut Scene<'_>) -> Wait {
        loop {
            match self.state {
                State::Head => match self.read_head(socket, scene) {
                    Read::Whole => {}
                    Read::Partial | Read::Divided if socket.recv_queue() == 0 => {
                        return Wait::Request;
                    }
                    Read::Partial | Read::Divided => return Wait::Head,
                    Read::Ended => self.close(socket),
                },
                State::Body => {
                    if !self.read_body(socket) {
                        if socket.may_recv() {
                            return Wait::Content;
                        }
                        self.close(socket);
                    }
                }
                State::Answer => {
                    if !self.write_head(socket, scene) {
                        return Wait::Room;
                    }
                }
                State::Content => {
                    if !self.write_rest(socket, scene) {
                        return Wait::Room;
                    }
                    if self.keep {
                        self.state = State::Head;
                    } else {
                        self.close(socket);
                    }
                }
                State::Closed => {
                    while socket.recv_queue() > 0
                        && socket.recv(|buffer| (buffer.len(), ())).is_ok()
                    {}
                    return Wait::End;
                }
            }
        }
    }

    /// Whether the answer waits for a turn without a received frame.
    pub fn is_deferred(&self) -> bool {
        self.deferred
    }

    /// Ends the connection in order.
    pub fn close(&mut self, socket: &mut Socket<'_>) {
        socket.close();
        self.state = State::Closed;
    }

    /// The peer took too long. Says whether there is something to tell it.
    pub fn give_up(&mut self, socket: &mut Socket<'_>) -> bool {
        match self.state {
            State::Head if socket.recv_queue() == 0 => self.close(socket),
            State::Head | State::Body => self.refuse(Status::RequestTimeout),
            State::Answer | State::Content | State::Closed => return false,
        }
        true
    }

    fn refuse(&mut self, status: Status) {
        self.answer = Answer::Status(status);
        self.head_only = false;
        self.keep = false;
        self.state = State::Answer;
    }

    fn read_head(&mut self, socket: &mut Socket<'_>, scene: &mut Scene<'_>) -> Read {
        let queued = socket.recv_queue();
        let open = socket.may_recv();
        if queued == 0 {
            return if open { Read::Partial } else { Read::Ended };
        }
        let full = queued == socket.recv_capacity();
        // The peer has closed its side: what is here is all there will be.
        let last = !matches!(socket.state(), smoltcp::socket::tcp::State::Established);
        let mut read = socket
            .recv(|buffer| self.take(buffer, buffer.len() < queued, full, scene))
            .unwrap_or(Read::Ended);
        if let Read::Divided = read {
            let mut head = core::mem::take(&mut scene.service.head);
            let len = socket.peek_slice(&mut head).unwrap_or(0);
            let (mut used, whole) = self.take(&mut head[..len], false, full, scene);
            scene.service.head = head;
            read = whole;
            while used > 0 {
                let run = socket.recv(|buffer| {
                    let run = used.min(buffer.len());
                    (run, run)
                });
                used -= run.unwrap_or(used);
            }
        }
        match read {
            Read::Partial if last => Read::Ended,
            read => read,
        }
    }

    /// Takes a head from the front of `buffer`; says how many bytes it had.
    fn take(
        &mut self,
        buffer: &mut [u8],
        divided: bool,
        full: bool,
        scene: &mut Scene<'_>,
    ) -> (usize, Read) {
        match request::parse(buffer) {
            Ok(Parsed::Whole(len, request)) => {
                self.accept(&request, scene);
                (len, Read::Whole)
            }
            Ok(Parsed::Partial) if divided => (0, Read::Divided),
            Ok(Parsed::Partial) if full => {
                let line = buffer.trim_ascii_start();
                self.refuse(if line.contains(&b'\n') {
                    Status::HeaderFieldsTooLarge
                } else {
                    Status::UriTooLong
                });
                (0, Read::Whole)
            }
            Ok(Parsed::Partial) => {
                // Empty lines between requests are nothing to wait for (RFC 9112, 2.2).
                let empty = buffer.iter().take_while(|b| b"\r\n".contains(b)).count();
                (empty, Read::Partial)
            }
            Err(Refused { status, rest }) => {
                self.refuse(status);
                match rest {
                    Some((len, framing, keep)) => {
                        self.keep = keep;
                        self.frame(framing, false);
                        (len, Read::Whole)
                    }
                    None => (0, Read::Whole),
                }
            }
        }
    }

    fn accept(&mut self, request: &Request<'_>, scene: &mut Scene<'_>) {
        self.head_only = request.head_only;
        self.old = request.old;
        self.keep = request.keep;
        self.answer = decide(request, scene.service, scene.port);
        self.state = State::Answer;
        if request.framing != Framing::Empty {
            self.frame(request.framing, true);
        }
    }

    /// Prepares for a request's content. `served`: the answer would be a file.
    fn frame(&mut self, framing: Framing, served: bool) {
        self.body = match framing {
            Framing::Empty => Body::NONE,
            Framing::Sized(len) => Body::sized(len),
            Framing::Chunked => Body::chunked(),
        };
        if let Framing::Sized(len) = framing
            && len > super::body::MOST
        {
            self.keep = false;
            if served {
                self.refuse(Status::ContentTooLarge);
            }
        }
        // When the connection ends after the answer anyway, the content is not waited for.
        self.state = match self.keep && !self.body.is_done() {
            true => State::Body,
            false => State::Answer,
        };
    }

    /// Throws content away; whether it has ended, or cannot be read.
    fn read_body(&mut self, socket: &mut Socket<'_>) -> bool {
        let mut progress = Progress::More;
        while progress == Progress::More && socket.recv_queue() > 0 {
            progress = socket
                .recv(|buffer| self.body.read(buffer))
                .unwrap_or(Progress::Malformed);
        }
        match progress {
            Progress::Done => self.state = State::Answer,
            Progress::More => return false,
            Progress::Malformed => self.refuse(Status::BadRequest),
            Progress::TooLarge => self.refuse(Status::ContentTooLarge),
        }
        true
    }

    /// Queues what fits of the rest of the content. Whether that was all.
    fn write_rest(&mut self, socket: &mut Socket<'_>, scene: &Scene<'_>) -> bool {
        match &mut self.rest {
            Rest::File([]) => true,
            Rest::File(rest) => {
                let run = socket.send_slice(rest).unwrap_or(rest.len());
                *rest = &rest[run..];
                rest.is_empty()
            }
            Rest::BlackBox { at, end } => {
                while at < end {
                    let run = socket.send(|buffer| {
                        let len = buffer.len().min(*end - *at);
                        let run = (scene.read_black_box)(*at, &mut buffer[..len]);
                        (run, run)
                    });
                    match run {
                        Ok(0) => return false,
                        Ok(run) => *at += run,
                        // The connection is gone; the flow will notice.
                        Err(_) => *at = *end,
                    }
                }
                true
            }
        }
    }

    /// Queues an answer's head and what fits of its content. False: there is no room yet.
    fn write_head(&mut self, socket: &mut Socket<'_>, scene: &mut Scene<'_>) -> bool {
        self.deferred = match self.answer {
            Answer::Endpoint(endpoint) => endpoint.needs_rest() && !scene.at_rest,
            _ => false,
        };
        if self.deferred {
            return false;
        }
        let service = &mut *scene.service;
        self.keep &= !service.health.draining;
        let ending = ending(self.keep, self.old);
        let date = service.date.field(scene.now.total_micros() / 1_000_000);
        let mut code = self.answer.code();
        let mut black_box = 0;
        let (queued, content) = match self.answer {
            Answer::File(number) => {
                let (head, content) = service.site.file(number);
                let content = if self.head_only { &[] } else { content };
                (put(socket, [head, date, ending], content), content)
            }
            Answer::Status(status) => {
                let prepared = status.prepared();
                let content = if self.head_only {
                    &[]
                } else {
                    prepared.body.as_bytes()
                };
                let head = prepared.head.as_bytes();
                (put(socket, [head, date, ending], content), content)
            }
            Answer::NotModified(number) => {
                let head = service.site.not_modified(number, &mut service.text);
                (put(socket, [head, date, ending], &[]), &[][..])
            }
            Answer::Redirect(number) => {
                let head = service.site.redirect(number, &mut service.text);
                (put(socket, [head, date, ending], &[]), &[][..])
            }
            Answer::Endpoint(endpoint) => {
                let page = endpoint.write(
                    &mut service.text,
                    &service.stats,
                    &service.health,
                    scene.snapshot,
                    scene.black_box_len,
                    scene.now,
                );
                code = page.code;
                black_box = if self.head_only { 0 } else { page.black_box };
                let content = if self.head_only { &[] } else { page.content };
                // The page lives in shared memory: all of it goes now, or none.
                let room = response::room(socket);
                let len = page.head.len() + date.len() + ending.len() + content.len();
                if len > room {
                    return false;
                }
                let queued = put(socket, [page.head, date, ending], &[]);
                let _ = socket.send_slice(content);
                (queued, &[][..])
            }
        };
        let Some(queued) = queued else {
            return false;
        };
        self.rest = match black_box {
            0 => Rest::File(&content[queued..]),
            end => Rest::BlackBox { at: 0, end },
        };
        self.state = State::Content;
        service.stats.answered(code);
        true
    }
}

/// What a request is answered with.
fn decide(request: &Request<'_>, service: &mut Service, port: u16) -> Answer {
    let path = match request.target.iter().position(|&b| b == b'?') {
        Some(query) => &request.target[..query],
        None => request.target,
    };
    if service.endpoints_on(port)
        && let Some(endpoint) = Endpoint::route(path, service.admin == Some(port))
    {
        return Answer::Endpoint(endpoint);
    }
    match service.site.resolve(path) {
        Resolved::File(number) => match request.if_none_match {
            Some(tags) if has(tags, &mut service.site, number) => Answer::NotModified(number),
            _ => Answer::File(number),
        },
        Resolved::Directory(number) => Answer::Redirect(number),
        Resolved::Nothing => Answer::Status(Status::NotFound),
        Resolved::Malformed => Answer::Status(Status::BadRequest),
    }
}

/// Whether a list of tags names the file's (RFC 9110, 13.1.2; weak comparison, 8.8.3.2).
fn has(tags: &[u8], site: &mut Site, number: u32) -> bool {
    let Some(own) = site.tag(number) else {
        return false;
    };
    tags.split(|&b| b == b',').any(|tag| {
        let tag = tag.trim_ascii();
        tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == own
    })
}
