//! The note and the two registers.

use super::{ACKNOWLEDGE, InterruptLine, InterruptPort, STATUS};
use core::ptr::NonNull;
use virtio_drivers::transport::InterruptStatus;

const QUEUE: InterruptStatus = InterruptStatus::QUEUE_INTERRUPT;
const CONFIGURATION: InterruptStatus = InterruptStatus::DEVICE_CONFIGURATION_INTERRUPT;

#[test]
fn a_note_is_taken_once() {
    let line = InterruptLine::new();
    assert!(!line.is_noted());
    assert!(line.take().is_none());
    line.note(QUEUE);
    line.note(CONFIGURATION);
    assert!(line.is_noted());
    assert!(line.take() == Some(QUEUE | CONFIGURATION));
    assert!(line.take().is_none());
}

#[test]
fn an_interrupt_without_a_reason_is_one() {
    let line = InterruptLine::new();
    line.note(InterruptStatus::empty());
    assert!(line.take() == Some(InterruptStatus::empty()));
}

#[test]
fn what_was_read_is_acknowledged() {
    let mut registers = [0_u32; 64];
    for status in [0, 1, 2, 3, u32::MAX] {
        registers.fill(0);
        registers[STATUS / 4] = status;
        let base = NonNull::from(&mut registers).cast();
        // SAFETY: memory in place of registers, alive for the call.
        let port = unsafe { InterruptPort::new(base) };
        assert!(port.acknowledge() == InterruptStatus::from_bits_truncate(status));
        assert_eq!(registers[ACKNOWLEDGE / 4], status);
        let others = registers.iter().filter(|r| **r != 0).count();
        assert_eq!(others, if status == 0 { 0 } else { 2 });
    }
}
