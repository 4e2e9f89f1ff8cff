//! A life of the stack under frames that nobody should send, told by bytes: what the fuzz target
//! explores, and the test of its corpus replays.

use super::archive::{Entry, archive, image};
use super::frames::{mend, seeds};
use super::raw::{SYN, Segment};
use super::{INDEX, Rig, config, pattern};
use quartz_net::{Duration, Site, Stack};
use smoltcp::wire::TcpControl;
use std::cell::RefCell;

const REQUESTS: &[u8] = b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\nHEAD / HTTP/1.0\r\n\r\n\
    POST /kib.bin HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123456789";
/// Turns that the end of a life may take.
const PATIENCE: usize = 20_000;

/// How many lives one stack has. Each ends with nothing left of it; a new stack takes memory that
/// is never given back.
const LIVES: u32 = 200;

/// Both ends, frames to be changed, and how often they have been.
struct World {
    rig: Rig,
    seeds: Vec<Vec<u8>>,
    site: &'static [u8],
    lives: u32,
}

thread_local! {
    /// Made once: a life takes less time than this.
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

impl World {
    fn new() -> World {
        let index = Entry::new(b"index.html", b'0', INDEX);
        let big = Entry::new(b"big.bin", b'0', &pattern(50_000));
        World {
            rig: Rig::new(),
            seeds: seeds(),
            site: image(archive(&[index, big])),
            lives: 0,
        }
    }

    /// A stack that knows nothing, or has forgotten everything.
    fn refresh(&mut self) {
        let rig = &mut self.rig;
        let lost_address = rig.stack.addresses().count() != 2;
        if self.lives.is_multiple_of(LIVES) || lost_address {
            let mut config = config();
            config.memory = 1 << 20;
            config.conns = Some(8);
            let site = Site::from_tar(self.site).unwrap();
            rig.stack = Stack::new(config, site, rig.now).unwrap();
            rig.machine.out.clear();
        }
        self.lives += 1;
        rig.machine.ring = 256;
    }
}

/// Reads bytes, and zeros behind the end.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }
}

/// What is known of the one connection that is told by hand.
#[derive(Default)]
struct Talk {
    ours: u32,
    theirs: u32,
}

/// Plays a script. Panics when the stack does something that it must not.
pub fn play(script: &[u8]) {
    WORLD.with_borrow_mut(|world| {
        world.refresh();
        let (rig, seeds) = (&mut world.rig, &world.seeds);
        let mut script = Script(script);
        let mut talk = Talk::default();
        while !script.0.is_empty() {
            step(rig, seeds, &mut script, &mut talk);
            check(rig);
        }
        end(rig);
    });
}

fn step(rig: &mut Rig, seeds: &[Vec<u8>], script: &mut Script<'_>, talk: &mut Talk) {
    match script.byte() {
        kind @ 0..128 => {
            let mut frame = seeds[usize::from(kind) % seeds.len()].clone();
            for _ in 0..script.byte() % 8 {
                let at = usize::from(script.byte()) % frame.len();
                frame[at] = script.byte();
            }
            mend(&mut frame);
            rig.inject(&frame);
        }
        128..144 => {
            let len = usize::from(script.word()) % 1600;
            let mut frame = seeds[0][..14].to_vec();
            frame.extend(script.take(len));
            mend(&mut frame);
            rig.inject(&frame);
        }
        144..208 => say(rig, script, talk),
        208..240 => {
            rig.now += Duration::from_millis(1 << (script.byte() % 17));
            rig.stack.timers(&mut rig.machine, rig.now);
        }
        _ => {
            rig.machine.ring = usize::from(script.byte());
            rig.stack.timers(&mut rig.machine, rig.now);
        }
    }
}

/// A segment of a connection that both ends know, more or less.
fn say(rig: &mut Rig, script: &mut Script<'_>, talk: &mut Talk) {
    let near = |script: &mut Script<'_>| match script.byte() {
        0..160 => 0,
        n @ 160..200 => u32::from(n),
        n @ 200..230 => u32::from(n).wrapping_neg(),
        _ => u32::from(script.word()) << 8,
    };
    let control = match script.byte() {
        0..32 => TcpControl::Syn,
        32..48 => TcpControl::Fin,
        48..52 => TcpControl::Rst,
        52..160 => TcpControl::Psh,
        _ => TcpControl::None,
    };
    let opens = control == TcpControl::Syn;
    let from = usize::from(script.byte()) % REQUESTS.len();
    let len = usize::from(script.byte()) % (REQUESTS.len() - from);
    let segment = Segment {
        control,
        seq: talk.ours.wrapping_add(near(script)),
        ack: (!opens).then(|| talk.theirs.wrapping_add(near(script))),
        window: script.word(),
        payload: if opens {
            b""
        } else {
            &REQUESTS[from..from + len]
        },
        ..SYN
    };
    for heard in rig.say(segment) {
        if heard.port == SYN.client_port && heard.control != TcpControl::Rst {
            let flags = heard.control.len() as u32;
            let end = heard.seq.wrapping_add(heard.payload.len() as u32);
            talk.theirs = end.wrapping_add(flags);
            talk.ours = heard.ack.unwrap_or(talk.ours);
        }
    }
}

fn check(rig: &mut Rig) {
    assert!(rig.machine.out.iter().all(|frame| frame.len() <= 1514));
    rig.machine.out.clear();
    let stats = rig.stack.stats();
    assert!(stats.open + stats.half_open <= stats.limit, "{stats:?}");
}

/// What the script has left behind goes by itself, and a client is served.
fn end(rig: &mut Rig) {
    rig.machine.ring = 256;
    let mut turns = 0;
    let last = rig.now + Duration::from_secs(400);
    while let Some(next) = rig.stack.deadline().filter(|next| *next <= last) {
        rig.now = next.max(rig.now + Duration::from_micros(1));
        while rig.stack.timers(&mut rig.machine, rig.now) {}
        rig.machine.out.clear();
        turns += 1;
        assert!(turns < PATIENCE, "the stack spins");
    }
    rig.now = last;
    let stats = rig.stack.stats();
    let left = (stats.open, stats.half_open, stats.time_wait);
    assert_eq!(left, (0, 0, 0), "{stats:?}");
    assert_eq!(rig.get("/").body, INDEX);
}
