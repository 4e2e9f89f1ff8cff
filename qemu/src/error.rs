//! What can go wrong for a command: one clear message each, and the exit status that goes with it.

use crate::accelerator::AcceleratorError;
use crate::autopsy::AutopsyError;
use crate::bench::BenchError;
use crate::guest::{Ending, GuestError};
use crate::image::ImageError;
use crate::memory::Memory;
use crate::namespace::NamespaceError;
use crate::network::NetworkError;
use crate::outcome;
use crate::pack::PackError;
use crate::port::PortError;
use crate::program::ProgramError;
use crate::soak::SoakError;
use crate::supervise::config::ConfigError;
use std::io;
use std::path::PathBuf;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The QEMU program.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The kernel's image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The site.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The port to serve on.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The accelerator.
    #[error(transparent)]
    Accelerator(#[from] AcceleratorError),
    /// Kernel and site are larger than the guest's memory.
    #[error(
        "the image is larger than the memory: kernel {kernel} KiB and site {site} KiB do not fit into {memory}; try --mem {enough} (make run MEM={enough})"
    )]
    TooLarge {
        /// Memory that the kernel's image takes, in KiB.
        kernel: u64,
        /// Size of the site image, in KiB.
        site: u64,
        /// What was asked for.
        memory: Memory,
        /// What would do.
        enough: Memory,
    },
    /// The guest's command line would be refused.
    #[error("--append: {0}")]
    Append(String),
    /// The QEMU process.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The guest did not answer in time.
    #[error("the guest did not answer within {seconds} s; {seen}")]
    NoAnswer {
        /// The deadline.
        seconds: u64,
        /// What was seen on the serial line.
        seen: String,
    },
    /// The guest or QEMU ended although nobody had asked for it.
    #[error("{ending}{advice}")]
    Ended {
        /// How.
        ending: Ending,
        /// What to do about it, or nothing.
        advice: String,
    },
    /// The guest was asked to stop and had to be forced.
    #[error("the guest did not stop when asked; ended by {0}")]
    Forced(&'static str),
    /// A network of the command's own.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The soak.
    #[error(transparent)]
    Soak(#[from] SoakError),
    /// The benchmark.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// The autopsy.
    #[error(transparent)]
    Autopsy(#[from] AutopsyError),
    /// A configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The supervisor has given a guest up.
    #[error("{0}")]
    GivenUp(String),
    /// Somebody who was asked refused.
    #[error("{0}")]
    Refused(String),
    /// An operation of the system failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// The exit status of a command that ends with this error.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Error::Config(_) => outcome::CONFIGURATION,
            Error::GivenUp(_) => outcome::GIVEN_UP,
            Error::NoAnswer { .. } => outcome::NO_ANSWER,
            Error::Forced(_) => outcome::FORCED,
            Error::Ended { ending, .. } => ending.status(),
            _ => outcome::FAILED,
        }
    }

    /// Wraps what the system said with what was tried.
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |source| Error::System { what, source }
    }
}
