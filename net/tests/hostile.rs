//! Frames that nobody should send: changed, cut, glued together. The stack must neither fall over
//! nor stop serving.

mod common;

use common::frames::{mend, seeds};
use common::raw::{SYN, Segment};
use common::{INDEX, Random, Rig};
use quartz_abi::cmdline::Ipv4Setup;
use quartz_net::{Duration, Stack};
use smoltcp::wire::TcpControl;

/// Rounds, and with `HOSTILE_ROUNDS` in the environment as many as one has time for.
fn rounds() -> u64 {
    let wish = std::env::var("HOSTILE_ROUNDS").ok();
    wish.and_then(|wish| wish.parse().ok()).unwrap_or(20_000)
}

/// A seed with a few changes.
fn changed(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random, of: usize| (random.next() % of as u64) as usize;
    let mut frame = seeds[pick(random, seeds.len())].clone();
    for _ in 0..pick(random, 4) {
        // Mostly the headers, and mostly values at the edges.
        let at = pick(random, frame.len().min(80));
        frame[at] = match random.next() % 4 {
            0 => 0,
            1 => 0xff,
            2 => frame[at] ^ 1 << (random.next() % 8),
            _ => random.next() as u8,
        };
    }
    if random.happens(100) {
        frame.truncate(pick(random, frame.len() + 1));
    }
    if random.happens(100) {
        let other = &seeds[pick(random, seeds.len())];
        frame.extend_from_slice(&other[pick(random, other.len())..]);
    }
    if random.happens(700) {
        mend(&mut frame);
    }
    frame
}

fn storm(rig: &mut Rig, seed: u64) {
    let seeds = seeds();
    let mut random = Random(seed);
    for _ in 0..rounds() {
        let frame = changed(&seeds, &mut random);
        rig.inject(&frame);
        if random.happens(50) {
            rig.now += Duration::from_micros(random.next() % 3_000_000);
            rig.stack.timers(&mut rig.machine, rig.now);
        }
        assert!(rig.machine.out.iter().all(|frame| frame.len() <= 1514));
        rig.machine.out.clear();
    }
}

/// Segments in and around a living connection: any order, any numbers near the right ones, any
/// flags and windows.
fn converse(rig: &mut Rig, random: &mut Random) {
    const REQUESTS: &[u8] = b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\nGET /style.css HTTP/1.1\r\n\
        Host: x\r\nContent-Length: 9\r\n\r\n123456789HEAD / HTTP/1.0\r\n\r\n";
    let near = |random: &mut Random| match random.next() % 8 {
        0 => random.next() as u32,
        1 => (random.next() % 20_000) as u32,
        2 => (random.next() % 20_000).wrapping_neg() as u32,
        3 => (random.next() % 4).wrapping_sub(2) as u32,
        _ => 0,
    };
    let client_port = 30_000 + (random.next() % 200) as u16;
    let mut base = Segment {
        client_port,
        seq: random.next() as u32,
        ..SYN
    };
    let heard = rig.say(base);
    // What a record or a live connection has said instead of SYN|ACK will do as well.
    let mut theirs = heard.first().map_or(0, |heard| heard.seq.wrapping_add(1));
    base.control = TcpControl::None;
    base.seq = base.seq.wrapping_add(1);
    for _ in 0..random.next() % 40 {
        let from = (random.next() % REQUESTS.len() as u64) as usize;
        let segment = Segment {
            control: match random.next() % 16 {
                0 => TcpControl::Syn,
                1 => TcpControl::Fin,
                2 if random.happens(100) => TcpControl::Rst,
                3..8 => TcpControl::Psh,
                _ => TcpControl::None,
            },
            seq: base.seq.wrapping_add(near(random)),
            ack: (!random.happens(50)).then(|| theirs.wrapping_add(near(random))),
            window: match random.next() % 4 {
                0 => 0,
                1 => random.next() as u16,
                _ => 64_000,
            },
            payload: match random.next() % 3 {
                0 => b"",
                1 => REQUESTS,
                _ => &REQUESTS[from..],
            },
            ..base
        };
        for heard in rig.say(segment) {
            if heard.port == client_port {
                theirs = heard.seq.wrapping_add(heard.payload.len() as u32);
                base.seq = heard.ack.unwrap_or(base.seq);
            }
        }
        if random.happens(200) {
            rig.now += Duration::from_micros(random.next() % 5_000_000);
            rig.stack.timers(&mut rig.machine, rig.now);
            rig.machine.out.clear();
        }
    }
}

#[test]
fn a_connection_gone_mad_hurts_nobody() {
    let mut rig = Rig::new();
    rig.machine.ring = usize::MAX;
    let mut random = Random(77);
    for _ in 0..rounds() / 20 {
        converse(&mut rig, &mut random);
    }
    assert!(rig.stack.stats().requests_served > 100);
    assert_eq!(rig.get("/").body, INDEX);
    rig.wait(Duration::from_secs(300));
    let stats = rig.stack.stats();
    assert_eq!((stats.open, stats.half_open, stats.time_wait), (0, 0, 0));
}

#[test]
fn a_storm_of_bad_frames_passes() {
    let mut rig = Rig::new();
    for seed in 1..4 {
        storm(&mut rig, seed);
        let stats = rig.stack.stats();
        assert!(stats.open + stats.half_open <= stats.limit);
        assert_eq!(
            rig.get("/").body,
            INDEX,
            "seed {seed}: {stats:?}",
            stats = rig.stack.stats()
        );
    }
    // And what it left behind goes by itself.
    rig.wait(Duration::from_secs(200));
    let stats = rig.stack.stats();
    assert_eq!((stats.open, stats.half_open, stats.time_wait), (0, 0, 0));
}

#[test]
fn a_storm_before_there_is_an_address_passes() {
    let mut rig = Rig::new();
    let mut config = common::config();
    config.ipv4 = Ipv4Setup::Dhcp;
    rig.stack = Stack::new(config, common::site(), rig.now).unwrap();
    storm(&mut rig, 9);
}
