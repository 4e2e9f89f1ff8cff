//! Prometheus' text format, version 0.0.4, as a page is read by who does not trust it; and Prometheus'
//! own tool.

use super::process::{run, success};
use super::{STEP, target};
use quartz::http::Response;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The content type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A sample: its name, and its labels in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

/// A page.
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    /// Each family with its type.
    pub families: BTreeMap<String, String>,
    /// Each series with its value.
    pub samples: BTreeMap<Series, f64>,
}

impl From<&Response> for Exposition {
    fn from(answer: &Response) -> Exposition {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.field("content-type"), Some(CONTENT_TYPE));
        Exposition::parse(std::str::from_utf8(&answer.body).unwrap())
    }
}

impl Exposition {
    /// Reads a page.
    pub fn parse(text: &str) -> Exposition {
        let mut page = Exposition::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                let twice = page.families.insert(name.into(), kind.into());
                assert_eq!(twice, None, "two families {name}");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let series = Series::parse(series);
                let twice = page.samples.insert(series, value.parse().unwrap());
                assert_eq!(twice, None, "two samples: {line}");
            }
        }
        page
    }

    /// The value of a series as it stands on the page.
    pub fn value(&self, series: &str) -> f64 {
        let found = self.samples.get(&Series::parse(series));
        *found.unwrap_or_else(|| panic!("no {series} in {:?}", self.samples.keys()))
    }
}

impl Series {
    /// Reads `name` or `name{label="value",...}`. No value has a comma or a quotation mark in it.
    pub fn parse(text: &str) -> Series {
        let (name, labels) = text.split_once('{').unwrap_or((text, "}"));
        let labels = labels.strip_suffix('}').unwrap();
        let pairs = labels.split(',').filter(|pair| !pair.is_empty());
        Series {
            name: name.into(),
            labels: pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap();
                    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
                    (name.into(), value.unwrap().into())
                })
                .collect(),
        }
    }
}

/// promtool, which the set-up unpacks.
fn promtool() -> PathBuf {
    let inside = "usr/bin/promtool";
    let places = [
        Path::new("/").join(inside),
        target("prometheus").join(inside),
    ];
    let found = places.into_iter().find(|p| p.exists());
    found.expect("promtool is missing: run `qemu/setup.sh test` first")
}

/// promtool with these words; it must be content.
pub fn check(words: &[&str]) {
    success(Command::new(promtool()).args(words), STEP);
}

/// `promtool check metrics`: the page parses, and is as Prometheus' authors want one to be.
pub fn check_metrics(page: &[u8]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), page).unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$0\" check metrics <\"$1\""])
        .arg(promtool())
        .arg(file.path());
    let output = run(&mut command, STEP);
    // It succeeds, too, when it only dislikes something.
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}
