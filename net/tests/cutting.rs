//! Segments that are longer than the link allows, for a card that cuts them.

mod common;

use common::{Answer, INDEX, Rig, pattern};
use quartz_net::Duration;

/// With a card that cuts, a file goes out in few long segments, each begun with what was generated
/// in front of it.
#[test]
fn long_segments_are_cut_by_the_card() {
    let mut rig = Rig::cutting();
    let handle = rig.connect();
    for _ in 0..3 {
        let sent = rig.machine.sent;
        let answer = rig.ask(handle, "GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(answer.body == pattern(300_000));
        assert!(rig.machine.sent - sent < 60, "{}", rig.machine.sent - sent);
    }
    assert!(rig.machine.cut > 10);
    // Answers behind each other, the last of them in the window's last bytes.
    let requests = ["/kib.bin", "/big.bin", "/style.css", "/big.bin", "/"];
    let requests: String = requests
        .map(|path| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
        .concat();
    rig.send(handle, requests.as_bytes());
    let mut bytes = rig.read(handle, |bytes| bytes.ends_with(INDEX));
    for expected in [
        &pattern(1024)[..],
        &pattern(300_000),
        b"body{}\n",
        &pattern(300_000),
        INDEX,
    ] {
        let (answer, len) = Answer::parse(&bytes, false).expect("an answer");
        assert!(answer.body == expected, "{}", answer.head);
        bytes.drain(..len);
    }
    // A machine that stops to cut is asked each time.
    let cut = rig.machine.cut;
    rig.machine.cuts = false;
    let answer = rig.ask(handle, "GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.body == pattern(300_000));
    assert_eq!(rig.machine.cut, cut);
}

/// Without an end in sight, a long segment waits until the window is worth it.
#[test]
fn long_segments_do_not_become_short_ones() {
    let mut rig = Rig::cutting();
    rig.weather.delay = Duration::from_millis(10);
    let handle = rig.connect();
    let sent = rig.machine.sent;
    let answer = rig.ask(handle, "GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.body == pattern(300_000));
    let frames = rig.machine.sent - sent;
    assert!(frames < 60, "{frames} frames for 206 segments");
}
