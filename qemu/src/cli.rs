//! The words of the command line, each defined once: from here come parsing, `--help`, the manual
//! page and the completions.

use crate::accelerator::Wanted;
use crate::debugger;
use crate::memory::Memory;
use crate::network::Network;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

pub mod help;

/// Longest run of a load, in seconds: a week.
const LONGEST: u64 = 7 * 86_400;

/// Serve web sites from a unikernel in a QEMU microvm
///
/// `run` serves a site in the foreground, `pack` makes an image of one. In production guests are
/// services: `status` and the commands after it look after them. `soak`, `bench` and `profile`
/// measure.
#[derive(Debug, Parser)]
#[command(name = "quartz", version, after_long_help = help::text("quartz"))]
#[command(max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a site image out of a directory
    ///
    /// The image is a tar of the files with an index in front, the same bytes for the same files.
    /// Text is compressed with gzip and brotli where that makes it smaller. `_headers` and
    /// `_redirects` hold the site's own rules, as on Netlify and Cloudflare Pages. Links to pages
    /// that are not there are named.
    #[command(after_long_help = help::text("pack"))]
    Pack(PackArgs),
    /// Start a guest, serve until Ctrl-C, then drain and stop
    ///
    /// Prints one line, `quartz: serving http://...`, to standard output once the guest has
    /// answered a request. The guest's log goes to standard error. Ctrl-C, SIGTERM or SIGHUP lets
    /// the guest finish what it is answering and stops it; a second one does not wait for that.
    #[command(after_long_help = help::text("run"))]
    Run(RunArgs),
    /// Load a guest for a long time, watch every counter, give a verdict
    ///
    /// The guest and its clients (wrk with and without keep-alive, and clients that go away in the
    /// middle) run in a network namespace of their own. A second without progress is a stall and
    /// is named by its signature. Leaves soak.json with a sample a second, and soak.svg.
    Soak(SoakArgs),
    /// Measure Quartz beside nginx and lighttpd in Linux guests
    ///
    /// First what a request costs the guest in instructions, beside the baseline; then rates and
    /// times in rounds in which everybody takes a turn, as ratios; leaves bench.json. Runs in a
    /// network namespace of its own.
    Bench(BenchArgs),
    /// Tell which functions the instructions of a request belong to
    ///
    /// Leaves profile.svg, a flame graph, and profile.folded.
    Profile(ProfileArgs),
    /// Examine a guest that runs as a service, or read what an earlier one left
    ///
    /// The subject is the name of a guest; or the directory of an autopsy; or a dump of a guest's
    /// memory (raw, or an ELF core from QEMU's dump-guest-memory); or what the admin port's
    /// /blackbox sent.
    #[command(after_long_help = help::text("autopsy"))]
    Autopsy(AutopsyArgs),
    /// Show how a guest that runs as a service is, or all of them
    Status(StatusArgs),
    /// Show all guests that run as services
    List(ListArgs),
    /// Start a guest's service
    Start(NameArgs),
    /// Drain a guest and stop its service
    Stop(NameArgs),
    /// Stop a guest's service and start it again
    Restart(NameArgs),
    /// Let a successor take over if the configuration, kernel or site has changed
    Reload(NameArgs),
    /// Let a successor with another kernel or site take over, without a failed request
    ///
    /// The successor boots beside the guest; once it answers, new connections go to it, and the
    /// old guest finishes what it is answering and goes. If the successor does not answer in time,
    /// everything stays as it was, the configuration too.
    #[command(after_long_help = help::text("upgrade"))]
    Upgrade(UpgradeArgs),
    /// Watch a guest: rates, rings, memory, connections, refreshed each second
    ///
    /// GUEST is the name of a service, or the address of any guest's admin port, as `quartz run`
    /// prints it. A guest that stops answering stays on the screen with its last figures, and for
    /// how long it has not answered.
    #[command(after_long_help = help::text("top"))]
    Top(TopArgs),
    /// Show what a guest says on its serial console, and type to it
    #[command(after_long_help = help::text("console"))]
    Console(ConsoleArgs),
    /// Supervise a guest: the main process of quartz@NAME.service
    ///
    /// SIGTERM drains and stops the guest; SIGUSR2 replaces the supervisor alone by the program
    /// that is installed now.
    Supervise(SuperviseArgs),
    /// Hold the clients' connections: the main process of quartz-forward@NAME.service
    Forward(ForwardArgs),
    /// Print the completions for a shell
    ///
    /// `make install` and the Debian package put them where shells look.
    #[command(after_long_help = help::text("completions"))]
    Completions(CompletionsArgs),
    /// Write the manual pages
    #[command(hide = true)]
    Manual(ManualArgs),
    /// Write the drop-ins of all guests: a systemd generator
    #[command(hide = true)]
    Generate(GenerateArgs),
    /// Note how a supervisor ended: systemd's ExecStopPost
    #[command(hide = true)]
    Ended(NameArgs),
}

/// A guest by its name.
#[derive(Args, Debug)]
pub struct NameArgs {
    /// The guest's name, as in /etc/quartz/NAME.toml
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// What `quartz status` takes.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// The guest's name; all without one
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// What `quartz list` takes.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// A shell that completions can be had for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// What `quartz completions` takes.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// What `quartz manual` takes.
#[derive(Args, Debug)]
pub struct ManualArgs {
    /// Where the pages go, into man1 and man5
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub folder: PathBuf,
    /// The date that they carry
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "")]
    pub date: String,
}

/// What `quartz upgrade` takes.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true).multiple(true))]
pub struct UpgradeArgs {
    /// The guest's name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The new kernel
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, group = "what")]
    pub kernel: Option<PathBuf>,
    /// The new site: a directory or an image
    #[arg(long, value_name = "DIR|FILE", value_hint = ValueHint::AnyPath, group = "what")]
    pub site: Option<PathBuf>,
}

/// What `quartz top` takes.
#[derive(Args, Debug)]
pub struct TopArgs {
    /// A guest's name, or the address of its admin port: http://HOST:PORT
    #[arg(value_name = "GUEST")]
    pub guest: String,
    /// Print one screen as text, and end
    #[arg(long)]
    pub once: bool,
    /// Print a line of JSON each second, until the reader goes away; with --once a single one
    #[arg(long)]
    pub json: bool,
}

/// What `quartz console` takes.
#[derive(Args, Debug)]
pub struct ConsoleArgs {
    /// The guest's name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Show what was said so far, and end
    #[arg(long)]
    pub no_input: bool,
    /// Save the frames that the guest has captured as a file for tcpdump; `-` is standard output
    ///
    /// A guest that does not capture does so for some seconds; for longer, type `pcap on` before.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "no_input")]
    pub pcap: Option<PathBuf>,
    /// How long a guest captures that did not
    #[arg(long, value_name = "SECONDS", default_value_t = 5, requires = "pcap")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
}

/// What `quartz supervise` takes.
#[derive(Args, Debug)]
pub struct SuperviseArgs {
    /// The guest's name
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// What `quartz forward` takes.
#[derive(Args, Debug)]
pub struct ForwardArgs {
    /// The socket on which the supervisor says where to forward to
    #[arg(long, value_name = "SOCKET")]
    pub control: PathBuf,
    /// Where to listen [default: the listening socket that is standard input]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<std::net::SocketAddr>,
}

/// What systemd gives a generator.
#[derive(Args, Debug)]
pub struct GenerateArgs {
    /// Where drop-ins go
    #[arg(value_name = "NORMAL")]
    pub normal: PathBuf,
    /// Not used
    #[arg(value_name = "EARLY")]
    pub early: Option<PathBuf>,
    /// Not used
    #[arg(value_name = "LATE")]
    pub late: Option<PathBuf>,
}

/// What `quartz pack` takes.
#[derive(Args, Debug)]
pub struct PackArgs {
    /// The site: a directory, or a tar archive
    #[arg(value_name = "DIR|FILE", value_hint = ValueHint::AnyPath)]
    pub site: PathBuf,
    /// Where to write the image; `-` is standard output
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, default_value = "site.tar")]
    pub output: PathBuf,
    /// Take hidden files in too
    ///
    /// Names that begin with a dot (.git, .env) are left out otherwise, except .well-known.
    #[arg(long)]
    pub hidden: bool,
    /// Do not compress anything
    #[arg(long)]
    pub no_compress: bool,
    /// Print the figures as JSON to standard output (to standard error with `-o -`)
    #[arg(long)]
    pub json: bool,
}

/// What `quartz run` takes.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// The site: a directory, or an image made by `quartz pack` or `tar cf`
    ///
    /// Without one the kernel serves its own demo site.
    #[arg(long, value_name = "DIR|FILE", value_hint = ValueHint::AnyPath)]
    pub site: Option<PathBuf>,
    /// Port of 127.0.0.1 to serve on; 0 takes a free one
    ///
    /// With a tap the guest has an address of its own and its port comes by --append port=N.
    #[arg(long, value_name = "PORT", default_value_t = 8080, value_parser = port)]
    pub port: u16,
    /// How the guest is attached: `user`, or `tap:NAME` for an existing tap device
    ///
    /// With `user` the guest reaches nothing by itself; the host's port is forwarded to it. With a
    /// tap it is a host on that network: 10.0.2.15/24 with gateway 10.0.2.2, or what --append says
    /// (`ip=ADDR/LEN gw=ADDR`, or `ip=dhcp`).
    #[arg(long, value_name = "NET", default_value_t = Network::User)]
    pub net: Network,
    /// Memory of the guest, such as 64M or 1G
    #[arg(long, value_name = "SIZE", default_value_t = Memory::mib(64))]
    pub mem: Memory,
    /// The kernel [default: the one built or installed with this program]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub kernel: Option<PathBuf>,
    /// What runs the guest: `auto` takes KVM if a guest really runs on it
    #[arg(long, value_enum, default_value_t = Wanted::Auto)]
    pub accel: Wanted,
    /// Words for the guest's command line, separated by blanks: KEY=VALUE
    #[arg(
        long,
        value_name = "WORDS",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    pub append: String,
    /// Sit at the guest's console: what is typed goes to it, key by key; Ctrl-] drains and stops
    #[arg(long)]
    pub console: bool,
    /// Port of 127.0.0.1 that leads to the guest's admin port [default: a free one]
    #[arg(long, value_name = "PORT", value_parser = port)]
    pub admin_port: Option<u16>,
    /// Seconds that the guest has for its first answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub answer_within: u64,
    /// Start the guest stopped, and let gdb attach to it
    ///
    /// At a port of 127.0.0.1 (0 takes a free one), at a socket with this path, or without a value
    /// at a socket that only this user reaches. The command to attach is printed; the guest runs
    /// when gdb lets it. There is no limit to how long it may take to answer.
    #[arg(long, value_name = "PORT|SOCKET", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "")]
    pub debug: Option<debugger::Wanted>,
    /// The QEMU program [default: qemu-system-x86_64 on the search path]
    #[arg(long, value_name = "PROGRAM", value_hint = ValueHint::CommandName)]
    pub qemu: Option<PathBuf>,
}

/// What `quartz soak` takes.
#[derive(Args, Debug)]
pub struct SoakArgs {
    /// How long the load runs
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=LONGEST))]
    pub seconds: u64,
    /// Where to leave soak.json and soak.svg
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, default_value = "target/soak")]
    pub out: PathBuf,
    /// Memory of the guest, such as 64M or 1G
    #[arg(long, value_name = "SIZE", default_value_t = Memory::mib(128))]
    pub mem: Memory,
    /// The kernel [default: the one built or installed with this program]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub kernel: Option<PathBuf>,
    /// Words for the guest's command line, separated by blanks: KEY=VALUE
    #[arg(
        long,
        value_name = "WORDS",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    pub append: String,
    /// The QEMU program [default: qemu-system-x86_64 on the search path]
    #[arg(long, value_name = "PROGRAM", value_hint = ValueHint::CommandName)]
    pub qemu: Option<PathBuf>,
    /// Run in the namespace that this program is in
    #[arg(long, hide = true)]
    pub inside: bool,
}

/// What `quartz bench` takes.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Only the cost of our own requests, without the peers
    #[arg(long)]
    pub quick: bool,
    /// Rounds of the race
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Seconds of each run of wrk
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Where to leave bench.json
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, default_value = "target/bench")]
    pub out: PathBuf,
    /// The peers, as qemu/peers/build.sh leaves them
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, default_value = "target/bench/peers")]
    pub peers: PathBuf,
    /// What to compare the cost with
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, default_value = crate::bench::baseline::FILE)]
    pub baseline: PathBuf,
    /// Make this run's cost the baseline
    #[arg(long)]
    pub keep: bool,
    /// The kernel [default: the one built or installed with this program]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub kernel: Option<PathBuf>,
    /// The QEMU program [default: qemu-system-x86_64 on the search path]
    #[arg(long, value_name = "PROGRAM", value_hint = ValueHint::CommandName)]
    pub qemu: Option<PathBuf>,
    /// Run in the namespace that this program is in
    #[arg(long, hide = true)]
    pub inside: bool,
}

/// What `quartz profile` takes.
#[derive(Args, Debug)]
pub struct ProfileArgs {
    /// The path to ask for: `/` (1 KiB), `/100k`, `/10m`
    #[arg(value_name = "PATH", default_value = "/")]
    pub path: String,
    /// Connections at once; 0 is one client that waits for each answer
    #[arg(
        short,
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub connections: u32,
    /// A connection for each request
    #[arg(long)]
    pub close: bool,
    /// How many functions to list
    #[arg(long, value_name = "N", default_value_t = 40)]
    pub top: usize,
    /// Where to leave the flame graph
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, default_value = "target/profile")]
    pub out: PathBuf,
    /// The kernel [default: the one built or installed with this program]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub kernel: Option<PathBuf>,
    /// The QEMU program [default: qemu-system-x86_64 on the search path]
    #[arg(long, value_name = "PROGRAM", value_hint = ValueHint::CommandName)]
    pub qemu: Option<PathBuf>,
    /// Run in the namespace that this program is in
    #[arg(long, hide = true)]
    pub inside: bool,
}

/// What `quartz autopsy` takes.
#[derive(Args, Debug)]
pub struct AutopsyArgs {
    /// A guest's name, the directory of an autopsy, a dump, or a saved black box
    #[arg(value_name = "NAME|DIR|FILE", value_hint = ValueHint::AnyPath)]
    pub subject: PathBuf,
    /// How many of the last events to show
    #[arg(long, value_name = "N", default_value_t = 40)]
    pub events: usize,
}

/// A port, or 0. (clap's own message for what is no number at all says nothing of the range.)
fn port(text: &str) -> Result<u16, String> {
    let expected = || "expected a port, 0 to 65535".to_owned();
    text.parse().map_err(|_| expected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let cli = Cli::parse_from(["quartz", "run"]);
        let Command::Run(run) = cli.command else {
            panic!("not run");
        };
        assert_eq!(
            (run.port, run.mem, run.net),
            (8080, Memory::mib(64), Network::User)
        );
        assert!(run.site.is_none() && run.kernel.is_none() && run.append.is_empty());
    }

    #[test]
    fn the_help_tells_the_exit_statuses() {
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains("Exit status:"), "{help}");
        assert!(help.contains("Examples:"), "{help}");
        assert!(
            help.contains(quartz_abi::ExitCode::RingGivenUp.message()),
            "{help}"
        );
    }

    #[test]
    fn wrong_values_are_refused() {
        for words in [
            ["run", "--port=65536"],
            ["run", "--mem=lots"],
            ["run", "--net=bridge"],
            ["run", "--accel=hvf"],
            ["walk", "--port=1"],
            ["upgrade", "www"],
            ["soak", "--seconds=0"],
            ["completions", "tcsh"],
        ] {
            let words = ["quartz"].into_iter().chain(words);
            assert!(Cli::try_parse_from(words).is_err());
        }
    }
}
