//! What a stack may leave to the device (VIRTIO 1.2, 5.1.6.2).
//!
//! Owns the terms in which it says so. It never looks into a frame.

/// A checksum that the device is to complete: the sum of the bytes from `start` to the end of the
/// frame, where its packet ends too, goes to `start + offset`, where the stack has written the sum of the pseudo-header
/// (RFC 9293, 3.1; RFC 8200, 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Where summing begins, in bytes from the frame's first.
    pub start: u16,
    /// Where the checksum lies, in bytes from `start`.
    pub offset: u16,
}

/// The version of IP that a segment travels by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 791.
    V4,
    /// RFC 8200.
    V6,
}

/// A TCP segment that the device is to cut into several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Which headers each of them gets.
    pub version: Version,
    /// Bytes of headers in front of the data, that of Ethernet included.
    pub headers: u16,
    /// Most bytes of data in each.
    pub size: u16,
}

/// What is left to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offload {
    /// A checksum.
    pub checksum: Partial,
    /// Cutting, if the frame is longer than one may be.
    pub cut: Option<Cut>,
    /// What follows the bytes that are written to the buffer: the device reads them where they
    /// lie. Empty unless the frame is to be cut.
    pub tail: &'static [u8],
}
