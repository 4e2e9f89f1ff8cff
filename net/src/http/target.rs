//! The target of a request (RFC 9112, 3.2).

use super::status::Status;

/// The path and query of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// With its slash; `*` stands for the server as a whole.
    pub path: &'a [u8],
    /// Without its question mark.
    pub query: Option<&'a [u8]>,
}

/// Reads a target: origin-form, absolute-form, or, for OPTIONS, asterisk-form.
///
/// # Errors
/// With the answer: 400, or 421 for a scheme that is not served here (RFC 9110, 7.4).
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn read(target: &[u8], options: bool) -> Result<Target<'_>, Status> {
    if target.first() == Some(&b'/') {
        return divide(target);
    }
    if target == b"*" && options {
        return divide(target);
    }
    let mark = target.windows(3).position(|w| w == b"://");
    let (scheme, rest) = target.split_at(mark.ok_or(Status::BadRequest)?);
    let rest = &rest[3..];
    let end = rest.iter().position(|b| b"/?".contains(b));
    let (authority, rest) = rest.split_at(end.unwrap_or(rest.len()));
    if !is_authority(authority) {
        return Err(Status::BadRequest);
    }
    if scheme.eq_ignore_ascii_case(b"https") {
        return Err(Status::MisdirectedRequest);
    }
    if !scheme.eq_ignore_ascii_case(b"http") {
        return Err(Status::BadRequest);
    }
    let target = divide(rest)?;
    Ok(match target.path {
        // OPTIONS of an absolute address without a path means the server (RFC 9112, 3.2.4).
        [] if options && target.query.is_none() => Target {
            path: b"*",
            ..target
        },
        [] => Target {
            path: b"/",
            ..target
        },
        _ => target,
    })
}

/// Divides path and query. A fragment is never sent (RFC 9110, 7.1).
#[cfg_attr(target_os = "none", optimize(size))]
fn divide(target: &[u8]) -> Result<Target<'_>, Status> {
    let end = target.iter().position(|&b| b == b'?' || b == b'#');
    let (path, query) = match end {
        None => (target, None),
        Some(at) if target[at..].contains(&b'#') => return Err(Status::BadRequest),
        Some(at) => (&target[..at], Some(&target[at + 1..])),
    };
    Ok(Target { path, query })
}

/// The letters of a host's name: unreserved, escapes, and sub-delimiters without the comma.
static IN_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        table[at] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'%'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b';'
                    | b'='
            );
        at += 1;
    }
    table
};

/// Whether this is a host with or without a port (RFC 3986, 3.2.2 and 3.2.3): a name, an IPv4
/// address, or an IPv6 address in brackets. A user's name in front is refused (RFC 9110, 4.2.4),
/// and so is a comma, which would make two hosts of it for some readers.
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn is_authority(text: &[u8]) -> bool {
    let (host, port) = match text {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|&b| b == b']') else {
                return false;
            };
            let address = |b: &u8| b.is_ascii_hexdigit() || b":.vV".contains(b);
            if end == 0 || !rest[..end].iter().all(address) {
                return false;
            }
            (&rest[..end], &rest[end + 1..])
        }
        _ => {
            // What ends it has to begin a port.
            let end = text.iter().position(|&b| !IN_NAME[usize::from(b)]);
            let end = end.unwrap_or(text.len());
            text.split_at(end)
        }
    };
    let port_is_good = match port {
        [] => true,
        [b':', figures @ ..] => figures.len() <= 5 && figures.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    !host.is_empty() && port_is_good
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(target: &str) -> Result<(&str, Option<&str>), Status> {
        let text = |bytes| core::str::from_utf8(bytes).unwrap();
        read(target.as_bytes(), false).map(|t| (text(t.path), t.query.map(text)))
    }

    #[test]
    fn forms() {
        assert_eq!(path("/"), Ok(("/", None)));
        assert_eq!(path("/a/b?c?d"), Ok(("/a/b", Some("c?d"))));
        assert_eq!(path("/a?"), Ok(("/a", Some(""))));
        assert_eq!(path("//a"), Ok(("//a", None)));
        assert_eq!(path("/http://x/"), Ok(("/http://x/", None)));
        assert_eq!(path("http://example.org/a/b?c"), Ok(("/a/b", Some("c"))));
        assert_eq!(path("HTTP://example.org"), Ok(("/", None)));
        assert_eq!(path("http://example.org?q=/x"), Ok(("/", Some("q=/x"))));
        assert_eq!(path("http://[::1]:80/a"), Ok(("/a", None)));
        assert_eq!(
            path("https://example.org/"),
            Err(Status::MisdirectedRequest)
        );
        for bad in [
            "*",
            "a/b",
            "http:///x",
            "http://",
            "http:/x",
            "ftp://a/b",
            "example.org:80",
            "http://user@example.org/",
            "http://a b/",
            "/a#b",
            "http://example.org/#b",
            "?a",
        ] {
            assert_eq!(path(bad), Err(Status::BadRequest), "{bad}");
        }
    }

    #[test]
    fn options_may_ask_about_the_server() {
        let path = |target: &'static str| read(target.as_bytes(), true).map(|t| t.path);
        assert_eq!(path("*"), Ok(&b"*"[..]));
        assert_eq!(path("http://example.org:8080"), Ok(&b"*"[..]));
        assert_eq!(path("http://example.org/"), Ok(&b"/"[..]));
        assert_eq!(path("**"), Err(Status::BadRequest));
    }

    #[test]
    fn authorities() {
        for good in [
            "x",
            "example.org",
            "example.org:8080",
            "example.org:",
            "127.0.0.1:80",
            "[fe80::1]",
            "[fe80::1]:80",
            "a_b.c-d~e",
            "%41",
        ] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a b",
            "a,b",
            "a/b",
            "a?b",
            "a#b",
            "a@b",
            "a\\b",
            "a:80:80",
            "a:x",
            "a:123456",
            "[::1",
            "[]",
            "[::1]x",
            "[x]",
            "caf\u{e9}",
            "a\tb",
            "\"a\"",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }
}
