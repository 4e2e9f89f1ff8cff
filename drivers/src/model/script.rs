//! A sequence of operations from bytes: kernel, network and hostile device in any order.
//!
//! Owns the meaning of the bytes, and what must be true whatever they say. The property tests and
//! the fuzz target feed it.

use super::attributes::{Attributes, Fault, Tamper, feature};
use super::device::Model;
use super::rig::TICK_US;
use super::town::Town;
use super::{ModelHal, live_regions};
use crate::RxFrame;
use crate::offload::{Cut, Offload, Partial, Version};
use std::vec::Vec;
use virtio_drivers::transport::DeviceStatus;

/// Register reads that one operation may cost: a reset's wait, twice over.
const READS: u64 = 25_000;
/// Beats that the driver has to come back, once the device behaves.
const RECOVERY: usize = 60;

const FAULTS: [Fault; 15] = [
    Fault::ResetHangs,
    Fault::Gone,
    Fault::RefusesFeatures,
    Fault::RefusesToStart,
    Fault::QueuesStay,
    Fault::RestlessConfiguration,
    Fault::NoConfiguration,
    Fault::ReceiveFrozen,
    Fault::TransmitFrozen,
    Fault::Deaf,
    Fault::Mute,
    Fault::Noisy,
    Fault::Reversed,
    Fault::Eager,
    Fault::Sulky,
];

/// The operation of a beat, repeated as often as the next byte says.
const LONG: u8 = 24 * 3 + BEAT;
const BEAT: u8 = 14;

/// How a script ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The driver refused the device at boot.
    Refused,
    /// The driver gave the device up.
    GivenUp,
    /// The device behaved in the end, requests flow, and nothing is lost.
    Served,
}

/// The bytes, read one by one; they end in zeros.
struct Bytes<'a>(core::slice::Iter<'a, u8>);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// An id, a length or an index: often a plausible one.
    fn number(&mut self) -> u32 {
        match self.byte() {
            small @ 0..128 => small.into(),
            128..160 => u32::from(self.byte()) * 16,
            160..192 => u32::MAX - u32::from(self.byte()),
            192..224 => 2048 + u32::from(self.byte()) - 128,
            224.. => u32::from(self.word()) << 16 | u32::from(self.word()),
        }
    }
}

/// What the script has changed about the device.
struct Player {
    town: Town,
    original: Attributes,
    /// Frames that the kernel holds, with what they carried when they came.
    held: Vec<(RxFrame<ModelHal>, Vec<u8>)>,
    delivered: u8,
    /// The device said what is not true, or wrote where it may not.
    lied: bool,
    /// Its registers changed behind the driver's back, or it lied: what the driver does then
    /// cannot be judged.
    meddled: bool,
}

/// Plays `script` on a device that its first bytes describe.
///
/// # Panics
/// Something that must be true is not: that is the point.
pub fn play(script: &[u8]) -> End {
    let regions = live_regions();
    let end = act(script);
    assert_eq!(live_regions(), regions, "memory was lost");
    end
}

fn act(script: &[u8]) -> End {
    let mut bytes = Bytes(script.iter());
    let kind = bytes.byte();
    let mut attributes = if kind & 2 == 0 {
        Attributes::tap(kind & 1 == 0)
    } else {
        Attributes::flags(kind & 1 == 0)
    };
    if kind & 4 != 0 {
        attributes.features &= !(feature::CSUM | feature::GUEST_CSUM);
    }
    let sizes = bytes.byte();
    let size = |bits: u8| 2_u16 << (bits & 7).min(5);
    let Ok(town) = Town::new(attributes.clone(), size(sizes), size(sizes >> 4)) else {
        return End::Refused;
    };
    let mut player = Player {
        town,
        original: attributes,
        held: Vec::new(),
        delivered: 0,
        lied: false,
        meddled: false,
    };
    while bytes.0.len() > 0 {
        let operation = bytes.byte();
        let times = match operation {
            LONG => bytes.byte(),
            _ => 1,
        };
        for _ in 0..times {
            let reads = player.reads();
            let alive = player.step(operation, &mut bytes);
            assert!(player.reads() - reads < READS, "a wait without bound");
            player.balances();
            if !alive {
                player.is_at_its_end();
                // A device that does not confirm its reset keeps the memory.
                player.host().heal();
                return End::GivenUp;
            }
        }
    }
    player.come_back()
}

impl Player {
    fn host(&self) -> &Model {
        &self.town.rig.host
    }

    fn reads(&self) -> u64 {
        self.host().state().reads.get()
    }

    /// One operation. False if the driver gave up.
    fn step(&mut self, operation: u8, bytes: &mut Bytes<'_>) -> bool {
        self.lied |= matches!(operation % 24, 18..=20);
        self.meddled |= matches!(operation % 24, 18..=20 | 23);
        let rig = &mut self.town.rig;
        match operation % 24 {
            0..3 => {
                let len = usize::from(bytes.word()) % 2025;
                self.delivered = self.delivered.wrapping_add(1);
                rig.host.deliver(&std::vec![self.delivered; len]);
            }
            3..5 => {
                for _ in 0..bytes.byte() % 40 {
                    self.delivered = self.delivered.wrapping_add(1);
                    rig.host.deliver(&[self.delivered; 60]);
                }
            }
            5 => {
                if let Some(frame) = rig.net.harvest() {
                    assert!((14..=2038).contains(&frame.bytes().len()));
                    let bytes = frame.bytes().to_vec();
                    self.held.push((frame, bytes));
                }
            }
            6 => {
                if !self.held.is_empty() {
                    let at = usize::from(bytes.byte()) % self.held.len();
                    let (frame, bytes) = self.held.swap_remove(at);
                    // Over resets too, nobody writes to a buffer that is held.
                    assert!(self.lied || frame.bytes() == bytes, "{frame:?}");
                }
            }
            7 => {
                let len = usize::from(bytes.word()) % 2100;
                let fill = |buffer: &mut [u8]| buffer.fill(0x45);
                let _ = match len % 3 {
                    0 => rig.net.transmit(len, fill),
                    kind => rig.net.transmit_offloaded(len, &offload(kind == 2), fill),
                };
            }
            8 => rig.net.flush(),
            9 => {
                let _ = rig.net.rearm();
            }
            10 => rig.host.run(),
            11 => {
                rig.interrupt();
            }
            12 => {
                rig.now += TICK_US * u64::from(bytes.byte() % 4);
                return rig.net.tick(rig.now).is_ok();
            }
            13 => self.town.work(),
            BEAT => return self.town.beat().is_ok(),
            15 => rig
                .host
                .inflict(FAULTS[usize::from(bytes.byte()) % FAULTS.len()]),
            16 => {
                let fault = FAULTS[usize::from(bytes.byte()) % FAULTS.len()];
                rig.host.inflict_until_reset(fault);
            }
            17 => rig.host.heal(),
            18 => {
                let queue = u16::from(bytes.byte() % 2);
                let tamper = match bytes.byte() % 5 {
                    0 => Tamper::Id(bytes.number()),
                    1 => Tamper::Len(bytes.number()),
                    2 => Tamper::Repeat,
                    3 => Tamper::Skip(bytes.number() as u16),
                    _ => Tamper::Stale,
                };
                rig.host.tamper(queue, tamper);
            }
            19 => {
                let queue = u16::from(bytes.byte() % 2);
                rig.host.forge_used(queue, bytes.number(), bytes.number());
            }
            20 => {
                let queue = u16::from(bytes.byte() % 2);
                rig.host.forge_used_idx(queue, bytes.number() as u16);
            }
            21 => rig.host.interrupt(bytes.number()),
            22 => self.change(bytes),
            _ => match bytes.byte() % 4 {
                0 => rig.host.reset_itself(),
                1 => rig.host.set_status_bits(DeviceStatus::DEVICE_NEEDS_RESET),
                2 => rig
                    .host
                    .set_status_bits(DeviceStatus::from_bits_retain(bytes.number())),
                _ => {
                    self.lied = true;
                    let mut garbage = [0; 16];
                    garbage.fill_with(|| bytes.byte());
                    let id = bytes.byte().into();
                    rig.host.scribble(u16::from(garbage[0] % 2), id, garbage);
                }
            },
        }
        true
    }

    /// Changes what the device is like.
    fn change(&mut self, bytes: &mut Bytes<'_>) {
        let mut state = self.host().state_mut();
        let attributes = &mut state.attributes;
        match bytes.byte() % 7 {
            0 => attributes.features ^= 1 << (bytes.byte() % 64),
            1 => attributes.queue_max[usize::from(bytes.byte() % 2)] = bytes.number(),
            2 => attributes.mac[usize::from(bytes.byte() % 6)] = bytes.byte(),
            3 => attributes.mtu = bytes.word(),
            4 => attributes.link_up = !attributes.link_up,
            5 => attributes.sent_len = bytes.number(),
            _ => state.header_flags = bytes.byte(),
        }
    }

    /// True at every moment: each descriptor is the device's, free, held, or in the driver's hand
    /// between two steps; none is counted twice.
    fn balances(&self) {
        let net = &self.town.rig.net;
        for (ring, held) in [(net.rx_stats(), self.held.len()), (net.tx_stats(), 0)] {
            assert_eq!(ring.gap, ring.avail_idx.wrapping_sub(ring.used_idx));
            let known = usize::from(ring.gap) + usize::from(ring.free) + held;
            assert!(known <= usize::from(ring.size), "{ring:?}, {held} held");
            assert!(ring.harvested <= ring.posted, "{ring:?}");
        }
    }

    /// A driver that gave up does nothing any more, and says so again.
    fn is_at_its_end(&mut self) {
        let rig = &mut self.town.rig;
        assert!(rig.net.harvest().is_none());
        assert!(!rig.net.can_transmit() && !rig.net.rearm());
        rig.now += TICK_US;
        assert!(rig.net.tick(rig.now).is_err());
    }

    /// The device behaves from now on. The driver serves again, or has
    /// given up by then.
    fn come_back(mut self) -> End {
        self.host().heal();
        self.host().state_mut().attributes = self.original.clone();
        self.host().state_mut().header_flags = 0;
        // A lie that could be true, and was believed, stays between the two until a reset.
        if self.lied {
            self.host().reset_itself();
        }
        for (frame, bytes) in self.held.drain(..) {
            assert!(self.lied || frame.bytes() == bytes, "{frame:?}");
        }
        match self.town.beats_until_served(RECOVERY) {
            Err(_) => return End::GivenUp,
            Ok(beats) => assert!(beats.is_some(), "{:?}", self.town.rig.net),
        }
        assert_eq!(self.town.beats(3), Ok(3), "{:?}", self.town.rig.net);
        self.town.clients = false;
        assert_eq!(self.town.beats(2), Ok(2));
        if !self.meddled {
            self.town.rig.assert_lawful();
        }
        let net = &self.town.rig.net;
        let (rx, tx) = (net.rx_stats(), net.tx_stats());
        assert_eq!((rx.gap, rx.free), (rx.size, 0), "{rx:?}");
        assert_eq!((tx.gap, tx.free), (0, tx.size), "{tx:?}");
        End::Served
    }
}

/// What a stack leaves to the device, without or with a tail that is to be cut.
fn offload(cut: bool) -> Offload {
    static TAIL: [u8; 5000] = [0x54; 5000];
    let checksum = Partial {
        start: 34,
        offset: 16,
    };
    let shape = Cut {
        version: Version::V4,
        headers: 54,
        size: 1460,
    };
    Offload {
        checksum,
        cut: cut.then_some(shape),
        tail: if cut { &TAIL } else { &[] },
    }
}
