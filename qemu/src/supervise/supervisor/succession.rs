//! A successor: started beside the guest, put in its place once it answers, dismissed if it does not.

use super::leaving::Leaving;
use super::{Supervisor, Watched};
use crate::guest::Means;
use crate::supervise::announce::{Event, notify};
use crate::supervise::config::Config;
use crate::supervise::escalation::Escalation;
use crate::supervise::files::marks;
use crate::supervise::instance::Instance;
use crate::supervise::life::{Action, Millis, Phase};
use crate::supervise::process::now;
use sd_notify::NotifyState;
use serde_json::{Value, json};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// How long the forwarder may take to confirm a new guest.
const SWITCHED: Duration = Duration::from_secs(5);

/// A guest that is to take over.
pub(super) struct Candidate {
    pub(super) guest: Watched,
    pub(super) config: Config,
    pub(super) deadline: Millis,
    pub(super) answer: Option<SyncSender<Value>>,
    pub(super) ended: bool,
}

impl Supervisor {
    /// `reload` and `upgrade`: what the configuration says now is to run.
    pub(super) fn reload(&mut self, always: bool, answer: SyncSender<Value>) {
        let refuse = |error: String| {
            let _ = answer.try_send(json!({"ok": false, "error": error}));
        };
        let config = match Config::read(&self.places.config()) {
            Ok(config) => config,
            Err(error) => return refuse(error.to_string()),
        };
        if self.candidate.is_some() || !self.leaving.is_empty() {
            return refuse("a successor is taking over already".into());
        }
        let same = match self.current.as_ref() {
            Some(current) => {
                let note = &current.instance.note;
                let files = note.files.as_ref();
                note.config == config.canonical()
                    && files.is_none_or(|files| *files == marks(&config))
            }
            None => false,
        };
        self.life.set_limits(config.limits);
        if self.life.phase() != Phase::Healthy {
            let phase = self.life.phase();
            self.config = config;
            return refuse(format!(
                "the guest is {phase}: nothing to take over from; the next start uses the new configuration"
            ));
        }
        if same && !always {
            self.config = config;
            let _ = answer.try_send(json!({"ok": true, "changed": false}));
            return;
        }
        notify(&[NotifyState::Reloading]);
        self.last_number += 1;
        let started = Instance::start(&config, &self.places, self.last_number)
            .and_then(|instance| self.watch(instance));
        match started {
            Ok(guest) => {
                self.candidate = Some(Candidate {
                    guest,
                    deadline: now() + config.limits.start,
                    config,
                    answer: Some(answer),
                    ended: false,
                });
                self.keep_record();
            }
            Err(error) => {
                self.metrics.upgrades_failed.fetch_add(1, Relaxed);
                notify(&[NotifyState::Ready]);
                refuse(error.to_string());
            }
        }
    }

    /// The successor answers: new connections go to it, the old guest finishes and goes.
    pub(super) fn take_over_from_current(&mut self, actions: &mut Vec<Action>) {
        let Some(candidate) = self.candidate.take() else {
            return;
        };
        candidate.guest.instance.widen();
        self.switch.set(Some(candidate.guest.instance.note.address));
        if !self.switch.confirmed(Instant::now() + SWITCHED) {
            if let Some(current) = &self.current {
                self.switch.set(Some(current.instance.note.address));
            }
            return self.dismiss(candidate, "the forwarder does not answer");
        }
        let number = candidate.guest.instance.note.number;
        let old = self.current.replace(candidate.guest);
        self.config = candidate.config;
        self.metrics.upgrades.fetch_add(1, Relaxed);
        self.life.succeeded(now(), actions);
        let told = json!({"ok": true, "changed": true, "guest": number});
        if let Some(guest) = old {
            self.leaving.push(Leaving {
                guest,
                stop: Escalation::new(now(), Means::Drain),
                pressed: None,
                ended: false,
                answer: candidate.answer.map(|answer| (answer, told)),
            });
        }
        notify(&[NotifyState::Ready]);
    }

    pub(super) fn tend_candidate(&mut self) {
        let over = self.candidate.as_ref().and_then(|candidate| {
            let late = now() >= candidate.deadline;
            (candidate.ended || late).then_some(candidate.ended)
        });
        let (Some(ended), Some(candidate)) = (over, self.candidate.take_if(|_| over.is_some()))
        else {
            return;
        };
        let tail = candidate.guest.instance.serial_tail();
        let complaints = candidate.guest.instance.complaints();
        let words: Vec<&str> = tail.trim_end().lines().chain(complaints.lines()).collect();
        let last = words[words.len().saturating_sub(3)..].join(" | ");
        let why = match ended {
            true => format!("the successor ended before it answered: {last}"),
            false => format!("the successor did not answer in time: {last}"),
        };
        self.dismiss(candidate, &why);
    }

    /// A successor that does not take over; the old guest stays.
    pub(super) fn dismiss(&mut self, mut candidate: Candidate, why: &str) {
        self.metrics.upgrades_failed.fetch_add(1, Relaxed);
        let number = candidate.guest.instance.note.number;
        self.announce(&Event {
            name: self.name.clone(),
            number,
            state: "upgrade-failed".into(),
            reason: why.to_owned(),
            priority: 3,
        });
        notify(&[NotifyState::Ready]);
        let told = json!({"ok": false, "error": format!("{why}; the old guest stays")});
        self.leaving.push(Leaving {
            ended: candidate.ended,
            guest: candidate.guest,
            stop: Escalation::new(now(), Means::Quit),
            pressed: None,
            answer: candidate.answer.take().map(|answer| (answer, told)),
        });
    }
}
