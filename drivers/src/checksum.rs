//! The complete checksum, for a device that stopped offering to compute it.
//!
//! It never touches the IPv4 header's own checksum, which no virtio device computes.

use crate::offload::Partial;

/// Does what the device would have done: completes the checksum that the stack began with the sum
/// of the pseudo-header. A place that lies outside the frame is left out.
#[cold]
pub(crate) fn complete(frame: &mut [u8], partial: Partial) {
    let start = usize::from(partial.start);
    let field = start + usize::from(partial.offset);
    let Some(packet) = frame.get(start..) else {
        return;
    };
    let checksum = !fold(sum(packet));
    if let Some(field) = frame.get_mut(field..field + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
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
