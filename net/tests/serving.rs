//! Fetching files as a client does.

mod common;

use common::{Answer, INDEX, Rig, SERVER6, pattern};
use quartz_net::Duration;

#[test]
fn a_file_comes_with_its_fields() {
    let mut rig = Rig::new();
    let answer = rig.get("/");
    assert_eq!(answer.code, 200);
    assert_eq!(answer.body, INDEX);
    assert_eq!(
        answer.field("Content-Type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(answer.field("Content-Length"), Some("36"));
    assert_eq!(answer.field("Date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(answer.field("Connection"), None);
}

#[test]
fn a_kept_connection_answers_again_and_again() {
    let mut rig = Rig::new();
    let kib = pattern(1024);
    let handle = rig.connect();
    for _ in 0..1000 {
        let answer = rig.ask(handle, "GET /kib.bin HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(answer.body, kib);
    }
    assert_eq!(rig.stack.stats().connections_served, 1);
    assert_eq!(rig.stack.stats().requests_served, 1000);
    assert_eq!(rig.stack.stats().open, 1);
}

#[test]
fn an_answer_carries_the_acknowledgement() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    rig.settle();
    let before = rig.machine.sent;
    for _ in 0..10 {
        rig.ask(handle, "GET /kib.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    assert_eq!(rig.machine.sent - before, 10, "one frame for one answer");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    let mut requests = String::new();
    let paths = [
        "/style.css",
        "/kib.bin",
        "/nothing",
        "/docs/",
        "/big.bin",
        "/",
    ];
    for path in paths {
        requests += &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    rig.send(handle, requests.as_bytes());
    let mut bytes = rig.read(handle, |bytes| bytes.ends_with(INDEX));
    let expected = [
        b"body{}\n".to_vec(),
        pattern(1024),
        b"404 Not Found\n".to_vec(),
        b"docs\n".to_vec(),
        pattern(300_000),
        INDEX.to_vec(),
    ];
    for expected in expected {
        let (answer, len) = Answer::parse(&bytes, false).expect("an answer");
        assert!(answer.body == expected, "{}", answer.head);
        bytes.drain(..len);
    }
    assert_eq!(bytes, b"");
}

#[test]
fn a_file_larger_than_every_buffer_arrives_whole() {
    let mut rig = Rig::new();
    assert!(rig.get("/big.bin").body == pattern(300_000));
}

#[test]
fn requests_that_straddle_the_end_of_the_buffer() {
    // Requests of odd lengths walk over every position of the 8 KiB buffer.
    let mut rig = Rig::new();
    let handle = rig.connect();
    for n in 0..600 {
        let filler = "x".repeat(n * 7 % 900);
        let request = format!("GET /style.css HTTP/1.1\r\nHost: x\r\nX-Filler: {filler}\r\n\r\n");
        assert_eq!(rig.ask(handle, &request).body, b"body{}\n", "request {n}");
    }
}

#[test]
fn a_request_in_single_bytes() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    for byte in b"GET /style.css HTTP/1.1\r\nHost: x\r\n\r\n" {
        rig.send(handle, &[*byte]);
        rig.wait(Duration::from_millis(1));
    }
    assert_eq!(rig.answer(handle, false).body, b"body{}\n");
}

#[test]
fn head_has_the_fields_and_no_content() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    let head = rig.ask(handle, "HEAD /kib.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(
        (head.code, head.field("Content-Length")),
        (200, Some("1024"))
    );
    let get = rig.ask(handle, "GET /kib.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(head.head, get.head);
    let missing = rig.ask(handle, "HEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(missing.code, 404);
    assert_eq!(
        rig.ask(handle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").body,
        INDEX
    );
}

#[test]
fn closing_when_asked() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    rig.send(
        handle,
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    let bytes = rig.read(handle, |_| false);
    let (answer, len) = Answer::parse(&bytes, false).expect("an answer");
    assert_eq!(
        (answer.field("Connection"), len),
        (Some("close"), bytes.len())
    );
    assert!(!rig.tcp(handle).may_recv(), "the server has closed");
    rig.tcp(handle).close();
    rig.settle();
    assert_eq!(rig.stack.stats().open, 0);
    assert_eq!(rig.stack.stats().time_wait, 1);
    rig.wait(Duration::from_secs(61));
    assert_eq!(rig.stack.stats().time_wait, 0);
}

#[test]
fn a_client_that_closes_its_side_still_gets_its_answer() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    rig.send(handle, b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    rig.tcp(handle).close();
    let bytes = rig.read(handle, |_| false);
    let (answer, _) = Answer::parse(&bytes, false).expect("an answer");
    assert!(answer.body == pattern(300_000));
    rig.settle();
    assert_eq!(
        (rig.stack.stats().open, rig.stack.stats().time_wait),
        (0, 0)
    );
}

#[test]
fn http_1_0_closes_unless_asked() {
    let mut rig = Rig::new();
    let answer = rig.ask_once("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(answer.field("Connection"), Some("close"));
    let handle = rig.connect();
    for _ in 0..3 {
        let answer = rig.ask(handle, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(answer.field("Connection"), Some("keep-alive"));
    }
}

#[test]
fn paths() {
    let mut rig = Rig::new();
    for (path, code, body) in [
        ("/index.html", 200, INDEX),
        ("/?a=b", 200, INDEX),
        ("/style.css?v=2", 200, b"body{}\n"),
        ("/%73tyle.css", 200, b"body{}\n"),
        ("/docs/", 200, b"docs\n"),
        ("/docs/index.html", 200, b"docs\n"),
        ("/docs/a%20b.txt", 200, b"blank\n"),
        ("/docs/100%25.txt", 200, b"percent\n"),
        ("/docs/caf%C3%A9.txt", 200, b"accent\n"),
        ("/docs/./../docs/a%20b.txt", 200, b"blank\n"),
        ("/docs/%2e%2e/style.css", 200, b"body{}\n"),
        ("/../../style.css", 200, b"body{}\n"),
        ("/docs/..", 200, INDEX),
        ("/docs/.", 200, b"docs\n"),
        ("/empty.txt", 200, b""),
        ("http://x/style.css", 200, b"body{}\n"),
        ("/docs", 301, b""),
        ("/docs%2f..%2fdocs", 301, b""),
        ("/bare", 404, b"404 Not Found\n"),
        ("/bare/", 404, b"404 Not Found\n"),
        ("/Style.css", 404, b"404 Not Found\n"),
        ("//style.css", 404, b"404 Not Found\n"),
        ("/style.css/", 404, b"404 Not Found\n"),
        ("/docs/100%.txt", 400, b"400 Bad Request\n"),
        ("/%", 400, b"400 Bad Request\n"),
        ("/%zz", 400, b"400 Bad Request\n"),
        ("/style.css%00", 400, b"400 Bad Request\n"),
        ("*", 400, b"400 Bad Request\n"),
    ] {
        let answer = rig.get(path);
        assert_eq!((answer.code, &answer.body[..]), (code, body), "{path}");
        if code == 301 {
            assert_eq!(answer.field("Location"), Some("/docs/"), "{path}");
        }
    }
}

#[test]
fn refusals() {
    let mut rig = Rig::new();
    let long_path = format!("GET /{} HTTP/1.1\r\n", "a".repeat(9000));
    let long_field = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "a".repeat(9000)
    );
    for (request, code, keeps) in [
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
            405,
            true,
        ),
        ("DELETE /x HTTP/1.1\r\nHost: x\r\n\r\n", 405, true),
        ("BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501, true),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            501,
            false,
        ),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, false),
        ("GET / HTTP/1.1\r\n\r\n", 400, false),
        ("hello\r\n\r\n", 400, false),
        (&long_path, 414, false),
        (&long_field, 431, false),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n",
            413,
            false,
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            false,
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\n",
            400,
            false,
        ),
    ] {
        let handle = rig.connect();
        let answer = rig.ask(handle, request);
        assert_eq!(answer.code, code, "{request}");
        assert_eq!(
            answer.field("Connection"),
            (!keeps).then_some("close"),
            "{request}"
        );
        if code == 405 {
            assert_eq!(answer.field("Allow"), Some("GET, HEAD, OPTIONS"));
        }
        if keeps {
            let next = rig.ask(handle, "GET /style.css HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(next.body, b"body{}\n", "after {request}");
        } else {
            rig.wait(Duration::from_millis(100));
            assert!(!rig.tcp(handle).may_recv(), "still open after {request}");
        }
    }
}

#[test]
fn content_is_thrown_away() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    let content = "x".repeat(60_000);
    for request in [
        format!("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{content}"),
        format!(
            "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
             ea60;name=value\r\n{content}\r\n0\r\nTrailer: x\r\n\r\n"
        ),
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n".into(),
    ] {
        assert_eq!(rig.ask(handle, &request).body, INDEX);
    }
    assert_eq!(rig.stack.stats().requests_served, 3);
}

#[test]
fn the_client_reads_its_refusal_although_it_goes_on_sending() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    rig.send(
        handle,
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
    );
    rig.send(handle, &[b'x'; 40_000]);
    rig.wait(Duration::from_secs(1));
    rig.send(handle, &[b'x'; 40_000]);
    let answer = rig.answer(handle, false);
    assert_eq!(
        (answer.code, answer.field("Connection")),
        (405, Some("close"))
    );
}

#[test]
fn a_client_that_waits_for_continue_is_answered_at_once() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    let answer = rig.ask(
        handle,
        "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    assert_eq!(
        (answer.code, answer.field("Connection")),
        (405, Some("close"))
    );
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let mut rig = Rig::new();
    let first = rig.get("/kib.bin");
    let tag = first.field("ETag").expect("a tag").to_string();
    assert!(tag.len() == 34 && tag.starts_with('"') && tag.ends_with('"'));
    let handle = rig.connect();
    for (value, code) in [
        (tag.clone(), 304),
        (format!("W/{tag}"), 304),
        (format!("\"x\", {tag}"), 304),
        ("*".into(), 304),
        ("\"x\"".into(), 200),
        (tag[1..33].into(), 200),
    ] {
        let answer = rig.ask(
            handle,
            &format!("GET /kib.bin HTTP/1.1\r\nHost: x\r\nIf-None-Match: {value}\r\n\r\n"),
        );
        assert_eq!(
            (answer.code, answer.field("ETag")),
            (code, Some(&tag[..])),
            "{value}"
        );
    }
    assert_ne!(rig.get("/style.css").field("ETag"), Some(&tag[..]));
}

#[test]
fn the_endpoints() {
    let mut rig = Rig::new();
    let health = rig.get("/healthz");
    assert_eq!((health.code, &health.body[..]), (200, &b"ok"[..]));
    rig.stack.degrade(Some("the disk is full"));
    let health = rig.get("/healthz");
    assert_eq!(
        (health.code, &health.body[..]),
        (503, &b"the disk is full"[..])
    );
    rig.stack.degrade(None);
    assert_eq!(rig.get("/healthz").code, 200);

    let stats = rig.get("/stats.json");
    assert_eq!(stats.field("Content-Type"), Some("application/json"));
    let text = String::from_utf8(stats.body).unwrap();
    for part in [
        "{\"version\":\"test\",\"uptime_ms\":",
        "\"boot_us\":31000,",
        "\"connections_served\":4,",
        "\"requests_served\":3,",
        "\"connections\":{\"open\":1,\"busy\":1,\"closing\":0,\"half_open\":0,\"time_wait\":0,\"limit\":",
        "\"evicted\":0,\"syn_dropped\":0,",
        "\"rx\":{\"size\":0,\"avail_idx\":0,\"used_idx\":0,\"gap\":0,\"free\":0,\"harvested\":0,\
         \"posted\":0,\"kicks\":0,\"interrupts\":0,\"spurious\":0,\"missed_interrupts\":0,\
         \"rekicks\":0,\"bad_used\":0,\"resets\":0}",
        "\"tx\":{\"size\":0,",
        "\"heap\":{\"used\":1000,\"total\":2000,\"allocations\":3000}}",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(balanced(&text));
    let head = rig.ask_once("HEAD /stats.json HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(head.code, 200);
}

/// Whether braces and quotes pair up.
fn balanced(text: &str) -> bool {
    let depth = text.chars().fold(0, |depth, c| match c {
        '{' => depth + 1,
        '}' => depth - 1,
        _ => depth,
    });
    depth == 0 && text.matches('"').count().is_multiple_of(2)
}

#[test]
fn endpoints_can_be_kept_to_the_admin_port() {
    let mut config = common::config();
    config.public_endpoints = false;
    let mut rig = Rig::with(config, common::site());
    assert_eq!(rig.get("/healthz").body, b"hidden by the endpoint\n");
    assert_eq!(rig.get("/stats.json").code, 404);
    let handle = rig.socket(65_535, 16_384);
    let own = rig.port();
    rig.dial(handle, common::SERVER.into(), 9100, own);
    rig.until(Duration::from_secs(5), |rig| rig.tcp(handle).may_send());
    let request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(rig.ask(handle, request).body, b"ok");
}

#[test]
fn the_black_box_is_sent_whole_on_the_admin_port_alone() {
    let mut rig = Rig::new();
    rig.machine.black_box = pattern(131_713);
    assert_eq!(rig.get("/blackbox").code, 404);
    let handle = rig.socket(65_535, 16_384);
    let own = rig.port();
    rig.dial(handle, common::SERVER.into(), 9100, own);
    rig.until(Duration::from_secs(5), |rig| rig.tcp(handle).may_send());
    let request = "GET /blackbox HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = rig.ask(handle, request);
    assert_eq!(
        answer.field("Content-Type"),
        Some("application/octet-stream")
    );
    assert!(answer.body == pattern(131_713));
    // The connection goes on behind it.
    rig.send(handle, b"HEAD /blackbox HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = rig.answer(handle, true);
    assert_eq!(head.field("Content-Length"), Some("131713"));
    rig.machine.black_box.clear();
    assert_eq!(rig.ask(handle, request).code, 404);
}

#[test]
fn pipelined_figures_come_in_order() {
    let mut rig = Rig::new();
    let handle = rig.connect();
    let stats = "GET /stats.json HTTP/1.1\r\nHost: x\r\n\r\n";
    let health = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    rig.send(handle, format!("{stats}{health}{stats}").as_bytes());
    let mut answers = Vec::new();
    rig.read(handle, |bytes| {
        let mut at = 0;
        answers.clear();
        while let Some((answer, len)) = Answer::parse(&bytes[at..], false) {
            at += len;
            answers.push(answer);
        }
        answers.len() == 3
    });
    let kinds: Vec<_> = answers.iter().map(|a| a.field("Content-Type")).collect();
    let (json, text) = (Some("application/json"), Some("text/plain; charset=utf-8"));
    assert_eq!(kinds, [json, text, json]);
}

#[test]
fn ipv6_serves_too() {
    let mut rig = Rig::new();
    let handle = rig.socket(65_535, 16_384);
    let own = rig.port();
    rig.dial(handle, SERVER6.into(), 80, own);
    assert!(rig.until(Duration::from_secs(5), |rig| rig.tcp(handle).may_send()));
    let answer = rig.ask(
        handle,
        "GET /big.bin HTTP/1.1\r\nHost: [fe80::1]\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.body == pattern(300_000));
    rig.tcp(handle).close();
    rig.settle();
    assert_eq!(rig.stack.stats().time_wait, 1);
}
