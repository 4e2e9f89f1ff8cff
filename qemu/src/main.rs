//! The `quartz` command: reads the command line, hands over to the library, says how it ended.
#![deny(unsafe_code)]

use clap::Parser;
use quartz::cli::help::with_tip;
use quartz::cli::{Cli, Command, StatusArgs};
use quartz::service;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        let runs = std::env::args_os().nth(1).is_some_and(|word| word == "run");
        if runs { with_tip(error) } else { error }.exit()
    });
    let ended = match &cli.command {
        Command::Pack(args) => quartz::pack::main(args),
        Command::Run(args) => quartz::run::main(args),
        Command::Soak(args) => quartz::soak::main(args),
        Command::Bench(args) => quartz::bench::main(args),
        Command::Profile(args) => quartz::bench::profile(args),
        Command::Autopsy(args) => quartz::autopsy::main(args),
        Command::Status(args) => service::status(args),
        Command::List(args) => service::status(&StatusArgs {
            name: None,
            json: args.json,
        }),
        Command::Start(args) => service::systemctl("start", args),
        Command::Stop(args) => service::systemctl("stop", args),
        Command::Restart(args) => service::systemctl("restart", args),
        Command::Reload(args) => service::reload(args),
        Command::Upgrade(args) => service::upgrade(args),
        Command::Top(args) => quartz::top::main(args),
        Command::Console(args) => quartz::console::main(args),
        Command::Supervise(args) => quartz::supervise::main(args),
        Command::Forward(args) => quartz::forward::main(args),
        Command::Completions(args) => quartz::manual::completions(args),
        Command::Manual(args) => quartz::manual::main(args),
        Command::Generate(args) => quartz::generate::main(args),
        Command::Ended(args) => quartz::ended::main(args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            quartz::outcome::say(&error);
            ExitCode::from(error.status())
        }
    }
}
