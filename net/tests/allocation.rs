//! What is allocated, and when: all of it at boot, within what was promised, and nothing per
//! request or connection.

mod common;

use common::raw::{SYN, Segment};
use common::{config, site};
use quartz_net::{Host, Instant, Outgoing, Snapshot, Stack};
use smoltcp::wire::{Ipv4Address, TcpControl};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counted for each thread.
struct Counted;

// SAFETY: every call goes on to the system's allocator with what it was given.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
        let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() + layout.size() as u64));
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTED: Counted = Counted;

/// What `work` allocates: calls and bytes.
fn count<R>(work: impl FnOnce() -> R) -> (u64, u64, R) {
    let (calls, bytes) = (CALLS.get(), BYTES.get());
    let result = work();
    (CALLS.get() - calls, BYTES.get() - bytes, result)
}

/// A transmit ring of one frame that does not allocate.
struct Slot {
    frame: [u8; 1514],
    len: usize,
}

impl Host for Slot {
    fn can_transmit(&mut self) -> bool {
        true
    }

    fn transmit<R>(&mut self, frame: &Outgoing, fill: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        self.len = frame.len;
        Some(fill(&mut self.frame[..frame.len]))
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::default()
    }
}

#[test]
fn the_stack_takes_no_more_memory_than_it_was_given() {
    for memory in [1 << 20, 4 << 20, 16 << 20, 200 << 20] {
        let mut config = config();
        config.memory = memory;
        let site = site();
        let now = Instant::from_millis(1);
        let (_, bytes, stack) = count(|| Stack::new(config, site, now).unwrap());
        assert!(bytes <= memory as u64, "{bytes} of {memory}");
        let connections = stack.stats().limit;
        assert!(
            bytes * 10 >= memory as u64 * 8,
            "{bytes} of {memory}, {connections} connections"
        );
    }
}

#[test]
fn requests_and_connections_allocate_nothing() {
    let mut stack = Stack::new(config(), site(), Instant::from_millis(1)).unwrap();
    let mut slot = Slot {
        frame: [0; 1514],
        len: 0,
    };
    // What is announced at boot has been said.
    for second in 0..10 {
        stack.timers(&mut slot, Instant::from_secs(second));
    }
    let mut allocated = 0;
    let mut served = 0;
    for round in 0..300u32 {
        let now = Instant::from_millis(20_000 + i64::from(round) * 20);
        // Ports come again while they are remembered.
        let mut segment = Segment {
            client_port: 4000 + (round % 50) as u16,
            seq: round * 10_000,
            ..SYN
        };
        let mut say = |segment: &Segment<'_>, slot: &mut Slot| {
            let frame = segment.frame();
            slot.len = 0;
            let (calls, _, ()) = count(|| {
                stack.ingest(&frame, false, slot, now);
                stack.timers(slot, now);
            });
            allocated += calls;
            served = stack.stats().requests_served;
            common::raw::hear(&slot.frame[..slot.len])
        };
        let heard = say(&segment, &mut slot).expect("a SYN|ACK");
        segment.control = TcpControl::Psh;
        segment.seq += 1;
        segment.ack = Some(heard.seq.wrapping_add(1));
        for payload in [
            &b"GET /style.css HTTP/1.1\r\nHost: x\r\n\r\n"[..],
            b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /n%6fthing HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /docs?with=query HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /kib.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9,500-509\r\nAccept-Encoding: br\r\n\r\n",
            b"GET /kib.bin HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\n\r\n",
            b"GET /kib.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        ] {
            segment.payload = payload;
            let heard = say(&segment, &mut slot).expect("an answer");
            segment.seq += payload.len() as u32;
            let fin = u32::from(heard.control == TcpControl::Fin);
            segment.ack = Some(heard.seq.wrapping_add(heard.payload.len() as u32 + fin));
        }
        segment.payload = &[];
        segment.control = TcpControl::Fin;
        say(&segment, &mut slot);
    }
    assert_eq!((served, stack.stats().connections_served), (2100, 300));
    assert_eq!(allocated, 0);
}

#[test]
fn floods_and_large_answers_allocate_nothing() {
    let mut config = config();
    config.conns = Some(40);
    config.conns_per_source = Some(18);
    let mut stack = Stack::new(config, site(), Instant::from_millis(1)).unwrap();
    let mut slot = Slot {
        frame: [0; 1514],
        len: 0,
    };
    for second in 0..10 {
        stack.timers(&mut slot, Instant::from_secs(second));
    }
    let mut allocated = 0;
    let mut say = |segment: &Segment<'_>, ms: i64, slot: &mut Slot| {
        let now = Instant::from_millis(20_000 + ms);
        let frame = segment.frame();
        slot.len = 0;
        let (calls, _, ()) = count(|| {
            stack.ingest(&frame, false, slot, now);
            stack.timers(slot, now);
        });
        allocated += calls;
        common::raw::hear(&slot.frame[..slot.len])
    };
    for n in 0..5000u32 {
        let stranger = Segment {
            client: Ipv4Address::from((10 << 24) + (2 << 8) + 16 + n % 200),
            client_port: (n / 200) as u16 + 1000,
            ..SYN
        };
        say(&stranger, i64::from(n), &mut slot);
        if n % 50 != 49 {
            continue;
        }
        // Somebody who means it, gets a cookie, and begins to fetch what fills many segments.
        let mut segment = Segment {
            client: Ipv4Address::new(10, 0, 2, 9 + (n / 50 % 2) as u8),
            client_port: 5000 + (n / 50) as u16,
            seq: n,
            ..SYN
        };
        let Some(heard) = say(&segment, i64::from(n), &mut slot) else {
            continue;
        };
        segment.control = TcpControl::Psh;
        segment.seq += 1;
        segment.ack = Some(heard.seq.wrapping_add(1));
        segment.payload = b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n";
        let Some(heard) = say(&segment, i64::from(n), &mut slot) else {
            continue;
        };
        segment.seq += segment.payload.len() as u32;
        segment.payload = &[];
        segment.control = TcpControl::None;
        // The last of ten segments was the last that was heard.
        segment.ack = Some(heard.seq.wrapping_add(heard.payload.len() as u32));
        say(&segment, i64::from(n), &mut slot);
    }
    let stats = stack.stats();
    assert!(stats.cookies.accepted > 20, "{stats:?}");
    assert!(
        stats.evicted.half_open > 0 && stats.source_limited > 0,
        "{stats:?}"
    );
    assert_eq!(allocated, 0);
}
