//! An acknowledgement without a socket, for a connection of which only a record is left.

use crate::host::Host;
use crate::link::Wire;
use crate::segment::Segment;
use crate::time_wait::Record;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, IpRepr, TcpControl,
    TcpPacket, TcpRepr, TcpSeqNumber,
};

/// Answers `segment` with what the record knows. If the transmit ring is full, the peer will ask
/// again.
pub(crate) fn send<H: Host>(
    wire: &mut Wire,
    host: &mut H,
    mac: [u8; 6],
    segment: &Segment,
    record: &Record,
) {
    let tuple = &segment.tuple;
    let tcp = TcpRepr {
        src_port: tuple.local_port,
        dst_port: tuple.remote_port,
        control: TcpControl::None,
        seq_number: TcpSeqNumber(record.snd_nxt as i32),
        ack_number: Some(TcpSeqNumber(record.rcv_nxt as i32)),
        window_len: 0,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let (own, peer) = (tuple.local_address(), tuple.remote_address());
    let ip = IpRepr::new(
        own.into(),
        peer.into(),
        IpProtocol::Tcp,
        tcp.buffer_len(),
        64,
    );
    let ethernet = EthernetRepr {
        src_addr: EthernetAddress(mac),
        dst_addr: EthernetAddress(segment.source),
        ethertype: match tuple.is_ipv4() {
            true => EthernetProtocol::Ipv4,
            false => EthernetProtocol::Ipv6,
        },
    };
    // The link writes the TCP checksum.
    let mut checksums = ChecksumCapabilities::default();
    checksums.tcp = smoltcp::phy::Checksum::None;
    let len = ethernet.buffer_len() + ip.buffer_len();
    let sent = wire.send(host, len, |frame| {
        let mut frame = EthernetFrame::new_unchecked(frame);
        ethernet.emit(&mut frame);
        let (head, body) = frame.payload_mut().split_at_mut(ip.header_len());
        ip.emit(head, &checksums);
        tcp.emit(
            &mut TcpPacket::new_unchecked(body),
            &own.into(),
            &peer.into(),
            &checksums,
        );
    });
    if sent.is_none() {
        wire.ring_full += 1;
    }
}
