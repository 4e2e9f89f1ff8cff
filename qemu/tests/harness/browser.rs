//! Chromium without a window, and sites with a page of the test's own in them.

use quartz::site::Site;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

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
