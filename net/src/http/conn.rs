//! One connection's turn of requests and answers.
//!
//! The connection holds no copy of anything: what is not read yet lies in the socket's receive
//! buffer, what is said lies in its [`Outbox`], and files in the site's image.

use super::answer::{Answer, Choice};
use super::body::{self, Body, Progress};
use super::ear::Ear;
use super::handled::{self, Call};
use super::memo::Memo;
use super::range::Spans;
use super::request::{self, Framing, Method, Parsed, Refused, Request, Room};
use super::response::{self, Form, Rest};
use super::route;
use super::status::Status;
use crate::app;
use crate::host::Snapshot;
use crate::outbox::Outbox;
use crate::service::Service;
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

    /// Takes a head from where it was received, if `bytes` are that and nothing else, and its
    /// answer needs nothing of it. False, with nothing taken: it has to go the usual way.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn read_in_place(
        &mut self,
        bytes: &[u8],
        memo: &mut Memo,
        service: &mut Service,
        port: u16,
    ) -> bool {
        if let Some(request) = memo.read(bytes) {
            return self.decide_in_place(&request, service, port);
        }
        let mut room = Room::new();
        let Ok(Parsed::Whole(len, request)) = request::parse(bytes, &mut room) else {
            return false;
        };
        if len != bytes.len() || request.framing != Framing::Empty {
            return false;
        }
        memo.note(bytes, &request);
        self.decide_in_place(&request, service, port)
    }

    #[cfg_attr(target_os = "none", optimize(speed))]
    fn decide_in_place(&mut self, request: &Request<'_>, service: &mut Service, port: u16) -> bool {
        let answer = route::decide(request, service, port, &mut self.spans);
        if let Answer::Redirect(_) | Answer::Handler(_) = answer {
            return false;
        }
        self.note(request, answer);
        true
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

    fn read_head(&mut self, ear: &mut Ear<'_, '_>, scene: &mut Scene<'_>) -> Read {
        let queued = ear.recv_queue();
        let open = ear.may_recv();
        if queued == 0 {
            return if open { Read::Partial } else { Read::Ended };
        }
        let full = queued == ear.recv_capacity();
        // The peer has closed its side: what is here is all there will be.
        let last = !ear.is_open();
        let mut read = ear
            .recv(|buffer| self.take(buffer, buffer.len() < queued, full, scene))
            .unwrap_or(Read::Ended);
        if let Read::Divided = read {
            read = self.read_divided(ear, full, scene);
        }
        match read {
            Read::Partial if last => Read::Ended,
            read => read,
        }
    }

    /// Reads a head that the end of the receive buffer divides, from a copy in one piece.
    #[cold]
    #[cfg_attr(target_os = "none", optimize(size))]
    fn read_divided(&mut self, ear: &mut Ear<'_, '_>, full: bool, scene: &mut Scene<'_>) -> Read {
        let mut head = core::mem::take(&mut scene.service.head);
        let len = ear.peek_slice(&mut head);
        let (used, read) = self.take(&mut head[..len], false, full, scene);
        scene.service.head = head;
        skip(ear, used);
        read
    }

    /// Takes a head from the front of `buffer`; says how many bytes it had.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn take(
        &mut self,
        buffer: &mut [u8],
        divided: bool,
        full: bool,
        scene: &mut Scene<'_>,
    ) -> (usize, Read) {
        let mut room = Room::new();
        let parsed = request::parse(buffer, &mut room);
        let Ok(Parsed::Newer(figure)) = parsed else {
            return self.digest(parsed, buffer, divided, full, scene);
        };
        buffer[figure] = b'1';
        let mut room = Room::new();
        let parsed = request::parse(buffer, &mut room);
        self.digest(parsed, buffer, divided, full, scene)
    }

    /// Draws the consequences of what a buffer was read as.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn digest(
        &mut self,
        parsed: Result<Parsed<'_>, Refused>,
        buffer: &[u8],
        divided: bool,
        full: bool,
        scene: &mut Scene<'_>,
    ) -> (usize, Read) {
        match parsed {
            Ok(Parsed::Whole(len, request)) => {
                self.accept(&request, scene);
                if let Answer::Redirect(_) | Answer::Handler(_) = self.answer {
                    // Its content, if it has any, is thrown away behind the end.
                    self.keep &= request.framing == Framing::Empty;
                    self.state = State::Answer;
                    self.held = len;
                    return (0, Read::Whole);
                }
                (len, Read::Whole)
            }
            Ok(Parsed::Partial) if divided => (0, Read::Divided),
            Ok(Parsed::Partial | Parsed::Newer(_)) if full => {
                let line = &buffer[request::empty_lines(buffer)..];
                self.refuse(if line.contains(&b'\n') {
                    Status::HeaderFieldsTooLarge
                } else {
                    Status::UriTooLong
                });
                (0, Read::Whole)
            }
            // Empty lines in front of a request are nothing to wait for.
            Ok(Parsed::Partial | Parsed::Newer(_)) => (request::empty_lines(buffer), Read::Partial),
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

    /// Keeps what the answer to a request needs.
    fn note(&mut self, request: &Request<'_>, answer: Answer) {
        self.head_only = request.method == Method::Head;
        self.old = request.old;
        self.keep = request.keep;
        self.answer = answer;
        self.state = State::Answer;
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn accept(&mut self, request: &Request<'_>, scene: &mut Scene<'_>) {
        let answer = route::decide(request, scene.service, scene.port, &mut self.spans);
        self.note(request, answer);
        if request.framing != Framing::Empty {
            if let Answer::Handler(route) = self.answer {
                self.begin(route, request, scene);
            } else {
                let refused = self.answer.refuses_method();
                // A client that waits for a 100 gets this answer instead, and may then send its
                // content or not: nobody can tell, so the connection ends (RFC 9110, 10.1.1).
                self.keep &= !(refused && request.waits);
                self.frame(request.framing, !refused);
            }
            if request.waits && self.state == State::Body {
                self.state = State::Continue;
            }
        }
    }

    /// Lets a handler begin with a request whose content is to come.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn begin(&mut self, route: u16, request: &Request<'_>, scene: &mut Scene<'_>) {
        let application = &mut scene.service.application;
        let limit = application.handler(route).content_limit();
        let body = match request.framing {
            Framing::Sized(len) if len > limit => None,
            Framing::Sized(len) => Some(Body::sized(len)),
            Framing::Chunked if limit > 0 => Some(Body::chunked()),
            Framing::Chunked | Framing::Empty => None,
        };
        let Some(body) = body else {
            self.refuse(Status::ContentTooLarge);
            return;
        };
        self.body = body.within(limit);
        self.work = application.with_request(route, request, |h, request| h.begin(request));
        self.answer = Answer::Finished(route);
        self.state = State::Body;
    }

    /// Goes on with what a handler writes. What the connection waits for then; `None`: nothing, it
    /// has come to its end.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn go_on(
        &mut self,
        ear: &mut Ear<'_, '_>,
        outbox: &mut Outbox<'_>,
        scene: &mut Scene<'_>,
    ) -> Option<Wait> {
        let Rest::Stream(stream) = &mut self.rest else {
            return None;
        };
        self.deferred = !scene.at_rest && scene.now >= stream.not_before();
        if self.deferred {
            return Some(Wait::Room);
        }
        match stream.go_on(outbox, scene) {
            handled::Progress::Done => None,
            handled::Progress::Broken => {
                log::warn!(target: "application", "a stream ended before its length");
                self.keep = false;
                self.close(ear);
                Some(Wait::End)
            }
            handled::Progress::Room => Some(Wait::Room),
            handled::Progress::Later => Some(Wait::Time),
        }
    }

    /// Prepares for a request's content. `served`: the answer would be a file.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn frame(&mut self, framing: Framing, served: bool) {
        self.body = match framing {
            Framing::Empty => Body::NONE,
            Framing::Sized(len) => Body::sized(len),
            Framing::Chunked => Body::chunked(),
        };
        if let Framing::Sized(len) = framing
            && len > body::MOST
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

    /// Gives content to its handler, or throws it away; whether it has ended, or cannot be read.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn read_body(&mut self, ear: &mut Ear<'_, '_>, scene: &mut Scene<'_>) -> bool {
        let mut progress = Progress::More;
        while progress == Progress::More && ear.recv_queue() > 0 {
            let (body, work) = (&mut self.body, &mut self.work);
            let read = ear.recv(|buffer| match self.answer {
                Answer::Finished(route) => {
                    let handler = scene.service.application.handler(route);
                    body.read_to(buffer, |piece| handler.content(work, piece))
                }
                _ => body.read(buffer),
            });
            progress = read.unwrap_or(Progress::Malformed);
        }
        match progress {
            Progress::Done => self.state = State::Answer,
            Progress::More => return false,
            Progress::Malformed => self.refuse(Status::BadRequest),
            Progress::TooLarge => self.refuse(Status::ContentTooLarge),
        }
        true
    }

    /// Queues a file. False: there is no room yet.
    #[cfg_attr(target_os = "none", optimize(speed))]
    fn write_file(
        &mut self,
        choice: Choice,
        ear: &mut Ear<'_, '_>,
        outbox: &mut Outbox<'_>,
        scene: &mut Scene<'_>,
    ) -> bool {
        self.deferred = false;
        self.keep &= !scene.service.health.draining;
        let form = Form {
            head_only: self.head_only,
            keep: self.keep,
            old: self.old,
        };
        let written = response::write_file(choice, form, outbox, scene);
        if written {
            scene.service.stats.answered(200);
            match self.keep {
                true => self.state = State::Head,
                false => self.close(ear),
            }
        }
        written
    }

    /// Queues an answer's head and what fits of its content. False: there is no room yet, or the
    /// answer has to wait.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn write_head(
        &mut self,
        ear: &mut Ear<'_, '_>,
        outbox: &mut Outbox<'_>,
        scene: &mut Scene<'_>,
    ) -> bool {
        let asks = self.answer.asks_for_flows();
        let taken = asks.is_none() || asks == scene.service.flows.from;
        self.deferred = self.answer.needs_rest() && !(scene.at_rest && taken);
        if self.deferred {
            return false;
        }
        self.keep &= !scene.service.health.draining;
        let form = Form {
            head_only: self.head_only,
            keep: self.keep,
            old: self.old,
        };
        let written = match self.answer {
            Answer::Handler(_) | Answer::Finished(_) => {
                self.write_handled(form, ear, outbox, scene)
            }
            Answer::Redirect(_) => self.write_redirect(form, ear, outbox, scene),
            answer => response::write(answer, None, &self.spans, form, outbox, scene),
        };
        let Some(written) = written else {
            return false;
        };
        self.rest = written.rest;
        self.state = State::Content;
        scene.service.stats.answered(written.code);
        true
    }

    /// Has a handler answer, when nothing of an earlier answer is left.
    #[cold]
    fn write_handled(
        &mut self,
        mut form: Form,
        ear: &mut Ear<'_, '_>,
        outbox: &mut Outbox<'_>,
        scene: &mut Scene<'_>,
    ) -> Option<response::Written> {
        if !outbox.is_empty() {
            return None;
        }
        let written = match self.answer {
            Answer::Finished(route) => {
                let call = Call::Content(&mut self.work);
                handled::write(route, call, &mut form, outbox, scene)
            }
            Answer::Handler(route) => {
                let mut head = core::mem::take(&mut scene.service.head);
                let len = ear.peek_slice(&mut head).min(self.held);
                let head_now = &mut head[..len];
                if let Ok(Parsed::Newer(figure)) = request::parse(head_now, &mut Room::new()) {
                    head_now[figure] = b'1';
                }
                let mut room = Room::new();
                let written = match request::parse(head_now, &mut room) {
                    Ok(Parsed::Whole(_, request)) => {
                        let call = Call::Head(&request);
                        Some(handled::write(route, call, &mut form, outbox, scene))
                    }
                    _ => None,
                };
                scene.service.head = head;
                skip(ear, core::mem::take(&mut self.held));
                let Some(written) = written else {
                    // It was read before, and nothing has changed it.
                    self.refuse(Status::BadRequest);
                    return None;
                };
                written
            }
            _ => return None,
        };
        self.keep = form.keep;
        Some(written)
    }

    /// Queues an answer that leads to another place: its query is that of the request.
    #[cold]
    fn write_redirect(
        &mut self,
        form: Form,
        ear: &mut Ear<'_, '_>,
        outbox: &mut Outbox<'_>,
        scene: &mut Scene<'_>,
    ) -> Option<response::Written> {
        let mut head = core::mem::take(&mut scene.service.head);
        let len = ear.peek_slice(&mut head).min(self.held);
        let (mut answer, mut query) = (self.answer, None);
        let mut room = Room::new();
        if let Ok(Parsed::Whole(_, request)) = request::parse(&head[..len], &mut room) {
            // Somebody else may have been redirected in the meantime.
            answer = route::decide(&request, scene.service, scene.port, &mut self.spans);
            query = request.query;
        }
        let written = response::write(answer, query, &self.spans, form, outbox, scene);
        scene.service.head = head;
        if written.is_some() {
            skip(ear, core::mem::take(&mut self.held));
        }
        written
    }
}

/// Drops bytes from the front of the receive buffer.
fn skip(ear: &mut Ear<'_, '_>, mut count: usize) {
    while count > 0 {
        let run = ear.recv(|buffer| {
            let run = count.min(buffer.len());
            (run, run)
        });
        match run {
            Ok(run) if run > 0 => count -= run,
            _ => return,
        }
    }
}
