//! The person's terminal, key by key.

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use std::io::{self, IsTerminal, Stdin, stdin};

/// Leaves the console: Control-], as telnet has it.
pub const LEAVE: u8 = 0x1d;

/// A terminal that hands over each key as it is pressed. Dropped, it is as before.
pub struct Keys {
    stdin: Stdin,
    before: Termios,
}

/// Whether a person sits at standard input.
#[must_use]
pub fn is_there() -> bool {
    stdin().is_terminal()
}

impl Keys {
    /// Takes the terminal over. What is printed still goes through it as usual.
    ///
    /// # Errors
    /// Standard input is no terminal, or does not obey.
    pub fn new() -> io::Result<Keys> {
        let stdin = stdin();
        let before = tcgetattr(&stdin)?;
        let mut modes = before.clone();
        modes.local_modes -=
            LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
        modes.input_modes -= InputModes::ICRNL | InputModes::IXON;
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&stdin, OptionalActions::Now, &modes)?;
        Ok(Keys { stdin, before })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A terminal that has gone needs no mending.
        let _ = tcsetattr(&self.stdin, OptionalActions::Now, &self.before);
    }
}

/// Keys up to the one that leaves, and whether that was among them.
#[must_use]
pub fn up_to_leave(keys: &[u8]) -> (&[u8], bool) {
    match keys.iter().position(|key| *key == LEAVE) {
        Some(at) => (&keys[..at], true),
        None => (keys, false),
    }
}
