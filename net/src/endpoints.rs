//! Pages about the guest itself, beside the site: `/healthz`, `/stats.json` and, on the admin
//! port alone, `/`, `/metrics`, `/flows.json` and `/blackbox`.
//!
//! An endpoint is a path and a function that writes its page into bounded memory; one more is one
//! more row in [`Endpoint::route`] and [`Endpoint::write`].

use crate::flows;
use crate::host::Snapshot;
use crate::live;
use crate::metrics;
use crate::service::Service;
use crate::text::Text;
use core::fmt::Write as _;
use smoltcp::time::Instant;

const PLAIN: &str = "text/plain; charset=utf-8";

/// A page about the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `/healthz`: `ok`, or why not.
    Health,
    /// `/stats.json`: the counters.
    Stats,
    /// `/metrics`: the counters for Prometheus.
    Metrics,
    /// `/flows.json?from=N`: a page of the connections.
    Flows {
        /// The first slot on it.
        from: u32,
    },
    /// `/`: the figures as they change, for a browser.
    Live,
    /// The same for a client that takes no gzip: a list of the pages.
    Directory,
    /// `/blackbox`: the last events, in the layout of [`quartz_abi::blackbox`].
    BlackBox,
    /// A query that the page does not know.
    BadQuery,
}

/// A page, ready to be sent.
pub(crate) struct Page<'a> {
    /// Status code.
    pub code: u16,
    /// Head without `Date`, `Connection` and the empty line.
    pub head: &'a [u8],
    /// `Date`.
    pub date: &'a [u8],
    /// Content.
    pub content: &'a [u8],
    /// What lies ready behind it.
    pub ready: &'static [u8],
    /// Bytes of the black box behind it.
    pub black_box: usize,
}

/// What is asked for.
pub(crate) struct Question<'a> {
    /// The path.
    pub path: &'a [u8],
    /// What follows the question mark.
    pub query: Option<&'a [u8]>,
    /// The client takes gzip.
    pub gzip: bool,
}

impl Endpoint {
    /// Whether there may be one at a path: most paths lead elsewhere.
    #[inline]
    pub fn may_be(path: &[u8], admin: bool) -> bool {
        admin || matches!(path, [b'/', b'h' | b's', ..])
    }

    /// The endpoint at a path.
    pub fn route(asked: &Question<'_>, admin: bool) -> Option<Endpoint> {
        match asked.path {
            b"/healthz" => Some(Endpoint::Health),
            b"/stats.json" => Some(Endpoint::Stats),
            _ if !admin => None,
            b"/" if asked.gzip => Some(Endpoint::Live),
            b"/" => Some(Endpoint::Directory),
            b"/metrics" => Some(Endpoint::Metrics),
            b"/flows.json" => Some(match flows::first(asked.query) {
                Some(from) => Endpoint::Flows { from },
                None => Endpoint::BadQuery,
            }),
            b"/blackbox" => Some(Endpoint::BlackBox),
            _ => None,
        }
    }

    /// Whether the page shows who holds the receive buffers, or other connections: it is written
    /// when nobody holds a buffer for a frame that is just being looked at, the one with the
    /// request least of all.
    pub fn needs_rest(self) -> bool {
        matches!(
            self,
            Endpoint::Stats | Endpoint::Metrics | Endpoint::Flows { .. }
        )
    }

    /// Writes the page into the service's text. `black_box`: how many bytes there are of it.
    pub fn write<'a>(
        self,
        service: &'a mut Service,
        snapshot: &dyn Fn() -> Snapshot,
        black_box: usize,
        now: Instant,
    ) -> Page<'a> {
        let Service {
            text,
            stats,
            health,
            flows,
            date,
            ..
        } = service;
        text.clear();
        let mut page = Draft {
            code: 200,
            kind: PLAIN,
            fields: "",
            ready: &[],
            black_box: 0,
        };
        match self {
            Endpoint::Health => {
                let reason = match (health.draining, health.degraded) {
                    (true, _) => Some("draining"),
                    (false, reason) => reason,
                };
                text.push(reason.unwrap_or("ok").as_bytes());
                page.code = if reason.is_some() { 503 } else { 200 };
            }
            Endpoint::Stats => {
                stats.write(text, &snapshot(), now);
                page.kind = "application/json";
            }
            Endpoint::Metrics => {
                metrics::write(text, stats, health, &snapshot(), now);
                page.kind = metrics::CONTENT_TYPE;
            }
            Endpoint::Flows { .. } => {
                flows.write(text, stats.open + stats.half_open, now);
                page.kind = "application/json";
            }
            Endpoint::Live => {
                page.kind = "text/html; charset=utf-8";
                page.fields = live::FIELDS;
                page.ready = live::PAGE;
            }
            Endpoint::Directory => {
                text.push(live::DIRECTORY);
                page.fields = live::VARY;
            }
            Endpoint::BlackBox if black_box == 0 => {
                text.push(b"no black box is kept\n");
                page.code = 404;
            }
            Endpoint::BlackBox => {
                page.black_box = black_box;
                page.kind = "application/octet-stream";
            }
            Endpoint::BadQuery => {
                text.push(b"the query has to be from=SLOT\n");
                page.code = 400;
            }
        }
        let date = date.field(now.total_micros() / 1_000_000);
        page.head(text, date)
    }
}

/// A page whose content is written, but for its head.
struct Draft {
    code: u16,
    kind: &'static str,
    /// More fields.
    fields: &'static str,
    ready: &'static [u8],
    black_box: usize,
}

impl Draft {
    /// Writes the head behind the content. What the text does not hold whole is not sent at all.
    fn head<'a>(mut self, text: &'a mut Text, date: &'a [u8]) -> Page<'a> {
        let content = self.head_of(text);
        let content = if text.is_full() {
            log::error!(target: "http", "a page about the guest is longer than its memory");
            self = Draft {
                code: 500,
                kind: PLAIN,
                fields: "",
                ready: &[],
                black_box: 0,
            };
            text.clear();
            text.push(b"the page is longer than its memory\n");
            self.head_of(text)
        } else {
            content
        };
        let (content, head) = text.bytes().split_at(content);
        Page {
            code: self.code,
            head,
            date,
            content,
            ready: self.ready,
            black_box: self.black_box,
        }
    }

    /// The same without a check; says how long the content is.
    #[inline(never)]
    fn head_of(&self, text: &mut Text) -> usize {
        let phrase = match self.code {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            503 => "Service Unavailable",
            _ => "Internal Server Error",
        };
        let content = text.len();
        let (code, kind, fields) = (self.code, self.kind, self.fields);
        let length = content + self.ready.len() + self.black_box;
        // Writing into `Text` cannot fail.
        let _ = write!(
            text,
            "HTTP/1.1 {code} {phrase}\r\nServer: Quartz\r\nContent-Type: {kind}\r\n\
             Content-Length: {length}\r\nCache-Control: no-store\r\n{fields}"
        );
        content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_not_cut_off() {
        // Whole up to the last byte that leaves room for the head, an error from there on.
        for (length, code) in [(0, 200), (100, 200), (2000, 500), (4096, 500)] {
            let mut text = Text::new(2048);
            text.push(&[b'x'; 4096][..length]);
            let draft = Draft {
                code: 200,
                kind: PLAIN,
                fields: "",
                ready: &[],
                black_box: 0,
            };
            let page = draft.head(&mut text, b"");
            assert_eq!(page.code, code, "{length}");
            if code == 200 {
                assert_eq!(page.content.len(), length);
            } else {
                assert!(page.head.starts_with(b"HTTP/1.1 500 "));
                assert!(page.content.ends_with(b"memory\n"));
            }
            assert!(page.head.ends_with(b"Cache-Control: no-store\r\n"));
        }
    }
}
