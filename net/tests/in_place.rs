//! Requests that are read from their frames beside such that go through a receive buffer: traces.

mod common;

use common::transcript::Transcript;

const STYLE: &[u8] = b"GET /style.css HTTP/1.1\r\nHost: x\r\n\r\n";
const LEN: u32 = STYLE.len() as u32;

/// An answer to [`STYLE`], which acknowledges everything up to `ack`; where the next one begins.
fn answer(t: &mut Transcript, seq: u32, ack: u32) -> u32 {
    let line = recv!(t, A, seq seq, ack ack);
    let (.., len) = line.heard();
    seq + len as u32
}

#[test]
fn whole_and_divided_requests_take_turns() {
    let mut t = Transcript::open();
    let (mut me, mut they) = (1, 1);
    for _ in 0..3 {
        send!(t, PA, seq me, ack they, data STYLE);
        me += LEN;
        they = answer(&mut t, they, me);
        // In two pieces.
        send!(t, PA, seq me, ack they, data & STYLE[..9]);
        recv!(t);
        send!(t, PA, seq me + 9, ack they, data & STYLE[9..]);
        me += LEN;
        they = answer(&mut t, they, me);
        // In two pieces of which the second comes first, and in one that overlaps.
        send!(t, PA, seq me + 9, ack they, data & STYLE[9..]);
        recv!(t, A, seq they, ack me, len 0);
        send!(t, PA, seq me, ack they, data & STYLE[..20]);
        me += LEN;
        // A gap that is filled is acknowledged at once (RFC 5681, 4.2).
        recv!(t, A, seq they, ack me, len 0);
        they = answer(&mut t, they, me);
        // What was heard before is acknowledged again, and not answered.
        send!(t, PA, seq me - LEN, ack they, data STYLE);
        recv!(t, A, seq they, ack me, len 0);
    }
    assert_eq!(t.rig.stack.stats().requests_served, 9);
    send!(t, FA, seq me, ack they);
    recv!(t, FA, seq they, ack me + 1);
    send!(t, A, seq me + 1, ack they + 1);
    recv!(t);
    assert_eq!(t.rig.stack.stats().open, 0);
}

#[test]
fn what_came_too_early_is_not_lost_behind_a_whole_request() {
    let mut t = Transcript::open();
    // The second request of three, then the first, whole.
    send!(t, PA, seq 1 + LEN, ack 1, data STYLE);
    recv!(t, A, seq 1, ack 1, len 0);
    send!(t, PA, seq 1, ack 1, data STYLE);
    let they = recv_both(&mut t);
    send!(t, PA, seq 1 + 2 * LEN, ack they, data STYLE);
    answer(&mut t, they, 1 + 3 * LEN);
    assert_eq!(t.rig.stack.stats().requests_served, 3);
}

/// Both answers, in one segment or two.
fn recv_both(t: &mut Transcript) -> u32 {
    let mut end = 1;
    let served = t.rig.stack.stats().requests_served;
    assert_eq!(served, 2);
    for _ in 0..t.pending() {
        end = answer(t, end, 1 + 2 * LEN);
    }
    end
}

#[test]
fn pipelined_requests_are_all_answered() {
    let mut t = Transcript::open();
    send!(t, PA, seq 1, ack 1, data STYLE);
    let they = answer(&mut t, 1, 1 + LEN);
    send!(t, PA, seq 1 + LEN, ack they, data & [STYLE, STYLE, &STYLE[..5]].concat());
    assert_eq!(t.rig.stack.stats().requests_served, 3);
    t.skip();
    send!(t, PA, seq 1 + 3 * LEN + 5, ack they, data & STYLE[5..]);
    assert_eq!(t.rig.stack.stats().requests_served, 4);
}

#[test]
fn what_smoltcp_says_afterwards_has_the_right_numbers() {
    let mut t = Transcript::open();
    send!(t, PA, seq 1, ack 1, data STYLE);
    let they = answer(&mut t, 1, 1 + LEN);
    // Nobody takes the answer: after a minute the connection is reset.
    wait!(t, 200_000);
    let mut last = None;
    for _ in 0..t.pending() {
        last = Some(t.next());
    }
    let last = last.expect("a reset");
    assert_eq!(last.heard(), ("RA", they, Some(1 + LEN), 0));
}

#[test]
fn the_window_stays_open_over_many_requests() {
    let mut t = Transcript::open();
    let (mut me, mut they) = (1, 1);
    for _ in 0..300 {
        send!(t, PA, seq me, ack they, data STYLE);
        me += LEN;
        let (.., len) = recv!(t, A, seq they, ack me, window 8192).heard();
        they += len as u32;
    }
}
