//! The autopsy of a guest: everything that can be had about it within a deadline, in a directory
//! of its own, with `report.md` on top, whose first line is the verdict.
//!
//! What needs nobody's help comes first: the process, the serial log, the memory, which is a file.
//! The monitor comes last, with a deadline for each question.

use super::evidence::{Evidence, Part};
use super::instance;
use super::life::{Cause, Millis};
use super::standing;
use super::watch::Desk;
use crate::autopsy;
use crate::backtrace::Backtrace;
use crate::verdict::{Look, Signature, Wire};
use quartz_abi::{BlackBox, blackbox};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long one question on the monitor may take.
const QUESTION: Duration = Duration::from_millis(1500);
/// Time between two looks at a ring.
const BETWEEN: Duration = Duration::from_millis(200);
/// Events of the black box in the report.
const EVENTS: usize = 40;
/// Lines of the serial log in the report.
const SERIAL: usize = 40;
/// Threads of QEMU that are looked at.
const THREADS: usize = 64;
/// The report.
pub const REPORT: &str = "report.md";

/// What is examined.
pub struct Subject {
    /// The guest's name.
    pub name: String,
    /// Which guest of that name.
    pub number: u64,
    /// Its process.
    pub pid: i32,
    /// Its files.
    pub folder: PathBuf,
    /// Its kernel, for names.
    pub kernel: Option<PathBuf>,
    /// Its memory.
    pub memory: Option<File>,
    /// Its monitor, while the process lives.
    pub desk: Option<Desk>,
    /// What the watch knows.
    pub evidence: Evidence,
    /// The supervisor's time of that.
    pub at: Millis,
    /// How old an answer may be.
    pub fresh: Millis,
    /// Why it is examined; `None`: because somebody asked.
    pub cause: Option<Cause>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// One line.
    pub verdict: String,
    /// Where the rest is; `None` if nothing could be written.
    pub folder: Option<PathBuf>,
    /// What could not be had or kept.
    pub missing: Vec<String>,
}

/// Examines a guest, at most until `deadline`, and leaves the evidence in a new directory below
/// `to`. With `whole_memory`, that too.
#[must_use]
pub fn examine(subject: &Subject, to: &Path, whole_memory: bool, deadline: Instant) -> Finding {
    let mut take = Take::new(subject, to, deadline);
    let process = take.process();
    let serial = instance::tail(&subject.folder.join(crate::machine::SERIAL_LOG));
    take.keep("serial.log", serial.as_bytes());
    let complaints = instance::tail(&subject.folder.join("qemu.log"));
    take.keep("qemu.log", complaints.as_bytes());
    let black_box = take.memory();
    let monitor = take.monitor();
    let said: Vec<&str> = serial.lines().collect();
    let place = Backtrace::find(&said).or_else(|| {
        let registers = monitor.registers.as_deref()?;
        standing::backtrace(registers, subject.memory.as_ref()?, black_box.as_deref())
    });
    take.keep(
        "evidence.json",
        pretty(&subject.evidence.to_json(subject.at)).as_bytes(),
    );

    let box_found = black_box.as_deref().and_then(|b| BlackBox::parse(b).ok());
    let verdict = verdict(subject, box_found.as_ref(), monitor.signature, &complaints);
    let mut report = format!("verdict: {verdict}\n\n");
    // Writing to a string cannot fail.
    let _ = writeln!(
        report,
        "# Autopsy of {}, guest {}\n",
        subject.name, subject.number
    );
    if let Some(cause) = &subject.cause {
        let _ = writeln!(report, "- why: {cause}");
    }
    let _ = writeln!(report, "- QEMU's process: {}", subject.pid);
    let _ = writeln!(report, "- QEMU says: {}", monitor.said);
    let missing = match take.missing.is_empty() {
        true => "nothing".to_owned(),
        false => take.missing.join("; "),
    };
    let _ = writeln!(report, "- missing: {missing}\n");
    section(
        &mut report,
        "What was known",
        &pretty(&subject.evidence.to_json(subject.at)),
    );
    if let Some(place) = place {
        let names = standing::named(&place, subject.kernel.as_deref());
        section(&mut report, "Where the guest was", &names);
    }
    section(&mut report, "Rings as the device sees them", &monitor.rings);
    if let Some(found) = &box_found {
        section(&mut report, "Black box", &autopsy::report(found, EVENTS));
    }
    let lines: Vec<&str> = serial.trim_end().lines().collect();
    let last = lines[lines.len().saturating_sub(SERIAL)..].join("\n");
    section(&mut report, "Serial line, last lines", &last);
    section(&mut report, "QEMU's complaints", &complaints);
    section(&mut report, "QEMU's threads", &process);
    take.keep(REPORT, report.as_bytes());
    if whole_memory {
        take.whole_memory();
    }
    Finding {
        verdict,
        folder: take.folder,
        missing: take.missing,
    }
}

fn verdict(
    subject: &Subject,
    found: Option<&BlackBox<'_>>,
    ring: Option<Signature>,
    complaints: &str,
) -> String {
    let own_words = found
        .filter(|found| found.exit_code().is_some())
        .map(autopsy::verdict);
    match (&subject.cause, own_words) {
        // The guest itself said why.
        (Some(Cause::Ended(_)), Some(words)) => words,
        (Some(cause @ Cause::Ended(_)), None) => match complaints.trim_end().lines().last() {
            Some(last) => format!("{cause}: {last}"),
            None => cause.to_string(),
        },
        (_, words) => {
            let evidence = &subject.evidence;
            let part = evidence.dead_part(subject.at, subject.fresh, ring);
            match (part, words) {
                // It is about to end, or hangs in its own last words.
                (_, Some(words)) => words,
                (Part::Guest, None) => match ring {
                    Some(ring) if ring != Signature::Moving => format!("{part}; {ring}"),
                    _ => part.to_string(),
                },
                (part, None) => part.to_string(),
            }
        }
    }
}

fn section(report: &mut String, title: &str, text: &str) {
    if !text.trim().is_empty() {
        let _ = writeln!(report, "## {title}\n\n```\n{}\n```\n", text.trim_end());
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// What the monitor told.
#[derive(Default)]
struct Told {
    said: String,
    rings: String,
    signature: Option<Signature>,
    registers: Option<String>,
}

/// The taking of evidence.
struct Take<'a> {
    subject: &'a Subject,
    folder: Option<PathBuf>,
    deadline: Instant,
    missing: Vec<String>,
}

impl<'a> Take<'a> {
    fn new(subject: &'a Subject, to: &Path, deadline: Instant) -> Take<'a> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = seconds.map_or(0, |d| d.as_secs());
        let folder = to.join(format!("{}-guest-{}", stamp(seconds), subject.number));
        let mut take = Take {
            subject,
            folder: None,
            deadline,
            missing: Vec::new(),
        };
        match fs::create_dir_all(&folder) {
            Ok(()) => take.folder = Some(folder),
            Err(error) => take.lack("the directory", &error),
        }
        take
    }

    fn lack(&mut self, what: &str, why: &dyn std::fmt::Display) {
        self.missing.push(format!("{what} ({why})"));
    }

    fn late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    fn keep(&mut self, name: &str, bytes: &[u8]) {
        let Some(folder) = &self.folder else { return };
        if self.late() {
            return self.lack(name, &"no time was left");
        }
        if let Err(error) = fs::write(folder.join(name), bytes) {
            // Half a file is worse than none.
            let _ = fs::remove_file(folder.join(name));
            self.lack(name, &error);
        }
    }

    /// What `/proc` shows of QEMU and its threads.
    fn process(&mut self) -> String {
        let folder = PathBuf::from(format!("/proc/{}", self.subject.pid));
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        let mut text = String::new();
        let tasks = fs::read_dir(folder.join("task")).into_iter().flatten();
        for task in tasks.flatten().take(THREADS) {
            let path = task.path();
            let name = read(path.join("comm"));
            let stat = read(path.join("stat"));
            let state = stat.rsplit_once(") ").map_or("?", |(_, rest)| &rest[..1]);
            let wait = read(path.join("wchan"));
            let call = read(path.join("syscall"));
            let _ = writeln!(
                text,
                "thread {} {} state {state} waits in {} system call {}",
                task.file_name().display(),
                name.trim_end(),
                if wait.is_empty() { "?" } else { &wait },
                if call.is_empty() {
                    "?"
                } else {
                    call.trim_end()
                },
            );
            // For the superuser alone.
            text.push_str(&read(path.join("stack")));
        }
        if text.is_empty() {
            self.lack("QEMU's threads", &"the process is gone");
        }
        let mut all = text.clone();
        for name in ["status", "limits", "net/snmp", "net/netstat"] {
            let _ = writeln!(all, "\n{name}:\n{}", read(folder.join(name)));
        }
        self.keep("process.txt", all.as_bytes());
        text
    }

    /// The black box and the rings, out of the guest's memory.
    fn memory(&mut self) -> Option<Vec<u8>> {
        let Some(memory) = &self.subject.memory else {
            self.lack("the guest's memory", &"it went with the process");
            return None;
        };
        let found = match instance::black_box(memory) {
            Ok(Some(found)) => found,
            Ok(None) => {
                self.lack("the black box", &"the guest has none yet");
                return None;
            }
            Err(error) => {
                self.lack("the black box", &error);
                return None;
            }
        };
        self.keep("blackbox", &found);
        for (at, (name, length)) in RING_PARTS.iter().enumerate() {
            let word = (blackbox::word::ADDRESSES + at) * 8;
            let Some(address) = found.get(word..word + 8) else {
                break;
            };
            let address = u64::from_le_bytes(address.try_into().unwrap_or_default());
            let mut bytes = vec![0; *length];
            if address != 0 && memory.read_exact_at(&mut bytes, address).is_ok() {
                self.keep(name, &bytes);
            }
        }
        Some(found)
    }

    /// What QEMU itself says.
    fn monitor(&mut self) -> Told {
        let Some(desk) = self.subject.desk.clone() else {
            return Told {
                said: "nothing: its process is gone".into(),
                ..Told::default()
            };
        };
        let deadline = self.deadline;
        let ask = |command: &str, arguments: Value| {
            let until = deadline.min(Instant::now() + QUESTION);
            desk.execute(command, arguments, until)
        };
        let human = |line: &str| ask("human-monitor-command", json!({"command-line": line}));
        let status = match ask("query-status", Value::Null) {
            Ok(status) => status,
            Err(error) => {
                // One deadline is enough to know that it does not answer.
                self.lack("QEMU's monitor", &error);
                return Told {
                    said: error.to_string(),
                    ..Told::default()
                };
            }
        };
        let mut told = Told {
            said: status["status"].as_str().unwrap_or("?").to_owned(),
            ..Told::default()
        };
        let devices = ask("x-query-virtio", Value::Null).unwrap_or_default();
        let path = devices
            .as_array()
            .and_then(|all| all.iter().find(|d| d["name"] == "virtio-net"))
            .and_then(|device| device["path"].as_str())
            .map(str::to_owned);
        let mut answers = json!({"query-status": status, "x-query-virtio": devices});
        if let Some(path) = path {
            let queue = |n: u16| {
                let arguments = json!({"path": path, "queue": n});
                ask("x-query-virtio-queue-status", arguments).unwrap_or_default()
            };
            let first = [queue(0), queue(1)];
            thread::sleep(BETWEEN);
            let second = [queue(0), queue(1)];
            let standing = self.subject.evidence.standing_at();
            told.signature = signature(&first[0], &second[0], standing);
            for (n, name) in ["receive", "transmit"].iter().enumerate() {
                let _ = writeln!(
                    told.rings,
                    "{name}: {}\n{:9} {}",
                    first[n], "later:", second[n]
                );
            }
            answers["device"] =
                ask("x-query-virtio-status", json!({"path": path})).unwrap_or_default();
            answers["queues"] = json!([first, second]);
        }
        for line in ["info registers", "info usernet", "info network"] {
            match human(line) {
                Ok(text) => answers[line] = text,
                Err(error) => self.lack(line, &error),
            }
        }
        if let Some(text) = answers["info registers"].as_str() {
            self.keep("registers.txt", text.as_bytes());
            told.registers = Some(text.to_owned());
        }
        if let Some(text) = answers["info usernet"].as_str() {
            self.keep("network.txt", text.as_bytes());
        }
        self.keep("monitor.json", pretty(&answers).as_bytes());
        told
    }

    /// The guest's memory, as it lies.
    fn whole_memory(&mut self) {
        let (Some(folder), Some(memory)) = (&self.folder, &self.subject.memory) else {
            return;
        };
        if let Err(error) = copy(memory, &folder.join("memory"), self.deadline) {
            let _ = fs::remove_file(folder.join("memory"));
            self.lack("the whole memory", &error);
        }
    }
}

/// Parts of the rings, in the order of their addresses in the black box, with their bytes for
/// rings of 256 (VIRTIO 1.2, 2.7).
const RING_PARTS: [(&str, usize); 6] = [
    ("rx-descriptors", 16 * 256),
    ("rx-available", 6 + 2 * 256),
    ("rx-used", 6 + 8 * 256),
    ("tx-descriptors", 16 * 256),
    ("tx-available", 6 + 2 * 256),
    ("tx-used", 6 + 8 * 256),
];

/// What two looks at the receive ring say. The guest is asked all the time, so the wire is busy.
/// `standing`: where the guest itself says that it stands. While the device still has buffers, its
/// side goes on moving, whether or not anybody takes in what it delivers.
fn signature(first: &Value, second: &Value, standing: Option<u16>) -> Option<Signature> {
    let look = |status: &Value| {
        let index = |name: &str| status[name].as_u64().map(|n| n as u16);
        Some(Look {
            avail_idx: index("shadow-avail-idx")?,
            used_idx: index("used-idx")?,
        })
    };
    let size = second["vring-num"].as_u64()? as u16;
    let (first, second) = (look(first)?, look(second)?);
    match standing {
        Some(at) if at != first.used_idx => Some(Signature::UsedNotHarvested),
        _ => Some(Signature::of_device(first, second, size, Wire::Busy)),
    }
}

/// Copies without the holes.
fn copy(memory: &File, to: &Path, deadline: Instant) -> io::Result<()> {
    let size = memory.metadata()?.len();
    let target = File::create(to)?;
    target.set_len(size)?;
    let mut chunk = vec![0; 1 << 20];
    for at in (0..size).step_by(chunk.len()) {
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let read = memory.read_at(&mut chunk, at)?;
        if chunk[..read].iter().any(|b| *b != 0) {
            target.write_all_at(&chunk[..read], at)?;
        }
    }
    Ok(())
}

/// Removes the oldest autopsies until at most `keep` are left, of at most `max_size` bytes.
pub fn prune(folder: &Path, keep: usize, max_size: u64) {
    let mut all: Vec<(PathBuf, u64)> = list(folder)
        .into_iter()
        .map(|path| {
            let files = fs::read_dir(&path).into_iter().flatten().flatten();
            let sizes = files.filter_map(|file| file.metadata().ok());
            // What it takes on the disk: a memory has holes.
            let size = sizes
                .map(|m| std::os::unix::fs::MetadataExt::blocks(&m) * 512)
                .sum();
            (path, size)
        })
        .collect();
    let mut total: u64 = all.iter().map(|(_, size)| size).sum();
    while all.len() > keep || (total > max_size && all.len() > 1) {
        let (oldest, size) = all.remove(0);
        // One that cannot be removed is tried again after the next autopsy.
        let _ = fs::remove_dir_all(oldest);
        total -= size;
    }
}

/// The autopsies in `folder`, oldest first.
#[must_use]
pub fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|p| p.is_dir())
        .collect();
    // Their names begin with the time.
    all.sort();
    all
}

/// `20261121T135029Z`, from seconds since 1970 (days to date: Hinnant's `civil_from_days`).
fn stamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_dates() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (1_795_269_029, "20261121T135029Z"),
            (4_107_542_399, "21000228T235959Z"),
        ] {
            assert_eq!(stamp(seconds), text);
        }
    }

    #[test]
    fn a_ring_that_the_guest_does_not_harvest_is_told_while_the_device_still_moves() {
        let look = |avail: u16, used: u16| json!({"shadow-avail-idx": avail, "used-idx": used, "vring-num": 256});
        let moving = (look(300, 50), look(300, 60));
        for (standing, expected) in [
            (None, Signature::Moving),
            (Some(50), Signature::Moving),
            (Some(44), Signature::UsedNotHarvested),
        ] {
            assert_eq!(signature(&moving.0, &moving.1, standing), Some(expected));
        }
        let frozen = look(300, 44);
        assert_eq!(
            signature(&frozen, &frozen, Some(44)),
            Some(Signature::FrozenDevice)
        );
        assert_eq!(signature(&json!({}), &frozen, None), None);
    }

    #[test]
    fn only_the_newest_are_kept_by_number_and_by_size() {
        let folder = tempfile::tempdir().unwrap();
        let make = |n: u32| {
            let path = folder.path().join(format!("2026112{n}T000000Z-guest-{n}"));
            fs::create_dir(&path).unwrap();
            fs::write(path.join("report.md"), vec![1; 100_000]).unwrap();
        };
        (0..5).for_each(make);
        let left = || -> Vec<String> {
            let names = list(folder.path());
            let name = |p: &PathBuf| p.file_name().unwrap().to_str().unwrap()[7..8].to_owned();
            names.iter().map(name).collect()
        };
        prune(folder.path(), 4, 1 << 30);
        assert_eq!(left(), ["1", "2", "3", "4"]);
        prune(folder.path(), 4, 250_000);
        assert_eq!(left(), ["3", "4"]);
        // The last one stays, however large it is.
        prune(folder.path(), 4, 1);
        assert_eq!(left(), ["4"]);
    }

    #[test]
    fn a_full_disk_loses_the_files_and_not_the_verdict() {
        let subject = Subject {
            name: "www".into(),
            number: 1,
            pid: std::process::id() as i32,
            folder: "/nonexistent".into(),
            kernel: None,
            memory: None,
            desk: None,
            evidence: Evidence::default(),
            at: 5_000,
            fresh: 1_000,
            cause: Some(Cause::Silent),
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        let finding = examine(&subject, Path::new("/dev/null/no"), true, deadline);
        assert_eq!(finding.verdict, Part::Process.to_string());
        assert_eq!(finding.folder, None);
        assert!(
            finding
                .missing
                .iter()
                .any(|m| m.starts_with("the directory"))
        );
    }

    #[test]
    fn an_autopsy_of_a_living_process_has_a_report() {
        let folder = tempfile::tempdir().unwrap();
        let guest = folder.path().join("guest");
        fs::create_dir(&guest).unwrap();
        fs::write(guest.join("serial.log"), "one\r\ntwo\r\n").unwrap();
        let memory = tempfile::tempfile().unwrap();
        memory.set_len(1 << 20).unwrap();
        let mut evidence = Evidence {
            process: Some('S'),
            ..Evidence::default()
        };
        evidence.monitor.note(4_900, 10, Ok(()));
        let subject = Subject {
            name: "www".into(),
            number: 7,
            pid: std::process::id() as i32,
            folder: guest,
            kernel: None,
            memory: Some(memory),
            desk: None,
            evidence,
            at: 5_000,
            fresh: 1_000,
            cause: Some(Cause::Silent),
        };
        let to = folder.path().join("autopsies");
        let deadline = Instant::now() + Duration::from_secs(20);
        let finding = examine(&subject, &to, true, deadline);
        assert_eq!(finding.verdict, Part::Guest.to_string());
        let found = finding.folder.unwrap();
        let report = fs::read_to_string(found.join(REPORT)).unwrap();
        assert!(report.starts_with("verdict: the guest is dead"), "{report}");
        assert!(
            report.contains("two") && report.contains("thread "),
            "{report}"
        );
        for name in ["serial.log", "process.txt", "evidence.json", "memory"] {
            assert!(found.join(name).exists(), "{name}");
        }
    }
}
