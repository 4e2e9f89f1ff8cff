//! Both protocols in every interleaving that a processor with store buffers allows.
//!
//! The driver's side is the real code. Before each of its steps the other side, and the store
//! buffers of both, may go on by any number of steps; all choices are tried, by replaying with one
//! choice changed. A way that comes to a state where an earlier way has been is not followed
//! again. Stores wait in a buffer per side, in order, and a side sees its own (x86-TSO).
//! A full fence waits until the buffer is empty.

use super::{NO_INTERRUPT, NO_NOTIFY, Shared, Suppression, arm, disarm, publish};
use crate::index::{RingIndex, need_event};
use core::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::vec::Vec;

/// The words that both sides share, as places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    AvailFlags,
    AvailIdx,
    UsedEvent,
    UsedFlags,
    UsedIdx,
    AvailEvent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Driver,
    Device,
}

/// Which choices to make, and which there were.
#[derive(Default)]
struct Oracle {
    path: Vec<(usize, usize)>,
    at: usize,
}

impl Oracle {
    fn choose(&mut self, options: usize) -> usize {
        if self.at == self.path.len() {
            self.path.push((0, options));
        }
        let (choice, known) = self.path[self.at];
        assert_eq!(known, options, "a replay takes the same way");
        self.at += 1;
        choice
    }

    /// Whether the next choice is one that no replay has made.
    fn is_new(&self) -> bool {
        self.at == self.path.len()
    }

    /// Goes to the next way through. Whether there is one.
    fn next(&mut self) -> bool {
        self.at = 0;
        while let Some((choice, options)) = self.path.pop() {
            if choice + 1 < options {
                self.path.push((choice + 1, options));
                return true;
            }
        }
        false
    }
}

/// Where the device stands in its work on an available ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Taking {
    Look,
    Wish,
    Fence,
    LookAgain,
    Asleep,
}

/// Where the device stands in handing out used entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Using {
    Show,
    Fence,
    Decide,
    Done,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Machine {
    memory: [u16; 6],
    buffers: [VecDeque<(Place, u16)>; 2],
    suppression: Suppression,
    fenced: bool,
    /// The device's part in publishing, if it has one here.
    taking: Option<Taking>,
    taken: RingIndex,
    kicked: bool,
    /// The device's part in interrupting, if it has one here, with entries left to use.
    using: Option<Using>,
    to_use: u16,
    used: RingIndex,
    interrupted: bool,
    /// What the driver has read: with this, its own state is determined.
    read: Vec<u16>,
    /// Steps that the driver has made.
    steps: u32,
}

impl Machine {
    fn buffer(&mut self, side: Side) -> &mut VecDeque<(Place, u16)> {
        &mut self.buffers[side as usize]
    }

    fn load(&self, side: Side, place: Place) -> u16 {
        let own = &self.buffers[side as usize];
        let newest = own.iter().rev().find(|(at, _)| *at == place);
        newest.map_or(self.memory[place as usize], |(_, value)| *value)
    }

    fn store(&mut self, side: Side, place: Place, value: u16) {
        self.buffer(side).push_back((place, value));
    }

    fn drain_one(&mut self, side: Side) {
        if let Some((place, value)) = self.buffer(side).pop_front() {
            self.memory[place as usize] = value;
        }
    }

    fn device_can_step(&self) -> bool {
        let empty = self.buffers[Side::Device as usize].is_empty();
        let taking = match self.taking {
            None => false,
            Some(Taking::Asleep) => self.kicked,
            Some(Taking::Fence) => empty,
            Some(_) => true,
        };
        let using = match self.using {
            None | Some(Using::Done) => false,
            Some(Using::Fence) => empty,
            Some(_) => true,
        };
        taking || using
    }

    fn device_step(&mut self) {
        if let Some(taking) = self.taking {
            self.taking = Some(self.take_step(taking));
        } else if let Some(using) = self.using {
            self.using = Some(self.use_step(using));
        }
    }

    /// The device takes entries; when there are none it says so, fences, looks again, sleeps.
    fn take_step(&mut self, at: Taking) -> Taking {
        let idx = RingIndex::new(self.load(Side::Device, Place::AvailIdx));
        match at {
            Taking::Look if idx == self.taken => Taking::Wish,
            Taking::Look => {
                self.taken = idx;
                Taking::Look
            }
            Taking::Wish => {
                match self.suppression {
                    Suppression::Flags => self.store(Side::Device, Place::UsedFlags, 0),
                    Suppression::EventIdx => {
                        let event = self.taken.raw();
                        self.store(Side::Device, Place::AvailEvent, event);
                    }
                }
                Taking::Fence
            }
            Taking::Fence => Taking::LookAgain,
            Taking::LookAgain if idx == self.taken => Taking::Asleep,
            Taking::LookAgain | Taking::Asleep => {
                self.kicked = false;
                if self.suppression == Suppression::Flags {
                    self.store(Side::Device, Place::UsedFlags, NO_NOTIFY);
                }
                Taking::Look
            }
        }
    }

    /// The device shows a used entry, fences, and interrupts if that is wanted.
    fn use_step(&mut self, at: Using) -> Using {
        match at {
            Using::Show => {
                self.used = self.used.plus(1);
                let idx = self.used.raw();
                self.store(Side::Device, Place::UsedIdx, idx);
                Using::Fence
            }
            Using::Fence => Using::Decide,
            Using::Decide => {
                let wanted = match self.suppression {
                    Suppression::Flags => {
                        self.load(Side::Device, Place::AvailFlags) & NO_INTERRUPT == 0
                    }
                    Suppression::EventIdx => {
                        let event = self.load(Side::Device, Place::UsedEvent);
                        need_event(RingIndex::new(event), self.used, self.used.minus(1))
                    }
                };
                self.interrupted |= wanted;
                self.to_use -= 1;
                if self.to_use > 0 {
                    Using::Show
                } else {
                    Using::Done
                }
            }
            Using::Done => Using::Done,
        }
    }
}

/// The machine, and the choices that lead through it.
struct World<'a> {
    machine: RefCell<Machine>,
    oracle: RefCell<Oracle>,
    known: &'a RefCell<HashSet<Machine>>,
    /// Another way has been here: the rest is known.
    abandoned: Cell<bool>,
}

impl World<'_> {
    /// Lets everything but the driver go on, as far as the oracle wants.
    fn others(&self, to_the_end: bool) {
        while !self.abandoned.get() {
            let mut machine = self.machine.borrow_mut();
            let mut options: Vec<fn(&mut Machine)> = Vec::new();
            if !to_the_end {
                options.push(|_| {});
            }
            if !machine.buffers[Side::Driver as usize].is_empty() {
                options.push(|m| m.drain_one(Side::Driver));
            }
            if !machine.buffers[Side::Device as usize].is_empty() {
                options.push(|m| m.drain_one(Side::Device));
            }
            if machine.device_can_step() {
                options.push(Machine::device_step);
            }
            if options.is_empty() {
                return;
            }
            let mut oracle = self.oracle.borrow_mut();
            if oracle.is_new() && !self.known.borrow_mut().insert(machine.clone()) {
                self.abandoned.set(true);
                return;
            }
            let choice = oracle.choose(options.len());
            options[choice](&mut machine);
            if !to_the_end && choice == 0 {
                return;
            }
        }
    }

    fn store(&self, place: Place, value: u16) {
        self.others(false);
        let mut machine = self.machine.borrow_mut();
        machine.steps += 1;
        machine.store(Side::Driver, place, value);
    }

    fn load(&self, place: Place) -> u16 {
        self.others(false);
        let mut machine = self.machine.borrow_mut();
        machine.steps += 1;
        let value = machine.load(Side::Driver, place);
        machine.read.push(value);
        value
    }

    fn empty_buffer(&self) {
        while !self.machine.borrow().buffers[Side::Driver as usize].is_empty() {
            self.others(false);
            let mut machine = self.machine.borrow_mut();
            machine.steps += 1;
            machine.drain_one(Side::Driver);
        }
    }

    /// A register write: in order behind every earlier store.
    fn kick(&self) {
        self.empty_buffer();
        self.others(false);
        let mut machine = self.machine.borrow_mut();
        machine.steps += 1;
        machine.kicked = true;
    }
}

impl Shared for World<'_> {
    fn store_avail_idx(&self, idx: RingIndex) {
        self.store(Place::AvailIdx, idx.raw());
    }
    fn store_avail_flags(&self, flags: u16) {
        self.store(Place::AvailFlags, flags);
    }
    fn store_used_event(&self, event: RingIndex) {
        self.store(Place::UsedEvent, event.raw());
    }
    fn load_used_idx(&self) -> RingIndex {
        RingIndex::new(self.load(Place::UsedIdx))
    }
    fn load_used_flags(&self) -> u16 {
        self.load(Place::UsedFlags)
    }
    fn load_avail_event(&self) -> RingIndex {
        RingIndex::new(self.load(Place::AvailEvent))
    }
    fn full_fence(&self) {
        self.others(false);
        self.machine.borrow_mut().steps += 1;
        if self.machine.borrow().fenced {
            self.empty_buffer();
        }
    }
}

/// The same memory without the look after arming.
struct Blind<'a>(&'a World<'a>, RingIndex);

impl Shared for Blind<'_> {
    fn store_avail_idx(&self, idx: RingIndex) {
        self.0.store_avail_idx(idx);
    }
    fn store_avail_flags(&self, flags: u16) {
        self.0.store_avail_flags(flags);
    }
    fn store_used_event(&self, event: RingIndex) {
        self.0.store_used_event(event);
    }
    fn load_used_idx(&self) -> RingIndex {
        self.1
    }
    fn load_used_flags(&self) -> u16 {
        self.0.load_used_flags()
    }
    fn load_avail_event(&self) -> RingIndex {
        self.0.load_avail_event()
    }
    fn full_fence(&self) {
        self.0.full_fence();
    }
}

/// What all interleavings together came to.
#[derive(Debug, Default)]
struct Outcome {
    states: usize,
    lost: usize,
}

/// Runs `driver` in every interleaving. It says, at the end, whether something was lost.
fn explore(start: impl Fn() -> Machine, driver: impl Fn(&World<'_>) -> bool) -> Outcome {
    let mut outcome = Outcome::default();
    let mut oracle = Oracle::default();
    let known = RefCell::new(HashSet::new());
    loop {
        let world = World {
            machine: RefCell::new(start()),
            oracle: RefCell::new(oracle),
            known: &known,
            abandoned: Cell::new(false),
        };
        let lost = driver(&world);
        if !world.abandoned.get() {
            outcome.lost += usize::from(lost);
        }
        oracle = world.oracle.into_inner();
        if !oracle.next() {
            outcome.states = known.borrow().len();
            return outcome;
        }
    }
}

const EACH: [Suppression; 2] = [Suppression::Flags, Suppression::EventIdx];
/// Where the rings stand at the start: at both ends, and just before the wrap.
const STARTS: [u16; 3] = [0, 65_534, 65_535];

fn machine(suppression: Suppression, start: u16, fenced: bool) -> Machine {
    let index = RingIndex::new(start);
    let mut memory = [start; 6];
    memory[Place::AvailFlags as usize] = NO_INTERRUPT;
    memory[Place::UsedFlags as usize] = NO_NOTIFY;
    // Events where they have been passed long ago.
    memory[Place::UsedEvent as usize] = index.minus(100).raw();
    memory[Place::AvailEvent as usize] = index.minus(100).raw();
    Machine {
        memory,
        buffers: [VecDeque::new(), VecDeque::new()],
        suppression,
        fenced,
        taking: None,
        taken: index,
        kicked: false,
        using: None,
        to_use: 0,
        used: index,
        interrupted: false,
        read: Vec::new(),
        steps: 0,
    }
}

/// The driver publishes twice while the device is about to fall asleep.
fn publish_against_suppress(suppression: Suppression, start: u16, fenced: bool) -> Outcome {
    explore(
        || Machine {
            taking: Some(Taking::Look),
            ..machine(suppression, start, fenced)
        },
        |world| {
            let mut old = RingIndex::new(start);
            for batch in [1, 2] {
                let new = old.plus(batch);
                if publish(world, suppression, old, new) {
                    world.kick();
                }
                old = new;
            }
            world.others(true);
            let end = world.machine.borrow();
            assert!(world.abandoned.get() || end.taking == Some(Taking::Asleep));
            end.taken != old
        },
    )
}

#[test]
fn no_publication_is_slept_through() {
    for suppression in EACH {
        for start in STARTS {
            let outcome = publish_against_suppress(suppression, start, true);
            assert!(outcome.states > 500, "{suppression:?}: {outcome:?}");
            assert_eq!(outcome.lost, 0, "{suppression:?} {start}: {outcome:?}");
        }
    }
}

/// The twin: without the fence, the search finds the lost kick.
#[test]
fn without_its_fence_a_publication_is_slept_through() {
    for suppression in EACH {
        let outcome = publish_against_suppress(suppression, 65_535, false);
        assert!(outcome.lost > 0, "{suppression:?}: {outcome:?}");
    }
}

/// The driver arms and goes to sleep while the device uses `entries`.
fn arm_against_use(
    suppression: Suppression,
    start: u16,
    fenced: bool,
    blind: bool,
    entries: u16,
) -> Outcome {
    explore(
        || Machine {
            using: Some(Using::Show),
            to_use: entries,
            ..machine(suppression, start, fenced)
        },
        |world| {
            let taken = RingIndex::new(start);
            disarm(world, suppression, taken, true);
            let work = if blind {
                arm(&Blind(world, taken), suppression, taken)
            } else {
                arm(world, suppression, taken)
            };
            world.others(true);
            let end = world.machine.borrow();
            assert!(world.abandoned.get() || end.using == Some(Using::Done));
            !work && !end.interrupted
        },
    )
}

#[test]
fn no_used_entry_is_slept_through() {
    for suppression in EACH {
        for start in STARTS {
            for entries in [1, 2] {
                let outcome = arm_against_use(suppression, start, true, false, entries);
                assert!(outcome.states > 50, "{suppression:?}: {outcome:?}");
                assert_eq!(outcome.lost, 0, "{suppression:?} {start}: {outcome:?}");
            }
        }
    }
}

/// The twin: without the fence, the search finds the lost wake-up.
#[test]
fn without_its_fence_a_used_entry_is_slept_through() {
    for suppression in EACH {
        let outcome = arm_against_use(suppression, 65_535, false, false, 1);
        assert!(outcome.lost > 0, "{suppression:?}: {outcome:?}");
    }
}

/// The other twin: without the look after arming.
#[test]
fn without_the_second_look_a_used_entry_is_slept_through() {
    for suppression in EACH {
        let outcome = arm_against_use(suppression, 65_535, true, true, 1);
        assert!(outcome.lost > 0, "{suppression:?}: {outcome:?}");
    }
}
