//! The Internet checksum (RFC 1071).
//!
//! It lies here and not in smoltcp so that a frame whose sum the device has verified is not summed
//! again, and so that transmit offload is one branch.

/// Offset of the checksum field in a TCP header.
const FIELD: usize = 16;
/// IP protocol number of TCP.
const TCP: u128 = 6;
/// IP protocol number of ICMPv6.
const ICMPV6: u128 = 58;

/// Whether a TCP segment's checksum is right. IPv4 addresses are in mapped form.
pub(crate) fn verify(segment: &[u8], source: u128, destination: u128) -> bool {
    let sum = pseudo(source, destination, TCP, segment.len()) + u64::from(sum(segment));
    fold(sum) == 0xffff
}

/// Writes a TCP segment's checksum.
pub(crate) fn fill(segment: &mut [u8], source: u128, destination: u128) {
    segment[FIELD..FIELD + 2].fill(0);
    let sum = pseudo(source, destination, TCP, segment.len()) + u64::from(sum(segment));
    segment[FIELD..FIELD + 2].copy_from_slice(&(!fold(sum)).to_be_bytes());
}

/// What a TCP segment's checksum begins with: the sum of its pseudo-header. `len`: of the segment,
/// in bytes.
pub(crate) fn begun(source: u128, destination: u128, len: usize) -> u16 {
    fold(pseudo(source, destination, TCP, len))
}

/// The checksum of an IPv4 header without options. Zero over one that holds its own.
pub(crate) fn ipv4(header: &[u8; 20]) -> u16 {
    let (words, _) = header.as_chunks::<4>();
    let sum = words
        .iter()
        .map(|w| u64::from(u32::from_le_bytes(*w)))
        .sum();
    !fold(sum).swap_bytes()
}

/// The checksum of an IPv4 header or an ICMP message. Zero over one that holds its own.
pub(crate) fn plain(data: &[u8]) -> u16 {
    !sum(data)
}

/// The checksum of an ICMPv6 message (RFC 4443, 2.3). Zero over one that holds its own.
pub(crate) fn icmpv6(message: &[u8], source: u128, destination: u128) -> u16 {
    let pseudo = pseudo(source, destination, ICMPV6, message.len());
    !fold(pseudo + u64::from(sum(message)))
}

/// Sum over the pseudo header (RFC 9293, 3.1). The constant 0xffff of a mapped IPv4 address is
/// zero in one's complement, so that one formula serves both families.
fn pseudo(source: u128, destination: u128, protocol: u128, len: usize) -> u64 {
    halves(source) + halves(destination) + halves(protocol + len as u128)
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
pub(crate) fn fold(sum: u64) -> u16 {
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
                fill(&mut ours, mapped(a), mapped(b));
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
                fill(&mut ours, a.to_bits(), b.to_bits());
                theirs.copy_from_slice(&ours);
                TcpPacket::new_unchecked(&mut theirs)
                    .fill_checksum(&IpAddress::Ipv6(a), &IpAddress::Ipv6(b));
                assert_eq!(ours, theirs);
            }
        }
    }
}
