//! An acknowledgement without a socket, for a connection of which only a record is left.

use crate::frame::Head;
use crate::host::Host;
use crate::link::Wire;
use crate::segment::{Flags, Segment};
use crate::time_wait::Record;

/// Answers `segment` with what the record knows. If the transmit ring is full, the peer will ask
/// again.
pub(crate) fn send<H: Host>(wire: &mut Wire, host: &mut H, segment: &Segment, record: &Record) {
    let head = Head {
        tuple: &segment.tuple,
        to: segment.source,
        seq: record.snd_nxt,
        ack: record.rcv_nxt,
        window: 0,
        flags: Flags(Flags::ACK),
        options: 0,
    };
    wire.say(host, &head, 0, |_| {});
}
