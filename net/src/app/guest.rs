//! What a handler may know of the guest.

use super::Writer;
use crate::host::Snapshot;
use crate::stats::Stats;
use smoltcp::time::Instant;

/// The guest, as it is now.
pub struct Guest<'a> {
    pub(crate) stats: &'a Stats,
    pub(crate) snapshot: &'a dyn Fn() -> Snapshot,
    pub(crate) draining: bool,
    pub(crate) now: Instant,
}

impl Guest<'_> {
    /// The time since boot.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The counters of the network.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        self.stats
    }

    /// Figures of the machine: rings, heap, boot.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        (self.snapshot)()
    }

    /// Whether the guest is about to stop: streams should come to an end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Writes what `/stats.json` has: one line, with its end.
    pub fn write_stats(&self, out: &mut Writer<'_>) {
        self.stats.write(out.text, &self.snapshot(), self.now);
    }
}
