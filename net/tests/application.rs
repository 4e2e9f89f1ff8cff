//! An application's handlers, seen by a client.

mod common;

use common::{Rig, config, site};
use core::fmt::Write;
use quartz_net::app::{
    Application, Body, Guest, Handler, Method, Next, Reply, Request, State, Writer,
};
use quartz_net::{Duration, Instant, Stack};
use std::cell::RefCell;
use std::rc::Rc;

/// Answers with what it was asked.
struct Echo;

impl Handler for Echo {
    fn handle(&mut self, request: &Request<'_>, reply: &mut Reply<'_>, _: &Guest<'_>) -> Body {
        let mut memory = [0; 64];
        let decoded = request.decoded_query("q", &mut memory);
        reply.field("X-Agent", request.field("user-agent").unwrap_or("-"));
        let _ = write!(
            reply,
            "{} {:?} {:?} {decoded:?} {}",
            String::from_utf8_lossy(request.path()),
            request.param("name"),
            request.query("q"),
            request.is_head(),
        );
        Body::Written
    }
}

/// Sums up the bytes of what it is sent.
struct Sum {
    pieces: Rc<RefCell<u32>>,
}

impl Handler for Sum {
    fn handle(&mut self, _: &Request<'_>, reply: &mut Reply<'_>, _: &Guest<'_>) -> Body {
        reply.status(400);
        Body::Static(b"send something\n")
    }

    fn content_limit(&self) -> u64 {
        20_000
    }

    fn begin(&mut self, request: &Request<'_>) -> State {
        State([
            0,
            request.query("times").map_or(1, |n| n.parse().unwrap()),
            0,
            0,
        ])
    }

    fn content(&mut self, state: &mut State, piece: &[u8]) {
        *self.pieces.borrow_mut() += 1;
        state.0[0] += piece.iter().map(|&b| u64::from(b)).sum::<u64>();
        state.0[2] += piece.len() as u64;
    }

    fn finish(&mut self, state: &mut State, reply: &mut Reply<'_>, _: &Guest<'_>) -> Body {
        reply.status(201);
        let _ = write!(reply, "{} of {}", state.0[0] * state.0[1], state.0[2]);
        Body::Written
    }
}

/// Counts, one number every `every` milliseconds; 0: as fast as it can.
struct Count {
    len: Option<u64>,
    every: u64,
    last: u64,
    calls: Rc<RefCell<u32>>,
}

impl Handler for Count {
    fn handle(&mut self, _: &Request<'_>, _: &mut Reply<'_>, _: &Guest<'_>) -> Body {
        Body::Stream {
            len: self.len,
            state: State::default(),
        }
    }

    fn stream(&mut self, state: &mut State, out: &mut Writer<'_>, guest: &Guest<'_>) -> Next {
        *self.calls.borrow_mut() += 1;
        let number = &mut state.0[0];
        if *number == self.last || guest.is_draining() {
            return Next::Done;
        }
        if out.room() < 8 {
            return Next::Room;
        }
        let _ = writeln!(out, "{number:07}");
        *number += 1;
        match self.every {
            0 => Next::More,
            every => Next::At(guest.now() + Duration::from_millis(every)),
        }
    }
}

/// Writes more than an answer holds.
struct TooMuch;

impl Handler for TooMuch {
    fn handle(&mut self, _: &Request<'_>, reply: &mut Reply<'_>, _: &Guest<'_>) -> Body {
        reply.push(&[b'x'; 20_000]);
        Body::Written
    }
}

/// The figures that `/stats.json` has.
struct Figures;

impl Handler for Figures {
    fn handle(&mut self, _: &Request<'_>, reply: &mut Reply<'_>, guest: &Guest<'_>) -> Body {
        assert_eq!(guest.snapshot().heap_total, 2000);
        guest.write_stats(reply.content());
        Body::Written
    }
}

struct Counters {
    pieces: Rc<RefCell<u32>>,
    calls: Rc<RefCell<u32>>,
}

fn rig() -> (Rig, Counters) {
    let counters = Counters {
        pieces: Rc::default(),
        calls: Rc::default(),
    };
    let pieces = counters.pieces.clone();
    let count = |len, every, last| Count {
        len,
        every,
        last,
        calls: counters.calls.clone(),
    };
    let application = Application::new()
        .route(Method::Get, "/echo/:name", Echo)
        .route(Method::Get, "/style.css", Echo)
        .route(Method::Get, "/healthz", Echo)
        .route(Method::Post, "/sum", Sum { pieces })
        .route(Method::Get, "/events", count(None, 1000, 5))
        .route(Method::Get, "/ever", count(None, 1000, u64::MAX))
        .route(Method::Get, "/long", count(None, 0, 20_000))
        .route(Method::Get, "/sized", count(Some(160_000), 0, 20_000))
        .route(Method::Get, "/short", count(Some(100), 0, 5))
        .route(Method::Get, "/figures", Figures)
        .route(Method::Delete, "/figures", Figures)
        .route(Method::Get, "/much", TooMuch);
    let mut rig = Rig::with(config(), site());
    rig.stack = Stack::with_application(config(), site(), application, rig.now).unwrap();
    rig.settle();
    (rig, counters)
}

fn dechunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|w| w == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).ok()?, 16).ok()?;
        body = &body[end + 2..];
        whole.extend_from_slice(body.get(..size)?);
        assert_eq!(body.get(size..size + 2)?, b"\r\n");
        body = &body[size + 2..];
        if size == 0 {
            assert!(body.is_empty());
            return Some(whole);
        }
    }
}

fn numbers(count: u64) -> Vec<u8> {
    (0..count)
        .flat_map(|n| format!("{n:07}\n").into_bytes())
        .collect()
}

/// All that the server says to `request` until it closes, or `patience` is over.
fn all(rig: &mut Rig, request: &str, patience: Duration) -> Vec<u8> {
    let handle = rig.connect();
    rig.tcp(handle).send_slice(request.as_bytes()).unwrap();
    let mut heard = Vec::new();
    let until = rig.now + patience;
    while rig.now < until {
        rig.settle();
        let mut memory = vec![0; 65536];
        while let Ok(n @ 1..) = rig.tcp(handle).recv_slice(&mut memory) {
            heard.extend_from_slice(&memory[..n]);
        }
        if !rig.tcp(handle).may_recv() {
            break;
        }
        rig.now += Duration::from_millis(10);
    }
    heard
}

fn split(heard: &[u8]) -> (String, Vec<u8>) {
    let end = heard
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("a head")
        + 4;
    (
        String::from_utf8(heard[..end].to_vec()).unwrap(),
        heard[end..].to_vec(),
    )
}

#[test]
fn handlers_see_path_query_and_fields() {
    let (mut rig, _) = rig();
    let answer = rig.ask_once(
        "GET /x/../echo/a%20b?p=1&q=c+d%21&r HTTP/1.1\r\nHost: x\r\nUSER-AGENT:  curl/1 \r\n\r\n",
    );
    assert_eq!(answer.code, 200);
    assert_eq!(answer.field("X-Agent"), Some("curl/1"));
    assert_eq!(
        String::from_utf8(answer.body).unwrap(),
        r#"/echo/a b Some("a b") Some("c+d%21") Some("c d!") false"#
    );
    let none = rig.get("/echo/x?q=%zz");
    assert_eq!(
        String::from_utf8(none.body).unwrap(),
        r#"/echo/x Some("x") Some("%zz") None false"#
    );
}

#[test]
fn endpoints_come_first_then_handlers_then_the_site() {
    let (mut rig, _) = rig();
    assert_eq!(rig.get("/healthz").body, b"ok");
    assert!(rig.get("/style.css").body.starts_with(b"/style.css"));
    assert_eq!(rig.get("/").body, common::INDEX);
    assert_eq!(rig.get("/echo/").code, 404);
}

#[test]
fn the_other_methods_are_named() {
    let (mut rig, _) = rig();
    let answer = rig.ask_once("PUT /figures HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        (answer.code, answer.field("Allow")),
        (405, Some("GET, HEAD, DELETE"))
    );
    assert_eq!(rig.get("/sum").field("Allow"), Some("POST"));
    let answer = rig.ask_once("POST /style.css HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        (answer.code, answer.field("Allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(
        rig.ask_once("DELETE /figures HTTP/1.1\r\nHost: x\r\n\r\n")
            .code,
        200
    );
    let answer = rig.ask_once("POST / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(answer.code, 405);
    assert_eq!(
        rig.ask_once("POST /stats.json HTTP/1.1\r\nHost: x\r\n\r\n")
            .code,
        405
    );
}

#[test]
fn head_has_the_length_and_nothing_else() {
    let (mut rig, counters) = rig();
    let heard = all(
        &mut rig,
        "HEAD /echo/a HTTP/1.1\r\nHost: x\r\n\r\nHEAD /events HTTP/1.1\r\nHost: x\r\n\r\n\
         HEAD /sized HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        Duration::from_secs(1),
    );
    let text = String::from_utf8(heard).unwrap();
    let heads: Vec<&str> = text.split_terminator("\r\n\r\n").collect();
    assert_eq!(heads.len(), 3, "{text}");
    assert!(heads[0].contains("Content-Length: 32"), "{text}");
    assert!(heads[1].contains("Transfer-Encoding: chunked"));
    assert!(heads[2].contains("Content-Length: 160000"));
    assert_eq!(*counters.calls.borrow(), 0);
}

#[test]
fn content_comes_in_pieces() {
    let (mut rig, counters) = rig();
    let content = "a".repeat(15_000);
    let head = format!(
        "POST /sum?times=2 HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n",
        content.len()
    );
    let handle = rig.connect();
    let answer = rig.ask(handle, &format!("{head}\r\n{content}"));
    assert_eq!(answer.code, 201);
    assert_eq!(
        answer.body,
        format!("{} of 15000", 15_000 * 97 * 2).as_bytes()
    );
    assert!(*counters.pieces.borrow() > 1);
    // In chunks, on the same connection.
    let answer = rig.ask(
        handle,
        "POST /sum HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nT: 1\r\n\r\n",
    );
    assert_eq!(answer.body, b"394 of 4");
    let answer = rig.ask(handle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(answer.body, common::INDEX);
}

#[test]
fn too_much_content_is_refused() {
    let (mut rig, counters) = rig();
    let sized = "POST /sum HTTP/1.1\r\nHost: x\r\nContent-Length: 20001\r\n\r\n";
    assert_eq!(rig.ask_once(sized).code, 413);
    assert_eq!(*counters.pieces.borrow(), 0);
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096)).repeat(5);
    let chunked =
        format!("POST /sum HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
    assert_eq!(rig.ask_once(&chunked).code, 413);
    let unwanted = "GET /echo/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab";
    assert_eq!(rig.ask_once(unwanted).code, 413);
}

#[test]
fn a_client_that_waits_is_told_to_go_on() {
    let (mut rig, _) = rig();
    let handle = rig.connect();
    let head = "POST /sum HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    rig.tcp(handle).send_slice(head.as_bytes()).unwrap();
    rig.settle();
    let mut memory = [0; 100];
    let n = rig.tcp(handle).recv_slice(&mut memory).unwrap();
    assert_eq!(&memory[..n], b"HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(rig.ask(handle, "b").body, b"98 of 1");
}

#[test]
fn a_stream_comes_at_its_times() {
    let (mut rig, counters) = rig();
    let began = rig.now;
    let heard = all(
        &mut rig,
        "GET /events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        Duration::from_secs(20),
    );
    let (head, body) = split(&heard);
    assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
    assert_eq!(dechunk(&body).unwrap(), numbers(5));
    let took = rig.now - began;
    assert!(
        took >= Duration::from_secs(5) && took < Duration::from_secs(6),
        "{took}"
    );
    assert_eq!(*counters.calls.borrow(), 6, "it was asked in between");
}

#[test]
fn a_stream_without_end_outlives_every_patience() {
    let (mut rig, _) = rig();
    let heard = all(
        &mut rig,
        "GET /ever HTTP/1.1\r\nHost: x\r\n\r\n",
        Duration::from_secs(300),
    );
    let (_, body) = split(&heard);
    let pieces = body
        .windows(8)
        .filter(|w| w.ends_with(b"\n") && w[0] == b'0')
        .count();
    assert!(pieces >= 299, "{pieces}");
    assert_eq!(rig.stack.stats().expired.answer, 0);
}

#[test]
fn a_stream_to_somebody_who_is_gone_ends() {
    let (mut rig, _) = rig();
    let handle = rig.connect();
    rig.tcp(handle)
        .send_slice(b"GET /ever HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    rig.settle();
    rig.weather.loss = 1000;
    for _ in 0..400 {
        rig.now += Duration::from_secs(1);
        rig.settle();
    }
    assert_eq!(rig.stack.stats().open, 0);
}

#[test]
fn long_streams_follow_the_client() {
    for (request, sized) in [
        (
            "GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            false,
        ),
        (
            "GET /sized HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            true,
        ),
        // To HTTP/1.0 a stream without a length ends with the connection.
        ("GET /long HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
    ] {
        let (mut rig, _) = rig();
        rig.weather.loss = 20;
        let heard = all(&mut rig, request, Duration::from_secs(120));
        let (head, body) = split(&heard);
        assert_eq!(head.contains("chunked"), !sized, "{head}");
        let body = if sized { body } else { dechunk(&body).unwrap() };
        assert!(body == numbers(20_000), "{request}");
    }
}

#[test]
fn a_stream_that_ends_too_early_ends_its_connection() {
    let (mut rig, _) = rig();
    let heard = all(
        &mut rig,
        "GET /short HTTP/1.1\r\nHost: x\r\n\r\n",
        Duration::from_secs(5),
    );
    let (head, body) = split(&heard);
    assert!(head.contains("Content-Length: 100\r\n"));
    assert_eq!(body, numbers(5));
}

#[test]
fn streams_end_when_the_guest_drains() {
    let (mut rig, _) = rig();
    let handle = rig.connect();
    rig.tcp(handle)
        .send_slice(b"GET /ever HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    rig.settle();
    rig.stack.drain(rig.now);
    for _ in 0..150 {
        rig.now += Duration::from_millis(10);
        rig.settle();
    }
    let mut memory = vec![0; 4096];
    let n = rig.tcp(handle).recv_slice(&mut memory).unwrap();
    assert!(memory[..n].ends_with(b"\r\n0\r\n\r\n"));
}

#[test]
fn answers_that_are_too_large_are_none() {
    let (mut rig, _) = rig();
    assert_eq!(rig.get("/much").code, 500);
}

#[test]
fn handlers_see_the_figures() {
    let (mut rig, _) = rig();
    let text = String::from_utf8(rig.get("/figures").body).unwrap();
    assert!(
        text.starts_with("{\"version\":\"test\"") && text.ends_with("}\n"),
        "{text}"
    );
}

#[test]
fn pipelined_requests_to_handlers_are_answered_in_order() {
    let (mut rig, _) = rig();
    let mut requests = String::new();
    for n in 0..20 {
        requests += &format!(
            "GET /echo/n{n} HTTP/1.1\r\nHost: x\r\n\r\nGET /style.css HTTP/1.1\r\nHost: x\r\n\r\n"
        );
    }
    requests += "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let heard = all(&mut rig, &requests, Duration::from_secs(10));
    let mut rest = &heard[..];
    for n in 0..41 {
        let (answer, len) = common::Answer::parse(rest, false).expect("an answer");
        rest = &rest[len..];
        let body = String::from_utf8(answer.body).unwrap();
        match n {
            40 => assert_eq!(body.as_bytes(), common::INDEX),
            n if n % 2 == 0 => assert!(body.starts_with(&format!("/echo/n{} ", n / 2)), "{body}"),
            _ => assert!(body.starts_with("/style.css"), "{body}"),
        }
    }
    assert!(rest.is_empty());
}

#[test]
#[should_panic(expected = "the route `/a/*/*`")]
fn a_route_that_is_no_pattern_is_a_mistake() {
    let _ = Application::new().route(Method::Get, "/a/*/*", Echo);
}

#[test]
fn the_clock_starts_anywhere() {
    // Streams count from the time since boot, not from when they began.
    let (mut rig, _) = rig();
    rig.now = Instant::from_secs(1_000_000);
    let heard = all(
        &mut rig,
        "GET /events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        Duration::from_secs(20),
    );
    assert_eq!(dechunk(&split(&heard).1).unwrap(), numbers(5));
}
