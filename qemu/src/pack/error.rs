//! What can go wrong while a site is packed.

use quartz_abi::site::{RuleError, SiteError};
use std::io;
use std::path::PathBuf;

/// Why a site cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// There is nothing.
    #[error("the site {} does not exist", .0.display())]
    Missing(PathBuf),
    /// It is something else.
    #[error("the site {} is neither a directory nor a file", .0.display())]
    NotADirectory(PathBuf),
    /// There is no file in it.
    #[error("the site {} is empty: there is no file to serve in it", .0.display())]
    Empty(PathBuf),
    /// A file or directory in it cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A symbolic link leads out of the site, in a circle, or nowhere.
    #[error("{} is a symbolic link {problem}; only links to something inside the site are followed", path.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        problem: String,
    },
    /// A name that no address can spell without trouble.
    #[error(
        "the name {path:?} has a control character in it, which no web address carries; rename the file"
    )]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// A name that the guest would refuse.
    #[error(
        "the name {path:?} is longer than {} bytes",
        quartz_abi::site::name::LONGEST
    )]
    LongName {
        /// The file.
        path: PathBuf,
    },
    /// A name that the image needs itself.
    #[error(
        "the name {:?} is the image's own; rename the file",
        quartz_abi::site::index::NAME
    )]
    OwnName,
    /// More files than the guest takes.
    #[error(
        "the site has {files} files; an image holds {} at most",
        quartz_abi::site::MOST_ENTRIES
    )]
    TooManyFiles {
        /// So many.
        files: usize,
    },
    /// A file has another size or content than before.
    #[error("{} changed while it was read", .0.display())]
    Changed(PathBuf),
    /// An archive that the guest would refuse.
    #[error("{} is no site: {error}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: Box<SiteError>,
    },
    /// A line of `_headers` or `_redirects`.
    #[error("{file}, {error}")]
    Rule {
        /// Which file.
        file: &'static str,
        /// Which line, and what is wrong.
        error: RuleError,
    },
    /// The image cannot be written.
    #[error("cannot write the site image: {0}")]
    Write(#[source] io::Error),
}

/// Wraps what the system said about a file.
pub(super) fn unreadable(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> PackError {
    let path = path.into();
    move |source| PackError::Unreadable { path, source }
}
