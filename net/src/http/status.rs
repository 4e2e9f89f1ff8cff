//! Answers without a file: a status, a few words, all of it prepared.

/// A status that is answered by itself (RFC 9110, 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// 204, for OPTIONS: what can be done here.
    NoContent,
    /// 400: not a request.
    BadRequest,
    /// 404: no such path.
    NotFound,
    /// 405: a method that HTTP knows and a static site does not serve.
    MethodNotAllowed,
    /// 406: the client refuses every coding that there is.
    NotAcceptable,
    /// 408: the request took too long to arrive.
    RequestTimeout,
    /// 412: the file is not what the client thinks.
    PreconditionFailed,
    /// 413: more body than is read and thrown away.
    ContentTooLarge,
    /// 414: the request line alone fills the buffer.
    UriTooLong,
    /// 417: an expectation other than `100-continue`.
    ExpectationFailed,
    /// 421: a scheme that is not served here.
    MisdirectedRequest,
    /// 431: the head does not fit the buffer, or has too many fields.
    HeaderFieldsTooLarge,
    /// 500: a handler has written more than an answer holds.
    InternalServerError,
    /// 501: an unknown method or transfer coding.
    NotImplemented,
    /// 503: there is no memory for a handler's answer.
    ServiceUnavailable,
    /// 505: not HTTP/1.
    VersionNotSupported,
}

/// A prepared answer: the head without `Date`, `Connection` and the empty line, and the body.
pub(crate) struct Prepared {
    /// Status line and fields.
    pub head: &'static str,
    /// Content.
    pub body: &'static str,
}

macro_rules! prepared {
    ($text:literal, $len:literal $(, $field:literal)*) => {
        Prepared {
            head: concat!(
                "HTTP/1.1 ", $text, "\r\nServer: Quartz\r\n", $($field, "\r\n",)*
                "Content-Type: text/plain; charset=utf-8\r\nContent-Length: ", $len, "\r\n"
            ),
            body: concat!($text, "\n"),
        }
    };
}

impl Status {
    /// The number.
    pub fn code(self) -> u16 {
        match self {
            Status::NoContent => 204,
            Status::BadRequest => 400,
            Status::NotFound => 404,
            Status::MethodNotAllowed => 405,
            Status::NotAcceptable => 406,
            Status::RequestTimeout => 408,
            Status::PreconditionFailed => 412,
            Status::ContentTooLarge => 413,
            Status::UriTooLong => 414,
            Status::ExpectationFailed => 417,
            Status::MisdirectedRequest => 421,
            Status::HeaderFieldsTooLarge => 431,
            Status::InternalServerError => 500,
            Status::NotImplemented => 501,
            Status::ServiceUnavailable => 503,
            Status::VersionNotSupported => 505,
        }
    }

    /// The answer.
    pub fn prepared(self) -> &'static Prepared {
        match self {
            Status::NoContent => &Prepared {
                head: "HTTP/1.1 204 No Content\r\nServer: Quartz\r\nAllow: GET, HEAD, OPTIONS\r\n",
                body: "",
            },
            Status::BadRequest => &prepared!("400 Bad Request", 16),
            Status::NotFound => &prepared!("404 Not Found", 14),
            Status::MethodNotAllowed => {
                &prepared!("405 Method Not Allowed", 23, "Allow: GET, HEAD, OPTIONS")
            }
            Status::NotAcceptable => &prepared!("406 Not Acceptable", 19, "Vary: Accept-Encoding"),
            Status::RequestTimeout => &prepared!("408 Request Timeout", 20),
            Status::PreconditionFailed => &prepared!("412 Precondition Failed", 24),
            Status::ContentTooLarge => &prepared!("413 Content Too Large", 22),
            Status::UriTooLong => &prepared!("414 URI Too Long", 17),
            Status::ExpectationFailed => &prepared!("417 Expectation Failed", 23),
            Status::MisdirectedRequest => &prepared!("421 Misdirected Request", 24),
            Status::HeaderFieldsTooLarge => &prepared!("431 Request Header Fields Too Large", 36),
            Status::InternalServerError => &prepared!("500 Internal Server Error", 26),
            Status::NotImplemented => &prepared!("501 Not Implemented", 20),
            Status::ServiceUnavailable => {
                &prepared!("503 Service Unavailable", 24, "Retry-After: 1")
            }
            Status::VersionNotSupported => &prepared!("505 HTTP Version Not Supported", 31),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn lengths_and_numbers_are_right() {
        for status in [
            Status::BadRequest,
            Status::NotFound,
            Status::MethodNotAllowed,
            Status::NotAcceptable,
            Status::RequestTimeout,
            Status::PreconditionFailed,
            Status::ContentTooLarge,
            Status::UriTooLong,
            Status::ExpectationFailed,
            Status::MisdirectedRequest,
            Status::HeaderFieldsTooLarge,
            Status::InternalServerError,
            Status::NotImplemented,
            Status::ServiceUnavailable,
            Status::VersionNotSupported,
        ] {
            let prepared = status.prepared();
            let length = format!("Content-Length: {}\r\n", prepared.body.len());
            assert!(prepared.head.ends_with(&length), "{status:?}");
            let line = format!("HTTP/1.1 {} ", status.code());
            assert!(prepared.head.starts_with(&line), "{status:?}");
            assert!(!prepared.head.contains("\r\n\r\n"), "{status:?}");
        }
    }
}
