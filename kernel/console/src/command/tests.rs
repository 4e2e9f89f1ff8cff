//! Lines that are understood, and those that are not.

use super::*;
use crate::{LINE, PROMPT};
use std::format;
use std::string::ToString;

#[test]
fn lines_are_understood() {
    let target = |text| Target::parse(text);
    for (line, command) in [
        ("version", Command::Version),
        ("  stats ", Command::Stats),
        ("help", Command::Help(None)),
        ("help flows", Command::Help(find("flows"))),
        (
            "flows",
            Command::Flows {
                by: Sort::Age,
                rows: 20,
            },
        ),
        (
            "flows 100",
            Command::Flows {
                by: Sort::Age,
                rows: 100,
            },
        ),
        (
            "flows  bytes",
            Command::Flows {
                by: Sort::Bytes,
                rows: 20,
            },
        ),
        (
            "flows state 5",
            Command::Flows {
                by: Sort::State,
                rows: 5,
            },
        ),
        ("time-wait 3", Command::TimeWait { rows: 3 }),
        ("events", Command::Events { count: 32 }),
        ("log", Command::ShowLog),
        (
            "log debug",
            Command::Log {
                level: LogLevel::Debug,
                target: None,
            },
        ),
        (
            "log off quartz_net::stack",
            Command::Log {
                level: LogLevel::Off,
                target: target("quartz_net::stack"),
            },
        ),
        ("trace", Command::ShowTrace),
        ("trace off", Command::Trace(None)),
        ("trace on", Command::Trace(Some(Filter::All))),
        ("trace on 80", Command::Trace(Some(Filter::Port(80)))),
        ("pcap", Command::Pcap { frames: u32::MAX }),
        ("pcap 12", Command::Pcap { frames: 12 }),
        ("pcap on", Command::Capture { snaplen: 256 }),
        ("pcap on 1514", Command::Capture { snaplen: 1514 }),
        ("pcap off", Command::CaptureOff),
        ("heartbeat 5", Command::Heartbeat(Some(5))),
        ("heartbeat off", Command::Heartbeat(None)),
        ("provoke panic", Command::Provoke(Fault::Panic)),
    ] {
        assert_eq!(Command::parse(line), Ok(Some(command)), "{line}");
    }
    assert_eq!(Command::parse("  "), Ok(None));
}

#[test]
fn errors_say_what_was_expected() {
    for (line, text) in [
        ("flub", "unknown command `flub`; `help` lists them"),
        ("STATS", "unknown command `STATS`; `help` lists them"),
        ("stats now", "stats: `now` is too much; usage: stats"),
        (
            "flows up",
            "flows: `up`: expected state, age, bytes, or rows, 1-100; \
             usage: flows [state|age|bytes] [ROWS]",
        ),
        (
            "time-wait 101",
            "time-wait: `101`: expected rows, 1-100; usage: time-wait [ROWS]",
        ),
        (
            "log loud",
            "log: `loud`: expected off, error, warn, info, debug or trace; \
             usage: log [LEVEL [TARGET]]",
        ),
        (
            "trace on host",
            "trace: `on host`: expected an IP address or a port; \
             usage: trace [on [ADDRESS|PORT] | off]",
        ),
        (
            "help me",
            "help: `me`: expected a command; usage: help [COMMAND]",
        ),
    ] {
        assert_eq!(
            Command::parse(line).unwrap_err().to_string(),
            text,
            "{line}"
        );
    }
    for line in [
        "flows 0",
        "flows 101",
        "flows age x",
        "flows age 1 2",
        "events 0",
        "log info a b",
        "log info a/b",
        "pcap on 63",
        "pcap on 1515",
        "pcap 0",
        "pcap +1",
        "pcap off 1",
        "trace on 80 81",
        "trace maybe",
        "heartbeat 0",
        "heartbeat 3601",
        "heartbeat -1",
        "panic now",
        "drain x",
        "reboot x",
        "poweroff x",
        "provoke nothing",
        "irq 1",
        "mem 1",
        "uptime 1",
        "rings 1",
        "version 1",
    ] {
        assert!(Command::parse(line).is_err(), "{line}");
    }
}

#[test]
fn a_target_covers_what_is_below_it() {
    let target = Target::parse("quartz_net").unwrap();
    assert!(target.covers("quartz_net") && target.covers("quartz_net::stack"));
    assert!(!target.covers("quartz_network") && !target.covers("quartz"));
    assert_eq!(Target::parse(&"x".repeat(TARGET + 1)), None);
}

#[test]
fn the_help_fits_a_terminal_and_names_can_be_typed() {
    for entry in &COMMANDS {
        let usage = Usage(entry).to_string();
        assert!(usage.len() <= LINE && PROMPT.len() + LINE < 80, "{usage}");
        assert!(usage.len() < 38);
        assert_eq!(format!("{:38}", Usage(entry)), format!("{usage:38}"));
        assert!(entry.details.lines().all(|line| line.len() < 100));
        assert!(entry.details.is_empty() || entry.details.ends_with('\n'));
    }
    assert_eq!(completion("he"), None);
    assert_eq!(completion("hel"), Some("help"));
    assert_eq!(completion("time"), Some("time-wait"));
    assert_eq!(completion("x"), None);
}
