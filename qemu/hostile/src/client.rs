//! The test client at the other end of the cable: a TCP/IP stack in a thread of its own, with
//! connections that a test opens, sends on and reads from. It answers ARP.

use crate::http::{HttpError, Response};
use crate::link::Link;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::socket::tcp;
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Bytes of each direction's buffer of a connection.
const BUFFER: usize = 64 * 1024;
/// Longest sleep of the thread.
const NAP: Duration = Duration::from_millis(200);

/// Addresses.
#[derive(Clone, Copy, Debug)]
pub struct ClientConfig {
    /// The client's own; the guest's gateway by default.
    pub address: Ipv4Addr,
    /// The guest's.
    pub guest: Ipv4Addr,
    /// Length of the prefix that both share.
    pub prefix_len: u8,
    /// The client's Ethernet address.
    pub mac: [u8; 6],
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig {
            address: Ipv4Addr::new(10, 0, 2, 2),
            guest: Ipv4Addr::new(10, 0, 2, 15),
            prefix_len: 24,
            mac: [0x52, 0x55, 0x0a, 0x00, 0x02, 0x02],
        }
    }
}

/// Why an exchange failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientError {
    /// No answer in time.
    #[error("no answer within {0:?}; the connection is {1}, {2} bytes of the answer had come")]
    TimedOut(Duration, String, usize),
    /// The connection ended first.
    #[error("the connection ended ({0})")]
    Ended(String),
    /// What came is not HTTP.
    #[error(transparent)]
    Http(#[from] HttpError),
}

struct State {
    interface: Interface,
    sockets: SocketSet<'static>,
    /// Connections that nobody holds any more.
    dying: Vec<SocketHandle>,
    next_port: u16,
}

struct Shared {
    config: ClientConfig,
    link: Arc<Link>,
    asked: Arc<AtomicU64>,
    state: Mutex<State>,
    progress: Condvar,
    stop: AtomicBool,
    begun: Instant,
}

/// The client. Ends when dropped.
pub struct Client {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// A client at the end of `link`.
    #[must_use]
    pub fn new(link: Arc<Link>, config: ClientConfig) -> Client {
        let begun = Instant::now();
        let asked = Arc::new(AtomicU64::new(0));
        let mut port = Port {
            link: link.clone(),
            asked: asked.clone(),
        };
        let mut stack = Config::new(EthernetAddress(config.mac).into());
        stack.random_seed = 0x5eed;
        let mut interface = Interface::new(stack, &mut port, StackInstant::ZERO);
        interface.update_ip_addrs(|addresses| {
            let address = IpCidr::new(IpAddress::Ipv4(config.address), config.prefix_len);
            // The first one always fits.
            let _ = addresses.push(address);
        });
        let shared = Arc::new(Shared {
            config,
            link,
            asked,
            state: Mutex::new(State {
                interface,
                sockets: SocketSet::new(Vec::new()),
                dying: Vec::new(),
                next_port: 49152,
            }),
            progress: Condvar::new(),
            stop: AtomicBool::new(false),
            begun,
        });
        let ours = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("hostile-client".to_owned())
            .spawn(move || ours.run(&mut port))
            .ok();
        Client { shared, thread }
    }

    /// Begins to connect to `port` of the guest.
    #[must_use]
    pub fn connect(&self, port: u16) -> Connection {
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        let mut state = self.shared.lock();
        let state = &mut *state;
        let local = state.next_port;
        state.next_port = state.next_port.checked_add(1).unwrap_or(49152);
        let guest = (IpAddress::Ipv4(self.shared.config.guest), port);
        // Fails only for a zero port or address: then the connection reports itself closed.
        let _ = socket.connect(state.interface.context(), guest, local);
        let handle = state.sockets.add(socket);
        self.shared.link.poke();
        Connection {
            shared: Arc::clone(&self.shared),
            handle,
            unsent: Vec::new(),
            received: Vec::new(),
        }
    }

    /// ARP requests that came from the guest; all that concern the client were answered.
    #[must_use]
    pub fn arp_requests(&self) -> u64 {
        self.shared.asked.load(Ordering::Relaxed)
    }

    /// Connects, asks for `path` and waits for the answer.
    ///
    /// # Errors
    /// No answer within `timeout`, or a wrong one.
    pub fn get(&self, path: &str, timeout: Duration) -> Result<Response, ClientError> {
        let mut connection = self.connect(80);
        connection.send(path);
        connection.wait(timeout)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.link.poke();
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

    fn now(&self) -> StackInstant {
        StackInstant::from_micros(self.begun.elapsed().as_micros() as i64)
    }

    fn run(&self, port: &mut Port) {
        while !self.stop.load(Ordering::Acquire) {
            let nap = {
                let mut state = self.lock();
                let state = &mut *state;
                let now = self.now();
                state.interface.poll(now, port, &mut state.sockets);
                state.bury();
                self.progress.notify_all();
                state.interface.poll_delay(now, &state.sockets)
            };
            let nap = nap.map_or(NAP, |d| Duration::from_micros(d.total_micros()));
            self.link.wait_for_client(nap.min(NAP));
        }
    }
}

impl State {
    /// Removes connections that have said their last word.
    fn bury(&mut self) {
        let sockets = &mut self.sockets;
        self.dying.retain(|handle| {
            let socket = sockets.get::<tcp::Socket<'_>>(*handle);
            let over = matches!(socket.state(), tcp::State::Closed | tcp::State::TimeWait);
            if over {
                sockets.remove(*handle);
            }
            !over
        });
    }
}

/// A connection to the guest. Reset when dropped.
pub struct Connection {
    shared: Arc<Shared>,
    handle: SocketHandle,
    /// To be sent.
    unsent: Vec<u8>,
    /// Received and not taken yet.
    received: Vec<u8>,
}

impl Connection {
    /// Sends `GET path`, keeping the connection open; waits for nothing.
    pub fn send(&mut self, path: &str) {
        let guest = self.shared.config.guest;
        self.send_raw(format!("GET {path} HTTP/1.1\r\nHost: {guest}\r\n\r\n").as_bytes());
    }

    /// Sends bytes as they are. What finds no room yet goes out with the next look for an answer.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
        self.push();
    }

    /// Hands over to the stack what it takes; nothing before the handshake is done.
    fn push(&mut self) {
        let unsent = std::mem::take(&mut self.unsent);
        let taken = self.with(|socket| socket.send_slice(&unsent).unwrap_or(0));
        self.unsent = unsent;
        self.unsent.drain(..taken);
    }

    /// The response, if it is whole.
    ///
    /// # Errors
    /// The connection ended, or what came is not HTTP.
    pub fn poll(&mut self) -> Result<Option<Response>, ClientError> {
        if !self.unsent.is_empty() {
            self.push();
        }
        let mut bytes = Vec::new();
        let (open, name) = self.with(|socket| {
            while socket.can_recv() {
                let taken = socket.recv(|part| {
                    bytes.extend_from_slice(part);
                    (part.len(), ())
                });
                if taken.is_err() {
                    break;
                }
            }
            let connecting = matches!(socket.state(), tcp::State::SynSent);
            (socket.may_recv() || connecting, socket.state().to_string())
        });
        self.received.extend_from_slice(&bytes);
        match Response::take(&mut self.received)? {
            None if !open => Err(ClientError::Ended(name)),
            response => Ok(response),
        }
    }

    /// Waits for the response.
    ///
    /// # Errors
    /// Not within `timeout`, the connection ended, or what came is not HTTP.
    pub fn wait(&mut self, timeout: Duration) -> Result<Response, ClientError> {
        let begun = Instant::now();
        loop {
            if let Some(response) = self.poll()? {
                return Ok(response);
            }
            let Some(left) = timeout.checked_sub(begun.elapsed()) else {
                let state = self.with(|socket| socket.state().to_string());
                return Err(ClientError::TimedOut(timeout, state, self.received.len()));
            };
            // Progress between the look above and this wait costs one short nap.
            let nap = left.min(Duration::from_millis(5));
            let state = self.shared.lock();
            let result = self.shared.progress.wait_timeout(state, nap);
            drop(result.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Asks for `path` on this connection and waits for the answer.
    ///
    /// # Errors
    /// As for [`Connection::wait`].
    pub fn get(&mut self, path: &str, timeout: Duration) -> Result<Response, ClientError> {
        self.send(path);
        self.wait(timeout)
    }

    /// Whether the handshake is done and neither side has ended the connection.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.with(|socket| socket.state() == tcp::State::Established)
    }

    /// The port at the client's end.
    #[must_use]
    pub fn local_port(&self) -> Option<u16> {
        self.with(|socket| socket.local_endpoint().map(|e| e.port))
    }

    fn with<R>(&self, act: impl FnOnce(&mut tcp::Socket<'_>) -> R) -> R {
        let mut state = self.shared.lock();
        let result = act(state.sockets.get_mut::<tcp::Socket<'_>>(self.handle));
        drop(state);
        self.shared.link.poke();
        result
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.with(|socket| socket.abort());
        self.shared.lock().dying.push(self.handle);
    }
}

/// The client's network card.
struct Port {
    link: Arc<Link>,
    asked: Arc<AtomicU64>,
}

impl phy::Device for Port {
    type RxToken<'a> = RxToken;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _: StackInstant) -> Option<(RxToken, TxToken<'_>)> {
        let frame = self.link.take_for_client()?;
        // Ethertype of ARP, operation 1 (RFC 826).
        if frame.get(12..14) == Some(&[8, 6]) && frame.get(20..22) == Some(&[0, 1]) {
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
        Some((RxToken(frame), TxToken(&self.link)))
    }

    fn transmit(&mut self, _: StackInstant) -> Option<TxToken<'_>> {
        Some(TxToken(&self.link))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

struct RxToken(Vec<u8>);

impl phy::RxToken for RxToken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct TxToken<'a>(&'a Link);

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        // Ethernet's shortest frame without its check sequence (IEEE 802.3, 4A.4.2).
        frame.resize(len.max(60), 0);
        self.0.send_to_guest(frame);
        result
    }
}
