//! Which accelerator to use: KVM if a guest really runs on it, else TCG.
//!
//! That /dev/kvm can be opened says little: under some hypervisors guests hang on it. So the
//! kernel itself is booted once, without a way to the network, and asked to stop: memory, timer,
//! interrupts and devices must work for that. The answer is remembered until the host boots again
//! or QEMU changes.

use crate::guest::{Ending, Guest, Patience};
use crate::machine::{Accelerator, Machine};
use crate::memory::Memory;
use crate::outcome;
use clap::ValueEnum;
use quartz_abi::ExitCode;
use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const DEVICE: &str = "/dev/kvm";
/// What a boot with its stop may take; it takes some tens of milliseconds.
const PROBE: Duration = Duration::from_secs(2);

/// What a person asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wanted {
    /// KVM if a guest really runs on it, else TCG
    Auto,
    /// KVM, without a try
    Kvm,
    /// TCG
    Tcg,
}

/// Why an accelerator cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AcceleratorError {
    /// KVM was asked for and is not there.
    #[error("KVM cannot be used: {DEVICE}: {0}; try --accel tcg")]
    NoKvm(#[source] io::Error),
}

/// Picks the accelerator for guests of this `qemu` with this `kernel`.
///
/// # Errors
/// KVM was asked for and cannot even be opened.
pub fn choose(wanted: Wanted, qemu: &Path, kernel: &Path) -> Result<Accelerator, AcceleratorError> {
    let openable = OpenOptions::new().read(true).write(true).open(DEVICE);
    match (wanted, openable) {
        (Wanted::Tcg, _) | (Wanted::Auto, Err(_)) => Ok(Accelerator::Tcg),
        (Wanted::Kvm, Ok(_)) => Ok(Accelerator::Kvm),
        (Wanted::Kvm, Err(error)) => Err(AcceleratorError::NoKvm(error)),
        (Wanted::Auto, Ok(_)) => {
            let memory = Record::here(qemu);
            if let Some(known) = memory.as_ref().and_then(Record::read) {
                return Ok(known);
            }
            let boots = |accelerator| boots(accelerator, qemu, kernel);
            if boots(Accelerator::Kvm) {
                remember(memory, Accelerator::Kvm);
                return Ok(Accelerator::Kvm);
            }
            outcome::say(&"KVM is there, but a guest does not run on it; using TCG");
            // A kernel that runs nowhere says nothing about KVM.
            if boots(Accelerator::Tcg) {
                remember(memory, Accelerator::Tcg);
            }
            Ok(Accelerator::Tcg)
        }
    }
}

/// Whether a guest comes up, takes a command and stops, all in time.
fn boots(accelerator: Accelerator, qemu: &Path, kernel: &Path) -> bool {
    let deadline = Instant::now() + PROBE;
    let mut machine = Machine::new(kernel.to_path_buf());
    machine.qemu = qemu.to_path_buf();
    machine.accelerator = accelerator;
    machine.memory = Memory::mib(32);
    let Ok(mut guest) = Guest::start(&machine, false) else {
        return false;
    };
    if !guest.journal().wait_for_prompt(deadline) {
        return false;
    }
    let patience = Patience {
        drain: deadline.saturating_duration_since(Instant::now()),
        quit: Duration::ZERO,
        terminate: Duration::ZERO,
    };
    matches!(
        guest.stop(patience, None),
        Ok((Ending::Code(ExitCode::CleanStop), _))
    )
}

fn remember(record: Option<Record>, accelerator: Accelerator) {
    // Without a cache the next start tries again: slower, not wrong.
    let _ = record.map(|record| record.write(accelerator));
}

/// The remembered answer: a file with what it depends on, and the answer.
struct Record {
    path: PathBuf,
    key: String,
}

impl Record {
    fn here(qemu: &Path) -> Option<Record> {
        let cache = match env::var_os("XDG_CACHE_HOME").filter(|p| Path::new(p).is_absolute()) {
            Some(cache) => PathBuf::from(cache),
            None => PathBuf::from(env::var_os("HOME")?).join(".cache"),
        };
        Record::of(&cache.join("quartz"), qemu)
    }

    fn of(folder: &Path, qemu: &Path) -> Option<Record> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let program = fs::canonicalize(qemu).ok()?;
        let metadata = fs::metadata(&program).ok()?;
        Some(Record {
            path: folder.join("accelerator"),
            key: format!(
                "{} {} {} {}",
                boot.trim(),
                metadata.len(),
                metadata.mtime(),
                program.display()
            ),
        })
    }

    fn read(&self) -> Option<Accelerator> {
        let text = fs::read_to_string(&self.path).ok()?;
        let (answer, key) = text.trim_end().split_once(' ')?;
        if key != self.key {
            return None;
        }
        [Accelerator::Kvm, Accelerator::Tcg]
            .into_iter()
            .find(|accelerator| accelerator.to_string() == answer)
    }

    fn write(&self, accelerator: Accelerator) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{accelerator} {}", self.key)?;
        file.persist(&self.path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_remembered_for_this_qemu() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::of(folder.path(), Path::new("/bin/sh")).unwrap();
        assert_eq!(record.read(), None);
        for accelerator in [Accelerator::Tcg, Accelerator::Kvm] {
            record.write(accelerator).unwrap();
            assert_eq!(record.read(), Some(accelerator));
        }
        let other = Record::of(folder.path(), Path::new("/bin/cat")).unwrap();
        assert_eq!(other.read(), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn tcg_needs_no_try() {
        let nothing = Path::new("/nonexistent");
        let chosen = choose(Wanted::Tcg, nothing, nothing).unwrap();
        assert_eq!(chosen, Accelerator::Tcg);
    }
}
