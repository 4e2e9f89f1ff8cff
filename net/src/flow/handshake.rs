//! How a connection begins, without smoltcp: the SYN|ACK, its repetitions, and the acknowledgement.

use super::patience::IDLE;
use super::{Flow, Stage};
use crate::context::Context;
use crate::frame::{self, Head, OPTIONS};
use crate::host::Host;
use crate::segment::{Flags, Segment};
use crate::sender::{Ack, Peer, Sack};
use smoltcp::time::{Duration, Instant};

/// When a SYN|ACK is repeated that nobody has acknowledged (RFC 6298, 2.1); each time after twice as
/// long.
const REPEAT: Duration = Duration::from_secs(1);

impl Flow {
    /// What a segment is to a handshake that smoltcp does not know of.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub(super) fn hear_handshake(
        &mut self,
        context: &mut Context,
        segment: &Segment,
        now: Instant,
    ) -> Heard {
        if segment.flags.opens() && segment.seq == self.irs {
            // The first time, or the answer was lost.
            self.again = now;
            return Heard::Syn;
        }
        let expected = segment.flags.answers()
            && segment.ack == self.iss.wrapping_add(1)
            && segment.seq == self.heard;
        if !expected {
            return Heard::Other;
        }
        self.edge = self.heard.wrapping_add(self.capacity);
        self.told = self.heard;
        self.establish(context, segment, now);
        Heard::Complete
    }

    /// The handshake is complete by this segment.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub(super) fn establish(&mut self, context: &mut Context, segment: &Segment, now: Instant) {
        let ack = Ack {
            ack: segment.ack,
            window: segment.window,
            seq: segment.seq,
            bare: false,
            blocks: &Sack::NONE,
        };
        self.sender.established(&ack, now);
        self.stage = Stage::Idle;
        self.deadline = now + IDLE;
        context.service.stats.connections_served += 1;
    }

    /// Sends the SYN|ACK, if it is time.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub(super) fn shake_hands<H: Host>(
        &mut self,
        context: &mut Context,
        host: &mut H,
        now: Instant,
    ) {
        if now < self.again {
            return;
        }
        if !host.can_transmit() {
            self.stalled = true;
            return;
        }
        if self.shakes > 0 {
            self.sender.opened_again();
        }
        self.again = now + REPEAT * (1 << self.shakes.min(6));
        self.shakes = self.shakes.saturating_add(1);
        let Peer { scale, sack, .. } = self.sender.peer();
        let most = context.wire.mtu() - frame::overhead(&self.tuple);
        // Our windows need no shift.
        let options = frame::options(most as u16, scale.map(|_| 0), sack);
        let head = Head {
            tuple: &self.tuple,
            to: self.peer,
            seq: self.iss,
            ack: self.heard,
            window: self.capacity.min(u32::from(u16::MAX)) as u16,
            flags: Flags(Flags::SYN | Flags::ACK),
            options: OPTIONS,
        };
        context.wire.say(host, &head, OPTIONS, |target| {
            target.copy_from_slice(&options)
        });
    }
}

/// What a segment was to a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The request for the connection.
    Syn,
    /// It completes the handshake, and may hold more.
    Complete,
    /// Something that smoltcp has to judge.
    Other,
}
