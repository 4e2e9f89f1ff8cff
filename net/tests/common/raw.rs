//! Frames by hand, where a client stack would not do what the test needs.

use super::{CLIENT, CLIENT_MAC, Rig, SERVER, SERVER_MAC};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, Ipv4Address,
    Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};

/// A TCP segment of the client, or one of the server as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    pub client: Ipv4Address,
    pub client_port: u16,
    pub server_port: u16,
    pub control: TcpControl,
    pub seq: u32,
    pub ack: Option<u32>,
    pub payload: &'a [u8],
    pub window: u16,
}

/// The client's default: a SYN from port 40000 to port 80.
pub const SYN: Segment<'static> = Segment {
    client: CLIENT,
    client_port: 40_000,
    server_port: 80,
    control: TcpControl::Syn,
    seq: 1000,
    ack: None,
    payload: &[],
    window: 64_000,
};

impl Segment<'_> {
    pub fn repr(&self) -> TcpRepr<'_> {
        TcpRepr {
            src_port: self.client_port,
            dst_port: self.server_port,
            control: self.control,
            seq_number: TcpSeqNumber(self.seq as i32),
            ack_number: self.ack.map(|ack| TcpSeqNumber(ack as i32)),
            window_len: self.window,
            window_scale: None,
            max_seg_size: (self.control == TcpControl::Syn).then_some(1460),
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: self.payload,
        }
    }

    pub fn frame(&self) -> Vec<u8> {
        frame(self.client, &self.repr())
    }
}

/// A frame of the client with this segment.
pub fn frame(client: Ipv4Address, tcp: &TcpRepr<'_>) -> Vec<u8> {
    let ip = Ipv4Repr {
        src_addr: client,
        dst_addr: SERVER,
        next_header: IpProtocol::Tcp,
        payload_len: tcp.buffer_len(),
        hop_limit: 64,
    };
    let ethernet = EthernetRepr {
        src_addr: EthernetAddress(CLIENT_MAC),
        dst_addr: EthernetAddress(SERVER_MAC),
        ethertype: EthernetProtocol::Ipv4,
    };
    let checksums = ChecksumCapabilities::default();
    let mut bytes = vec![0; 14 + ip.buffer_len() + tcp.buffer_len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    ethernet.emit(&mut frame);
    let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet, &checksums);
    tcp.emit(
        &mut TcpPacket::new_unchecked(packet.payload_mut()),
        &client.into(),
        &SERVER.into(),
        &checksums,
    );
    bytes
}

/// What the server said in a frame: who to, control, sequence number, acknowledgement, payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub port: u16,
    pub control: TcpControl,
    pub seq: u32,
    pub ack: Option<u32>,
    pub payload: Vec<u8>,
}

/// Reads a TCP segment in an IPv4 frame of the server, with all its checksums.
pub fn hear(frame: &[u8]) -> Option<Heard> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    if ethernet.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let packet = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
    let checksums = ChecksumCapabilities::default();
    let ip = Ipv4Repr::parse(&packet, &checksums).expect("a right header checksum");
    if ip.next_header != IpProtocol::Tcp {
        return None;
    }
    let tcp = TcpPacket::new_checked(packet.payload()).expect("a whole segment");
    let repr = TcpRepr::parse(&tcp, &ip.src_addr.into(), &ip.dst_addr.into(), &checksums)
        .expect("a right checksum");
    Some(Heard {
        port: repr.dst_port,
        control: repr.control,
        seq: repr.seq_number.0 as u32,
        ack: repr.ack_number.map(|ack| ack.0 as u32),
        payload: repr.payload.to_vec(),
    })
}

impl Rig {
    /// A rig whose client is spoken by hand.
    pub fn by_hand() -> Rig {
        let mut rig = Rig::new();
        rig.machine.out.clear();
        rig
    }

    /// Shakes hands; the server's initial sequence number.
    pub fn open(&mut self, syn: Segment<'_>) -> u32 {
        let heard = self.say(syn);
        let [reply] = &heard[..] else {
            panic!("one reply to a SYN, not {heard:?}");
        };
        assert_eq!(reply.control, TcpControl::Syn);
        assert_eq!(reply.ack, Some(syn.seq.wrapping_add(1)));
        let heard = self.say(Segment {
            control: TcpControl::None,
            seq: syn.seq.wrapping_add(1),
            ack: Some(reply.seq.wrapping_add(1)),
            ..syn
        });
        assert_eq!(heard, []);
        reply.seq
    }

    /// Gives the server a frame.
    pub fn inject(&mut self, frame: &[u8]) {
        self.stack.ingest(frame, false, &mut self.machine, self.now);
    }

    /// What the server has said by TCP since the last call.
    pub fn heard(&mut self) -> Vec<Heard> {
        let frames: Vec<_> = self.machine.out.drain(..).collect();
        frames.iter().filter_map(|frame| hear(frame)).collect()
    }

    /// Says something and hears what comes back at once.
    pub fn say(&mut self, segment: Segment<'_>) -> Vec<Heard> {
        self.inject(&segment.frame());
        self.heard()
    }
}
