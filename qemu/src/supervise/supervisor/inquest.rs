//! Autopsies: begun beside the loop, their findings told.

use super::{Message, Supervisor};
use crate::image::Image;
use crate::supervise::announce::Event;
use crate::supervise::examine::{self, Finding, Subject};
use crate::supervise::life::{Action, Cause, Input};
use crate::supervise::process::now;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

impl Supervisor {
    /// The kernel as the configuration names it now; its build says whether the guest has that one.
    pub(super) fn kernel(&self) -> Option<PathBuf> {
        let image = Image::find(self.config.kernel.as_deref()).ok()?;
        Some(image.path)
    }

    pub(super) fn subject(&self, cause: Option<Cause>) -> Option<Subject> {
        let current = self.current.as_ref()?;
        let alive = current.instance.process.state().is_some();
        Some(Subject {
            name: self.name.clone(),
            number: current.instance.note.number,
            pid: current.instance.note.process.pid,
            folder: current.instance.folder.clone(),
            kernel: self.kernel(),
            memory: current
                .instance
                .memory
                .as_ref()
                .and_then(|m| m.try_clone().ok()),
            desk: alive.then(|| current.watch.desk()),
            evidence: current.watch.evidence(),
            at: now(),
            fresh: self.config.limits.suspect,
            cause,
        })
    }

    pub(super) fn begin_autopsy(&self, subject: Subject, answer: Option<SyncSender<Value>>) {
        let (to, keeping) = (self.places.autopsies(), self.config.keeping);
        let deadline = Instant::now() + Duration::from_millis(self.config.limits.autopsy);
        let sender = self.sender.clone();
        let number = subject.number;
        self.metrics.autopsies.fetch_add(1, Relaxed);
        let begun = thread::Builder::new()
            .name("autopsy".into())
            .spawn(move || {
                let finding = examine::examine(&subject, &to, keeping.memory, deadline);
                examine::prune(&to, keeping.keep, keeping.max_size);
                let _ = sender.send(Message::Examined(number, finding, answer));
            });
        if let Err(error) = begun {
            let finding = Finding {
                verdict: format!("no autopsy: {error}"),
                folder: None,
                missing: vec!["everything".into()],
            };
            let _ = self.sender.send(Message::Examined(number, finding, None));
        }
    }

    pub(super) fn examined(
        &mut self,
        number: u64,
        finding: Finding,
        answer: Option<SyncSender<Value>>,
        actions: &mut Vec<Action>,
    ) {
        if !finding.missing.is_empty() {
            self.metrics.autopsies_incomplete.fetch_add(1, Relaxed);
        }
        let place = match &finding.folder {
            Some(folder) => folder.display().to_string(),
            None => "nothing could be written".into(),
        };
        let event = Event {
            name: self.name.clone(),
            number,
            state: "examined".into(),
            reason: format!("verdict: {} ({place})", finding.verdict),
            priority: 4,
        };
        self.announce(&event);
        match answer {
            Some(answer) => {
                let _ = answer.try_send(json!({
                    "ok": true,
                    "verdict": finding.verdict,
                    "folder": finding.folder,
                    "missing": finding.missing,
                }));
            }
            None => self.life.step(now(), &Input::AutopsyDone, actions),
        }
        self.last_finding = Some(finding);
    }
}
