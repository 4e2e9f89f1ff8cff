//! The reflector: with `reflect=on`, datagrams to the echo port go back as they came, addresses
//! and ports swapped, without a look from the protocol stack. It shows how many frames the driver
//! and the host's side allow: `quartz bench` compares the way through the stack with it.

use core::ops::Range;

/// The echo port (RFC 862).
const ECHO: [u8; 2] = 7u16.to_be_bytes();
const ETHER_TYPE: Range<usize> = 12..14;
/// Version and length of an IPv4 header without options.
const VERSION: usize = 14;
const PROTOCOL: usize = 23;
const SOURCE: Range<usize> = 26..30;
const DESTINATION: Range<usize> = 30..34;
const FROM: Range<usize> = 34..36;
const TO: Range<usize> = 36..38;
const CHECKSUM: Range<usize> = 40..42;

/// Whether `frame` is to go back: a datagram by IPv4 to the echo port, and not from one.
pub fn takes(frame: &[u8]) -> bool {
    frame.len() >= CHECKSUM.end
        && frame[ETHER_TYPE] == [0x08, 0x00]
        && frame[VERSION] == 0x45
        && frame[PROTOCOL] == 17
        && frame[TO] == ECHO
        && frame[FROM] != ECHO
}

/// Writes the answer to `frame`. Its header's checksum is the same; that of the datagram, which a
/// host may have left unfinished, is left out (RFC 768).
pub fn answer(frame: &[u8], target: &mut [u8]) {
    target.copy_from_slice(frame);
    target[..6].copy_from_slice(&frame[6..12]);
    target[6..12].copy_from_slice(&frame[..6]);
    target[SOURCE].copy_from_slice(&frame[DESTINATION]);
    target[DESTINATION].copy_from_slice(&frame[SOURCE]);
    target[FROM].copy_from_slice(&frame[TO]);
    target[TO].copy_from_slice(&frame[FROM]);
    target[CHECKSUM].fill(0);
}
