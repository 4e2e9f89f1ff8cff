//! Where things lie on the host.

use std::env;
use std::path::PathBuf;

/// The places of one guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    root: PathBuf,
    name: String,
}

impl Places {
    /// Those of the guest `name`, below `/` or, for tests, below `$QUARTZ_ROOT`.
    #[must_use]
    pub fn of(name: &str) -> Places {
        Places {
            root: root(),
            name: name.to_owned(),
        }
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        configurations().join(format!("{}.toml", self.name))
    }

    /// What lives as long as the host does not boot again.
    #[must_use]
    pub fn runtime(&self) -> PathBuf {
        self.root.join("run/quartz").join(&self.name)
    }

    /// The supervisor's socket.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.runtime().join("control.sock")
    }

    /// The note about the running guest.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.runtime().join("state.json")
    }

    /// What belongs to one guest process.
    #[must_use]
    pub fn guest(&self, number: u64) -> PathBuf {
        self.runtime().join(format!("guest-{number}"))
    }

    /// The forwarder's socket.
    #[must_use]
    pub fn forwarder(&self) -> PathBuf {
        let folder = self.root.join("run/quartz-forward").join(&self.name);
        folder.join("control.sock")
    }

    /// Where autopsies are kept.
    #[must_use]
    pub fn autopsies(&self) -> PathBuf {
        let state = self.root.join("var/lib/quartz").join(&self.name);
        state.join("autopsies")
    }
}

/// Where the configurations of all guests lie.
#[must_use]
pub fn configurations() -> PathBuf {
    root().join("etc/quartz")
}

fn root() -> PathBuf {
    env::var_os("QUARTZ_ROOT").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}
