//! The host's handle on the device.

use super::attributes::{Attributes, Fault, Sent, Tamper};
use super::engine::State;
use super::memory;
use super::registers::ModelTransport;
use std::cell::{Ref, RefCell, RefMut};
use std::collections::VecDeque;
use std::rc::Rc;
use virtio_drivers::transport::{DeviceStatus, InterruptStatus};

/// Frames that the host keeps for a device without buffers.
const BACKLOG: usize = 64;

/// The host's handle on the model device.
#[derive(Clone, Debug)]
pub struct Model(Rc<RefCell<State>>);

impl Model {
    /// A device and its registers.
    #[must_use]
    pub fn new(attributes: Attributes) -> (Model, ModelTransport) {
        let state = Rc::new(RefCell::new(State::new(attributes)));
        (Model(Rc::clone(&state)), ModelTransport(state))
    }

    /// The device's state, to look at.
    #[must_use]
    pub fn state(&self) -> Ref<'_, State> {
        self.0.borrow()
    }

    /// The device's state, to change.
    #[must_use]
    pub fn state_mut(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    /// Begins to misbehave.
    pub fn inflict(&self, fault: Fault) {
        let mut state = self.state_mut();
        if !state.has(fault) {
            state.faults.push(fault);
        }
    }

    /// Begins to misbehave, until the next reset.
    pub fn inflict_until_reset(&self, fault: Fault) {
        self.inflict(fault);
        self.state_mut().heals_at_reset = true;
    }

    /// Behaves again.
    pub fn heal(&self) {
        let mut state = self.state_mut();
        state.faults.clear();
        state.heals_at_reset = false;
        state.tampers.iter_mut().for_each(VecDeque::clear);
    }

    /// Tampers with the next used entry of a queue that nothing is planned for.
    pub fn tamper(&self, queue: u16, tamper: Tamper) {
        self.state_mut().tampers[usize::from(queue)].push_back(Some(tamper));
    }

    /// A frame arrives from the network. It is lost if too many wait already.
    pub fn deliver(&self, frame: &[u8]) {
        let mut state = self.state_mut();
        if state.backlog.len() < BACKLOG {
            state.backlog.push_back(frame.to_vec());
        }
        state.receive();
    }

    /// Frames that arrived and found no buffer yet.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.state().backlog.len()
    }

    /// Does what the driver notified the device of.
    pub fn run(&self) {
        let mut state = self.state_mut();
        if core::mem::take(&mut state.queues[0].kicked) {
            state.receive();
        }
        if core::mem::take(&mut state.queues[1].kicked) {
            state.transmit();
        }
    }

    /// Looks at both rings by itself at its next turn, without having been notified.
    pub fn wake(&self) {
        for queue in &mut self.state_mut().queues {
            queue.kicked = true;
        }
    }

    /// The oldest frame that came from the driver.
    #[must_use]
    pub fn take_sent(&self) -> Option<Sent> {
        self.state_mut().sent.pop_front()
    }

    /// Raises an interrupt for no reason, with these status bits.
    pub fn interrupt(&self, bits: u32) {
        let mut state = self.state_mut();
        state.isr |= bits;
        state.interrupts += 1;
    }

    /// The interrupt handler's part: the status that is to be noted, acknowledged.
    #[must_use]
    pub fn acknowledge(&self) -> Option<InterruptStatus> {
        let bits = core::mem::take(&mut self.state_mut().isr);
        (bits != 0).then(|| InterruptStatus::from_bits_truncate(bits))
    }

    /// The device resets itself.
    pub fn reset_itself(&self) {
        self.state_mut().reset();
    }

    /// Sets bits of the status register, such as `DEVICE_NEEDS_RESET`.
    pub fn set_status_bits(&self, bits: DeviceStatus) {
        self.state_mut().status |= bits.bits();
    }

    /// Writes a used entry into a queue's ring without regard to anything.
    pub fn forge_used(&self, queue: u16, id: u32, len: u32) {
        self.state_mut().push_used(queue.into(), id, len);
    }

    /// Moves a queue's `used.idx` without regard to anything.
    pub fn forge_used_idx(&self, queue: u16, idx: u16) {
        self.state_mut().show_used_idx(queue.into(), idx);
    }

    /// Writes over a descriptor, as a device that scribbles over what is not its own.
    pub fn scribble(&self, queue: u16, id: u16, bytes: [u8; 16]) {
        let at = self.state().queues[usize::from(queue)].descriptors + 16 * u64::from(id);
        let _ = memory::write(at, &bytes);
    }
}
