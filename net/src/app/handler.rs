//! What a handler is asked, and what it answers.

use super::{Guest, Reply, Request, Writer};
use smoltcp::time::Instant;

/// Answers the requests of a route. See the [module](super) for an example.
pub trait Handler {
    /// Answers a request without content. Called when there is room for an answer.
    fn handle(&mut self, request: &Request<'_>, reply: &mut Reply<'_>, guest: &Guest<'_>) -> Body;

    /// Most bytes of content that a request may have; one with more is refused (413). 0: requests
    /// with content are not for this handler.
    fn content_limit(&self) -> u64 {
        0
    }

    /// A request with content begins. What is needed of it later has to go into the state, since
    /// its head is gone when the content has arrived.
    fn begin(&mut self, _request: &Request<'_>) -> State {
        State::default()
    }

    /// The next piece of a request's content, in order. All of it has to arrive within the time
    /// that requests have.
    fn content(&mut self, _state: &mut State, _piece: &[u8]) {}

    /// The content has arrived whole: answers the request.
    fn finish(&mut self, _state: &mut State, reply: &mut Reply<'_>, _guest: &Guest<'_>) -> Body {
        reply.status(501);
        Body::Written
    }

    /// Writes the next piece of a [`Body::Stream`]. It is not called any more when the client has
    /// gone away; nobody tells it.
    fn stream(&mut self, _state: &mut State, _out: &mut Writer<'_>, _guest: &Guest<'_>) -> Next {
        Next::Done
    }
}

/// What a connection keeps for a handler, from one call to the next: numbers, of whatever meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State(pub [u64; 4]);

/// The content of an answer.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// What was written to the [`Reply`].
    Written,
    /// Bytes that live for ever; they are not copied.
    Static(&'static [u8]),
    /// What [`Handler::stream`] writes, piece by piece.
    Stream {
        /// Its length, if that is known; otherwise it is sent in chunks (RFC 9112, 7.1), or, to a
        /// client of HTTP/1.0, ends with the connection.
        len: Option<u64>,
        /// What the handler is given with each call.
        state: State,
    },
}

/// How a stream goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// At once, or as soon as there is room. Whoever has written nothing is asked again in a
    /// moment.
    More,
    /// Not before this time.
    At(Instant),
    /// The piece is too small for what comes next: what was written to it is dropped, and the
    /// handler asked again when there is more room.
    Room,
    /// That was all.
    Done,
}
