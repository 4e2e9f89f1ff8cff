//! Sends the bytes of a row and compares what comes back.

use super::case::{Answer, Case, Expected};
use super::site::PROBE;
use quartz::http::{Client, Response};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

/// The longest that a row may take: a server waits 15 s for the rest of a request.
const LIMIT: Duration = Duration::from_secs(60);

/// What a server calls its files, which each one does in its own way.
pub struct Validators {
    names: Vec<(&'static str, String)>,
}

impl Validators {
    /// Asks a server.
    pub fn of(address: SocketAddr) -> Validators {
        let tag = |path: &str, accept: &str| {
            let mut client = Client::connect(address, Instant::now() + LIMIT).unwrap();
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: t\r\nAccept-Encoding: {accept}\r\n\r\n");
            client.send(request.as_bytes()).unwrap();
            let answer = client.answer(false).unwrap();
            answer.field("etag").expect("a tag").to_owned()
        };
        Validators {
            names: vec![
                ("$TAG", tag("/style.css", "identity")),
                ("$GZIP", tag("/style.css", "gzip")),
                ("$DIGITS", tag("/digits.txt", "identity")),
            ],
        }
    }

    fn insert(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.names {
            text = text.replace(name, value);
        }
        text
    }

    fn insert_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.insert(text).into_bytes(),
            Err(_) => bytes.to_vec(),
        }
    }
}

/// Plays a row against a server.
pub fn check(
    address: SocketAddr,
    case: &Case,
    expected: &Expected,
    validators: &Validators,
) -> Result<(), String> {
    let deadline = Instant::now() + LIMIT;
    let told = |what: &str, error: io::Error| format!("{what}: {error}");
    let mut client = Client::connect(address, deadline).map_err(|e| told("no connection", e))?;
    // A server that has heard enough may close before all is sent; what it says counts.
    let _ = client.send(&validators.insert_bytes(&case.send));
    if case.half_close {
        let _ = client.stream().shutdown(Shutdown::Write);
    }
    for (number, wanted) in expected.answers.iter().enumerate() {
        let answer = client
            .answer(wanted.to_head)
            .map_err(|e| told(&format!("no answer {number}"), e))?;
        compare(&answer, wanted, validators)
            .map_err(|error| format!("answer {number}: {error}; it says {:?}", answer.fields))?;
        let last = number + 1 == expected.answers.len();
        let says_so = answer.field("connection") == Some("close");
        if last && !expected.open && !says_so && !case.half_close && !expected.silent {
            return Err("the last answer does not say that it is the last".into());
        }
    }
    if let Some(bare) = &expected.bare {
        let came = client.rest().map_err(|e| told("no content", e))?;
        return match came == *bare {
            true => Ok(()),
            false => Err(format!(
                "not this content: {:?}",
                came.escape_ascii().to_string()
            )),
        };
    }
    if expected.open {
        let probe = client
            .request("GET", "/probe.txt")
            .map_err(|e| told("the connection does not go on", e))?;
        match (probe.status, &probe.body[..]) {
            (200, body) if body == PROBE.as_bytes() => Ok(()),
            other => Err(format!("the next request is answered with {other:?}")),
        }
    } else {
        match client.at_end() {
            Ok(true) => Ok(()),
            Ok(false) => Err("there is more behind the last answer".into()),
            Err(error) => Err(told("the connection is not closed", error)),
        }
    }
}

fn compare(answer: &Response, wanted: &Answer, validators: &Validators) -> Result<(), String> {
    if answer.status != wanted.status {
        return Err(format!("{} and not {}", answer.status, wanted.status));
    }
    if answer.status >= 200 && answer.field("date").is_none() {
        return Err("no Date".into());
    }
    let field = |name: &str| answer.field(&name.to_ascii_lowercase());
    // The boundary between parts is the server's own choice.
    let boundary = field("Content-Type")
        .and_then(|kind| kind.split_once("boundary="))
        .map_or(String::new(), |(_, boundary)| boundary.to_owned());
    for (name, value) in &wanted.fields {
        let value = value.as_ref().map(|value| {
            let value = validators.insert(value);
            value.replace("$BOUNDARY", &boundary)
        });
        if field(name) != value.as_deref() {
            return Err(format!("{name} is {:?} and not {value:?}", field(name)));
        }
    }
    for name in &wanted.present {
        if field(name).is_none() {
            return Err(format!("no {name}"));
        }
    }
    let Some(body) = &wanted.body else {
        return Ok(());
    };
    let (mut came, mut body) = (&answer.body[..], body.clone());
    if !boundary.is_empty() {
        let text = String::from_utf8_lossy(&body);
        body = text.replace("$BOUNDARY", &boundary).into_bytes();
        // An empty line may stand in front of the first part (RFC 2046, 5.1.1).
        came = came.strip_prefix(b"\r\n").unwrap_or(came);
    }
    match came == body {
        true => Ok(()),
        false => Err(format!(
            "the content is {:?} and not {:?}",
            came.escape_ascii().to_string(),
            body.escape_ascii().to_string()
        )),
    }
}
