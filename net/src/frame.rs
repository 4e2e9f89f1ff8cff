//! TCP segments of ours, from the first byte of their frame on.

use crate::checksum;
use crate::segment::{ETHERNET, Flags, Tuple};

/// Lengths of headers without options.
const IPV4: usize = 20;
const IPV6: usize = 40;
pub(crate) const TCP: usize = 20;
/// EtherTypes.
const IPV4_TYPE: [u8; 2] = [0x08, 0x00];
const IPV6_TYPE: [u8; 2] = [0x86, 0xdd];
/// Hops that a packet may take.
const HOPS: u8 = 64;
/// IP protocol number of TCP.
const PROTOCOL: u8 = 6;

/// What the headers of a segment say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    /// Both ends.
    pub tuple: &'a Tuple,
    /// The hardware address that it goes to.
    pub to: [u8; 6],
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Our window.
    pub window: u16,
    /// Control bits.
    pub flags: Flags,
    /// Bytes of options, before the data; a multiple of four.
    pub options: usize,
}

/// Bytes of IP and TCP headers on a connection.
pub(crate) fn overhead(tuple: &Tuple) -> usize {
    TCP + if tuple.is_ipv4() { IPV4 } else { IPV6 }
}

/// Bytes of the options of a SYN.
pub(crate) const OPTIONS: usize = 12;

/// The options of a SYN (RFC 9293, 3.2; RFC 7323, 2.2; RFC 2018, 2): the largest segment that is
/// taken, and if they are known, the shift of windows and selective acknowledgements.
pub(crate) fn options(segment: u16, scale: Option<u8>, sack: bool) -> [u8; OPTIONS] {
    let mut options = [1; OPTIONS];
    options[..2].copy_from_slice(&[2, 4]);
    options[2..4].copy_from_slice(&segment.to_be_bytes());
    if let Some(scale) = scale {
        options[4..7].copy_from_slice(&[3, 3, scale]);
    }
    if sack {
        options[8..10].copy_from_slice(&[4, 2]);
    }
    options
}

/// Where the data of a segment without options begins in its frame.
pub(crate) fn data_at(tuple: &Tuple) -> usize {
    ETHERNET + overhead(tuple)
}

/// Writes the headers of a segment whose data is in `frame` already, but for `tail` bytes that
/// follow. `from`: our hardware address; `offload`: the TCP checksum is left to others, who go on
/// from the sum of the pseudo-header.
#[cfg_attr(target_os = "none", optimize(speed))]
pub(crate) fn seal(frame: &mut [u8], tail: usize, from: [u8; 6], head: &Head<'_>, offload: bool) {
    let tuple = head.tuple;
    let len = frame.len() + tail - ETHERNET;
    // Each in one piece: the compiler then knows where everything lies.
    let (start, partial) = if tuple.is_ipv4() {
        const ALL: usize = ETHERNET + IPV4;
        let Some(bytes) = frame.first_chunk_mut::<ALL>() else {
            return;
        };
        ethernet(bytes, from, head.to, IPV4_TYPE);
        (ALL, ipv4(bytes, len, tuple))
    } else {
        const ALL: usize = ETHERNET + IPV6;
        let Some(bytes) = frame.first_chunk_mut::<ALL>() else {
            return;
        };
        ethernet(bytes, from, head.to, IPV6_TYPE);
        ipv6(bytes, len, tuple);
        let partial = checksum::begun(tuple.local, tuple.remote, len - IPV6);
        (ALL, partial)
    };
    let Some((_, segment)) = frame.split_at_mut_checked(start) else {
        return;
    };
    let Some(tcp) = segment.first_chunk_mut::<TCP>() else {
        return;
    };
    tcp[0..2].copy_from_slice(&tuple.local_port.to_be_bytes());
    tcp[2..4].copy_from_slice(&tuple.remote_port.to_be_bytes());
    tcp[4..8].copy_from_slice(&head.seq.to_be_bytes());
    tcp[8..12].copy_from_slice(&head.ack.to_be_bytes());
    tcp[12] = ((TCP + head.options) as u8 / 4) << 4;
    tcp[13] = head.flags.0;
    tcp[14..16].copy_from_slice(&head.window.to_be_bytes());
    tcp[16..18].copy_from_slice(&partial.to_be_bytes());
    tcp[18..20].fill(0);
    if !offload {
        checksum::fill(segment, tuple.local, tuple.remote);
    }
}

#[inline]
fn ethernet<const N: usize>(frame: &mut [u8; N], from: [u8; 6], to: [u8; 6], kind: [u8; 2]) {
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&from);
    frame[12..14].copy_from_slice(&kind);
}

/// Writes an IPv4 header with its checksum; gives the sum of the pseudo-header of TCP, for which the
/// addresses are summed too. `len`: of the packet.
#[inline]
fn ipv4(frame: &mut [u8; ETHERNET + IPV4], len: usize, tuple: &Tuple) -> u16 {
    /// The words of the header that are always the same: version, flags, hops and protocol.
    const SAME: u64 = 0x4500 + 0x4000 + ((HOPS as u64) << 8 | PROTOCOL as u64);
    let (source, destination) = (tuple.local as u32, tuple.remote as u32);
    let halves = |word: u32| u64::from(word >> 16) + u64::from(word & 0xffff);
    let addresses = halves(source) + halves(destination);
    let sum = !checksum::fold(SAME + len as u64 + addresses);
    let packet = &mut frame[ETHERNET..];
    packet[..2].copy_from_slice(&[0x45, 0]);
    packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    // An atomic datagram needs no identification (RFC 6864, 4.1).
    packet[4..8].copy_from_slice(&[0, 0, 0x40, 0]);
    packet[8..10].copy_from_slice(&[HOPS, PROTOCOL]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet[12..16].copy_from_slice(&source.to_be_bytes());
    packet[16..20].copy_from_slice(&destination.to_be_bytes());
    checksum::fold(addresses + u64::from(PROTOCOL) + (len - IPV4) as u64)
}

/// Writes an IPv6 header. `len`: of the packet.
fn ipv6(frame: &mut [u8; ETHERNET + IPV6], len: usize, tuple: &Tuple) {
    let packet = &mut frame[ETHERNET..];
    packet[..4].copy_from_slice(&[0x60, 0, 0, 0]);
    packet[4..6].copy_from_slice(&((len - IPV6) as u16).to_be_bytes());
    packet[6] = PROTOCOL;
    packet[7] = HOPS;
    packet[8..24].copy_from_slice(&tuple.local.to_be_bytes());
    packet[24..40].copy_from_slice(&tuple.remote.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Class, classify, mapped};
    use std::vec;

    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const PEER: [u8; 6] = [2, 0, 0, 0, 0, 2];

    #[test]
    fn options_are_read_too() {
        let tuple = Tuple {
            remote: mapped([10, 0, 2, 2]),
            local: mapped([10, 0, 2, 15]),
            remote_port: 4000,
            local_port: 80,
        };
        for scale in [None, Some(0), Some(7)] {
            for sack in [false, true] {
                let mut frame = vec![0; data_at(&tuple) + OPTIONS];
                frame[data_at(&tuple)..].copy_from_slice(&options(1400, scale, sack));
                let head = Head {
                    tuple: &tuple,
                    to: PEER,
                    seq: 1,
                    ack: 0,
                    window: 1000,
                    flags: Flags(Flags::SYN),
                    options: OPTIONS,
                };
                seal(&mut frame, 0, OWN, &head, false);
                let Class::Tcp(segment) = classify(&frame, false, PEER) else {
                    panic!("not a segment");
                };
                assert_eq!(segment.payload, 0);
                let peer = crate::segment::peer(&frame, &segment);
                assert_eq!((peer.segment, peer.scale, peer.sack), (1400, scale, sack));
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for local in [mapped([10, 0, 2, 15]), 1 << 64] {
            for len in [0, 1, 1000] {
                let tuple = Tuple {
                    remote: local + 3,
                    local,
                    remote_port: 4000,
                    local_port: 80,
                };
                let mut frame = vec![0xa5; data_at(&tuple) + len];
                let head = Head {
                    tuple: &tuple,
                    to: PEER,
                    seq: 0x0102_0304,
                    ack: 0x0506_0708,
                    window: 0x090a,
                    flags: Flags(Flags::ACK | Flags::PSH),
                    options: 0,
                };
                seal(&mut frame, 0, OWN, &head, false);
                // The way back: both ends change places.
                let Class::Tcp(segment) = classify(&frame, false, PEER) else {
                    panic!("not a segment");
                };
                assert_eq!(
                    (segment.tuple.remote, segment.tuple.local),
                    (local, local + 3)
                );
                assert_eq!((segment.seq, segment.ack), (head.seq, head.ack));
                assert_eq!((segment.window, segment.flags), (head.window, head.flags));
                assert_eq!((segment.payload, segment.source), (len, OWN));
                if tuple.is_ipv4() {
                    assert_eq!(checksum::plain(&frame[14..34]), 0);
                }
            }
        }
    }
}
