//! What is asked on the control socket, and its answers.

use super::Supervisor;
use crate::supervise::control::{ATTACHED, Request};
use crate::supervise::life::Action;
use crate::supervise::process::now;
use serde_json::{Value, json};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::SyncSender;

impl Supervisor {
    pub(super) fn answer(
        &mut self,
        request: Request,
        answer: SyncSender<Value>,
        line: Option<UnixStream>,
        actions: &mut Vec<Action>,
    ) {
        let done = |value: Value| {
            // Who has gone does not need it.
            let _ = answer.try_send(value);
        };
        let no_guest = || json!({"ok": false, "error": "there is no guest"});
        match request {
            Request::Status => done(self.status()),
            Request::Stop => {
                self.stop(actions);
                done(json!({"ok": true}));
            }
            Request::Reload { always } => self.reload(always, answer),
            Request::Autopsy => match self.subject(None) {
                Some(subject) => self.begin_autopsy(subject, Some(answer)),
                None => done(no_guest()),
            },
            Request::Type { line } => done(match &self.current {
                Some(current) if current.watch.type_line(&line) => json!({"ok": true}),
                Some(_) => json!({"ok": false, "error": "the console does not take it"}),
                None => no_guest(),
            }),
            Request::Attach => done(match (&self.current, line) {
                (Some(current), Some(line)) => match current.watch.attach(line) {
                    Ok(()) => json!({"ok": true, ATTACHED: true}),
                    Err(error) => json!({"ok": false, "error": error.to_string()}),
                },
                _ => no_guest(),
            }),
            Request::Lines { from } => done(match &self.current {
                Some(current) => json!({
                    "ok": true,
                    "guest": current.instance.note.number,
                    "lines": current.watch.journal.since(from),
                    "next": current.watch.journal.mark(),
                }),
                None => no_guest(),
            }),
        }
    }

    /// Everything, for programs.
    fn status(&self) -> Value {
        let at = now();
        let current = self.current.as_ref();
        let evidence = current.map(|c| c.watch.evidence());
        let fresh = self.config.limits.suspect;
        let sent = current.map(|c| c.watch.desk().sent()).unwrap_or_default();
        json!({
            "ok": true,
            "name": self.name,
            "state": self.life.phase().name(),
            "since_ms": at.saturating_sub(self.life.since()),
            "reason": self.life.reason(),
            "listen": self.config.listen.to_string(),
            "supervisor": {"pid": std::process::id(), "up_ms": at.saturating_sub(self.began),
                "version": env!("CARGO_PKG_VERSION")},
            "guest": current.map(|c| json!({
                "number": c.instance.note.number,
                "pid": c.instance.note.process.pid,
                "address": c.instance.note.address.to_string(),
                "admin": c.instance.note.admin.map(|admin| admin.to_string()),
                "config": c.instance.note.config,
            })),
            "starts": self.life.started(),
            "dead": evidence.as_ref().map(|e| e.dead_part(at, fresh, None).to_string()),
            "evidence": evidence.map(|e| e.to_json(at)),
            "monitor": {"queries": sent.queries, "writes": sent.writes},
            "forwarder": self.switch.figures(),
            "leaving": self.leaving.len(),
            "autopsy": self.last_finding.as_ref().map(|f| json!({
                "verdict": f.verdict, "folder": f.folder, "missing": f.missing,
            })),
            "metrics": self.metrics.json(),
        })
    }
}
