//! The ways in which the device can misbehave. Names only; what they do is in [`crate::Backend`].

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// One of the two queues of a network device without multiqueue (VIRTIO 1.2, 5.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Queue {
    /// `receiveq1`: towards the guest.
    Rx,
    /// `transmitq1`: from the guest.
    Tx,
}

impl Queue {
    /// Both, in the order of their numbers.
    pub const ALL: [Queue; 2] = [Queue::Rx, Queue::Tx];

    /// The queue's number.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Queue::Rx => "rx",
            Queue::Tx => "tx",
        })
    }
}

impl FromStr for Queue {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "rx" => Ok(Queue::Rx),
            "tx" => Ok(Queue::Tx),
            _ => Err(ParseFaultError::Queue(text.to_owned())),
        }
    }
}

/// When the device has a chance to commit a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A notification of the driver arrives.
    Kick,
    /// The device is about to look at the ring.
    Work,
    /// The device runs out of buffers that it knows of and goes to sleep.
    Sleep,
    /// A frame for the guest is about to be written into a buffer.
    Frame,
    /// A buffer is about to be returned.
    Entry,
    /// The driver is about to be interrupted.
    Call,
    /// Any time.
    Turn,
}

macro_rules! faults {
    ($($(#[$doc:meta])+ $name:ident = $text:literal at $moment:ident;)+) => {
        /// A way to misbehave. "Legal" ones are allowed by the specification and must cost the
        /// guest nothing; the others it must survive.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Fault {
            $($(#[$doc])+ $name,)+
        }

        impl Fault {
            /// Every fault with its name.
            pub const ALL: &'static [(Fault, &'static str)] = &[$((Fault::$name, $text),)+];

            pub(crate) const fn moment(self) -> Moment {
                match self {
                    $(Fault::$name => Moment::$moment,)+
                }
            }
        }
    };
}

faults! {
    /// Buffers are returned, but the driver is not interrupted.
    NoInterrupt = "no-interrupt" at Call;
    /// The interrupt comes 300 ms after the buffers. Legal.
    DelayedInterrupt = "delayed-interrupt" at Call;
    /// An interrupt every 500 µs with nothing to tell. Legal.
    InterruptStorm = "interrupt-storm" at Turn;
    /// A notification is lost: the device stays asleep although buffers wait. On the receive queue
    /// the device first uses up every buffer it knows of, so that it depends on the notification.
    SwallowKick = "swallow-kick" at Kick;
    /// `used.idx` stands still and no buffer is taken, while frames keep arriving.
    Frozen = "frozen" at Work;
    /// A used entry names a descriptor beyond the ring.
    IdOutOfRange = "id-out-of-range" at Entry;
    /// A used entry names a descriptor that the device does not own.
    IdNotOutstanding = "id-not-outstanding" at Entry;
    /// The same descriptor is returned twice in one batch.
    IdRepeated = "id-repeated" at Entry;
    /// Two buffers are returned in the other order. Legal.
    OutOfOrder = "out-of-order" at Entry;
    /// A used length of zero.
    LenZero = "len-zero" at Entry;
    /// A used length shorter than the virtio header.
    LenShort = "len-short" at Entry;
    /// A used length one beyond the buffer.
    LenBeyond = "len-beyond" at Entry;
    /// A used length of 0xffffffff.
    LenMax = "len-max" at Entry;
    /// `used.idx` counts one more entry than was written.
    UsedStale = "used-stale" at Entry;
    /// `used.idx` jumps beyond everything that the device owns.
    UsedJumpForward = "used-jump-forward" at Entry;
    /// `used.idx` goes back by three, and stays there for 400 ms.
    UsedJumpBack = "used-jump-back" at Entry;
    /// `used.flags` and `avail_event` are garbage that tells the driver not to notify.
    StaleFlags = "stale-flags" at Sleep;
    /// The virtio header of a received frame is garbage.
    GarbageHeader = "garbage-header" at Frame;
    /// A received frame of random bytes comes before a real one.
    GarbageFrame = "garbage-frame" at Frame;
    /// A received frame shorter than an Ethernet header comes before a real one.
    Runt = "runt" at Frame;
    /// A received frame that fills the whole buffer comes before a real one.
    Giant = "giant" at Frame;
    /// Received frames are held for 400 ms and then delivered at once. Legal.
    BurstAfterSilence = "burst-after-silence" at Work;
    /// The back end hangs up on QEMU and waits for a new connection.
    Disconnect = "disconnect" at Turn;
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(fault, _)| fault == self);
        f.write_str(name.map_or("?", |(_, name)| name))
    }
}

impl FromStr for Fault {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(fault, _)| *fault)
            .ok_or_else(|| ParseFaultError::Fault(text.to_owned()))
    }
}

/// A name that is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseFaultError {
    /// Not a fault.
    #[error("unknown fault `{0}`; known are: {list}", list = names())]
    Fault(String),
    /// Not a queue.
    #[error("unknown queue `{0}`: rx or tx")]
    Queue(String),
}

fn names() -> String {
    let names: Vec<&str> = Fault::ALL.iter().map(|(_, name)| *name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        for (fault, name) in Fault::ALL {
            assert_eq!(name.parse(), Ok(*fault));
            assert_eq!(fault.to_string(), *name);
        }
    }

    /// The page that lists the faults knows each of them, and how many there are.
    #[test]
    fn the_page_is_true() {
        let page = include_str!("../../../docs/ring.md");
        for (_, name) in Fault::ALL {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
        assert!(page.contains(&format!("commits {} kinds of fault", Fault::ALL.len())));
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        let error = "frozn".parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains("frozn") && error.contains("frozen, "));
        assert!("up".parse::<Queue>().is_err());
    }
}
