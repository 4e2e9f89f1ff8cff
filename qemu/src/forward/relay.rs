//! One connection: a client on one side, a guest on the other, bounded buffers between.

use super::exchange::Exchange;
use crate::backlog::write_out;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Bytes that may wait for one side before the other is read no more.
const BUFFER: usize = 64 * 1024;
/// Bytes read at a time.
const CHUNK: usize = 16 * 1024;
/// The longest that a client waits for a guest to connect to.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a connection to a guest may take to be made. It is made on this host, at once or not at
/// all: where the queue of QEMU's socket is full (it asks for a length of 1), the system would try
/// again after a whole second.
const DIAL: Duration = Duration::from_millis(30);
/// Pause before the next try.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a client without a request may stay after its guest has gone.
const GRACE: Duration = Duration::from_millis(1500);
/// How long a client may stay that has never asked anything.
const SILENCE: Duration = Duration::from_secs(30);
/// Guests that a request is tried on.
const TRIES: u32 = 5;

/// The guest's side.
#[derive(Debug)]
enum Guest {
    /// None; the next try is due then.
    None(Instant),
    /// A connection is being made, at the latest until then.
    Dialing(TcpStream, Instant),
    /// Connected.
    Up(TcpStream),
    /// It has said all that it will.
    Ended,
}

/// A connection.
#[derive(Debug)]
pub struct Relay {
    client: TcpStream,
    guest: Guest,
    exchange: Exchange,
    to_guest: Vec<u8>,
    to_client: Vec<u8>,
    /// The client has said all that it will.
    client_ended: bool,
    /// That was passed on.
    end_told: bool,
    tries: u32,
    /// Since when it waits for a guest.
    waiting: Instant,
    /// The guest has gone while no request was under way.
    orphaned: bool,
}

/// Whether a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It does.
    Live,
    /// It is over, properly.
    Over,
    /// It broke with a request under way: the client did not get what it asked for.
    Broken,
}

/// What time may change about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Nothing.
    Not,
    /// It has nothing to do; it ends if that goes on.
    Long,
    /// Something is to be tried again soon.
    Short,
}

/// What a side of a connection is to be watched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Bytes to read.
    pub read: bool,
    /// Room to write.
    pub write: bool,
}

impl Relay {
    /// For a client that was just accepted. No guest is connected to before it asks something.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(client: TcpStream, now: Instant) -> io::Result<Relay> {
        client.set_nonblocking(true)?;
        client.set_nodelay(true)?;
        Ok(Relay {
            client,
            guest: Guest::None(now),
            exchange: Exchange::default(),
            to_guest: Vec::new(),
            to_client: Vec::new(),
            client_ended: false,
            end_told: false,
            tries: 0,
            waiting: now,
            orphaned: false,
        })
    }

    /// The client's socket.
    #[must_use]
    pub fn client(&self) -> &TcpStream {
        &self.client
    }

    /// The guest's socket, if there is one.
    #[must_use]
    pub fn guest(&self) -> Option<&TcpStream> {
        match &self.guest {
            Guest::Dialing(stream, _) | Guest::Up(stream) => Some(stream),
            Guest::None(_) | Guest::Ended => None,
        }
    }

    /// Whether it has to be looked at as time passes.
    #[must_use]
    pub fn waits(&self) -> Wait {
        match self.guest {
            // One that has ended waits for its client to take the answer.
            Guest::Up(_) | Guest::Ended => Wait::Not,
            Guest::None(_) if self.to_guest.is_empty() => Wait::Long,
            Guest::None(_) | Guest::Dialing(..) => Wait::Short,
        }
    }

    /// Whether no request is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.exchange.is_idle() && self.to_client.is_empty()
    }

    /// What the client's side is to be watched for.
    #[must_use]
    pub fn client_interest(&self) -> Interest {
        Interest {
            read: !self.client_ended && self.to_guest.len() < BUFFER,
            write: !self.to_client.is_empty(),
        }
    }

    /// What the guest's side is to be watched for.
    #[must_use]
    pub fn guest_interest(&self) -> Interest {
        match self.guest {
            Guest::Dialing(..) => Interest {
                read: false,
                write: true,
            },
            Guest::Up(_) => Interest {
                read: self.to_client.len() < BUFFER,
                write: !self.to_guest.is_empty(),
            },
            Guest::None(_) | Guest::Ended => Interest::default(),
        }
    }

    /// Goes on as far as it can. `address`: the guest that serves now, if one does.
    pub fn go_on(&mut self, address: Option<SocketAddr>, now: Instant) -> Fate {
        match self.try_to_go_on(address, now) {
            Ok(fate) => fate,
            // The client's side broke: nobody is left to be served.
            Err(_) => Fate::Over,
        }
    }

    fn try_to_go_on(&mut self, address: Option<SocketAddr>, now: Instant) -> io::Result<Fate> {
        self.read_client()?;
        if let Guest::None(due) = self.guest
            && let Some(address) = address
            && !self.to_guest.is_empty()
            && now >= due
        {
            self.guest = match dial(address) {
                Ok(stream) => Guest::Dialing(stream, now + DIAL),
                Err(_) => Guest::None(now + PAUSE),
            };
        }
        self.check_dial(now);
        if let Guest::Up(_) = self.guest
            && self.relay_guest().is_err()
        {
            self.guest = Guest::Ended;
        }
        self.write_client()?;
        if matches!(self.guest, Guest::Ended) {
            return Ok(self.without_guest(now));
        }
        if matches!(self.guest, Guest::None(_)) {
            if self.client_ended && (self.to_guest.is_empty() || self.is_idle()) {
                return Ok(Fate::Over);
            }
            let (patience, fate) = match (self.to_guest.is_empty(), self.orphaned) {
                (false, _) => (PATIENCE, Fate::Broken),
                (true, true) => (GRACE, Fate::Over),
                (true, false) => (SILENCE, Fate::Over),
            };
            if now >= self.waiting + patience {
                return Ok(fate);
            }
        }
        Ok(Fate::Live)
    }

    fn read_client(&mut self) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        while !self.client_ended && self.to_guest.len() < BUFFER {
            match self.client.read(&mut chunk) {
                Ok(0) => self.client_ended = true,
                Ok(n) => {
                    if self.to_guest.is_empty() && self.guest().is_none() {
                        self.waiting = Instant::now();
                        self.orphaned = false;
                    }
                    self.exchange.asked(&chunk[..n]);
                    self.to_guest.extend_from_slice(&chunk[..n]);
                    if n < CHUNK {
                        break;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn check_dial(&mut self, now: Instant) {
        let Guest::Dialing(stream, until) = &self.guest else {
            return;
        };
        let failed = !matches!(stream.take_error(), Ok(None)) || now >= *until;
        if failed {
            self.guest = Guest::None(now + PAUSE);
        } else if stream.peer_addr().is_ok()
            && let Guest::Dialing(stream, _) = std::mem::replace(&mut self.guest, Guest::None(now))
        {
            self.guest = Guest::Up(stream);
        }
    }

    fn relay_guest(&mut self) -> io::Result<()> {
        let Guest::Up(stream) = &mut self.guest else {
            return Ok(());
        };
        // What it said before it went counts: it is read first.
        let mut chunk = [0; CHUNK];
        let mut ended = false;
        while self.to_client.len() < BUFFER {
            match stream.read(&mut chunk) {
                Ok(0) => {
                    ended = true;
                    break;
                }
                Ok(n) => {
                    self.exchange.answered(&chunk[..n]);
                    self.to_client.extend_from_slice(&chunk[..n]);
                    self.tries = 0;
                    if n < CHUNK {
                        break;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        if ended {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_out(stream, &mut self.to_guest)?;
        if self.client_ended && self.to_guest.is_empty() && !self.end_told {
            self.end_told = true;
            stream.shutdown(std::net::Shutdown::Write)?;
        }
        Ok(())
    }

    fn write_client(&mut self) -> io::Result<()> {
        write_out(&mut self.client, &mut self.to_client)
    }

    /// The guest's side has ended: with another guest, or not at all.
    fn without_guest(&mut self, now: Instant) -> Fate {
        if !self.to_client.is_empty() {
            // The client has not taken its answer yet.
            return Fate::Live;
        }
        let Some(request) = self.exchange.resumable() else {
            return match self.exchange.is_cut() {
                true => Fate::Broken,
                false => Fate::Over,
            };
        };
        if self.client_ended && request.is_empty() {
            return Fate::Over;
        }
        self.tries += 1;
        if self.tries > TRIES {
            return Fate::Broken;
        }
        self.to_guest = request.to_vec();
        self.orphaned = request.is_empty();
        self.waiting = now;
        self.end_told = false;
        self.guest = Guest::None(now);
        Fate::Live
    }
}

/// Begins a connection; it is made when the socket can be written to.
fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket: OwnedFd = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    match connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}
