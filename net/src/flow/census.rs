//! A connection as it looks from outside.

use super::{Flow, Stage};
use crate::census::{FlowSnapshot, FlowState};
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::time::Instant;

impl Flow {
    /// A copy, for the slot's number; `None`: there is no connection in it.
    pub fn snapshot(&self, slot: u32, now: Instant) -> Option<FlowSnapshot> {
        let state = match self.stage {
            Stage::Free => return None,
            Stage::HalfOpen => FlowState::HalfOpen,
            Stage::Idle => FlowState::Idle,
            Stage::Busy => FlowState::Busy,
            Stage::Closing => FlowState::Closing,
        };
        // SYN and FIN take a number each.
        let ended = self.awake
            && matches!(
                self.set.get::<Socket<'_>>(self.handle).state(),
                State::CloseWait | State::Closing | State::LastAck | State::TimeWait
            );
        let data =
            |from: u32, to: u32, fin: bool| to.wrapping_sub(from).wrapping_sub(1 + u32::from(fin));
        let sent = data(self.iss, self.sender.span().0, self.sender.has_ended());
        Some(FlowSnapshot {
            slot,
            state,
            peer: FlowSnapshot::peer(&self.tuple),
            port: self.tuple.local_port,
            age: now - self.opened,
            received: data(self.irs, self.heard, ended),
            sent,
            queued: self.queue.len() as u64,
        })
    }

    /// The first slot of the page of connections that its answer shows, if it waits to be written.
    pub fn asks_for_flows(&self) -> Option<u32> {
        self.conn.asks_for_flows()
    }
}
