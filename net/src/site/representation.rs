//! A file as it travels: in one of its codings, with its head prepared (RFC 9110, 8).

use super::head::Head;
pub(crate) use quartz_abi::site::Coding;

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
