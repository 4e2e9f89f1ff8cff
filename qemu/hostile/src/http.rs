//! As much of HTTP/1.1 as a test client needs: one response at a time, framed by Content-Length
//! (RFC 9112, 6.2).

use thiserror::Error;

/// Longest header block that is read.
const MAX_HEAD: usize = 16 * 1024;
/// Longest body that is read.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// A response that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HttpError {
    /// Not an HTTP/1.1 status line, or a header without a colon.
    #[error("malformed response head: {0:?}")]
    Malformed(String),
    /// The header block does not end.
    #[error("response head of more than {MAX_HEAD} bytes")]
    TooLong,
    /// No Content-Length, or one that makes no sense.
    #[error("no usable Content-Length")]
    Length,
}

/// A whole response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// Value of a header; `name` in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body, as far as it is text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Takes a response to a GET from the front of `bytes`, once it is whole.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Result<Option<Response>, HttpError> {
        let Some(end) = bytes
            .windows(4)
            .take(MAX_HEAD)
            .position(|w| w == b"\r\n\r\n")
        else {
            return if bytes.len() > MAX_HEAD {
                Err(HttpError::TooLong)
            } else {
                Ok(None)
            };
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let malformed = || HttpError::Malformed(head.chars().take(200).collect());
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 "))
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(malformed)?;
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').ok_or_else(malformed)?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
        };
        let length = response.header("content-length");
        let length: usize = length
            .and_then(|v| v.parse().ok())
            .filter(|len| *len <= MAX_BODY)
            .ok_or(HttpError::Length)?;
        let from = end + 4;
        if bytes.len() < from + length {
            return Ok(None);
        }
        response.body = bytes[from..from + length].to_vec();
        bytes.drain(..from + length);
        Ok(Some(response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_taken_one_by_one_and_only_when_whole() {
        let wire = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: b\r\n\r\nabcHTTP/1.1 404 N\r\n";
        for len in 0..49 {
            assert_eq!(Response::take(&mut wire[..len].to_vec()), Ok(None), "{len}");
        }
        let mut bytes = wire.to_vec();
        let response = Response::take(&mut bytes).unwrap().unwrap();
        assert_eq!((response.status, response.text()), (200, "abc".to_owned()));
        assert_eq!(response.header("x-a"), Some("b"));
        assert_eq!(bytes, b"HTTP/1.1 404 N\r\n");
    }

    #[test]
    fn what_is_no_response_is_refused() {
        let take = |text: &str| Response::take(&mut text.as_bytes().to_vec());
        assert!(matches!(
            take("SSH-2.0 x\r\n\r\n"),
            Err(HttpError::Malformed(_))
        ));
        assert_eq!(take("HTTP/1.1 200 OK\r\n\r\n"), Err(HttpError::Length));
        assert_eq!(take(&"x".repeat(MAX_HEAD + 1)), Err(HttpError::TooLong));
    }
}
