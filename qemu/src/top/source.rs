//! Where a guest is, and one reading of what it tells.

use crate::error::Error;
use crate::http::{Client, Response};
use crate::service::request;
use crate::supervise::config::check_name;
use crate::supervise::control::Request;
use serde_json::Value;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long one reading may take, and a question to a supervisor.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most connections that are read.
const MOST_FLOWS: usize = 1024;
/// Most pages of connections that are read: a page may be short of some.
const MOST_PAGES: usize = 64;

/// Where the figures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A service, by its name: its supervisor says where its guest is.
    Service(String),
    /// An admin port, as HOST:PORT.
    Address(String),
}

/// What a guest told at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    /// `/stats.json`.
    pub stats: Value,
    /// `/healthz`: `ok`, or why not.
    pub health: String,
    /// The connections, and how many there are; `None`: the port does not tell.
    pub flows: Option<(Vec<Value>, u64)>,
    /// What the supervisor says, if there is one.
    pub supervisor: Option<String>,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Service(name) => f.write_str(name),
            Source::Address(at) => write!(f, "http://{at}"),
        }
    }
}

impl Source {
    /// Reads a name or an address.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Source, Error> {
        let at = text.strip_prefix("http://").unwrap_or(text);
        if at == text && !text.contains(':') {
            check_name(text)?;
            return Ok(Source::Service(text.to_owned()));
        }
        let refuse = |why: &str| Err(Error::Refused(format!("{text}: {why}")));
        if text.contains("://") && at == text {
            return refuse("a guest's admin port speaks http");
        }
        let at = at.strip_suffix('/').unwrap_or(at);
        if at.contains('/') || at.is_empty() {
            return refuse("expected a guest's name, or http://HOST:PORT");
        }
        let host_ends = at.rfind(']').map_or(0, |end| end + 1);
        let at = match at[host_ends..].contains(':') {
            true => at.to_owned(),
            false => format!("{at}:80"),
        };
        Ok(Source::Address(at))
    }

    /// Whether there is such a guest at all; whether it answers is another question.
    ///
    /// # Errors
    /// There is none.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Source::Service(name) => request(name, &Request::Status, PATIENCE).map(drop),
            Source::Address(_) => Ok(()),
        }
    }

    /// Asks the guest.
    ///
    /// # Errors
    /// Why there is no reading, in words.
    pub fn read(&self) -> Result<Reading, String> {
        let deadline = Instant::now() + PATIENCE;
        let (address, supervisor) = match self {
            Source::Service(name) => guest_of(name)?,
            Source::Address(at) => (resolved(at)?, None),
        };
        read(address, deadline)
            .map(|reading| Reading {
                supervisor,
                ..reading
            })
            .map_err(|error| match error.kind() {
                io::ErrorKind::TimedOut => format!("no answer within {} s", PATIENCE.as_secs()),
                _ => error.to_string(),
            })
    }
}

fn resolved(at: &str) -> Result<SocketAddr, String> {
    let mut found = at.to_socket_addrs().map_err(|error| error.to_string())?;
    found.next().ok_or_else(|| "no such host".to_owned())
}

/// Where a service's guest tells its figures, and how the supervisor says it is.
fn guest_of(name: &str) -> Result<(SocketAddr, Option<String>), String> {
    let status = request(name, &Request::Status, PATIENCE).map_err(|error| error.to_string())?;
    let state = status["state"].as_str().unwrap_or("?").to_owned();
    let guest = &status["guest"];
    let address = guest["admin"].as_str().or(guest["address"].as_str());
    let Some(address) = address.and_then(|text| text.parse().ok()) else {
        let reason = status["reason"].as_str().unwrap_or_default();
        return Err(format!("{state}: {reason}"));
    };
    Ok((address, Some(format!("{state}, guest {}", guest["number"]))))
}

fn read(address: SocketAddr, deadline: Instant) -> io::Result<Reading> {
    let mut client = Client::connect(address, deadline)?;
    let health = client.request("GET", "/healthz")?;
    let stats = json(&client.request("GET", "/stats.json")?)?;
    let mut flows = Vec::new();
    let mut total = None;
    let mut next = Some(0);
    for _ in 0..MOST_PAGES {
        let Some(from) = next.filter(|_| flows.len() < MOST_FLOWS) else {
            break;
        };
        let answer = client.request("GET", &format!("/flows.json?from={from}"))?;
        if answer.status == 404 {
            break;
        }
        let mut page = json(&answer)?;
        total = page["total"].as_u64();
        next = page["next"].as_u64();
        if let Value::Array(rows) = page["flows"].take() {
            flows.extend(rows);
        }
    }
    Ok(Reading {
        stats,
        health: String::from_utf8_lossy(&health.body).trim().to_owned(),
        flows: total.map(|total| (flows, total)),
        supervisor: None,
    })
}

fn json(answer: &Response) -> io::Result<Value> {
    let none = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    if answer.status != 200 {
        let status = answer.status;
        return Err(none(format!(
            "status {status} for its figures: no guest of Quartz?"
        )));
    }
    serde_json::from_slice(&answer.body).map_err(|error| none(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn names_and_addresses_are_told_apart() {
        let at = |text: &str| Source::Address(text.into());
        for (text, source) in [
            ("www", Source::Service("www".into())),
            ("http://127.0.0.1:9100", at("127.0.0.1:9100")),
            ("http://127.0.0.1:9100/", at("127.0.0.1:9100")),
            ("127.0.0.1:9100", at("127.0.0.1:9100")),
            ("http://guest", at("guest:80")),
            ("http://[::1]:9100", at("[::1]:9100")),
            ("http://[::1]", at("[::1]:80")),
        ] {
            assert_eq!(Source::parse(text).unwrap(), source, "{text}");
        }
        for text in ["", "WWW", "https://x:1", "http://", "http://x/y", "x.y"] {
            assert!(Source::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn who_does_not_answer_is_given_up_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let silent = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // Until the other side gives up.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let began = Instant::now();
        let why = Source::Address(address).read().unwrap_err();
        assert_eq!(why, "no answer within 2 s");
        assert!(began.elapsed() < PATIENCE * 3);
        silent.join().unwrap();
    }
}
