//! How requests are read: their heads, from the receive buffer or where they lie in a frame, and
//! their content.

use super::{Conn, Scene, State};
use crate::http::answer::Answer;
use crate::http::body::{self, Body, Progress};
use crate::http::ear::Ear;
use crate::http::memo::Memo;
use crate::http::request::{self, Framing, Method, Parsed, Refused, Request, Room};
use crate::http::route;
use crate::http::status::Status;
use crate::service::Service;

/// What reading a head came to.
pub(super) enum Read {
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

    pub(super) fn read_head(&mut self, ear: &mut Ear<'_, '_>, scene: &mut Scene<'_>) -> Read {
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
    pub(super) fn read_body(&mut self, ear: &mut Ear<'_, '_>, scene: &mut Scene<'_>) -> bool {
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
}

/// Drops bytes from the front of the receive buffer.
pub(super) fn skip(ear: &mut Ear<'_, '_>, mut count: usize) {
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
