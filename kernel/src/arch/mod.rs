//! What is the processor's and the board's: tables, interrupts, exceptions, time, randomness.
//!
//! Owns every access to processor state. It never knows about the network.

pub mod apic;
pub mod clock;
pub mod copy;
pub mod cpu;
pub mod exception;
pub mod fence;
pub mod gdt;
pub mod idt;
pub mod interrupts;
pub mod paging;
pub mod random;
pub mod rtc;
