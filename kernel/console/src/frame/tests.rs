//! Frames as they were seen on a wire, and what tcpdump 4.99 says of them.

use super::*;
use std::format;
use std::string::String;

pub const ARP: &[u8] = b"\xff\xff\xff\xff\xff\xff\x52\x55\x0a\x00\x02\x02\x08\x06\x00\x01\x08\x00\
    \x06\x04\x00\x01\x52\x55\x0a\x00\x02\x02\x0a\x00\x02\x02\x00\x00\x00\x00\x00\x00\x0a\x00\x02\x0f";

pub const SEGMENT: &[u8] = b"\x52\x54\x00\x12\x34\x56\x52\x55\x0a\x00\x02\x02\x08\x00\x45\x00\x00\x2b\
    \x00\x01\x00\x00\x40\x06\x62\xbb\x0a\x00\x02\x02\x0a\x00\x02\x0f\x9d\xe6\x00\x50\xff\xff\xff\xfe\
    \x00\x00\x00\x07\x50\x18\xff\xff\x00\x00\x00\x00\x47\x45\x54";

pub const SOLICITATION: &[u8] = b"\x33\x33\xff\x00\x00\x02\x52\x55\x0a\x00\x02\x02\x86\xdd\x60\x00\x00\
    \x00\x00\x18\x3a\xff\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xfe\x80\x00\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x87\x00\x00\x00\x00\x00\x00\x00\xfe\x80\x00\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02";

fn line(frame: &[u8]) -> String {
    format!("{}", Line(frame, 0))
}

/// The segment with other flags and another length of data.
fn segment(flags: u8, data: bool) -> String {
    let mut frame = SEGMENT.to_vec();
    frame[47] = flags;
    if !data {
        frame.truncate(54);
        frame[17] = 40;
    }
    let line = line(&frame);
    let (ends, rest) = line.split_once(": ").unwrap();
    assert_eq!(ends, "IP 10.0.2.2.40422 > 10.0.2.15.80");
    rest.into()
}

#[test]
fn lines_are_those_of_tcpdump() {
    assert_eq!(
        line(ARP),
        "ARP, Request who-has 10.0.2.15 tell 10.0.2.2, length 28"
    );
    let mut reply = ARP.to_vec();
    reply[21] = 2;
    assert_eq!(
        line(&reply),
        "ARP, Reply 10.0.2.2 is-at 52:55:0a:00:02:02, length 28"
    );
    assert_eq!(
        line(SOLICITATION),
        "IP6 fe80::1 > fe80::2: ICMP6, neighbor solicitation, who has fe80::2, length 24"
    );
    for (flags, data, text) in [
        (
            0x18,
            true,
            "Flags [P.], seq 4294967294:1, ack 7, win 65535, length 3",
        ),
        (
            0x02,
            false,
            "Flags [S], seq 4294967294, win 65535, length 0",
        ),
        (
            0x12,
            false,
            "Flags [S.], seq 4294967294, ack 7, win 65535, length 0",
        ),
        (0x10, false, "Flags [.], ack 7, win 65535, length 0"),
        (
            0x11,
            false,
            "Flags [F.], seq 4294967294, ack 7, win 65535, length 0",
        ),
        (
            0x04,
            false,
            "Flags [R], seq 4294967294, win 65535, length 0",
        ),
        (
            0x00,
            false,
            "Flags [none], seq 4294967294, win 65535, length 0",
        ),
    ] {
        assert_eq!(segment(flags, data), text);
    }
}

#[test]
fn other_packets_are_named() {
    let mut other = SEGMENT.to_vec();
    other[23] = 17;
    other[38..40].copy_from_slice(&[0, 23]);
    assert_eq!(
        line(&other),
        "IP 10.0.2.2.40422 > 10.0.2.15.80: UDP, length 15"
    );
    other[23] = 89;
    assert_eq!(
        line(&other),
        "IP 10.0.2.2 > 10.0.2.15: protocol 89, length 23"
    );
    other[23] = 1;
    other[34..42].copy_from_slice(&[8, 0, 0, 0, 0, 1, 0, 2]);
    assert_eq!(
        line(&other),
        "IP 10.0.2.2 > 10.0.2.15: ICMP echo request, id 1, seq 2, length 23"
    );
    other[20..22].copy_from_slice(&[0x00, 0x10]);
    assert!(
        line(&other).ends_with("fragment of 1, offset 128, length 23"),
        "{}",
        line(&other)
    );
    other[12..14].copy_from_slice(&[0x88, 0xcc]);
    assert_eq!(
        line(&other),
        "52:55:0a:00:02:02 > 52:54:00:12:34:56, ethertype 0x88cc, length 57"
    );
}

#[test]
fn no_frame_is_too_short_or_too_strange() {
    let mut random = 7_u32;
    for frame in [ARP, SEGMENT, SOLICITATION] {
        for len in 0..frame.len() {
            assert!(!line(&frame[..len]).is_empty());
        }
        for _ in 0..20_000 {
            let mut frame = frame.to_vec();
            for _ in 0..3 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (random >> 8) as usize % (frame.len() - 12) + 12;
                frame[at] = random as u8;
            }
            let line = line(&frame);
            assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)), "{line:?}");
            assert!(line.len() < 200, "{line}");
        }
    }
    assert_eq!(line(&SEGMENT[..30]), "[|ip], length 16");
}

#[test]
fn a_segment_that_is_cut_below_is_shown_whole() {
    let mut frame = SEGMENT.to_vec();
    frame[16..18].copy_from_slice(&(43_u16 + 40_000).to_be_bytes());
    assert_eq!(line(&frame), "[|ip], length 43");
    assert_eq!(
        format!("{}", Line(&frame, 40_000)),
        "IP 10.0.2.2.40422 > 10.0.2.15.80: Flags [P.], seq 4294967294:40001, ack 7, win 65535, \
         length 40003"
    );
    let mut frame = SOLICITATION.to_vec();
    frame[20] = 6;
    frame[54..74].copy_from_slice(&SEGMENT[34..54]);
    frame[18..20].copy_from_slice(&(24_u16 + 1000).to_be_bytes());
    let shown = format!("{}", Line(&frame, 1000));
    assert!(
        shown.ends_with("seq 4294967294:1002, ack 7, win 65535, length 1004"),
        "{shown}"
    );
}
