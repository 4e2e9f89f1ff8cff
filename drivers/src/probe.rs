//! A quiet network or a dead ring?
//!
//! Owns that question. A receive ring that stays silent is nothing unusual, so silence alone is
//! no evidence. The driver asks for a probe now and then; the stack answers by asking the gateway
//! for its address (ARP, or neighbour discovery for IPv6), and this module watches for the reply.
//! A gateway that was not asked before, or not since the ring was last called dead, is asked a few
//! times in quick succession: its replies are what later silence is held against.
//! When a gateway that used to reply stops to, several times, with the probes demonstrably sent
//! and nothing else received, it calls the ring dead at once. When nobody has ever replied, or not
//! since the last reset, silence proves less: then the queue is kicked once, and the ring called
//! dead after seconds, and the next time after twice as long. It never sends anything, and never
//! touches a ring.

use crate::recovery::{QUIET_TICK_US, TICK_US};

/// Silence after which a probe is wanted, while there was traffic just before.
const SILENCE_US: u64 = 300_000;
/// The longest time between probes of a quiet link.
const QUIET_US: u64 = 1_000_000;
/// Time that the gateway has to reply.
const REPLY_US: u64 = 200_000;
/// Replies that make the absence of one evidence, and the most that are remembered.
const TRUSTED: u8 = 2;
/// Probes that follow each other without a pause, to a gateway that nothing is known of.
const EAGER: u8 = 5;
/// Unanswered probes before the receive queue is kicked again.
const REKICK_AFTER: u8 = 2;
/// Unanswered probes before the device is reset.
const RESET_AFTER: u8 = 3;
/// Silence after which the device is reset although no gateway ever replied, and the longest one
/// that it doubles to: without that a ring that dies before anybody has replied, or that the reset
/// did not revive, would be dead for good.
const UNPROVEN_US: u64 = 10_000_000;
const UNPROVEN_MOST_US: u64 = 640_000_000;

/// What the absence of replies calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Fine,
    /// Notify the receive queue again.
    Rekick,
    /// Reset the device.
    Dead,
}

/// Whom a probe asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    V4([u8; 4]),
    V6([u8; 16]),
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// No probe is under way.
    Idle,
    /// A probe was asked for.
    Waiting {
        since: u64,
        /// The receive counter at that time.
        received: u64,
        /// Whom the probe asks for, once it was sent.
        target: Option<Target>,
        replied: bool,
    },
}

/// The watch over the receive ring.
#[derive(Debug)]
pub(crate) struct Probe {
    phase: Phase,
    wanted: bool,
    received: u64,
    last_received_us: u64,
    last_probe_us: u64,
    /// Silence after which the next probe is due.
    patience_us: u64,
    /// Whom the last probe asked for.
    asked: Option<Target>,
    /// Probes that are still to follow without a pause.
    eager: u8,
    /// Whom the trust is in.
    trusted: Option<Target>,
    trust: u8,
    unanswered: u8,
    /// The queue was kicked in this silence.
    kicked: bool,
    /// When the ring was last called dead.
    last_dead_us: u64,
    /// Silence after which the ring is called dead without proof.
    unproven_us: u64,
}

/// What the driver knows at a tick.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// Now, in microseconds.
    pub now: u64,
    /// Frames received since boot.
    pub received: u64,
    /// Frames lie in the ring that were not taken in: it is alive.
    pub waiting: bool,
    /// Everything that was to be sent has been.
    pub sent_all: bool,
    /// The device has buffers to receive into.
    pub can_receive: bool,
    /// The link is up.
    pub link_up: bool,
}

impl Probe {
    /// A watch that trusts in nobody yet.
    pub fn new() -> Probe {
        Probe {
            phase: Phase::Idle,
            wanted: false,
            received: 0,
            last_received_us: 0,
            last_probe_us: 0,
            patience_us: SILENCE_US,
            asked: None,
            eager: EAGER,
            trusted: None,
            trust: 0,
            unanswered: 0,
            kicked: false,
            last_dead_us: 0,
            unproven_us: UNPROVEN_US,
        }
    }

    /// Whether a probe should be sent now.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Whether frames have to be shown to this module.
    #[inline]
    pub fn watches(&self) -> bool {
        matches!(self.phase, Phase::Waiting { replied: false, .. })
    }

    /// Looks at a frame that is sent while the module watches: is it the probe?
    pub fn sent(&mut self, frame: &[u8]) {
        if let Phase::Waiting { target, .. } = &mut self.phase
            && target.is_none()
        {
            *target = request(frame);
            if let Some(found) = *target {
                self.wanted = false;
                if self.asked.replace(found) != Some(found) {
                    self.eager = EAGER;
                }
            }
        }
    }

    /// Looks at a frame that was received while the module watches: is it the reply?
    pub fn received(&mut self, frame: &[u8]) {
        if let Phase::Waiting {
            target, replied, ..
        } = &mut self.phase
        {
            *replied |= target.is_some() && reply(frame) == *target;
        }
    }

    /// The slow look.
    pub fn tick(&mut self, view: View) -> Verdict {
        let now = view.now;
        let mut verdict = Verdict::Fine;
        if view.received != self.received {
            // More than a reply: there is traffic, and its end is worth a question soon.
            if view.received - self.received > 1 {
                self.patience_us = SILENCE_US;
            }
            self.received = view.received;
            self.last_received_us = now;
            self.unanswered = 0;
            self.kicked = false;
            self.unproven_us = UNPROVEN_US;
        }
        if let Phase::Waiting {
            since,
            received,
            target,
            replied,
        } = self.phase
        {
            if replied {
                self.phase = Phase::Idle;
                self.answered(target);
            } else if now - since >= REPLY_US {
                self.phase = Phase::Idle;
                let evidence = target.is_some()
                    && view.received == received
                    && !view.waiting
                    && view.sent_all
                    && view.can_receive
                    && view.link_up;
                if !evidence {
                    self.ask_less();
                } else if target == self.trusted && self.trust >= TRUSTED {
                    verdict = self.missing(now);
                } else {
                    self.ask_less();
                    verdict = self.unproven(now);
                }
            } else {
                return Verdict::Fine;
            }
        }
        let silent = now - self.last_received_us;
        let idle = now - self.last_probe_us;
        let trusts = self.trust >= TRUSTED;
        let due = silent.min(idle) >= self.patience_us
            || (trusts && self.unanswered > 0)
            || (!trusts && (self.eager > 0 || idle >= QUIET_US));
        self.wanted = due && view.link_up;
        if self.wanted {
            self.eager = self.eager.saturating_sub(1);
            self.last_probe_us = now;
            self.phase = Phase::Waiting {
                since: now,
                received: view.received,
                target: None,
                replied: false,
            };
        }
        verdict
    }

    /// Time until the next look is of use, after one at `now`.
    pub fn pause(&self, now: u64) -> u64 {
        let trusts = self.trust >= TRUSTED;
        let presses = (trusts && self.unanswered > 0) || (!trusts && self.eager > 0);
        if matches!(self.phase, Phase::Waiting { .. }) || presses {
            return TICK_US;
        }
        let silence = self.last_received_us.max(self.last_probe_us) + self.patience_us;
        let due = match trusts {
            true => silence,
            false => silence.min(self.last_probe_us + QUIET_US),
        };
        match due.saturating_sub(now) {
            // Only a link that is down keeps a question that is due from being asked.
            0 => QUIET_TICK_US,
            left => left.clamp(TICK_US, QUIET_TICK_US),
        }
    }

    fn answered(&mut self, target: Option<Target>) {
        if target != self.trusted {
            self.trusted = target;
            self.trust = 0;
        }
        self.trust = (self.trust + 1).min(TRUSTED);
        self.unanswered = 0;
        self.ask_less();
    }

    /// A link with nothing but probes on it is asked less and less often.
    fn ask_less(&mut self) {
        self.patience_us = (self.patience_us * 2).min(QUIET_US);
    }

    /// A probe without a reply, from a gateway that may not be there.
    fn unproven(&mut self, now: u64) -> Verdict {
        self.unanswered = self.unanswered.saturating_add(1);
        if !self.kicked {
            // One reply may be late.
            self.kicked = self.unanswered >= REKICK_AFTER;
            return if self.kicked {
                Verdict::Rekick
            } else {
                Verdict::Fine
            };
        }
        if now - self.last_received_us.max(self.last_dead_us) < self.unproven_us {
            return Verdict::Fine;
        }
        self.unproven_us = (self.unproven_us * 2).min(UNPROVEN_MOST_US);
        self.last_dead_us = now;
        self.eager = EAGER;
        Verdict::Dead
    }

    fn missing(&mut self, now: u64) -> Verdict {
        self.unanswered += 1;
        match self.unanswered {
            RESET_AFTER.. => {
                self.unanswered = 0;
                self.trust = 0;
                self.eager = EAGER;
                self.last_dead_us = now;
                Verdict::Dead
            }
            REKICK_AFTER => {
                self.kicked = true;
                Verdict::Rekick
            }
            _ => Verdict::Fine,
        }
    }
}

const ETHERNET: usize = 14;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Where an IPv6 packet names its sender.
const SOURCE: usize = ETHERNET + 8;

/// Whom an ARP request (RFC 826) or a neighbour solicitation (RFC 4861, 4.3) asks for. Nobody is
/// to answer an announcement (RFC 5227) or the search for a duplicate (RFC 4862, 5.4.2).
fn request(frame: &[u8]) -> Option<Target> {
    let announced = arp(frame, REQUEST, 14);
    let tentative = frame.get(SOURCE..SOURCE + 16) == Some(&[0; 16]);
    arp(frame, REQUEST, 24)
        .filter(|asked| announced != Some(*asked))
        .or_else(|| neighbour(frame, SOLICITATION).filter(|_| !tentative))
}

/// Who an ARP reply or a neighbour advertisement (RFC 4861, 4.4) is from.
fn reply(frame: &[u8]) -> Option<Target> {
    arp(frame, REPLY, 14).or_else(|| neighbour(frame, ADVERTISEMENT))
}

fn arp(frame: &[u8], operation: u8, address: usize) -> Option<Target> {
    let packet = frame.get(ETHERNET..)?;
    let matches = frame[12..ETHERNET] == [0x08, 0x06] && packet.get(6..8)? == [0, operation];
    let address = packet.get(address..address + 4)?.try_into().ok()?;
    matches.then_some(Target::V4(address))
}

fn neighbour(frame: &[u8], kind: u8) -> Option<Target> {
    const NEXT_HEADER: usize = ETHERNET + 6;
    const ICMP: usize = ETHERNET + 40;
    let matches = frame.get(12..ETHERNET)? == [0x86, 0xdd]
        && *frame.get(NEXT_HEADER)? == 58
        && *frame.get(ICMP)? == kind;
    let address = frame.get(ICMP + 8..ICMP + 24)?.try_into().ok()?;
    matches.then_some(Target::V6(address))
}

#[cfg(test)]
mod tests;
