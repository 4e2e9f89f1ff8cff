//! `/etc/quartz/NAME.toml`: what a guest is to be. `docs/operations.md` has every key.

use super::escalation::Deadlines;
use super::life::{Limits, Millis};
use crate::accelerator::Wanted;
use crate::append;
use crate::memory::Memory;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Longest name of a guest: `quartz-NAME` is a user's name too, which has at most 31 characters.
const MAX_NAME: usize = 24;
/// Longest time that a key may give, in seconds: a day.
const MAX_SECONDS: f64 = 86_400.0;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no TOML, or a key or a value in it is wrong; the text has line and column.
    #[error("{}: {text}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Where and why.
        text: String,
    },
    /// A guest cannot have this name.
    #[error(
        "`{0}` is no name for a guest: it has to be 1 to 24 of a-z, 0-9 and -, and begin with a letter"
    )]
    Name(String),
}

/// Checks a guest's name.
///
/// # Errors
/// It is none.
pub fn check_name(name: &str) -> Result<(), ConfigError> {
    let fits = (1..=MAX_NAME).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    match fits {
        true => Ok(()),
        false => Err(ConfigError::Name(name.to_owned())),
    }
}

/// Seconds, as a person writes them: `4` or `0.5`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seconds(f64);

impl Seconds {
    fn millis(self) -> Millis {
        // In range: checked when read.
        (self.0 * 1000.0) as Millis
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Seconds, D::Error> {
        let seconds = f64::deserialize(source)?;
        if (0.0..=MAX_SECONDS).contains(&seconds) {
            Ok(Seconds(seconds))
        } else {
            Err(serde::de::Error::custom("expected seconds, 0 to 86400"))
        }
    }
}

/// The file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: SocketAddr,
    site: Option<PathBuf>,
    kernel: Option<PathBuf>,
    #[serde(default = "default_memory", deserialize_with = "parsed")]
    memory: Memory,
    #[serde(default)]
    accelerator: Accelerator,
    #[serde(default)]
    append: String,
    qemu: Option<PathBuf>,
    #[serde(default)]
    qemu_args: Vec<String>,
    metrics: Option<SocketAddr>,
    #[serde(default)]
    on_event: Vec<String>,
    #[serde(default)]
    health: HealthFile,
    #[serde(default)]
    restart: RestartFile,
    #[serde(default)]
    stop: StopFile,
    #[serde(default)]
    autopsy: AutopsyFile,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Accelerator {
    #[default]
    Auto,
    Kvm,
    Tcg,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HealthFile {
    interval: Option<Seconds>,
    start: Option<Seconds>,
    suspect: Option<Seconds>,
    dead: Option<Seconds>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RestartFile {
    starts: Option<u32>,
    within: Option<Seconds>,
    pause: Option<Seconds>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StopFile {
    drain: Option<Seconds>,
    power_down: Option<Seconds>,
    quit: Option<Seconds>,
    terminate: Option<Seconds>,
    kill: Option<Seconds>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AutopsyFile {
    deadline: Option<Seconds>,
    keep: Option<u32>,
    #[serde(default, deserialize_with = "parsed_some")]
    max_size: Option<Memory>,
    memory: Option<bool>,
}

fn default_memory() -> Memory {
    Memory::mib(64)
}

fn parsed<'de, D: Deserializer<'de>>(source: D) -> Result<Memory, D::Error> {
    let text = String::deserialize(source)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn parsed_some<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Memory>, D::Error> {
    parsed(source).map(Some)
}

/// What is kept of autopsies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// How many.
    pub keep: usize,
    /// How many bytes in all.
    pub max_size: u64,
    /// Whether the guest's whole memory is kept too.
    pub memory: bool,
}

/// What a guest is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where clients come in; systemd's socket is bound there.
    pub listen: SocketAddr,
    /// The site: a directory or an image; none is the demo.
    pub site: Option<PathBuf>,
    /// The kernel; none is the installed one.
    pub kernel: Option<PathBuf>,
    /// Memory of the guest.
    pub memory: Memory,
    /// What runs it.
    pub accelerator: Wanted,
    /// Words for the guest's command line.
    pub append: String,
    /// The QEMU program.
    pub qemu: Option<PathBuf>,
    /// More words for QEMU.
    pub qemu_args: Vec<String>,
    /// Where the supervisor's own figures are served.
    pub metrics: Option<SocketAddr>,
    /// What is run when the state changes.
    pub on_event: Vec<String>,
    /// Time between two questions to the guest.
    pub interval: Millis,
    /// Patience.
    pub limits: Limits,
    /// Autopsies.
    pub keeping: Keeping,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Config::parse(&text).map_err(|text| ConfigError::Refused {
            path: path.to_owned(),
            text,
        })
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Where and why it was refused.
    pub fn parse(text: &str) -> Result<Config, String> {
        let file: File = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        let line = append::parse(&file.append).map_err(|e| format!("append: {e}"))?;
        if !line.public_endpoints {
            return Err(
                "append: `public=off` hides /healthz, by which the guest is watched".into(),
            );
        }
        if file.append.contains("heartbeat=") {
            return Err("append: `heartbeat` is the supervisor's own".into());
        }
        for path in [&file.site, &file.kernel].into_iter().flatten() {
            if path.is_relative() {
                return Err(format!("{} is no absolute path", path.display()));
            }
        }
        let ms = |given: Option<Seconds>, default| given.map_or(default, Seconds::millis);
        let d = Limits::default();
        let limits = Limits {
            start: ms(file.health.start, d.start),
            suspect: ms(file.health.suspect, d.suspect),
            dead: ms(file.health.dead, d.dead),
            autopsy: ms(file.autopsy.deadline, d.autopsy),
            starts: file.restart.starts.unwrap_or(d.starts),
            within: ms(file.restart.within, d.within),
            pause: ms(file.restart.pause, d.pause),
            stop: Deadlines {
                drain: ms(file.stop.drain, d.stop.drain),
                power_down: ms(file.stop.power_down, d.stop.power_down),
                quit: ms(file.stop.quit, d.stop.quit),
                terminate: ms(file.stop.terminate, d.stop.terminate),
                kill: ms(file.stop.kill, d.stop.kill),
            },
        };
        let interval = ms(file.health.interval, 1_000);
        if interval < 100 || limits.suspect <= interval || limits.dead <= limits.suspect {
            return Err("health: it has to be 0.1 <= interval < suspect < dead".into());
        }
        if limits.starts == 0 {
            return Err("restart: `starts` has to be at least 1".into());
        }
        Ok(Config {
            listen: file.listen,
            site: file.site,
            kernel: file.kernel,
            memory: file.memory,
            accelerator: match file.accelerator {
                Accelerator::Auto => Wanted::Auto,
                Accelerator::Kvm => Wanted::Kvm,
                Accelerator::Tcg => Wanted::Tcg,
            },
            append: file.append,
            qemu: file.qemu,
            qemu_args: file.qemu_args,
            metrics: file.metrics,
            on_event: file.on_event,
            interval,
            limits,
            keeping: Keeping {
                keep: file.autopsy.keep.unwrap_or(10) as usize,
                max_size: file.autopsy.max_size.map_or(512 << 20, Memory::bytes),
                memory: file.autopsy.memory.unwrap_or(false),
            },
        })
    }

    /// What concerns the guest itself, in the one form that is compared: every key with its value,
    /// given or not, sorted.
    #[must_use]
    pub fn canonical(&self) -> Value {
        json!({
            "accelerator": format!("{:?}", self.accelerator).to_lowercase(),
            "append": self.append.split_ascii_whitespace().collect::<Vec<_>>().join(" "),
            "kernel": self.kernel,
            "memory": self.memory.bytes(),
            "qemu": self.qemu,
            "qemu_args": self.qemu_args,
            "site": self.site,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "listen = \"127.0.0.1:8080\"\n";

    #[test]
    fn the_least_is_an_address() {
        let config = Config::parse(LEAST).unwrap();
        assert_eq!(config.listen.port(), 8080);
        assert_eq!(config.limits, Limits::default());
        assert!(
            config.limits.dead + config.interval <= 5_000,
            "a wedge is seen within 5 s"
        );
        assert!(Config::parse("").unwrap_err().contains("listen"));
    }

    #[test]
    fn the_documented_example_has_every_key() {
        let page = include_str!("../../systemd/example.toml");
        // Every line that is commented out is a key with its default, or text.
        let shown: String = page
            .lines()
            .map(|line| match line.strip_prefix("#") {
                Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => {
                    rest
                }
                _ => line,
            })
            .fold(String::new(), |text, line| text + line + "\n");
        let config = Config::parse(&shown).unwrap();
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.keeping, Config::parse(LEAST).unwrap().keeping);
        for key in [
            "listen",
            "site",
            "kernel",
            "memory",
            "accelerator",
            "append",
            "qemu",
            "qemu_args",
            "metrics",
            "on_event",
            "interval",
            "start",
            "suspect",
            "dead",
            "starts",
            "within",
            "pause",
            "drain",
            "power_down",
            "quit",
            "terminate",
            "kill",
            "deadline",
            "keep",
            "max_size",
        ] {
            let known = shown
                .lines()
                .any(|line| line.starts_with(&format!("{key} = ")));
            assert!(known, "{key} is not in the example");
        }
    }

    #[test]
    fn unknown_keys_are_refused_by_name_and_line() {
        for (text, line, name) in [
            ("sight = \"/srv\"\n", "line 2", "sight"),
            ("[health]\ninterwal = 1\n", "line 3", "interwal"),
            ("[stop]\ndrain = 1\nkil = 1\n", "line 4", "kil"),
        ] {
            let error = Config::parse(&format!("{LEAST}{text}")).unwrap_err();
            assert!(error.contains(line) && error.contains(name), "{error}");
        }
    }

    #[test]
    fn bad_values_are_refused() {
        for text in [
            "memory = \"lots\"",
            "memory = 64",
            "accelerator = \"hvf\"",
            "append = \"prot=80\"",
            "append = \"public=off\"",
            "append = \"heartbeat=off\"",
            "site = \"srv\"",
            "[health]\ninterval = 3",
            "[health]\ndead = -1",
            "[health]\ndead = 1e9",
            "[restart]\nstarts = 0",
            "listen = \"127.0.0.1:8081\"",
        ] {
            let text = format!("{LEAST}{text}\n");
            assert!(Config::parse(&text).is_err(), "accepted {text}");
        }
        assert!(Config::parse("listen = \"localhost\"").is_err());
    }

    #[test]
    fn two_ways_to_write_the_same_are_the_same() {
        let one = Config::parse(&format!("{LEAST}append = \"log=warn  conns=9\"")).unwrap();
        let text = "# text\nmemory = '65536K'\nappend = \"log=warn conns=9\"\n";
        let other = Config::parse(&format!("{text}{LEAST}accelerator = 'auto'")).unwrap();
        assert_eq!(one.canonical().to_string(), other.canonical().to_string());
    }

    #[test]
    fn names_are_checked() {
        for name in ["a", "www", "web-1", "abcdefghijklmnopqrstuvwx"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "1",
            "-a",
            "a_b",
            "A",
            "a/b",
            "..",
            "a.b",
            "abcdefghijklmnopqrstuvwxy",
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
