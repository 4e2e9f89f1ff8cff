//! The life of a guest under supervision, as a state machine without clock, process or file:
//! what happened goes in with the time, what to do comes out.
//!
//! ```text
//! Waiting ─► Starting ─► Healthy ⇄ Suspect ─► Autopsy ─► Stopping ─► Waiting | Stopped | Failed
//! ```
//!
//! Every state but Healthy, Stopped and Failed has a deadline, so that a guest cannot be left in
//! one. Times are milliseconds of one clock that never goes back.

use super::escalation::{Deadlines, Escalation, Stage};
use crate::guest::{Ending, Means};
use quartz_abi::ExitCode;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;

/// Milliseconds of the supervisor's clock.
pub type Millis = u64;

/// The states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// A process runs, it has not answered yet.
    Starting,
    /// It answers.
    Healthy,
    /// It has missed an answer.
    Suspect,
    /// It is dead or as good as dead: evidence is being taken.
    Autopsy,
    /// It is being stopped.
    Stopping,
    /// No process; the next start is due soon.
    Waiting,
    /// No process, as asked.
    Stopped,
    /// Given up: starting again does not help.
    Failed,
}

impl Phase {
    /// Every state.
    pub const ALL: [Phase; 8] = [
        Phase::Starting,
        Phase::Healthy,
        Phase::Suspect,
        Phase::Autopsy,
        Phase::Stopping,
        Phase::Waiting,
        Phase::Stopped,
        Phase::Failed,
    ];

    /// As a person writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Healthy => "healthy",
            Phase::Suspect => "suspect",
            Phase::Autopsy => "autopsy",
            Phase::Stopping => "stopping",
            Phase::Waiting => "waiting",
            Phase::Stopped => "stopped",
            Phase::Failed => "failed",
        }
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Phase::Stopped | Phase::Failed)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How patient the supervisor is. Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// From start to first answer.
    pub start: Millis,
    /// Without an answer for this long, a guest is suspect.
    pub suspect: Millis,
    /// Without an answer for this long, it is dead.
    pub dead: Millis,
    /// For taking evidence.
    pub autopsy: Millis,
    /// Starts allowed in a row ...
    pub starts: u32,
    /// ... within this time.
    pub within: Millis,
    /// Pause before the second start in a row; each later one is twice as long.
    pub pause: Millis,
    /// For stopping.
    pub stop: Deadlines,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            start: 30_000,
            suspect: 2_000,
            dead: 4_000,
            autopsy: 10_000,
            starts: 5,
            within: 120_000,
            pause: 500,
            stop: Deadlines::default(),
        }
    }
}

/// Why evidence is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It never answered.
    NoAnswer,
    /// It answered, and stopped to.
    Silent,
    /// Its process ended.
    Ended(Option<Ending>),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::NoAnswer => f.write_str("it did not answer after its start"),
            Cause::Silent => f.write_str("it stopped answering"),
            Cause::Ended(Some(ending)) => ending.fmt(f),
            Cause::Ended(None) => f.write_str("its process ended while nobody watched"),
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The guest answered a question that was asked at this time.
    Answered(Millis),
    /// The process ended; how, if it is known.
    Ended(Option<Ending>),
    /// It could not be started.
    NotStarted(String),
    /// The evidence is taken.
    AutopsyDone,
    /// This means could not even be tried.
    Refused(Means),
    /// Somebody wants it stopped.
    Stop,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a process.
    Start,
    /// It answers: clients may come.
    Serve,
    /// Clients have to wait until the next [`Action::Serve`].
    Hold,
    /// Take evidence.
    Examine(Cause),
    /// Make it stop by this.
    Press(Means),
    /// A state was entered, for this reason.
    Entered(Phase, String),
}

/// What comes when the process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// Start again, if that helps.
    Again,
    /// Nothing.
    Stop,
}

/// What is kept over a restart of the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memo {
    /// The state.
    pub phase: Phase,
    /// A stop under way.
    pub stop: Option<Escalation>,
    /// What comes after it.
    pub then: Then,
    /// When the last starts were.
    pub starts: VecDeque<Millis>,
    /// Starts in all.
    pub started: u64,
}

/// A guest's life.
#[derive(Clone, Debug)]
pub struct Life {
    limits: Limits,
    phase: Phase,
    /// When the state was entered.
    since: Millis,
    /// When the last question that was answered was asked.
    answered: Millis,
    /// Whether a process is there, as far as is known.
    process: bool,
    stop: Escalation,
    pressed: Option<Means>,
    then: Then,
    /// The reason that a failure will have.
    reason: String,
    permanent: bool,
    starts: VecDeque<Millis>,
    started: u64,
}

impl Life {
    /// A guest that is to be started.
    #[must_use]
    pub fn new(limits: Limits, now: Millis) -> Life {
        Life {
            limits,
            phase: Phase::Waiting,
            since: now,
            answered: 0,
            process: false,
            stop: Escalation::new(now, Means::Drain),
            pressed: None,
            then: Then::Again,
            reason: String::new(),
            permanent: false,
            starts: VecDeque::new(),
            started: 0,
        }
    }

    /// A guest whose process was found running, and what was noted about it. The note is believed
    /// in one thing only: a stop that was begun goes on.
    #[must_use]
    pub fn adopt(limits: Limits, memo: &Memo, now: Millis) -> (Life, Vec<Action>) {
        let mut life = Life::remember(limits, memo, now);
        life.process = true;
        let mut actions = Vec::new();
        match memo.stop {
            Some(stop) if memo.phase == Phase::Stopping => {
                life.stop = stop;
                life.then = memo.then;
                life.enter(
                    Phase::Stopping,
                    now,
                    "going on with a stop that was begun before",
                    &mut actions,
                );
                life.press(now, &mut actions);
            }
            _ => life.enter(
                Phase::Starting,
                now,
                "adopted a running guest",
                &mut actions,
            ),
        }
        (life, actions)
    }

    /// A guest that was noted as running, and whose process is gone.
    #[must_use]
    pub fn bereft(limits: Limits, memo: &Memo, now: Millis) -> (Life, Vec<Action>) {
        let mut life = Life::remember(limits, memo, now);
        life.process = true;
        life.then = if memo.phase == Phase::Stopping {
            memo.then
        } else {
            Then::Again
        };
        let mut actions = Vec::new();
        if life.then == Then::Stop {
            life.process = false;
            life.enter(Phase::Stopped, now, "it had been asked to", &mut actions);
        } else {
            life.phase = Phase::Starting;
            life.step(now, &Input::Ended(None), &mut actions);
        }
        (life, actions)
    }

    fn remember(limits: Limits, memo: &Memo, now: Millis) -> Life {
        Life {
            starts: memo.starts.clone(),
            started: memo.started,
            ..Life::new(limits, now)
        }
    }

    /// What to keep.
    #[must_use]
    pub fn memo(&self) -> Memo {
        Memo {
            phase: self.phase,
            stop: (self.phase == Phase::Stopping).then_some(self.stop),
            then: self.then,
            starts: self.starts.clone(),
            started: self.started,
        }
    }

    /// The state.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// When it was entered.
    #[must_use]
    pub fn since(&self) -> Millis {
        self.since
    }

    /// Starts in all.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.started
    }

    /// Why it failed.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Changes the patience from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// A successor has taken over and answers: this life goes on with it.
    pub fn succeeded(&mut self, now: Millis, actions: &mut Vec<Action>) {
        self.started += 1;
        self.process = true;
        self.answered = now;
        self.enter(Phase::Healthy, now, "a successor took over", actions);
    }

    /// Takes in what happened at `now`; adds what to do to `actions`.
    pub fn step(&mut self, now: Millis, input: &Input, actions: &mut Vec<Action>) {
        match input {
            Input::Answered(asked) => self.answered = self.answered.max(*asked),
            Input::Stop => self.ask_to_stop(now, actions),
            Input::Ended(ending) if self.process => self.ended(now, *ending, actions),
            Input::NotStarted(reason) if self.phase == Phase::Starting => {
                self.process = false;
                self.reason.clone_from(reason);
                self.again(now, actions);
            }
            Input::AutopsyDone if self.phase == Phase::Autopsy => self.examined(now, actions),
            Input::Refused(means) if self.phase == Phase::Stopping => {
                self.stop.give_up(*means, &self.limits.stop, now);
            }
            _ => {}
        }
        self.look_at_the_clock(now, actions);
    }

    fn look_at_the_clock(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let silent = now.saturating_sub(self.answered.max(self.since_alive()));
        let here = now.saturating_sub(self.since);
        match self.phase {
            Phase::Waiting if here >= self.pause() => {
                self.starts.push_back(now);
                self.started += 1;
                self.process = true;
                self.enter(Phase::Starting, now, "", actions);
                actions.push(Action::Start);
            }
            Phase::Starting if self.answered >= self.since => {
                self.reason.clear();
                self.enter(Phase::Healthy, now, "it answers", actions);
                actions.push(Action::Serve);
            }
            Phase::Starting if here >= self.limits.start => {
                self.examine(now, Cause::NoAnswer, actions);
            }
            Phase::Healthy if silent >= self.limits.suspect => {
                self.enter(Phase::Suspect, now, "an answer is missing", actions);
            }
            Phase::Suspect if silent < self.limits.suspect => {
                self.enter(Phase::Healthy, now, "it answers again", actions);
            }
            Phase::Suspect if silent >= self.limits.dead => {
                self.examine(now, Cause::Silent, actions);
            }
            Phase::Autopsy if here >= self.limits.autopsy => self.examined(now, actions),
            Phase::Stopping => self.press(now, actions),
            _ => {}
        }
    }

    /// The time before which no answer can be expected.
    fn since_alive(&self) -> Millis {
        match self.phase {
            Phase::Starting => self.since,
            _ => 0,
        }
    }

    /// The pause before the next start.
    fn pause(&self) -> Millis {
        match self.starts.len() {
            0 | 1 => 0,
            n => {
                let doublings = u32::try_from(n - 2).unwrap_or(u32::MAX).min(6);
                self.limits.pause.saturating_mul(1 << doublings)
            }
        }
    }

    fn ask_to_stop(&mut self, now: Millis, actions: &mut Vec<Action>) {
        self.then = Then::Stop;
        match self.phase {
            Phase::Starting | Phase::Healthy | Phase::Suspect => {
                self.begin_to_stop(now, Means::Drain, "asked to stop", actions);
            }
            Phase::Waiting => self.enter(Phase::Stopped, now, "asked to stop", actions),
            // An autopsy and a stop have deadlines of their own, and end here too.
            Phase::Autopsy | Phase::Stopping | Phase::Stopped | Phase::Failed => {}
        }
    }

    fn ended(&mut self, now: Millis, ending: Option<Ending>, actions: &mut Vec<Action>) {
        self.process = false;
        match self.phase {
            Phase::Stopping => match self.then {
                Then::Stop => self.enter(Phase::Stopped, now, "it ended as asked", actions),
                Then::Again => self.again(now, actions),
            },
            Phase::Starting | Phase::Healthy | Phase::Suspect => {
                self.permanent = matches!(
                    ending,
                    Some(Ending::Code(
                        ExitCode::BadCommandLine | ExitCode::BadSite | ExitCode::NoDevice
                    ))
                );
                self.examine(now, Cause::Ended(ending), actions);
            }
            // The evidence is still being taken.
            Phase::Autopsy | Phase::Waiting | Phase::Stopped | Phase::Failed => {}
        }
    }

    fn examine(&mut self, now: Millis, cause: Cause, actions: &mut Vec<Action>) {
        self.reason = cause.to_string();
        if self.phase != Phase::Starting || self.process {
            actions.push(Action::Hold);
        }
        self.enter(Phase::Autopsy, now, &cause.to_string(), actions);
        actions.push(Action::Examine(cause));
    }

    fn examined(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if !self.process {
            match self.then {
                Then::Stop => self.enter(Phase::Stopped, now, "asked to stop", actions),
                Then::Again => self.again(now, actions),
            }
        } else if self.then == Then::Again && self.answered >= self.since {
            // Evidence beats the verdict: it serves.
            self.reason.clear();
            self.enter(Phase::Healthy, now, "it came back by itself", actions);
            actions.push(Action::Serve);
        } else {
            self.begin_to_stop(now, Means::Quit, "it is beyond draining", actions);
        }
    }

    fn begin_to_stop(&mut self, now: Millis, first: Means, why: &str, actions: &mut Vec<Action>) {
        self.stop = Escalation::new(now, first);
        self.pressed = None;
        if first == Means::Drain {
            actions.push(Action::Hold);
        }
        self.enter(Phase::Stopping, now, why, actions);
    }

    fn press(&mut self, now: Millis, actions: &mut Vec<Action>) {
        match self.stop.stage(&self.limits.stop, now) {
            Stage::Press(means) if self.pressed < Some(means) => {
                self.pressed = Some(means);
                actions.push(Action::Press(means));
            }
            Stage::Press(_) => {}
            Stage::Stuck => {
                self.reason = "its process does not end although it was killed".into();
                let reason = self.reason.clone();
                self.enter(Phase::Failed, now, &reason, actions);
            }
        }
    }

    /// Starts again, unless that was tried too often or cannot help.
    fn again(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let within = self.limits.within;
        self.starts.retain(|at| now.saturating_sub(*at) < within);
        let reason = if self.permanent {
            format!("starting again does not help: {}", self.reason)
        } else if self.starts.len() >= self.limits.starts as usize {
            format!(
                "given up after {} starts within {} s: {}",
                self.starts.len(),
                within / 1000,
                self.reason
            )
        } else {
            let reason = self.reason.clone();
            self.enter(Phase::Waiting, now, &reason, actions);
            return;
        };
        self.reason.clone_from(&reason);
        self.enter(Phase::Failed, now, &reason, actions);
    }

    fn enter(&mut self, phase: Phase, now: Millis, why: &str, actions: &mut Vec<Action>) {
        self.phase = phase;
        self.since = now;
        actions.push(Action::Entered(phase, why.to_owned()));
    }
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
