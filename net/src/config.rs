//! What the stack is told at boot, and how it divides its memory.

use crate::deadlines::Deadlines;
use crate::flow::INITIAL_WINDOW;
use crate::internet::Fragments;
use crate::order::Order;
use crate::pool::{BufferClass, Pool};
use crate::table::Table;
use crate::time_wait::TimeWait;
use core::fmt;
use quartz_abi::cmdline::{Ipv4Setup, Ipv6Setup};
use smoltcp::time::Duration;

/// What the stack takes beside connections, records and places for fragments: scratch memory and
/// smoltcp's interfaces.
const FIXED: usize = 84 << 10;
/// Fewest connections that a server is worth starting with.
const FEWEST: usize = 8;
/// Most records of closed connections: more than a client has ports.
const MOST_RECORDS: usize = 65_536;

/// Settings of the stack.
#[derive(Clone, Copy, Debug)]
pub struct StackConfig {
    /// Our hardware address.
    pub mac: [u8; 6],
    /// Largest IP packet of the link, in bytes, from 1280 to 9000.
    pub mtu: u16,
    /// How the IPv4 address is got.
    pub ipv4: Ipv4Setup,
    /// How the IPv6 addresses are got.
    pub ipv6: Ipv6Setup,
    /// TCP port of the site.
    pub port: u16,
    /// TCP port of the admin endpoints, beside the site.
    pub admin: Option<u16>,
    /// `/healthz` and `/stats.json` are on the site's port too.
    pub public_endpoints: bool,
    /// Most connections at once, if memory allows them; `None`: what memory allows.
    pub conns: Option<u32>,
    /// Bytes that the stack may reserve for connections.
    pub memory: usize,
    /// How long a closed connection is remembered.
    pub time_wait: Duration,
    /// The host writes the checksums of TCP segments, or has its device do it: we leave zero there.
    pub tx_checksum_offload: bool,
    /// Random bytes: the table's key and that of initial sequence numbers.
    pub seed: [u8; 32],
    /// Version for `/stats.json`.
    pub version: &'static str,
    /// Unix time in seconds at time 0 of the clock that `now` is read from.
    pub wall_clock: Option<u64>,
}

/// Why the stack cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackError {
    /// The memory is too little even for the fewest connections; so many bytes are needed.
    TooLittleMemory {
        /// Least value of [`StackConfig::memory`].
        needed: usize,
    },
    /// The heap could not give what the configuration allows.
    HeapExhausted,
    /// The MTU is not between 1280 and 9000.
    BadMtu(u16),
    /// The hardware address is a group address.
    BadHardwareAddress([u8; 6]),
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StackError::TooLittleMemory { needed } => {
                write!(
                    f,
                    "too little memory for connections: {needed} bytes are needed"
                )
            }
            StackError::HeapExhausted => {
                f.write_str("the heap is smaller than the memory promised for connections")
            }
            StackError::BadMtu(mtu) => write!(f, "an MTU of {mtu} is not usable"),
            StackError::BadHardwareAddress(mac) => {
                write!(f, "the hardware address {mac:02x?} is a group address")
            }
        }
    }
}

impl core::error::Error for StackError {}

/// How the memory is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Buffers of a connection.
    pub class: BufferClass,
    /// Most connections.
    pub flows: usize,
    /// Most records of closed connections.
    pub records: usize,
}

impl Plan {
    /// Divides `memory` bytes.
    pub fn new(memory: usize, conns: Option<u32>) -> Result<Plan, StackError> {
        let class = if memory >= 8 << 20 {
            BufferClass {
                rx: 8192,
                tx: INITIAL_WINDOW,
            }
        } else {
            BufferClass { rx: 4096, tx: 4096 }
        };
        let rest = memory.saturating_sub(FIXED + Fragments::cost(memory));
        let record = TimeWait::cost() + Table::cost();
        let records = (rest / 8 / record).min(MOST_RECORDS);
        let flow = class.rx
            + class.tx
            + Pool::cost()
            + Order::<4>::cost()
            + Deadlines::cost()
            + Table::cost()
            // A place in the queue for the transmit ring.
            + size_of::<u32>();
        let fits = (rest - records * record) / flow;
        let flows = conns.map_or(fits, |conns| fits.min(conns as usize));
        if fits < FEWEST {
            return Err(StackError::TooLittleMemory {
                needed: FIXED + Fragments::cost(0) + FEWEST * flow * 8 / 7 + record,
            });
        }
        Ok(Plan {
            class,
            flows,
            records: records.max(FEWEST),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_memory_both_work() {
        let tiny = Plan::new(1 << 20, None).unwrap();
        assert!(tiny.flows >= 80, "{tiny:?}");
        assert!(tiny.records >= 256, "{tiny:?}");
        let large = Plan::new(200 << 20, None).unwrap();
        assert!(large.flows >= 7000, "{large:?}");
        assert!(large.records >= 32_768, "{large:?}");
    }

    #[test]
    fn a_wish_is_bounded_by_memory() {
        assert_eq!(Plan::new(16 << 20, Some(50)).unwrap().flows, 50);
        let most = Plan::new(16 << 20, None).unwrap().flows;
        assert_eq!(Plan::new(16 << 20, Some(1_000_000)).unwrap().flows, most);
    }

    #[test]
    fn too_little_says_how_much_is_needed() {
        let Err(StackError::TooLittleMemory { needed }) = Plan::new(10_000, None) else {
            panic!("10,000 bytes cannot be enough");
        };
        assert!(Plan::new(needed, None).is_ok());
    }
}
