//! The note that a supervisor leaves for its successor: enough to find the guest again and to go
//! on with a stop. It is a hint, never the truth: that is what the process and the guest say.

use super::escalation::Escalation;
use super::life::Memo;
use super::process::Identity;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

/// Version of the note.
const VERSION: u32 = 1;

/// A guest process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestNote {
    /// Which guest it is, counted since the host booted.
    pub number: u64,
    /// The QEMU process.
    pub process: Identity,
    /// Where the guest answers.
    pub address: SocketAddr,
    /// Where its admin port is reached, if it has one.
    #[serde(default)]
    pub admin: Option<SocketAddr>,
    /// The descriptor under which the process has the guest's memory.
    pub memory_fd: i32,
    /// What it was started as, in the canonical form.
    pub config: Value,
    /// The marks of its files then, unless an earlier supervisor started it.
    #[serde(default)]
    pub files: Option<String>,
}

/// The note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    version: u32,
    /// The boot of the host that all times and numbers belong to.
    pub boot: String,
    /// The guest that serves, or is to.
    pub guest: Option<GuestNote>,
    /// The life's state.
    pub memo: Memo,
    /// Guests that were replaced and are being stopped, with how that began; a successor that has
    /// not taken over yet is one too, without a beginning.
    pub leaving: Vec<(GuestNote, Option<Escalation>)>,
    /// Number of the last guest.
    pub last_number: u64,
}

impl Record {
    /// A note of this version.
    #[must_use]
    pub fn new(
        boot: String,
        guest: Option<GuestNote>,
        memo: Memo,
        leaving: Vec<(GuestNote, Option<Escalation>)>,
        last_number: u64,
    ) -> Record {
        Record {
            version: VERSION,
            boot,
            guest,
            memo,
            leaving,
            last_number,
        }
    }

    /// Reads a note; `None` if there is none, or it is of another boot or version, or not whole.
    #[must_use]
    pub fn read(path: &Path, boot: &str) -> Option<Record> {
        let text = fs::read_to_string(path).ok()?;
        let record: Record = serde_json::from_str(&text).ok()?;
        (record.version == VERSION && record.boot == boot).then_some(record)
    }

    /// Writes it so that a reader finds the old one or the new one, never half of either.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut file, self)?;
        file.flush()?;
        file.persist(path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::life::{Life, Limits};

    fn record() -> Record {
        let note = GuestNote {
            number: 3,
            process: Identity { pid: 7, began: 9 },
            address: ([127, 0, 0, 1], 4000).into(),
            admin: Some(([127, 0, 0, 1], 4001).into()),
            memory_fd: 12,
            config: serde_json::json!({"append": ""}),
            files: Some("1:1:1:1".into()),
        };
        let memo = Life::new(Limits::default(), 5).memo();
        Record::new(
            "boot".into(),
            Some(note.clone()),
            memo,
            vec![(note, None)],
            3,
        )
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        assert_eq!(Record::read(&path, "boot"), None);
        record().write(&path).unwrap();
        assert_eq!(Record::read(&path, "boot"), Some(record()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_note_of_another_boot_or_a_broken_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        record().write(&path).unwrap();
        assert_eq!(Record::read(&path, "another boot"), None);
        let text = fs::read_to_string(&path).unwrap();
        for len in [0, 1, text.len() / 2, text.len() - 1] {
            fs::write(&path, &text[..len]).unwrap();
            assert_eq!(Record::read(&path, "boot"), None);
        }
        fs::write(&path, text.replace("\"version\":1", "\"version\":2")).unwrap();
        assert_eq!(Record::read(&path, "boot"), None);
    }
}
