//! TIME-WAIT without a socket: what is left of a connection that we closed first.
//!
//! A record of a few bytes answers a repeated FIN (RFC 9293, 3.10.7.4), ignores RST (RFC 1337),
//! and says whether a new SYN may take its tuple over. The table is bounded; a full one forgets
//! its oldest record.

use crate::order::Order;
use crate::segment::{Segment, Tuple};
use alloc::collections::TryReserveError;
use alloc::vec::Vec;
use smoltcp::time::{Duration, Instant};

/// Least time between two answers of one record. A peer repeats its FIN after 200 ms or more.
const PAUSE: Duration = Duration::from_millis(50);

/// A closed connection. All numbers are as they stood on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    /// Whose connection it was.
    pub tuple: Tuple,
    /// The tuple's hash.
    pub hash: u64,
    /// The peer's initial sequence number.
    pub irs: u32,
    /// Next sequence number that we would send (SND.NXT).
    pub snd_nxt: u32,
    /// Next sequence number that we expect (RCV.NXT).
    pub rcv_nxt: u32,
    /// When the record is forgotten.
    pub deadline: Instant,
    /// When it answered last.
    pub answered: Instant,
}

/// What a segment to a closed connection gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// An acknowledgement; the wait begins anew.
    Acknowledge,
    /// Nothing.
    Ignore,
    /// The record goes, and a connection begins.
    Reopen,
}

/// The records.
pub(crate) struct TimeWait {
    records: Vec<Record>,
    free: Vec<u32>,
    /// By deadline: all wait equally long, so the oldest is the first.
    order: Order<1>,
    limit: usize,
    wait: Duration,
}

impl TimeWait {
    /// Reserves memory for `limit` records, each kept for `wait`.
    ///
    /// # Errors
    /// When the heap cannot give it.
    pub fn new(limit: usize, wait: Duration) -> Result<TimeWait, TryReserveError> {
        let mut records = Vec::new();
        records.try_reserve_exact(limit)?;
        let mut free = Vec::new();
        free.try_reserve_exact(limit)?;
        Ok(TimeWait {
            records,
            free,
            order: Order::new(limit),
            limit,
            wait,
        })
    }

    /// Bytes per record.
    pub const fn cost() -> usize {
        size_of::<Record>() + size_of::<u32>() + Order::<1>::cost()
    }

    /// Records kept.
    pub fn len(&self) -> usize {
        self.order.len(0)
    }

    /// Whether a new record would push out the oldest.
    pub fn is_full(&self) -> bool {
        self.len() == self.limit
    }

    /// The record with this number.
    pub fn get(&self, index: u32) -> &Record {
        &self.records[index as usize]
    }

    /// Keeps a record. The caller has made room. The number says where it is.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn insert(&mut self, mut record: Record, now: Instant) -> u32 {
        record.deadline = now + self.wait;
        let index = match self.free.pop() {
            Some(index) => {
                self.records[index as usize] = record;
                index
            }
            None => {
                self.records.push(record);
                self.records.len() as u32 - 1
            }
        };
        self.order.join(index, 0);
        index
    }

    /// Forgets a record.
    pub fn remove(&mut self, index: u32) {
        self.order.leave(index);
        self.free.push(index);
    }

    /// The oldest record.
    pub fn oldest(&self) -> Option<u32> {
        self.order.oldest(0)
    }

    /// The records, oldest first.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.order.members(0).map(|index| self.get(index))
    }

    /// When the oldest record is forgotten.
    pub fn next(&self) -> Option<Instant> {
        self.oldest().map(|index| self.get(index).deadline)
    }

    /// Judges a segment for a record.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn receive(&mut self, index: u32, segment: &Segment, now: Instant) -> Verdict {
        let record = &mut self.records[index as usize];
        if segment.flags.rst() {
            return Verdict::Ignore;
        }
        if segment.flags.opens() && reopens(record, segment.seq) {
            return Verdict::Reopen;
        }
        if segment.flags.fin() {
            record.deadline = now + self.wait;
            self.order.join(index, 0);
        }
        let record = &mut self.records[index as usize];
        // A bare acknowledgement of what we know is no reason to answer: two such ends would
        // never stop.
        let news = segment.payload > 0
            || segment.flags.fin()
            || segment.flags.syn()
            || segment.seq != record.rcv_nxt;
        if !news || now < record.answered + PAUSE {
            return Verdict::Ignore;
        }
        record.answered = now;
        Verdict::Acknowledge
    }
}

/// Whether a SYN with this sequence number may open a new connection at once.
///
/// RFC 9293, 3.6.1 and RFC 6191, 2 want a number greater than the last one seen. What that
/// guards against is an old duplicate, and those carry numbers that the connection has used:
/// from its initial one to RCV.NXT. So any other number is taken. The stricter test would turn
/// away a peer that draws its numbers at random every second time. We do not use timestamps, so
/// RFC 6191 has nothing to add.
fn reopens(record: &Record, seq: u32) -> bool {
    let used = record.rcv_nxt.wrapping_sub(record.irs);
    seq.wrapping_sub(record.irs) > used
}
