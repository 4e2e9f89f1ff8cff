//! Who listens at a guest's serial line, beside its supervisor.

use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

/// Most at once.
const MOST: usize = 8;

/// Streams that get what the guest says as it is. One that does not take it, or has been shut down,
/// is let go.
#[derive(Debug, Default)]
pub struct Listeners(Mutex<Vec<UnixStream>>);

impl Listeners {
    /// Adds one.
    ///
    /// # Errors
    /// There are too many, or the stream is of no use.
    pub fn add(&self, stream: UnixStream) -> io::Result<()> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == MOST {
            return Err(io::Error::other("there are 8 at the console already"));
        }
        stream.set_nonblocking(true)?;
        all.push(stream);
        Ok(())
    }

    /// Tells all what the guest has said.
    pub fn tell(&self, bytes: &[u8]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|mut stream| match stream.write(bytes) {
            Ok(n) => n == bytes.len(),
            Err(error) => error.kind() == ErrorKind::Interrupted,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn who_does_not_listen_is_let_go() {
        let listeners = Listeners::default();
        let (mut near, far) = UnixStream::pair().unwrap();
        listeners.add(far).unwrap();
        let (gone, far) = UnixStream::pair().unwrap();
        listeners.add(far).unwrap();
        drop(gone);
        listeners.tell(b"quartz> ");
        let mut heard = [0; 8];
        near.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"quartz> ");
        // From here on nobody reads.
        while !listeners.0.lock().unwrap().is_empty() {
            listeners.tell(&[b'x'; 4096]);
        }
        let keep: Vec<_> = (0..MOST).map(|_| UnixStream::pair().unwrap()).collect();
        for (_, far) in &keep {
            listeners.add(far.try_clone().unwrap()).unwrap();
        }
        assert!(listeners.add(near).is_err());
    }
}
