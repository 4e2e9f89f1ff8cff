//! What a handler sees of a request.

use crate::http::request::{Method, Request as Head};
use core::str;
use quartz_abi::site::Captures;

/// A request's head.
pub struct Request<'a> {
    head: &'a Head<'a>,
    path: &'a [u8],
    captures: Captures<'a, 'a>,
}

impl<'a> Request<'a> {
    pub(crate) fn new(
        head: &'a Head<'a>,
        path: &'a [u8],
        captures: Captures<'a, 'a>,
    ) -> Request<'a> {
        Request {
            head,
            path,
            captures,
        }
    }

    /// Whether the answer's content is left out (HEAD). Handlers need not care.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.head.method == Method::Head
    }

    /// The path without escapes and dots, with its slash. It need not be UTF-8.
    #[must_use]
    pub fn path(&self) -> &'a [u8] {
        self.path
    }

    /// What `:name` stands for in the path, or `*` by the name `splat`; `None` too if that is not
    /// UTF-8.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&'a str> {
        str::from_utf8(self.captures.get(name.as_bytes())?).ok()
    }

    /// The value of a query parameter as it was sent, with its escapes; empty if there is only the
    /// name. The first of several.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&'a str> {
        let query = self.head.query?;
        query.split(|&b| b == b'&').find_map(|pair| {
            let (key, value) = match pair.iter().position(|&b| b == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            (key == name.as_bytes()).then(|| str::from_utf8(value).ok())?
        })
    }

    /// The same, with `+` and escapes decoded into `memory`. `None` too if it does not fit, or is
    /// not UTF-8.
    #[must_use]
    pub fn decoded_query<'m>(&self, name: &str, memory: &'m mut [u8]) -> Option<&'m str> {
        let mut len = 0;
        let mut rest = self.query(name)?.as_bytes();
        while let [first, tail @ ..] = rest {
            let figure = |at: usize| char::from(*tail.get(at)?).to_digit(16);
            let (byte, next) = match first {
                b'+' => (b' ', tail),
                b'%' => ((figure(0)? * 16 + figure(1)?) as u8, &tail[2..]),
                _ => (*first, tail),
            };
            *memory.get_mut(len)? = byte;
            len += 1;
            rest = next;
        }
        str::from_utf8(&memory[..len]).ok()
    }

    /// The value of a header field; the first of several lines. `None` too if it is not UTF-8.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a str> {
        let lines = self.head.text.split(|&b| b == b'\n').skip(1);
        let value = lines.filter_map(|line| {
            let colon = line.iter().position(|&b| b == b':')?;
            let (own, value) = line.split_at(colon);
            own.eq_ignore_ascii_case(name.as_bytes())
                .then(|| value[1..].trim_ascii())
        });
        str::from_utf8(value.into_iter().next()?).ok()
    }
}
