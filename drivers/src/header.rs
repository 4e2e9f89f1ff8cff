//! The header before each frame (VIRTIO 1.2, 5.1.6, `struct virtio_net_hdr`).
//!
//! Owns its bytes. It never looks at the frame behind it.

/// `flags`: the checksum is partial, `csum_start` and `csum_offset` say where it goes.
pub(crate) const NEEDS_CSUM: u8 = 1;
/// `flags`: the device has checked the checksum.
pub(crate) const DATA_VALID: u8 = 2;

/// Bytes of the header on a legacy device without merged buffers.
pub(crate) const LEGACY: usize = 10;
/// Bytes of the header since version 1, which has `num_buffers` always.
pub(crate) const MODERN: usize = 12;

/// A checksum that the device is to complete: the sum of the bytes from `start` to the end of the
/// frame goes to `start + offset`, where the sum of the pseudo-header lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partial {
    /// Where summing begins, in bytes from the frame's first.
    pub start: u16,
    /// Where the checksum lies, in bytes from `start`.
    pub offset: u16,
}

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

/// Whether the header of a received frame vouches for its checksum. Of use only when
/// `VIRTIO_NET_F_GUEST_CSUM` was negotiated.
#[inline]
pub(crate) fn vouches(flags: u8) -> bool {
    flags & (NEEDS_CSUM | DATA_VALID) != 0
}
