//! A guest process that outlives its supervisor: started, or found again by its note.

use super::config::Config;
use super::places::Places;
use super::process::{Identity, Process};
use super::record::GuestNote;
use crate::accelerator;
use crate::append;
use crate::error::Error;
use crate::guest::Ending;
use crate::image::Image;
use crate::machine::{Attachment, Forward, MONITOR_SOCKET, Machine, SERIAL_LOG, SERIAL_SOCKET};
use crate::port;
use crate::program;
use crate::site::Site;
use crate::spawn;
use quartz_abi::cmdline::Ipv4Setup;
use quartz_abi::{BlackBox, ExitCode, blackbox};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::process::{Signal, pidfd_send_signal};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// What QEMU complained about.
const COMPLAINTS: &str = "qemu.log";
/// Bytes of a log that are read at its end.
pub const TAIL: u64 = 64 * 1024;

/// A guest process.
#[derive(Debug)]
pub struct Instance {
    /// What a successor has to know.
    pub note: GuestNote,
    /// Its files.
    pub folder: PathBuf,
    /// The process.
    pub process: Process,
    /// Its memory, if it could be had.
    pub memory: Option<File>,
}

impl Instance {
    /// Starts a guest.
    ///
    /// # Errors
    /// Something in the configuration cannot be used, or QEMU cannot be started.
    pub fn start(config: &Config, places: &Places, number: u64) -> Result<Instance, Error> {
        let folder = places.guest(number);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)
            .map_err(Error::system(format!("cannot make {}", folder.display())))?;
        // Before they are read: a change meanwhile is seen at the next reload.
        let files = super::files::marks(config);
        let (machine, address, admin) = machine(config)?;
        let memory = memfd_create("quartz-guest", MemfdFlags::CLOEXEC)
            .and_then(|fd| ftruncate(&fd, machine.memory.bytes()).map(|()| File::from(fd)))
            .map_err(|e| Error::system("cannot make the guest's memory")(e.into()))?;
        let complaints = File::create(folder.join(COMPLAINTS))
            .map_err(Error::system("cannot make QEMU's log"))?;
        let mut command = Command::new(&machine.qemu);
        command
            .args(machine.lasting_arguments(&folder, memory.as_raw_fd()))
            // Words for systemd are not for QEMU.
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(complaints);
        let site = machine.site.as_ref().map(|site| site.file.as_raw_fd());
        let inherit = [memory.as_raw_fd()].into_iter().chain(site).collect();
        let child = spawn::free(&mut command, inherit).map_err(Error::system(format!(
            "cannot start {}",
            machine.qemu.display()
        )))?;
        let process = i32::try_from(child.id()).map_err(io::Error::other);
        let process = process
            .and_then(Process::find)
            .map_err(Error::system("cannot watch QEMU"))?;
        let note = GuestNote {
            number,
            process: process.identity(),
            address,
            admin,
            memory_fd: memory.as_raw_fd(),
            config: config.canonical(),
            files: Some(files),
        };
        Ok(Instance {
            note,
            folder,
            process,
            memory: Some(memory),
        })
    }

    /// The guest of a note, if its process still runs.
    ///
    /// # Errors
    /// That cannot be told.
    pub fn adopt(note: &GuestNote, places: &Places) -> Result<Option<Instance>, Error> {
        let found =
            Process::again(note.process).map_err(Error::system("cannot adopt the guest"))?;
        let path = format!("/proc/{}/fd/{}", note.process.pid, note.memory_fd);
        Ok(found.map(|process| Instance {
            note: note.clone(),
            folder: places.guest(note.number),
            process,
            // Without it an autopsy has to do without the memory.
            memory: File::open(path).ok(),
        }))
    }

    /// QEMU's monitor.
    #[must_use]
    pub fn monitor_path(&self) -> PathBuf {
        self.folder.join(MONITOR_SOCKET)
    }

    /// The serial line.
    #[must_use]
    pub fn serial_path(&self) -> PathBuf {
        self.folder.join(SERIAL_SOCKET)
    }

    /// Lets more connections wait on the guest's port; see [`port::widen`].
    pub fn widen(&self) {
        let pid = self.note.process.pid.unsigned_abs();
        // Without it bursts of connections wait a while: slower, not wrong.
        if let Err(error) = port::widen(self.process.as_fd(), pid, self.note.address.port()) {
            crate::outcome::say(&format_args!("cannot widen the guest's backlog: {error}"));
        }
    }

    /// Sends a signal; whether it could be sent.
    #[must_use]
    pub fn signal(&self, signal: Signal) -> bool {
        pidfd_send_signal(&self.process, signal).is_ok()
    }

    /// How it ended: by its status, or, for a process that another one started, by what its memory
    /// and its last words tell.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.process.ending().or_else(|| {
            let words = self
                .memory
                .as_ref()
                .and_then(|m| black_box(m).ok().flatten());
            let code = words.and_then(|bytes| BlackBox::parse(&bytes).ok()?.exit_code());
            let drained = || tail(&self.folder.join(SERIAL_LOG)).contains("console: drained");
            code.or_else(|| drained().then_some(ExitCode::CleanStop))
                .map(Ending::Code)
        })
    }

    /// The end of what the guest said.
    #[must_use]
    pub fn serial_tail(&self) -> String {
        tail(&self.folder.join(SERIAL_LOG))
    }

    /// The end of what QEMU complained about.
    #[must_use]
    pub fn complaints(&self) -> String {
        tail(&self.folder.join(COMPLAINTS))
    }

    /// Removes its files. Its process must have ended.
    pub fn clean(&self) {
        // What stays is removed with the next start of that number, or the next boot.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Guests of this name that no note tells of: their supervisor died before it wrote one, or the note
/// was lost. `known` are the processes that are told of.
#[must_use]
pub fn strays(places: &Places, known: &[Identity]) -> Vec<Process> {
    // As it stands on QEMU's command line.
    let mark = format!("path={}/guest-", places.runtime().display());
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&words).contains(&mark)
        })
        .filter_map(|pid| Process::find(pid).ok())
        .filter(|process| process.state().is_some() && !known.contains(&process.identity()))
        .collect()
}

/// The machine that a configuration asks for, and where its guest will answer: clients, and on its
/// admin port.
fn machine(config: &Config) -> Result<(Machine, SocketAddr, Option<SocketAddr>), Error> {
    let line = append::parse(&config.append).map_err(Error::Append)?;
    let qemu = program::find(config.qemu.as_deref())?;
    let image = Image::find(config.kernel.as_deref())?;
    let site = config.site.as_deref().map(Site::open).transpose()?;
    crate::run::fits(&image, site.as_ref(), config.memory)?;
    let guest = match line.ipv4 {
        Ipv4Setup::Static { address, .. } => address,
        Ipv4Setup::Dhcp => Ipv4Addr::new(10, 0, 2, 15),
    };
    crate::network::check_user(guest)?;
    let mut machine = Machine::new(image.path);
    machine.accelerator = accelerator::choose(config.accelerator, &qemu, &machine.kernel)?;
    machine.qemu = qemu;
    machine.memory = config.memory;
    machine.site = site.map(Arc::new);
    let mut forwards = Vec::new();
    for port in [Some(line.port), line.admin].into_iter().flatten() {
        forwards.push(Forward {
            host: port::free(0)?,
            guest: SocketAddrV4::new(guest, port),
        });
    }
    let at = |forward: &Forward| SocketAddr::from((Ipv4Addr::LOCALHOST, forward.host));
    let (address, admin) = (at(&forwards[0]), forwards.get(1).map(at));
    machine.attachment = Attachment::User(forwards);
    machine.append = format!("{} heartbeat=1", config.append).trim().to_owned();
    machine.extra = config.qemu_args.iter().map(Into::into).collect();
    Ok((machine, address, admin))
}

/// The bytes of the black box in a guest's memory.
///
/// # Errors
/// The memory cannot be read.
pub fn black_box(memory: &File) -> io::Result<Option<Vec<u8>>> {
    let size = memory.metadata()?.len();
    let step = blackbox::ALIGNMENT as u64;
    for at in (0..size).step_by(blackbox::ALIGNMENT) {
        let mut magic = [0; 8];
        memory.read_exact_at(&mut magic, at)?;
        if magic != blackbox::MAGIC.to_le_bytes() {
            continue;
        }
        let length = ((blackbox::WORDS * 8) as u64).min(size - at);
        let mut bytes = vec![0; usize::try_from(length.max(step)).unwrap_or(0)];
        let read = memory.read_at(&mut bytes, at)?;
        bytes.truncate(read);
        if BlackBox::parse(&bytes).is_ok() {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// The last [`TAIL`] bytes of a file, as text that is safe to show; nothing if it cannot be read.
#[must_use]
pub fn tail(path: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let file = OpenOptions::new().read(true).open(path)?;
        let size = file.metadata()?.len();
        let from = size.saturating_sub(TAIL);
        let mut bytes = vec![0; usize::try_from(size - from).unwrap_or(0)];
        let read = file.read_at(&mut bytes, from)?;
        bytes.truncate(read);
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let lines = bytes.split(|b| *b == b'\n');
    lines
        .map(crate::journal::clean)
        .collect::<Vec<_>>()
        .join("\n")
}
