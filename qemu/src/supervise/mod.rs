//! `quartz supervise`: the main process of `quartz@NAME.service`. It starts a guest, watches it,
//! takes evidence when it dies, starts it again, and lets a successor take over.
//!
//! It may die at any time: the guest lives on, clients' connections are the forwarder's
//! ([`crate::forward`]), and the next supervisor finds both again by its note and by evidence.
//!
//! | part | does |
//! | --- | --- |
//! | [`life`], [`escalation`] | what to do, as pure functions of what happened and when |
//! | [`evidence`] | what is known, and which part it shows to be dead |
//! | [`supervisor`] | the loop: messages in, deeds out |
//! | [`instance`], [`process`] | a guest process that outlives its supervisor |
//! | [`watch`] | one thread for each way of asking |
//! | [`examine`] | the autopsy |
//! | [`switch`] | tells the forwarder which guest serves |
//! | [`record`], [`places`], [`config`] | the note for the successor, where things lie, the operator's wishes |
//! | [`control`], [`announce`] | requests, news |
//! | [`metrics`], [`window`] | figures, and the address where they and the guest's are |

pub mod announce;
pub mod config;
pub mod control;
pub mod escalation;
pub mod evidence;
pub mod examine;
pub mod files;
pub mod instance;
pub mod life;
mod listeners;
pub mod metrics;
pub mod places;
pub mod process;
pub mod record;
pub mod standing;
pub mod supervisor;
pub mod switch;
pub mod watch;
pub mod window;

use crate::cli::SuperviseArgs;
use crate::error::Error;
use crate::outcome;
use crate::service;
use config::Config;
use metrics::Metrics;
use places::Places;
use record::Record;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use supervisor::{End, Message, Supervisor};

/// `quartz supervise`.
///
/// # Errors
/// The configuration is refused, or the guest was given up.
pub fn main(args: &SuperviseArgs) -> Result<(), Error> {
    service::exists(&args.name)?;
    // Taken before the file can be replaced: a new version lies under the same name.
    let program = env::current_exe().map_err(Error::system("cannot find this program"))?;
    let places = Places::of(&args.name);
    fs::create_dir_all(places.runtime()).map_err(Error::system(format!(
        "cannot make {}",
        places.runtime().display()
    )))?;
    let config = configuration(&places)?;
    let metrics = Arc::new(Metrics::default());
    if let Some(address) = config.metrics {
        window::serve(address, args.name.clone(), Arc::clone(&metrics))
            .map_err(Error::system(format!("cannot serve figures on {address}")))?;
    }
    let (sender, messages) = channel();
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR2])
        .map_err(Error::system("cannot catch signals"))?;
    let heard = sender.clone();
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                let message = match signal {
                    SIGUSR2 => Message::Renew,
                    _ => Message::Stop,
                };
                if heard.send(message).is_err() {
                    return;
                }
            }
        })
        .map_err(Error::system("cannot start a thread"))?;
    let asked = sender.clone();
    control::serve(&places.control(), move |(request, answer, line)| {
        let _ = asked.send(Message::Asked(request, answer, line));
    })
    .map_err(Error::system("cannot serve the control socket"))?;
    let channel = (sender, messages);
    let mut supervisor = Supervisor::new(&args.name, places.clone(), config, channel, metrics)?;
    supervisor::keep_config(&places);
    match supervisor.run() {
        End::Stopped => Ok(()),
        End::Failed(reason) => Err(Error::GivenUp(reason)),
        End::Renew => {
            // Only returns if it fails.
            let error = Command::new(&program).args(env::args_os().skip(1)).exec();
            Err(Error::system("cannot start the new supervisor")(error))
        }
    }
}

/// The configuration; if it is broken and a guest runs, the last good one, so that the guest does
/// not lose its supervisor.
fn configuration(places: &Places) -> Result<Config, Error> {
    let error = match Config::read(&places.config()) {
        Ok(config) => return Ok(config),
        Err(error) => error,
    };
    let record = Record::read(&places.record(), &process::boot_id());
    let lives = record
        .and_then(|record| record.guest)
        .is_some_and(|note| matches!(process::Process::again(note.process), Ok(Some(_))));
    match Config::read(&places.runtime().join("config.toml")) {
        Ok(last) if lives => {
            outcome::say(&error);
            outcome::say(&"a guest runs: going on with the last configuration that was good");
            Ok(last)
        }
        _ => Err(error.into()),
    }
}
