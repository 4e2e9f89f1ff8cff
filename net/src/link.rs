//! The device that smoltcp sees: one borrowed frame or packet to receive, and [`Host`] to send
//! through.
//!
//! What answers a packet goes back to the hardware address that it came from, so no neighbour has
//! to be known, looked up or asked for. Sent TCP segments get their checksum here and leave a note
//! of their numbers, which smoltcp does not tell otherwise. A reply for which the transmit ring has
//! no room is dropped and counted, as on a lossy link.

use crate::checksum;
use crate::frame::{self, Head};
use crate::host::{Cut, Host, Outgoing};
use crate::segment;
use crate::sequence::Numbering;
use alloc::boxed::Box;
use alloc::vec;
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// A [`Host`] for frames that are written already. It is one type whatever the host is, so that
/// smoltcp, and what goes the same way, is compiled here and once.
pub(crate) trait Carrier {
    /// Whether [`Carrier::carry`] would take a frame now.
    fn can_carry(&mut self) -> bool;

    /// Queues a frame. False: the transmit ring is full.
    fn carry(&mut self, frame: &[u8]) -> bool;
}

impl<H: Host> Carrier for H {
    fn can_carry(&mut self) -> bool {
        self.can_transmit()
    }

    fn carry(&mut self, frame: &[u8]) -> bool {
        let outgoing = Outgoing::plain(frame.len());
        self.transmit(&outgoing, |bytes| bytes.copy_from_slice(frame))
            .is_some()
    }
}

/// What is known of the last TCP segment that smoltcp wrote.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// Its acknowledgement number.
    pub ack: u32,
    /// Its window.
    pub window: u16,
}

/// State of the link that outlives a frame.
pub(crate) struct Wire {
    mac: [u8; 6],
    mtu: usize,
    offload: bool,
    /// Where frames are written that smoltcp, or others that are not in a hurry, have to send.
    desk: Box<[u8]>,
    /// How the segments that smoltcp writes now are numbered.
    pub numbering: Numbering,
    /// Bytes of the peer that smoltcp does not know of: what it acknowledges is so much further.
    pub skipped: u32,
    /// What smoltcp writes now is read and not sent: the connection says it in its own words.
    pub hold: bool,
    /// The last TCP segment that smoltcp wrote since the note was cleared.
    pub sent: Option<Sent>,
    /// smoltcp was told that the transmit ring is full.
    pub exhausted: bool,
    /// Frames handed to the host.
    pub frames_out: u64,
    /// Bytes in them.
    pub bytes_out: u64,
    /// Replies dropped because the transmit ring was full.
    pub ring_full: u64,
}

impl Wire {
    /// `mac`: our hardware address; `mtu` in bytes of IP; `offload`: the host writes the
    /// checksums of TCP segments.
    pub fn new(mac: [u8; 6], mtu: usize, offload: bool) -> Wire {
        Wire {
            mac,
            mtu,
            offload,
            desk: vec![0; mtu + segment::ETHERNET].into_boxed_slice(),
            numbering: Numbering::Plain,
            skipped: 0,
            hold: false,
            sent: None,
            exhausted: false,
            frames_out: 0,
            bytes_out: 0,
            ring_full: 0,
        }
    }

    /// Our hardware address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Largest IP packet, in bytes.
    pub fn mtu(&self) -> usize {
        self.mtu
    }

    /// Forgets what was noted, before a connection is given the word.
    pub fn clear(&mut self) {
        self.sent = None;
        self.exhausted = false;
    }

    /// What smoltcp has to know of the device, as one of frames or of packets.
    pub fn capabilities(&self, medium: Medium) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = medium;
        capabilities.max_transmission_unit = match medium {
            Medium::Ethernet => self.mtu + segment::ETHERNET,
            Medium::Ip => self.mtu,
        };
        capabilities.checksum.tcp = Checksum::None;
        // Verified before smoltcp sees a packet.
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities
    }

    /// Whether segments may be longer than the peer takes, to be cut below.
    pub fn cuts<H: Host>(&self, host: &H) -> bool {
        self.offload && host.cuts()
    }

    /// Sends a segment of ours with `len` bytes of data, which `fill` writes. False: the ring is
    /// full.
    pub fn say<H: Host>(
        &mut self,
        host: &mut H,
        head: &Head<'_>,
        len: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> bool {
        self.say_at_length(host, head, len, None, fill)
    }

    /// The same with a tail, and of any length: it is cut into segments of `size` bytes of data.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn say_at_length<H: Host>(
        &mut self,
        host: &mut H,
        head: &Head<'_>,
        len: usize,
        tail: Option<(u32, &'static [u8])>,
        fill: impl FnOnce(&mut [u8]),
    ) -> bool {
        let (own, offload) = (self.mac, self.offload);
        let start = frame::data_at(head.tuple);
        let outgoing = Outgoing {
            len: start + len,
            partial: offload.then_some((start - frame::TCP) as u16),
            cut: tail.map(|(size, tail)| Cut {
                ipv6: !head.tuple.is_ipv4(),
                headers: start as u16,
                size: size as u16,
                tail,
            }),
        };
        let behind = tail.map_or(0, |(_, tail)| tail.len());
        let sent = host.transmit(&outgoing, |bytes| {
            fill(&mut bytes[start..]);
            frame::seal(bytes, behind, own, head, offload);
        });
        match sent {
            Some(()) => {
                self.frames_out += 1;
                self.bytes_out += (start + len + behind) as u64;
            }
            None => self.ring_full += 1,
        }
        sent.is_some()
    }

    /// Sends a frame that `fill` writes. False: the ring is full.
    pub fn send(
        &mut self,
        host: &mut dyn Carrier,
        len: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> bool {
        fill(&mut self.desk[..len]);
        self.forward(host, len)
    }

    /// Sends the frame of `len` bytes on the desk. It is copied: what goes this way is short or
    /// seldom, and the rest of the way is compiled once for all who write.
    #[inline(never)]
    fn forward(&mut self, host: &mut dyn Carrier, len: usize) -> bool {
        if !host.can_carry() {
            return false;
        }
        let frame = &mut self.desk[..len];
        let note = seal(frame, &mut self.numbering, self.skipped);
        let sent = host.carry(frame);
        if sent {
            self.frames_out += 1;
            self.bytes_out += len as u64;
            if note.is_some() {
                self.sent = note;
            }
        }
        sent
    }
}

/// Finishes a TCP segment and reads its numbers.
fn seal(frame: &mut [u8], numbering: &mut Numbering, skipped: u32) -> Option<Sent> {
    let (start, source, destination) = segment::outgoing(frame)?;
    let tcp = &mut frame[start..];
    let seq = numbering.outgoing(word(tcp, 4));
    let ack = word(tcp, 8).wrapping_add(skipped);
    tcp[4..8].copy_from_slice(&seq.to_be_bytes());
    tcp[8..12].copy_from_slice(&ack.to_be_bytes());
    checksum::fill(tcp, source, destination);
    Some(note(tcp, 0))
}

/// What there is to know of a segment.
fn note(tcp: &[u8], skipped: u32) -> Sent {
    Sent {
        ack: word(tcp, 8).wrapping_add(skipped),
        window: u16::from_be_bytes([tcp[14], tcp[15]]),
    }
}

fn word(tcp: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([tcp[at], tcp[at + 1], tcp[at + 2], tcp[at + 3]])
}

/// The device for one call of smoltcp.
pub(crate) struct Link<'a> {
    /// Where frames go.
    pub host: &'a mut dyn Carrier,
    /// What is kept between calls.
    pub wire: &'a mut Wire,
    /// What there is to receive, if anything.
    pub input: Option<&'a [u8]>,
    /// The hardware address that packets go to. `None`: smoltcp handles whole frames.
    pub to: Option<[u8; 6]>,
}

impl Device for Link<'_> {
    type RxToken<'b>
        = Received<'b>
    where
        Self: 'b;
    type TxToken<'b>
        = Transmit<'b>
    where
        Self: 'b;

    fn receive(&mut self, _now: Instant) -> Option<(Received<'_>, Transmit<'_>)> {
        let input = self.input.take()?;
        let transmit = Transmit {
            host: self.host,
            wire: self.wire,
            to: self.to,
        };
        Some((Received(input), transmit))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Transmit<'_>> {
        if !self.wire.hold && !self.host.can_carry() {
            self.wire.exhausted = true;
            return None;
        }
        Some(Transmit {
            host: self.host,
            wire: self.wire,
            to: self.to,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.wire.capabilities(match self.to {
            Some(_) => Medium::Ip,
            None => Medium::Ethernet,
        })
    }
}

/// What was received.
pub(crate) struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// The right to send one frame or packet.
pub(crate) struct Transmit<'a> {
    host: &'a mut dyn Carrier,
    wire: &'a mut Wire,
    to: Option<[u8; 6]>,
}

impl TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let start = if self.to.is_some() && !self.wire.hold {
            segment::ETHERNET
        } else {
            0
        };
        let (head, packet) = self.wire.desk[..start + len].split_at_mut(start);
        let result = f(packet);
        if self.wire.hold {
            if let Some(tcp) = segment::held(packet) {
                self.wire.numbering.outgoing(word(tcp, 4));
                self.wire.sent = Some(note(tcp, self.wire.skipped));
            }
            return result;
        }
        if let Some(to) = self.to {
            head[..6].copy_from_slice(&to);
            head[6..12].copy_from_slice(&self.wire.mac);
            head[12..].copy_from_slice(segment::ether_type(packet));
        }
        if !self.wire.forward(self.host, start + len) {
            self.wire.ring_full += 1;
        }
        result
    }
}

/// A device without a link: for the time before there is a host.
pub(crate) struct Nothing<'a>(pub &'a Wire, pub Medium);

/// What never comes and never goes.
pub(crate) enum Never {}

impl Device for Nothing<'_> {
    type RxToken<'b>
        = Never
    where
        Self: 'b;
    type TxToken<'b>
        = Never
    where
        Self: 'b;

    fn receive(&mut self, _now: Instant) -> Option<(Never, Never)> {
        None
    }

    fn transmit(&mut self, _now: Instant) -> Option<Never> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.0.capabilities(self.1)
    }
}

impl RxToken for Never {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, _f: F) -> R {
        match self {}
    }
}

impl TxToken for Never {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, _len: usize, _f: F) -> R {
        match self {}
    }
}
