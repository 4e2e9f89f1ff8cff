//! Checksums, against packets whose sums are known and against a second way to compute them.

use super::{Partial, complete, leave_to_device};
use std::vec;
use std::vec::Vec;

fn ethernet(kind: u16) -> Vec<u8> {
    let mut frame = vec![0x52; 12];
    frame.extend_from_slice(&kind.to_be_bytes());
    frame
}

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = ethernet(0x0800);
    let len = 20 + payload.len() as u16;
    frame.extend_from_slice(&[0x45, 0]);
    frame.extend_from_slice(&len.to_be_bytes());
    frame.extend_from_slice(&[0, 1, 0x40, 0, 64, protocol, 0, 0]);
    frame.extend_from_slice(&[10, 0, 2, 15, 10, 0, 2, 2]);
    frame.extend_from_slice(payload);
    frame
}

fn ipv6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = ethernet(0x86dd);
    frame.extend_from_slice(&[0x60, 0, 0, 0]);
    frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    frame.extend_from_slice(&[protocol, 64]);
    frame.extend((0..32).map(|n| n * 7));
    frame.extend_from_slice(payload);
    frame
}

/// Whether the packet's checksum is right, computed over pseudo-header and packet with end-around
/// carry at each step.
fn is_right(frame: &[u8], start: usize, protocol: u8, addresses: &[u8]) -> bool {
    let packet = &frame[start..];
    let mut all = addresses.to_vec();
    all.extend_from_slice(&(packet.len() as u32).to_be_bytes());
    all.extend_from_slice(&[0, 0, 0, protocol]);
    all.extend_from_slice(packet);
    if all.len() % 2 == 1 {
        all.push(0);
    }
    let sum = all.chunks(2).fold(0_u16, |sum, word| {
        let (sum, carry) = sum.overflowing_add(u16::from_be_bytes([word[0], word[1]]));
        sum + u16::from(carry)
    });
    sum == 0xffff
}

#[test]
fn left_to_the_device_and_completed() {
    for protocol in [6, 17, 58] {
        for len in [20, 21, 100, 1459, 1460] {
            let payload: Vec<u8> = (0..len).map(|n| (n * 31 % 251) as u8).collect();
            let offset = match protocol {
                6 => 16,
                17 => 6,
                _ => 2,
            };
            if protocol != 58 {
                let mut frame = ipv4(protocol, &payload);
                let partial = leave_to_device(&mut frame).expect("it has a checksum");
                assert_eq!(partial, Partial { start: 34, offset });
                complete(&mut frame, partial);
                assert!(is_right(&frame, 34, protocol, &frame[26..34]));
            }
            let mut frame = ipv6(protocol, &payload);
            let partial = leave_to_device(&mut frame).expect("it has a checksum");
            assert_eq!(partial, Partial { start: 54, offset });
            complete(&mut frame, partial);
            assert!(is_right(&frame, 54, protocol, &frame[22..54]));
        }
    }
}

/// A segment taken from RFC 1071's method by hand: 10.0.2.15:80 to 10.0.2.2:1, SYN.
#[test]
fn a_known_sum() {
    let mut tcp = vec![
        0, 80, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x20, 0, 0xaa, 0xaa, 0, 0,
    ];
    let mut frame = ipv4(6, &tcp);
    let partial = leave_to_device(&mut frame).expect("it has a checksum");
    // 0a00 + 020f + 0a00 + 0202 + 0006 + 0014
    assert_eq!(frame[50..52], [0x18, 0x2b]);
    complete(&mut frame, partial);
    tcp[16..18].copy_from_slice(&[0x18, 0x2b]);
    let sum: u32 = tcp
        .chunks(2)
        .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])))
        .sum();
    assert_eq!(frame[50..52], (!(sum as u16)).to_be_bytes());
}

#[test]
fn a_sum_of_zero_means_none_to_udp_only() {
    // Two words that make the whole sum 0xffff, so that its complement is 0.
    for (protocol, field, expected) in [(17, 40, 0xffff_u16), (6, 50, 0)] {
        let mut payload = vec![0_u8; 20];
        let mut frame = ipv4(protocol, &payload);
        let partial = leave_to_device(&mut frame).expect("it has a checksum");
        let pseudo = u16::from_be_bytes([frame[field], frame[field + 1]]);
        payload[0..2].copy_from_slice(&(!pseudo).to_be_bytes());
        let mut frame = ipv4(protocol, &payload);
        assert_eq!(leave_to_device(&mut frame), Some(partial));
        complete(&mut frame, partial);
        assert_eq!(frame[field..field + 2], expected.to_be_bytes());
    }
}

#[test]
fn padding_is_not_summed() {
    let payload = [7; 20];
    let mut short = ipv4(6, &payload);
    let mut padded = ipv4(6, &payload);
    padded.extend_from_slice(&[0xee; 26]);
    let partial = leave_to_device(&mut short).expect("it has a checksum");
    assert_eq!(leave_to_device(&mut padded), Some(partial));
    complete(&mut short, partial);
    complete(&mut padded, partial);
    assert_eq!(padded[..short.len()], short);
}

#[test]
fn what_has_none_is_left_alone() {
    let mut fragment = ipv4(6, &[1; 40]);
    fragment[20] = 0x20;
    let mut later_fragment = ipv4(6, &[1; 40]);
    later_fragment[21] = 1;
    let mut wrong_version = ipv4(6, &[1; 40]);
    wrong_version[14] = 0x65;
    let mut too_long = ipv4(6, &[1; 40]);
    too_long[17] = 200;
    let mut options_beyond = ipv4(6, &[1; 4]);
    options_beyond[14] = 0x4f;
    let frames = [
        ethernet(0x0806),
        ethernet(0x0800),
        ethernet(0x86dd),
        Vec::new(),
        vec![0; 13],
        ipv4(1, &[1; 40]),
        ipv4(58, &[1; 40]),
        ipv4(6, &[1; 17]),
        ipv6(43, &[1; 40]),
        ipv6(6, &[1; 10]),
        fragment,
        later_fragment,
        wrong_version,
        too_long,
        options_beyond,
    ];
    for frame in frames {
        let mut copy = frame.clone();
        assert_eq!(leave_to_device(&mut copy), None, "{frame:02x?}");
        assert_eq!(copy, frame);
    }
}

/// No bytes whatever make it leave the frame.
#[test]
fn any_bytes() {
    let mut state = 1_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut found = 0;
    for _ in 0..200_000 {
        let len = (random() % 90) as usize;
        let mut frame: Vec<u8> = (0..len).map(|_| random() as u8).collect();
        if len > 24 {
            frame[12] = 0x08;
            frame[13] = 0;
            frame[14] = 0x40 | (random() % 16) as u8;
            frame[16] = 0;
            frame[17] = (random() % 100) as u8;
            frame[20] = 0;
            frame[21] = 0;
            frame[23] = [6, 17, 58, 1][(random() % 4) as usize];
        }
        if let Some(partial) = leave_to_device(&mut frame) {
            assert!(usize::from(partial.start + partial.offset) + 2 <= len);
            complete(&mut frame, partial);
            found += 1;
        }
    }
    assert!(found > 1000);
}
