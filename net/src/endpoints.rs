//! Pages about the guest itself, beside the site: `/healthz` and `/stats.json`.
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
}

/// A page, ready to be sent.
pub(crate) struct Page<'a> {
    /// Status code.
    pub code: u16,
    /// Head without `Date`, `Connection` and the empty line.
    pub head: &'a [u8],
    /// Content.
    pub content: &'a [u8],
}

impl Endpoint {
    /// The endpoint at a path.
    pub fn route(path: &[u8]) -> Option<Endpoint> {
        match path {
            b"/healthz" => Some(Endpoint::Health),
            b"/stats.json" => Some(Endpoint::Stats),
            _ => None,
        }
    }

    /// Writes the page into `text`.
    pub fn write<'a>(
        self,
        text: &'a mut Text,
        stats: &Stats,
        health: &Health,
        snapshot: &dyn Fn() -> Snapshot,
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
        };
        let content = text.bytes().len();
        // Writing into `Text` cannot fail.
        let _ = write!(
            text,
            "HTTP/1.1 {code} {phrase}\r\nServer: Quartz\r\nContent-Type: {kind}\r\n\
             Content-Length: {content}\r\nCache-Control: no-store\r\n"
        );
        let (content, head) = text.bytes().split_at(content);
        Page {
            code,
            head,
            content,
        }
    }
}
