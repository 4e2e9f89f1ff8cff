//! Who looks at frames as they pass: the console's `trace` and `pcap`.
//!
//! Off, it costs a frame one branch. On, it never waits: a line that the serial port is too slow
//! for is left out and counted, and a capture pushes out its oldest frames.

use crate::arch::clock;
use crate::console;
use crate::memory::heap;
use crate::serial;
use quartz_console::capture::{Capture, SMALLEST};
use quartz_console::filter::Filter;
use quartz_console::frame::Line;

/// Bytes of the heap that a capture leaves.
const LEFT: usize = 64 * 1024;
/// Most bytes of a capture.
const LARGEST: usize = 1024 * 1024;
/// Room that a line needs; longer ones are rare, and may find none.
const ROOM: usize = 160;

/// What frames pass by.
#[derive(Default)]
pub struct Tap {
    /// Anybody looks.
    on: bool,
    trace: Option<Filter>,
    capture: Option<Capture>,
    /// The capture is being shown, and must not change.
    frozen: bool,
    figures: Figures,
}

/// What was seen.
#[derive(Clone, Copy, Default)]
pub struct Figures {
    /// Lines shown.
    pub shown: u64,
    /// Lines that the serial port was too slow for.
    pub left_out: u64,
    /// Frames that passed while the capture was being shown.
    pub missed: u64,
    /// Of the lines that were left out those that were told of.
    told: u64,
}

/// Why there is no capture.
pub struct NoMemory {
    /// Bytes of the heap that are free.
    pub free: usize,
}

impl Tap {
    /// Whether anybody looks at frames.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// A frame was received.
    #[cold]
    pub fn received(&mut self, frame: &[u8]) {
        self.see("In ", frame, &[]);
    }

    /// A frame was queued to be sent. `tail` is what the device reads where it lies: then it is
    /// longer than the link allows, and cut below.
    #[cold]
    pub fn sent(&mut self, frame: &[u8], tail: &[u8]) {
        self.see("Out", frame, tail);
    }

    #[optimize(size)]
    fn see(&mut self, way: &str, frame: &[u8], tail: &[u8]) {
        let now_us = clock::now_us();
        match &mut self.capture {
            Some(_) if self.frozen => self.figures.missed += 1,
            Some(capture) => capture.keep(now_us, frame, tail),
            None => {}
        }
        if let Some(filter) = &self.trace
            && filter.takes(frame)
        {
            self.show(now_us, way, &Line(frame, tail.len()));
        }
    }

    #[optimize(size)]
    fn show(&mut self, now_us: u64, way: &str, line: &Line<'_>) {
        // Looked at first: most lines of a flood need not even be written.
        if !serial::has_spare(ROOM) {
            self.figures.left_out += 1;
            return;
        }
        let missing = self.figures.left_out - self.figures.told;
        if missing > 0 && console::aside(format_args!("... {missing} frames not shown")) {
            self.figures.told = self.figures.left_out;
        }
        let (s, us) = (now_us / 1_000_000, now_us % 1_000_000);
        match console::aside(format_args!("{s}.{us:06} {way} {line}")) {
            true => self.figures.shown += 1,
            false => self.figures.left_out += 1,
        }
    }

    /// Shows frames from now on, or no more.
    pub fn trace(&mut self, filter: Option<Filter>) {
        self.trace = filter;
        self.figures.told = self.figures.left_out;
        self.settle();
    }

    /// Which frames are shown.
    pub fn traced(&self) -> Option<Filter> {
        self.trace
    }

    /// Begins a capture anew: as much as the heap allows, `snaplen` bytes of each frame.
    ///
    /// # Errors
    /// There is too little memory.
    #[optimize(size)]
    pub fn begin(&mut self, snaplen: u16) -> Result<&Capture, NoMemory> {
        self.end();
        let usage = heap::usage();
        let free = usage.total - usage.used;
        let mut size = free.saturating_sub(LEFT).min(LARGEST);
        // What is free need not lie in one piece.
        while size >= SMALLEST {
            if let Ok(capture) = Capture::new(size, snaplen) {
                let capture = self.capture.insert(capture);
                self.on = true;
                return Ok(capture);
            }
            size /= 2;
        }
        Err(NoMemory { free })
    }

    /// Ends the capture and gives its memory back.
    pub fn end(&mut self) {
        self.capture = None;
        self.frozen = false;
        self.settle();
    }

    /// What was captured.
    pub fn capture(&self) -> Option<&Capture> {
        self.capture.as_ref()
    }

    /// Lets the capture stand still, or go on.
    pub fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    /// What was seen.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    fn settle(&mut self) {
        self.on = self.trace.is_some() || self.capture.is_some();
    }
}
