//! Taking evidence all the time: one thread for each way of asking, so that one that hangs hangs
//! alone. Every wait in them has a deadline.

use super::evidence::Evidence;
use super::instance::Instance;
use super::life::Millis;
use super::listeners::Listeners;
use super::metrics::Metrics;
use super::process::now;
use crate::guest::Ending;
use crate::http;
use crate::journal::{Journal, clean};
use crate::monitor::{Monitor, MonitorError, Sent};
use crate::signals::wait_any;
use quartz_abi::Heartbeat;
use quartz_console::armor::Reader;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a guest is asked that has not answered yet.
const EAGER: Duration = Duration::from_millis(50);
/// How often the log is looked at for what was heard, which QEMU writes a moment later.
const LAG: Duration = Duration::from_millis(10);
/// How often who is late at the serial line is offered what it has still to take.
const OFFER: Duration = Duration::from_millis(10);
/// How long a question on the monitor may take.
const QUERY: Duration = Duration::from_millis(1500);
/// How often the end of a thread is looked for, and lost sockets are tried again.
const LOOK: Duration = Duration::from_millis(250);
/// How long QEMU may take to make its sockets.
const START: Duration = Duration::from_secs(2);
/// Longest line of the serial log.
const LINE: usize = 2048;
/// Size at which the serial log is cut.
const LOG: u64 = 4 << 20;

/// What a thread tells the supervisor about a guest.
#[derive(Debug)]
pub enum News {
    /// It answered a question asked then.
    Answered(Millis),
    /// Its process ended.
    Ended(Option<Ending>),
}

/// A question or command for the monitor's thread.
struct Errand {
    command: String,
    arguments: Value,
    deadline: Instant,
    answer: SyncSender<Result<Value, MonitorError>>,
}

/// A guest's monitor, for any thread.
#[derive(Clone, Debug)]
pub struct Desk {
    errands: Sender<Errand>,
    sent: Arc<Mutex<Sent>>,
}

impl Desk {
    /// Runs a command.
    ///
    /// # Errors
    /// No answer in time, a broken connection, or a refusal.
    pub fn execute(
        &self,
        command: &str,
        arguments: Value,
        deadline: Instant,
    ) -> Result<Value, MonitorError> {
        let (answer, answered) = sync_channel(1);
        let errand = Errand {
            command: command.to_owned(),
            arguments,
            deadline,
            answer,
        };
        let gone = |_| MonitorError::Gone(io::ErrorKind::NotConnected.into());
        self.errands.send(errand).map_err(|e| gone(e.to_string()))?;
        let left = deadline.saturating_duration_since(Instant::now());
        match answered.recv_timeout(left) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => Err(MonitorError::Late),
            Err(RecvTimeoutError::Disconnected) => Err(gone(String::new())),
        }
    }

    /// What was sent to this monitor by this process.
    #[must_use]
    pub fn sent(&self) -> Sent {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The watch over one guest.
pub struct Watch {
    evidence: Arc<Mutex<Evidence>>,
    over: Arc<AtomicBool>,
    desk: Desk,
    typing: Arc<Mutex<Option<UnixStream>>>,
    listeners: Arc<Listeners>,
    /// What the guest says on its serial line, without heartbeats.
    pub journal: Arc<Journal>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
    }
}

impl Watch {
    /// Begins to watch. `public`: the path that clients take; `tell`: where news go.
    ///
    /// # Errors
    /// No threads can be started.
    pub fn begin(
        instance: &Instance,
        public: SocketAddr,
        interval: Duration,
        metrics: Arc<Metrics>,
        tell: impl Fn(News) + Send + Clone + 'static,
    ) -> io::Result<Watch> {
        let (errands, queue) = channel();
        let watch = Watch {
            evidence: Arc::default(),
            over: Arc::default(),
            desk: Desk {
                errands,
                sent: Arc::default(),
            },
            typing: Arc::default(),
            listeners: Arc::new(Listeners::new(metrics)),
            journal: Journal::new(false),
        };
        let known = watch.seed(instance);
        let shared = || (Arc::clone(&watch.evidence), Arc::clone(&watch.over));
        let begin = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new()
                .name(name.into())
                .spawn(work)
                .map(drop)
        };

        let (evidence, over) = shared();
        let (address, told) = (instance.note.address, tell.clone());
        begin(
            "direct",
            Box::new(move || {
                ask(address, interval, &over, |asked, latency, result| {
                    let answered = result.is_ok();
                    lock(&evidence).direct.note(asked, latency, result);
                    if answered {
                        told(News::Answered(asked));
                    }
                    answered
                });
            }),
        )?;
        let (evidence, over) = shared();
        begin(
            "public",
            Box::new(move || {
                ask(public, interval, &over, |asked, latency, result| {
                    lock(&evidence).public.note(asked, latency, result);
                    true
                });
            }),
        )?;
        let (evidence, over) = shared();
        let (path, sent) = (instance.monitor_path(), Arc::clone(&watch.desk.sent));
        begin(
            "monitor",
            Box::new(move || run_errands(&path, interval, &queue, &over, &evidence, &sent)),
        )?;
        let (evidence, over) = shared();
        let serial = Serial {
            socket: instance.serial_path(),
            log: instance.folder.join(crate::machine::SERIAL_LOG),
            typing: Arc::clone(&watch.typing),
            listeners: Arc::clone(&watch.listeners),
            journal: Arc::clone(&watch.journal),
            known,
        };
        begin("serial", Box::new(move || serial.listen(&over, &evidence)))?;
        let (evidence, over) = shared();
        let process = instance.process.try_clone()?;
        begin(
            "process",
            Box::new(move || {
                while !over.load(Relaxed) {
                    lock(&evidence).process = process.state();
                    let look = Some(Instant::now() + LOOK);
                    if wait_any(&[process.as_fd()], look).is_ok_and(|ready| ready[0]) {
                        lock(&evidence).process = None;
                        tell(News::Ended(process.ending()));
                        return;
                    }
                }
            }),
        )?;
        Ok(watch)
    }

    /// What was said before the watch began; how many bytes of the log that were.
    fn seed(&self, instance: &Instance) -> usize {
        let log = instance.folder.join(crate::machine::SERIAL_LOG);
        let known = fs::metadata(log).map_or(0, |log| log.len());
        lock(&self.evidence).process = instance.process.state();
        for line in instance.serial_tail().lines() {
            if Heartbeat::parse(line).is_none() {
                self.journal.take(line.as_bytes());
                self.journal.take(b"\n");
            }
        }
        usize::try_from(known).unwrap_or(usize::MAX)
    }

    /// What is known now.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        lock(&self.evidence).clone()
    }

    /// The guest's monitor.
    #[must_use]
    pub fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Gives the serial line to `stream` too: it is told so, and then what the guest says, and what
    /// it says is typed.
    ///
    /// # Errors
    /// The stream is of no use, or one too many.
    pub fn attach(&self, stream: UnixStream) -> io::Result<()> {
        let told = json!({"ok": true});
        (&stream).write_all(format!("{told}\n").as_bytes())?;
        self.listeners.add(stream.try_clone()?)?;
        let (typing, over) = (Arc::clone(&self.typing), Arc::clone(&self.over));
        thread::Builder::new().name("keys".into()).spawn(move || {
            pass_keys(&stream, &typing, &over);
            // The other half is let go with the next word of the guest.
            let _ = stream.shutdown(Shutdown::Both);
        })?;
        Ok(())
    }

    /// Types a line on the guest's console; whether it could be.
    #[must_use]
    pub fn type_line(&self, line: &str) -> bool {
        let typing = self.typing.lock().unwrap_or_else(PoisonError::into_inner);
        let text = format!("{line}\n");
        typing.as_ref().is_some_and(
            |mut stream| matches!(stream.write(text.as_bytes()), Ok(n) if n == text.len()),
        )
    }
}

/// Types what comes from a listener, until it ends or the watch does. What the guest does not take
/// at once waits there, and with it who types.
fn pass_keys(stream: &UnixStream, typing: &Mutex<Option<UnixStream>>, over: &AtomicBool) {
    let mut buffer = [0; 256];
    let (mut from, mut to) = (0, 0);
    while !over.load(Relaxed) {
        if from == to {
            let look = Some(Instant::now() + LOOK);
            if !wait_any(&[stream.as_fd()], look).is_ok_and(|ready| ready[0]) {
                continue;
            }
            match (&*stream).read(&mut buffer) {
                Ok(n) if n > 0 => (from, to) = (0, n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                _ => return,
            }
        }
        let typing = typing.lock().unwrap_or_else(PoisonError::into_inner);
        match typing
            .as_ref()
            .map(|mut line| line.write(&buffer[from..to]))
        {
            Some(Ok(n)) => from += n,
            // Nobody serves it now, or it is full.
            _ => {
                drop(typing);
                thread::sleep(EAGER);
            }
        }
    }
}

fn lock(evidence: &Mutex<Evidence>) -> MutexGuard<'_, Evidence> {
    // Each field is whole between any two statements.
    evidence.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks `address` for its health again and again; `note` says whether the first answer has come.
fn ask(
    address: SocketAddr,
    interval: Duration,
    over: &AtomicBool,
    note: impl Fn(Millis, u64, Result<(), String>) -> bool,
) {
    let mut known = false;
    while !over.load(Relaxed) {
        let (asked, began) = (now(), Instant::now());
        // An answer that takes longer than the next question is none.
        let patience = if known {
            interval
        } else {
            interval.min(EAGER * 4)
        };
        let result = match http::get(address, "/healthz", began + patience) {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(format!(
                "{} {}",
                answer.status,
                clean(&answer.body[..answer.body.len().min(80)])
            )),
            Err(error) => Err(error.to_string()),
        };
        let latency = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        known |= note(asked, latency, result);
        let next = began + if known { interval } else { EAGER };
        while Instant::now() < next && !over.load(Relaxed) {
            thread::sleep(LOOK.min(next.saturating_duration_since(Instant::now())));
        }
    }
}

/// The monitor's thread: errands as they come, a question of its own in between.
fn run_errands(
    path: &Path,
    interval: Duration,
    queue: &Receiver<Errand>,
    over: &AtomicBool,
    evidence: &Mutex<Evidence>,
    sent: &Mutex<Sent>,
) {
    let mut monitor: Option<Monitor> = None;
    let mut before = Sent::default();
    let begun = Instant::now();
    let mut due = begun;
    let mut execute = |command: &str, arguments: Value, deadline: Instant| {
        let connected = match monitor.take() {
            Some(connected) => connected,
            None => {
                before = *sent.lock().unwrap_or_else(PoisonError::into_inner);
                Monitor::connect(path, deadline)?
            }
        };
        let kept = monitor.insert(connected);
        let result = kept.execute(command, arguments, deadline);
        let now = kept.sent();
        *sent.lock().unwrap_or_else(PoisonError::into_inner) = Sent {
            queries: before.queries + now.queries,
            writes: before.writes + now.writes,
        };
        if !matches!(result, Ok(_) | Err(MonitorError::Refused(_))) {
            // After a late answer the connection is of no more use.
            monitor = None;
        }
        result
    };
    while !over.load(Relaxed) {
        let pause = due.saturating_duration_since(Instant::now()).min(LOOK);
        match queue.recv_timeout(pause) {
            Ok(errand) if Instant::now() < errand.deadline => {
                let result = execute(&errand.command, errand.arguments, errand.deadline);
                // Nobody may wait for it any more.
                let _ = errand.answer.try_send(result);
            }
            // It came too late to be run.
            Ok(_) => {}
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) if Instant::now() >= due => {
                let (asked, began) = (now(), Instant::now());
                let result = execute("query-status", Value::Null, began + QUERY);
                let latency = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                let mut evidence = lock(evidence);
                if let Ok(status) = &result {
                    evidence.run_state = status["status"].as_str().map(str::to_owned);
                }
                let result = result.map(drop).map_err(|e| e.to_string());
                if result.is_err() && evidence.monitor.asked.is_none() && begun.elapsed() < START {
                    // QEMU has not come so far yet.
                    due = began + EAGER;
                    continue;
                }
                evidence.monitor.note(asked, latency, result);
                due = began + interval;
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// The serial line's thread.
struct Serial {
    socket: PathBuf,
    log: PathBuf,
    typing: Arc<Mutex<Option<UnixStream>>>,
    listeners: Arc<Listeners>,
    journal: Arc<Journal>,
    /// Bytes of the log that the journal has already.
    known: usize,
}

impl Serial {
    fn listen(&self, over: &AtomicBool, evidence: &Mutex<Evidence>) {
        let mut line = Vec::new();
        // The first line that is heard, as long as it is not whole.
        let mut first = Some(Vec::new());
        loop {
            // The last words of a guest that has gone are for those who are late, too.
            self.listeners.tell(b"");
            if over.load(Relaxed) {
                return;
            }
            // QEMU takes some time to serve it; and one that stands still never does.
            let Ok(mut stream) = dial(&self.socket) else {
                thread::sleep(EAGER);
                continue;
            };
            self.type_on(stream.try_clone().ok());
            let mut buffer = [0; 4096];
            let mut late = false;
            while !over.load(Relaxed) {
                let look = Some(Instant::now() + if late { OFFER } else { LOOK });
                if !wait_any(&[stream.as_fd()], look).is_ok_and(|ready| ready[0]) {
                    late = self.listeners.tell(b"");
                    self.cut_log();
                    continue;
                }
                match stream.read(&mut buffer) {
                    Ok(n) if n > 0 => {
                        late = self.listeners.tell(&buffer[..n]);
                        for &byte in &buffer[..n] {
                            let Some(heard) = &mut first else {
                                self.take(byte, &mut line, evidence);
                                continue;
                            };
                            heard.push(byte);
                            if byte == b'\n' || heard.len() == LINE {
                                let heard = first.take().unwrap_or_default();
                                for byte in self.missed(&heard).into_iter().chain(heard) {
                                    self.take(byte, &mut line, evidence);
                                }
                            }
                        }
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    _ => break,
                }
            }
            self.type_on(None);
            thread::sleep(EAGER);
        }
    }

    /// What the guest said before QEMU had somebody to say it to, which stands in the log alone:
    /// it boots in less time than that takes. `heard`: what was heard first.
    fn missed(&self, heard: &[u8]) -> Vec<u8> {
        for _ in 0..5 {
            let log = fs::read(&self.log).unwrap_or_default();
            if let Some(missed) = before(&log, self.known, heard) {
                return missed.to_vec();
            }
            thread::sleep(LAG);
        }
        Vec::new()
    }

    fn type_on(&self, stream: Option<UnixStream>) {
        *self.typing.lock().unwrap_or_else(PoisonError::into_inner) = stream;
    }

    fn take(&self, byte: u8, line: &mut Vec<u8>, evidence: &Mutex<Evidence>) {
        if byte != b'\n' && line.len() < LINE {
            line.push(byte);
            return;
        }
        let text = clean(line);
        if let Some(beat) = Heartbeat::parse(&text) {
            lock(evidence).beat(now(), beat);
        } else if Reader::owns(&text) {
            // Whoever asked for captured frames listens: here they would push out the log.
        } else {
            self.journal.take(line);
            self.journal.take(b"\n");
            if !text.is_empty() && text.trim_end() != crate::journal::PROMPT.trim_end() {
                // To the host's journal, by standard error.
                let _ = writeln!(io::stderr().lock(), "guest: {text}");
            }
        }
        line.clear();
        if byte != b'\n' {
            line.push(byte);
        }
    }

    /// Keeps the serial log from growing for ever. QEMU appends, so a log cut to nothing goes on
    /// from its beginning; what is cut off has been seen by the journal.
    fn cut_log(&self) {
        let Ok(file) = OpenOptions::new().write(true).open(&self.log) else {
            return;
        };
        if file.metadata().is_ok_and(|m| m.len() > LOG) {
            let _ = file.set_len(0);
        }
    }
}

/// The part of a log from `known` on that stands before `heard`, where that stands last.
fn before<'a>(log: &'a [u8], known: usize, heard: &[u8]) -> Option<&'a [u8]> {
    let mut places = log.windows(heard.len().max(1));
    let at = places.rposition(|bytes| bytes == heard)?;
    Some(log.get(known..at).unwrap_or(&[]))
}

/// Connects without waiting: a QEMU that stands still accepts nobody.
fn dial(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(UnixStream::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn who_is_late_hears_the_last_words_of_a_guest() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("serial.sock");
        let guest = UnixListener::bind(&socket).unwrap();
        let serial = Arc::new(Serial {
            socket,
            log: folder.path().join("serial.log"),
            typing: Arc::default(),
            listeners: Arc::new(Listeners::new(Arc::default())),
            journal: Journal::new(false),
            known: 0,
        });
        let (mut near, far) = UnixStream::pair().unwrap();
        serial.listeners.add(far).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (serial, over) = (Arc::clone(&serial), Arc::clone(&over));
            move || serial.listen(&over, &Mutex::default())
        });
        let deadline = Instant::now() + Duration::from_secs(20);
        let served = |is: bool| {
            while serial.typing.lock().unwrap().is_some() != is {
                assert!(Instant::now() < deadline, "served: {is}");
                thread::sleep(LAG);
            }
        };
        let (mut line, _) = guest.accept().unwrap();
        served(true);
        // More than a socket holds, in lines that the journal passes over. The guest says them and
        // goes for ever; nobody has read anything by then.
        let said = format!("pcap 0 {}\n", "x".repeat(1016)).repeat(1024);
        drop(guest);
        line.write_all(said.as_bytes()).unwrap();
        drop(line);
        served(false);
        near.set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut heard = vec![0; said.len()];
        near.read_exact(&mut heard).unwrap();
        assert!(heard == said.as_bytes());
        over.store(true, Relaxed);
        thread.join().unwrap();
    }

    #[test]
    fn what_was_said_before_anybody_listened_is_in_the_log() {
        let log = b"one\r\ntwo\r\nthree\r\nfour\r\n";
        assert_eq!(before(log, 0, b"ree\r\n"), Some(&b"one\r\ntwo\r\nth"[..]));
        assert_eq!(before(log, 5, b"three\r\n"), Some(&b"two\r\n"[..]));
        assert_eq!(before(log, 0, b"one\r\n"), Some(&b""[..]));
        // The log is behind, or all of it is known.
        assert_eq!(before(log, 0, b"five\r\n"), None);
        assert_eq!(before(log, 99, b"four\r\n"), Some(&b""[..]));
    }
}
