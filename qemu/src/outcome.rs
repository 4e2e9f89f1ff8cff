//! How a command ended: one table of exit statuses, and the one place that prints messages.

use quartz_abi::ExitCode;
use std::fmt::Display;
use std::io::Write as _;

/// The command could not do what was asked; the message says why.
pub const FAILED: u8 = 1;
/// The command line is wrong (clap's own status).
pub const USAGE: u8 = 2;
/// The guest did not stop when asked and was ended by force.
pub const FORCED: u8 = 3;
/// QEMU ended without a word from the guest.
pub const QEMU_ENDED: u8 = 4;
/// The guest did not answer in time.
pub const NO_ANSWER: u8 = 5;

/// The guest of a service was given up; starting it again does not help.
pub const GIVEN_UP: u8 = 6;
/// A configuration was refused (`EX_CONFIG` of sysexits.h).
pub const CONFIGURATION: u8 = 78;

/// The exit status that stands for a guest's exit code: 0 for a clean stop, else the code itself.
#[must_use]
pub fn status(code: ExitCode) -> u8 {
    match code {
        ExitCode::CleanStop => 0,
        // Codes lie between 0x10 and 0x7f: QEMU's status has room for seven bits.
        other => other as u8,
    }
}

/// Every exit status with its meaning, in ascending order, as the help and the manual page show
/// them.
#[must_use]
pub fn statuses() -> Vec<(u8, &'static str)> {
    let mut all = vec![
        (0, "done; for a guest: it stopped as asked"),
        (FAILED, "could not be done, the message says why"),
        (USAGE, "wrong command line"),
        (
            FORCED,
            "the guest did not stop when asked and was ended by force",
        ),
        (QEMU_ENDED, "QEMU ended without a word from the guest"),
        (NO_ANSWER, "the guest did not answer in time"),
        (
            GIVEN_UP,
            "the guest was given up: starting it again does not help",
        ),
        (CONFIGURATION, "the configuration was refused"),
    ];
    let guest = ExitCode::ALL
        .into_iter()
        .filter(|code| status(*code) != 0)
        .map(|code| (status(code), code.message()));
    all.extend(guest);
    all.sort_unstable();
    all
}

/// Prints a message for the person at the terminal. If nobody reads it, it is lost.
pub fn say(message: &dyn Display) {
    let _ = writeln!(std::io::stderr().lock(), "quartz: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_different() {
        let mut seen: Vec<u8> = statuses().into_iter().map(|(status, _)| status).collect();
        let all = seen.len();
        // Each guest's code is one, and these are the tool's own.
        assert_eq!(all, ExitCode::ALL.len() + 7);
        seen.dedup();
        assert_eq!(seen.len(), all);
    }
}
