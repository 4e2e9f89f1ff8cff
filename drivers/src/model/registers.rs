//! The device's registers, behind virtio-drivers' `Transport`.

use super::attributes::Fault;
use super::engine::{DeviceQueue, State};
use std::cell::RefCell;
use std::format;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;
use virtio_drivers::PhysAddr;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};

/// The registers of the model device, for the driver. Dropping it resets the device.
#[derive(Debug)]
pub struct ModelTransport(pub(super) Rc<RefCell<State>>);

impl Transport for ModelTransport {
    fn device_type(&self) -> DeviceType {
        self.0.borrow().attributes.device_type
    }

    fn read_device_features(&mut self) -> u64 {
        let state = self.0.borrow();
        if state.has(Fault::Gone) {
            return u64::MAX;
        }
        state.attributes.features
    }

    fn write_driver_features(&mut self, features: u64) {
        let mut state = self.0.borrow_mut();
        if features & !state.attributes.features != 0 && !state.has(Fault::Gone) {
            state.violate(format!("features {features:#x} were not offered"));
        }
        state.driver_features = features;
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        let state = self.0.borrow();
        if state.has(Fault::Gone) {
            return u32::MAX;
        }
        let max = state.attributes.queue_max.get(usize::from(queue));
        max.copied().unwrap_or(0)
    }

    fn notify(&mut self, queue: u16) {
        let mut state = self.0.borrow_mut();
        if state.has(Fault::Gone) {
            return;
        }
        let queue = usize::from(queue);
        if state.status & DeviceStatus::DRIVER_OK.bits() == 0 && state.status != 0 {
            state.violate(format!("queue {queue}: notified before DRIVER_OK"));
        }
        state.kicks[queue] += 1;
        if !state.has(Fault::Deaf) {
            state.queues[queue].kicked = true;
        }
    }

    fn get_status(&self) -> DeviceStatus {
        let state = self.0.borrow();
        state.reads.set(state.reads.get() + 1);
        if state.has(Fault::Gone) {
            return DeviceStatus::from_bits_retain(u32::MAX);
        }
        DeviceStatus::from_bits_retain(state.status)
    }

    fn set_status(&mut self, status: DeviceStatus) {
        let mut state = self.0.borrow_mut();
        if state.has(Fault::Gone) {
            return;
        }
        let mut bits = status.bits();
        if bits == 0 {
            if state.has(Fault::ResetHangs) {
                state.status |= DeviceStatus::FAILED.bits();
            } else {
                state.reset();
            }
            return;
        }
        if state.has(Fault::RefusesFeatures) {
            bits &= !DeviceStatus::FEATURES_OK.bits();
        }
        if state.has(Fault::RefusesToStart) {
            bits &= !DeviceStatus::DRIVER_OK.bits();
        }
        state.status = bits;
    }

    fn set_guest_page_size(&mut self, _: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        self.0.borrow().attributes.legacy
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver: PhysAddr,
        device: PhysAddr,
    ) {
        let mut state = self.0.borrow_mut();
        let area = 16 * u64::from(size);
        let used = (area + 2 * (u64::from(size) + 3)).next_multiple_of(4096);
        let legacy = state.attributes.legacy;
        if !size.is_power_of_two()
            || legacy && (driver - descriptors, device - descriptors) != (area, used)
        {
            state.violate(format!("queue {queue}: layout of size {size}"));
        }
        state.queues[usize::from(queue)] = DeviceQueue {
            size: size as u16,
            descriptors,
            driver,
            device,
            owned: vec![false; size as usize],
            ..DeviceQueue::default()
        };
    }

    fn queue_unset(&mut self, queue: u16) {
        self.0.borrow_mut().queues[usize::from(queue)] = DeviceQueue::default();
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        let state = self.0.borrow();
        state.has(Fault::Gone) || state.queues[usize::from(queue)].size != 0
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        let bits = core::mem::take(&mut self.0.borrow_mut().isr);
        InterruptStatus::from_bits_truncate(bits)
    }

    fn read_config_generation(&self) -> u32 {
        let state = self.0.borrow();
        state.reads.set(state.reads.get() + 1);
        if state.has(Fault::RestlessConfiguration) {
            state.generation.set(state.generation.get().wrapping_add(1));
        }
        state.generation.get()
    }

    fn read_config_space<T: zerocopy::FromBytes + zerocopy::IntoBytes>(
        &self,
        offset: usize,
    ) -> virtio_drivers::Result<T> {
        let state = self.0.borrow();
        let bytes: Option<Vec<u8>> = (offset..offset + size_of::<T>())
            .map(|at| {
                if state.has(Fault::Gone) {
                    Some(0xff)
                } else if state.has(Fault::NoConfiguration) {
                    None
                } else {
                    state.config_byte(at)
                }
            })
            .collect();
        bytes
            .and_then(|bytes| T::read_from_bytes(&bytes).ok())
            .ok_or(virtio_drivers::Error::ConfigSpaceTooSmall)
    }

    fn write_config_space<T: zerocopy::IntoBytes + zerocopy::Immutable>(
        &mut self,
        _: usize,
        _: T,
    ) -> virtio_drivers::Result<()> {
        Err(virtio_drivers::Error::ConfigSpaceMissing)
    }
}

impl Drop for ModelTransport {
    fn drop(&mut self) {
        self.set_status(DeviceStatus::empty());
    }
}
