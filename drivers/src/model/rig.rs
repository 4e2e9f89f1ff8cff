//! Driver and device on one bench, with a main loop like the kernel's.

use super::attributes::Attributes;
use super::device::Model;
use super::memory::ModelHal;
use super::registers::ModelTransport;
use crate::{GivenUp, InterruptLine, NetConfig, NetError, RxFrame, VirtioNet};
use core::sync::atomic::{Ordering::SeqCst, fence};
use std::boxed::Box;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

/// Time between two ticks of the kernel, in microseconds.
pub const TICK_US: u64 = 100_000;

/// Most frames that the kernel takes in per turn.
const BUDGET: usize = 64;

/// Lines live for ever, as in a kernel; those of rigs that are gone are used again.
static LINES: Mutex<Vec<&'static InterruptLine>> = Mutex::new(Vec::new());

fn lines() -> MutexGuard<'static, Vec<&'static InterruptLine>> {
    // A test that failed while it held the lock has not broken the list.
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take_line() -> &'static InterruptLine {
    let line = lines().pop();
    let line = line.unwrap_or_else(|| Box::leak(Box::new(InterruptLine::new())));
    let _ = line.take();
    line
}

fn give_line(line: &'static InterruptLine) {
    lines().push(line);
}

/// A driver, its device, and the line between them.
#[derive(Debug)]
pub struct Rig {
    /// The driver.
    pub net: VirtioNet<ModelHal, ModelTransport>,
    /// The device.
    pub host: Model,
    /// The interrupt line.
    pub line: &'static InterruptLine,
    /// The time, in microseconds.
    pub now: u64,
    /// When the driver wants its next tick.
    next_tick: u64,
    /// Ticks so far.
    pub ticks: u64,
}

impl Rig {
    /// A driver on a device with these attributes, with rings of `rx_size` and `tx_size`.
    ///
    /// # Errors
    /// The driver refuses the device.
    pub fn new(attributes: Attributes, rx_size: u16, tx_size: u16) -> Result<Rig, NetError> {
        let (host, transport) = Model::new(attributes);
        Rig::with(host, transport, rx_size, tx_size)
    }

    /// The same on a device that was prepared before.
    ///
    /// # Errors
    /// The driver refuses the device.
    pub fn with(
        host: Model,
        transport: ModelTransport,
        rx_size: u16,
        tx_size: u16,
    ) -> Result<Rig, NetError> {
        Rig::configured(host, transport, [rx_size, tx_size], None)
    }

    /// A driver that notifies twice of `from` frames and more.
    ///
    /// # Errors
    /// The driver refuses the device.
    pub fn notifying_twice(attributes: Attributes, size: u16, from: u16) -> Result<Rig, NetError> {
        let (host, transport) = Model::new(attributes);
        Rig::configured(host, transport, [size; 2], Some(from))
    }

    fn configured(
        host: Model,
        transport: ModelTransport,
        [rx_size, tx_size]: [u16; 2],
        twice_from: Option<u16>,
    ) -> Result<Rig, NetError> {
        let line = take_line();
        let config = NetConfig {
            rx_size,
            tx_size,
            fence: || fence(SeqCst),
            twice_from,
            address: super::memory::lend,
        };
        let net = VirtioNet::new(transport, line, config).inspect_err(|_| give_line(line))?;
        Ok(Rig {
            net,
            host,
            line,
            now: 0,
            next_tick: 0,
            ticks: 0,
        })
    }

    /// The interrupt handler, if there is an interrupt. Whether there was.
    pub fn interrupt(&mut self) -> bool {
        let status = self.host.acknowledge();
        if let Some(status) = status {
            self.line.note(status);
        }
        status.is_some()
    }

    /// Takes in frames as one turn of the kernel does, and publishes what they gave back. Each is
    /// handed to `take`.
    pub fn turn(&mut self, mut take: impl FnMut(RxFrame<ModelHal>)) -> usize {
        let mut frames = 0;
        while frames < BUDGET
            && let Some(frame) = self.net.harvest()
        {
            take(frame);
            frames += 1;
        }
        self.net.flush();
        frames
    }

    /// Turns the kernel's loop until it goes to sleep, with the device at work and interrupts
    /// delivered. The frames' bytes, in order.
    ///
    /// # Panics
    /// The loop does not come to rest.
    pub fn settle(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for _ in 0..100_000 {
            self.turn(|frame| frames.push(frame.bytes().to_vec()));
            self.host.run();
            let awake = self.interrupt();
            if !awake && !self.net.rearm() && !self.interrupt() {
                return frames;
            }
        }
        panic!("the loop does not come to rest: {:?}", self.net);
    }

    /// Lets time pass to the next tick, and ticks.
    ///
    /// # Errors
    /// The driver gave the device up.
    pub fn tick(&mut self) -> Result<(), GivenUp> {
        self.now += TICK_US;
        while !self.is_tick_due() {
            self.now += TICK_US;
        }
        self.tick_now()
    }

    /// Whether the kernel would tick now.
    #[must_use]
    pub fn is_tick_due(&self) -> bool {
        self.now >= self.next_tick || self.net.has_moved()
    }

    /// Ticks.
    ///
    /// # Errors
    /// The driver gave the device up.
    pub fn tick_now(&mut self) -> Result<(), GivenUp> {
        self.ticks += 1;
        self.next_tick = self.now + self.net.tick(self.now)?;
        Ok(())
    }

    /// Sends one frame, which must be taken.
    ///
    /// # Panics
    /// The frame is not taken.
    pub fn send(&mut self, frame: &[u8]) {
        self.net
            .transmit(frame.len(), |buffer| buffer.copy_from_slice(frame))
            .expect("there is room");
    }

    /// Asserts that nothing is lost and nobody did wrong: every receive buffer is the device's,
    /// every transmit buffer is free, and the driver kept to the specification.
    ///
    /// # Panics
    /// It is otherwise.
    pub fn assert_whole(&mut self) {
        let rx = self.net.rx_stats();
        let tx = self.net.tx_stats();
        assert_eq!((rx.gap, rx.free), (rx.size, 0), "receive ring: {rx:?}");
        assert_eq!((tx.gap, tx.free), (0, tx.size), "transmit ring: {tx:?}");
        self.assert_lawful();
    }

    /// Asserts that the driver kept to the specification.
    ///
    /// # Panics
    /// It did not.
    pub fn assert_lawful(&self) {
        let state = self.host.state();
        assert!(state.violations.is_empty(), "{:?}", state.violations);
    }

    /// Asserts that nothing had to be recovered from.
    ///
    /// # Panics
    /// Something had.
    pub fn assert_healthy(&self) {
        for ring in [self.net.rx_stats(), self.net.tx_stats()] {
            let trouble = [
                ring.missed_interrupts,
                ring.rekicks,
                ring.bad_used,
                ring.resets,
            ];
            assert_eq!(trouble, [0; 4], "{ring:?}");
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        give_line(self.line);
    }
}
