//! Where a connection stands between requests and answers (RFC 9112), seen from bytes that pass.
//!
//! It exists for one question: if the guest's side of the connection ends now, may the connection
//! go on with another guest? It may between two requests, and while a request that asks for
//! nothing but a page (GET, HEAD: RFC 9110, 9.2.1) has not had a byte of answer: then its bytes are
//! sent again. Whatever is not understood makes the connection an opaque one, which ends when
//! either side ends it.

use httparse::Status;

/// Bytes of a request that are kept until it is answered.
const MAX_REQUEST: usize = 16 * 1024;
/// Longest head of an answer that is looked at.
const MAX_HEAD: usize = 16 * 1024;
/// Most fields in a head.
const MAX_FIELDS: usize = 96;

/// The state of a connection.
#[derive(Debug, Default)]
pub struct Exchange {
    state: State,
    /// The request that is under way, as it came.
    request: Vec<u8>,
    /// Whether it is a HEAD.
    head_only: bool,
}

#[derive(Debug, Default)]
enum State {
    /// No request is under way.
    #[default]
    Idle,
    /// A request has come in part or whole; nothing was answered.
    Asked { whole: bool },
    /// The head of an answer has come in part.
    Head(Vec<u8>),
    /// The head has come; so many bytes of the body have not.
    Body(u64),
    /// Not understood.
    Opaque,
}

impl Exchange {
    /// Bytes came from the client.
    pub fn asked(&mut self, bytes: &[u8]) {
        let whole = match self.state {
            State::Idle => false,
            State::Asked { whole } => whole,
            State::Head(_) | State::Body(_) | State::Opaque => return self.opaque(),
        };
        // A request behind a whole one is pipelined: what of it is answered could not be told.
        if whole || self.request.len() + bytes.len() > MAX_REQUEST {
            return self.opaque();
        }
        self.request.extend_from_slice(bytes);
        match self.judge_request() {
            Some(whole) => self.state = State::Asked { whole },
            None => self.opaque(),
        }
    }

    /// Whether the request is whole; `None` if it is not one that could be sent twice.
    fn judge_request(&mut self) -> Option<bool> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(&self.request).ok()? {
            Status::Partial => Some(false),
            Status::Complete(end) => {
                let safe = matches!(request.method, Some("GET" | "HEAD"));
                let has_body = request.headers.iter().any(|field| {
                    ["content-length", "transfer-encoding", "upgrade"]
                        .iter()
                        .any(|name| field.name.eq_ignore_ascii_case(name))
                });
                self.head_only = request.method == Some("HEAD");
                let plain = request.version == Some(1) && end == self.request.len();
                (safe && plain && !has_body).then_some(true)
            }
        }
    }

    /// Bytes came from the guest.
    pub fn answered(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Opaque => {}
            State::Asked { whole: true } => {
                self.state = State::Head(Vec::new());
                self.answered(bytes);
            }
            // An answer nobody asked for, or to half a request.
            State::Idle | State::Asked { whole: false } => self.opaque(),
            State::Head(head) => {
                head.extend_from_slice(bytes);
                match body_after(head, self.head_only) {
                    Ok(None) if head.len() <= MAX_HEAD => {}
                    Ok(Some((end, length))) => {
                        let came = (head.len() - end) as u64;
                        self.take_body(length, came);
                    }
                    Ok(None) | Err(()) => self.opaque(),
                }
            }
            State::Body(left) => {
                let left = *left;
                self.take_body(left, bytes.len() as u64);
            }
        }
    }

    fn take_body(&mut self, left: u64, came: u64) {
        match left.checked_sub(came) {
            Some(0) => {
                self.request.clear();
                self.state = State::Idle;
            }
            Some(left) => self.state = State::Body(left),
            None => self.opaque(),
        }
    }

    /// What another guest has to be told so that the connection can go on with it; `None` if it
    /// cannot.
    #[must_use]
    pub fn resumable(&self) -> Option<&[u8]> {
        match self.state {
            State::Idle => Some(&[]),
            State::Asked { .. } => Some(&self.request),
            State::Head(_) | State::Body(_) | State::Opaque => None,
        }
    }

    /// Whether an answer has begun and is not whole.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        matches!(self.state, State::Head(_) | State::Body(_))
    }

    /// Whether no request is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    fn opaque(&mut self) {
        self.state = State::Opaque;
        self.request = Vec::new();
    }
}

/// Where the head ends and how long the body behind it is; `None` while the head is not whole. An
/// answer after which the connection ends, or whose end is not told by a length, is an error here.
fn body_after(head: &[u8], head_only: bool) -> Result<Option<(usize, u64)>, ()> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let Status::Complete(end) = response.parse(head).map_err(drop)? else {
        return Ok(None);
    };
    let field = |name: &str| {
        let mut found = response.headers.iter();
        found
            .find(|field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    };
    let closes =
        field("connection").is_some_and(|value| !value.eq_ignore_ascii_case(b"keep-alive"));
    if closes || field("transfer-encoding").is_some() || response.version != Some(1) {
        return Err(());
    }
    let length = match response.code.ok_or(())? {
        // RFC 9112, 6.3.
        204 | 304 => 0,
        100..=199 => return Err(()),
        _ if head_only => 0,
        _ => {
            let text = std::str::from_utf8(field("content-length").ok_or(())?).map_err(drop)?;
            text.parse().map_err(drop)?
        }
    };
    Ok(Some((end, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    fn after(steps: &[(bool, &[u8])]) -> Exchange {
        let mut exchange = Exchange::default();
        for (client, bytes) in steps {
            match client {
                true => exchange.asked(bytes),
                false => exchange.answered(bytes),
            }
        }
        exchange
    }

    #[test]
    fn between_requests_and_before_an_answer_it_can_go_on() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(after(&[]).resumable(), Some(&[][..]));
        assert_eq!(after(&[(true, GET)]).resumable(), Some(GET));
        assert_eq!(after(&[(true, &GET[..9])]).resumable(), Some(&GET[..9]));
        let halves = [(true, &GET[..9]), (true, &GET[9..])];
        assert_eq!(after(&halves).resumable(), Some(GET));
        // Byte by byte.
        let mut exchange = after(&[(true, GET)]);
        for (at, byte) in answer.iter().enumerate() {
            exchange.answered(&[*byte]);
            let last = at + 1 == answer.len();
            assert_eq!(exchange.resumable().is_some(), last, "after byte {at}");
        }
        exchange.asked(GET);
        assert_eq!(exchange.resumable(), Some(GET));
    }

    #[test]
    fn answers_without_a_body_are_known() {
        let head = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n";
        let long = b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n";
        assert!(after(&[(true, head), (false, long)]).is_idle());
        assert!(!after(&[(true, GET), (false, long)]).is_idle());
        let same = b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n";
        assert!(after(&[(true, GET), (false, same)]).is_idle());
    }

    #[test]
    fn what_is_not_understood_never_goes_on() {
        let ok = &b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..];
        let two = [GET, GET].concat();
        let steps: [&[(bool, &[u8])]; 12] = [
            &[(true, b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")],
            &[(true, b"GET / HTTP/1.0\r\n\r\n")],
            &[(true, b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n")],
            &[(true, b"\x16\x03\x01\x02")],
            &[(true, &two)],
            &[(true, GET), (true, GET)],
            &[(true, GET), (false, &ok[..5]), (true, GET)],
            &[(false, ok)],
            &[(true, &GET[..9]), (false, ok)],
            &[(true, GET), (false, b"HTTP/1.1 200 OK\r\n\r\n")],
            &[
                (true, GET),
                (
                    false,
                    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                ),
            ],
            &[(true, GET), (false, ok), (false, b"more")],
        ];
        for steps in steps {
            assert_eq!(after(steps).resumable(), None, "{steps:?}");
        }
        let mut endless = Exchange::default();
        endless.asked(b"GET /");
        for _ in 0..20 {
            endless.asked(&[b'x'; 1024]);
        }
        assert_eq!(endless.resumable(), None);
    }
}
