//! Answers on their way into a socket's send buffer.

use super::Status;
use super::conn::Scene;
use crate::endpoints::Endpoint;
use smoltcp::socket::tcp::Socket;

/// What a request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A file of the site, by its number.
    File(u32),
    /// The client has this file already (304).
    NotModified(u32),
    /// To the directory of this index page, with a slash at its end (301).
    Redirect(u32),
    /// A status of its own.
    Status(Status),
    /// A page about the guest.
    Endpoint(Endpoint),
}

impl Answer {
    /// The status code, for the counters. That of an endpoint is known when it is written.
    pub fn code(self) -> u16 {
        match self {
            Answer::File(_) | Answer::Endpoint(_) => 200,
            Answer::NotModified(_) => 304,
            Answer::Redirect(_) => 301,
            Answer::Status(status) => status.code(),
        }
    }

    /// Whether it is written when no received frame is being looked at: see
    /// [`Endpoint::needs_rest`].
    pub fn needs_rest(self) -> bool {
        matches!(self, Answer::Endpoint(endpoint) if endpoint.needs_rest())
    }
}

/// How an answer is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// Without its content.
    pub head_only: bool,
    /// The connection goes on.
    pub keep: bool,
    /// To a client of HTTP/1.0.
    pub old: bool,
}

impl Form {
    /// The end of the head.
    fn ending(self) -> &'static [u8] {
        match (self.keep, self.old) {
            (true, false) => b"\r\n",
            (true, true) => b"Connection: keep-alive\r\n\r\n",
            (false, _) => b"Connection: close\r\n\r\n",
        }
    }
}

/// Content that is still to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rest {
    /// Of a file.
    File(&'static [u8]),
    /// Of the black box: these bytes.
    BlackBox { at: usize, end: usize },
}

impl Rest {
    /// Queues what fits. Whether that was all.
    pub fn write(&mut self, socket: &mut Socket<'_>, scene: &Scene<'_>) -> bool {
        match self {
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
}

/// An answer whose head is in the send buffer.
pub(super) struct Written {
    /// Its status code.
    pub code: u16,
    /// What of its content is not in the buffer yet.
    pub rest: Rest,
}

/// Queues an answer's head and as much of its content as fits. `None`, with nothing queued: there
/// is no room for the head.
pub(super) fn write(
    answer: Answer,
    form: Form,
    socket: &mut Socket<'_>,
    scene: &mut Scene<'_>,
) -> Option<Written> {
    let service = &mut *scene.service;
    let date = service.date.field(scene.now.total_micros() / 1_000_000);
    let (head, content) = match answer {
        Answer::File(number) => service.site.file(number),
        Answer::Status(status) => {
            let prepared = status.prepared();
            (prepared.head.as_bytes(), prepared.body.as_bytes())
        }
        Answer::NotModified(number) => (
            service.site.not_modified(number, &mut service.text),
            &[][..],
        ),
        Answer::Redirect(number) => (service.site.redirect(number, &mut service.text), &[][..]),
        Answer::Endpoint(endpoint) => return write_page(endpoint, form, socket, scene),
    };
    let content = if form.head_only { &[] } else { content };
    let queued = put(socket, [head, date, form.ending()], content)?;
    Some(Written {
        code: answer.code(),
        rest: Rest::File(&content[queued..]),
    })
}

/// The same for a page. It lives in memory that the next one is written to, so all of it goes
/// now, or nothing.
#[cold]
fn write_page(
    endpoint: Endpoint,
    form: Form,
    socket: &mut Socket<'_>,
    scene: &mut Scene<'_>,
) -> Option<Written> {
    let service = &mut *scene.service;
    let date = service.date.field(scene.now.total_micros() / 1_000_000);
    let page = endpoint.write(
        &mut service.text,
        &service.stats,
        &service.health,
        scene.snapshot,
        scene.black_box_len,
        scene.now,
    );
    let (content, black_box) = match form.head_only {
        true => (&[][..], 0),
        false => (page.content, page.black_box),
    };
    let head = [page.head, date, form.ending()];
    let len: usize = head.iter().map(|piece| piece.len()).sum();
    if len + content.len() > room(socket) {
        return None;
    }
    put(socket, head, &[])?;
    let _ = socket.send_slice(content);
    Some(Written {
        code: page.code,
        rest: match black_box {
            0 => Rest::File(&[]),
            end => Rest::BlackBox { at: 0, end },
        },
    })
}

/// Bytes that the send buffer has room for.
fn room(socket: &Socket<'_>) -> usize {
    socket.send_capacity() - socket.send_queue()
}

/// Queues the pieces of a head and as much of the content behind it as fits. `None`, with nothing
/// queued, if there is no room for the head; else the bytes of content that were queued.
fn put(socket: &mut Socket<'_>, head: [&[u8]; 3], content: &[u8]) -> Option<usize> {
    let len: usize = head.iter().map(|piece| piece.len()).sum();
    if room(socket) < len {
        return None;
    }
    // In most cases the free part of the ring is one piece: then one call does it all.
    let whole = socket.send(|buffer| {
        if buffer.len() < len {
            return (0, None);
        }
        let mut at = 0;
        for piece in head {
            buffer[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
        let run = content.len().min(buffer.len() - at);
        buffer[at..at + run].copy_from_slice(&content[..run]);
        (at + run, Some(run))
    });
    match whole {
        Ok(Some(run)) => Some(run),
        Ok(None) => {
            for piece in head {
                let _ = socket.send_slice(piece);
            }
            Some(socket.send_slice(content).unwrap_or(0))
        }
        // The connection is gone; the flow will notice.
        Err(_) => Some(content.len()),
    }
}
