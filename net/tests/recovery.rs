//! Loss of which the client tells, and loss of a tail of which nobody tells: traces.

mod common;

use common::transcript::Transcript;

const MSS: u32 = 1460;

/// The number at which a segment of the answer begins.
fn at(n: u32) -> u32 {
    1 + n * MSS
}

/// A connection with a round trip of 100 ms that has got ten segments, none acknowledged.
fn ten_under_way() -> (Transcript, u32) {
    let mut t = Transcript::new();
    send!(t, S, seq 0, mss 1460, selective true);
    recv!(t, SA, seq 0, ack 1, selective true);
    wait!(t, 100);
    send!(t, A, seq 1, ack 1);
    let get = b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n";
    send!(t, PA, seq 1, ack 1, data get);
    for n in 0..10 {
        recv!(t, A, seq at(n), len 1460);
    }
    recv!(t);
    wait!(t, 100);
    (t, 1 + get.len() as u32)
}

#[test]
fn a_gap_is_filled_when_enough_has_overtaken_it() {
    let (mut t, me) = ten_under_way();
    // The second segment is lost. Each block lets a new segment out.
    send!(t, A, seq me, ack at(1));
    recv!(t, A, seq at(10));
    recv!(t, A, seq at(11));
    send!(t, A, seq me, ack at(1), sack &[(at(2), at(3))]);
    recv!(t, A, seq at(12));
    send!(t, A, seq me, ack at(1), sack &[(at(2), at(4))]);
    recv!(t, A, seq at(13));
    send!(t, A, seq me, ack at(1), sack &[(at(2), at(5))]);
    recv!(t, A, seq at(1), len 1460);
    // Once. The window was halved, so nothing new goes out until as much has arrived.
    send!(t, A, seq me, ack at(1), sack &[(at(2), at(6))]);
    send!(t, A, seq me, ack at(1), sack &[(at(2), at(7))]);
    recv!(t);
    send!(t, A, seq me, ack at(12));
    recv!(t, A, seq at(14));
    assert_eq!(t.rig.stack.stats().retransmitted, 1);
}

#[test]
fn two_gaps_are_filled_in_one_round_trip() {
    let (mut t, me) = ten_under_way();
    send!(t, A, seq me, ack at(1));
    t.skip();
    send!(t, A, seq me, ack at(1), sack &[(at(2), at(4))]);
    send!(t, A, seq me, ack at(1), sack &[(at(5), at(8)), (at(2), at(4))]);
    t.skip();
    send!(t, A, seq me, ack at(1), sack &[(at(5), at(10)), (at(2), at(4))]);
    send!(t, A, seq me, ack at(1), sack &[(at(5), at(12)), (at(2), at(4))]);
    t.skip();
    assert_eq!(
        t.rig.stack.stats().retransmitted,
        2,
        "both, and nothing else"
    );
    send!(t, A, seq me, ack at(12));
    t.skip();
    assert_eq!(t.rig.stack.stats().retransmitted, 2);
}

#[test]
fn what_is_overtaken_by_little_is_waited_for_a_quarter_of_a_round_trip() {
    let (mut t, me) = ten_under_way();
    send!(t, A, seq me, ack at(1));
    t.skip();
    send!(t, A, seq me, ack at(1), sack &[(at(2), at(4))]);
    t.skip();
    wait!(t, 20);
    recv!(t);
    wait!(t, 6);
    recv!(t, A, seq at(1));
}

#[test]
fn a_network_that_reorders_is_given_time() {
    let (mut t, me) = ten_under_way();
    send!(t, A, seq me, ack at(1));
    t.skip();
    // The second segment comes late, and was not sent again.
    send!(t, A, seq me, ack at(1), sack &[(at(2), at(4))]);
    send!(t, A, seq me, ack at(4));
    t.skip();
    // So three that overtake prove nothing now.
    send!(t, A, seq me, ack at(4), sack &[(at(5), at(10))]);
    t.skip();
    assert_eq!(t.rig.stack.stats().retransmitted, 0);
    wait!(t, 30);
    recv!(t, A, seq at(4));
}

#[test]
fn what_was_sent_again_and_lost_again_is_sent_a_third_time_before_the_timer() {
    let (mut t, me) = ten_under_way();
    send!(t, A, seq me, ack at(1));
    send!(t, A, seq me, ack at(1), sack &[(at(2), at(10))]);
    t.skip();
    assert_eq!(t.rig.stack.stats().retransmitted, 1);
    wait!(t, 170);
    recv!(t, A, seq at(1));
    assert_eq!(t.rig.stack.stats().retransmitted, 2);
    send!(t, A, seq me, ack at(12));
    t.skip();
    assert_eq!(t.rig.stack.stats().retransmitted, 2);
}

#[test]
fn a_reduction_for_nothing_is_undone() {
    let (mut t, me) = ten_under_way();
    send!(t, A, seq me, ack at(1));
    send!(t, A, seq me, ack at(1), sack &[(at(2), at(6))]);
    t.skip();
    assert_eq!(t.rig.stack.stats().retransmitted, 1);
    // It was only late: what was sent again arrives too (RFC 2883).
    send!(t, A, seq me, ack at(12));
    send!(t, A, seq me, ack at(12), sack &[(at(1), at(2))]);
    t.skip();
    send!(t, A, seq me, ack at(14));
    let burst = t.skip();
    // A halved window would hold five segments.
    assert!(burst >= 2, "{burst}");
    assert_eq!(t.rig.stack.stats().retransmitted, 1);
}

#[test]
fn the_last_segment_of_an_answer_is_sent_again_after_two_round_trips() {
    let mut t = Transcript::new();
    send!(t, S, seq 0, mss 1460, selective true);
    wait!(t, 40);
    send!(t, A, seq 1, ack 1);
    send!(t, PA, seq 1, ack 1, data b"GET /kib.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    recv!(t, SA);
    let len = recv!(t, A, seq 1).clone();
    // Lost. It is alone, so its acknowledgement might be delayed.
    wait!(t, 120);
    recv!(t);
    wait!(t, 20);
    assert_eq!(recv!(t, A, seq 1), len);
    // Once; then the timer.
    wait!(t, 200);
    recv!(t);
    wait!(t, 50);
    recv!(t, A, seq 1);
}

#[test]
fn a_lost_fin_is_sent_again_with_the_last_segment() {
    let mut t = Transcript::open();
    wait!(t, 1);
    send!(t, PA, seq 1, ack 1, data b"GET /style.css HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let first = recv!(t, FA, seq 1);
    wait!(t, 100);
    assert_eq!(recv!(t, FA, seq 1), first);
}

#[test]
fn lies_about_what_has_arrived_change_nothing() {
    let (mut t, me) = ten_under_way();
    // Before the window, beyond what was sent, backwards, empty.
    send!(t, A, seq me, ack at(1), sack &[(at(20), at(30)), (at(5), at(3)), (at(4), at(4))]);
    send!(t, A, seq me, ack at(1), sack &[(at(0), at(1)), (at(0), at(40))]);
    t.skip();
    assert_eq!(t.rig.stack.stats().retransmitted, 0);
    // More gaps than are kept: what is not kept is sent again, and everything arrives.
    for n in [9, 7, 5, 3] {
        send!(t, A, seq me, ack at(1), sack &[(at(n), at(n) + 1)]);
        send!(t, A, seq me, ack at(1), sack &[(at(n) + 100, at(n) + 101)]);
        send!(t, A, seq me, ack at(1), sack &[(at(n) + 200, at(n) + 201)]);
    }
    wait!(t, 3000);
    assert!(t.skip() >= 3);
    assert_eq!(t.rig.stack.stats().open, 1);
}
