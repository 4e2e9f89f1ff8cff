//! Conversations that read like a trace.
//!
//! ```ignore
//! let mut t = Transcript::new();
//! send!(t, S, seq 0, mss 1460, selective true);
//! recv!(t, SA, seq 0, ack 1);
//! send!(t, A, seq 1, ack 1);
//! recv!(t);                        // nothing
//! wait!(t, 250);                   // milliseconds
//! ```
//!
//! Numbers are relative to each end's first one. What is not said of a segment is not compared;
//! PSH is not looked at.

use super::raw::{SYN, frame};
use super::{Rig, config, site};
use quartz_net::Duration;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::*;
use std::collections::VecDeque;

/// A client that nobody resets while time passes.
pub const CLIENT: Ipv4Address = Ipv4Address::new(10, 0, 2, 77);

/// A segment, as a trace shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    flags: &'static str,
    seq: Option<u32>,
    ack: Option<u32>,
    window: Option<u16>,
    mss: Option<u16>,
    selective: Option<bool>,
    sack: Option<Vec<(u32, u32)>>,
    len: Option<usize>,
    data: Option<Vec<u8>>,
}

impl Line {
    pub fn new(flags: &'static str) -> Line {
        Line {
            flags,
            ..Line::default()
        }
    }

    pub fn seq(mut self, seq: u32) -> Line {
        self.seq = Some(seq);
        self
    }

    pub fn ack(mut self, ack: u32) -> Line {
        self.ack = Some(ack);
        self
    }

    pub fn window(mut self, window: u16) -> Line {
        self.window = Some(window);
        self
    }

    pub fn mss(mut self, mss: u16) -> Line {
        self.mss = Some(mss);
        self
    }

    pub fn selective(mut self, selective: bool) -> Line {
        self.selective = Some(selective);
        self
    }

    pub fn sack(mut self, blocks: &[(u32, u32)]) -> Line {
        self.sack = Some(blocks.to_vec());
        self
    }

    pub fn len(mut self, len: usize) -> Line {
        self.len = Some(len);
        self
    }

    pub fn data(mut self, data: &[u8]) -> Line {
        self.data = Some(data.to_vec());
        self
    }

    /// What was heard: its flags, numbers, and bytes of data.
    pub fn heard(&self) -> (&'static str, u32, Option<u32>, usize) {
        let (seq, len) = (self.seq.unwrap_or(0), self.len.unwrap_or(0));
        (self.flags, seq, self.ack, len)
    }
}

/// Says something.
#[macro_export]
macro_rules! send {
    ($t:expr, $flags:ident $(, $key:ident $value:expr)*) => {
        $t.send($crate::common::transcript::Line::new(stringify!($flags))$(.$key($value))*)
    };
}

/// Hears something, the next that was said; or nothing.
#[macro_export]
macro_rules! recv {
    ($t:expr) => {
        $t.quiet()
    };
    ($t:expr, $flags:ident $(, $key:ident $value:expr)*) => {
        $t.recv($crate::common::transcript::Line::new(stringify!($flags))$(.$key($value))*)
    };
}

/// Lets milliseconds pass.
#[macro_export]
macro_rules! wait {
    ($t:expr, $ms:expr) => {
        $t.wait($ms)
    };
}

/// A client that is spoken by hand, and what it has heard.
pub struct Transcript {
    pub rig: Rig,
    pub port: u16,
    theirs: u32,
    heard: VecDeque<Line>,
}

impl Transcript {
    pub fn new() -> Transcript {
        let mut rig = Rig::with(config(), site());
        rig.wait(Duration::from_secs(5));
        rig.machine.out.clear();
        rig.machine.ring = usize::MAX;
        Transcript {
            rig,
            port: SYN.client_port,
            theirs: 0,
            heard: VecDeque::new(),
        }
    }

    /// A connection whose handshake is complete.
    pub fn open() -> Transcript {
        let mut t = Transcript::new();
        send!(t, S, seq 0, mss 1460, selective true);
        recv!(t, SA, seq 0, ack 1);
        send!(t, A, seq 1, ack 1);
        recv!(t);
        t
    }

    /// One that has asked for a path; what comes is still to be heard. Where the next byte of the
    /// client lies.
    pub fn ask(path: &str) -> (Transcript, u32) {
        let mut t = Transcript::open();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        send!(t, PA, seq 1, ack 1, data request.as_bytes());
        (t, 1 + request.len() as u32)
    }

    pub fn send(&mut self, line: Line) {
        let has = |flag| line.flags.contains(flag);
        let control = match (has('S'), has('F'), has('R'), has('P')) {
            (true, ..) => TcpControl::Syn,
            (_, true, ..) => TcpControl::Fin,
            (_, _, true, _) => TcpControl::Rst,
            (_, _, _, true) => TcpControl::Psh,
            _ => TcpControl::None,
        };
        let theirs = |number: u32| number.wrapping_add(self.theirs);
        let mut ranges = [None; 3];
        for (range, (from, to)) in ranges.iter_mut().zip(line.sack.iter().flatten()) {
            *range = Some((theirs(*from), theirs(*to)));
        }
        let data = line.data.unwrap_or_default();
        let tcp = TcpRepr {
            src_port: self.port,
            dst_port: 80,
            control,
            seq_number: TcpSeqNumber(SYN.seq.wrapping_add(line.seq.unwrap_or(0)) as i32),
            ack_number: line.ack.map(|ack| TcpSeqNumber(theirs(ack) as i32)),
            window_len: line.window.unwrap_or(64_000),
            window_scale: None,
            max_seg_size: line.mss,
            sack_permitted: line.selective.unwrap_or(false),
            sack_ranges: ranges,
            timestamp: None,
            payload: &data,
        };
        self.rig.inject(&frame(CLIENT, &tcp));
        self.listen();
    }

    /// Lets the server do what is due.
    pub fn turn(&mut self) {
        self.rig.stack.timers(&mut self.rig.machine, self.rig.now);
        self.listen();
    }

    /// Gives the server a frame.
    pub fn hear(&mut self, frame: &[u8]) {
        self.rig.inject(frame);
        self.listen();
    }

    /// A number of the server as it stands on the wire.
    pub fn number(&self, relative: u32) -> u32 {
        relative.wrapping_add(self.theirs)
    }

    pub fn recv(&mut self, wanted: Line) -> Line {
        let Some(heard) = self.heard.pop_front() else {
            panic!("nothing was said; wanted: {wanted:?}");
        };
        let same = heard.flags == wanted.flags
            && wanted.seq.is_none_or(|seq| heard.seq == Some(seq))
            && wanted.ack.is_none_or(|ack| heard.ack == Some(ack))
            && wanted.window.is_none_or(|w| heard.window == Some(w))
            && wanted.mss.is_none_or(|mss| heard.mss == Some(mss))
            && wanted
                .selective
                .is_none_or(|yes| heard.selective == Some(yes))
            && wanted.len.is_none_or(|len| heard.len == Some(len))
            && wanted
                .data
                .as_ref()
                .is_none_or(|d| heard.data.as_ref() == Some(d));
        let shown = |line: &Line| Line {
            data: None,
            ..line.clone()
        };
        let rest: Vec<_> = self.heard.iter().map(shown).collect();
        assert!(
            same,
            "heard {:?}\nwanted {:?}\nthen {rest:?}",
            shown(&heard),
            shown(&wanted)
        );
        heard
    }

    pub fn quiet(&mut self) {
        let said = self.heard.pop_front();
        assert!(said.is_none(), "not quiet: {said:?}");
    }

    /// Segments that were said and not heard.
    pub fn pending(&self) -> usize {
        self.heard.len()
    }

    /// The next of them.
    pub fn next(&mut self) -> Line {
        self.heard.pop_front().expect("something was said")
    }

    /// Forgets what was said.
    pub fn skip(&mut self) -> usize {
        self.heard.drain(..).count()
    }

    pub fn wait(&mut self, ms: u64) {
        let end = self.rig.now + Duration::from_millis(ms);
        while let Some(next) = self.rig.stack.deadline().filter(|next| *next <= end) {
            self.rig.now = next.max(self.rig.now + Duration::from_micros(1));
            self.rig.stack.timers(&mut self.rig.machine, self.rig.now);
            self.listen();
        }
        self.rig.now = end;
    }

    fn listen(&mut self) {
        let frames: Vec<_> = self.rig.machine.out.drain(..).collect();
        for frame in frames {
            if let Some(line) = self.line(&frame) {
                self.heard.push_back(line);
            }
        }
    }

    fn line(&mut self, frame: &[u8]) -> Option<Line> {
        let packet = Ipv4Packet::new_checked(frame.get(14..)?).ok()?;
        if frame[12..14] != [8, 0] || packet.next_header() != IpProtocol::Tcp {
            return None;
        }
        let checksums = ChecksumCapabilities::default();
        let ip = Ipv4Repr::parse(&packet, &checksums).expect("a right header");
        let tcp = TcpPacket::new_checked(packet.payload()).expect("a whole segment");
        let (from, to) = (ip.src_addr.into(), ip.dst_addr.into());
        let repr = TcpRepr::parse(&tcp, &from, &to, &checksums).expect("a right checksum");
        let seq = repr.seq_number.0 as u32;
        if tcp.syn() {
            self.theirs = seq;
        }
        let flags = match (tcp.syn(), tcp.fin(), tcp.rst(), tcp.ack()) {
            (true, .., true) => "SA",
            (_, true, _, true) => "FA",
            (_, _, true, true) => "RA",
            (_, _, true, false) => "R",
            (false, false, false, true) => "A",
            other => panic!("{other:?}"),
        };
        Some(Line {
            flags,
            seq: Some(seq.wrapping_sub(self.theirs)),
            ack: repr.ack_number.map(|a| (a.0 as u32).wrapping_sub(SYN.seq)),
            window: Some(repr.window_len),
            mss: repr.max_seg_size,
            selective: Some(repr.sack_permitted),
            sack: None,
            len: Some(repr.payload.len()),
            data: Some(repr.payload.to_vec()),
        })
    }
}
