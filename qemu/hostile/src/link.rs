//! The cable between device and client: two bounded queues of Ethernet frames.
//!
//! Never more than [`CAPACITY`] frames wait in either direction, as on a tap device: what comes on
//! top is dropped and counted.

use crate::wake::Wake;
use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Frames that wait in one direction; a tap device's default.
pub const CAPACITY: usize = 1000;

/// The cable.
#[derive(Debug)]
pub struct Link {
    state: Mutex<State>,
    /// Frames for the client, or somebody poked it.
    arrived: Condvar,
    /// Frames for the guest.
    pub(crate) to_device: Wake,
}

#[derive(Debug, Default)]
struct State {
    to_guest: VecDeque<Vec<u8>>,
    to_client: VecDeque<Vec<u8>>,
    dropped: u64,
    poked: bool,
    cut: bool,
}

impl Link {
    /// A cable, plugged in.
    ///
    /// # Errors
    /// The system has no eventfd left.
    pub fn new() -> io::Result<Link> {
        Ok(Link {
            state: Mutex::default(),
            arrived: Condvar::new(),
            to_device: Wake::new()?,
        })
    }

    /// Puts an Ethernet frame on the wire towards the guest.
    pub fn send_to_guest(&self, frame: Vec<u8>) {
        let mut state = self.lock();
        if state.cut || state.to_guest.len() >= CAPACITY {
            state.dropped += 1;
            return;
        }
        state.to_guest.push_back(frame);
        drop(state);
        // A full eventfd counter is readable all the same.
        let _ = self.to_device.signal();
    }

    /// Pulls the plug at the client's end, or puts it back: both sides stay up and hear nothing.
    pub fn cut(&self, cut: bool) {
        let mut state = self.lock();
        state.cut = cut;
        if cut {
            state.to_guest.clear();
            state.to_client.clear();
        }
    }

    /// Frames that found no room, or no cable.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Frames that wait for the guest.
    #[must_use]
    pub fn waiting_for_guest(&self) -> usize {
        self.lock().to_guest.len()
    }

    pub(crate) fn take_for_guest(&self) -> Option<Vec<u8>> {
        self.lock().to_guest.pop_front()
    }

    pub(crate) fn send_to_client(&self, frame: Vec<u8>) {
        let mut state = self.lock();
        if state.cut || state.to_client.len() >= CAPACITY {
            state.dropped += 1;
            return;
        }
        state.to_client.push_back(frame);
        self.arrived.notify_one();
    }

    pub(crate) fn take_for_client(&self) -> Option<Vec<u8>> {
        self.lock().to_client.pop_front()
    }

    /// Wakes the client's thread.
    pub(crate) fn poke(&self) {
        self.lock().poked = true;
        self.arrived.notify_one();
    }

    /// Sleeps until a frame for the client is there, somebody pokes, or the time is up.
    pub(crate) fn wait_for_client(&self, timeout: Duration) {
        let state = self.lock();
        let idle = |s: &mut State| s.to_client.is_empty() && !s.poked;
        let result = self.arrived.wait_timeout_while(state, timeout, idle);
        let (mut state, _) = result.unwrap_or_else(PoisonError::into_inner);
        state.poked = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_beyond_the_bound_are_dropped_and_counted() {
        let link = Link::new().unwrap();
        for n in 0..CAPACITY + 3 {
            link.send_to_guest(vec![n as u8]);
        }
        assert_eq!((link.waiting_for_guest(), link.dropped()), (CAPACITY, 3));
        assert_eq!(link.take_for_guest(), Some(vec![0]));
        assert!(link.to_device.drain() > 0);
    }

    #[test]
    fn a_cut_cable_loses_what_is_on_it() {
        let link = Link::new().unwrap();
        link.send_to_guest(vec![1]);
        link.cut(true);
        link.send_to_guest(vec![2]);
        link.send_to_client(vec![3]);
        link.cut(false);
        link.send_to_guest(vec![4]);
        assert_eq!(link.take_for_guest(), Some(vec![4]));
        assert_eq!(link.take_for_client(), None);
        assert_eq!(link.dropped(), 2);
    }
}
