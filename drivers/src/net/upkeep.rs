//! The slow tick: invariants, and the rungs of the recovery ladder as the device sees them.

use super::VirtioNet;
use crate::bringup::{self, NetError, Session, Standing};
use crate::probe::{Verdict, View};
use crate::queue::Direction;
use crate::recovery::{Cause, DISTRUST_US, GivenUp, Stalled, TICK_US};
use quartz_abi::EventKind;
use virtio_drivers::Hal;
use virtio_drivers::transport::Transport;

impl<H: Hal, T: Transport> VirtioNet<H, T> {
    /// The slow look at everything, at `now_us` microseconds since boot: checks the invariants,
    /// notifies again, resets the device. Says in how many microseconds the next is wanted: ten
    /// times a second, or twice when nothing [moves](Self::has_moved) and nothing is waited for.
    ///
    /// # Errors
    /// The device cannot be brought back; calling again says the same.
    pub fn tick(&mut self, now_us: u64) -> Result<u64, GivenUp> {
        let now = self.time.advance(now_us);
        let moved = self.has_moved();
        if !self.ladder.is_down() {
            self.look();
            self.check_device();
            self.check_books();
        }
        if !self.ladder.is_down() {
            let link_up = !self.session.reports_link || bringup::link_is_up(&self.transport);
            self.check_interrupts(now);
            self.check_transmission(now, link_up);
            self.check_reception(now, link_up);
        }
        match self.ladder.due(now, self.carried()) {
            Ok(None) => {
                let pause = self.pause(now, moved);
                Ok(self.time.pause(pause))
            }
            Ok(Some((cause, attempt))) => {
                self.reset(cause, attempt);
                Ok(self.time.pause(TICK_US))
            }
            Err(given_up) => {
                if self.ladder.ends_now() {
                    let (resets, code) = (given_up.resets, given_up.cause.code());
                    self.tell(EventKind::GivenUp, None, resets, code, 0);
                }
                Err(given_up)
            }
        }
    }

    /// Whether a frame came or went since the last tick, or lies with the device: then the next
    /// tick is wanted a tenth of a second from now at the latest.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.carried() != self.ticked || self.tx.gap() > 0
    }

    /// Frames ever received and ever sent.
    fn carried(&self) -> [u64; 2] {
        [self.rx.harvested(), self.tx.harvested()]
    }

    fn pause(&mut self, now: u64, moved: bool) -> u64 {
        self.ticked = self.carried();
        let waits = self.ladder.is_down() || self.polls || self.announcement.is_missed();
        if moved || waits || self.has_moved() {
            TICK_US
        } else {
            self.probe.pause(now)
        }
    }

    fn check_device(&mut self) {
        match bringup::standing(&self.transport) {
            Standing::Working => {}
            Standing::NeedsReset => self.ladder.fail(Cause::NeedsReset),
            Standing::Lost => self.ladder.fail(Cause::Lost),
            Standing::Gone => self.ladder.fail(Cause::Gone),
        }
    }

    /// Both ledgers against themselves and against the device's indices.
    fn check_books(&mut self) {
        self.reclaim();
        if let Err(bad) = self.rx.observe() {
            self.bad_used(Direction::Receive, bad);
        }
        for (direction, holds) in [
            (Direction::Receive, self.rx.holds()),
            (Direction::Transmit, self.tx.holds()),
        ] {
            if !holds {
                let queue = direction.queue();
                self.ladder.fail(Cause::Ledger { queue });
            }
        }
    }

    fn check_interrupts(&mut self, now: u64) {
        let missing = self.rx.is_armed() && !self.line.is_noted() && self.rx.has_used();
        if self.announcement.is_overdue(now, missing) {
            self.rx.disarm();
            let counters = self.rx.counters();
            counters.missed_interrupts += 1;
            let count = counters.missed_interrupts;
            if count.is_power_of_two() {
                log::warn!("virtio-net: frames lay unannounced ({count} interrupts missed so far)");
            }
            let stats = self.rx.stats();
            let (_, taken) = self.rx.indices();
            let waiting = stats.used_idx.wrapping_sub(taken.raw());
            self.tell(
                EventKind::MissedInterrupt,
                Some(Direction::Receive),
                waiting.into(),
                stats.used_idx.into(),
                0,
            );
            self.polls_until = now + DISTRUST_US;
        }
        self.polls = now < self.polls_until;
    }

    fn check_transmission(&mut self, now: u64, link_up: bool) {
        // Without a link there is nowhere to send to, and a device may wait for one.
        let gap = if link_up { self.tx.gap() } else { 0 };
        match self.stall.tick(now, gap, self.tx.harvested()) {
            Stalled::No => {}
            Stalled::Rekick => self.rekick(Direction::Transmit),
            Stalled::Dead => self.ladder.fail(Cause::TransmitStalled),
        }
    }

    fn check_reception(&mut self, now: u64, link_up: bool) {
        let view = View {
            now,
            received: self.rx.harvested(),
            waiting: self.rx.has_used(),
            sent_all: self.tx.gap() == 0,
            can_receive: self.rx.gap() > 0,
            link_up,
        };
        match self.probe.tick(view) {
            Verdict::Fine => {}
            Verdict::Rekick => self.rekick(Direction::Receive),
            Verdict::Dead => self.ladder.fail(Cause::ReceiveSilent),
        }
        if self.probe.is_wanted() {
            self.tell(EventKind::Probe, None, 1, 0, 0);
        }
    }

    fn rekick(&mut self, direction: Direction) {
        let queue = match direction {
            Direction::Receive => &mut self.rx,
            Direction::Transmit => &mut self.tx,
        };
        queue.kick(&mut self.transport);
        let (published, taken) = queue.indices();
        let counters = queue.counters();
        counters.rekicks += 1;
        let count = counters.rekicks;
        if count.is_power_of_two() {
            log::warn!(
                "virtio-net: queue {} stands still, notified again ({count} times so far)",
                direction.queue()
            );
        }
        self.tell(
            EventKind::Rekick,
            Some(direction),
            1,
            published.raw().into(),
            taken.raw().into(),
        );
    }

    fn reset(&mut self, cause: Cause, attempt: u32) {
        let result = self.bring_back();
        match result {
            Ok(()) => log::warn!("virtio-net: reset, since {cause} (attempt {attempt})"),
            Err(error) => {
                log::error!("virtio-net: {cause}; a reset failed: {error} (attempt {attempt})");
            }
        }
        self.tell(EventKind::Reset, None, 1, cause.code(), attempt.into());
        self.ladder.ended(result);
    }

    /// Resets the device and gives it every buffer that no frame holds.
    fn bring_back(&mut self) -> Result<(), NetError> {
        bringup::reset(&mut self.transport)?;
        // The device owns nothing any more. What it was doing is lost, and not waited for.
        self.rx.reclaim();
        self.tx.reclaim();
        let session = bringup::negotiate(&mut self.transport)?;
        if session.mac != self.mac {
            log::warn!("virtio-net: the device changed its address; the one of boot is kept");
        }
        self.start(session)
    }

    /// Sets up the queues of a device with which `session` was agreed on, and lets it begin.
    pub(super) fn start(&mut self, session: Session) -> Result<(), NetError> {
        let header = session.header as u32;
        self.rx.prepare(session.suppression, header);
        self.tx.prepare(session.suppression, 0);
        bringup::attach(&mut self.transport, Direction::Receive, &self.rx)?;
        bringup::attach(&mut self.transport, Direction::Transmit, &self.tx)?;
        bringup::go_live(&mut self.transport)?;
        self.session = session;
        self.starved = false;
        self.polls = false;
        self.polls_until = 0;
        self.announcement.clear();
        // An interrupt from before says nothing about the rings from now on.
        self.line.take();
        self.rx.post_free();
        self.rx.post_returned();
        if let Some(published) = self.rx.publish(&mut self.transport) {
            self.tell_published(Direction::Receive, published);
        }
        Ok(())
    }
}
