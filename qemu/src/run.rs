//! `quartz run`: a guest from start to stop, in the foreground.

use crate::accelerator;
use crate::append;
use crate::backtrace::Backtrace;
use crate::cli::RunArgs;
use crate::console::REDRAW;
use crate::console::terminal::{self, Keys};
use crate::debugger::Stub;
use crate::error::Error;
use crate::guest::{Ending, Guest, Means, Patience};
use crate::http;
use crate::image::Image;
use crate::journal::{Journal, PROMPT};
use crate::machine::{Attachment, Forward, Machine};
use crate::memory::Memory;
use crate::network::{self, Network};
use crate::outcome;
use crate::port;
use crate::program;
use crate::signals::{Signals, wait_any};
use crate::site::Site;
use quartz_abi::ExitCode;
use quartz_abi::cmdline::{CommandLine, Ipv4Setup};
use serde_json::Value;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long the first try to get an answer waits; each later one waits twice as long.
const FIRST_TRY: Duration = Duration::from_millis(100);
/// The longest that a try waits.
const LONGEST_TRY: Duration = Duration::from_secs(3);
/// The pause before the next try when nobody listens yet.
const PAUSE: Duration = Duration::from_millis(2);
/// Memory besides kernel and site that a suggestion leaves for rings and connections. What a guest
/// really needs it says itself.
const COMFORT: u64 = 4 << 20;
/// How long a guest under a debugger may take to its first answer.
const FOR_A_PERSON: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long QEMU may take to say whether the guest runs.
const QUESTION: Duration = Duration::from_secs(1);
/// How long a message waits for the guest to be quiet.
const PROMPT_WITHIN: Duration = Duration::from_millis(300);
/// Lines of the serial log that an error shows.
const SHOWN: usize = 8;

/// `quartz run`.
///
/// # Errors
/// The guest could not be started, did not answer, or did not end as asked.
pub fn main(args: &RunArgs) -> Result<(), Error> {
    let mut plan = Plan::of(args)?;
    let signals = Signals::new().map_err(Error::system("cannot catch signals"))?;
    let mut keys = match args.console {
        true if !terminal::is_there() => {
            return Err(Error::Refused(
                "--console needs a terminal to type at".into(),
            ));
        }
        true => Some(Keys::new().map_err(Error::system("cannot take the terminal over"))?),
        false => None,
    };
    let mut guest = start(&plan.machine, keys.is_some())?;
    if let Some(stub) = &plan.stub {
        outcome::say(&format_args!(
            "the guest waits for a debugger to let it run; from another terminal:\n  {}\n\
             there: hbreak kernel_main, continue; `help quartz` lists what it knows of the kernel",
            stub.command(&plan.machine.kernel)
        ));
    }
    let mut served = serve(&mut guest, &plan, &signals, keys.as_ref());
    loop {
        if served.is_err() && plan.machine.sandbox && has_no_sandbox(&guest) {
            outcome::say(&"this QEMU has no sandbox; going on without");
            plan.machine.sandbox = false;
        } else if wants_reboot(&served) {
            outcome::say(&format_args!("{}", ExitCode::Reboot));
        } else {
            break;
        }
        guest = start(&plan.machine, keys.is_some())?;
        served = serve(&mut guest, &plan, &signals, keys.as_ref());
    }
    // From here on Control-C is a signal again.
    keys.take();
    if let Err(error) = served {
        // The cause counts, not how the guest took the kill.
        let _ = guest.kill();
        return Err(error);
    }
    stop(&mut guest, &plan, &signals)
}

/// Starts the guest; what it says goes to the person, as lines or, at its console, as it comes.
fn start(machine: &Machine, console: bool) -> Result<Guest, Error> {
    let journal = match console {
        true => Journal::on_screen(),
        false => Journal::new(true),
    };
    Ok(Guest::start_with(machine, journal, true)?)
}

/// Waits for the end of the guest or one of `others`. Meanwhile what the person types goes to the
/// guest; the key that leaves counts as the first of `others`.
fn wait(
    guest: &mut Guest,
    keys: Option<&Keys>,
    others: &[BorrowedFd<'_>],
    deadline: Option<Instant>,
) -> io::Result<Vec<bool>> {
    let stdin = io::stdin();
    loop {
        let mut fds = vec![guest.as_fd()];
        fds.extend(others);
        fds.extend(keys.map(|_| stdin.as_fd()));
        let mut ready = wait_any(&fds, deadline)?;
        if keys.is_some() && ready.pop() == Some(true) {
            let mut buffer = [0; 256];
            let n = rustix::io::read(&stdin, &mut buffer)?;
            let (typed, leaves) = terminal::up_to_leave(&buffer[..n]);
            // What a guest does not take is lost, as on any serial line.
            let _ = guest.type_keys(typed);
            ready[1] |= leaves || n == 0;
        } else if ready.iter().all(|ready| !ready) {
            return Ok(ready);
        }
        if ready.contains(&true) {
            return Ok(ready);
        }
    }
}

/// Waits until the guest's prompt stands alone, to write over it; not for long, for it may never.
fn await_prompt(guest: &Guest) {
    let journal = guest.journal();
    let soon = Instant::now() + PROMPT_WITHIN;
    if journal
        .wait_for(journal.mark(), soon, |line| line == PROMPT)
        .is_some()
    {
        // If nobody reads it, it is lost.
        let _ = io::stdout().lock().write_all(b"\r");
    }
}

/// Whether the guest ended to be started again.
fn wants_reboot(served: &Result<(), Error>) -> bool {
    let code = Ending::Code(ExitCode::Reboot);
    matches!(served, Err(Error::Ended { ending, .. }) if *ending == code)
}

/// Whether QEMU ended because it was built without seccomp.
fn has_no_sandbox(guest: &Guest) -> bool {
    let complaints = guest.complaints().since(0);
    complaints
        .iter()
        .any(|c| c.contains("sandbox") || c.contains("seccomp"))
}

/// Where the site is reached.
#[derive(Clone, Copy)]
enum Target {
    /// There.
    At(SocketAddr),
    /// At this port of the address that the guest gets, which its log tells.
    ByDhcp(u16),
}

/// A machine that was checked, and where it will answer.
struct Plan {
    machine: Machine,
    target: Target,
    /// Ports of the host that QEMU will listen on.
    ports: Vec<u16>,
    /// Port of the admin endpoints, at the address of the site.
    admin: Option<u16>,
    /// How long the first answer may take.
    patience: Duration,
    /// Where a debugger attaches.
    stub: Option<Stub>,
}

impl Plan {
    /// Checks everything that can be checked before something is started.
    fn of(args: &RunArgs) -> Result<Plan, Error> {
        let line = append::parse(&args.append).map_err(Error::Append)?;
        let qemu = program::find(args.qemu.as_deref())?;
        let image = Image::find(args.kernel.as_deref())?;
        let (attachment, target, ports) = attach(args, &line)?;
        let site = args.site.as_deref().map(Site::open).transpose()?;
        if let (Some(site), Some(path)) = (&site, &args.site) {
            site.check_start(path)?;
        }
        fits(&image, site.as_ref(), args.mem)?;
        let mut machine = Machine::new(image.path);
        machine.accelerator = accelerator::choose(args.accel, &qemu, &machine.kernel)?;
        machine.qemu = qemu;
        machine.memory = args.mem;
        machine.site = site.map(Arc::new);
        machine.attachment = attachment;
        machine.append = args.append.clone();
        let stub = args.debug.as_ref().map(Stub::new).transpose()?;
        let patience = match &stub {
            Some(stub) => {
                machine.extra.extend(stub.arguments());
                // A person may think for a while.
                FOR_A_PERSON
            }
            None => Duration::from_secs(args.answer_within),
        };
        Ok(Plan {
            machine,
            target,
            patience,
            stub,
            admin: line
                .admin
                .map(|admin| ports.get(1).copied().unwrap_or(admin)),
            ports,
        })
    }
}

/// The network that was asked for, the address of the site on it, and the host's ports.
fn attach(args: &RunArgs, line: &CommandLine) -> Result<(Attachment, Target, Vec<u16>), Error> {
    let guest = match line.ipv4 {
        Ipv4Setup::Static { address, .. } => Some(address),
        Ipv4Setup::Dhcp => None,
    };
    match &args.net {
        Network::User => {
            // QEMU's DHCP server gives the first address of its range.
            let guest = guest.unwrap_or(Ipv4Addr::new(10, 0, 2, 15));
            network::check_user(guest)?;
            let mut forwards = vec![Forward {
                host: port::free(args.port)?,
                guest: SocketAddrV4::new(guest, line.port),
            }];
            if let Some(admin) = line.admin {
                forwards.push(Forward {
                    host: port::free(args.admin_port.unwrap_or(0))?,
                    guest: SocketAddrV4::new(guest, admin),
                });
            } else if args.admin_port.is_some() {
                let text = "--admin-port needs the guest's admin port, which `admin=off` turns off";
                return Err(Error::Append(text.into()));
            }
            let ports: Vec<u16> = forwards.iter().map(|forward| forward.host).collect();
            let target = Target::At(SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0])));
            Ok((Attachment::User(forwards), target, ports))
        }
        Network::Tap(name) => {
            network::check_tap(name)?;
            let target = match guest {
                Some(guest) => Target::At(SocketAddr::from((guest, line.port))),
                None => Target::ByDhcp(line.port),
            };
            Ok((Attachment::Tap(name.clone()), target, Vec::new()))
        }
    }
}

/// Checks that kernel and site fit into the memory.
///
/// # Errors
/// They do not.
pub fn fits(image: &Image, site: Option<&Site>, memory: Memory) -> Result<(), Error> {
    let site = site.map_or(0, |site| site.bytes);
    let needed = image.end + site;
    if needed <= memory.bytes() {
        return Ok(());
    }
    Err(Error::TooLarge {
        kernel: image.end.div_ceil(1024),
        site: site.div_ceil(1024),
        memory,
        enough: Memory::holding(needed + COMFORT),
    })
}

/// Waits for the first answer, says so, and goes on until the guest ends or a signal comes.
fn serve(
    guest: &mut Guest,
    plan: &Plan,
    signals: &Signals,
    keys: Option<&Keys>,
) -> Result<(), Error> {
    let watch = |error| Error::system("cannot watch the guest")(error);
    let began = Instant::now();
    let deadline = Some(began + plan.patience);
    let prober = Prober::start(plan.target, guest, began + plan.patience)
        .map_err(Error::system("cannot start a thread"))?;
    let fds = [signals.as_fd(), prober.answered.as_fd()];
    let mut ready = wait(guest, keys, &fds, deadline).map_err(watch)?;
    if !ready[0] && !ready[1] {
        let deadline = match prober.answer() {
            Some(address) => {
                for port in &plan.ports {
                    // Without it bursts of connections wait a while: slower, not wrong.
                    let _ = guest.widen(*port);
                }
                if keys.is_some() {
                    await_prompt(guest);
                }
                announce(address, plan, began.elapsed());
                if keys.is_some() {
                    let _ = guest.type_keys(&[REDRAW]);
                }
                None
            }
            // The asking was given up: the guest is ending, or time is.
            None => deadline,
        };
        ready = wait(guest, keys, &fds[..1], deadline).map_err(watch)?;
    }
    if !ready[0] && !ready[1] {
        return Err(no_answer(guest, plan.patience));
    }
    match guest.wait(Instant::now())? {
        Some(Ending::Code(ExitCode::CleanStop)) | None => Ok(()),
        Some(ending) => Err(explain(guest, plan, ending)),
    }
}

fn announce(address: SocketAddr, plan: &Plan, after: Duration) {
    let mut stdout = io::stdout().lock();
    let port = match address.port() {
        80 => String::new(),
        port => format!(":{port}"),
    };
    // If nobody reads it, it is lost.
    let _ = writeln!(stdout, "quartz: serving http://{}{port}/", address.ip());
    let _ = stdout.flush();
    let accelerator = plan.machine.accelerator;
    let ms = after.as_millis();
    outcome::say(&format_args!(
        "first answer after {ms} ms, on {accelerator}"
    ));
    if let Some(port) = plan.admin {
        let admin = format_args!("http://{}:{port}", address.ip());
        outcome::say(&format_args!(
            "look inside: {admin}/ in a browser, or `quartz top {admin}`"
        ));
    }
}

/// Lets the guest drain, or stops it harder, and judges how it ended.
fn stop(guest: &mut Guest, plan: &Plan, signals: &Signals) -> Result<(), Error> {
    signals.take();
    let mut patience = Patience::default();
    if guest.wait(Instant::now())?.is_none() {
        if plan.stub.is_some() && stands(guest) {
            // A guest that a debugger holds cannot drain.
            patience.drain = Duration::ZERO;
        } else {
            outcome::say(
                &"stopping: the guest finishes what it is answering (Ctrl-C again: at once)",
            );
        }
    }
    let stopped = guest.stop(patience, Some(signals))?;
    name_backtrace(guest, plan);
    match stopped {
        (Ending::Code(ExitCode::CleanStop), _) => {
            outcome::say(&ExitCode::CleanStop);
            Ok(())
        }
        (ending @ Ending::Code(_), _) | (ending, Means::Itself | Means::Drain) => {
            Err(Error::Ended {
                ending,
                advice: String::new(),
            })
        }
        (Ending::Qemu(0), Means::Quit) if patience.drain.is_zero() => Ok(()),
        (_, means) => Err(Error::Forced(means.name())),
    }
}

/// Whether the guest's processor stands still.
fn stands(guest: &mut Guest) -> bool {
    let deadline = Instant::now() + QUESTION;
    let status = guest
        .monitor()
        .execute("query-status", Value::Null, deadline);
    status.is_ok_and(|status| status["running"] == false)
}

/// Prints the functions of the backtrace that the guest has left, if it has.
fn name_backtrace(guest: &Guest, plan: &Plan) {
    if let Some(found) = Backtrace::find(&guest.journal().since(0)) {
        match found.named(&plan.machine.kernel) {
            Ok(names) => outcome::say(&format_args!("where it was:\n{}", names.trim_end())),
            Err(error) => outcome::say(&error),
        }
    }
}

fn no_answer(guest: &Guest, patience: Duration) -> Error {
    let lines = guest.journal().tail(SHOWN);
    let seen = if lines.is_empty() {
        "it said nothing on its serial line".to_owned()
    } else {
        format!("the last on its serial line was:\n  {}", lines.join("\n  "))
    };
    Error::NoAnswer {
        seconds: patience.as_secs(),
        seen,
    }
}

/// What an unasked end means, from the guest's code and from what QEMU complained about.
fn explain(guest: &Guest, plan: &Plan, ending: Ending) -> Error {
    name_backtrace(guest, plan);
    let complaints = guest.complaints().since(0);
    if ending == Ending::Qemu(1) {
        for complaint in &complaints {
            if complaint.contains("host forwarding rule")
                && let Some(port) = plan.ports.iter().find(|p| names_port(complaint, **p))
            {
                return port::taken(*port).into();
            }
            if let Attachment::Tap(name) = &plan.machine.attachment
                && let Some(error) = network::explain_tap(name, complaint)
            {
                return error.into();
            }
        }
    }
    let advice = match ending {
        Ending::Code(ExitCode::OutOfMemory) => {
            "; give it more with --mem (make run MEM=...)".into()
        }
        Ending::Code(ExitCode::Panic | ExitCode::Exception) => {
            "; its report stands above".to_owned()
        }
        Ending::Code(ExitCode::BadSite) => "; an image is made by `quartz pack` or `tar cf`".into(),
        Ending::Code(_) => String::new(),
        Ending::Qemu(_) | Ending::Signal(_) => match complaints.last() {
            Some(last) => format!(": {last}"),
            None => String::new(),
        },
    };
    Error::Ended { ending, advice }
}

fn names_port(complaint: &str, port: u16) -> bool {
    complaint.contains(&format!(":{port}-"))
}

/// Asks the guest until it answers, on a thread of its own.
struct Prober {
    /// Can be read, or is at its end, when the asking is over.
    answered: UnixStream,
    found: Arc<Mutex<Option<SocketAddr>>>,
    given_up: Arc<AtomicBool>,
}

impl Prober {
    fn start(target: Target, guest: &Guest, deadline: Instant) -> io::Result<Prober> {
        let (answered, done) = UnixStream::pair()?;
        let given_up = Arc::new(AtomicBool::new(false));
        let found = Arc::new(Mutex::new(None));
        let prober = Prober {
            answered,
            found: Arc::clone(&found),
            given_up: Arc::clone(&given_up),
        };
        let journal = Arc::clone(guest.journal());
        thread::Builder::new()
            .name("prober".into())
            .spawn(move || {
                // With its prompt the guest says that it is up: what answers before is another.
                let address = match target {
                    _ if !journal.wait_for_prompt(deadline) => None,
                    Target::At(address) => Some(address),
                    Target::ByDhcp(port) => address_by_dhcp(&journal, deadline)
                        .map(|address| SocketAddr::from((address, port))),
                };
                if let Some(address) = address
                    && first_answer(address, deadline, &given_up)
                {
                    *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
                }
                drop(done);
            })?;
        Ok(prober)
    }

    /// The address that answered, once the asking is over.
    fn answer(&self) -> Option<SocketAddr> {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

/// The address that the guest's log says it got by DHCP.
fn address_by_dhcp(journal: &Journal, deadline: Instant) -> Option<Ipv4Addr> {
    let told = |line: &str| {
        let line = line.to_ascii_lowercase();
        let address = line
            .split(|c: char| !c.is_ascii_digit() && c != '.')
            .find_map(|word| word.trim_matches('.').parse().ok());
        address.filter(|_| line.contains("dhcp"))
    };
    let line = journal.wait_for(0, deadline, |line| told(line).is_some())?;
    told(&line)
}

/// Whether `address` answers HTTP before the deadline.
fn first_answer(address: SocketAddr, deadline: Instant, given_up: &AtomicBool) -> bool {
    let mut patience = FIRST_TRY;
    while Instant::now() < deadline && !given_up.load(Ordering::Relaxed) {
        let until = deadline.min(Instant::now() + patience);
        match http::get(address, "/healthz", until) {
            Ok(_) => return true,
            // QEMU took the connection before the guest was there, and asks it again too late:
            // a new connection makes it ask at once.
            Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                patience = LONGEST_TRY.min(patience * 2);
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
    false
}
