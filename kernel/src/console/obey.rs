//! What each command does.

use super::answer::{Long, Sources};
use super::print::{self, Answer};
use super::{Console, Entered, Progress, QUESTION_US, ending, figures};
use crate::blackbox;
use crate::logger;
use crate::machine::Machine;
use crate::provoke;
use crate::serial;
use crate::tap::NoMemory;
use core::fmt::{self, Write};
use quartz_abi::cmdline::Fault;
use quartz_console::armor::Dump;
use quartz_console::command::{COMMANDS, Command, Entry, MOST_ROWS, Usage};
use quartz_net::Instant;

/// The word that confirms.
const YES: &str = "yes";

impl Console {
    /// A turn: takes bytes in, obeys one line at most, goes on with a long answer.
    #[cold]
    #[optimize(size)]
    pub fn attend(&mut self, machine: &mut Machine, now: Instant) {
        let now_us = now.total_micros() as u64;
        serial::serve();
        let more = self.listen();
        match self.enter(now_us) {
            Some(Entered::Line) => self.obey(machine, now),
            Some(Entered::TooLong) => print::line(b"the line is too long: 70 characters at most"),
            Some(Entered::Cancelled) => self.asked_us = None,
            None => {}
        }
        let mut goes_on = false;
        if let Some(long) = &mut self.long {
            let sources = Sources {
                stack: machine.stack(),
                tap: machine.tap(),
                now,
            };
            let progress = long.step(&sources, &mut self.flows, &self.closed);
            goes_on = progress == Progress::More;
            self.note(progress, now_us);
        }
        if self.long.is_none() {
            machine.tap_mut().freeze(false);
        }
        self.refresh();
        self.due = more || goes_on || (self.ahead_len > 0 && self.long.is_none());
    }

    #[optimize(size)]
    fn obey(&mut self, machine: &mut Machine, now: Instant) {
        let line = self.editor.line();
        let now_us = now.total_micros() as u64;
        let asked_us = self.asked_us.take();
        let asked = asked_us.is_some();
        if let Some(asked_us) = asked_us
            && line == YES
        {
            if now_us < asked_us + QUESTION_US {
                ending::panic();
            }
            return print::line(b"that took too long; `panic` asks again");
        }
        let mut out = Answer::new();
        if asked && matches!(line, "" | "no") {
            return print::line(b"nothing was done");
        }
        // The console takes a line or drops it, with a count.
        let _ = match Command::parse(line) {
            Ok(None) => Ok(()),
            Ok(Some(Command::Provoke(_))) if !machine.is_provokable() => {
                writeln!(out, "unknown command `provoke`; `help` lists them")
            }
            Ok(Some(command)) => self.execute(command, machine, now, &mut out),
            Err(error) => writeln!(out, "{error}"),
        };
    }

    #[optimize(size)]
    fn execute(
        &mut self,
        command: Command,
        machine: &mut Machine,
        now: Instant,
        out: &mut Answer,
    ) -> fmt::Result {
        let now_us = now.total_micros() as u64;
        match command {
            Command::Help(None) => help(out),
            Command::Help(Some(entry)) => help_on(entry, out),
            Command::Version => {
                write!(out, "Quartz {}, ", env!("CARGO_PKG_VERSION"))?;
                figures::uptime(out, now_us)
            }
            Command::Uptime => figures::uptime(out, now_us),
            Command::Stats => figures::stats(out, machine, self),
            Command::Rings => figures::rings(out, machine),
            Command::Mem => figures::memory(out, machine),
            Command::Irq => figures::interrupts(out, machine),
            Command::Events { count } => {
                blackbox::last(count.into()).try_for_each(|event| writeln!(out, "{event}"))
            }
            Command::Flows { by, rows } => {
                self.flows.begin(rows as usize);
                self.long = Some(Long::Census {
                    by,
                    slot: 0,
                    counts: [0; 4],
                });
                Ok(())
            }
            Command::TimeWait { rows } => {
                self.closed.clear();
                let rows = rows.min(MOST_ROWS) as usize;
                self.closed.extend(machine.stack().closed(now).take(rows));
                let records = machine.stack().stats().time_wait;
                self.long = Some(Long::Closed {
                    row: 0,
                    others: records.saturating_sub(self.closed.len() as u64),
                });
                Ok(())
            }
            Command::ShowLog => logger::show(out),
            Command::Log { level, target } => match logger::set(level, target) {
                Ok(()) => logger::show(out),
                Err(logger::Full) => {
                    writeln!(out, "log: no more targets; `log LEVEL` alone forgets them")
                }
            },
            Command::ShowTrace => match machine.tap().traced() {
                Some(filter) => writeln!(out, "trace: {filter}"),
                None => writeln!(out, "trace: off"),
            },
            Command::Trace(filter) => {
                machine.tap_mut().trace(filter);
                match filter {
                    Some(filter) => writeln!(out, "trace: {filter}"),
                    None => writeln!(out, "trace: off"),
                }
            }
            Command::Capture { snaplen } => match machine.tap_mut().begin(snaplen) {
                Ok(capture) => writeln!(
                    out,
                    "pcap: capturing {snaplen} bytes of each frame into {} KiB",
                    capture.size() / 1024
                ),
                Err(NoMemory { free }) => writeln!(
                    out,
                    "pcap: no memory for a capture: {} KiB of the heap are free",
                    free / 1024
                ),
            },
            Command::CaptureOff => {
                machine.tap_mut().end();
                writeln!(out, "pcap: off")
            }
            Command::Pcap { frames } => match machine.tap().capture() {
                Some(capture) => {
                    let epoch_us = blackbox::wall_clock() * 1_000_000;
                    self.long = Some(Long::Frames(Dump::new(capture, frames, epoch_us)));
                    machine.tap_mut().freeze(true);
                    Ok(())
                }
                None => writeln!(out, "pcap: nothing is captured; `pcap on` begins"),
            },
            Command::ShowHeartbeat => heartbeat(machine, out),
            Command::Heartbeat(seconds) => {
                machine.set_heartbeat(seconds);
                heartbeat(machine, out)
            }
            Command::Drain => {
                machine.drain(now);
                writeln!(out, "draining")
            }
            Command::PowerOff => ending::power_off(),
            Command::Reboot => ending::reboot(),
            Command::Panic => {
                self.asked_us = Some(now_us);
                writeln!(
                    out,
                    "this ends the guest by a panic; type `{YES}` within 30 s to go on"
                )
            }
            Command::Provoke(fault) => {
                if fault == Fault::Deaf {
                    machine.go_deaf();
                }
                provoke::provoke(fault);
                Ok(())
            }
        }
    }
}

#[optimize(size)]
fn help(out: &mut Answer) -> fmt::Result {
    for entry in &COMMANDS {
        writeln!(out, "{:38} {}", Usage(entry), entry.help)?;
    }
    Ok(())
}

#[optimize(size)]
fn help_on(entry: &'static Entry, out: &mut Answer) -> fmt::Result {
    writeln!(out, "{}", Usage(entry))?;
    writeln!(out, "{}", entry.help)?;
    out.write_str(entry.details)
}

#[optimize(size)]
fn heartbeat(machine: &Machine, out: &mut Answer) -> fmt::Result {
    match machine.heartbeat_s() {
        Some(s) => writeln!(out, "heartbeat: every {s} s"),
        None => writeln!(out, "heartbeat: off"),
    }
}
