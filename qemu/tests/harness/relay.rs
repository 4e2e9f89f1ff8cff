//! A bad link: frames between two wires are lost, delayed, doubled and overtaken, by dice that fall
//! the same way in every run.

use super::network::TAP;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::ioctl::{Setter, ioctl};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What happens to packets, in thousandths, in each direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    pub loss: u64,
    pub duplicate: u64,
    /// So many are up to [`LATE`] later than they should be.
    pub reorder: u64,
    /// One way.
    pub delay: Duration,
}

/// How much too late a packet is that others overtake, at most.
const LATE: Duration = Duration::from_millis(10);

impl Weather {
    /// Two in a hundred packets are lost, five come late, one comes twice; 40 ms there and back.
    pub const BAD: Weather = Weather {
        loss: 20,
        duplicate: 10,
        reorder: 50,
        delay: Duration::from_millis(20),
    };
}

/// One end of the link.
pub enum Wire {
    /// The tap of the namespace in which it was opened.
    Tap(File),
    /// A guest's dgram device: our socket, and where the guest's is.
    Guest(UnixDatagram, PathBuf),
}

#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

/// TUNSETIFF of linux/if_tun.h.
const TUNSETIFF: rustix::ioctl::Opcode = 0x4004_54ca;
/// IFF_TAP and IFF_NO_PI: whole frames, and nothing in front of them. Offloads stay off.
const TAP_FLAGS: i16 = 0x0002 | 0x1000;

impl Wire {
    /// The tap of this thread's namespace.
    pub fn tap() -> Wire {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
        let file = options.open("/dev/net/tun").unwrap();
        let mut request = InterfaceRequest {
            name: [0; 16],
            flags: TAP_FLAGS,
            rest: [0; 22],
        };
        request.name[..TAP.len()].copy_from_slice(TAP.as_bytes());
        // SAFETY: the system reads one interface request, which has this layout.
        let made = unsafe { ioctl(&file, Setter::<TUNSETIFF, _>::new(request)) };
        made.expect("the tap is there and nobody has it");
        Wire::Tap(file)
    }

    /// A socket in `directory` for a guest, and the words that QEMU takes for its other end.
    pub fn guest(directory: &Path) -> (Wire, [String; 4]) {
        let (ours, theirs) = (directory.join("relay"), directory.join("guest"));
        let socket = UnixDatagram::bind(&ours).unwrap();
        socket.set_nonblocking(true).unwrap();
        let netdev = format!(
            "dgram,id=n0,local.type=unix,local.path={},remote.type=unix,remote.path={}",
            theirs.display(),
            ours.display()
        );
        let words = ["-netdev", &netdev, "-device", "virtio-net-device,netdev=n0"];
        (Wire::Guest(socket, theirs), words.map(String::from))
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Tap(file) => file.read(buffer),
            Wire::Guest(socket, _) => socket.recv(buffer),
        }
    }

    /// Sends a frame, which QEMU's end takes one after the other.
    fn send(&mut self, frame: &[u8]) {
        let patience = Instant::now() + Duration::from_secs(1);
        loop {
            let sent = match self {
                Wire::Tap(file) => file.write(frame),
                Wire::Guest(socket, path) => socket.send_to(frame, path),
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if Instant::now() > patience {
                        return;
                    }
                    thread::sleep(Duration::from_micros(50));
                }
                // Nobody is there, yet or any more: a link that is down.
                _ => return,
            }
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Wire::Tap(file) => file.as_fd(),
            Wire::Guest(socket, _) => socket.as_fd(),
        }
    }
}

/// A link under way. Ends when dropped.
pub struct Relay {
    weather: Arc<Mutex<Weather>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Connects two wires. The weather is fair.
    pub fn start(wires: [Wire; 2], seed: u64) -> Relay {
        let weather = Arc::new(Mutex::new(Weather::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let shared = (weather.clone(), stop.clone());
        let thread = thread::spawn(move || Link::new(wires, seed).run(&shared.0, &shared.1));
        Relay {
            weather,
            stop,
            thread: Some(thread),
        }
    }

    /// Changes the weather.
    pub fn set(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A frame on its way: when it arrives, its number, and which end it goes to.
type Flying = Reverse<(Instant, u64, usize, Vec<u8>)>;

struct Link {
    wires: [Wire; 2],
    dice: u64,
    flown: u64,
    flying: BinaryHeap<Flying>,
}

impl Link {
    fn new(wires: [Wire; 2], seed: u64) -> Link {
        Link {
            wires,
            dice: seed,
            flown: 0,
            flying: BinaryHeap::new(),
        }
    }

    fn run(mut self, weather: &Mutex<Weather>, stop: &AtomicBool) {
        let mut buffer = vec![0; 65_536];
        while !stop.load(Ordering::Relaxed) {
            let weather = *weather.lock().unwrap();
            for end in 0..2 {
                // A bound, so that what has arrived is not kept waiting.
                for _ in 0..64 {
                    match self.wires[end].receive(&mut buffer) {
                        Ok(len) if len > 0 => self.launch(&buffer[..len], 1 - end, &weather),
                        _ => break,
                    }
                }
            }
            while self
                .flying
                .peek()
                .is_some_and(|next| next.0.0 <= Instant::now())
            {
                let Some(Reverse((_, _, to, frame))) = self.flying.pop() else {
                    break;
                };
                self.wires[to].send(&frame);
            }
            self.rest();
        }
    }

    /// Waits for the next thing to do.
    fn rest(&self) {
        let next = self.flying.peek().map(|next| next.0.0);
        let rest = next.map_or(Duration::from_millis(100), |at| {
            at.saturating_duration_since(Instant::now())
        });
        let mut fds = [&self.wires[0], &self.wires[1]]
            .map(|wire| PollFd::from_borrowed_fd(wire.fd(), PollFlags::IN));
        let rest = Timespec::try_from(rest.min(Duration::from_millis(100))).unwrap();
        match poll(&mut fds, Some(&rest)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }

    fn launch(&mut self, frame: &[u8], to: usize, weather: &Weather) {
        let now = Instant::now();
        // Who resolves addresses is spared: that is not what is tested.
        let is_ip = matches!(frame.get(12..14), Some([0x08, 0x00] | [0x86, 0xdd]));
        if is_ip && self.happens(weather.loss) {
            return;
        }
        let copies = 1 + u64::from(is_ip && self.happens(weather.duplicate));
        for _ in 0..copies {
            let late = match is_ip && self.happens(weather.reorder) {
                true => Duration::from_nanos(self.roll() % LATE.as_nanos() as u64),
                false => Duration::ZERO,
            };
            self.flown += 1;
            let at = now + weather.delay + late;
            self.flying
                .push(Reverse((at, self.flown, to, frame.to_vec())));
        }
    }

    /// True in `share` of 1000 cases.
    fn happens(&mut self, share: u64) -> bool {
        self.roll() % 1000 < share
    }

    /// SplitMix64.
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.dice ^ (self.dice >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
