//! A rig with a network around it: clients that ask, a server that answers, and a gateway.
//!
//! Owns the stand-in for the protocol stack, which echoes frames and sends the probe that the
//! driver wants. Everything happens in beats of a tenth of a second.

use super::attributes::Attributes;
use super::memory::ModelHal;
use super::rig::{Rig, TICK_US};
use crate::{GivenUp, NetError, RxFrame};
use std::vec::Vec;

/// Ethertype for experiments (IEEE 802), which the server echoes.
const ECHO: [u8; 2] = [0x88, 0xb5];
const ARP: [u8; 2] = [0x08, 0x06];
/// Turns of the main loop per request, at most. A loop that polls never comes to rest.
const TURNS: usize = 8;
/// Requests per beat.
const REQUESTS: u64 = 4;

/// The rig, and what happens around it.
#[derive(Debug)]
pub struct Town {
    /// Driver and device.
    pub rig: Rig,
    /// Whether the gateway answers.
    pub gateway: bool,
    /// Whether clients send requests.
    pub clients: bool,
    /// Whether the server sends the probes that the driver wants.
    pub asks_gateway: bool,
    /// Bytes that each request has beyond the smallest.
    pub request_extra: usize,
    /// Frames that the server holds on to.
    pub held: Vec<RxFrame<ModelHal>>,
    /// The server keeps the frames that it receives.
    pub hoards: bool,
    asked: u64,
    answered: u64,
    probes: u64,
}

impl Town {
    /// A town around a device with these attributes.
    ///
    /// # Errors
    /// The driver refuses the device.
    pub fn new(attributes: Attributes, rx_size: u16, tx_size: u16) -> Result<Town, NetError> {
        Rig::new(attributes, rx_size, tx_size).map(Town::around)
    }

    /// A town around a rig.
    #[must_use]
    pub fn around(rig: Rig) -> Town {
        Town {
            rig,
            gateway: true,
            clients: true,
            asks_gateway: true,
            request_extra: 0,
            held: Vec::new(),
            hoards: false,
            asked: 0,
            answered: 0,
            probes: 0,
        }
    }

    /// Probes that the server sent.
    #[must_use]
    pub fn probes(&self) -> u64 {
        self.probes
    }

    /// A tenth of a second. Whether every request in it was answered.
    ///
    /// # Errors
    /// The driver gave the device up.
    pub fn beat(&mut self) -> Result<bool, GivenUp> {
        let mut served = true;
        for request in 0..REQUESTS {
            if self.clients {
                served &= self.ask();
            } else {
                self.work();
            }
            if request == 0 {
                self.tick()?;
            }
        }
        Ok(served)
    }

    /// This many beats. How many of them were served.
    ///
    /// # Errors
    /// The driver gave the device up.
    pub fn beats(&mut self, count: usize) -> Result<usize, GivenUp> {
        let mut served = 0;
        for _ in 0..count {
            served += usize::from(self.beat()?);
        }
        Ok(served)
    }

    /// Beats until one is served, at most `most`. How many it took.
    ///
    /// # Errors
    /// The driver gave the device up.
    pub fn beats_until_served(&mut self, most: usize) -> Result<Option<usize>, GivenUp> {
        for count in 1..=most {
            if self.beat()? {
                return Ok(Some(count));
            }
        }
        Ok(None)
    }

    fn tick(&mut self) -> Result<(), GivenUp> {
        self.rig.now += TICK_US;
        if !self.rig.is_tick_due() {
            return Ok(());
        }
        self.rig.tick_now()?;
        if self.asks_gateway && self.rig.net.wants_probe() {
            let mut request = [0xff; 42];
            request[12..14].copy_from_slice(&ARP);
            request[14..22].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
            request[38..42].copy_from_slice(&[10, 0, 2, 2]);
            // A probe that finds no room is left out.
            if self
                .rig
                .net
                .transmit(request.len(), |b| b.copy_from_slice(&request))
                .is_ok()
            {
                self.probes += 1;
            }
            self.rig.net.flush();
        }
        self.work();
        Ok(())
    }

    /// One request. Whether it was answered.
    fn ask(&mut self) -> bool {
        self.asked += 1;
        let mut request = [0x52; 60].to_vec();
        request.resize(60 + self.request_extra, 0);
        request[12..14].copy_from_slice(&ECHO);
        request[14..22].copy_from_slice(&self.asked.to_le_bytes());
        self.rig.host.deliver(&request);
        self.work();
        self.answered == self.asked
    }

    /// The main loop and the device, until they rest or have had their turns.
    pub fn work(&mut self) {
        for _ in 0..TURNS {
            self.rig.interrupt();
            let frames = self.serve();
            self.rig.host.run();
            self.network();
            if frames == 0 && !self.rig.interrupt() && !self.rig.net.rearm() {
                return;
            }
        }
    }

    /// One turn of the server: echoes what came in.
    fn serve(&mut self) -> usize {
        let mut frames = 0;
        while frames < 64
            && let Some(frame) = self.rig.net.harvest()
        {
            frames += 1;
            let bytes = frame.bytes();
            if bytes.len() >= 60 && bytes[12..14] == ECHO {
                // What finds no room is lost, as on any network.
                let _ = self
                    .rig
                    .net
                    .transmit(60, |b| b.copy_from_slice(&bytes[..60]));
            }
            if self.hoards {
                self.held.push(frame);
            }
        }
        self.rig.net.flush();
        frames
    }

    /// What the server sent reaches clients and gateway.
    fn network(&mut self) {
        while let Some(sent) = self.rig.host.take_sent() {
            let frame = sent.frame;
            if frame.len() >= 22 && frame[12..14] == ECHO {
                let number = frame[14..22].try_into().map_or(0, u64::from_le_bytes);
                self.answered = self.answered.max(number);
            } else if self.gateway && frame.len() >= 42 && frame[12..14] == ARP {
                let mut reply = frame;
                reply[21] = 2;
                reply[28..32].copy_from_slice(&[10, 0, 2, 2]);
                self.rig.host.deliver(&reply);
            }
        }
    }
}
