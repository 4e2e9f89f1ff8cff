//! The Internet checksum (RFC 1071), for TCP alone: smoltcp does the other protocols'.
//!
//! It lies here and not in smoltcp so that a frame whose sum the device has verified is not summed
//! again, and so that transmit offload is one branch.

/// Offset of the checksum field in a TCP header.
const FIELD: usize = 16;
/// IP protocol number of TCP.
const TCP: u128 = 6;

/// Where the device has to finish a checksum that was left to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// First byte that the sum covers, from the start of the Ethernet frame (`csum_start`).
    pub start: u16,
    /// Offset of the checksum field from there (`csum_offset`).
    pub offset: u16,
}

/// Whether the device has to finish this frame's checksum, and where (VIRTIO 1.2, 5.1.6.2).
///
/// Only for frames that a stack with `tx_checksum_offload` sent: all its TCP segments. Their
/// checksum field then holds the sum over the pseudo header, as the specification wants.
#[must_use]
pub fn partial(frame: &[u8]) -> Option<Partial> {
    let start = match (frame.get(12..14)?, frame.get(14)?) {
        ([0x08, 0x00], head) if frame.get(23) == Some(&6) => 14 + usize::from(head & 0x0f) * 4,
        ([0x86, 0xdd], _) if frame.get(20) == Some(&6) => 54,
        _ => return None,
    };
    (frame.len() >= start + 20).then_some(Partial {
        start: start as u16,
        offset: FIELD as u16,
    })
}

/// Whether a TCP segment's checksum is right. IPv4 addresses are in mapped form.
pub(crate) fn verify(segment: &[u8], source: u128, destination: u128) -> bool {
    let sum = pseudo(source, destination, segment.len()) + u64::from(sum(segment));
    fold(sum) == 0xffff
}

/// Writes a TCP segment's checksum, or with `partial` the sum over the pseudo header only.
pub(crate) fn fill(segment: &mut [u8], source: u128, destination: u128, partial: bool) {
    let pseudo = pseudo(source, destination, segment.len());
    let value = if partial {
        fold(pseudo)
    } else {
        segment[FIELD..FIELD + 2].fill(0);
        !fold(pseudo + u64::from(sum(segment)))
    };
    segment[FIELD..FIELD + 2].copy_from_slice(&value.to_be_bytes());
}

/// Sum over the pseudo header (RFC 9293, 3.1). The constant 0xffff of a mapped IPv4 address is
/// zero in one's complement, so that one formula serves both families.
fn pseudo(source: u128, destination: u128, len: usize) -> u64 {
    halves(source) + halves(destination) + halves(TCP + len as u128)
}

fn halves(value: u128) -> u64 {
    let words = |half: u64| (half >> 32) + (half & 0xffff_ffff);
    words((value >> 64) as u64) + words(value as u64)
}

/// One's complement sum of big-endian 16-bit words; an odd last byte counts as the high one.
fn sum(data: &[u8]) -> u16 {
    // The sum does not depend on the byte order until the end (RFC 1071, 2 B), so words are taken
    // as they lie, eight bytes at once, with the carry added back.
    let mut sum = 0u64;
    let mut add = |word: u64| {
        let (next, carry) = sum.overflowing_add(word);
        sum = next + u64::from(carry);
    };
    let (blocks, rest) = data.as_chunks::<32>();
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for word in words {
            add(u64::from_le_bytes(*word));
        }
    }
    let (words, tail) = rest.as_chunks::<8>();
    for word in words {
        add(u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    add(u64::from_le_bytes(last));
    fold((sum >> 32) + (sum & 0xffff_ffff)).swap_bytes()
}

/// Folds the carries of a sum of 16-bit or 32-bit words.
fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    ((sum >> 16) + (sum & 0xffff)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::wire::{IpAddress, Ipv4Address, Ipv6Address, TcpPacket};
    use std::vec::Vec;

    fn pattern(len: usize, salt: usize) -> Vec<u8> {
        (0..len)
            .map(|i| ((i * 31 + salt * 7) ^ (i >> 3)) as u8)
            .collect()
    }

    #[test]
    fn agrees_with_smoltcp() {
        for len in 20..200 {
            for salt in [0, 1, 255] {
                let mut ours = pattern(len, salt);
                let mut theirs = ours.clone();
                let (a, b) = (
                    Ipv4Address::new(10, 0, 2, 15),
                    Ipv4Address::new(255, 1, 0, 9),
                );
                let mapped = |v: Ipv4Address| v.to_ipv6_mapped().to_bits();
                fill(&mut ours, mapped(a), mapped(b), false);
                TcpPacket::new_unchecked(&mut theirs)
                    .fill_checksum(&IpAddress::Ipv4(a), &IpAddress::Ipv4(b));
                assert_eq!(ours, theirs);
                assert!(verify(&ours, mapped(a), mapped(b)));
                ours[len / 2] ^= 0x10;
                assert!(!verify(&ours, mapped(a), mapped(b)));

                let (a, b) = (
                    Ipv6Address::LOCALHOST,
                    Ipv6Address::new(0xfe80, 0, 0, 0, 1, 2, 3, salt as u16),
                );
                fill(&mut ours, a.to_bits(), b.to_bits(), false);
                theirs.copy_from_slice(&ours);
                TcpPacket::new_unchecked(&mut theirs)
                    .fill_checksum(&IpAddress::Ipv6(a), &IpAddress::Ipv6(b));
                assert_eq!(ours, theirs);
            }
        }
    }

    #[test]
    fn a_device_finishes_a_partial_sum() {
        let (a, b) = (0xffff_0a00_020f_u128, 0xffff_c0a8_0001_u128);
        for len in [20, 21, 60, 1460] {
            let mut whole = pattern(len, 3);
            let mut left = whole.clone();
            fill(&mut whole, a, b, false);
            fill(&mut left, a, b, true);
            // What the device does: sum from csum_start on, field included, and complement.
            let finished = !sum(&left);
            left[FIELD..FIELD + 2].copy_from_slice(&finished.to_be_bytes());
            assert_eq!(left, whole);
        }
    }

    #[test]
    fn partial_finds_the_segment() {
        let mut frame = std::vec![0; 74];
        frame[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
        frame[23] = 6;
        assert_eq!(
            partial(&frame),
            Some(Partial {
                start: 34,
                offset: 16
            })
        );
        frame[23] = 17;
        assert_eq!(partial(&frame), None);
        frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        frame[20] = 6;
        assert_eq!(
            partial(&frame),
            Some(Partial {
                start: 54,
                offset: 16
            })
        );
        assert_eq!(partial(&frame[..70]), None);
        assert_eq!(partial(&[]), None);
    }
}
