//! Checksums that the protocol stack leaves to the device.
//!
//! Owns finding the checksum of a TCP, UDP or ICMPv6 packet in an Ethernet frame, the sum of its
//! pseudo-header, and the complete sum for a device that stopped offering to do it. It never
//! touches the IPv4 header's own checksum, which no virtio device computes.

use crate::header::Partial;

const ETHERNET: usize = 14;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const IPV6_HEADER: usize = 40;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// Prepares `frame` for a device that completes checksums: finds the transport checksum, writes
/// the sum of the pseudo-header there (RFC 9293, 3.1; RFC 8200, 8.1) and says where it is. What
/// the field held does not matter.
///
/// `None`, with the frame as it was, if there is none to leave to the device: another protocol, a
/// fragment, extension headers, or a frame cut short.
pub(crate) fn leave_to_device(frame: &mut [u8]) -> Option<Partial> {
    let (start, protocol, addresses) = match frame.get(12..ETHERNET)?.try_into().ok()? {
        ETHERTYPE_IPV4 => {
            let version = *frame.get(ETHERNET)?;
            let fragment = [*frame.get(20)? & 0x3f, *frame.get(21)?];
            if version >> 4 != 4 || fragment != [0, 0] {
                return None;
            }
            let start = ETHERNET + usize::from(version & 0xf) * 4;
            (start, *frame.get(23)?, 26..34)
        }
        ETHERTYPE_IPV6 => (ETHERNET + IPV6_HEADER, *frame.get(20)?, 22..54),
        _ => return None,
    };
    let offset = match protocol {
        TCP => 16,
        UDP => 6,
        ICMPV6 if start == ETHERNET + IPV6_HEADER => 2,
        _ => return None,
    };
    let end = packet_end(frame)?;
    let len = end.checked_sub(start)?;
    if len < offset + 2 {
        return None;
    }
    let pseudo = sum(frame.get(addresses)?) + u32::from(protocol) + len as u32;
    let field = frame.get_mut(start + offset..start + offset + 2)?;
    field.copy_from_slice(&fold(pseudo).to_be_bytes());
    Some(Partial {
        start: start as u16,
        offset: offset as u16,
    })
}

/// Does what the device would have done: completes the checksum that [`leave_to_device`] began.
pub(crate) fn complete(frame: &mut [u8], partial: Partial) {
    let start = usize::from(partial.start);
    let field = start + usize::from(partial.offset);
    let end = packet_end(frame).unwrap_or(frame.len());
    let is_udp = partial.offset == 6;
    let Some(packet) = frame.get(start..end) else {
        return;
    };
    let mut checksum = !fold(sum(packet));
    // To UDP, 0 means that there is no checksum (RFC 768).
    if checksum == 0 && is_udp {
        checksum = 0xffff;
    }
    if let Some(field) = frame.get_mut(field..field + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

/// Where the IP packet ends; behind it a short frame is padded. `None` if its length is not
/// possible.
fn packet_end(frame: &[u8]) -> Option<usize> {
    let word = |at: usize| {
        Some(usize::from(u16::from_be_bytes([
            *frame.get(at)?,
            *frame.get(at + 1)?,
        ])))
    };
    let end = if frame.get(12..ETHERNET)? == ETHERTYPE_IPV4 {
        ETHERNET + word(16)?
    } else {
        ETHERNET + IPV6_HEADER + word(18)?
    };
    (end <= frame.len()).then_some(end)
}

/// Sum of big-endian 16-bit words; an odd byte is followed by a zero (RFC 1071). At most 128 KiB.
fn sum(bytes: &[u8]) -> u32 {
    let mut words = bytes.chunks_exact(2);
    let total: u32 = words
        .by_ref()
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    match words.remainder() {
        [odd] => total + (u32::from(*odd) << 8),
        _ => total,
    }
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

#[cfg(test)]
mod tests;
