//! Who listens at a guest's serial line, beside its supervisor.

use super::metrics::Metrics;
use crate::backlog::write_out;
use crate::outcome;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most at once.
const MOST: usize = 8;
/// Bytes that wait for one at most: more than the longest answer of a guest, a whole capture.
const BACKLOG: usize = 2 << 20;

/// Streams that get what the guest says as it is. One that is too late with reading, or has been
/// shut down, is let go.
#[derive(Debug)]
pub struct Listeners {
    all: Mutex<Vec<Listener>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Listener {
    stream: UnixStream,
    /// What it has not taken yet. QEMU passes single bytes on, and a socket holds some 280 writes
    /// however short they are: who sleeps for a moment would be let go without this.
    backlog: Vec<u8>,
}

impl Listeners {
    /// Nobody listens yet.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Listeners {
        Listeners {
            all: Mutex::default(),
            metrics,
        }
    }

    /// Adds one.
    ///
    /// # Errors
    /// There are too many, or the stream is of no use.
    pub fn add(&self, stream: UnixStream) -> io::Result<()> {
        let mut all = self.lock();
        if all.len() == MOST {
            return Err(io::Error::other("there are 8 at the console already"));
        }
        stream.set_nonblocking(true)?;
        all.push(Listener {
            stream,
            backlog: Vec::new(),
        });
        Ok(())
    }

    /// Tells all what the guest has said; nothing: what they could not take before. Whether any
    /// of them has still to take something.
    pub fn tell(&self, bytes: &[u8]) -> bool {
        let mut all = self.lock();
        all.retain_mut(|listener| {
            listener.backlog.extend(bytes);
            let open = write_out(&mut listener.stream, &mut listener.backlog).is_ok();
            if listener.backlog.len() <= BACKLOG {
                return open;
            }
            self.metrics.consoles_let_go.fetch_add(1, Relaxed);
            outcome::say(&"a console did not read what the guest said, and was let go");
            // Whoever reads on must not wait for more.
            let _ = listener.stream.shutdown(Shutdown::Both);
            false
        });
        all.iter().any(|listener| !listener.backlog.is_empty())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Listener>> {
        // A list of whole listeners between any two statements.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn pair(listeners: &Listeners) -> UnixStream {
        let (near, far) = UnixStream::pair().unwrap();
        listeners.add(far).unwrap();
        near
    }

    #[test]
    fn who_is_late_gets_every_byte() {
        let listeners = Listeners::new(Arc::default());
        let mut near = pair(&listeners);
        let said: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        let late = said.iter().fold(false, |_, byte| listeners.tell(&[*byte]));
        assert!(late, "a socket that holds so many bytes proves nothing");
        let mut heard = vec![0; said.len()];
        let mut len = 0;
        while len < said.len() {
            let n = near.read(&mut heard[len..]).unwrap();
            assert!(n > 0, "it was let go after {len} bytes");
            len += n;
            listeners.tell(b"");
        }
        assert!(heard == said);
        assert!(!listeners.tell(b""));
        assert_eq!(listeners.metrics.consoles_let_go.load(Relaxed), 0);
    }

    #[test]
    fn who_does_not_listen_is_let_go() {
        let listeners = Listeners::new(Arc::default());
        let mut near = pair(&listeners);
        drop(pair(&listeners));
        listeners.tell(b"quartz> ");
        let mut heard = [0; 8];
        near.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"quartz> ");
        assert_eq!(listeners.metrics.consoles_let_go.load(Relaxed), 0);
        // From here on nobody reads.
        let typing = listeners.lock()[0].stream.try_clone().unwrap();
        let mut said = 0;
        while !listeners.lock().is_empty() {
            listeners.tell(&[b'x'; 4096]);
            said += 4096;
            assert!(said < 2 * BACKLOG, "it waits without a bound");
        }
        assert_eq!(listeners.metrics.consoles_let_go.load(Relaxed), 1);
        // It finds the end behind what it was told, although its typing half is still there.
        near.read_to_end(&mut Vec::new()).unwrap();
        drop(typing);
        let keep: Vec<_> = (0..MOST).map(|_| pair(&listeners)).collect();
        assert!(listeners.add(near).is_err());
        drop(keep);
    }
}
