//! What a request is answered with, before it is written.

use super::Status;
use super::range::Span;
use crate::app::Methods;
use crate::endpoints::Endpoint;
use crate::site::{Representation, Site};

/// One representation of a file of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The file, by its number.
    pub file: u32,
    /// Its representation, by its number.
    pub which: u8,
}

impl Choice {
    /// The representation.
    pub fn of(self, site: &Site) -> &Representation {
        &site.file(self.file).representations[usize::from(self.which)]
    }
}

/// What a request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A file of the site.
    File(Choice),
    /// One range of it (206).
    Part(Choice, Span),
    /// Several ranges of it (206), which are kept elsewhere.
    Parts(Choice),
    /// It has no such range (416).
    NoSuchRange(Choice),
    /// The client has it already (304).
    NotModified(Choice),
    /// A file that says that there is no such path (404).
    Missing(Choice),
    /// To another place, with this status. The place is found again when the answer is written.
    Redirect(u16),
    /// What a handler says, by its route. It is asked when the answer is written.
    Handler(u16),
    /// The same when the request's content has arrived.
    Finished(u16),
    /// Handlers for these methods alone (405).
    NotAllowed(Methods),
    /// A status of its own.
    Status(Status),
    /// A page about the guest.
    Endpoint(Endpoint),
}

impl Answer {
    /// The status code, for the counters. That of an endpoint or a handler is known when it is written.
    pub fn code(self) -> u16 {
        match self {
            Answer::File(_) | Answer::Endpoint(_) | Answer::Handler(_) | Answer::Finished(_) => 200,
            Answer::NotAllowed(_) => 405,
            Answer::Part(..) | Answer::Parts(_) => 206,
            Answer::NoSuchRange(_) => 416,
            Answer::NotModified(_) => 304,
            Answer::Missing(_) => 404,
            Answer::Redirect(status) => status,
            Answer::Status(status) => status.code(),
        }
    }

    /// Whether it is written when no received frame is being looked at: see
    /// [`Endpoint::needs_rest`].
    pub fn needs_rest(self) -> bool {
        match self {
            Answer::Endpoint(endpoint) => endpoint.needs_rest(),
            // A handler may look at the rings.
            answer => answer.is_handled(),
        }
    }

    /// The first slot of the page of connections that it shows.
    pub fn asks_for_flows(self) -> Option<u32> {
        match self {
            Answer::Endpoint(Endpoint::Flows { from }) => Some(from),
            _ => None,
        }
    }

    /// Whether a handler gives it.
    pub fn is_handled(self) -> bool {
        matches!(self, Answer::Handler(_) | Answer::Finished(_))
    }

    /// Whether the request was for something that does not take its method.
    pub fn refuses_method(self) -> bool {
        matches!(
            self,
            Answer::NotAllowed(_) | Answer::Status(Status::MethodNotAllowed)
        )
    }
}
