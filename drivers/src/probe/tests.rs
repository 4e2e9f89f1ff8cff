//! The probe, told stories of quiet networks and dead rings.

use super::*;
use std::vec;
use std::vec::Vec;

const TICK: u64 = 100_000;
const GATEWAY: [u8; 4] = [10, 0, 2, 2];

fn arp_frame(operation: u8, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0x52; 12];
    frame.extend_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, operation]);
    frame.extend_from_slice(&[0x52; 6]);
    frame.extend_from_slice(&sender);
    frame.extend_from_slice(&[0x52; 6]);
    frame.extend_from_slice(&target);
    frame
}

fn neighbour_frame(kind: u8, target: [u8; 16]) -> Vec<u8> {
    let mut frame = vec![0x33; 12];
    frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 58, 255]);
    frame.extend_from_slice(&[0xfe; 32]);
    frame.extend_from_slice(&[kind, 0, 0, 0, 0, 0, 0, 0]);
    frame.extend_from_slice(&target);
    frame
}

/// A guest with a watch over its ring, and the network around it.
struct Story {
    probe: Probe,
    now: u64,
    received: u64,
    /// Whether the gateway replies.
    gateway: bool,
    /// Whether frames come through the ring.
    ring: bool,
    /// Whether the stack knows a gateway to ask.
    asks: bool,
    waiting: bool,
    sent_all: bool,
    can_receive: bool,
    link_up: bool,
    probes: u32,
    verdicts: Vec<(u64, Verdict)>,
}

impl Story {
    fn new() -> Story {
        Story {
            probe: Probe::new(),
            now: 0,
            received: 0,
            gateway: true,
            ring: true,
            asks: true,
            waiting: false,
            sent_all: true,
            can_receive: true,
            link_up: true,
            probes: 0,
            verdicts: Vec::new(),
        }
    }

    fn receive(&mut self, frame: &[u8]) {
        if self.ring {
            self.received += 1;
            if self.probe.watches() {
                self.probe.received(frame);
            }
        }
    }

    /// Lets time pass; `traffic` frames arrive in each tick.
    fn pass(&mut self, ticks: u64, traffic: u64) {
        for _ in 0..ticks {
            self.now += TICK;
            for _ in 0..traffic {
                self.receive(&[0x52; 60]);
            }
            let verdict = self.probe.tick(View {
                now: self.now,
                received: self.received,
                waiting: self.waiting,
                sent_all: self.sent_all,
                can_receive: self.can_receive,
                link_up: self.link_up,
            });
            if verdict != Verdict::Fine {
                self.verdicts.push((self.now / TICK, verdict));
            }
            if self.probe.is_wanted() {
                self.probes += 1;
                if self.asks {
                    self.probe.sent(&arp_frame(1, [10, 0, 2, 15], GATEWAY));
                    if self.gateway {
                        self.receive(&arp_frame(2, GATEWAY, [10, 0, 2, 15]));
                    }
                }
            }
        }
    }
}

#[test]
fn a_quiet_network_with_a_gateway() {
    let mut story = Story::new();
    story.pass(10_000, 0);
    assert_eq!(story.verdicts, []);
    // Once a second, or a little less often.
    assert!((800..=1001).contains(&story.probes), "{}", story.probes);
}

#[test]
fn a_quiet_network_without_a_gateway() {
    for asks in [true, false] {
        let mut story = Story::new();
        story.gateway = false;
        story.asks = asks;
        story.pass(1000, 5);
        assert_eq!(story.verdicts, []);
        story.pass(10_000, 0);
        // One kick, and resets after 10 s, 20 s, 40 s and so on; none if nobody was asked.
        assert_eq!(story.verdicts.len(), if asks { 7 } else { 0 });
    }
}

#[test]
fn a_ring_that_dies_while_the_link_is_quiet() {
    let mut story = Story::new();
    story.pass(100, 0);
    story.ring = false;
    let died = story.now / TICK;
    story.pass(40, 0);
    let [(rekick, Verdict::Rekick), (dead, Verdict::Dead)] = story.verdicts[..] else {
        panic!("{:?}", story.verdicts);
    };
    assert!(rekick < dead && dead - died <= 20, "{died} {rekick} {dead}");
}

#[test]
fn a_ring_that_dies_under_load() {
    let mut story = Story::new();
    // Never quiet: the trust has to come from probes under load.
    story.pass(100, 50);
    story.ring = false;
    let died = story.now / TICK;
    story.pass(15, 50);
    let [(_, Verdict::Rekick), (dead, Verdict::Dead)] = story.verdicts[..] else {
        panic!("{:?}", story.verdicts);
    };
    assert!(dead - died <= 14, "{died} {dead}");
}

#[test]
fn a_kick_that_helps_ends_it() {
    let mut story = Story::new();
    story.pass(100, 50);
    story.ring = false;
    while story.verdicts.is_empty() {
        story.pass(1, 50);
    }
    story.ring = true;
    story.pass(1000, 50);
    assert_eq!(story.verdicts.len(), 1, "{:?}", story.verdicts);
}

#[test]
fn a_gateway_that_goes_away_costs_a_few_resets() {
    let mut story = Story::new();
    for round in 1..=2 {
        // It is there, and trusted again, and goes away.
        story.gateway = true;
        story.pass(100, 0);
        story.gateway = false;
        story.pass(10_000, 0);
        let dead = |v: &&(u64, Verdict)| v.1 == Verdict::Dead;
        // At once, and then after 10 s, 20 s, 40 s and so on.
        assert_eq!(story.verdicts.iter().filter(dead).count(), 7 * round);
    }
}

#[test]
fn a_ring_that_dies_before_anybody_replied() {
    let mut story = Story::new();
    story.ring = false;
    story.pass(110, 0);
    let [(rekick, Verdict::Rekick), (dead, Verdict::Dead)] = story.verdicts[..] else {
        panic!("{:?}", story.verdicts);
    };
    assert!(rekick <= 10 && dead <= 105, "{rekick} {dead}");
    // The reset did not revive it; the next one does.
    story.pass(190, 0);
    assert_eq!(story.verdicts.len(), 2);
    story.pass(20, 0);
    assert_eq!(story.verdicts.len(), 3);
    story.ring = true;
    story.pass(1000, 0);
    assert_eq!(story.verdicts.len(), 3);
}

#[test]
fn other_traffic_is_proof_of_life() {
    let mut story = Story::new();
    story.pass(100, 0);
    story.gateway = false;
    for _ in 0..1000 {
        story.pass(2, 0);
        story.pass(1, 1);
    }
    assert_eq!(story.verdicts, []);
}

#[test]
fn a_probe_that_was_not_sent_is_no_evidence() {
    for change in [
        |s: &mut Story| s.waiting = true,
        |s: &mut Story| s.sent_all = false,
        |s: &mut Story| s.can_receive = false,
        |s: &mut Story| s.link_up = false,
        |s: &mut Story| s.asks = false,
    ] {
        let mut story = Story::new();
        story.pass(100, 0);
        change(&mut story);
        story.gateway = false;
        story.pass(1000, 0);
        assert_eq!(story.verdicts, []);
    }
}

/// Each question goes out, and the link is gone before the reply.
#[test]
fn a_link_that_flaps_is_no_dead_ring() {
    let mut story = Story::new();
    story.pass(100, 0);
    story.gateway = false;
    for _ in 0..50 {
        story.link_up = true;
        let probes = story.probes;
        while story.probes == probes {
            story.pass(1, 0);
        }
        story.link_up = false;
        story.pass(5, 0);
    }
    assert_eq!(story.verdicts, []);
}

#[test]
fn no_probes_on_a_link_that_is_down() {
    let mut story = Story::new();
    story.link_up = false;
    story.pass(1000, 0);
    assert_eq!(story.probes, 0);
}

#[test]
fn whom_a_frame_asks_for_and_who_replies() {
    let v6 = [7; 16];
    assert_eq!(
        request(&arp_frame(1, [1; 4], GATEWAY)),
        Some(Target::V4(GATEWAY))
    );
    assert_eq!(
        reply(&arp_frame(2, GATEWAY, [1; 4])),
        Some(Target::V4(GATEWAY))
    );
    assert_eq!(request(&neighbour_frame(135, v6)), Some(Target::V6(v6)));
    assert_eq!(reply(&neighbour_frame(136, v6)), Some(Target::V6(v6)));
    assert_eq!(request(&arp_frame(2, GATEWAY, [1; 4])), None);
    assert_eq!(reply(&arp_frame(1, GATEWAY, [1; 4])), None);
    assert_eq!(request(&neighbour_frame(136, v6)), None);
    for frame in [
        arp_frame(1, GATEWAY, GATEWAY),
        neighbour_frame(135, v6),
        neighbour_frame(136, v6),
    ] {
        for len in 0..frame.len() {
            assert_eq!(request(&frame[..len]), None);
            assert_eq!(reply(&frame[..len]), None);
        }
    }
}

/// Nobody answers these, and that proves nothing.
#[test]
fn an_announcement_asks_for_nobody() {
    assert_eq!(request(&arp_frame(1, GATEWAY, GATEWAY)), None);
    let mut duplicate = neighbour_frame(135, [7; 16]);
    duplicate[SOURCE..SOURCE + 16].fill(0);
    assert_eq!(request(&duplicate), None);
}

/// Trust is there as soon as a gateway could answer twice, with and without traffic.
#[test]
fn a_ring_that_dies_right_after_boot() {
    for traffic in [0, 50] {
        let mut story = Story::new();
        story.pass(5, traffic);
        story.ring = false;
        let died = story.now / TICK;
        story.pass(20, traffic);
        let [(rekick, Verdict::Rekick), (dead, Verdict::Dead)] = story.verdicts[..] else {
            panic!("{:?}", story.verdicts);
        };
        assert!(rekick < dead && dead - died <= 14, "{died} {rekick} {dead}");
    }
}

/// After a reset that helped, trust is there again as soon.
#[test]
fn a_ring_that_dies_twice() {
    let mut story = Story::new();
    for round in 1..=3 {
        story.pass(10, 5);
        story.ring = false;
        let died = story.now / TICK;
        while story.verdicts.len() < 2 * round {
            story.pass(1, 5);
            assert!(story.now / TICK - died <= 14, "{:?}", story.verdicts);
        }
        story.ring = true;
    }
}

/// A lease may take its time: the first questions go nowhere.
#[test]
fn a_gateway_that_is_known_late() {
    let mut story = Story::new();
    story.asks = false;
    story.pass(100, 0);
    story.asks = true;
    story.pass(15, 0);
    story.ring = false;
    let died = story.now / TICK;
    story.pass(20, 0);
    let [_, (dead, Verdict::Dead)] = story.verdicts[..] else {
        panic!("{:?}", story.verdicts);
    };
    assert!(dead - died <= 20, "{died} {dead}");
}

/// A gateway that misses every second question, from the first one on, is there.
#[test]
fn a_gateway_that_answers_now_and_then() {
    for begin in [false, true] {
        let mut story = Story::new();
        for round in 0..200 {
            story.gateway = (round % 2 == 0) == begin;
            let probes = story.probes;
            while story.probes == probes {
                story.pass(1, 0);
            }
        }
        assert_eq!(story.verdicts, []);
    }
}

/// Nobody there: a few questions at once, then one a second.
#[test]
fn nobody_is_asked_over_and_over() {
    let mut story = Story::new();
    story.gateway = false;
    story.pass(90, 0);
    assert!((8..=15).contains(&story.probes), "{}", story.probes);
}

#[test]
fn a_reply_of_another_is_not_the_gateways() {
    let mut probe = Probe::new();
    let view = |now| View {
        now,
        received: 0,
        waiting: false,
        sent_all: true,
        can_receive: true,
        link_up: true,
    };
    probe.tick(view(QUIET_US));
    assert!(probe.is_wanted() && probe.watches());
    probe.sent(&arp_frame(1, [10, 0, 2, 15], GATEWAY));
    assert!(!probe.is_wanted(), "one is enough");
    probe.received(&arp_frame(2, [10, 0, 2, 77], [10, 0, 2, 15]));
    assert!(probe.watches());
    probe.received(&arp_frame(2, GATEWAY, [10, 0, 2, 15]));
    assert!(!probe.watches());
}
