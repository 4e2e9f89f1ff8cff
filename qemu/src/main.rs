//! The `quartz` command: reads the command line, hands over to the library, says how it ended.
#![deny(unsafe_code)]

use clap::Parser;
use quartz::cli::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match &cli.command {
        Command::Pack(args) => quartz::pack::main(args),
        Command::Run(args) => quartz::run::main(args),
        Command::Soak(args) => quartz::soak::main(args),
        Command::Bench(args) => quartz::bench::main(args),
        Command::Profile(args) => quartz::bench::profile(args),
        Command::Autopsy(args) => quartz::autopsy::main(args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            quartz::outcome::say(&error);
            ExitCode::from(error.status())
        }
    }
}
