//! The recovery ladder: when to notify again, when to reset, when to give up.
//!
//! Owns the decisions and their times. It never touches a device or a ring, so every rung can be
//! tested by telling it a story.

use crate::bringup::NetError;
use crate::ledger::BadUsed;
use core::fmt;

/// Time between two looks while something moves or is waited for.
pub(crate) const TICK_US: u64 = 100_000;
/// Time between two looks at rings on which nothing moves and from which nothing is due.
pub(crate) const QUIET_TICK_US: u64 = 500_000;
/// How late a look may come and still be taken for one in time. A step of time is counted up to
/// that: a machine that was stopped for an hour has not seen its device do nothing for an hour.
const LATE_US: u64 = 100_000;
/// How long used entries lie unannounced, with interrupts asked for, before one counts as missed.
const UNANNOUNCED_US: u64 = 150_000;
/// How long the driver looks by itself after an interrupt was missed.
pub(crate) const DISTRUST_US: u64 = 1_000_000;
/// How long published frames lie untaken before the device is notified again, and then again.
const STALLED_US: u64 = 250_000;
/// Notifications repeated before the device is reset.
const REKICKS: u32 = 2;
/// Resets in a row, none of which lasted, before the device is given up.
const STRIKES: u32 = 6;
/// Time between the first two resets in a row; it doubles from one to the next.
const BACKOFF_US: u64 = 100_000;
/// A reset lasted if nothing went wrong for this long.
const LASTING_US: u64 = 10_000_000;
/// A reset helped if the device carried this many frames each way afterwards, for this long at
/// least: one that fails now and then and serves in between is reset each time, never given up.
const HELPED_FRAMES: u64 = 16;
const HELPED_US: u64 = 500_000;

/// Why the device has to be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The device's word about a used buffer cannot be true.
    BadUsed {
        /// The queue.
        queue: u16,
        /// What is wrong.
        bad: BadUsed,
    },
    /// The device asks for a reset (`DEVICE_NEEDS_RESET`).
    NeedsReset,
    /// The device forgot that it was brought up.
    Lost,
    /// The registers read as all ones.
    Gone,
    /// Frames to send lie untaken although the device was notified again and again.
    TransmitStalled,
    /// The gateway's replies stopped to arrive although the requests went out.
    ReceiveSilent,
    /// The driver's own books do not balance.
    Ledger {
        /// The queue.
        queue: u16,
    },
}

impl Cause {
    /// Number of the cause, as the black box keeps it.
    #[must_use]
    pub fn code(self) -> u64 {
        match self {
            Self::BadUsed { .. } => 1,
            Self::NeedsReset => 2,
            Self::Lost => 3,
            Self::Gone => 4,
            Self::TransmitStalled => 5,
            Self::ReceiveSilent => 6,
            Self::Ledger { .. } => 7,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUsed { queue, bad } => write!(f, "queue {queue}: {bad}"),
            Self::NeedsReset => f.write_str("the device asks for a reset"),
            Self::Lost => f.write_str("the device reset itself"),
            Self::Gone => f.write_str("the device's registers read as all ones"),
            Self::TransmitStalled => f.write_str("frames to send lie untaken"),
            Self::ReceiveSilent => {
                f.write_str("nothing is received, not even replies to what was sent")
            }
            Self::Ledger { queue } => write!(f, "the ledger of queue {queue} does not balance"),
        }
    }
}

/// The device cannot be brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// What was wrong last.
    pub cause: Cause,
    /// Resets that were tried in a row.
    pub resets: u32,
    /// Why the last of them failed, if it did.
    pub error: Option<NetError>,
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the network device is given up after {} resets: {}",
            self.resets, self.cause
        )?;
        match self.error {
            Some(error) => write!(f, "; the last reset failed: {error}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for GivenUp {}

/// Time as the ladder counts it: the kernel's, without what the machine slept through.
#[derive(Debug)]
pub(crate) struct Time {
    last_us: Option<u64>,
    now_us: u64,
    /// Time that was to pass until the next look.
    pause_us: u64,
}

impl Default for Time {
    fn default() -> Time {
        Time {
            last_us: None,
            now_us: 0,
            pause_us: TICK_US,
        }
    }
}

impl Time {
    /// Advances to the kernel's `now_us`. Time that runs backward stands still.
    pub fn advance(&mut self, now_us: u64) -> u64 {
        let last = self.last_us.replace(now_us).unwrap_or(now_us);
        self.now_us += now_us.saturating_sub(last).min(self.pause_us + LATE_US);
        self.now_us
    }

    /// The next look is to come in `pause_us`.
    pub fn pause(&mut self, pause_us: u64) -> u64 {
        self.pause_us = pause_us;
        pause_us
    }
}

/// The first rung: used entries that no interrupt announces.
#[derive(Debug, Default)]
pub(crate) struct Announcement {
    missing_since: Option<u64>,
}

impl Announcement {
    /// Whether an interrupt is overdue: `missing` says that entries lie unannounced now.
    pub fn is_overdue(&mut self, now: u64, missing: bool) -> bool {
        if !missing {
            self.missing_since = None;
            return false;
        }
        let since = *self.missing_since.get_or_insert(now);
        let overdue = now - since >= UNANNOUNCED_US;
        if overdue {
            self.missing_since = None;
        }
        overdue
    }

    /// Whether entries lay unannounced at the last look.
    pub fn is_missed(&self) -> bool {
        self.missing_since.is_some()
    }

    /// The driver looked by itself, or an interrupt came: whatever is missing now is another.
    #[inline]
    pub fn clear(&mut self) {
        self.missing_since = None;
    }
}

/// What a stalled queue calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stalled {
    /// It is not stalled, or not long enough.
    No,
    /// Notify the device again.
    Rekick,
    /// Reset the device.
    Dead,
}

/// The second rung: published entries that the device does not take.
#[derive(Debug, Default)]
pub(crate) struct Stall {
    since: Option<u64>,
    progress: u64,
    rekicks: u32,
}

impl Stall {
    /// The slow look: `gap` entries are the device's, and it has used `progress` ever.
    pub fn tick(&mut self, now: u64, gap: u16, progress: u64) -> Stalled {
        if gap == 0 || progress != self.progress {
            // What lies there now is waited for from now on.
            *self = Stall {
                since: (gap > 0).then_some(now),
                progress,
                rekicks: 0,
            };
            return Stalled::No;
        }
        let since = *self.since.get_or_insert(now);
        if now - since < STALLED_US {
            return Stalled::No;
        }
        if self.rekicks == REKICKS {
            *self = Stall::default();
            return Stalled::Dead;
        }
        self.since = Some(now);
        self.rekicks += 1;
        Stalled::Rekick
    }
}

/// The third and fourth rung: resets, their times, and their end.
#[derive(Debug, Default)]
pub(crate) struct Ladder {
    /// Why the rings may not be used now.
    down: Option<Cause>,
    strikes: u32,
    last_attempt: u64,
    /// Frames received and sent when the last attempt was made.
    carried: [u64; 2],
    error: Option<NetError>,
    /// The end, once it was reached: nothing that comes later undoes it.
    end: Option<GivenUp>,
    end_told: bool,
}

impl Ladder {
    /// Whether the rings may not be used.
    #[inline]
    pub fn is_down(&self) -> bool {
        self.down.is_some()
    }

    /// The rings may not be used any more until a reset. The first cause is the one to be told.
    #[cold]
    pub fn fail(&mut self, cause: Cause) {
        self.down.get_or_insert(cause);
    }

    /// The reset that is due now: its cause and its number in the row. `carried` counts the
    /// frames ever received and ever sent.
    ///
    /// # Errors
    /// Enough resets were tried, now or before.
    pub fn due(&mut self, now: u64, carried: [u64; 2]) -> Result<Option<(Cause, u32)>, GivenUp> {
        if let Some(end) = self.end {
            return Err(end);
        }
        let quiet = now - self.last_attempt;
        let helped = |(now, then): (&u64, &u64)| now - then >= HELPED_FRAMES;
        if quiet >= HELPED_US && carried.iter().zip(&self.carried).all(helped) {
            self.strikes = 0;
        }
        let Some(cause) = self.down else {
            if quiet >= LASTING_US {
                self.strikes = 0;
            }
            return Ok(None);
        };
        if self.strikes >= STRIKES {
            return Err(*self.end.insert(GivenUp {
                cause,
                resets: self.strikes,
                error: self.error,
            }));
        }
        // The first reset comes at once.
        if self.strikes > 0 && quiet < BACKOFF_US << (self.strikes - 1) {
            return Ok(None);
        }
        self.strikes += 1;
        self.last_attempt = now;
        self.carried = carried;
        Ok(Some((cause, self.strikes)))
    }

    /// Whether the end is still to be told.
    pub fn ends_now(&mut self) -> bool {
        self.end.is_some() && !core::mem::replace(&mut self.end_told, true)
    }

    /// How the reset ended.
    pub fn ended(&mut self, result: Result<(), NetError>) {
        self.error = result.err();
        if result.is_ok() {
            self.down = None;
        }
    }
}

#[cfg(test)]
mod tests;
