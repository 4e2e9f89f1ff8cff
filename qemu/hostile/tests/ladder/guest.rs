//! A booted kernel that serves, with the client that asks it.

use crate::machine::{Machine, Setup};
use quartz_hostile::{Client, ClientConfig, Connection, Queue, View};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Time to boot and to give a first answer.
const BOOT: Duration = Duration::from_secs(20);
/// Time for anything else that has to happen and has no bound of its own.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// One guest at a time: two would measure each other.
static TURN: Mutex<()> = Mutex::new(());

/// A guest that has answered.
pub struct Guest {
    // The client goes first: its resets of open connections still find a cable.
    pub client: Client,
    pub machine: Machine,
    _turn: MutexGuard<'static, ()>,
}

/// The kernel under test.
pub fn kernel() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/quartz-unikernel.elf");
    let path = std::env::var_os("QUARTZ_KERNEL").map_or(built, PathBuf::from);
    assert!(
        path.exists(),
        "no kernel at {}: `make kernel` builds it, or QUARTZ_KERNEL names another",
        path.display()
    );
    path
}

impl Guest {
    /// Boots and waits for the first answer. A guest whose card was never brought up gets a second
    /// chance, and says so.
    pub fn boot(setup: Setup) -> Guest {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let setup = Setup {
            kernel: Some(kernel()),
            ..setup
        };
        let mut machine = Machine::start(&setup);
        let running = |v: &View| v.running;
        if let Err(error) = machine.backend.wait("DRIVER_OK", BOOT, running) {
            crate::say(&format!("second attempt to boot: {error}"));
            machine = Machine::start(&setup);
            machine.backend.wait("DRIVER_OK", BOOT, running).unwrap();
        }
        let view = machine.backend.view();
        assert!(view.memory_tables > 0, "QEMU serves the card: {view:?}");
        let version_1 = view.features & 1 << 32 != 0;
        assert_eq!(version_1, setup.modern, "{view:?}");
        let client = Client::new(machine.backend.link().clone(), ClientConfig::default());
        let guest = Guest {
            client,
            machine,
            _turn: turn,
        };
        let health = guest.client.get("/healthz", BOOT).unwrap();
        assert_eq!(health.status, 200, "{}", health.text());
        guest
    }

    /// A connection that has served a request.
    pub fn connect(&self) -> Connection {
        let mut connection = self.client.connect(80);
        let response = connection.get("/", PATIENCE).unwrap();
        assert_eq!(response.status, 200);
        connection
    }

    /// The figures, over HTTP.
    pub fn stats(&self) -> Stats {
        let response = self.client.get("/stats.json", PATIENCE).unwrap();
        assert_eq!(response.status, 200);
        Stats(serde_json::from_slice(&response.body).unwrap())
    }

    /// The black box, as bytes.
    pub fn black_box(&self) -> Vec<u8> {
        let mut admin = self.client.connect(9100);
        let response = admin.get("/blackbox", PATIENCE).unwrap();
        assert_eq!(response.status, 200);
        response.body
    }

    /// Waits until the guest has asked its gateway often enough to know that it answers.
    pub fn trust_the_gateway(&self) {
        let (asked, begun) = (self.client.arp_requests(), Instant::now());
        while self.client.arp_requests() < asked + 2 {
            assert!(begun.elapsed() < PATIENCE, "the guest does not probe");
            thread::sleep(Duration::from_millis(10));
        }
        // The last answer has to get there.
        thread::sleep(Duration::from_millis(50));
    }

    /// Waits until no descriptor is missing: the device owns the whole receive ring and nothing
    /// of the transmit ring, and the guest's own books say the same.
    pub fn no_descriptor_is_lost(&mut self) {
        self.is_idle();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self
                .machine
                .ask("stats", |s| s.contains("unexpected interrupts "));
            let rx = |name| field(&said, "rx:", name);
            let tx = |name| field(&said, "tx:", name);
            let rx_whole = rx("gap") == rx("size") && rx("size").is_some();
            let tx_whole = match (tx("gap"), tx("free"), tx("size")) {
                (Some(gap), Some(free), Some(size)) => gap + free == size,
                _ => false,
            };
            if rx_whole && tx_whole {
                return;
            }
            assert!(Instant::now() < deadline, "descriptors are lost: {said}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the device owns the whole receive ring and nothing of the transmit ring.
    pub fn is_idle(&self) {
        let whole = |v: &View| {
            let rx = v.rx.gap == v.rx.size && v.rx.owned == v.rx.size;
            v.running && rx && v.tx.gap == 0 && v.tx.owned == 0
        };
        let what = "every descriptor to be back";
        self.machine.backend.wait(what, PATIENCE, whole).unwrap();
    }

    /// The kernel has neither panicked nor complained about itself, and broke no rule.
    pub fn is_sound(&self) {
        let serial = self.machine.serial().to_lowercase();
        for word in ["panic", "exception", "fault at", "ledger"] {
            assert!(!serial.contains(word), "{word:?} on the serial line");
        }
        assert_eq!(self.machine.backend.view().breaches, Vec::<String>::new());
    }
}

/// The number behind `name` in the line that begins with `line`.
fn field(text: &str, line: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|l| l.trim_start().starts_with(line))?;
    let mut words = line.split_whitespace();
    words.find(|word| *word == name)?;
    words.next()?.trim_end_matches(',').parse().ok()
}

/// `/stats.json`.
pub struct Stats(Value);

impl Stats {
    /// A figure of one ring.
    pub fn ring(&self, queue: Queue, name: &str) -> u64 {
        let value = &self.0[queue.to_string()][name];
        value
            .as_u64()
            .unwrap_or_else(|| panic!("no {queue}.{name} in {}", self.0))
    }
}
