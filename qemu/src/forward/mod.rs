//! `quartz forward`: holds the clients' connections, so that they outlive guests and supervisors.
//!
//! It accepts on the socket that systemd holds and passes bytes to the guest that the supervisor
//! names. While no guest serves, it does not accept: clients wait in the socket's backlog. A
//! connection whose guest goes away goes on with the next one, if it stands between two requests
//! or before the answer to one that may be sent twice ([`exchange`]).
//!
//! It is a process of its own, and small, because what it holds must survive everything else. The
//! supervisor speaks to it on a Unix socket, a line each way: `serve ADDRESS:PORT`, `hold`,
//! `status`.

pub mod exchange;
pub mod relay;

use crate::cli::ForwardArgs;
use crate::error::Error;
use crate::outcome;
use crate::signals::Signals;
use relay::{Fate, Interest, Relay, Wait};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::{listen, sockopt};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Connections at once; more wait in the backlog.
const MAX_RELAYS: usize = 8192;
/// Connections that may wait to be accepted; the system caps it (net.core.somaxconn).
const BACKLOG: i32 = 4096;
/// How often connections are looked at that try to reach a guest.
const LOOK: Duration = Duration::from_millis(10);
/// How often those are that wait for one to serve.
const LOOK_HELD: Duration = Duration::from_millis(200);
/// How often those are that have nothing to do.
const LOOK_IDLE: Duration = Duration::from_secs(1);
/// How long connections may go on after SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a word on the control socket may take.
const CONTROL: Duration = Duration::from_secs(2);
/// Clients of the control socket at once.
const MAX_CONTROLS: u64 = 16;

const LISTENER: u64 = u64::MAX;
const WAKE: u64 = u64::MAX - 1;
const SIGNALS: u64 = u64::MAX - 2;

/// What the supervisor sees and says.
#[derive(Default)]
struct Desk {
    serving: Mutex<Option<SocketAddr>>,
    accepted: AtomicU64,
    open: AtomicU64,
    broken: AtomicU64,
    resumed: AtomicU64,
    controls: AtomicU64,
}

impl Desk {
    fn serving(&self) -> Option<SocketAddr> {
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Obeys a line; what to answer.
    fn obey(&self, line: &str) -> String {
        let line = line.trim();
        let serve = |address| {
            *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = address;
            "ok".to_owned()
        };
        match line.split_once(' ') {
            None if line == "hold" => serve(None),
            None if line == "status" => json!({
                "pid": std::process::id(),
                "serving": self.serving().map(|a| a.to_string()),
                "accepted": self.accepted.load(Relaxed),
                "open": self.open.load(Relaxed),
                "broken": self.broken.load(Relaxed),
                "resumed": self.resumed.load(Relaxed),
            })
            .to_string(),
            Some(("serve", address)) => match address.parse() {
                Ok(address) => serve(Some(address)),
                Err(_) => "error: no address".into(),
            },
            _ => "error: serve ADDRESS:PORT, hold or status".into(),
        }
    }
}

/// `quartz forward`.
///
/// # Errors
/// It cannot listen.
pub fn main(args: &ForwardArgs) -> Result<(), Error> {
    let listener = match args.listen {
        Some(address) => TcpListener::bind(address),
        // systemd's socket, by `StandardInput=socket`.
        None => inherited(),
    };
    let listener = listener.map_err(Error::system("there is no socket to listen on"))?;
    let signals = Signals::new().map_err(Error::system("cannot catch signals"))?;
    let desk = Arc::new(Desk::default());
    let (wake, waker) = UnixStream::pair().map_err(Error::system("cannot make a socket"))?;
    control(&args.control, Arc::clone(&desk), waker).map_err(Error::system(format!(
        "cannot serve {}",
        args.control.display()
    )))?;
    let mut switchboard = Switchboard::new(listener, wake, signals, desk)
        .map_err(Error::system("cannot watch the socket"))?;
    // Without systemd nobody hears it.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let ended = switchboard.run();
    let _ = fs::remove_file(&args.control);
    ended.map_err(Error::system("cannot forward"))
}

fn inherited() -> io::Result<TcpListener> {
    let stdin: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    if !sockopt::socket_acceptconn(&stdin).unwrap_or(false) {
        let text = "standard input is no listening socket (systemd: StandardInput=socket); name an address with --listen";
        return Err(io::Error::other(text));
    }
    Ok(TcpListener::from(stdin))
}

/// Serves the control socket on threads of its own.
fn control(path: &Path, desk: Arc<Desk>, waker: UnixStream) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    waker.set_nonblocking(true)?;
    let waker = Arc::new(waker);
    thread::Builder::new()
        .name("control".into())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                if desk.controls.fetch_add(1, Relaxed) >= MAX_CONTROLS {
                    desk.controls.fetch_sub(1, Relaxed);
                    continue;
                }
                let (desk, waker) = (Arc::clone(&desk), Arc::clone(&waker));
                let conversation = thread::Builder::new().spawn(move || {
                    // Who goes away has nothing more to say.
                    let _ = converse(stream, &desk, &waker);
                    desk.controls.fetch_sub(1, Relaxed);
                });
                if let Err(error) = conversation {
                    outcome::say(&format_args!("cannot answer the supervisor: {error}"));
                }
            }
        })?;
    Ok(())
}

fn converse(stream: UnixStream, desk: &Desk, waker: &UnixStream) -> io::Result<()> {
    stream.set_write_timeout(Some(CONTROL))?;
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if (&mut lines).take(256).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let answer = desk.obey(&line);
        // Full: it will wake anyway.
        let _ = (&mut &*waker).write(b"x");
        out.write_all(format!("{answer}\n").as_bytes())?;
    }
}

/// A relay with what it is watched for.
struct Line {
    relay: Relay,
    client: Interest,
    /// The guest's socket is watched, for this.
    guest: Option<Interest>,
    /// It has ended, and is not watched until the client has taken its answer.
    muted: bool,
    was_up: bool,
}

struct Switchboard {
    epoll: OwnedFd,
    listener: TcpListener,
    wake: UnixStream,
    signals: Signals,
    desk: Arc<Desk>,
    lines: Vec<Option<Line>>,
    free: Vec<usize>,
    /// Those that time moves soon, and those that it ends.
    urgent: BTreeSet<usize>,
    waiting: BTreeSet<usize>,
    listening: bool,
    draining: Option<Instant>,
}

impl Switchboard {
    fn new(
        listener: TcpListener,
        wake: UnixStream,
        signals: Signals,
        desk: Arc<Desk>,
    ) -> io::Result<Switchboard> {
        listener.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        // The one that systemd or the standard library chose is short.
        listen(&listener, BACKLOG)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        let of_signals = EventData::new_u64(SIGNALS);
        epoll::add(&epoll, &signals, of_signals, EventFlags::IN)?;
        Ok(Switchboard {
            epoll,
            listener,
            wake,
            signals,
            desk,
            lines: Vec::new(),
            free: Vec::new(),
            urgent: BTreeSet::new(),
            waiting: BTreeSet::new(),
            listening: false,
            draining: None,
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(256);
        let mut looked = Instant::now();
        let mut looked_at_idle = looked;
        loop {
            self.watch_listener()?;
            let look = match (self.urgent.is_empty(), self.desk.serving()) {
                (true, _) => LOOK_IDLE,
                (false, None) => LOOK_HELD,
                (false, Some(_)) => LOOK,
            };
            let timeout = rustix::event::Timespec {
                tv_sec: look.as_secs().try_into().unwrap_or(1),
                tv_nsec: look.subsec_nanos().into(),
            };
            events.clear();
            let spare = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.epoll, spare, Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            // Without a watchdog nobody hears it.
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
            let now = Instant::now();
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept(now)?,
                    WAKE => {
                        let mut sink = [0; 64];
                        while matches!(self.wake.read(&mut sink), Ok(n) if n > 0) {}
                        looked = now - LOOK_IDLE;
                    }
                    SIGNALS => {
                        self.signals.take();
                        self.draining.get_or_insert(now + DRAIN);
                    }
                    token => self.turn(token, event.flags, now),
                }
            }
            if now.duration_since(looked) >= look {
                looked = now;
                for at in self.urgent.clone() {
                    self.go_on(at, now);
                }
            }
            if now.duration_since(looked_at_idle) >= LOOK_IDLE {
                looked_at_idle = now;
                for at in self.waiting.clone() {
                    self.go_on(at, now);
                }
            }
            if let Some(until) = self.draining {
                let under_way = self
                    .lines
                    .iter()
                    .flatten()
                    .any(|line| !line.relay.is_idle());
                if !under_way || now >= until {
                    return Ok(());
                }
            }
        }
    }

    /// Accepts only while there is a guest to serve, and room.
    fn watch_listener(&mut self) -> io::Result<()> {
        let open = self.lines.len() - self.free.len();
        let wanted = self.draining.is_none() && self.desk.serving().is_some() && open < MAX_RELAYS;
        if wanted != self.listening {
            self.listening = wanted;
            if wanted {
                let data = EventData::new_u64(LISTENER);
                epoll::add(&self.epoll, &self.listener, data, EventFlags::IN)?;
            } else {
                epoll::delete(&self.epoll, &self.listener)?;
            }
        }
        Ok(())
    }

    fn accept(&mut self, now: Instant) -> io::Result<()> {
        for _ in 0..64 {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // Out of descriptors, or the client has gone already: the next look tries again.
                Err(_) => break,
            };
            self.desk.accepted.fetch_add(1, Relaxed);
            if let Err(error) = self.take(stream, now) {
                outcome::say(&format_args!("a connection is lost: {error}"));
            }
        }
        Ok(())
    }

    fn take(&mut self, stream: TcpStream, now: Instant) -> io::Result<()> {
        let relay = Relay::new(stream, now)?;
        let at = self.free.pop().unwrap_or_else(|| {
            self.lines.push(None);
            self.lines.len() - 1
        });
        let client = Interest {
            read: true,
            write: false,
        };
        let data = EventData::new_u64(at as u64 * 2);
        if let Err(error) = epoll::add(&self.epoll, relay.client(), data, flags(client)) {
            self.free.push(at);
            return Err(error.into());
        }
        self.lines[at] = Some(Line {
            relay,
            client,
            guest: None,
            muted: false,
            was_up: false,
        });
        self.desk.open.fetch_add(1, Relaxed);
        self.go_on(at, now);
        Ok(())
    }

    /// Something happened on a socket.
    fn turn(&mut self, token: u64, flags: EventFlags, now: Instant) {
        let at = (token / 2) as usize;
        let Some(line) = self.lines.get_mut(at).and_then(Option::as_mut) else {
            return;
        };
        if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
            if token.is_multiple_of(2) {
                // The client has gone in both directions: nobody is left to be served.
                return self.remove(at);
            }
            if let (Some(guest), Some(interest)) = (line.relay.guest(), line.guest)
                && !interest.read
                && !interest.write
            {
                // It would be reported again and again while the client takes its time.
                line.muted = epoll::delete(&self.epoll, guest).is_ok();
            }
        }
        self.go_on(at, now);
    }

    fn remove(&mut self, at: usize) {
        if self.lines[at].take().is_some() {
            self.free.push(at);
            self.urgent.remove(&at);
            self.waiting.remove(&at);
            self.desk.open.fetch_sub(1, Relaxed);
        }
    }

    fn go_on(&mut self, at: usize, now: Instant) {
        let Some(line) = self.lines.get_mut(at).and_then(Option::as_mut) else {
            return;
        };
        let had_guest = line.relay.guest().is_some();
        let fate = line.relay.go_on(self.desk.serving(), now);
        if had_guest && line.relay.guest().is_none() {
            // Its socket is closed, and with that no longer watched.
            line.guest = None;
            line.muted = false;
            if line.was_up && fate == Fate::Live {
                self.desk.resumed.fetch_add(1, Relaxed);
            }
            line.was_up = false;
        }
        if fate != Fate::Live {
            if fate == Fate::Broken {
                self.desk.broken.fetch_add(1, Relaxed);
            }
            return self.remove(at);
        }
        let wait = line.relay.waits();
        line.was_up |= wait == Wait::Not;
        let put = |set: &mut BTreeSet<usize>, wanted: Wait| match wait == wanted {
            true => set.insert(at),
            false => set.remove(&at),
        };
        put(&mut self.urgent, Wait::Short);
        put(&mut self.waiting, Wait::Long);
        if watch(&self.epoll, line, at).is_err() {
            // It cannot be watched: time will look at it.
            self.waiting.insert(at);
        }
    }
}

fn watch(epoll: &OwnedFd, line: &mut Line, at: usize) -> io::Result<()> {
    let token = at as u64 * 2;
    let client = line.relay.client_interest();
    if client != line.client {
        let data = EventData::new_u64(token);
        epoll::modify(epoll, line.relay.client(), data, flags(client))?;
        line.client = client;
    }
    if let Some(guest) = line.relay.guest() {
        let interest = line.relay.guest_interest();
        let data = EventData::new_u64(token + 1);
        match line.guest {
            None => epoll::add(epoll, guest, data, flags(interest))?,
            Some(_) if line.muted => {
                if interest.read || interest.write {
                    epoll::add(epoll, guest, data, flags(interest))?;
                    line.muted = false;
                }
            }
            Some(known) if known != interest => {
                epoll::modify(epoll, guest, data, flags(interest))?;
            }
            Some(_) => {}
        }
        line.guest = Some(interest);
    }
    Ok(())
}

fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, interest.read);
    flags.set(EventFlags::OUT, interest.write);
    flags
}
