//! Answers that are too long for one turn, or for the serial port's queue: tables and captures.

use super::print::Answer;
use crate::serial;
use crate::tap::Tap;
use core::cmp::Ordering;
use core::fmt::{self, Write};
use quartz_console::armor::{self, Dump};
use quartz_console::command::Sort;
use quartz_console::top::Top;
use quartz_console::units::{Bytes, Span};
use quartz_net::{ClosedSnapshot, FlowSnapshot, FlowState, Instant, Stack};

/// Slots of the table of connections that are looked at in one turn.
const SLOTS: u32 = 64;
/// Lines that are said in one turn.
const LINES: usize = 4;
/// Room in the queue below which nothing is said: a line, and somebody else's.
const ROOM: usize = armor::LONGEST + 1024;

/// An answer under way.
pub enum Long {
    /// Looking for the rows of the table of connections, from this slot on.
    Census {
        /// In which order.
        by: Sort,
        /// The next slot.
        slot: u32,
        /// Connections seen, by state.
        counts: [u64; 4],
    },
    /// Saying them, from this row on.
    Flows {
        /// The next row.
        row: usize,
        /// Connections seen, by state.
        counts: [u64; 4],
    },
    /// Saying records of closed connections.
    Closed {
        /// The next row.
        row: usize,
        /// Records that are no rows.
        others: u64,
    },
    /// Saying captured frames. The capture stands still meanwhile.
    Frames(Dump),
}

/// How an answer goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It may go on at once.
    More,
    /// There is no room in the queue.
    Full,
    /// All was said.
    Done,
}

const STATES: [FlowState; 4] = [
    FlowState::HalfOpen,
    FlowState::Idle,
    FlowState::Busy,
    FlowState::Closing,
];

fn moved(flow: &FlowSnapshot) -> u64 {
    u64::from(flow.received) + u64::from(flow.sent)
}

fn compare(by: Sort, a: &FlowSnapshot, b: &FlowSnapshot) -> Ordering {
    let older = b.age.cmp(&a.age);
    match by {
        Sort::Age => older,
        Sort::State => a.state.cmp(&b.state).then(older),
        Sort::Bytes => moved(b).cmp(&moved(a)).then(older),
    }
}

/// What answers are made of.
pub struct Sources<'a> {
    /// Connections.
    pub stack: &'a Stack,
    /// Captured frames.
    pub tap: &'a Tap,
    /// The present.
    pub now: Instant,
}

impl Long {
    /// Goes on for a turn.
    #[optimize(size)]
    pub fn step(
        &mut self,
        sources: &Sources<'_>,
        flows: &mut Top<FlowSnapshot>,
        closed: &[ClosedSnapshot],
    ) -> Progress {
        if let Long::Census { by, slot, counts } = self {
            let end = sources.stack.flow_slots().min(*slot + SLOTS);
            for slot in *slot..end {
                if let Some(flow) = sources.stack.flow(slot, sources.now) {
                    counts[flow.state as usize] += 1;
                    flows.offer(flow, |a, b| compare(*by, a, b));
                }
            }
            *slot = end;
            if end == sources.stack.flow_slots() {
                let counts = *counts;
                *self = Long::Flows { row: 0, counts };
            }
            return Progress::More;
        }
        let mut out = Answer::new();
        for _ in 0..LINES {
            if serial::room() < ROOM {
                return Progress::Full;
            }
            // The console takes a line or drops it, with a count.
            match self.line(sources, flows, closed, &mut out) {
                Ok(true) => {}
                Ok(false) | Err(fmt::Error) => return Progress::Done,
            }
        }
        Progress::More
    }

    /// Says the next line. False: there was none left.
    #[optimize(size)]
    fn line(
        &mut self,
        sources: &Sources<'_>,
        flows: &Top<FlowSnapshot>,
        closed: &[ClosedSnapshot],
        out: &mut Answer,
    ) -> Result<bool, fmt::Error> {
        match self {
            Long::Census { .. } => {}
            Long::Flows { row, counts } => {
                let number = *row;
                *row += 1;
                let Some(flow) = flows.rows().get(number) else {
                    return tally(counts, flows.others(), out);
                };
                if number == 0 {
                    writeln!(
                        out,
                        "{:30} {:>5}  {:9} {:>6} {:>6} {:>6} {:>6}",
                        "PEER", "PORT", "STATE", "AGE", "IN", "OUT", "QUEUED"
                    )?;
                }
                writeln!(
                    out,
                    "{:30} {:>5}  {:9} {:6} {:6} {:6} {:6}",
                    flow.peer,
                    flow.port,
                    flow.state.name(),
                    Span(flow.age.total_micros()),
                    Bytes(flow.received.into()),
                    Bytes(flow.sent.into()),
                    Bytes(flow.queued)
                )?;
            }
            Long::Closed { row, others } => {
                let number = *row;
                *row += 1;
                let Some(one) = closed.get(number) else {
                    if *others > 0 {
                        writeln!(out, "... {others} more")?;
                    }
                    let records = closed.len() as u64 + *others;
                    writeln!(out, "{records} records of closed connections")?;
                    return Ok(false);
                };
                if number == 0 {
                    writeln!(out, "{:30} {:>5} {:>6}", "PEER", "PORT", "LEFT")?;
                }
                let left = Span(one.left.total_micros());
                writeln!(out, "{:30} {:>5} {left:6}", one.peer, one.port)?;
            }
            Long::Frames(dump) => {
                let Some(capture) = sources.tap.capture() else {
                    return Ok(false);
                };
                if !dump.line(capture, out)? {
                    return Ok(false);
                }
                writeln!(out)?;
            }
        }
        Ok(true)
    }
}

/// Says how many connections there are, which ends the table.
#[optimize(size)]
fn tally(counts: &[u64; 4], others: u64, out: &mut Answer) -> Result<bool, fmt::Error> {
    if others > 0 {
        writeln!(out, "... {others} more")?;
    }
    write!(out, "{} connections", counts.iter().sum::<u64>())?;
    for (state, count) in STATES.iter().zip(counts) {
        write!(out, ", {count} {}", state.name())?;
    }
    writeln!(out)?;
    Ok(false)
}
