//! The back end: the vhost-user session with QEMU and the thread that turns the device.

use crate::board::{Board, Order};
use crate::device::{Device, DeviceConfig, EVENT_IDX, View};
use crate::fault::{Fault, Queue};
use crate::link::Link;
use crate::memory::{Memory, MemoryError};
use crate::protocol::{ProtocolError, Request, Session};
use crate::ring::{Ring, RingSetup};
use crate::wake::Wake;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use thiserror::Error;
use vhost::vhost_user::VhostUserVirtioFeatures;
use vhost::vhost_user::message::{FrontendReq, VhostUserVringAddr};

/// Longest sleep of the thread.
const NAP: Duration = Duration::from_secs(1);

/// Why a back end could not be made, or a wait on it failed.
#[derive(Debug, Error)]
pub enum BackendError {
    /// The socket or the thread could not be had.
    #[error("back end at {path}: {error}")]
    Start {
        /// Where it should have listened.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The guest did not get that far in time.
    #[error("waited {waited:?} for {what}; last seen: {view:?}")]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// How long.
        waited: Duration,
        /// The last look.
        view: Box<View>,
    },
}

/// Why a session ended.
#[derive(Debug, Error)]
enum SessionError {
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error("SET_MEM_TABLE: {0}")]
    Memory(#[from] MemoryError),
    #[error("queue {0} is none of ours")]
    Queue(usize),
    #[error("queue {0}: the ring lies outside of memory or is malformed")]
    Ring(usize),
}

/// What the messages said about one queue.
#[derive(Default)]
struct Vring {
    size: Option<u16>,
    address: Option<VhostUserVringAddr>,
    base: u16,
    kick: Option<Arc<Wake>>,
    call: Option<Arc<Wake>>,
    disabled: bool,
}

/// All that the thread and the test share.
struct State {
    config: DeviceConfig,
    device: Device,
    board: Arc<Board>,
    memory: Option<Memory>,
    vrings: [Vring; 2],
    view: View,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    wake: Wake,
    stop: AtomicBool,
}

/// A vhost-user-net back end in a thread of its own. Ends when dropped.
pub struct Backend {
    shared: Arc<Shared>,
    link: Arc<Link>,
    board: Arc<Board>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    /// Listens on a new socket at `path`; QEMU connects there, now or later, again and again.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn listen(path: &Path, config: DeviceConfig) -> Result<Backend, BackendError> {
        let failed = |error| BackendError::Start {
            path: path.to_owned(),
            error,
        };
        let listener = UnixListener::bind(path).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let link = Arc::new(Link::new().map_err(failed)?);
        let board = Arc::new(Board::default());
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                config,
                device: Device::new(config, Arc::clone(&link), Arc::clone(&board)),
                board: Arc::clone(&board),
                memory: None,
                vrings: Default::default(),
                view: View::default(),
            }),
            changed: Condvar::new(),
            wake: Wake::new().map_err(failed)?,
            stop: AtomicBool::new(false),
        });
        let (ours, cable) = (Arc::clone(&shared), Arc::clone(&link));
        let thread = std::thread::Builder::new()
            .name("hostile-device".to_owned())
            .spawn(move || serve(&listener, &ours, &cable))
            .map_err(failed)?;
        Ok(Backend {
            shared,
            link,
            board,
            thread: Some(thread),
        })
    }

    /// The cable.
    #[must_use]
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// The switchboard of faults.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Orders a fault, from now on.
    pub fn inject(&self, order: Order) {
        self.board.inject(order);
        let _ = self.shared.wake.signal();
    }

    /// Ends every fault; what was held up goes on.
    pub fn clear(&self) {
        self.board.clear();
        let mut state = self.lock();
        for queue in Queue::ALL {
            if let Some(ring) = state.device.ring(queue) {
                ring.wake();
            }
        }
        drop(state);
        let _ = self.shared.wake.signal();
    }

    /// The guest as the device sees it now.
    #[must_use]
    pub fn view(&self) -> View {
        self.lock().view_now()
    }

    /// Waits until `done` is true of the view.
    ///
    /// # Errors
    /// It is not before the deadline.
    pub fn wait(
        &self,
        what: &'static str,
        timeout: Duration,
        mut done: impl FnMut(&View) -> bool,
    ) -> Result<View, BackendError> {
        let begun = Instant::now();
        let mut state = self.lock();
        loop {
            let view = state.view_now();
            if done(&view) {
                return Ok(view);
            }
            let waited = begun.elapsed();
            let Some(left) = timeout.checked_sub(waited) else {
                return Err(BackendError::TimedOut {
                    what,
                    waited,
                    view: Box::new(view),
                });
            };
            // The guest's memory changes without telling: look again after a moment.
            let nap = left.min(Duration::from_millis(5));
            let result = self.shared.changed.wait_timeout(state, nap);
            state = result.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        let _ = self.shared.wake.signal();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has already been printed.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread: sleep until something happens, then do everything there is to do.
fn serve(listener: &UnixListener, shared: &Shared, link: &Link) {
    let mut session: Option<Session> = None;
    while !shared.stop.load(Ordering::Acquire) {
        let (kicks, due) = {
            let mut state = shared.lock();
            let due = state.device.turn();
            if state.board.take_one(Fault::Disconnect, Queue::Rx) && session.take().is_some() {
                state.hang_up();
            }
            shared.changed.notify_all();
            (Queue::ALL.map(|q| state.device.kick_file(q)), due)
        };
        let nap = due.map_or(NAP, |at| at.saturating_duration_since(Instant::now()));
        let ready = {
            let socket = session.as_ref().map_or(listener.as_fd(), AsFd::as_fd);
            let wakes = [Some(&shared.wake), Some(&link.to_device)];
            let wakes = wakes.into_iter().chain(kicks.iter().map(|k| k.as_deref()));
            let fds = std::iter::once(Some(socket)).chain(wakes.map(|w| w.map(AsFd::as_fd)));
            sleep(fds, nap)
        };
        if ready[1] {
            shared.wake.drain();
        }
        if ready[2] {
            link.to_device.drain();
        }
        let mut state = shared.lock();
        for queue in Queue::ALL {
            let kick = kicks[queue.index()].as_ref();
            if let Some(kick) = kick.filter(|_| ready[3 + queue.index()])
                && kick.drain() > 0
            {
                state.device.kicked(queue);
            }
        }
        if ready[0] {
            match &mut session {
                Some(open) => {
                    let outcome = state.handle(open);
                    if !matches!(outcome, Ok(true)) {
                        if let Err(error) = outcome {
                            state.note(error.to_string());
                        }
                        session = None;
                        state.hang_up();
                    }
                }
                None => session = state.accept(listener),
            }
        }
    }
}

/// Polls the files that are there; which of them are readable or broken.
fn sleep<'a>(
    files: impl Iterator<Item = Option<std::os::fd::BorrowedFd<'a>>>,
    nap: Duration,
) -> [bool; 5] {
    let files: Vec<_> = files.collect();
    let mut polled: Vec<PollFd<'_>> = files
        .iter()
        .flatten()
        .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
        .collect();
    let timeout = Timespec {
        tv_sec: nap.as_secs() as i64,
        tv_nsec: i64::from(nap.subsec_nanos()),
    };
    // An interrupted sleep is a short one.
    let _ = poll(&mut polled, Some(&timeout));
    let mut results = polled.iter().map(|fd| !fd.revents().is_empty());
    let mut ready = [false; 5];
    for (slot, file) in ready.iter_mut().zip(&files) {
        *slot = file.is_some() && results.next().unwrap_or(false);
    }
    ready
}

impl State {
    fn view_now(&self) -> View {
        let mut view = self.view.clone();
        view.rx = self.device.view(Queue::Rx);
        view.tx = self.device.view(Queue::Tx);
        view.running = view.rx.size > 0 && view.tx.size > 0;
        view.breaches = self.device.breaches();
        view
    }

    fn note(&mut self, error: String) {
        self.view.errors.push(error);
        self.view.errors.truncate(64);
    }

    fn accept(&mut self, listener: &UnixListener) -> Option<Session> {
        let session = listener
            .accept()
            .and_then(|(socket, _)| Session::new(socket));
        match session {
            Ok(session) => {
                self.view.sessions += 1;
                Some(session)
            }
            Err(error) => {
                self.note(format!("accept: {error}"));
                None
            }
        }
    }

    fn hang_up(&mut self) {
        for queue in Queue::ALL {
            self.device.stop(queue);
        }
        self.vrings = Default::default();
        self.memory = None;
    }

    /// One message. Whether the session goes on.
    fn handle(&mut self, session: &mut Session) -> Result<bool, SessionError> {
        let Some(message) = session.receive()? else {
            return Ok(false);
        };
        match message.request {
            Request::GetFeatures => {
                let features = self.config.features();
                let features = features | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
                session.reply_u64(message.code, features)?;
                return Ok(true);
            }
            // None of the protocol's extensions; the bit alone keeps QEMU with us.
            Request::GetProtocolFeatures => {
                session.reply_u64(FrontendReq::GET_PROTOCOL_FEATURES, 0)?;
                return Ok(true);
            }
            Request::GetVringBase(index) => {
                let base = self.stop(index)?;
                session.reply_state(index, base)?;
                return Ok(true);
            }
            Request::SetFeatures(features) => {
                self.view.features = features;
                self.device.set_features(features);
            }
            Request::SetMemTable(regions, files) => {
                self.memory = Some(Memory::new(regions, files)?);
                self.view.memory_tables += 1;
            }
            Request::SetVringNum(index, num) => {
                self.vring(index)?.size = u16::try_from(num).ok();
            }
            Request::SetVringAddr(index, address) => self.vring(index)?.address = Some(address),
            Request::SetVringBase(index, base) => self.vring(index)?.base = base as u16,
            Request::SetVringKick(index, file) => {
                self.vring(index)?.kick = file.map(Wake::from_fd).map(Arc::new);
                self.start(index)?;
            }
            Request::SetVringCall(index, file) => {
                let call = file.map(Wake::from_fd).map(Arc::new);
                self.vring(index)?.call.clone_from(&call);
                if let Some(ring) = self.device.ring(queue(index)?) {
                    ring.call = call;
                }
            }
            Request::SetVringEnable(index, enable) => {
                self.vring(index)?.disabled = !enable;
                if enable {
                    self.start(index)?;
                } else {
                    let base = self.stop(index)?;
                    self.vring(index)?.base = base;
                }
            }
            Request::Other => {}
        }
        if message.need_reply {
            session.reply_u64(message.code, 0)?;
        }
        Ok(true)
    }

    fn vring(&mut self, index: usize) -> Result<&mut Vring, SessionError> {
        self.vrings.get_mut(index).ok_or(SessionError::Queue(index))
    }

    /// Starts a ring once everything about it has been said.
    fn start(&mut self, index: usize) -> Result<(), SessionError> {
        let queue = queue(index)?;
        let event_idx = self.view.features & EVENT_IDX != 0;
        let vring = &self.vrings[index];
        let (Some(memory), Some(size), Some(address), Some(kick)) =
            (&self.memory, vring.size, vring.address, &vring.kick)
        else {
            return Ok(());
        };
        if vring.disabled || self.device.ring(queue).is_some() {
            return Ok(());
        }
        let bad = SessionError::Ring(index);
        let at = |user| memory.translate(user);
        let (Some(descriptors), Some(avail), Some(used)) = (
            at(address.descriptor),
            at(address.available),
            at(address.used),
        ) else {
            return Err(bad);
        };
        let setup = RingSetup {
            size,
            descriptors,
            avail,
            used,
            base: vring.base,
            event_idx,
            kick: Arc::clone(kick),
            call: vring.call.clone(),
        };
        let ring = Ring::start(setup, Arc::clone(&memory.map)).map_err(|_| bad)?;
        self.device.start(queue, ring);
        if queue == Queue::Rx {
            self.view.starts += 1;
        }
        Ok(())
    }

    /// Stops a ring. From where the driver's entries were not taken.
    fn stop(&mut self, index: usize) -> Result<u16, SessionError> {
        let queue = queue(index)?;
        let base = self.device.stop(queue);
        // A reset stops both rings, the receive ring first; one is enough to count it.
        if queue == Queue::Rx && base.is_some() {
            self.board.reset();
        }
        let vring = &mut self.vrings[index];
        vring.kick = None;
        vring.address = None;
        Ok(base.unwrap_or(vring.base))
    }
}

fn queue(index: usize) -> Result<Queue, SessionError> {
    Queue::ALL
        .get(index)
        .copied()
        .ok_or(SessionError::Queue(index))
}
