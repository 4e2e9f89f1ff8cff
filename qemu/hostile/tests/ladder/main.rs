//! The recovery ladder, rung by rung: the real kernel in a QEMU microvm whose network card is the
//! hostile device.
//!
//! For each recoverable fault, measured from the moment at which the device committed it:
//! requests flow again within 2 s, connections that were open serve the next request, no
//! descriptor is lost, and a counter in `/stats.json` says what happened.

mod attach;
mod case;
mod end;
mod garbage;
mod guest;
mod machine;
mod mixed;
mod reset;
mod rungs;

use machine::Setup;
use quartz_hostile::DeviceConfig;
use std::io::Write;

/// Says something that is seen in the log of a passing test too.
fn say(text: &str) {
    // Nobody may be reading.
    let _ = writeln!(std::io::stderr(), "    {text}");
}

/// A card with the legacy interface and the event index: QEMU's default.
fn legacy() -> Setup {
    Setup::default()
}

/// A modern card without the event index: the other way of everything.
fn modern() -> Setup {
    Setup {
        modern: true,
        device: DeviceConfig {
            event_idx: false,
            ..DeviceConfig::default()
        },
        ..Setup::default()
    }
}

/// A modern card with the event index.
fn modern_event_idx() -> Setup {
    Setup {
        modern: true,
        ..Setup::default()
    }
}
