//! Tests that boot the real kernel in QEMU and use it with real clients.

#[path = "../harness/mod.rs"]
mod harness;

mod admin;
mod badlink;
mod boards;
mod browser;
mod clients;
mod conformance;
mod console;
mod cost;
mod crowds;
mod debugging;
mod endurance;
mod engines;
mod evidence;
mod failures;
mod fleet;
mod forward;
mod frames;
mod images;
mod live;
mod manual;
mod metrics;
mod monitoring;
mod serving;
mod slow;
mod soak;
mod tool;
mod top;
