//! The supervisor's loop: what the threads tell goes into the life, what it says is done here.

mod inquest;
mod leaving;
mod requests;
mod succession;

use super::announce::{Announcer, Event, notify};
use super::config::Config;
use super::control::Request;
use super::escalation::Escalation;
use super::examine::{Finding, Subject};
use super::instance::{self, Instance};
use super::life::{Action, Cause, Input, Life, Memo, Millis, Phase};
use super::metrics::Metrics;
use super::places::Places;
use super::process::{boot_id, now};
use super::record::{GuestNote, Record};
use super::switch::Switch;
use super::watch::{News, Watch};
use crate::error::Error;
use crate::guest::Means;
use leaving::{Leaving, press};
use rustix::process::{Signal, pidfd_send_signal};
use sd_notify::NotifyState;
use serde_json::Value;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::Duration;
use succession::Candidate;

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(100);
/// Time between two tries of a means that may have been lost.
const REPEAT: Millis = 1_000;

/// What comes to the loop.
pub enum Message {
    /// From a guest's watch.
    News(u64, News),
    /// An autopsy is done; of this guest, asked for by somebody or not.
    Examined(u64, Finding, Option<SyncSender<Value>>),
    /// A means could not be tried on this guest.
    Refused(u64, Means),
    /// A request.
    Asked(Request, SyncSender<Value>, Option<UnixStream>),
    /// A signal asks to stop.
    Stop,
    /// A signal asks to be replaced by the program that is installed now.
    Renew,
}

/// How the loop ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Stopped as asked.
    Stopped,
    /// Given up, for this reason.
    Failed(String),
    /// To be replaced by the program that is installed now.
    Renew,
}

/// A guest under watch.
struct Watched {
    instance: Instance,
    watch: Watch,
}

/// The supervisor of one guest.
pub struct Supervisor {
    name: String,
    places: Places,
    config: Config,
    life: Life,
    current: Option<Watched>,
    candidate: Option<Candidate>,
    leaving: Vec<Leaving>,
    messages: Receiver<Message>,
    sender: Sender<Message>,
    switch: Switch,
    announcer: Announcer,
    metrics: Arc<Metrics>,
    boot: String,
    last_number: u64,
    pressed: Option<(Means, Millis)>,
    ready: bool,
    written: Option<Record>,
    last_finding: Option<Finding>,
    began: Millis,
    renew: bool,
}

impl Supervisor {
    /// A supervisor that goes on with what its predecessor left, if there is anything.
    ///
    /// # Errors
    /// Threads or sockets cannot be had.
    pub fn new(
        name: &str,
        places: Places,
        config: Config,
        channel: (Sender<Message>, Receiver<Message>),
        metrics: Arc<Metrics>,
    ) -> Result<Supervisor, Error> {
        let boot = boot_id();
        let record = Record::read(&places.record(), &boot);
        let switch =
            Switch::begin(places.forwarder()).map_err(Error::system("cannot start a thread"))?;
        let announcer = Announcer::new().map_err(Error::system("cannot start a thread"))?;
        let (sender, messages) = channel;
        let mut supervisor = Supervisor {
            name: name.to_owned(),
            life: Life::new(config.limits, now()),
            places,
            config,
            current: None,
            candidate: None,
            leaving: Vec::new(),
            messages,
            sender,
            switch,
            announcer,
            metrics,
            boot,
            last_number: record.as_ref().map_or(0, |r| r.last_number),
            pressed: None,
            ready: false,
            written: None,
            last_finding: None,
            began: now(),
            renew: false,
        };
        if let Some(record) = record {
            supervisor.take_over(&record)?;
        }
        supervisor.end_strays();
        Ok(supervisor)
    }

    /// What nobody answers for must not run on beside the guest.
    fn end_strays(&self) {
        let guests = self
            .current
            .iter()
            .chain(self.leaving.iter().map(|l| &l.guest));
        let known: Vec<_> = guests.map(|g| g.instance.note.process).collect();
        for stray in instance::strays(&self.places, &known) {
            self.announce(&Event {
                name: self.name.clone(),
                number: 0,
                state: "stray".into(),
                reason: format!(
                    "ended process {}, of which no note tells",
                    stray.identity().pid
                ),
                priority: 4,
            });
            // It may have gone by itself.
            let _ = pidfd_send_signal(&stray, Signal::KILL);
        }
    }

    /// Goes on with what the note tells of and evidence confirms.
    fn take_over(&mut self, record: &Record) -> Result<(), Error> {
        for (note, stop) in &record.leaving {
            if let Some(instance) = Instance::adopt(note, &self.places)? {
                let guest = self.watch(instance)?;
                self.leaving.push(Leaving {
                    guest,
                    stop: stop.unwrap_or_else(|| Escalation::new(now(), Means::Quit)),
                    pressed: None,
                    ended: false,
                    answer: None,
                });
            }
        }
        let memo = &record.memo;
        let adopted = match &record.guest {
            Some(note) => Instance::adopt(note, &self.places)?,
            None => None,
        };
        let mut actions = Vec::new();
        match (adopted, &record.guest) {
            (Some(instance), _) => {
                self.metrics.adoptions.fetch_add(1, Relaxed);
                self.current = Some(self.watch(instance)?);
                (self.life, actions) = Life::adopt(self.config.limits, memo, now());
            }
            (None, Some(note)) if !memo.phase.is_final() && memo.phase != Phase::Waiting => {
                self.bury(note, memo, &mut actions);
            }
            _ => {}
        }
        self.perform(actions);
        Ok(())
    }

    /// A guest that ended while nobody watched.
    fn bury(&mut self, note: &GuestNote, memo: &Memo, actions: &mut Vec<Action>) {
        (self.life, *actions) = Life::bereft(self.config.limits, memo, now());
        // There is no process to watch; what it left behind is examined here.
        let examined = actions.iter().position(|a| matches!(a, Action::Examine(_)));
        if let Some(at) = examined {
            actions.remove(at);
            let subject = Subject {
                name: self.name.clone(),
                number: note.number,
                pid: note.process.pid,
                folder: self.places.guest(note.number),
                kernel: self.kernel(),
                memory: None,
                desk: None,
                evidence: super::evidence::Evidence::default(),
                at: now(),
                fresh: self.config.limits.suspect,
                cause: Some(Cause::Ended(None)),
            };
            self.begin_autopsy(subject, None);
        }
    }

    /// Runs until there is nothing left to supervise.
    pub fn run(&mut self) -> End {
        loop {
            match self.messages.recv_timeout(TICK) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            let mut actions = Vec::new();
            self.life.step(now(), &Input::Tick, &mut actions);
            self.perform(actions);
            self.repeat();
            self.tend_candidate();
            self.tend_leaving();
            self.keep_record();
            self.tell_systemd();
            if self.renew {
                return End::Renew;
            }
            if self.life.phase().is_final() && self.leaving.is_empty() && self.candidate.is_none() {
                return self.end();
            }
        }
    }

    fn end(&mut self) -> End {
        if self.life.phase() == Phase::Stopped {
            if let Some(current) = self.current.take() {
                current.instance.clean();
            }
            return End::Stopped;
        }
        End::Failed(self.life.reason().to_owned())
    }

    fn take(&mut self, message: Message) {
        let mut actions = Vec::new();
        match message {
            Message::News(number, news) => self.hear(number, news, &mut actions),
            Message::Examined(number, finding, answer) => {
                self.examined(number, finding, answer, &mut actions);
            }
            Message::Refused(number, means) if self.number() == number => {
                self.life.step(now(), &Input::Refused(means), &mut actions);
            }
            Message::Refused(number, means) => {
                let limits = self.config.limits.stop;
                for leaving in &mut self.leaving {
                    if leaving.guest.instance.note.number == number {
                        leaving.stop.give_up(means, &limits, now());
                    }
                }
            }
            Message::Asked(request, answer, line) => {
                self.answer(request, answer, line, &mut actions);
            }
            Message::Stop => self.stop(&mut actions),
            Message::Renew => self.renew = true,
        }
        self.perform(actions);
    }

    fn stop(&mut self, actions: &mut Vec<Action>) {
        notify(&[NotifyState::Stopping]);
        if let Some(candidate) = self.candidate.take() {
            self.dismiss(candidate, "stopped meanwhile");
        }
        self.life.step(now(), &Input::Stop, actions);
    }

    fn number(&self) -> u64 {
        self.current.as_ref().map_or(0, |c| c.instance.note.number)
    }

    fn hear(&mut self, number: u64, news: News, actions: &mut Vec<Action>) {
        if number == self.number() {
            let input = match news {
                News::Answered(asked) => Input::Answered(asked),
                News::Ended(ending) => {
                    let current = self.current.as_ref();
                    Input::Ended(ending.or_else(|| current?.instance.ending()))
                }
            };
            self.life.step(now(), &input, actions);
        } else if let Some(candidate) = &mut self.candidate
            && candidate.guest.instance.note.number == number
        {
            match news {
                News::Answered(_) => self.take_over_from_current(actions),
                News::Ended(_) => candidate.ended = true,
            }
        } else if let News::Ended(_) = news {
            for leaving in &mut self.leaving {
                leaving.ended |= leaving.guest.instance.note.number == number;
            }
        }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start => self.start(),
                Action::Serve => {
                    if let Some(current) = &self.current {
                        current.instance.widen();
                        self.switch.set(Some(current.instance.note.address));
                    }
                }
                Action::Hold => self.switch.set(None),
                Action::Examine(cause) => {
                    match cause {
                        Cause::Silent | Cause::NoAnswer => &self.metrics.wedges,
                        Cause::Ended(_) => &self.metrics.crashes,
                    }
                    .fetch_add(1, Relaxed);
                    match self.subject(Some(cause)) {
                        Some(subject) => self.begin_autopsy(subject, None),
                        None => self.step(&Input::AutopsyDone),
                    }
                }
                Action::Press(means) => {
                    self.pressed = Some((means, now()));
                    if let Some(current) = &self.current {
                        press(current, means, &self.sender);
                    }
                }
                Action::Entered(phase, why) => {
                    let number = self.number();
                    let event = Event::entered(&self.name, number, phase, &why);
                    self.announce(&event);
                    // What changed must be on record before anything else happens.
                    self.keep_record();
                }
            }
        }
    }

    fn step(&mut self, input: &Input) {
        let mut actions = Vec::new();
        self.life.step(now(), input, &mut actions);
        self.perform(actions);
    }

    fn announce(&self, event: &Event) {
        self.announcer.announce(&self.config.on_event, event);
    }

    fn start(&mut self) {
        if let Some(last) = self.current.take() {
            last.instance.clean();
        }
        self.last_number += 1;
        self.metrics.starts.fetch_add(1, Relaxed);
        let started = Instance::start(&self.config, &self.places, self.last_number)
            .and_then(|instance| self.watch(instance));
        match started {
            Ok(guest) => {
                self.current = Some(guest);
                self.keep_record();
            }
            Err(error) => self.step(&Input::NotStarted(error.to_string())),
        }
    }

    fn watch(&self, instance: Instance) -> Result<Watched, Error> {
        let number = instance.note.number;
        let sender = self.sender.clone();
        let watch = Watch::begin(
            &instance,
            reachable(self.config.listen),
            Duration::from_millis(self.config.interval),
            Arc::clone(&self.metrics),
            move |news| {
                // The loop has ended: so will this thread.
                let _ = sender.send(Message::News(number, news));
            },
        );
        match watch {
            Ok(watch) => Ok(Watched { instance, watch }),
            Err(error) => {
                // Nobody would look after it.
                let _ = instance.signal(Signal::KILL);
                Err(Error::system("cannot watch the guest")(error))
            }
        }
    }

    /// A stop may be asked for before the guest listens: it is asked again.
    fn repeat(&mut self) {
        if let (Some((Means::Drain, at)), Some(current)) = (&mut self.pressed, &self.current)
            && self.life.phase() == Phase::Stopping
            && now().saturating_sub(*at) >= REPEAT
        {
            *at = now();
            let _ = current.watch.type_line("drain");
        }
    }

    fn keep_record(&mut self) {
        let note = |guest: &Watched| guest.instance.note.clone();
        let leaving = self.leaving.iter().map(|l| (note(&l.guest), Some(l.stop)));
        let candidate = self.candidate.iter().map(|c| (note(&c.guest), None));
        let record = Record::new(
            self.boot.clone(),
            self.current.as_ref().map(note),
            self.life.memo(),
            leaving.chain(candidate).collect(),
            self.last_number,
        );
        if self.written.as_ref() != Some(&record) {
            match record.write(&self.places.record()) {
                Ok(()) => self.written = Some(record),
                Err(error) => {
                    crate::outcome::say(&format_args!("cannot write the record: {error}"));
                }
            }
        }
    }

    fn tell_systemd(&mut self) {
        let healthy = self.life.phase() == Phase::Healthy;
        self.metrics.healthy.store(healthy.into(), Relaxed);
        let admin = self.current.as_ref().and_then(|c| c.instance.note.admin);
        self.metrics.set_admin(admin);
        let Some(current) = &self.current else { return };
        let evidence = current.watch.evidence();
        self.metrics
            .latency_us
            .store(evidence.public.latency_us, Relaxed);
        if !self.ready && healthy && evidence.public.answered.is_some() {
            self.ready = true;
            notify(&[NotifyState::Ready]);
        }
        if healthy {
            notify(&[NotifyState::Watchdog]);
        }
    }
}

/// The address by which this host reaches what listens on `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => {
            SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()))
        }
        IpAddr::V6(ip) if ip.is_unspecified() => {
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, address.port()))
        }
        _ => address,
    }
}

/// Keeps a copy of the configuration, for a successor that finds the file broken.
pub fn keep_config(places: &Places) {
    // Without it a broken file keeps a successor from starting, which says so.
    let _ = fs::copy(places.config(), places.runtime().join("config.toml"));
}
