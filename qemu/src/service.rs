//! The operator's commands for guests that run as services: `status`, `list`, `start`, `stop`,
//! `restart`, `reload`, `upgrade`, and what systemd itself calls.

use crate::cli::{NameArgs, StatusArgs, UpgradeArgs};
use crate::error::Error;
use crate::outcome;
use crate::supervise::config::{Config, check_name};
use crate::supervise::control::{Request, ask};
use crate::supervise::places::{self, Places};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long a question may take.
pub(crate) const QUICK: Duration = Duration::from_secs(5);
/// How long a successor may take to take over.
const LONG: Duration = Duration::from_secs(300);

/// Every configured name.
fn names() -> Vec<String> {
    let entries = fs::read_dir(places::configurations())
        .into_iter()
        .flatten()
        .flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_suffix(".toml")
                .map(str::to_owned)
        })
        .filter(|name| check_name(name).is_ok())
        .collect();
    names.sort();
    names
}

/// Checks that a guest of this name is configured.
pub(crate) fn exists(name: &str) -> Result<(), Error> {
    check_name(name)?;
    let config = Places::of(name).config();
    if config.exists() {
        return Ok(());
    }
    let others = match names() {
        names if names.is_empty() => "no guest is configured here".to_owned(),
        names => format!("the guests here are {}", names.join(", ")),
    };
    let config = config.display();
    Err(Error::Refused(format!(
        "there is no guest {name}: there is no {config}; {others}"
    )))
}

/// Asks a guest's supervisor.
///
/// # Errors
/// There is none, or it refuses.
pub(crate) fn request(name: &str, request: &Request, patience: Duration) -> Result<Value, Error> {
    check_name(name)?;
    let places = Places::of(name);
    let answer = match ask(&places.control(), request, patience) {
        Ok(answer) => answer,
        Err(source) => {
            exists(name)?;
            use io::ErrorKind::{ConnectionRefused, NotFound};
            return Err(match source.kind() {
                NotFound | ConnectionRefused => Error::Refused(format!(
                    "{name} has no supervisor; start it with `quartz start {name}`, \
                     or see why it ended: systemctl status quartz@{name}"
                )),
                _ => Error::System {
                    what: format!(
                        "the supervisor of {name} does not answer (systemctl status quartz@{name})"
                    ),
                    source,
                },
            });
        }
    };
    match answer["ok"] == true {
        true => Ok(answer),
        false => Err(Error::Refused(
            answer["error"]
                .as_str()
                .unwrap_or("no reason was given")
                .to_owned(),
        )),
    }
}

/// What is known of a guest, whether or not it is supervised.
fn known(name: &str) -> Value {
    match request(name, &Request::Status, QUICK) {
        Ok(status) => status,
        Err(error) => json!({
            "name": name,
            "state": "unsupervised",
            "reason": error.to_string(),
        }),
    }
}

/// `quartz status` and `quartz list`.
///
/// # Errors
/// A guest that was named is not supervised.
pub fn status(args: &StatusArgs) -> Result<(), Error> {
    let names = match &args.name {
        Some(name) => {
            check_name(name)?;
            vec![name.clone()]
        }
        None => names(),
    };
    if names.is_empty() && !args.json {
        let place = places::configurations();
        outcome::say(&format_args!(
            "no guest is configured: there is no {}/NAME.toml (quartz.toml(5) explains it)",
            place.display()
        ));
        return Ok(());
    }
    let all: Vec<Value> = names.iter().map(|name| known(name)).collect();
    if args.name.is_some() && !args.json && all[0]["state"] == "unsupervised" {
        let reason = all[0]["reason"].as_str().unwrap_or("");
        return Err(Error::Refused(reason.to_owned()));
    }
    let text = match (args.json, &args.name) {
        (true, Some(_)) => format!("{:#}\n", all[0]),
        (true, None) => format!("{:#}\n", json!(all)),
        (false, _) => table(&all),
    };
    // A reader that goes away has seen enough.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    match args.name.is_some() && all[0]["state"] == "unsupervised" {
        true => Err(Error::Refused(
            all[0]["reason"].as_str().unwrap_or("").to_owned(),
        )),
        false => Ok(()),
    }
}

fn table(all: &[Value]) -> String {
    let mut rows = vec![
        [
            "NAME", "STATE", "FOR", "LISTEN", "GUEST", "STARTS", "LATENCY", "NOTE",
        ]
        .map(str::to_owned),
    ];
    for one in all {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => "-".to_owned(),
            other => other.to_string(),
        };
        let note = match (&one["reason"], &one["dead"]) {
            (Value::String(reason), _) if !reason.is_empty() => reason.clone(),
            (_, Value::String(dead)) => dead.clone(),
            _ => String::new(),
        };
        let latency = one["evidence"]["public"]["latency_us"].as_u64();
        rows.push([
            text(&one["name"]),
            text(&one["state"]),
            one["since_ms"]
                .as_u64()
                .map_or("-".into(), |ms| format!("{} s", ms / 1000)),
            text(&one["listen"]),
            text(&one["guest"]["pid"]),
            text(&one["starts"]),
            latency.map_or("-".into(), |us| format!("{:.1} ms", us as f64 / 1e3)),
            note,
        ]);
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let width = rows
                .iter()
                .map(|row| row[at].chars().count())
                .max()
                .unwrap_or(0);
            line += &format!("{cell:width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// `quartz start`, `stop` and `restart`: systemd does it.
///
/// # Errors
/// systemd refuses, or there is none.
pub fn systemctl(verb: &str, args: &NameArgs) -> Result<(), Error> {
    check_name(&args.name)?;
    if !sd_notify::booted().unwrap_or(false) {
        return match verb {
            // Without systemd the supervisor itself can still be asked.
            "stop" => request(&args.name, &Request::Stop, QUICK).map(drop),
            _ => Err(Error::Refused("this host does not run systemd".into())),
        };
    }
    if verb != "stop" {
        exists(&args.name)?;
    }
    let unit = format!("quartz@{}.service", args.name);
    let status = Command::new("systemctl")
        .args([verb, &unit])
        .status()
        .map_err(Error::system("cannot run systemctl"))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::Refused(format!("systemctl {verb} {unit} failed"))),
    }
}

/// `quartz reload`: what the configuration says now is to run.
///
/// # Errors
/// The configuration is refused, or the successor did not take over.
pub fn reload(args: &NameArgs) -> Result<(), Error> {
    let answer = request(&args.name, &Request::Reload { always: false }, LONG)?;
    tell_change(&answer);
    Ok(())
}

fn tell_change(answer: &Value) {
    match answer["changed"] == true {
        true => outcome::say(&format_args!("guest {} has taken over", answer["guest"])),
        false => outcome::say(&"nothing has changed"),
    }
}

/// `quartz upgrade`: puts kernel and site into the configuration and lets a successor take over.
/// If that fails, the configuration is as it was, and so is the guest.
///
/// # Errors
/// The configuration cannot be changed, or the successor did not take over.
pub fn upgrade(args: &UpgradeArgs) -> Result<(), Error> {
    exists(&args.name)?;
    let path = Places::of(&args.name).config();
    let before = fs::read_to_string(&path)
        .map_err(Error::system(format!("cannot read {}", path.display())))?;
    let mut document: toml_edit::DocumentMut = before
        .parse()
        .map_err(|e: toml_edit::TomlError| Error::Refused(e.to_string()))?;
    for (key, value) in [("kernel", &args.kernel), ("site", &args.site)] {
        if let Some(value) = value {
            let full = fs::canonicalize(value)
                .map_err(Error::system(format!("cannot find {}", value.display())))?;
            document[key] = toml_edit::value(full.display().to_string());
        }
    }
    let after = document.to_string();
    Config::parse(&after).map_err(Error::Refused)?;
    replace(&path, &after)?;
    match request(&args.name, &Request::Reload { always: true }, LONG) {
        Ok(answer) => {
            tell_change(&answer);
            Ok(())
        }
        Err(error) => {
            replace(&path, &before)?;
            Err(error)
        }
    }
}

/// Replaces a file as a whole, with the rights it had.
fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let output = |source| Error::Output {
        path: path.to_owned(),
        source,
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(output)?;
    file.write_all(text.as_bytes()).map_err(output)?;
    let rights = fs::metadata(path).map_err(output)?.permissions();
    file.as_file().set_permissions(rights).map_err(output)?;
    file.persist(path).map_err(|e| output(e.error))?;
    Ok(())
}

/// `quartz autopsy NAME`: of a living guest.
///
/// # Errors
/// There is no supervisor, or no guest.
pub fn autopsy(name: &str) -> Result<(), Error> {
    let answer = request(name, &Request::Autopsy, LONG)?;
    let verdict = answer["verdict"].as_str().unwrap_or("?");
    let mut text = format!("verdict: {verdict}\n");
    if let Some(folder) = answer["folder"].as_str() {
        text += &format!("{folder}\n");
    }
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_guest() {
        let all = [
            json!({"name": "www", "state": "healthy", "since_ms": 61_000, "listen": "0.0.0.0:80",
                "guest": {"pid": 7}, "starts": 1, "reason": "", "dead": "every part answers",
                "evidence": {"public": {"latency_us": 1234}}}),
            json!({"name": "other", "state": "unsupervised", "reason": "nobody is there"}),
        ];
        let text = table(&all);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("NAME   STATE"), "{text}");
        assert!(
            lines[1].contains("61 s") && lines[1].contains("1.2 ms"),
            "{text}"
        );
        assert!(lines[2].contains("nobody is there"), "{text}");
    }
}
