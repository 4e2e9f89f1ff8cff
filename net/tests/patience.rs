//! How connections end when somebody does not do his part, and how the whole stack ends.

mod common;

use common::raw::{SYN, Segment};
use common::{Answer, Rig, SERVER, pattern};
use quartz_net::Duration;
use smoltcp::socket::tcp;
use smoltcp::wire::{Ipv4Address, TcpControl};

#[test]
fn a_handshake_that_stays_open_is_repeated_and_given_up() {
    let mut rig = Rig::by_hand();
    // One that nobody resets.
    let client = Ipv4Address::new(10, 0, 2, 77);
    rig.say(Segment { client, ..SYN });
    let before = rig.machine.sent;
    rig.wait(Duration::from_secs(9));
    assert!(rig.machine.sent - before >= 2, "the SYN|ACK is repeated");
    assert_eq!(rig.stack.stats().half_open, 1);
    rig.wait(Duration::from_secs(2));
    let stats = rig.stack.stats();
    assert_eq!((stats.half_open, stats.expired.half_open), (0, 1));
    // Nothing is left that wants attention soon.
    assert!(
        rig.stack
            .deadline()
            .is_none_or(|at| at > rig.now + Duration::from_secs(1))
    );
}

#[test]
fn a_reset_ends_a_handshake() {
    let mut rig = Rig::by_hand();
    let heard = rig.say(SYN);
    rig.say(Segment {
        control: TcpControl::Rst,
        seq: 1001,
        ack: Some(heard[0].seq.wrapping_add(1)),
        ..SYN
    });
    assert_eq!(rig.stack.stats().half_open, 0);
}

#[test]
fn silence_is_closed_after_a_minute_politely() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    rig.wait(Duration::from_secs(59));
    assert!(rig.tcp(handle).may_recv());
    rig.wait(Duration::from_secs(2));
    assert_eq!(
        rig.tcp(handle).state(),
        tcp::State::CloseWait,
        "a FIN, not a reset"
    );
    assert_eq!(rig.stack.stats().expired.idle, 1);
    // The client never closes: that too ends.
    rig.wait(Duration::from_secs(11));
    let stats = rig.stack.stats();
    assert_eq!((stats.open, stats.expired.closing), (0, 1));
    assert_eq!(rig.tcp(handle).state(), tcp::State::Closed);
}

#[test]
fn a_request_that_does_not_arrive_gets_408() {
    let mut rig = Rig::new();
    for part in [
        "GET / HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhell",
    ] {
        let handle = rig.connect();
        rig.send(handle, part.as_bytes());
        rig.wait(Duration::from_secs(14));
        assert!(!rig.tcp(handle).can_recv());
        rig.wait(Duration::from_secs(2));
        let answer = rig.answer(handle, false);
        assert_eq!(
            (answer.code, answer.field("Connection")),
            (408, Some("close")),
            "{part}"
        );
    }
    assert_eq!(rig.stack.stats().expired.request, 2);
}

#[test]
fn a_peer_that_takes_nothing_is_reset() {
    let mut rig = Rig::new();
    let handle = rig.socket(1000, 1000);
    let own = rig.port();
    rig.dial(handle, SERVER.into(), 80, own);
    rig.settle();
    rig.send(handle, b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    rig.wait(Duration::from_secs(59));
    assert_eq!(rig.stack.stats().open, 1);
    rig.wait(Duration::from_secs(3));
    let stats = rig.stack.stats();
    assert_eq!((stats.open, stats.expired.answer), (0, 1));
}

#[test]
fn a_slow_reader_gets_everything() {
    let mut rig = Rig::new();
    let handle = rig.socket(2000, 1000);
    let own = rig.port();
    rig.dial(handle, SERVER.into(), 80, own);
    rig.settle();
    rig.send(handle, b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut bytes = Vec::new();
    // 2000 bytes a second; with a window that closes in between.
    while bytes.len() < 300_000 {
        rig.wait(Duration::from_secs(1));
        let _ = rig.tcp(handle).recv(|b| {
            bytes.extend_from_slice(b);
            (b.len(), ())
        });
        assert!(rig.tcp(handle).may_recv(), "after {} bytes", bytes.len());
    }
    rig.wait(Duration::from_secs(1));
    let _ = rig.tcp(handle).recv(|b| {
        bytes.extend_from_slice(b);
        (b.len(), ())
    });
    assert!(bytes.ends_with(&pattern(300_000)[299_000..]));
}

#[test]
fn a_window_that_closes_on_a_lost_segment_is_probed() {
    let mut rig = Rig::by_hand();
    // A client that nobody resets while time passes.
    let client = Ipv4Address::new(10, 0, 2, 77);
    let syn = Segment { client, ..SYN };
    let iss = rig.open(syn);
    let get = b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n";
    let heard = rig.say(Segment {
        control: TcpControl::Psh,
        seq: 1001,
        ack: Some(iss.wrapping_add(1)),
        payload: get,
        ..syn
    });
    assert!(heard.len() >= 8);
    // The first segment arrived and filled the window; the second was lost.
    let expected = iss.wrapping_add(1 + 1460);
    let ack = Segment {
        control: TcpControl::None,
        seq: 1001 + get.len() as u32,
        ack: Some(expected),
        window: 0,
        ..syn
    };
    assert_eq!(rig.say(ack), []);
    let mut probes = 0;
    for _ in 0..5 {
        rig.now += Duration::from_secs(2);
        rig.stack.timers(&mut rig.machine, rig.now);
        let heard = rig.heard();
        assert!(heard.len() <= 1, "{heard:?}");
        probes += heard.len();
        rig.say(ack);
    }
    assert!(probes >= 3, "{probes} probes in ten seconds");
    // It opens again, and the data flows from where it stopped.
    let heard = rig.say(Segment {
        window: 64_000,
        ..ack
    });
    assert_eq!(heard[0].seq, expected);
    let len = heard[0].payload.len() as u32;
    assert!(len >= 1000);
    // And nothing asks any more.
    rig.say(Segment {
        ack: Some(expected.wrapping_add(len)),
        window: 64_000,
        ..ack
    });
    rig.now += Duration::from_millis(150);
    rig.stack.timers(&mut rig.machine, rig.now);
    let heard = rig.heard();
    assert!(heard.iter().all(|h| h.payload.len() > 1), "{heard:?}");
}

#[test]
fn draining_ends_idle_connections_finishes_answers_and_refuses_new_ones() {
    let mut rig = Rig::new();
    let idle = rig.connect();
    let slow = rig.socket(20_000, 1000);
    let own = rig.port();
    rig.dial(slow, SERVER.into(), 80, own);
    rig.settle();
    rig.send(slow, b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    let partial = rig.connect();
    rig.send(partial, b"GET /healthz HT");
    rig.stack.drain(rig.now);
    rig.settle();
    rig.send(slow, b"GET /kib.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(rig.tcp(idle).state(), tcp::State::CloseWait);
    rig.tcp(idle).close();
    rig.settle();

    let refused = rig.socket(1000, 1000);
    let own = rig.port();
    rig.dial(refused, SERVER.into(), 80, own);
    rig.settle();
    assert_eq!(rig.tcp(refused).state(), tcp::State::Closed);

    rig.send(partial, b"TP/1.1\r\nHost: x\r\n\r\n");
    let answer = rig.answer(partial, false);
    assert_eq!((answer.code, &answer.body[..]), (503, &b"draining"[..]));
    assert_eq!(answer.field("Connection"), Some("close"));
    rig.tcp(partial).close();
    rig.settle();
    assert!(!rig.stack.drained());

    let bytes = rig.read(slow, |_| false);
    rig.tcp(slow).close();
    rig.settle();
    assert!(rig.stack.drained());
    let (first, len) = Answer::parse(&bytes, false).expect("the answer under way");
    assert!(first.body == pattern(300_000));
    let (second, _) = Answer::parse(&bytes[len..], false).expect("the request behind it");
    assert!(second.body == pattern(1024));
    assert_eq!(second.field("Connection"), Some("close"));
}

#[test]
fn draining_does_not_wait_for_ever() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    rig.send(handle, b"GET / HTTP/1.1\r\n");
    rig.stack.drain(rig.now);
    rig.wait(Duration::from_millis(4900));
    assert!(!rig.stack.drained());
    rig.wait(Duration::from_millis(200));
    assert!(rig.stack.drained());
    assert_eq!(rig.tcp(handle).state(), tcp::State::Closed);
}
