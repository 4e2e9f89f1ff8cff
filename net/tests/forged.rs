//! Segments and errors that may be forged: traces (RFC 5961, RFC 5927, RFC 1191).

mod common;

use common::frames::mend;
use common::transcript::{CLIENT, Transcript};
use common::{CLIENT_MAC, SERVER, SERVER_MAC};
use smoltcp::wire::{Icmpv4Packet, Ipv4Packet};

#[test]
fn a_reset_beside_the_number_is_challenged_and_one_on_it_is_believed() {
    let mut t = Transcript::open();
    send!(t, R, seq 100);
    recv!(t, A, seq 1, ack 1, len 0);
    // Twice in a second at most.
    send!(t, R, seq 101);
    recv!(t);
    wait!(t, 501);
    send!(t, R, seq 102);
    recv!(t, A, seq 1, ack 1);
    // Outside the window nobody is told.
    wait!(t, 501);
    send!(t, R, seq 0);
    send!(t, R, seq 200_000);
    recv!(t);
    let stats = t.rig.stack.stats();
    assert_eq!((stats.open, stats.challenged), (1, 2));
    send!(t, R, seq 1);
    recv!(t);
    assert_eq!(t.rig.stack.stats().open, 0);
}

#[test]
fn a_client_that_starts_anew_gets_its_connection() {
    let mut t = Transcript::open();
    // It lost its memory and uses the same port; it does not know what it is told, and says so.
    send!(t, S, seq 5_000_000);
    recv!(t, A, seq 1, ack 1);
    send!(t, R, seq 1);
    send!(t, S, seq 5_000_000);
    recv!(t, SA, ack 5_000_001);
    assert_eq!(t.rig.stack.stats().open, 0);
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_is_challenged() {
    let (mut t, me) = Transcript::ask("/kib.bin");
    let sent = recv!(t, A, seq 1);
    send!(t, A, seq me, ack 50_000);
    recv!(t, A, ack me, len 0);
    // Far behind the widest window there was, too.
    wait!(t, 501);
    t.skip();
    send!(t, PA, seq me, ack 4_000_000_000, data b"GET / HTTP/1.1\r\n\r\n");
    recv!(t, A, ack me, len 0);
    assert_eq!(t.rig.stack.stats().requests_served, 1);
    // An old one that may be true is no harm, and its data counts.
    send!(t, A, seq me, ack 5000);
    t.skip();
    drop(sent);
    send!(t, PA, seq me, ack 1, data b"GET /style.css HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(t.rig.stack.stats().requests_served, 2);
}

#[test]
fn what_acknowledges_nothing_is_dropped() {
    let mut t = Transcript::open();
    send!(t, PA, seq 1, data b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    recv!(t);
    assert_eq!(t.rig.stack.stats().requests_served, 0);
}

/// A router's word about the last segment that was sent with this number.
fn too_big(t: &mut Transcript, seq: u32, mtu: u16) {
    let tuple = [&SERVER.octets()[..], &CLIENT.octets()].concat();
    let number = t.number(seq).to_be_bytes();
    let mut icmp = vec![3, 4, 0, 0, 0, 0];
    icmp.extend_from_slice(&mtu.to_be_bytes());
    icmp.extend_from_slice(&[0x45, 0, 5, 220, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    icmp.extend_from_slice(&tuple);
    icmp.extend_from_slice(&[0, 80, (t.port >> 8) as u8, t.port as u8]);
    icmp.extend_from_slice(&number);
    Icmpv4Packet::new_unchecked(&mut icmp).fill_checksum();
    let mut frame = [SERVER_MAC, CLIENT_MAC].concat();
    let total = (20 + icmp.len()) as u16;
    frame.extend_from_slice(&[8, 0, 0x45, 0]);
    frame.extend_from_slice(&total.to_be_bytes());
    frame.extend_from_slice(&[0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 1]);
    frame.extend_from_slice(&SERVER.octets());
    frame.extend_from_slice(&icmp);
    assert!(Ipv4Packet::new_checked(&frame[14..]).is_ok());
    mend(&mut frame);
    t.hear(&frame);
}

#[test]
fn a_narrow_path_makes_segments_shorter_at_once() {
    let (mut t, me) = Transcript::ask("/big.bin");
    for n in 0..10 {
        recv!(t, A, seq 1 + n * 1460, len 1460);
    }
    // About a number that is not under way: forged.
    too_big(&mut t, 20_000, 1000);
    recv!(t);
    too_big(&mut t, 1, 1000);
    for n in 0..15 {
        recv!(t, A, seq 1 + n * 960, len 960);
    }
    // Longer again: no. Much shorter: as short as is sensible.
    too_big(&mut t, 1, 1400);
    recv!(t);
    too_big(&mut t, 1, 68);
    recv!(t, A, seq 1, len 512);
    t.skip();
    let stats = t.rig.stack.stats();
    assert_eq!((stats.icmp.path_mtu, stats.icmp.disbelieved), (2, 1));
    send!(t, A, seq me, ack 513);
    assert!(t.skip() > 0);
}

#[test]
fn a_router_that_tells_no_size_means_the_next_common_one() {
    let (mut t, _) = Transcript::ask("/big.bin");
    t.skip();
    too_big(&mut t, 1, 0);
    recv!(t, A, seq 1, len 1452);
}

#[test]
fn a_client_that_asks_whether_we_live_is_told() {
    let mut t = Transcript::open();
    for _ in 0..3 {
        wait!(t, 15_000);
        t.skip();
        // A keep-alive: the byte before the next one (RFC 9293, 3.8.4).
        send!(t, A, seq 0, ack 1);
        recv!(t, A, seq 1, ack 1, len 0);
    }
    assert_eq!(t.rig.stack.stats().open, 1);
}
