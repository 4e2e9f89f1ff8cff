//! What is known about a guest at one moment, and which part it shows to be dead.

use super::life::Millis;
use crate::verdict::Signature;
use quartz_abi::Heartbeat;
use serde_json::{Value, json};
use std::fmt;

/// One way of asking, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// When the last question that was answered was asked.
    pub answered: Option<Millis>,
    /// When somebody last asked.
    pub asked: Option<Millis>,
    /// How long the last answer took, in microseconds.
    pub latency_us: u64,
    /// What went wrong last, since the last answer.
    pub trouble: Option<String>,
}

impl Trace {
    /// Notes a question and what came of it.
    pub fn note(&mut self, asked: Millis, latency_us: u64, result: Result<(), String>) {
        self.asked = Some(asked);
        match result {
            Ok(()) => {
                self.answered = Some(asked);
                self.latency_us = latency_us;
                self.trouble = None;
            }
            Err(trouble) => self.trouble = Some(trouble),
        }
    }

    /// Whether there was an answer within the last `within` milliseconds.
    #[must_use]
    pub fn fresh(&self, now: Millis, within: Millis) -> bool {
        let age = |at| now.saturating_sub(at);
        self.answered.is_some_and(|at| age(at) <= within)
    }

    fn to_json(&self, now: Millis) -> Value {
        json!({
            "answered_ms_ago": self.answered.map(|at| now.saturating_sub(at)),
            "latency_us": self.latency_us,
            "trouble": self.trouble,
        })
    }
}

/// Everything that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// `/healthz` at the guest's own port.
    pub direct: Trace,
    /// `/healthz` on the path that clients take.
    pub public: Trace,
    /// `query-status` on the monitor.
    pub monitor: Trace,
    /// The run state that the monitor told.
    pub run_state: Option<String>,
    /// The last heartbeat, and when it came.
    pub heartbeat: Option<(Millis, Heartbeat)>,
    /// The one before it.
    pub heartbeat_before: Option<Heartbeat>,
    /// The state of the process as `/proc` shows it; `None` when it is gone.
    pub process: Option<char>,
}

/// A part of the path from a client to the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything answers.
    None,
    /// The process is gone.
    Process,
    /// The process is there and stopped by a signal.
    Stopped,
    /// QEMU's main loop: neither monitor nor guest answer.
    MainLoop,
    /// The machine is paused.
    Paused,
    /// The guest: QEMU works, the guest's loop does not turn.
    Guest,
    /// The guest's loop turns, and no frame gets through.
    Ring(Signature),
    /// Frames move, and no answer comes.
    Http,
    /// The guest answers, and the clients' path to it does not.
    Port,
    /// Everything answers but the monitor.
    Monitor,
}

impl Evidence {
    /// Takes in a heartbeat.
    pub fn beat(&mut self, now: Millis, beat: Heartbeat) {
        self.heartbeat_before = self.heartbeat.map(|(_, last)| last);
        self.heartbeat = Some((now, beat));
    }

    /// Where the guest's receive ring stands, if the last two heartbeats say that it stands. The
    /// guest is asked once a second, so a ring that is well has moved between them.
    #[must_use]
    pub fn standing_at(&self) -> Option<u16> {
        let (_, last) = self.heartbeat?;
        let before = self.heartbeat_before?;
        (before.rx == last.rx).then_some(last.rx.used)
    }

    /// Which part is dead. `fresh` is how old an answer may be; `ring` what the device's view of
    /// the receive ring says, if somebody looked.
    #[must_use]
    pub fn dead_part(&self, now: Millis, fresh: Millis, ring: Option<Signature>) -> Part {
        let monitor = self.monitor.fresh(now, fresh);
        let beats = self
            .heartbeat
            .is_some_and(|(at, _)| now.saturating_sub(at) <= fresh);
        if self.process.is_none() {
            return Part::Process;
        }
        if self.direct.fresh(now, fresh) {
            // Who was not asked yet is not dead.
            let well = |trace: &Trace| trace.asked.is_none() || trace.fresh(now, fresh);
            return match (well(&self.public), well(&self.monitor)) {
                (false, _) => Part::Port,
                (true, false) => Part::Monitor,
                (true, true) => Part::None,
            };
        }
        match self.process {
            Some('T' | 't') => Part::Stopped,
            _ if !monitor && !beats => Part::MainLoop,
            _ if monitor && self.run_state.as_deref().is_some_and(|s| s != "running") => {
                Part::Paused
            }
            _ if !beats => Part::Guest,
            _ => match ring {
                Some(Signature::Moving) | None => Part::Http,
                Some(signature) => Part::Ring(signature),
            },
        }
    }

    /// For programs.
    #[must_use]
    pub fn to_json(&self, now: Millis) -> Value {
        json!({
            "direct": self.direct.to_json(now),
            "public": self.public.to_json(now),
            "monitor": self.monitor.to_json(now),
            "run_state": self.run_state,
            "heartbeat": self.heartbeat.map(|(at, beat)| json!({
                "ms_ago": now.saturating_sub(at),
                "up_ms": beat.up_ms,
                "requests": beat.requests,
                "open": beat.open,
                "rx": beat.rx.to_string(),
                "tx": beat.tx.to_string(),
            })),
            "process": self.process.map(String::from),
        })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::None => "every part answers",
            Part::Process => "the QEMU process is gone",
            Part::Stopped => "the QEMU process is stopped by a signal",
            Part::MainLoop => "QEMU's main loop is dead: neither its monitor nor the guest answers",
            Part::Paused => "the machine is paused",
            Part::Guest => {
                "the guest is dead: QEMU answers, and the guest's loop does not turn (no heartbeat)"
            }
            Part::Ring(signature) => return write!(f, "the ring is dead: {signature}"),
            Part::Http => {
                "HTTP is dead: the guest's loop turns and frames move, and no answer comes"
            }
            Part::Port => "the host's port is dead: the guest answers, the clients' path does not",
            Part::Monitor => "QEMU's monitor is dead: the guest answers, it does not",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(at: Millis) -> Trace {
        let mut trace = Trace::default();
        trace.note(at, 100, Ok(()));
        trace
    }

    fn well() -> Evidence {
        Evidence {
            direct: trace(1000),
            public: trace(1000),
            monitor: trace(1000),
            run_state: Some("running".into()),
            heartbeat: Some((1000, Heartbeat::default())),
            heartbeat_before: None,
            process: Some('S'),
        }
    }

    fn part(change: impl FnOnce(&mut Evidence), ring: Option<Signature>) -> Part {
        let mut evidence = well();
        change(&mut evidence);
        evidence.dead_part(1500, 1000, ring)
    }

    #[test]
    fn each_dead_part_is_told_from_the_others() {
        let old = || trace(10);
        let silent = |e: &mut Evidence| {
            e.direct = trace(10);
            e.public = trace(10);
        };
        assert_eq!(part(|_| {}, None), Part::None);
        assert_eq!(part(|e| e.public = old(), None), Part::Port);
        assert_eq!(part(|e| e.monitor = old(), None), Part::Monitor);
        assert_eq!(part(|e| e.process = None, None), Part::Process);
        assert_eq!(part(silent, None), Part::Http);
        assert_eq!(part(silent, Some(Signature::Moving)), Part::Http);
        let ring = Signature::UsedNotHarvested;
        assert_eq!(part(silent, Some(ring)), Part::Ring(ring));
        let no_beat = |e: &mut Evidence| {
            silent(e);
            e.heartbeat = Some((10, Heartbeat::default()));
        };
        assert_eq!(part(no_beat, Some(ring)), Part::Guest);
        let dead = |e: &mut Evidence| {
            no_beat(e);
            e.monitor = trace(10);
        };
        assert_eq!(part(dead, None), Part::MainLoop);
        let stopped = |e: &mut Evidence| {
            dead(e);
            e.process = Some('T');
        };
        assert_eq!(part(stopped, None), Part::Stopped);
        let paused = |e: &mut Evidence| {
            no_beat(e);
            e.run_state = Some("paused".into());
        };
        assert_eq!(part(paused, None), Part::Paused);
    }

    #[test]
    fn a_ring_stands_if_two_heartbeats_say_so() {
        let mut evidence = Evidence::default();
        let beat = |used| {
            let mut beat = Heartbeat::default();
            beat.rx.used = used;
            beat
        };
        evidence.beat(0, beat(7));
        assert_eq!(evidence.standing_at(), None);
        evidence.beat(1000, beat(9));
        assert_eq!(evidence.standing_at(), None);
        evidence.beat(2000, beat(9));
        assert_eq!(evidence.standing_at(), Some(9));
    }

    #[test]
    fn a_trace_keeps_the_last_answer_and_the_last_trouble() {
        let mut trace = Trace::default();
        assert!(!trace.fresh(0, 1000));
        trace.note(100, 7, Ok(()));
        trace.note(200, 0, Err("refused".into()));
        assert_eq!((trace.answered, trace.asked), (Some(100), Some(200)));
        assert_eq!(trace.trouble.as_deref(), Some("refused"));
        assert!(trace.fresh(1100, 1000) && !trace.fresh(1101, 1000));
    }
}
