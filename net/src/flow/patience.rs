//! What a connection waits for, and for how long.

use super::{Flow, Stage, ear};
use crate::context::Context;
use crate::deadlines::earlier;
use crate::http::Wait;
use smoltcp::time::{Duration, Instant};

/// How long a handshake may take.
pub(super) const HALF_OPEN: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request.
pub(super) const IDLE: Duration = Duration::from_secs(60);
/// How long a request may take to arrive.
const REQUEST: Duration = Duration::from_secs(15);
/// How long the peer may take nothing of an answer.
const ANSWER: Duration = Duration::from_secs(60);
/// How long the peer may take to close.
const CLOSING: Duration = Duration::from_secs(10);
/// When a connection that found no memory for its answer tries again.
const MEMORY: Duration = Duration::from_millis(50);

/// Which deadline of a connection has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// That of the handshake: the connection goes without a word.
    HalfOpen,
    /// That of the next request.
    Idle,
    /// That of the rest of a request.
    Request,
    /// That of an answer.
    Answer,
    /// That of the end.
    Closing,
}

impl Flow {
    /// Which deadline has passed, if one has.
    pub fn expiry(&self, now: Instant) -> Option<Expiry> {
        if now < self.deadline {
            return None;
        }
        Some(match (self.stage, self.wait) {
            (Stage::Free, _) => return None,
            (Stage::HalfOpen, _) => Expiry::HalfOpen,
            (Stage::Idle, _) => Expiry::Idle,
            (Stage::Busy, Wait::Head | Wait::Content) => Expiry::Request,
            (Stage::Busy, _) => Expiry::Answer,
            (Stage::Closing, _) => Expiry::Closing,
        })
    }

    /// Ends what has taken too long: politely if the peer can still be told, else by a reset.
    /// `run` sends it.
    pub fn expire(&mut self, expiry: Expiry) {
        if expiry == Expiry::Answer || !self.give_up() {
            self.reset();
        }
    }

    fn give_up(&mut self) -> bool {
        let mut ear = ear(self.awake, &mut self.set, self.handle);
        self.conn.give_up(&mut ear)
    }

    /// When the connection wants attention next.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn next(&mut self, context: &mut Context, now: Instant) -> Instant {
        let own = if self.stage == Stage::HalfOpen && !self.awake {
            Some(self.again)
        } else if self.stage == Stage::HalfOpen {
            context.internet.poll_at(now, &self.set)
        } else if self.wait == Wait::Room && self.queue.len() == 0 {
            // There was no memory for its answer, and nothing of its own that will be freed.
            Some(now + MEMORY)
        } else {
            let wakes_at = match self.wait {
                Wait::Time => self.conn.wakes_at(),
                _ => None,
            };
            earlier(earlier(self.sender.deadline(), self.ack_by), wakes_at)
        };
        own.map_or(self.deadline, |at| at.min(self.deadline))
    }

    /// Sets stage and deadline by what the conversation waits for. `fresh`: a request has been
    /// answered.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub(super) fn note_wait(&mut self, wait: Wait, fresh: bool, now: Instant) {
        // As long as the peer has not taken all that was said, that is what is waited for.
        let wait = match wait {
            Wait::Request | Wait::End | Wait::Time if self.queue.len() > 0 => Wait::Room,
            wait => wait,
        };
        let (stage, patience) = match wait {
            Wait::Request => (Stage::Idle, IDLE),
            Wait::Head | Wait::Content => (Stage::Busy, REQUEST),
            Wait::Room | Wait::Time => (Stage::Busy, ANSWER),
            Wait::End => (Stage::Closing, CLOSING),
        };
        let taken = self.taken && matches!(wait, Wait::Room | Wait::End);
        self.taken = false;
        if fresh || taken || wait != self.wait || stage != self.stage {
            self.deadline = now + patience;
        }
        if wait == Wait::Time {
            // Nobody is late but the handler, and it may name any time.
            self.deadline = self.conn.wakes_at().unwrap_or(now).max(now) + patience;
        }
        self.wait = wait;
        self.stage = stage;
    }
}
