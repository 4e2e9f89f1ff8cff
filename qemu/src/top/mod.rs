//! `quartz top`: a guest's figures on a terminal, refreshed each second.
//!
//! | part | does |
//! | --- | --- |
//! | [`source`] | where a guest is, and one reading of it, with a deadline |
//! | [`figures`] | what readings say: rates, the last minutes |
//! | [`screen`] | that as lines of text |
//! | [`terminal`] | the terminal: raw while it is watched, restored whatever ends that |

pub mod figures;
pub mod screen;
pub mod source;
pub mod terminal;

use crate::cli::TopArgs;
use crate::error::Error;
use crate::signals::{Signals, wait_any};
use figures::Figures;
use rustix::termios::isatty;
use screen::{Column, Look};
use serde_json::json;
use source::{Reading, Source};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};
use terminal::{Key, Terminal};

/// Between two readings.
const EVERY: Duration = Duration::from_secs(1);
/// How often the screen is drawn at least: how long a guest has not answered grows.
const DRAW: Duration = Duration::from_millis(500);
/// Columns of a screen that is printed.
const PRINTED: usize = 100;

/// `quartz top`.
///
/// # Errors
/// There is no such guest, it does not answer the only question, or there is no terminal.
pub fn main(args: &TopArgs) -> Result<(), Error> {
    let source = Source::parse(&args.guest)?;
    match (args.json, args.once) {
        (true, once) => print_json(&source, once),
        (false, true) => print_screen(&source),
        (false, false) => watch(source),
    }
}

/// Two readings, so that there are rates.
fn both(source: &Source) -> Result<Figures, Error> {
    let mut figures = Figures::new(source.to_string());
    figures.take(source.read());
    if figures.last().is_some() {
        thread::sleep(EVERY);
        figures.take(source.read());
    }
    match figures.silence() {
        None => Ok(figures),
        Some((_, why)) => Err(Error::Refused(format!("{source}: {why}"))),
    }
}

fn print_screen(source: &Source) -> Result<(), Error> {
    let figures = both(source)?;
    let look = Look::default();
    let lines = screen::lines(&figures, &look, PRINTED, usize::MAX);
    let text: String = lines.iter().map(|line| line.plain() + "\n").collect();
    // A reader that goes away has seen enough.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}

fn print_json(source: &Source, once: bool) -> Result<(), Error> {
    if once {
        let figures = both(source)?;
        let _ = writeln!(io::stdout().lock(), "{}", figures.to_json());
        return Ok(());
    }
    let mut figures = Figures::new(source.to_string());
    loop {
        let began = Instant::now();
        figures.take(source.read());
        let line = match figures.silence() {
            None => figures.to_json(),
            Some((since, why)) => json!({
                "guest": source.to_string(),
                "answers": false,
                "silent_ms": since.as_millis() as u64,
                "error": why,
            }),
        };
        if writeln!(io::stdout().lock(), "{line}").is_err() {
            return Ok(());
        }
        thread::sleep((began + EVERY).saturating_duration_since(Instant::now()));
    }
}

/// Readings, one a second, on a thread of its own; the stream can be read when there is one.
fn readings(source: Source) -> Result<(Receiver<Result<Reading, String>>, UnixStream), Error> {
    let thread = || Error::system("cannot start a thread");
    let (bell, ring) = UnixStream::pair().map_err(thread())?;
    bell.set_nonblocking(true).map_err(thread())?;
    let (sender, receiver) = channel();
    thread::Builder::new()
        .name("readings".into())
        .spawn(move || {
            loop {
                let began = Instant::now();
                if sender.send(source.read()).is_err() || (&ring).write_all(b"!").is_err() {
                    return;
                }
                thread::sleep((began + EVERY).saturating_duration_since(Instant::now()));
            }
        })
        .map_err(thread())?;
    Ok((receiver, bell))
}

fn watch(source: Source) -> Result<(), Error> {
    if !isatty(io::stdin()) || !isatty(io::stdout()) {
        return Err(Error::Refused(
            "top needs a terminal; without one use --once or --json".into(),
        ));
    }
    source.check()?;
    let mut figures = Figures::new(source.to_string());
    let (news, bell) = readings(source)?;
    let signals = Signals::new().map_err(Error::system("cannot catch signals"))?;
    let unusable = || Error::system("cannot use the terminal");
    let mut terminal = Terminal::open().map_err(unusable())?;
    let mut look = Look::default();
    loop {
        let (width, height) = terminal.size();
        let lines = screen::lines(&figures, &look, width, height);
        terminal.draw(&lines).map_err(unusable())?;
        let stdin = io::stdin();
        let fds = [
            stdin.as_fd(),
            signals.as_fd(),
            bell.as_fd(),
            terminal.resized(),
        ];
        wait_any(&fds, Some(Instant::now() + DRAW)).map_err(unusable())?;
        if signals.take() {
            return Ok(());
        }
        terminal::drain(&bell);
        while let Ok(reading) = news.try_recv() {
            figures.take(reading);
        }
        for key in terminal.keys().map_err(unusable())? {
            match key {
                Key::Quit => return Ok(()),
                Key::Sort => look.column = look.column.next(),
                Key::Reverse => look.ascending = !look.ascending,
                Key::Up(by) => look.from = look.from.saturating_sub(by),
                Key::Down(by) => look.from = look.from.saturating_add(by),
            }
        }
        look.from = look.from.min(figures.flows().len().saturating_sub(1));
    }
}

impl Default for Look {
    fn default() -> Look {
        Look {
            column: Column::Age,
            ascending: false,
            from: 0,
        }
    }
}
