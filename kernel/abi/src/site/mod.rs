//! The image of a site: what `quartz pack` writes and the guest reads.
//!
//! An image is a tar archive (ustar, GNU or PAX) of the site's files. `x.css.br` and `x.css.gz`
//! beside `x.css` are its compressed forms. `quartz pack` puts an [`index`] in front, which saves
//! the guest from reading everything at boot; without one, the archive is read entry by entry.
//! The files [`HEADERS`] and [`REDIRECTS`] hold the site's own rules and are not served.

mod error;
pub mod hash;
pub mod headers;
pub mod index;
pub mod mime;
pub mod name;
mod pattern;
pub mod redirects;
mod rule;
pub mod tar;

pub use error::{SiteError, SiteErrorKind};
pub use hash::ContentHash;
pub use headers::HeaderRules;
pub use index::Index;
pub use pattern::{Captures, Pattern};
pub use redirects::{Redirect, Redirects};
pub use rule::{RuleError, RuleFault};

/// Most files and directories of an image.
pub const MOST_ENTRIES: usize = 100_000;
/// The file that stands for its directory.
pub const PAGE: &[u8] = b"index.html";
/// The page for what is not found.
pub const NOT_FOUND: &[u8] = b"404.html";
/// The file with the site's own header fields.
pub const HEADERS: &[u8] = b"_headers";
/// The file with the site's redirects.
pub const REDIRECTS: &[u8] = b"_redirects";

/// How a file's bytes are coded (RFC 9110, 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coding {
    /// As they are.
    Identity,
    /// `gzip`.
    Gzip,
    /// `br` (RFC 7932).
    Brotli,
}

impl Coding {
    /// Every coding, by its number in an index.
    pub const ALL: [Coding; 3] = [Coding::Identity, Coding::Gzip, Coding::Brotli];

    /// What the name of a file in this coding ends with.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Coding::Identity => "",
            Coding::Gzip => ".gz",
            Coding::Brotli => ".br",
        }
    }

    /// Its name in `Content-Encoding` and `Accept-Encoding`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Gzip => "gzip",
            Coding::Brotli => "br",
        }
    }
}
