//! Answers that an application's handlers give.

use super::conn::Scene;
use super::request::Request;
use super::response::{Form, Rest, Written};
use super::status::Status;
use crate::app::{Body, Guest, Handler, Next, Reply, State, Writer};
use crate::outbox::Outbox;
use core::fmt::Write as _;
use smoltcp::time::{Duration, Instant};

/// What a chunk takes beside its content: its size in four figures, and two line ends.
const CHUNK: usize = 8;
/// The chunk that ends a stream.
const LAST: &[u8] = b"0\r\n\r\n";
/// When a stream is asked again that had nothing to say and named no time.
const SOON: Duration = Duration::from_millis(1);

/// A stream under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    route: u16,
    state: State,
    /// Bytes that it has still to write, if their number is known.
    left: Option<u64>,
    /// Its pieces are framed as chunks.
    chunked: bool,
    /// Not to be asked before.
    not_before: Instant,
}

/// How far a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It has ended.
    Done,
    /// It has ended too early: the connection has to end with it.
    Broken,
    /// There is no room.
    Room,
    /// It goes on at its time.
    Later,
}

/// How a handler comes to its answer.
pub(super) enum Call<'a, 'r> {
    /// By a request's head.
    Head(&'a Request<'r>),
    /// By what it has kept of a request and its content.
    Content(&'a mut State),
}

/// Has a handler answer, and queues the head. The outbox is empty, so that there is room for it;
/// if even so there is none, nobody asks the handler twice, and the answer is a 503.
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn write(
    route: u16,
    call: Call<'_, '_>,
    form: &mut Form,
    outbox: &mut Outbox<'_>,
    scene: &mut Scene<'_>,
) -> Written {
    let service = &mut *scene.service;
    let date = service.date.field(scene.now.total_micros() / 1_000_000);
    let guest = Guest {
        stats: &service.stats,
        snapshot: scene.snapshot,
        draining: service.health.draining,
        now: scene.now,
    };
    service.text.clear();
    service.page.restrict(usize::MAX);
    let mut reply = Reply {
        status: 200,
        fields: &mut service.text,
        content: Writer {
            text: &mut service.page,
        },
    };
    let application = &mut service.application;
    let body = match call {
        Call::Head(request) => application.with_request(route, request, |handler, request| {
            handler.handle(request, &mut reply, &guest)
        }),
        Call::Content(state) => application.handler(route).finish(state, &mut reply, &guest),
    };
    let status = reply.status;
    if service.text.is_full() || service.page.is_full() {
        log::warn!(target: "application", "an answer of route {route} is too large");
        return refuse(Status::InternalServerError, form, outbox, date);
    }
    // RFC 9110, 6.4.1.
    let bare = matches!(status, 204 | 304);
    let (content, mut rest, len): (&[u8], Rest, Option<u64>) = match body {
        _ if bare => (b"", Rest::NONE, None),
        Body::Written => {
            let content = service.page.bytes();
            (content, Rest::NONE, Some(content.len() as u64))
        }
        Body::Static(bytes) => (b"", Rest::Static(bytes), Some(bytes.len() as u64)),
        Body::Stream { len, state } => {
            let stream = Stream {
                route,
                state,
                left: len,
                chunked: len.is_none() && !form.old,
                not_before: Instant::ZERO,
            };
            (b"", Rest::Stream(stream), len)
        }
    };
    match (len, bare) {
        (Some(len), false) => {
            let _ = write!(service.text, "Content-Length: {len}\r\n");
        }
        (None, false) if !form.old => service.text.push(b"Transfer-Encoding: chunked\r\n"),
        // RFC 9112, 6.3: it ends with the connection.
        (None, false) => form.keep = false,
        (_, true) => {}
    }
    let content = if form.head_only { b"" } else { content };
    if form.head_only {
        rest = Rest::NONE;
    }
    let line = line(status);
    let pieces = [
        &line[..],
        service.text.bytes(),
        date,
        form.ending(),
        content,
    ];
    if service.text.is_full() || !outbox.push(&pieces) {
        return refuse(Status::ServiceUnavailable, form, outbox, date);
    }
    Written { code: status, rest }
}

/// A status line, and the field that every answer has. The phrase may be empty (RFC 9112, 4).
fn line(status: u16) -> [u8; 31] {
    let mut line = *b"HTTP/1.1 000 \r\nServer: Quartz\r\n";
    for (at, unit) in [(9, 100), (10, 10), (11, 1)] {
        line[at] = b'0' + (status / unit % 10) as u8;
    }
    line
}

#[cold]
fn refuse(status: Status, form: &Form, outbox: &mut Outbox<'_>, date: &[u8]) -> Written {
    let prepared = status.prepared();
    let content = if form.head_only { "" } else { prepared.body };
    let head = prepared.head.as_bytes();
    // A block is promised to every connection, and this fits it.
    outbox.push(&[head, date, form.ending(), content.as_bytes()]);
    Written {
        code: status.code(),
        rest: Rest::NONE,
    }
}

impl Stream {
    /// When it wants to be asked next.
    pub fn not_before(&self) -> Instant {
        self.not_before
    }

    /// Queues what there is to say now.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn go_on(&mut self, outbox: &mut Outbox<'_>, scene: &mut Scene<'_>) -> Progress {
        let service = &mut *scene.service;
        let guest = Guest {
            stats: &service.stats,
            snapshot: scene.snapshot,
            draining: service.health.draining,
            now: scene.now,
        };
        let handler: &mut dyn Handler = service.application.handler(self.route);
        loop {
            if self.left == Some(0) {
                return Progress::Done;
            }
            if scene.now < self.not_before {
                return Progress::Later;
            }
            let room = outbox.room().saturating_sub(CHUNK + LAST.len());
            let most = self.left.map_or(room as u64, |left| left.min(room as u64));
            if most == 0 {
                return Progress::Room;
            }
            let page = &mut service.page;
            page.restrict(most as usize);
            page.clear();
            let next = handler.stream(&mut self.state, &mut Writer { text: page }, &guest);
            if next == Next::Room {
                return Progress::Room;
            }
            let piece = page.bytes();
            if !piece.is_empty() {
                self.left = self.left.map(|left| left - piece.len() as u64);
                self.push(piece, outbox);
            }
            match next {
                Next::Done if self.chunked => {
                    outbox.push(&[LAST]);
                    return Progress::Done;
                }
                Next::Done if self.left.is_some_and(|left| left > 0) => return Progress::Broken,
                Next::Done => return Progress::Done,
                Next::At(time) => self.not_before = time,
                Next::More if piece.is_empty() => self.not_before = scene.now + SOON,
                Next::More | Next::Room => {}
            }
        }
    }

    fn push(&self, piece: &[u8], outbox: &mut Outbox<'_>) {
        if !self.chunked {
            outbox.push(&[piece]);
            return;
        }
        // RFC 9112, 7.1: leading zeros are allowed.
        let mut size = *b"0000\r\n";
        for (at, figure) in size[..4].iter_mut().enumerate() {
            *figure = b"0123456789abcdef"[piece.len() >> (12 - 4 * at) & 0xf];
        }
        outbox.push(&[&size, piece, b"\r\n"]);
    }
}
