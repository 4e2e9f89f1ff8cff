//! What a person reads and is given: the command's own words, its manual pages and completions, what
//! a release is made of, and the documentation against what it describes.
//!
//! | of README, CONTRIBUTING and `docs/` | is checked |
//! | --- | --- |
//! | [`links`] | lead somewhere |
//! | [`words`], [`paths`] | commands, flags, targets of make and files exist |
//! | [`console`] | the commands of the serial console exist |
//! | [`blocks`] | code is what it says: it parses, compiles, is taken by what reads it |
//! | [`tables`] | say what the sources say |
//! | [`steps`] | commands that can be run are run |
//!
//! A failure says page and line, and what to do.

mod blocks;
mod command;
mod console;
mod links;
mod page;
mod paths;
mod steps;
mod supply;
mod tables;
mod words;

use std::path::PathBuf;
use std::process::{Command, Output};

/// The top of the sources.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The `quartz` command, deaf to the machine's own settings.
fn quartz() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quartz"));
    command.env_remove("SOURCE_DATE_EPOCH");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a command that succeeds says on standard output.
fn succeeds(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; `qemu/setup.sh test` installs what the tests need")
    });
    assert!(status.success(), "{command:?}: {}", text(&stderr));
    text(&stdout)
}
