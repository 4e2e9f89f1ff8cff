//! Stopping, as a plan that always ends: each means has its time, and all that is needed to go on
//! with a plan after a restart of the supervisor is when it began.

use crate::guest::Means;
use serde::{Deserialize, Serialize};

/// How long each means is given, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// For the guest to drain.
    pub drain: u64,
    /// For the guest to obey the power button; Quartz has no ACPI, other kernels do.
    pub power_down: u64,
    /// For QEMU to quit.
    pub quit: u64,
    /// For QEMU to go after SIGTERM.
    pub terminate: u64,
    /// For the system to remove a killed process.
    pub kill: u64,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines {
            drain: 10_000,
            power_down: 1_000,
            quit: 2_000,
            terminate: 2_000,
            kill: 5_000,
        }
    }
}

impl Deadlines {
    /// The longest that a stop can take.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.plan().iter().map(|(_, time)| time).sum()
    }

    fn plan(&self) -> [(Means, u64); 5] {
        [
            (Means::Drain, self.drain),
            (Means::PowerDown, self.power_down),
            (Means::Quit, self.quit),
            (Means::Terminate, self.terminate),
            (Means::Kill, self.kill),
        ]
    }
}

/// Where a plan stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// This means has its time now.
    Press(Means),
    /// Even a kill did not help: the system holds the process.
    Stuck,
}

/// A stop under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// When the first means got its time. Moves back when a means is given up early, so that it
    /// may lie before the beginning of time.
    pub began: i64,
    /// Means before this one are left out: a guest that is dead cannot drain.
    pub first: Means,
}

impl Escalation {
    /// Begins with `first`.
    #[must_use]
    pub fn new(now: u64, first: Means) -> Escalation {
        Escalation {
            began: signed(now),
            first,
        }
    }

    /// What has its time at `now`.
    #[must_use]
    pub fn stage(&self, deadlines: &Deadlines, now: u64) -> Stage {
        let mut end = self.began;
        for (means, time) in self.plan(deadlines) {
            end = end.saturating_add(signed(time));
            if signed(now) < end {
                return Stage::Press(means);
            }
        }
        Stage::Stuck
    }

    /// `means` could not even be tried: the next has its time at once.
    pub fn give_up(&mut self, means: Means, deadlines: &Deadlines, now: u64) {
        let mut end = self.began;
        for (at, time) in self.plan(deadlines) {
            end = end.saturating_add(signed(time));
            if at == means {
                self.began = self.began.saturating_sub((end - signed(now)).max(0));
                return;
            }
        }
    }

    fn plan(self, deadlines: &Deadlines) -> impl Iterator<Item = (Means, u64)> {
        let plan = deadlines.plan().into_iter();
        plan.filter(move |(means, _)| *means >= self.first)
    }
}

fn signed(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Deadlines = Deadlines {
        drain: 10,
        power_down: 1,
        quit: 2,
        terminate: 2,
        kill: 5,
    };

    #[test]
    fn every_means_has_its_time_and_then_it_is_over() {
        let stop = Escalation::new(100, Means::Drain);
        let stages: Vec<Stage> = (100..=120).map(|now| stop.stage(&SHORT, now)).collect();
        let mut expected = Vec::new();
        for (means, time) in SHORT.plan() {
            expected.extend(vec![Stage::Press(means); time as usize]);
        }
        expected.push(Stage::Stuck);
        assert_eq!(stages, expected);
        assert_eq!(SHORT.total(), 20);
    }

    #[test]
    fn softer_means_can_be_left_out() {
        let stop = Escalation::new(0, Means::Quit);
        assert_eq!(stop.stage(&SHORT, 0), Stage::Press(Means::Quit));
        assert_eq!(stop.stage(&SHORT, 2), Stage::Press(Means::Terminate));
        assert_eq!(stop.stage(&SHORT, 9), Stage::Stuck);
    }

    #[test]
    fn a_means_that_cannot_be_tried_gives_way_at_once() {
        let mut stop = Escalation::new(100, Means::Drain);
        stop.give_up(Means::Drain, &SHORT, 101);
        assert_eq!(stop.stage(&SHORT, 101), Stage::Press(Means::PowerDown));
        stop.give_up(Means::PowerDown, &SHORT, 101);
        assert_eq!(stop.stage(&SHORT, 101), Stage::Press(Means::Quit));
        stop.give_up(Means::Quit, &SHORT, 102);
        assert_eq!(stop.stage(&SHORT, 102), Stage::Press(Means::Terminate));
        assert_eq!(stop.stage(&SHORT, 104), Stage::Press(Means::Kill));
    }

    #[test]
    fn a_successor_goes_on_where_its_predecessor_was() {
        let stop = Escalation::new(100, Means::Drain);
        let text = serde_json::to_string(&stop).unwrap();
        let successor: Escalation = serde_json::from_str(&text).unwrap();
        for now in 100..130 {
            assert_eq!(successor.stage(&SHORT, now), stop.stage(&SHORT, now));
        }
    }
}
