//! The frames that a guest has captured, as a file for tcpdump and Wireshark.

use super::attach;
use crate::error::Error;
use crate::journal::clean;
use crate::outcome;
use crate::signals::wait_any;
use quartz_console::armor::{File, Reader};
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long the guest may say nothing of what it was asked for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Takes back what somebody has typed and not sent: Control-U.
const CLEAR: &str = "\x15";

/// Saves what the guest `name` has captured; if it does not capture, it does so for `duration`.
///
/// # Errors
/// The guest cannot be asked or has no memory for a capture, or the file cannot be written.
pub fn save(name: &str, path: &Path, duration: Duration) -> Result<(), Error> {
    let mut line = Line {
        stream: attach(name)?,
        bytes: Vec::new(),
    };
    let file = match line.dump()? {
        Some(file) => file,
        None => {
            line.ask("pcap on", "pcap: capturing")?;
            outcome::say(&format_args!("capturing for {} s", duration.as_secs()));
            thread::sleep(duration);
            let file = line.dump();
            // Whatever came of it, the guest is to be as before.
            line.ask("pcap off", "pcap: off")?;
            file?.ok_or_else(|| Error::Refused("the guest has captured nothing".into()))?
        }
    };
    write(path, &file)?;
    outcome::say(&format_args!(
        "{} frames to {}",
        file.frames,
        path.display()
    ));
    Ok(())
}

fn write(path: &Path, file: &File) -> Result<(), Error> {
    let written = match path.as_os_str() == "-" {
        true => io::stdout().lock().write_all(&file.bytes),
        false => fs::write(path, &file.bytes),
    };
    written.map_err(|source| Error::Output {
        path: path.to_owned(),
        source,
    })
}

/// The guest's serial line, line by line.
struct Line {
    stream: UnixStream,
    bytes: Vec<u8>,
}

impl Line {
    /// The frames that the guest has captured; `None` if it does not capture.
    fn dump(&mut self) -> Result<Option<File>, Error> {
        self.say("pcap")?;
        let mut reader = Reader::new();
        loop {
            let line = self.next()?;
            match reader.take(&line) {
                Ok(Some(file)) => return Ok(Some(file)),
                Ok(None) if line.starts_with("pcap: nothing is captured") => return Ok(None),
                Ok(None) => refuse(&line)?,
                Err(error) => return Err(Error::Refused(error.to_string())),
            }
        }
    }

    /// Types a line and waits for the one that answers it.
    fn ask(&mut self, command: &str, answer: &str) -> Result<(), Error> {
        self.say(command)?;
        loop {
            let line = self.next()?;
            if line.starts_with(answer) {
                return Ok(());
            }
            refuse(&line)?;
        }
    }

    fn say(&mut self, command: &str) -> Result<(), Error> {
        let typed = format!("{CLEAR}{command}\r");
        let said = self.stream.write_all(typed.as_bytes());
        said.map_err(Error::system("cannot type on the console"))
    }

    /// The next line that has to do with captures.
    fn next(&mut self) -> Result<String, Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                let line = clean(line.strip_suffix(b"\n").unwrap_or(&line));
                if line.starts_with("pcap") || line.starts_with("unknown command `pcap`") {
                    return Ok(line);
                }
                continue;
            }
            let waiting = || Error::system("cannot read from the console");
            let ready = wait_any(&[self.stream.as_fd()], Some(deadline)).map_err(waiting())?;
            if !ready[0] {
                return Err(Error::Refused(
                    "the guest does not answer on its console".into(),
                ));
            }
            let mut buffer = [0; 4096];
            let n = self.stream.read(&mut buffer).map_err(waiting())?;
            if n == 0 {
                return Err(Error::Refused(
                    "the guest has gone, or this program was too slow for it".into(),
                ));
            }
            self.bytes.extend(&buffer[..n]);
        }
    }
}

/// An error, if the guest says that it cannot.
fn refuse(line: &str) -> Result<(), Error> {
    let cannot = ["pcap: no memory", "unknown command"];
    match cannot.iter().any(|words| line.starts_with(words)) {
        true => Err(Error::Refused(format!("the guest says: {line}"))),
        false => Ok(()),
    }
}
