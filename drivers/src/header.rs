//! The header before each frame (VIRTIO 1.2, 5.1.6, `struct virtio_net_hdr`).
//!
//! Owns its bytes. It never looks at the frame behind it.

use crate::offload::{Cut, Partial, Version};

/// `flags`: the checksum is partial, `csum_start` and `csum_offset` say where it goes.
pub(crate) const NEEDS_CSUM: u8 = 1;
/// `flags`: the device has checked the checksum.
pub(crate) const DATA_VALID: u8 = 2;

/// `gso_type`: a TCP segment over IPv4 to be cut.
const GSO_TCPV4: u8 = 1;
/// `gso_type`: the same over IPv6.
const GSO_TCPV6: u8 = 4;

/// Bytes of the header on a legacy device without merged buffers.
pub(crate) const LEGACY: usize = 10;
/// Bytes of the header since version 1, which has `num_buffers` always.
pub(crate) const MODERN: usize = 12;

/// The header of a frame that is sent as it is.
pub(crate) const PLAIN: [u8; MODERN] = [0; MODERN];

/// Says in `header` that the device is to complete a checksum.
#[inline]
pub(crate) fn set_partial(header: &mut [u8], partial: Partial) {
    if let Some(header) = header.first_chunk_mut::<LEGACY>() {
        header[0] = NEEDS_CSUM;
        header[6..8].copy_from_slice(&partial.start.to_le_bytes());
        header[8..10].copy_from_slice(&partial.offset.to_le_bytes());
    }
}

/// Says in `header` that the device is to cut the segment.
#[inline]
pub(crate) fn set_cut(header: &mut [u8], cut: Cut) {
    if let Some(header) = header.first_chunk_mut::<LEGACY>() {
        header[1] = match cut.version {
            Version::V4 => GSO_TCPV4,
            Version::V6 => GSO_TCPV6,
        };
        header[2..4].copy_from_slice(&cut.headers.to_le_bytes());
        header[4..6].copy_from_slice(&cut.size.to_le_bytes());
    }
}

/// Whether the header of a received frame vouches for its checksum. Of use only when
/// `VIRTIO_NET_F_GUEST_CSUM` was negotiated.
#[inline]
pub(crate) fn vouches(flags: u8) -> bool {
    flags & (NEEDS_CSUM | DATA_VALID) != 0
}
