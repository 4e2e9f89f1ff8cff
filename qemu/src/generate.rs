//! `quartz generate`: a systemd generator (systemd.generator(7)). The units are templates; what
//! differs from guest to guest, address and devices, comes from `/etc/quartz/NAME.toml` as drop-ins.

use crate::accelerator::Wanted;
use crate::cli::GenerateArgs;
use crate::error::Error;
use crate::outcome;
use crate::supervise::config::{Config, check_name};
use crate::supervise::places::{self, Places};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// Longer than all deadlines of a stop, in seconds.
const STOP_RESERVE: u64 = 25;

/// `quartz generate`.
///
/// # Errors
/// A drop-in cannot be written. A configuration that is refused is named and left out.
pub fn main(args: &GenerateArgs) -> Result<(), Error> {
    let entries = fs::read_dir(places::configurations())
        .into_iter()
        .flatten()
        .flatten();
    for entry in entries {
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|n| n.strip_suffix(".toml")) else {
            continue;
        };
        if check_name(name).is_err() {
            continue;
        }
        match Config::read(&entry.path()) {
            Ok(config) => write(&args.normal, name, &config)?,
            Err(error) => {
                outcome::say(&error);
                // A port that is open must stay open; what is wrong, the supervisor says when it
                // is started.
                if let Some(listen) = listen(&entry.path(), name) {
                    let folder = args.normal.join(format!("quartz@{name}.socket.d"));
                    put(&folder, &socket(listen))?;
                }
            }
        }
    }
    Ok(())
}

fn write(to: &Path, name: &str, config: &Config) -> Result<(), Error> {
    for (unit, text) in [
        (format!("quartz@{name}.socket.d"), socket(config.listen)),
        (format!("quartz@{name}.service.d"), service(config)),
    ] {
        put(&to.join(unit), &text)?;
    }
    Ok(())
}

fn put(folder: &Path, text: &str) -> Result<(), Error> {
    let path = folder.join("50-configuration.conf");
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, text))
        .map_err(|source| Error::Output { path, source })
}

/// The address in a configuration that is refused for something else; or the one that runs.
fn listen(path: &Path, name: &str) -> Option<SocketAddr> {
    let text = fs::read_to_string(path).ok()?;
    let table: Option<toml::Table> = text.parse().ok();
    let given = table.and_then(|table| table.get("listen")?.as_str()?.parse().ok());
    let last = || Config::read(&Places::of(name).runtime().join("config.toml")).ok();
    given.or_else(|| Some(last()?.listen))
}

fn socket(listen: SocketAddr) -> String {
    format!("[Socket]\nListenStream={listen}\n")
}

fn service(config: &Config) -> String {
    let stop = config.limits.stop.total() + config.limits.autopsy;
    let mut text = format!("[Service]\nTimeoutStopSec={}\n", stop / 1000 + STOP_RESERVE);
    let start = config.limits.start / 1000 + STOP_RESERVE;
    text += &format!("TimeoutStartSec={start}\n");
    if config.accelerator != Wanted::Tcg && Path::new("/dev/kvm").exists() {
        text += "PrivateDevices=no\nDeviceAllow=/dev/kvm rw\nSupplementaryGroups=kvm\n";
    }
    let listen = config.listen.ip();
    if !listen.is_loopback() && !listen.is_unspecified() {
        // The supervisor asks there, as clients do.
        text += &format!("IPAddressAllow={listen}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_configuration_keeps_its_port() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no-such-guest.toml");
        fs::write(&path, "listen = \"0.0.0.0:8080\"\nsight = 1\n").unwrap();
        let found = listen(&path, "no-such-guest");
        assert_eq!(found, Some(([0, 0, 0, 0], 8080).into()));
        fs::write(&path, "listen = \n").unwrap();
        assert_eq!(listen(&path, "no-such-guest"), None);
    }

    #[test]
    fn drop_ins_follow_the_configuration() {
        let text = "listen = \"0.0.0.0:8080\"\naccelerator = \"tcg\"\n[stop]\ndrain = 30\n";
        let config = Config::parse(text).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "www", &config).unwrap();
        let read = |unit: &str| {
            let path = folder.path().join(unit).join("50-configuration.conf");
            fs::read_to_string(path).unwrap()
        };
        assert_eq!(
            read("quartz@www.socket.d"),
            "[Socket]\nListenStream=0.0.0.0:8080\n"
        );
        let service = read("quartz@www.service.d");
        assert!(service.contains("TimeoutStopSec=75\n"), "{service}");
        assert!(!service.contains("kvm"), "{service}");
    }
}
