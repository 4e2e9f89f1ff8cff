//! The table of connections as it looks from outside. Nothing is allocated, and the caller says
//! how much is looked at in one turn.

use super::Stack;
use crate::census::{ClosedSnapshot, FlowSnapshot};
use smoltcp::time::{Duration, Instant};

impl Stack {
    /// Slots of the table that were ever used: a connection is in one below this number.
    #[must_use]
    pub fn flow_slots(&self) -> u32 {
        self.pool.used()
    }

    /// The connection in a slot, if there is one.
    #[must_use]
    pub fn flow(&self, slot: u32, now: Instant) -> Option<FlowSnapshot> {
        match slot < self.pool.used() {
            true => self.pool[slot].snapshot(slot, now),
            false => None,
        }
    }

    /// Connections that were closed and are remembered, those first that are forgotten first.
    pub fn closed(&self, now: Instant) -> impl Iterator<Item = ClosedSnapshot> + '_ {
        self.time_wait.records().map(move |record| ClosedSnapshot {
            peer: FlowSnapshot::peer(&record.tuple),
            port: record.tuple.local_port,
            left: match record.deadline > now {
                true => record.deadline - now,
                false => Duration::ZERO,
            },
        })
    }
}
