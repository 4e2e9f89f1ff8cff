//! Pages about the guest itself, beside the site: `/healthz`, `/stats.json` and, on the admin
//! port alone, `/blackbox`.
//!
//! An endpoint is a path and a function that writes its page into bounded memory; one more is one
//! more row in [`Endpoint::route`] and [`Endpoint::write`].

use crate::host::Snapshot;
use crate::service::Health;
use crate::stats::Stats;
use crate::text::Text;
use core::fmt::Write as _;
use smoltcp::time::Instant;

/// A page about the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `/healthz`: `ok`, or why not.
    Health,
    /// `/stats.json`: the counters.
    Stats,
    /// `/blackbox`: the last events, in the layout of [`quartz_abi::blackbox`].
    BlackBox,
}

/// A page, ready to be sent.
pub(crate) struct Page<'a> {
    /// Status code.
    pub code: u16,
    /// Head without `Date`, `Connection` and the empty line.
    pub head: &'a [u8],
    /// Content.
    pub content: &'a [u8],
    /// Bytes of the black box behind it.
    pub black_box: usize,
}

impl Endpoint {
    /// The endpoint at a path.
    pub fn route(path: &[u8], admin: bool) -> Option<Endpoint> {
        match path {
            b"/blackbox" if admin => Some(Endpoint::BlackBox),
            b"/healthz" => Some(Endpoint::Health),
            b"/stats.json" => Some(Endpoint::Stats),
            _ => None,
        }
    }

    /// Whether the page shows who holds the receive buffers: it is written when nobody holds one
    /// for a frame that is just being looked at, the one with the request least of all.
    pub fn needs_rest(self) -> bool {
        self == Endpoint::Stats
    }

    /// Writes the page into `text`. `black_box`: how many bytes there are of it.
    pub fn write<'a>(
        self,
        text: &'a mut Text,
        stats: &Stats,
        health: &Health,
        snapshot: &dyn Fn() -> Snapshot,
        black_box: usize,
        now: Instant,
    ) -> Page<'a> {
        text.clear();
        let (code, phrase, kind) = match self {
            Endpoint::Health => {
                let reason = match (health.draining, health.degraded) {
                    (true, _) => Some("draining"),
                    (false, reason) => reason,
                };
                text.push(reason.unwrap_or("ok").as_bytes());
                match reason {
                    None => (200, "OK", "text/plain; charset=utf-8"),
                    Some(_) => (503, "Service Unavailable", "text/plain; charset=utf-8"),
                }
            }
            Endpoint::Stats => {
                stats.write(text, &snapshot(), now);
                (200, "OK", "application/json")
            }
            Endpoint::BlackBox if black_box == 0 => {
                text.push(b"no black box is kept\n");
                (404, "Not Found", "text/plain; charset=utf-8")
            }
            Endpoint::BlackBox => (200, "OK", "application/octet-stream"),
        };
        let black_box = match self {
            Endpoint::BlackBox => black_box,
            Endpoint::Health | Endpoint::Stats => 0,
        };
        let content = text.bytes().len();
        let length = content + black_box;
        // Writing into `Text` cannot fail.
        let _ = write!(
            text,
            "HTTP/1.1 {code} {phrase}\r\nServer: Quartz\r\nContent-Type: {kind}\r\n\
             Content-Length: {length}\r\nCache-Control: no-store\r\n"
        );
        let (content, head) = text.bytes().split_at(content);
        Page {
            code,
            head,
            content,
            black_box,
        }
    }
}
