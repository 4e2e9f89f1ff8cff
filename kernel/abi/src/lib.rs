//! What the guest and the programs outside it agree on, byte for byte.
//!
//! Owns the documented formats: the guest's command line, its exit codes, the ring figures that
//! `/stats.json` carries, the heartbeat, the black box, and the site's image. Both sides link this
//! crate, so neither can drift. It never does anything: no device, no clock, no unsafe code.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod blackbox;
pub mod build;
pub mod cmdline;
pub mod exit;
pub mod heartbeat;
pub mod ring;
pub mod site;
pub mod words;

pub use blackbox::{BlackBox, BlackBoxError, Event, EventKind};
pub use build::BuildId;
pub use cmdline::{CommandLine, CommandLineError};
pub use exit::ExitCode;
pub use heartbeat::Heartbeat;
pub use ring::RingStats;
