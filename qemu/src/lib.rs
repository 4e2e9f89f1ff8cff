//! The host side of Quartz: packs sites, starts guests in QEMU, watches them and stops them.
//!
//! Owns everything that runs on the host: the `quartz` command, the QEMU command line, the life
//! of the QEMU process, and what a person reads when something is wrong. Every wait in it has a
//! deadline, and no path leaves a process or a file behind.
//! It never holds guest code, and shares nothing with the guest but the formats of `quartz-abi`.
//!
//! | a command | is made of |
//! | --- | --- |
//! | [`cli`], [`manual`] | the words of the command line, each defined once; manual pages and completions |
//! | [`pack`] | a directory becomes a site image |
//! | [`run`] | a guest from start to stop, in the foreground |
//! | [`soak`] | load for a long time, and a verdict |
//! | [`mod@bench`] | speed and cost, beside the peers' |
//! | [`autopsy`] | what a black box tells |
//! | [`backtrace`], [`symbols`] | where the kernel was, in names |
//! | [`debugger`] | the way for gdb into a guest |
//! | [`verdict`] | the incident signatures |
//! | [`supervise`], [`forward`] | a guest as a service: its supervisor, and who holds its connections |
//! | [`top`] | a guest's figures on a terminal |
//! | [`console`] | the serial line of such a guest |
//! | [`service`], [`generate`], [`ended`] | the operator's commands for services, and systemd's |
//!
//! | a guest | is made of |
//! | --- | --- |
//! | [`machine`] | the QEMU command line |
//! | [`namespace`] | a network of a command's own, for measuring |
//! | [`program`], [`image`], [`memory`], [`network`], [`port`], [`site`], [`append`] | its parts, checked before anything starts |
//! | [`accelerator`] | KVM if it really works here, else TCG |
//! | [`guest`], [`spawn`], [`signals`] | the QEMU process: start, wait, stop |
//! | [`journal`], [`monitor`], [`http`] | what it says: serial line, QMP, HTTP |
//! | [`outcome`] | how it ended, as a message and an exit status |
#![deny(unsafe_code)]

pub mod accelerator;
pub mod append;
pub mod autopsy;
mod backlog;
pub mod backtrace;
pub mod bench;
pub mod cli;
pub mod console;
pub mod debugger;
pub mod ended;
pub mod error;
pub mod forward;
pub mod generate;
pub mod guest;
pub mod http;
pub mod image;
pub mod journal;
pub mod machine;
pub mod manual;
pub mod memory;
pub mod monitor;
pub mod namespace;
pub mod network;
pub mod outcome;
pub mod pack;
pub mod port;
pub mod program;
pub mod run;
pub mod service;
pub mod signals;
pub mod site;
pub mod soak;
pub mod spawn;
pub mod supervise;
pub mod symbols;
pub mod top;
pub mod verdict;

pub use error::Error;
