//! What a frame costs with few and with many connections: `cargo bench -p quartz-net`, or with
//! the numbers of connections behind `--`.
//!
//! Requests go round over all connections, so that each finds its connection cold. The figures are
//! for this host and say nothing of the guest; their ratio is what counts.

#[path = "../tests/common/mod.rs"]
mod common;

use common::raw::{SYN, Segment};
use common::{Rig, config, site};
use smoltcp::wire::{Ipv4Address, TcpControl};
use std::time::Instant;

const GET: &[u8] = b"GET /kib.bin HTTP/1.1\r\nHost: 10.0.2.15\r\n\r\n";
const REQUESTS: usize = 200_000;

/// A client's connection, as far as it has come.
struct Client {
    segment: Segment<'static>,
}

fn main() {
    // `cargo test` runs benchmarks too, with this word; it only wants to know that they run.
    let requests = match std::env::args().any(|word| word == "--bench") {
        true => REQUESTS,
        false => 1000,
    };
    let mut chosen: Vec<usize> = std::env::args().filter_map(|w| w.parse().ok()).collect();
    if chosen.is_empty() {
        chosen = vec![10, 100, 1000, 10_000];
    }
    let mut first = None;
    for connections in chosen {
        let cost = cost(connections, requests);
        let ratio = cost / *first.get_or_insert(cost);
        println!("{connections:6} connections: {cost:6.0} ns a request, ratio {ratio:.2}");
    }
}

/// Nanoseconds for a request and its answer.
fn cost(connections: usize, requests: usize) -> f64 {
    let mut config = config();
    config.memory = 512 << 20;
    let mut rig = Rig::with(config, site());
    let clients = (0..connections).map(|n| open(&mut rig, n));
    let mut clients: Vec<Client> = clients.collect();
    assert_eq!(rig.stack.stats().open, connections as u64);
    let rounds = (requests / connections).max(2);
    let mut spent = std::time::Duration::ZERO;
    for round in 0..rounds {
        rig.now += quartz_net::Duration::from_millis(1);
        // In small batches, so that the frames themselves stay in the cache and only the
        // connections do not.
        for batch in clients.chunks_mut(10) {
            let frames: Vec<_> = batch.iter().map(|client| client.segment.frame()).collect();
            let begun = Instant::now();
            for frame in &frames {
                rig.inject(frame);
            }
            rig.stack.timers(&mut rig.machine, rig.now);
            if round > 0 {
                spent += begun.elapsed();
            }
            let heard = rig.heard();
            assert_eq!(heard.len(), batch.len());
            for (client, heard) in batch.iter_mut().zip(heard) {
                client.segment.seq += GET.len() as u32;
                client.segment.ack = Some(heard.seq.wrapping_add(heard.payload.len() as u32));
            }
        }
    }
    assert_eq!(
        rig.stack.stats().requests_served,
        (rounds * connections) as u64
    );
    spent.as_nanos() as f64 / ((rounds - 1) * connections) as f64
}

/// Opens connection `n`: ports of a few hundred clients.
fn open(rig: &mut Rig, n: usize) -> Client {
    rig.machine.ring = usize::MAX;
    let client = Ipv4Address::new(10, 0, 2, 20 + (n % 200) as u8);
    let syn = Segment {
        client,
        client_port: 1000 + (n / 200) as u16,
        ..SYN
    };
    let heard = rig.say(syn);
    let segment = Segment {
        control: TcpControl::None,
        seq: syn.seq + 1,
        ack: Some(heard[0].seq.wrapping_add(1)),
        ..syn
    };
    rig.say(segment);
    Client {
        segment: Segment {
            control: TcpControl::Psh,
            payload: GET,
            ..segment
        },
    }
}
