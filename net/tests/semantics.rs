//! Answers of several pieces, and requests whose answer depends on how they arrive. What answers
//! say is checked by the conformance table, on the booted guest.

mod common;

use common::{INDEX, Rig, pattern};
use quartz_net::Duration;

#[test]
fn large_parts_arrive_whole_and_in_order() {
    let mut rig = Rig::new();
    let big = pattern(300_000);
    let handle = rig.connect();
    // More pieces than a connection holds at once; the peer's window is smaller than any part.
    let ranges: Vec<(usize, usize)> = (0..8)
        .map(|n| (280_000 - n * 40_000, 290_000 - n * 40_000))
        .collect();
    let (ranges, last) = ranges.split_at(7);
    let mut field: Vec<String> = ranges
        .iter()
        .map(|(a, b)| format!("{a}-{}", b - 1))
        .collect();
    field.push("-1000".into());
    let request = format!(
        "GET /big.bin HTTP/1.1\r\nHost: x\r\nRange: bytes={}\r\n\r\n",
        field.join(",")
    );
    assert_eq!(last, [(0, 10_000)]);
    for _ in 0..3 {
        let answer = rig.ask(handle, &request);
        assert_eq!(answer.code, 206);
        let kind = answer.field("Content-Type").unwrap();
        let boundary = kind
            .strip_prefix("multipart/byteranges; boundary=")
            .unwrap();
        let mut expected = Vec::new();
        let end = [(299_000, 300_000)];
        for (number, (start, end)) in ranges.iter().chain(&end).enumerate() {
            expected.extend_from_slice(if number > 0 { b"\r\n" } else { b"" });
            let head = format!(
                "--{boundary}\r\nContent-Type: application/octet-stream\r\n\
                 Content-Range: bytes {start}-{}/300000\r\n\r\n",
                end - 1
            );
            expected.extend_from_slice(head.as_bytes());
            expected.extend_from_slice(&big[*start..*end]);
        }
        expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        assert!(answer.body == expected);
    }
    assert_eq!(
        rig.ask(handle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").body,
        INDEX
    );
}

#[test]
fn one_large_range() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    let request = "GET /big.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=1000-250000\r\n\r\n";
    let answer = rig.ask(handle, request);
    assert_eq!(answer.code, 206);
    assert!(answer.body == pattern(300_000)[1000..=250_000]);
}

#[test]
fn a_client_that_waits_is_told_to_go_on() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    for content in ["hello", "5\r\nhello\r\n0\r\n\r\n"] {
        let framing = match content {
            "hello" => "Content-Length: 5",
            _ => "Transfer-Encoding: chunked",
        };
        let head =
            format!("GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{framing}\r\n\r\n");
        rig.send(handle, head.as_bytes());
        let said = rig.read(handle, |bytes| bytes.ends_with(b"\r\n\r\n"));
        assert_eq!(said, b"HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(rig.ask(handle, content).body, INDEX);
    }
    assert_eq!(rig.stack.stats().requests_served, 2);
}

#[test]
fn a_redirection_keeps_the_query_wherever_the_buffer_ends() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    // Queries of odd lengths walk over every position of the 8 KiB buffer.
    for n in 0..300 {
        let query = "q".repeat(1 + n * 13 % 1500);
        let answer = rig.ask(
            handle,
            &format!("GET /docs?{query} HTTP/1.1\r\nHost: x\r\n\r\n"),
        );
        assert_eq!(answer.code, 301);
        assert_eq!(
            answer.field("Location"),
            Some(&format!("/docs/?{query}")[..])
        );
    }
}

#[test]
fn a_place_that_is_too_long_is_not_cut() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    for (len, code) in [(3000, 301), (5000, 414)] {
        let request = format!("GET /docs?{} HTTP/1.1\r\nHost: x\r\n\r\n", "q".repeat(len));
        assert_eq!(rig.ask(handle, &request).code, code, "{len}");
    }
    let escaped = format!(
        "GET /docs?{} HTTP/1.1\r\nHost: x\r\n\r\n",
        "\u{e9}".repeat(1000)
    );
    assert_eq!(rig.ask(handle, &escaped).code, 414);
    assert_eq!(
        rig.ask(handle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").body,
        INDEX
    );
}

#[test]
fn a_redirection_does_not_wait_for_content() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    let request = "GET /docs HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n";
    let answer = rig.ask(handle, request);
    assert_eq!(
        (answer.code, answer.field("Connection")),
        (301, Some("close"))
    );
    // What the client still sends does not turn the answer into a reset.
    rig.send(handle, &[b'x'; 60_000]);
    rig.wait(Duration::from_secs(1));
    assert!(!rig.tcp(handle).may_recv());
}

#[test]
fn redirections_in_a_row_among_others() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    let mut requests = String::new();
    for n in 0..40 {
        requests += &format!("GET /docs?{n} HTTP/1.1\r\nHost: x\r\n\r\n");
        requests += "GET /style.css HTTP/1.1\r\nHost: x\r\n\r\n";
    }
    rig.send(handle, requests.as_bytes());
    let mut found = Vec::new();
    rig.read(handle, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let places = text
            .lines()
            .filter_map(|line| line.strip_prefix("Location: "));
        found = places.map(str::to_owned).collect();
        text.matches("body{}").count() == 40
    });
    let expected: Vec<String> = (0..40).map(|n| format!("/docs/?{n}")).collect();
    assert_eq!(found, expected);
}

#[test]
fn ranges_of_a_file_and_its_conditions_are_of_the_same_answer() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    let whole = rig.ask(handle, "GET /kib.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    let tag = whole.field("ETag").unwrap();
    let request = format!(
        "GET /kib.bin HTTP/1.1\r\nHost: x\r\nIf-Match: {tag}\r\nIf-Range: {tag}\r\n\
         Range: bytes=-24\r\n\r\n"
    );
    let answer = rig.ask(handle, &request);
    assert_eq!((answer.code, &answer.body[..]), (206, &whole.body[1000..]));
    assert_eq!(answer.field("ETag"), Some(tag));
}
