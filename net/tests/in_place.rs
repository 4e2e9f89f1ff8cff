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

#[test]
fn a_client_that_closes_first_is_answered_and_forgotten() {
    for asks in [false, true] {
        let mut t = Transcript::open();
        let (mut me, mut they) = (1, 1);
        if asks {
            send!(t, PA, seq me, ack they, data STYLE);
            me += LEN;
            they = answer(&mut t, they, me);
        }
        send!(t, FA, seq me, ack they);
        recv!(t, FA, seq they, ack me + 1);
        send!(t, A, seq me + 1, ack they + 1);
        recv!(t);
        let stats = t.rig.stack.stats();
        assert_eq!((stats.open, stats.time_wait), (0, 0), "asks: {asks}");
    }
}

#[test]
fn an_end_that_we_begin_needs_no_socket_and_leaves_a_record() {
    let close = b"GET /style.css HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    // The FIN is acknowledged with the client's own, before it, or twice.
    for way in 0..3 {
        let mut t = Transcript::open();
        send!(t, PA, seq 1, ack 1, data close);
        let me = 1 + close.len() as u32;
        let (flags, _, ack, len) = recv!(t, FA, seq 1).heard();
        assert_eq!((flags, ack), ("FA", Some(me)));
        let they = 2 + len as u32;
        for _ in 0..way {
            send!(t, A, seq me, ack they);
            recv!(t);
        }
        send!(t, FA, seq me, ack they);
        recv!(t, A, seq they, ack me + 1, len 0);
        let stats = t.rig.stack.stats();
        assert_eq!((stats.open, stats.time_wait), (0, 1));
        // The last acknowledgement was lost.
        wait!(t, 1000);
        send!(t, FA, seq me, ack they);
        recv!(t, A, seq they, ack me + 1, len 0);
    }
}

#[test]
fn a_handshake_that_is_answered_wrongly_is_reset_and_goes_on() {
    let mut t = Transcript::new();
    send!(t, S, seq 0, mss 1460, selective true);
    recv!(t, SA, seq 0, ack 1, window 8192);
    // RFC 9293, 3.10.7.4: what acknowledges something else is reset, by its own number.
    send!(t, A, seq 1, ack 1000);
    recv!(t, R, seq 1000);
    // The SYN again, and late.
    send!(t, S, seq 0, mss 1460, selective true);
    t.skip();
    wait!(t, 1500);
    t.skip();
    send!(t, PA, seq 1, ack 1, data STYLE);
    answer(&mut t, 1, 1 + LEN);
    assert_eq!(t.rig.stack.stats().connections_served, 1);
}

#[test]
fn a_request_that_completes_the_handshake_is_answered() {
    for cut in [LEN as usize, 9] {
        let mut t = Transcript::new();
        send!(t, S, seq 0, mss 1460, selective true);
        recv!(t, SA, seq 0, ack 1);
        send!(t, PA, seq 1, ack 1, data & STYLE[..cut]);
        if cut < STYLE.len() {
            recv!(t);
            send!(t, PA, seq 1 + cut as u32, ack 1, data & STYLE[cut..]);
        }
        answer(&mut t, 1, 1 + LEN);
    }
}

#[test]
fn a_connection_that_is_drained_says_so_without_its_socket() {
    let mut t = Transcript::open();
    send!(t, PA, seq 1, ack 1, data STYLE);
    let they = answer(&mut t, 1, 1 + LEN);
    send!(t, A, seq 1 + LEN, ack they);
    t.rig.stack.drain(t.rig.now);
    t.turn();
    recv!(t, FA, seq they, ack 1 + LEN);
    send!(t, FA, seq 1 + LEN, ack they + 1);
    recv!(t, A, seq they + 1, ack 2 + LEN);
    assert!(t.rig.stack.drained());
}
