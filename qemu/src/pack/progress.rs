//! What a person sees while it takes long: a bar on a terminal, one line elsewhere.

use crate::outcome;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// From so many bytes on it takes long enough to say something.
const LONG: u64 = 16 << 20;

/// A count towards an end.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// `bytes` are to be read, twice: to be hashed and compressed, and to be written.
    pub fn new(bytes: u64) -> Progress {
        let bar = if std::io::stderr().is_terminal() {
            let style = "quartz: packing [{bar:40}] {bytes} of {total_bytes}, {eta} left";
            let bar = ProgressBar::new(2 * bytes);
            match ProgressStyle::with_template(style) {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        } else {
            if bytes >= LONG {
                outcome::say(&format_args!("packing {}", HumanBytes(bytes)));
            }
            ProgressBar::hidden()
        };
        Progress { bar }
    }

    /// So many bytes more are done.
    pub fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
