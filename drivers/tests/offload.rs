//! Checksums left to the device, as they reach it.

use quartz_drivers::model::{Attributes, Rig, Sent, feature};
use quartz_drivers::offload::{Cut, Offload, Partial, Version};
use quartz_drivers::{TransmitError, VirtioNet};

/// What is left to the device of the segments here.
const CHECKSUM: Offload = Offload {
    checksum: Partial {
        start: 34,
        offset: 16,
    },
    cut: None,
    tail: &[],
};

/// A TCP segment of `len` bytes of data from 10.0.2.15 to 10.0.2.2, with the sum of its
/// pseudo-header.
fn segment(len: usize) -> Vec<u8> {
    let mut frame = untouched(len, 0);
    let sum = ones_complement_sum(&pseudo(&frame));
    frame[50..52].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The same with something else in its checksum field.
fn untouched(len: usize, field: u16) -> Vec<u8> {
    let mut frame = vec![0x52; 12];
    frame.extend_from_slice(&[8, 0, 0x45, 0]);
    frame.extend_from_slice(&(40 + len as u16).to_be_bytes());
    frame.extend_from_slice(&[0, 1, 0x40, 0, 64, 6, 0xaa, 0xbb, 10, 0, 2, 15, 10, 0, 2, 2]);
    frame.extend_from_slice(&[0, 80, 0x90, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0x20, 0]);
    frame.extend_from_slice(&field.to_be_bytes());
    frame.extend_from_slice(&[0, 0]);
    frame.extend((0..len).map(|n| (n * 7) as u8));
    frame
}

fn send(attributes: Attributes, frame: &[u8], offloaded: bool) -> Sent {
    let mut rig = Rig::new(attributes, 8, 8).expect("the device is fine");
    let fill = |buffer: &mut [u8]| buffer.copy_from_slice(frame);
    if offloaded {
        rig.net.transmit_offloaded(frame.len(), &CHECKSUM, fill)
    } else {
        rig.net.transmit(frame.len(), fill)
    }
    .expect("there is room");
    rig.settle();
    rig.assert_whole();
    rig.host.take_sent().expect("it was sent")
}

fn ones_complement_sum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|w| u32::from(u16::from_be_bytes([w[0], w.get(1).copied().unwrap_or(0)])))
        .sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// Sum of addresses, protocol and length.
fn pseudo(frame: &[u8]) -> Vec<u8> {
    let len = frame.len() as u16 - 34;
    let mut pseudo = frame[26..34].to_vec();
    pseudo.extend_from_slice(&[0, 6]);
    pseudo.extend_from_slice(&len.to_be_bytes());
    pseudo
}

#[test]
fn the_device_is_told_where_the_checksum_goes() {
    for legacy in [true, false] {
        for len in [0, 1, 1460] {
            let frame = segment(len);
            let sent = send(Attributes::tap(legacy), &frame, true);
            // flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, num_buffers
            let mut header = vec![1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0];
            header.truncate(if legacy { 10 } else { 12 });
            assert_eq!(sent.header, header);
            assert_eq!(sent.frame, frame);
        }
    }
}

#[test]
fn without_the_offer_the_driver_computes_it() {
    for legacy in [true, false] {
        let mut attributes = Attributes::tap(legacy);
        attributes.features &= !feature::CSUM;
        for len in [0, 1, 1459, 1460] {
            let frame = segment(len);
            let sent = send(attributes.clone(), &frame, true);
            assert!(sent.header.iter().all(|byte| *byte == 0));
            let mut all = pseudo(&frame);
            all.extend_from_slice(&sent.frame[34..]);
            assert_eq!(ones_complement_sum(&all), 0xffff, "{len}");
        }
    }
}

#[test]
fn a_complete_frame_is_sent_as_it_is() {
    for legacy in [true, false] {
        let frame = untouched(100, 0xbeef);
        let sent = send(Attributes::tap(legacy), &frame, false);
        assert_eq!(sent.frame, frame);
        assert!(sent.header.iter().all(|byte| *byte == 0));
    }
}

/// A header is written anew for each frame, whatever the buffer held before.
#[test]
fn headers_do_not_linger() {
    let mut rig = Rig::new(Attributes::tap(false), 8, 2).expect("the device is fine");
    let offloaded = segment(10);
    for round in 0..20 {
        let fill = |buffer: &mut [u8]| buffer.copy_from_slice(&offloaded);
        if round % 3 == 0 {
            rig.net.transmit_offloaded(offloaded.len(), &CHECKSUM, fill)
        } else {
            rig.net.transmit(offloaded.len(), fill)
        }
        .expect("there is room");
        rig.settle();
        let sent = rig.host.take_sent().expect("it was sent");
        assert_eq!(sent.header[0], u8::from(round % 3 == 0), "{round}");
    }
}

/// Bytes that say where they are.
static FILE: [u8; 70_000] = {
    let mut file = [0; 70_000];
    let mut at = 0;
    while at < file.len() {
        file[at] = (at * 7 + at / 256) as u8;
        at += 1;
    }
    file
};

fn cut(tail: &'static [u8]) -> Offload {
    Offload {
        cut: Some(Cut {
            version: Version::V6,
            headers: 74,
            size: 1440,
        }),
        tail,
        ..CHECKSUM
    }
}

#[test]
fn a_long_segment_is_read_where_it_lies() {
    for legacy in [true, false] {
        let mut rig = Rig::new(Attributes::tap(legacy), 8, 4).expect("the device is fine");
        assert!(rig.net.tx_cut_offload());
        for round in 0..20 {
            let head = vec![round as u8; 54 + 50 * round];
            // Now and then one without a tail, in a buffer that had one before.
            let tail = match round % 3 {
                0 => &[][..],
                _ => &FILE[round..60_000 + round],
            };
            let offload = if tail.is_empty() { CHECKSUM } else { cut(tail) };
            let fill = |buffer: &mut [u8]| buffer.copy_from_slice(&head);
            rig.net
                .transmit_offloaded(head.len(), &offload, fill)
                .expect("there is room");
            rig.settle();
            let sent = rig.host.take_sent().expect("it was sent");
            let (front, back) = sent.frame.split_at(head.len());
            assert_eq!(front[..50], head[..50]);
            assert_eq!(back, tail);
            // gso_type, hdr_len, gso_size
            let shape = [4, 74, 0, 0xa0, 5];
            let shape = if tail.is_empty() { [0; 5] } else { shape };
            assert_eq!(sent.header[1..6], shape, "{round}");
            rig.assert_whole();
        }
    }
}

#[test]
fn a_device_without_all_that_it_takes_gets_no_long_segment() {
    use feature::{CSUM, HOST_TSO4, HOST_TSO6, INDIRECT_DESC};
    for missing in [CSUM, HOST_TSO4, HOST_TSO6, INDIRECT_DESC] {
        let mut attributes = Attributes::tap(false);
        attributes.features &= !missing;
        let mut rig = Rig::new(attributes, 8, 8).expect("the device is fine");
        assert!(!rig.net.tx_cut_offload());
        assert_eq!(rig.net.tx_checksum_offload(), missing != CSUM);
        let agreed = rig.host.state().accepted();
        assert_eq!(agreed & (HOST_TSO4 | HOST_TSO6 | INDIRECT_DESC), 0);
        let refused = rig
            .net
            .transmit_offloaded(54, &cut(&FILE[..5000]), |_| panic!("written"));
        assert_eq!(refused, Err(TransmitError::Cut));
        rig.assert_whole();
    }
}

#[test]
fn a_head_that_leaves_no_room_for_the_table_is_refused() {
    let mut rig = Rig::new(Attributes::tap(false), 8, 8).expect("the device is fine");
    let mut send = |len: usize, tail| {
        let net: &mut VirtioNet<_, _> = &mut rig.net;
        net.transmit_offloaded(len, &cut(tail), |buffer| buffer.fill(1))
    };
    assert_eq!(send(2004, &FILE[..1]), Ok(()));
    assert_eq!(send(2005, &FILE[..1]), Err(TransmitError::Length));
    assert_eq!(send(54, &FILE[..65_536]), Err(TransmitError::Length));
    rig.settle();
    rig.assert_whole();
}

/// After a reset the device may offer less, and what lay in the ring is described anew.
#[test]
fn a_reset_takes_tables_and_offers_away() {
    let mut rig = Rig::new(Attributes::tap(false), 8, 2).expect("the device is fine");
    for _ in 0..2 {
        rig.net
            .transmit_offloaded(54, &cut(&FILE[..60_000]), |buffer| buffer.fill(1))
            .expect("there is room");
    }
    rig.net.flush();
    rig.host.state_mut().attributes.features &= !feature::HOST_TSO6;
    rig.host.reset_itself();
    rig.tick().expect("it comes back");
    assert!(!rig.net.tx_cut_offload());
    for _ in 0..2 {
        rig.send(&segment(100));
    }
    rig.settle();
    for _ in 0..2 {
        assert_eq!(
            rig.host.take_sent().map(|sent| sent.frame),
            Some(segment(100))
        );
    }
    rig.assert_whole();
}

#[test]
fn the_mtu() {
    for (mtu, expected) in [
        (1500, 1500),
        (576, 576),
        (2010, 2010),
        (2023, 1500),
        (9000, 1500),
        (0, 1500),
    ] {
        let mut attributes = Attributes::tap(false);
        attributes.mtu = mtu;
        let rig = Rig::new(attributes, 8, 8).expect("the device is fine");
        assert_eq!(rig.net.mtu(), expected);
        // An MTU that cannot be kept is not agreed on.
        let agreed = rig.host.state().accepted() & feature::MTU != 0;
        assert_eq!(agreed, mtu == expected);
    }
    let mut attributes = Attributes::tap(false);
    attributes.features &= !feature::MTU;
    attributes.mtu = 700;
    let rig = Rig::new(attributes, 8, 8).expect("the device is fine");
    assert_eq!(rig.net.mtu(), 1500);
}
