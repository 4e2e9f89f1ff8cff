//! What a conversation hears with: its connection's socket, or nothing as long as smoltcp does not
//! know of the connection. Then nothing waits to be read, and more may come.

use smoltcp::socket::tcp::{RecvError, Socket, State};

/// A socket's receiving half, if there is a socket.
pub(crate) struct Ear<'a, 's>(pub Option<&'a mut Socket<'s>>);

impl<'s> Ear<'_, 's> {
    /// Bytes that wait to be read.
    pub fn recv_queue(&self) -> usize {
        self.0.as_ref().map_or(0, |socket| socket.recv_queue())
    }

    /// Bytes that may wait.
    pub fn recv_capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |socket| socket.recv_capacity())
    }

    /// Whether more may come, or waits.
    pub fn may_recv(&self) -> bool {
        self.0.as_ref().is_none_or(|socket| socket.may_recv())
    }

    /// Whether neither side has closed.
    pub fn is_open(&self) -> bool {
        let socket = self.0.as_ref();
        socket.is_none_or(|socket| socket.state() == State::Established)
    }

    /// Reads from the front of what waits, as far as that lies in one piece: see
    /// [`Socket::recv`].
    pub fn recv<'b, F, R>(&'b mut self, read: F) -> Result<R, RecvError>
    where
        F: FnOnce(&'b mut [u8]) -> (usize, R),
        's: 'b,
    {
        match &mut self.0 {
            Some(socket) => socket.recv(read),
            None => Err(RecvError::Finished),
        }
    }

    /// Copies from the front of what waits; how much.
    pub fn peek_slice(&mut self, target: &mut [u8]) -> usize {
        match &mut self.0 {
            Some(socket) => socket.peek_slice(target).unwrap_or(0),
            None => 0,
        }
    }

    /// Nothing more is said.
    pub fn close(&mut self) {
        if let Some(socket) = &mut self.0 {
            socket.close();
        }
    }
}
