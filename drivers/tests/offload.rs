//! Checksums left to the device, as they reach it.

use quartz_drivers::model::{Attributes, Rig, Sent, feature};

/// A TCP segment of `len` bytes of data from 10.0.2.15 to 10.0.2.2, its checksum field untouched.
fn segment(len: usize, field: u16) -> Vec<u8> {
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
        rig.net.transmit_offloaded(frame.len(), fill)
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
        for (len, field) in [(0, 0), (1, 0xffff), (1460, 0x1234)] {
            let frame = segment(len, field);
            let sent = send(Attributes::tap(legacy), &frame, true);
            // flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, num_buffers
            let mut header = vec![1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0];
            header.truncate(if legacy { 10 } else { 12 });
            assert_eq!(sent.header, header);
            let sum = ones_complement_sum(&pseudo(&frame));
            assert_eq!(sent.frame[50..52], sum.to_be_bytes());
            assert_eq!(sent.frame[..50], frame[..50]);
            assert_eq!(sent.frame[52..], frame[52..]);
        }
    }
}

#[test]
fn without_the_offer_the_driver_computes_it() {
    for legacy in [true, false] {
        let mut attributes = Attributes::tap(legacy);
        attributes.features &= !feature::CSUM;
        for len in [0, 1, 1459, 1460] {
            let frame = segment(len, 0);
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
        let frame = segment(100, 0xbeef);
        let sent = send(Attributes::tap(legacy), &frame, false);
        assert_eq!(sent.frame, frame);
        assert!(sent.header.iter().all(|byte| *byte == 0));
    }
}

/// A header is written anew for each frame, whatever the buffer held before.
#[test]
fn headers_do_not_linger() {
    let mut rig = Rig::new(Attributes::tap(false), 8, 2).expect("the device is fine");
    let offloaded = segment(10, 0);
    for round in 0..20 {
        let fill = |buffer: &mut [u8]| buffer.copy_from_slice(&offloaded);
        if round % 3 == 0 {
            rig.net.transmit_offloaded(offloaded.len(), fill)
        } else {
            rig.net.transmit(offloaded.len(), fill)
        }
        .expect("there is room");
        rig.settle();
        let sent = rig.host.take_sent().expect("it was sent");
        assert_eq!(sent.header[0], u8::from(round % 3 == 0), "{round}");
    }
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
