//! A file as it travels: in one of its codings, with its head prepared (RFC 9110, 8).

use super::head::Head;

/// A content coding (RFC 9110, 8.4.1; RFC 7932).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
}

impl Coding {
    /// Its name in a field; the identity is not named.
    pub fn name(self) -> Option<&'static [u8]> {
        match self {
            Coding::Identity => None,
            Coding::Gzip => Some(b"gzip"),
            Coding::Brotli => Some(b"br"),
        }
    }

    /// What is at the end of the name of a file that holds another one in this coding.
    pub fn suffix(self) -> &'static [u8] {
        match self {
            Coding::Identity => b"",
            Coding::Gzip => b".gz",
            Coding::Brotli => b".br",
        }
    }
}

/// A file in one of its codings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Representation {
    /// Which.
    pub coding: Coding,
    /// Its bytes, in the site's image.
    pub content: &'static [u8],
    /// What an answer says of it.
    pub head: Head,
}

/// A file.
#[derive(Clone, Copy)]
pub(crate) struct File<'a> {
    /// The same in one or more codings, the best first. The last is the identity: what the file
    /// is without a coding.
    pub representations: &'a [Representation],
    /// When it was last changed, in seconds since 1970, if that is known. Never later than boot.
    pub modified: Option<u64>,
}
