//! What waits to be written to a stream that must not be waited for.

use std::io::{self, ErrorKind, Write};

/// Writes of `backlog` what the stream takes now; the rest stays.
///
/// # Errors
/// The stream takes nothing any more.
pub fn write_out(stream: &mut impl Write, backlog: &mut Vec<u8>) -> io::Result<()> {
    while !backlog.is_empty() {
        match stream.write(backlog) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => drop(backlog.drain(..n)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
