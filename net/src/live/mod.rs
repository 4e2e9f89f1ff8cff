//! The page of live figures at the root of the admin port.
//!
//! `page.html`, `style.css` and `script.js` become one file at build time (`build.rs`), which is
//! kept and sent compressed. It asks for `/stats.json` and `/flows.json`, loads nothing else, and its
//! policy names the one style sheet and the one script that run.

/// The page, compressed with gzip.
pub(crate) static PAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/live.html.gz"));

/// Fields that go with it.
pub(crate) const FIELDS: &str = include_str!(concat!(env!("OUT_DIR"), "/live.fields"));

/// What the answer depends on.
pub(crate) const VARY: &str = "Vary: Accept-Encoding\r\n";

/// For a client that takes no gzip.
pub(crate) const DIRECTORY: &[u8] = b"Quartz, the admin port\n\n\
    /             figures as they change, for a browser (a client that takes gzip)\n\
    /healthz      200 ok, or 503 with the reason\n\
    /stats.json   the counters\n\
    /metrics      the counters for Prometheus\n\
    /flows.json   the connections, 64 to a page; ?from=SLOT for the next\n\
    /blackbox     the last events, for quartz autopsy\n";
