//! Answers on their way into a socket's send buffer.

use super::Status;
use crate::endpoints::Endpoint;
use smoltcp::socket::tcp;

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
}

/// The end of every head.
pub(crate) fn ending(keep: bool, old: bool) -> &'static [u8] {
    match (keep, old) {
        (true, false) => b"\r\n",
        (true, true) => b"Connection: keep-alive\r\n\r\n",
        (false, _) => b"Connection: close\r\n\r\n",
    }
}

/// Bytes that the send buffer has room for.
pub(crate) fn room(socket: &tcp::Socket<'_>) -> usize {
    socket.send_capacity() - socket.send_queue()
}

/// Queues the pieces of a head and as much of the content behind it as fits. `None`, with nothing
/// queued, if there is no room for the head; else the bytes of content that were queued.
pub(crate) fn put(socket: &mut tcp::Socket<'_>, head: [&[u8]; 3], content: &[u8]) -> Option<usize> {
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
