//! Chromium without a window, and sites with a page of the test's own in them.

use super::process::{Output, Process};
use quartz::site::Site;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// The files of `folder`, and `page` as `check.html` beside them.
pub fn checked(folder: &Path, page: &str) -> Option<Arc<Site>> {
    let mut archive = tar::Builder::new(tempfile::tempfile().unwrap());
    archive.append_dir_all(".", folder).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(page.len() as u64);
    header.set_mode(0o644);
    archive
        .append_data(&mut header, "check.html", page.as_bytes())
        .unwrap();
    let file = archive.into_inner().unwrap();
    let bytes = file.metadata().unwrap().len();
    Some(Arc::new(Site { file, bytes }))
}

/// Chromium with a profile of its own, which asks nobody but who it is sent to.
pub fn chromium(profile: &Path) -> Command {
    let mut command = Command::new("chromium");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu"])
        .args(["--disable-quic", "--no-first-run", "--disable-sync"])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .arg("--disable-dev-shm-usage")
        .arg(format!("--user-data-dir={}", profile.display()))
        // Nothing of the person's own settings.
        .env("HOME", profile);
    command
}

/// Chromium at an address for so many milliseconds, with these words. Nothing may complain.
pub fn browse(url: &str, profile: &Path, watched: u64, words: &[&str]) -> Output {
    let mut command = chromium(profile);
    command
        .arg("--enable-logging=stderr")
        .arg(format!("--timeout={watched}"))
        .args(words)
        .arg(url);
    let output = Process::start(&mut command).finish(Duration::from_secs(120));
    let complaints: Vec<&str> = output
        .stderr
        .lines()
        .filter(|l| l.contains("CONSOLE"))
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    output
}

/// What a page of the test's own has written into its element `result` at the end of that time.
pub fn watched(url: &str, profile: &Path, watched: u64) -> String {
    let output = browse(url, profile, watched, &["--dump-dom"]);
    let result = output
        .stdout
        .split_once("<pre id=\"result\">")
        .and_then(|(_, rest)| rest.split_once("</pre>"));
    let Some((result, _)) = result else {
        panic!("no result: {output:?}");
    };
    result.to_owned()
}

/// The value of `key=value;` in such a text.
pub fn value<'a>(result: &'a str, key: &str) -> &'a str {
    let mut pairs = result.split(';').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(k, _)| *k == key)
        .unwrap_or_else(|| panic!("no {key} in {result}"))
        .1
}
