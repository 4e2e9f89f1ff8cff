//! The table of commands: names, words, help, and what reads the words.

use super::arguments::{self, EVENTS, MOST_EVENTS, ROWS, Words, Wrong, number};
use super::{Command, MOST_ROWS};
use quartz_abi::cmdline::Fault;

/// A row of the table of commands.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What may follow it.
    pub arguments: &'static str,
    /// What it does, in a few words.
    pub help: &'static str,
    /// More, in lines.
    pub details: &'static str,
    pub(super) parse: fn(&mut Words<'_>) -> Result<Command, Wrong>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.name == other.name
    }
}

impl Eq for Entry {}

/// Every command.
pub static COMMANDS: [Entry; 18] = [
    Entry {
        name: "help",
        arguments: "[COMMAND]",
        help: "this list, or more about one command",
        details: "",
        parse: |words| match words.next() {
            None => Ok(Command::Help(None)),
            Some(word) => find(word)
                .map(|entry| Command::Help(Some(entry)))
                .ok_or(Wrong("a command")),
        },
    },
    Entry {
        name: "version",
        arguments: "",
        help: "version and time since boot",
        details: "",
        parse: |_| Ok(Command::Version),
    },
    Entry {
        name: "uptime",
        arguments: "",
        help: "time since boot",
        details: "",
        parse: |_| Ok(Command::Uptime),
    },
    Entry {
        name: "stats",
        arguments: "",
        help: "rings, connections, memory and the console in figures",
        details: "",
        parse: |_| Ok(Command::Stats),
    },
    Entry {
        name: "rings",
        arguments: "",
        help: "both rings side by side",
        details: "gap: descriptors that the device owns. At rest that is all of rx and none of tx.\n",
        parse: |_| Ok(Command::Rings),
    },
    Entry {
        name: "flows",
        arguments: "[state|age|bytes] [ROWS]",
        help: "connections, the oldest first",
        details: "state: by what they do, then by age; bytes: those first that moved most.\n\
                  ROWS: 1-100, or 20. Bytes of a connection are counted modulo 4 GiB.\n",
        parse: arguments::flows,
    },
    Entry {
        name: "time-wait",
        arguments: "[ROWS]",
        help: "closed connections that are remembered",
        details: "Those first that are forgotten first. ROWS: 1-100, or 20.\n",
        parse: |words| {
            number(words.next(), 1..=MOST_ROWS, ROWS)
                .map(|rows| Command::TimeWait { rows })
                .ok_or(Wrong("rows, 1-100"))
        },
    },
    Entry {
        name: "mem",
        arguments: "",
        help: "where the memory is",
        details: "",
        parse: |_| Ok(Command::Mem),
    },
    Entry {
        name: "irq",
        arguments: "",
        help: "interrupts by source",
        details: "",
        parse: |_| Ok(Command::Irq),
    },
    Entry {
        name: "events",
        arguments: "[COUNT]",
        help: "the last events of the black box",
        details: "COUNT: 1-100, or 32.\n",
        parse: |words| {
            number(words.next(), 1..=MOST_EVENTS, EVENTS)
                .map(|count| Command::Events { count })
                .ok_or(Wrong("a number of events, 1-100"))
        },
    },
    Entry {
        name: "log",
        arguments: "[LEVEL [TARGET]]",
        help: "what is logged, or from now on",
        details: "LEVEL: off, error, warn, info, debug, trace. TARGET: as it stands in a line of the\n\
                  log, or a part of it up to a `::`. A level without a target is for all.\n",
        parse: arguments::log,
    },
    Entry {
        name: "trace",
        arguments: "[on [ADDRESS|PORT] | off]",
        help: "a line for each frame",
        details: "Lines that the serial port is too slow for are left out and counted.\n",
        parse: arguments::trace,
    },
    Entry {
        name: "pcap",
        arguments: "[on [SNAPLEN] | off | FRAMES]",
        help: "captures frames, and shows the last ones",
        details: "on: from now on, SNAPLEN bytes of each (64-1514, or 256). pcap alone shows them all.\n\
                  `quartz console NAME --pcap FILE` makes a file for tcpdump of them.\n",
        parse: arguments::pcap,
    },
    Entry {
        name: "heartbeat",
        arguments: "[SECONDS|off]",
        help: "a line for machines, every few seconds",
        details: "SECONDS: 1-3600. The supervisor of a service wants it: leave it on there.\n",
        parse: arguments::heartbeat,
    },
    Entry {
        name: "drain",
        arguments: "",
        help: "finishes what is in flight, then powers off",
        details: "",
        parse: |_| Ok(Command::Drain),
    },
    Entry {
        name: "poweroff",
        arguments: "",
        help: "ends at once, with exit code 0x10",
        details: "",
        parse: |_| Ok(Command::PowerOff),
    },
    Entry {
        name: "reboot",
        arguments: "",
        help: "starts over at once",
        details: "Ends with exit code 0x18, after which `quartz run` and services start again. Without\n\
                  an isa-debug-exit device the machine is reset.\n",
        parse: |_| Ok(Command::Reboot),
    },
    Entry {
        name: "panic",
        arguments: "",
        help: "ends by a panic, if you mean it",
        details: "",
        parse: |_| Ok(Command::Panic),
    },
];

/// `provoke FAULT`: for tests, so no word of it in the list.
pub(super) static PROVOKE: Entry = Entry {
    name: "provoke",
    arguments: "FAULT",
    help: "",
    details: "",
    parse: |words| {
        let fault = words.next().and_then(Fault::named);
        fault.map(Command::Provoke).ok_or(Wrong("a fault"))
    },
};

pub(super) fn find(name: &str) -> Option<&'static Entry> {
    COMMANDS.iter().find(|entry| entry.name == name)
}
