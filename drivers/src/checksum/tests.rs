//! Checksums, against packets whose sums are known and against a second way to compute them.

use super::complete;
use crate::offload::Partial;
use std::vec;
use std::vec::Vec;

/// Where the headers of a segment over IPv4 end.
const START: usize = 34;
const PARTIAL: Partial = Partial {
    start: START as u16,
    offset: 16,
};

/// The sum of 16-bit words with end-around carry at each step.
fn sum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
    bytes.chunks(2).map(word).fold(0_u16, |sum, word| {
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    })
}

#[test]
fn agrees_with_a_second_way() {
    for len in [20, 21, 100, 1459, 1460] {
        for pseudo in [0_u16, 1, 0x182b, 0xffff] {
            let mut frame = vec![0x52; START];
            frame.extend((0..len).map(|n| (n * 31 % 251) as u8));
            frame[50..52].copy_from_slice(&pseudo.to_be_bytes());
            complete(&mut frame, PARTIAL);
            // With the pseudo-header and its checksum, the packet's sum is all ones.
            let mut all: Vec<u8> = pseudo.to_be_bytes().to_vec();
            all.extend_from_slice(&frame[START..]);
            assert_eq!(sum(&all), 0xffff, "{len} {pseudo:#x}");
        }
    }
}

/// A segment taken from RFC 1071's method by hand: 10.0.2.15:80 to 10.0.2.2:1, SYN.
#[test]
fn a_known_sum() {
    let mut frame = vec![0; START];
    frame.extend_from_slice(&[0, 80, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x20, 0]);
    // 0a00 + 020f + 0a00 + 0202 + 0006 + 0014
    frame.extend_from_slice(&[0x18, 0x2b, 0, 0]);
    complete(&mut frame, PARTIAL);
    // 0050 + 0001 + 0001 + 5002 + 2000 + 182b = 887f
    assert_eq!(frame[50..52], (!0x887f_u16).to_be_bytes());
}

#[test]
fn no_place_makes_it_leave_the_frame() {
    for len in 0..60 {
        for (start, offset) in [(0, 0), (34, 16), (58, 1), (u16::MAX, u16::MAX)] {
            complete(&mut vec![1; len], Partial { start, offset });
        }
    }
}
