//! Net: connections, HTTP and the site.
//!
//! Owns everything from an Ethernet frame to a file's bytes: addresses, the flow table, TIME-WAIT,
//! admission, HTTP, the site in its tar image, and the counters. smoltcp is the engine for
//! whatever of TCP's receiving half is not a whole request in order, and for what is around it; the
//! sending half and handshakes are ours.
//! It never touches hardware, never reads a clock (the time comes with each call), never waits,
//! and has no unsafe code.
//!
//! One frame's way: `segment` looks at it, `table` finds its connection, `flow` gives it to
//! that connection's socket and lets `http` read and answer into its `outbox`; `sender` says what
//! of that may be sent, and it goes out through `link` before the next frame is looked at. So an
//! acknowledgement rides on its answer.
//!
//! Everything is bounded and reserved in [`Stack::new`]: connections and their buffers (`pool`),
//! the table, deadlines, records of closed connections (`time_wait`). A request allocates
//! nothing.
//!
//! `optimize(size)` marks what runs at boot or seldom, `optimize(speed)` what every request passes: the
//! guest's image is small where it need not be fast. The attribute is not stable; the host's compiler
//! does not see it.
#![cfg_attr(target_os = "none", feature(optimize_attribute))]
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod acknowledge;
mod address;
pub mod app;
mod census;
mod challenge;
mod checksum;
mod config;
mod context;
mod cookie;
mod deadlines;
mod endpoints;
mod flow;
mod flows;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod host;
mod http;
mod internet;
mod link;
mod live;
mod metrics;
mod order;
mod outbox;
mod pool;
mod segment;
mod sender;
mod sequence;
mod service;
mod site;
mod sources;
mod stack;
mod stats;
mod table;
mod text;
mod time_wait;

pub use census::{ClosedSnapshot, FlowSnapshot, FlowState};
pub use config::{StackConfig, StackError};
pub use host::{Cut, Host, Outgoing, Snapshot};
pub use site::{MOST_ENTRIES, Site, SiteError, SiteErrorKind, SiteOptions};
pub use smoltcp::time::{Duration, Instant};
pub use stack::Stack;
pub use stats::{Cookies, Dropped, Evicted, Expired, Fragmented, Icmp, Neighbors, Stats};
