//! Who is connected: a copy of what each connection is doing, for people and programs.

use crate::segment::Tuple;
use core::net::SocketAddr;
use smoltcp::time::Duration;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlowState {
    /// The handshake is not complete.
    HalfOpen,
    /// It waits for a request.
    Idle,
    /// A request or its answer is under way.
    Busy,
    /// We have said everything.
    Closing,
}

impl FlowState {
    /// Its name, for people and programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FlowState::HalfOpen => "half_open",
            FlowState::Idle => "idle",
            FlowState::Busy => "busy",
            FlowState::Closing => "closing",
        }
    }
}

/// A connection at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowSnapshot {
    /// Its place in the table, the same as long as it lives.
    pub slot: u32,
    /// What it is doing.
    pub state: FlowState,
    /// The peer.
    pub peer: SocketAddr,
    /// Our port.
    pub port: u16,
    /// Time since its first segment.
    pub age: Duration,
    /// Bytes of data received in order, modulo 2^32.
    pub received: u32,
    /// Bytes of data that the peer has acknowledged, modulo 2^32.
    pub sent: u32,
    /// Bytes said and not acknowledged.
    pub queued: u64,
}

impl FlowSnapshot {
    /// The peer of a tuple.
    pub(crate) fn peer(tuple: &Tuple) -> SocketAddr {
        SocketAddr::new(tuple.remote_address(), tuple.remote_port)
    }
}

/// A connection that was closed and is remembered (RFC 9293, 3.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedSnapshot {
    /// The peer.
    pub peer: SocketAddr,
    /// Our port.
    pub port: u16,
    /// Time until it is forgotten.
    pub left: Duration,
}
