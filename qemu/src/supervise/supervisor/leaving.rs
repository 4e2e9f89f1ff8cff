//! Guests that were replaced, and the means that make a guest stop.

use super::{Message, REPEAT, Supervisor, Watched};
use crate::guest::Means;
use crate::monitor::MonitorError;
use crate::supervise::escalation::{Escalation, Stage};
use crate::supervise::life::Millis;
use crate::supervise::process::now;
use crate::supervise::watch::Desk;
use rustix::process::Signal;
use serde_json::Value;
use std::sync::mpsc::{Sender, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

/// How long a command on the monitor may take.
const COMMAND: Duration = Duration::from_secs(2);

/// A guest that was replaced.
pub(super) struct Leaving {
    pub(super) guest: Watched,
    pub(super) stop: Escalation,
    pub(super) pressed: Option<(Means, Millis)>,
    pub(super) ended: bool,
    /// What to tell whom when it has gone.
    pub(super) answer: Option<(SyncSender<Value>, Value)>,
}

impl Supervisor {
    pub(super) fn tend_leaving(&mut self) {
        let limits = self.config.limits.stop;
        for leaving in &mut self.leaving {
            let at = now();
            if leaving.ended {
                continue;
            }
            match leaving.stop.stage(&limits, at) {
                Stage::Press(means) => {
                    let again = leaving.pressed.is_none_or(|(last, when)| {
                        last < means || (means == Means::Drain && at - when >= REPEAT)
                    });
                    if again {
                        leaving.pressed = Some((means, at));
                        press(&leaving.guest, means, &self.sender);
                    }
                }
                // The system holds it; there is nothing left to try.
                Stage::Stuck => leaving.ended = true,
            }
        }
        let mut gone = Vec::new();
        self.leaving.retain_mut(|leaving| {
            if leaving.ended {
                leaving.guest.instance.clean();
                gone.extend(leaving.answer.take());
            }
            !leaving.ended
        });
        for (answer, told) in gone {
            let _ = answer.try_send(told);
        }
    }
}

/// Makes a guest stop by `means`; what cannot be tried is told.
pub(super) fn press(guest: &Watched, means: Means, sender: &Sender<Message>) {
    let number = guest.instance.note.number;
    let refused = {
        let sender = sender.clone();
        move || drop(sender.send(Message::Refused(number, means)))
    };
    match means {
        Means::Itself => {}
        // Repeated: the guest may not listen yet, and neither may its serial line.
        Means::Drain => drop(guest.watch.type_line("drain")),
        Means::PowerDown => command(guest.watch.desk(), "system_powerdown", refused),
        Means::Quit => command(guest.watch.desk(), "quit", refused),
        Means::Terminate if guest.instance.signal(Signal::TERM) => {}
        Means::Kill if guest.instance.signal(Signal::KILL) => {}
        Means::Terminate | Means::Kill => refused(),
    }
}

/// Runs a command on the monitor without waiting for it here.
fn command(desk: Desk, command: &'static str, refused: impl FnOnce() + Send + 'static) {
    let run = move || {
        let result = desk.execute(command, Value::Null, Instant::now() + COMMAND);
        if matches!(
            result,
            Err(MonitorError::Gone(_) | MonitorError::Refused(_))
        ) {
            refused();
        }
    };
    // Without a thread the next means has its time soon enough.
    let _ = thread::Builder::new().name(command.into()).spawn(run);
}
