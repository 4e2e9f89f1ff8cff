//! `quartz console`: a guest that runs as a service, at its serial line.
//!
//! Who sits at a terminal types to the guest key by key. A program, or a person through a pipe,
//! gives and gets lines. The capture of frames comes as a file.

mod pcap;
mod screen;
pub mod terminal;

pub use screen::Screen;

use crate::cli::ConsoleArgs;
use crate::error::Error;
use crate::outcome;
use crate::service::{QUICK, exists, request};
use crate::signals::wait_any;
use crate::supervise::control::{self, Request};
use crate::supervise::places::Places;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};
use terminal::Keys;

/// How often the console looks for news.
const LOOK: Duration = Duration::from_millis(200);
/// How long an end of a row is held back, in case that a heartbeat follows.
const SETTLE: Duration = Duration::from_millis(50);
/// Has the guest show its prompt: Control-L.
pub const REDRAW: u8 = 0x0c;

/// `quartz console`.
///
/// # Errors
/// There is no supervisor, or no guest; or the capture cannot be had.
pub fn main(args: &ConsoleArgs) -> Result<(), Error> {
    match &args.pcap {
        Some(path) => pcap::save(&args.name, path, Duration::from_secs(args.seconds)),
        None if terminal::is_there() && !args.no_input => keys(&args.name),
        None => lines(args),
    }
}

/// The guest's serial line, both ways.
fn attach(name: &str) -> Result<UnixStream, Error> {
    exists(name)?;
    control::attach(&Places::of(name).control(), QUICK).map_err(|source| Error::System {
        what: format!("cannot get at the console of {name} (systemctl status quartz@{name})"),
        source,
    })
}

/// Key by key, until the person leaves or the guest goes.
fn keys(name: &str) -> Result<(), Error> {
    let waiting = || Error::system("cannot wait for the console");
    let mut line = attach(name)?;
    outcome::say(&format_args!("the console of {name}; Ctrl-] leaves"));
    let _keys = Keys::new().map_err(Error::system("cannot take the terminal over"))?;
    let mut screen = Screen::new();
    let mut buffer = [0; 4096];
    line.write_all(&[REDRAW]).map_err(waiting())?;
    loop {
        let (stdin, mut stdout) = (io::stdin(), io::stdout());
        let deadline = Some(Instant::now() + SETTLE);
        let ready = wait_any(&[line.as_fd(), stdin.as_fd()], deadline).map_err(waiting())?;
        let mut text = String::new();
        if ready[0] {
            let n = line.read(&mut buffer).map_err(waiting())?;
            if n == 0 {
                outcome::say(&"\r\nthe guest has gone, or this terminal was too slow for it");
                return Ok(());
            }
            text = screen.show(&buffer[..n]);
        } else if !ready[1] {
            text = screen.settle();
        }
        let shown = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        if shown.is_err() {
            return Ok(());
        }
        if ready[1] {
            let n = rustix::io::read(&stdin, &mut buffer).map_err(|e| waiting()(e.into()))?;
            let (typed, leaves) = terminal::up_to_leave(&buffer[..n]);
            line.write_all(typed).map_err(waiting())?;
            if leaves || n == 0 {
                // What has been shown ends here.
                let _ = stdout.write_all(b"\r\n");
                return Ok(());
            }
        }
    }
}

/// Line by line, until the input or the guest ends.
fn lines(args: &ConsoleArgs) -> Result<(), Error> {
    let mut from = 0;
    let mut input = io::stdin().lock();
    let mut open = !args.no_input;
    let mut out = io::stdout().lock();
    loop {
        let news = request(&args.name, &Request::Lines { from }, QUICK)?;
        for line in news["lines"].as_array().into_iter().flatten() {
            if writeln!(out, "{}", line.as_str().unwrap_or("")).is_err() {
                return Ok(());
            }
        }
        from = news["next"].as_u64().unwrap_or(from);
        if args.no_input {
            return Ok(());
        }
        if !open {
            // What was typed last is still to be answered.
            thread::sleep(LOOK * 2);
            let news = request(&args.name, &Request::Lines { from }, QUICK)?;
            for line in news["lines"].as_array().into_iter().flatten() {
                let _ = writeln!(out, "{}", line.as_str().unwrap_or(""));
            }
            return Ok(());
        }
        let stdin = io::stdin();
        let ready = wait_any(&[stdin.as_fd()], Some(Instant::now() + LOOK))
            .map_err(Error::system("cannot wait for input"))?;
        if ready[0] {
            let mut line = String::new();
            let read = input
                .read_line(&mut line)
                .map_err(Error::system("cannot read"))?;
            open = read > 0;
            if open {
                let line = line.trim_end().to_owned();
                request(&args.name, &Request::Type { line }, QUICK)?;
            }
        }
    }
}
