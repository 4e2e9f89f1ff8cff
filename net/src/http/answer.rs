//! What a request is answered with, before it is written.

use super::Status;
use super::range::Span;
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
        matches!(self, Answer::Endpoint(endpoint) if endpoint.needs_rest())
    }
}
