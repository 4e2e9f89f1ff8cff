//! Telling the world that a state was entered: the host's journal, with fields; systemd; a command
//! of the operator's.

use super::life::Phase;
use crate::outcome;
use sd_notify::NotifyState;
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Where journald listens (systemd's "native journal protocol").
const JOURNAL: &str = "/run/systemd/journal/socket";
/// How long the operator's command may take.
const HOOK: Duration = Duration::from_secs(10);
/// Events that may wait for it.
const QUEUE: usize = 32;
/// How often its end is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Something that happened to a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The guest.
    pub name: String,
    /// Which guest of that name; 0 before the first.
    pub number: u64,
    /// The state that was entered, or `upgrade` or `autopsy`.
    pub state: String,
    /// Why.
    pub reason: String,
    /// Syslog's priority (RFC 5424): 3 error, 4 warning, 6 information.
    pub priority: u8,
}

impl Event {
    /// For a state that was entered.
    #[must_use]
    pub fn entered(name: &str, number: u64, phase: Phase, reason: &str) -> Event {
        Event {
            name: name.to_owned(),
            number,
            state: phase.name().to_owned(),
            reason: reason.to_owned(),
            priority: match phase {
                Phase::Failed | Phase::Autopsy => 3,
                Phase::Suspect => 4,
                _ => 6,
            },
        }
    }

    fn message(&self) -> String {
        match self.reason.is_empty() {
            true => format!("{}: {}", self.name, self.state),
            false => format!("{}: {}: {}", self.name, self.state, self.reason),
        }
    }

    /// The datagram for journald: a field a line, so none may hold a line's end.
    fn datagram(&self) -> String {
        let line = |text: &str| text.replace(['\n', '\r'], " ");
        format!(
            "MESSAGE={}\nPRIORITY={}\nSYSLOG_IDENTIFIER=quartz\nQUARTZ_NAME={}\n\
             QUARTZ_GUEST={}\nQUARTZ_STATE={}\nQUARTZ_REASON={}\n",
            line(&self.message()),
            self.priority,
            line(&self.name),
            self.number,
            line(&self.state),
            line(&self.reason),
        )
    }
}

/// Announces events.
pub struct Announcer {
    journal: Option<UnixDatagram>,
    hook: SyncSender<(Vec<String>, Event)>,
    /// Runs of the operator's command that failed or found no room.
    pub hook_failures: Arc<AtomicU64>,
}

impl Announcer {
    /// An announcer; the operator's command runs on a thread of its own.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn new() -> std::io::Result<Announcer> {
        let (hook, queue) = sync_channel::<(Vec<String>, Event)>(QUEUE);
        let hook_failures = Arc::new(AtomicU64::new(0));
        let failures = Arc::clone(&hook_failures);
        thread::Builder::new().name("hook".into()).spawn(move || {
            for (command, event) in queue {
                if let Err(trouble) = run(&command, &event) {
                    failures.fetch_add(1, Relaxed);
                    outcome::say(&format_args!("on_event {command:?}: {trouble}"));
                }
            }
        })?;
        let journal = UnixDatagram::unbound().ok();
        let journal = journal.filter(|socket| socket.connect(JOURNAL).is_ok());
        if let Some(socket) = &journal {
            let _ = socket.set_nonblocking(true);
        }
        Ok(Announcer {
            journal,
            hook,
            hook_failures,
        })
    }

    /// Announces an event; `command` is the operator's, or empty.
    pub fn announce(&self, command: &[String], event: &Event) {
        let sent = self
            .journal
            .as_ref()
            .map(|journal| journal.send(event.datagram().as_bytes()));
        if !matches!(sent, Some(Ok(_))) {
            let _ = writeln!(std::io::stderr().lock(), "quartz: {}", event.message());
        }
        notify(&[NotifyState::Status(&event.message().replace('\n', " "))]);
        if !command.is_empty()
            && self
                .hook
                .try_send((command.to_vec(), event.clone()))
                .is_err()
        {
            self.hook_failures.fetch_add(1, Relaxed);
        }
    }
}

/// Tells systemd something; without systemd nobody hears it.
pub fn notify(state: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(state);
}

fn run(command: &[String], event: &Event) -> Result<(), String> {
    let (program, words) = command.split_first().ok_or("no command")?;
    let mut child = Command::new(program)
        .args(words)
        .env("QUARTZ_NAME", &event.name)
        .env("QUARTZ_GUEST", event.number.to_string())
        .env("QUARTZ_STATE", &event.state)
        .env("QUARTZ_REASON", &event.reason)
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .spawn()
        .map_err(|e| e.to_string())?;
    let deadline = Instant::now() + HOOK;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(status.to_string()),
            Ok(None) if Instant::now() < deadline => thread::sleep(LOOK),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("it took too long".into());
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event::entered("www", 3, Phase::Autopsy, "it stopped\nPRIORITY=0")
    }

    #[test]
    fn no_text_forges_a_field() {
        let datagram = event().datagram();
        let fields: Vec<&str> = datagram.lines().collect();
        assert_eq!(fields.len(), 7, "{datagram}");
        assert!(fields.contains(&"QUARTZ_STATE=autopsy"));
        assert!(fields.contains(&"PRIORITY=3"));
        assert!(fields.contains(&"QUARTZ_REASON=it stopped PRIORITY=0"));
    }

    #[test]
    fn the_operators_command_is_told_and_its_failure_seen() {
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("told");
        let script = format!("echo \"$QUARTZ_NAME $QUARTZ_STATE\" > {}", told.display());
        let command = ["sh".to_owned(), "-c".into(), script];
        assert_eq!(run(&command, &event()), Ok(()));
        assert_eq!(std::fs::read_to_string(told).unwrap(), "www autopsy\n");
        assert!(run(&["false".into()], &event()).is_err());
        assert!(run(&["/nonexistent/command".into()], &event()).is_err());
    }
}
