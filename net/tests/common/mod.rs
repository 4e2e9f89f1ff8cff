//! An in-memory Ethernet with the stack on one end and a smoltcp client on the other, in
//! simulated time.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod archive;
pub mod dhcp;
pub mod frames;
pub mod offload;
pub mod raw;
pub mod script;
pub mod transcript;

use quartz_abi::cmdline::{Ipv4Setup, Ipv6Setup};
use quartz_net::{Duration, Host, Instant, Outgoing, Site, Snapshot, Stack, StackConfig};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::wire::{
    EthernetAddress, HardwareAddress, IpAddress, IpCidr, Ipv4Address, Ipv6Address,
};
use std::collections::VecDeque;

pub const SERVER_MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
pub const CLIENT_MAC: [u8; 6] = [0x52, 0x55, 0x0a, 0, 2, 2];
pub const SERVER: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
pub const CLIENT: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);
/// What SERVER_MAC and CLIENT_MAC make of fe80::/64.
pub const SERVER6: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0x5054, 0x00ff, 0xfe12, 0x3456);
pub const CLIENT6: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0x5055, 0x0aff, 0xfe00, 0x0202);

/// A small generator (SplitMix64), so that every run is the same.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// True in `share` of 1000 cases.
    pub fn happens(&mut self, share: u64) -> bool {
        self.next() % 1000 < share
    }
}

/// What the stack's machine would be.
pub struct Machine {
    pub out: VecDeque<Vec<u8>>,
    /// Frames that the transmit ring takes before the test empties it.
    pub ring: usize,
    /// Calls of `transmit`.
    pub sent: u64,
    /// A received frame is being looked at.
    pub looking: bool,
    /// What the machine keeps of its past.
    pub black_box: Vec<u8>,
    /// It cuts segments that are longer than the link allows.
    pub cuts: bool,
    /// Checksums that it completed.
    pub completed: u64,
    /// Segments that it cut.
    pub cut: u64,
}

impl Host for Machine {
    fn can_transmit(&mut self) -> bool {
        self.out.len() < self.ring
    }

    fn transmit<R>(&mut self, outgoing: &Outgoing, fill: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        let len = outgoing.len;
        assert!((14..=1514).contains(&len), "a frame of {len} bytes");
        if !self.can_transmit() {
            return None;
        }
        self.sent += 1;
        // What was in the ring's buffer before must not matter.
        let mut frame = vec![0xa5; len];
        let result = fill(&mut frame);
        if let Some(cut) = outgoing.cut {
            assert!(self.cuts, "nobody said that it would be cut");
            self.cut += 1;
            frame.extend_from_slice(cut.tail);
        }
        let start = outgoing.partial.map(usize::from);
        for mut frame in offload::cut(frame, outgoing) {
            if let Some(start) = start {
                self.completed += 1;
                offload::complete(&mut frame, start);
            }
            self.out.push_back(frame);
        }
        Some(result)
    }

    fn cuts(&self) -> bool {
        self.cuts
    }

    fn black_box_len(&self) -> usize {
        self.black_box.len()
    }

    fn read_black_box(&self, at: usize, target: &mut [u8]) -> usize {
        target.copy_from_slice(&self.black_box[at..at + target.len()]);
        target.len()
    }

    fn snapshot(&self) -> Snapshot {
        // The receive ring would seem to have lost the buffer with the request for the figures.
        assert!(!self.looking, "figures were taken while a frame was held");
        Snapshot {
            heap_used: 1000,
            heap_total: 2000,
            heap_allocations: 3000,
            boot_us: 31_000,
            ..Snapshot::default()
        }
    }
}

/// The client's network card.
#[derive(Default)]
pub struct Card {
    pub rx: VecDeque<Vec<u8>>,
    pub tx: VecDeque<Vec<u8>>,
}

impl Device for Card {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Rx, Tx<'_>)> {
        let frame = self.rx.pop_front()?;
        Some((Rx(frame), Tx(&mut self.tx)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Tx<'_>> {
        Some(Tx(&mut self.tx))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

pub struct Rx(Vec<u8>);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

pub struct Tx<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}

/// What happens to frames on their way, in thousandths.
#[derive(Clone, Copy, Default)]
pub struct Weather {
    pub loss: u64,
    pub duplicate: u64,
    pub reorder: u64,
    /// One way.
    pub delay: Duration,
}

struct Flying {
    at: Instant,
    number: u64,
    to_server: bool,
    frame: Vec<u8>,
}

/// Both ends and the wire.
pub struct Rig {
    pub stack: Stack,
    pub machine: Machine,
    pub now: Instant,
    pub interface: Interface,
    pub card: Card,
    pub sockets: SocketSet<'static>,
    pub weather: Weather,
    pub random: Random,
    flying: Vec<Flying>,
    flown: u64,
    port: u16,
}

pub fn config() -> StackConfig {
    StackConfig {
        mac: SERVER_MAC,
        mtu: 1500,
        ipv4: Ipv4Setup::Static {
            address: SERVER,
            prefix_len: 24,
            gateway: Some(CLIENT),
        },
        ipv6: Ipv6Setup::Slaac,
        port: 80,
        admin: Some(9100),
        public_endpoints: true,
        conns: None,
        conns_per_source: None,
        memory: 16 << 20,
        time_wait: Duration::from_secs(60),
        tx_checksum_offload: false,
        seed: *b"a seed of 32 bytes for the tests",
        version: "test",
        wall_clock: Some(784_111_777),
    }
}

/// Bytes that say where they are, so that a mix-up shows.
pub fn pattern(len: usize) -> Vec<u8> {
    let mut random = Random(len as u64);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

pub const INDEX: &[u8] = b"<!doctype html><title>Index</title>\n";

pub fn site() -> Site {
    let big = pattern(300_000);
    let kib = pattern(1024);
    archive::site(&[
        ("./index.html", INDEX),
        ("./style.css", b"body{}\n"),
        ("./kib.bin", &kib),
        ("./big.bin", &big),
        ("./empty.txt", b""),
        ("./docs/index.html", b"docs\n"),
        ("./docs/a b.txt", b"blank\n"),
        ("./docs/100%.txt", b"percent\n"),
        ("./docs/caf\u{e9}.txt", b"accent\n"),
        ("./bare/file.txt", b"no index here\n"),
        ("./healthz", b"hidden by the endpoint\n"),
    ])
}

impl Rig {
    pub fn new() -> Rig {
        Rig::with(config(), site())
    }

    /// One whose machine completes checksums and cuts long segments.
    pub fn cutting() -> Rig {
        let mut config = config();
        config.tx_checksum_offload = true;
        let mut rig = Rig::with(config, site());
        rig.machine.cuts = true;
        rig
    }

    pub fn with(config: StackConfig, site: Site) -> Rig {
        let now = Instant::from_millis(40);
        let stack = Stack::new(config, site, now).expect("the stack starts");
        let mut card = Card::default();
        let mut client = Config::new(HardwareAddress::Ethernet(EthernetAddress(CLIENT_MAC)));
        client.random_seed = 0x1234_5678;
        let mut interface = Interface::new(client, &mut card, now);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(CLIENT.into(), 24)).unwrap();
            addresses.push(IpCidr::new(CLIENT6.into(), 64)).unwrap();
        });
        let mut rig = Rig {
            stack,
            machine: Machine {
                out: VecDeque::new(),
                ring: 256,
                sent: 0,
                looking: false,
                black_box: Vec::new(),
                cuts: false,
                completed: 0,
                cut: 0,
            },
            now,
            interface,
            card,
            sockets: SocketSet::new(Vec::new()),
            weather: Weather::default(),
            random: Random(1),
            flying: Vec::new(),
            flown: 0,
            port: 0,
        };
        rig.settle();
        rig
    }

    /// Lets both ends speak until nobody has anything more to say at this time.
    pub fn settle(&mut self) {
        for _ in 0..1_000_000 {
            if !self.turn() {
                return;
            }
        }
        panic!("the two ends never stop talking");
    }

    /// One round. Whether anything moved.
    pub fn turn(&mut self) -> bool {
        let mut moved = false;
        self.interface
            .poll(self.now, &mut self.card, &mut self.sockets);
        while let Some(frame) = self.card.tx.pop_front() {
            self.launch(frame, true);
            moved = true;
        }
        moved |= self.land();
        moved |= self.stack.timers(&mut self.machine, self.now);
        while let Some(frame) = self.machine.out.pop_front() {
            self.launch(frame, false);
            moved = true;
        }
        moved |= self.land();
        moved
    }

    fn launch(&mut self, frame: Vec<u8>, to_server: bool) {
        let Weather {
            loss,
            duplicate,
            reorder,
            delay,
        } = self.weather;
        if self.random.happens(loss) {
            return;
        }
        let copies = 1 + u64::from(self.random.happens(duplicate));
        for _ in 0..copies {
            let late = match self.random.happens(reorder) {
                true => Duration::from_micros(self.random.next() % 3000),
                false => Duration::ZERO,
            };
            self.flown += 1;
            self.flying.push(Flying {
                at: self.now + delay + late,
                number: self.flown,
                to_server,
                frame: frame.clone(),
            });
        }
    }

    /// Delivers what has arrived, in order.
    fn land(&mut self) -> bool {
        let now = self.now;
        let mut due: Vec<Flying> = self.flying.extract_if(.., |f| f.at <= now).collect();
        due.sort_by_key(|f| (f.at, f.number));
        let moved = !due.is_empty();
        for flying in due {
            if flying.to_server {
                self.machine.looking = true;
                self.stack
                    .ingest(&flying.frame, false, &mut self.machine, now);
                self.machine.looking = false;
            } else {
                self.card.rx.push_back(flying.frame);
            }
        }
        moved
    }

    /// The next time at which something happens.
    pub fn next(&mut self) -> Option<Instant> {
        let client = self.interface.poll_at(self.now, &self.sockets);
        let flying = self.flying.iter().map(|f| f.at).min();
        [client, flying, self.stack.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Lets time pass.
    pub fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.settle();
        while let Some(next) = self.next()
            && next <= end
        {
            self.now = next.max(self.now + Duration::from_micros(1));
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    /// Lets time pass until `done`, at most `limit`. Whether it was reached.
    pub fn until(&mut self, limit: Duration, mut done: impl FnMut(&mut Rig) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            self.settle();
            if done(self) {
                return true;
            }
            let next = self
                .next()
                .unwrap_or(end)
                .max(self.now + Duration::from_micros(1));
            if next > end {
                return false;
            }
            self.now = next;
        }
    }

    /// A client socket with these buffers.
    pub fn socket(&mut self, rx: usize, tx: usize) -> SocketHandle {
        let mut socket = tcp::Socket::new(
            tcp::SocketBuffer::new(vec![0; rx]),
            tcp::SocketBuffer::new(vec![0; tx]),
        );
        socket.set_nagle_enabled(false);
        self.sockets.add(socket)
    }

    /// A port that was not used before, or was longest ago.
    pub fn port(&mut self) -> u16 {
        self.port = (self.port + 1) % 16_000;
        49_152 + self.port
    }

    pub fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Opens a connection without waiting for it.
    pub fn dial(&mut self, handle: SocketHandle, to: IpAddress, port: u16, own: u16) {
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        socket
            .connect(self.interface.context(), (to, port), own)
            .expect("a fresh socket");
    }

    /// An open connection to port 80.
    pub fn connect(&mut self) -> SocketHandle {
        let handle = self.socket(65_535, 16_384);
        let own = self.port();
        self.dial(handle, SERVER.into(), 80, own);
        let open = self.until(Duration::from_secs(30), |rig| rig.tcp(handle).may_send());
        assert!(open, "no connection: {}", self.tcp(handle).state());
        handle
    }

    /// Queues bytes on a connection; waits until all are in its buffer.
    pub fn send(&mut self, handle: SocketHandle, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let run = self
                .tcp(handle)
                .send_slice(bytes)
                .expect("an open connection");
            bytes = &bytes[run..];
            if run == 0 {
                let waited = self.until(Duration::from_secs(5), |rig| rig.tcp(handle).can_send());
                assert!(waited, "the server takes nothing");
            }
        }
        self.settle();
    }

    /// Reads until `done` says so, or the connection ends, or nothing comes for 100 s.
    pub fn read(&mut self, handle: SocketHandle, mut done: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.until(Duration::from_secs(100), |rig| {
            while rig.tcp(handle).can_recv() {
                let run = rig.tcp(handle).recv(|b| {
                    bytes.extend_from_slice(b);
                    (b.len(), b.len())
                });
                assert!(run.is_ok());
                // What was read opens the window again.
                rig.settle();
            }
            !rig.tcp(handle).may_recv() || done(&bytes)
        });
        bytes
    }

    /// Reads one answer. `head`: to a HEAD request.
    pub fn answer(&mut self, handle: SocketHandle, head: bool) -> Answer {
        let bytes = self.read(handle, |bytes| Answer::parse(bytes, head).is_some());
        match Answer::parse(&bytes, head) {
            Some((answer, len)) => {
                assert_eq!(len, bytes.len(), "more than one answer");
                answer
            }
            None => panic!("not an answer: {:?}", bytes.escape_ascii().to_string()),
        }
    }

    /// Sends a request and reads its answer.
    pub fn ask(&mut self, handle: SocketHandle, request: &str) -> Answer {
        self.send(handle, request.as_bytes());
        self.answer(handle, request.starts_with("HEAD"))
    }

    /// A request on a connection of its own.
    pub fn ask_once(&mut self, request: &str) -> Answer {
        let handle = self.connect();
        let answer = self.ask(handle, request);
        self.tcp(handle).abort();
        self.settle();
        self.sockets.remove(handle);
        answer
    }

    /// GET of a path on a connection of its own.
    pub fn get(&mut self, path: &str) -> Answer {
        self.ask_once(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first answer in `bytes` and its length.
    pub fn parse(bytes: &[u8], head_only: bool) -> Option<(Answer, usize)> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
        let code: u16 = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let mut answer = Answer {
            code,
            head,
            body: Vec::new(),
        };
        let len = match answer.field("Content-Length") {
            Some(len) if !head_only && code != 304 => len.parse().ok()?,
            _ => 0,
        };
        answer.body = bytes.get(end..end + len)?.to_vec();
        Some((answer, end + len))
    }

    /// A field's value.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}
