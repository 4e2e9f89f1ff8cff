//! A request's content, which a static site has no use for: read to its end and thrown away, so
//! that the connection can go on (RFC 9112, 9.3), within a bound.

/// Most content of one request that is read, in bytes.
pub(crate) const MOST: u64 = 64 * 1024;
/// Longest line of a chunk: its size, extensions, or a trailer field (RFC 9112, 7.1).
const LONGEST_LINE: u32 = 1024;
/// Most bytes of trailer fields.
const MOST_TRAILERS: u32 = 8 * 1024;

/// Where in the content the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// So many bytes with a given length are left.
    Sized(u64),
    /// In the figures of a chunk's size; whether there was one yet.
    Size { size: u64, figures: u32 },
    /// In the extensions behind them.
    Extension { size: u64 },
    /// At the line feed that ends the size.
    SizeEnd { size: u64 },
    /// So many bytes of a chunk are left.
    Chunk(u64),
    /// At the carriage return behind a chunk.
    ChunkEnd,
    /// At the line feed behind a chunk.
    ChunkEndFeed,
    /// In a trailer line that has so many bytes yet.
    Trailer(u32),
    /// At the line feed that ends a trailer line of so many bytes.
    TrailerFeed(u32),
    /// Everything has been read.
    Done,
}

/// How far the content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has ended.
    Done,
    /// More is to come.
    More,
    /// It is not well formed.
    Malformed,
    /// It is larger than it may be.
    TooLarge,
}

/// The reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body {
    at: At,
    /// Bytes of content and trailers so far.
    content: u64,
    trailers: u32,
    /// Bytes of the line so far.
    line: u32,
    /// Most bytes of content.
    most: u64,
}

impl Body {
    /// No content.
    pub const NONE: Body = Body::sized(0);

    /// Content of a given length.
    pub const fn sized(len: u64) -> Body {
        Body {
            at: if len == 0 { At::Done } else { At::Sized(len) },
            content: 0,
            trailers: 0,
            line: 0,
            most: MOST,
        }
    }

    /// Content in chunks.
    pub const fn chunked() -> Body {
        Body {
            at: At::Size {
                size: 0,
                figures: 0,
            },
            content: 0,
            trailers: 0,
            line: 0,
            most: MOST,
        }
    }

    /// The same with another bound.
    pub const fn within(self, most: u64) -> Body {
        Body { most, ..self }
    }

    /// Whether nothing is left to read.
    pub fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// Reads from `data` and says how much of it was content. What follows is the next request.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn read(&mut self, data: &[u8]) -> (usize, Progress) {
        self.read_to(data, |_| {})
    }

    /// The same; `take` gets the content, piece by piece.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn read_to(&mut self, data: &[u8], mut take: impl FnMut(&[u8])) -> (usize, Progress) {
        let mut used = 0;
        while used < data.len() && self.at != At::Done {
            if let At::Sized(left) | At::Chunk(left) = self.at {
                let run = left.min((data.len() - used) as u64);
                used += run as usize;
                self.content += run;
                if self.content > self.most {
                    return (used, Progress::TooLarge);
                }
                take(&data[used - run as usize..used]);
                self.at = match (self.at, left - run) {
                    (At::Sized(_), 0) => At::Done,
                    (At::Sized(_), left) => At::Sized(left),
                    (_, 0) => At::ChunkEnd,
                    (_, left) => At::Chunk(left),
                };
                continue;
            }
            let byte = data[used];
            used += 1;
            match self.step(byte) {
                Some(at) => self.at = at,
                None => return (used, Progress::Malformed),
            }
        }
        match self.at {
            At::Done => (used, Progress::Done),
            _ => (used, Progress::More),
        }
    }

    /// One byte of framing. Line ends are CRLF: in front of a chunk nothing else is taken, since
    /// a proxy may read it otherwise.
    fn step(&mut self, byte: u8) -> Option<At> {
        self.line += 1;
        if self.line > LONGEST_LINE {
            return None;
        }
        Some(match (self.at, byte) {
            (At::Size { size, figures }, byte) if byte.is_ascii_hexdigit() => {
                let figure = match byte {
                    b'0'..=b'9' => byte - b'0',
                    _ => (byte | 0x20) - b'a' + 10,
                };
                At::Size {
                    size: size.checked_mul(16)? + u64::from(figure),
                    figures: figures + 1,
                }
            }
            (At::Size { figures: 0, .. }, _) => return None,
            (At::Size { size, .. }, b'\r') => At::SizeEnd { size },
            (At::Size { size, .. }, b';' | b' ' | b'\t') => At::Extension { size },
            (At::Extension { size }, b'\r') => At::SizeEnd { size },
            (At::Extension { .. }, b'\n' | 0) => return None,
            (At::Extension { size }, _) => At::Extension { size },
            (At::SizeEnd { size }, b'\n') => {
                self.line = 0;
                match size {
                    0 => At::Trailer(0),
                    size => At::Chunk(size),
                }
            }
            (At::ChunkEnd, b'\r') => At::ChunkEndFeed,
            (At::ChunkEndFeed, b'\n') => {
                self.line = 0;
                At::Size {
                    size: 0,
                    figures: 0,
                }
            }
            (At::Trailer(len), b'\r') => At::TrailerFeed(len),
            (At::Trailer(_), b'\n' | 0) => return None,
            (At::Trailer(len), _) => {
                self.trailers += 1;
                if self.trailers > MOST_TRAILERS {
                    return None;
                }
                At::Trailer(len + 1)
            }
            (At::TrailerFeed(0), b'\n') => At::Done,
            (At::TrailerFeed(_), b'\n') => {
                self.line = 0;
                At::Trailer(0)
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Reads in pieces of `step` bytes; the result must not depend on them.
    fn read(mut body: Body, data: &[u8], step: usize) -> (usize, Progress) {
        let mut used = 0;
        loop {
            let end = (used + step).min(data.len());
            let (n, progress) = body.read(&data[used..end]);
            used += n;
            if progress != Progress::More || used == data.len() {
                return (used, progress);
            }
        }
    }

    fn check(body: Body, data: &[u8], expected: (usize, Progress)) {
        for step in 1..=data.len().min(64) {
            assert_eq!(read(body, data, step), expected, "steps of {step}");
        }
        assert_eq!(read(body, data, data.len()), expected);
    }

    #[test]
    fn sized_content_ends_where_it_says() {
        check(Body::sized(5), b"helloGET /", (5, Progress::Done));
        check(Body::sized(9), b"hello", (5, Progress::More));
        assert!(Body::NONE.is_done());
    }

    #[test]
    fn chunks_end_with_the_empty_one() {
        for text in [
            &b"5\r\nhello\r\n0\r\n\r\n"[..],
            b"005;ext=\"a\"\r\nhello\r\n00\r\n\r\n",
            b"5 \r\nhello\r\nA\r\n0123456789\r\n0\r\nX: y\r\nZ:\r\n\r\n",
            b"0\r\n\r\n",
        ] {
            let mut data = text.to_vec();
            data.extend_from_slice(b"GET / HTTP/1.1");
            check(Body::chunked(), &data, (text.len(), Progress::Done));
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for text in [
            &b"\r\n"[..],
            b"g\r\n",
            b"-5\r\nhello",
            b"+5\r\nhello",
            b"0x5\r\nhello",
            b"5\nhello",
            b"5\r\nhelloX",
            b"5\r\nhello\n",
            b"5\r\nhello\rX",
            b"5;a\nb\r\n",
            b"10000000000000000\r\n",
            b"0\r\nX: y\n\r\n",
            b"0\r\n\rX",
        ] {
            let (_, progress) = read(Body::chunked(), text, text.len());
            assert_eq!(progress, Progress::Malformed, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn everything_is_bounded() {
        let (_, progress) = read(
            Body::sized(MOST + 1),
            &Vec::from([0; MOST as usize + 1]),
            1000,
        );
        assert_eq!(progress, Progress::TooLarge);

        let chunk = b"1\r\nx\r\n".repeat(MOST as usize + 1);
        assert_eq!(read(Body::chunked(), &chunk, 999).1, Progress::TooLarge);

        let mut long = b"5;".to_vec();
        long.extend_from_slice(&[b'a'; 4000]);
        assert_eq!(read(Body::chunked(), &long, 999).1, Progress::Malformed);

        let mut trailers = b"0\r\n".to_vec();
        trailers.extend_from_slice(&b"Name: value\r\n".repeat(2000));
        assert_eq!(read(Body::chunked(), &trailers, 999).1, Progress::Malformed);
    }
}
