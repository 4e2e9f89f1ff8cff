//! A tiny driver in this process, behind the `vhost` crate's front end: it does what QEMU and the
//! guest do together, and sees every word that the device writes.

use quartz_hostile::{Backend, DeviceConfig, Queue};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryMmap};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// Descriptors of each ring.
pub const SIZE: u16 = 8;
/// Bytes of each receive buffer.
pub const BUFFER: u32 = 1536;
/// Length of the virtio header.
pub const HEADER: usize = 12;
/// Where the memory seems to be in the front end.
const USER: u64 = 0x7000_0000_0000;
const MEMORY: u64 = 0x10_0000;
const PATIENCE: Duration = Duration::from_secs(5);

/// One queue as its driver sees it. All buffers are of one descriptor; buffer `n` belongs to
/// descriptor `n`.
pub struct DriverQueue {
    pub avail: u16,
    pub taken: u16,
    kick: EventFd,
    call: EventFd,
}

/// The driver.
pub struct Driver {
    pub backend: Backend,
    front: Frontend,
    memory: GuestMemoryMmap,
    file: File,
    pub queues: [DriverQueue; 2],
    directory: TempDir,
}

/// A used entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    pub id: u32,
    pub len: u32,
}

impl Driver {
    /// A back end and a driver that is up, with every receive buffer posted.
    pub fn start(config: DeviceConfig) -> Driver {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("device");
        let backend = Backend::listen(&path, config).unwrap();
        let file = File::from(memfd_create("guest", MemfdFlags::CLOEXEC).unwrap());
        ftruncate(&file, MEMORY).unwrap();
        let range = (
            GuestAddress(0),
            MEMORY as usize,
            Some(FileOffset::new(file.try_clone().unwrap(), 0)),
        );
        let memory = GuestMemoryMmap::from_ranges_with_files([range]).unwrap();
        let front = connect(&path, &file);
        let queue = |_| DriverQueue {
            avail: 0,
            taken: 0,
            kick: EventFd::new(EFD_NONBLOCK).unwrap(),
            call: EventFd::new(EFD_NONBLOCK).unwrap(),
        };
        let mut driver = Driver {
            backend,
            front,
            memory,
            file,
            queues: Queue::ALL.map(queue),
            directory,
        };
        driver.bring_up();
        driver
    }

    /// Zeroes the rings, starts them and posts every receive buffer.
    pub fn bring_up(&mut self) {
        for index in 0..2 {
            let base = base(index);
            self.memory
                .write_slice(&[0; 0x1000], GuestAddress(base))
                .unwrap();
            let queue = &mut self.queues[index];
            (queue.avail, queue.taken) = (0, 0);
            let data = VringConfigData {
                queue_max_size: SIZE,
                queue_size: SIZE,
                flags: 0,
                desc_table_addr: USER + base,
                avail_ring_addr: USER + base + 0x400,
                used_ring_addr: USER + base + 0x800,
                log_addr: None,
            };
            self.front.set_vring_num(index, SIZE).unwrap();
            self.front.set_vring_base(index, 0).unwrap();
            self.front.set_vring_addr(index, &data).unwrap();
            self.front.set_vring_call(index, &queue.call).unwrap();
            self.front.set_vring_kick(index, &queue.kick).unwrap();
            self.front.set_vring_enable(index, true).unwrap();
        }
        for id in 0..SIZE {
            self.describe(Queue::Rx, id, BUFFER, true);
            self.post(Queue::Rx, id);
        }
        self.kick(Queue::Rx);
        let running = |v: &quartz_hostile::View| v.running;
        self.backend.wait("both rings", PATIENCE, running).unwrap();
    }

    /// Connects again after the back end has hung up.
    pub fn reconnect(&mut self) {
        self.front = connect(&self.directory.path().join("device"), &self.file);
        self.bring_up();
    }

    /// Stops the rings, as a device reset does.
    pub fn take_down(&mut self) {
        for index in 0..2 {
            self.front.get_vring_base(index).unwrap();
        }
    }

    /// Fills in descriptor `id`.
    pub fn describe(&self, queue: Queue, id: u16, len: u32, writable: bool) {
        let at = base(queue.index()) + 16 * u64::from(id);
        let mut bytes = buffer(queue, id).0.to_le_bytes().to_vec();
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&(if writable { 2u16 } else { 0 }).to_le_bytes());
        bytes.extend_from_slice(&[0, 0]);
        self.memory.write_slice(&bytes, GuestAddress(at)).unwrap();
    }

    /// Makes descriptor `id` available, without a notification.
    pub fn post(&mut self, queue: Queue, id: u16) {
        let avail = base(queue.index()) + 0x400;
        let queue = &mut self.queues[queue.index()];
        let slot = avail + 4 + 2 * u64::from(queue.avail % SIZE);
        let memory = &self.memory;
        memory.write_obj(id.to_le(), GuestAddress(slot)).unwrap();
        queue.avail = queue.avail.wrapping_add(1);
        memory
            .store(queue.avail, GuestAddress(avail + 2), Ordering::SeqCst)
            .unwrap();
    }

    /// Notifies the device.
    pub fn kick(&self, queue: Queue) {
        self.queues[queue.index()].kick.write(1).unwrap();
    }

    /// Sends a frame from descriptor `id`.
    pub fn send(&mut self, id: u16, frame: &[u8]) {
        let mut bytes = vec![0; HEADER];
        bytes.extend_from_slice(frame);
        let at = buffer(Queue::Tx, id);
        self.memory.write_slice(&bytes, at).unwrap();
        self.describe(Queue::Tx, id, bytes.len() as u32, false);
        self.post(Queue::Tx, id);
        self.kick(Queue::Tx);
    }

    /// Asks for an interrupt at the next used entry.
    pub fn rearm(&self, queue: Queue) {
        let taken = self.queues[queue.index()].taken;
        let at = base(queue.index()) + 0x400 + 4 + 2 * u64::from(SIZE);
        let store = |at| self.memory.store(taken, GuestAddress(at), Ordering::SeqCst);
        store(at).unwrap();
    }

    pub fn used_idx(&self, queue: Queue) -> u16 {
        let at = GuestAddress(base(queue.index()) + 0x800 + 2);
        self.memory.load(at, Ordering::SeqCst).unwrap()
    }

    /// `used.flags` and `avail_event`.
    pub fn asks(&self, queue: Queue) -> (u16, u16) {
        let at = base(queue.index()) + 0x800;
        let event = at + 4 + 8 * u64::from(SIZE);
        let load = |at| self.memory.load(GuestAddress(at), Ordering::SeqCst);
        (load(at).unwrap(), load(event).unwrap())
    }

    /// The next used entry, whatever it says; `None` if none comes within `timeout`.
    pub fn used(&mut self, queue: Queue, timeout: Duration) -> Option<Used> {
        let deadline = Instant::now() + timeout;
        let taken = self.queues[queue.index()].taken;
        while self.used_idx(queue) == taken {
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.queues[queue.index()].taken = taken.wrapping_add(1);
        let at = base(queue.index()) + 0x800 + 4 + 8 * u64::from(taken % SIZE);
        let entry: u64 = self.memory.read_obj(GuestAddress(at)).unwrap();
        Some(Used {
            id: entry as u32,
            len: (entry >> 32) as u32,
        })
    }

    /// The used entry that has to come.
    pub fn expect(&mut self, queue: Queue) -> Used {
        self.used(queue, PATIENCE).expect("no used entry came")
    }

    /// Header and frame in receive buffer `id`.
    pub fn received(&self, id: u32, len: u32) -> (Vec<u8>, Vec<u8>) {
        let mut bytes = vec![0; len as usize];
        let at = buffer(Queue::Rx, id as u16);
        self.memory.read_slice(&mut bytes, at).unwrap();
        let frame = bytes.split_off(HEADER);
        (bytes, frame)
    }

    /// Whether an interrupt comes within `timeout`; takes it.
    pub fn interrupted(&self, queue: Queue, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while self.queues[queue.index()].call.read().is_err() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Waits until the device has committed the fault.
    pub fn committed(&self, fault: quartz_hostile::Fault, queue: Queue) {
        let board = self.backend.board();
        let done = |_: &quartz_hostile::View| board.committed(fault, queue) > 0;
        self.backend.wait("the fault", PATIENCE, done).unwrap();
    }
}

/// A session in which all but the rings has been settled.
fn connect(path: &Path, memory: &File) -> Frontend {
    let mut front = Frontend::connect(path, 2).unwrap();
    front.set_owner().unwrap();
    let features = front.get_features().unwrap();
    front.get_protocol_features().unwrap();
    front.set_features(features).unwrap();
    let region = VhostUserMemoryRegionInfo {
        guest_phys_addr: 0,
        memory_size: MEMORY,
        userspace_addr: USER,
        mmap_offset: 0,
        mmap_handle: memory.as_raw_fd(),
    };
    front.set_mem_table(&[region]).unwrap();
    front
}

fn base(index: usize) -> u64 {
    0x1000 + 0x1000 * index as u64
}

fn buffer(queue: Queue, id: u16) -> GuestAddress {
    GuestAddress(0x1_0000 + 0x1_0000 * queue.index() as u64 + 0x800 * u64::from(id))
}
