//! Console: what the guest's serial console is made of, as far as it needs no machine.
//!
//! Owns the line editor with its history, the table of commands, the one-line form of a frame, the
//! ring of captured frames, and the text in which those travel over the serial line. The guest
//! runs it, the `quartz` command reads what it writes, and both are tested here, on the host. It
//! never touches a device, never reads a clock, and has no unsafe code.
//!
//! No escape sequence is ever sent: a carriage return, a line feed and a backspace are all that a
//! terminal has to know, so a plain reader of lines is served as well.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod armor;
pub mod capture;
pub mod command;
pub mod editor;
pub mod filter;
pub mod frame;
pub mod history;
pub mod keys;
mod packet;
pub mod top;
pub mod units;

pub use command::{Command, CommandError};
pub use editor::{Editor, Screen};

/// What the console shows when it waits for a line.
pub const PROMPT: &str = "quartz> ";
/// Longest line that can be typed. With the prompt it fits into a row of 80, so the cursor never
/// has to leave its row.
pub const LINE: usize = 70;
