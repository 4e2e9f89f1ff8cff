//! A real browser renders a page of the manual with its style sheet.

use crate::harness::network::{boot_on_tap, in_namespace};
use crate::harness::process::{Output, run};
use crate::harness::{heavy, manual};
use quartz::site::Site;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// A page of our own beside the manual: it opens a page of the manual in a frame and writes down
/// what the browser computed for it.
const CHECK: &str = r#"<!doctype html><title>check</title>
<iframe id="frame" src="/index.html"></iframe><pre id="result">nothing</pre>
<script>
const frame = document.getElementById("frame");
frame.onload = () => {
    const page = frame.contentDocument;
    const heading = page.querySelector("h1.title");
    const link = page.querySelector("div.toc a");
    const style = (element) => frame.contentWindow.getComputedStyle(element);
    document.getElementById("result").textContent = [
        "title=" + page.title,
        "heading=" + style(heading).color,
        "font=" + style(page.body).fontFamily,
        "link=" + style(link).color,
    ].join(";");
};
</script>"#;

/// The manual with the page above.
fn site() -> Option<Arc<Site>> {
    let file = tempfile::tempfile().unwrap();
    let mut archive = tar::Builder::new(file);
    archive.append_dir_all(".", manual()).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(CHECK.len() as u64);
    header.set_mode(0o644);
    archive
        .append_data(&mut header, "check.html", CHECK.as_bytes())
        .unwrap();
    let file = archive.into_inner().unwrap();
    let bytes = file.metadata().unwrap().len();
    Some(Arc::new(Site { file, bytes }))
}

/// The document at `url` after its scripts ran, as Chromium has it.
fn render(url: &str, profile: &Path) -> Output {
    let mut command = Command::new("chromium");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu"])
        .args(["--disable-quic", "--no-first-run", "--disable-sync"])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .args(["--disable-dev-shm-usage", "--timeout=30000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(url)
        // Nothing of the person's own settings.
        .env("HOME", profile);
    run(&mut command, Duration::from_secs(90))
}

#[test]
fn a_page_renders_with_its_style_sheet() {
    let _heavy = heavy();
    in_namespace(|| {
        let served = boot_on_tap(|machine| machine.site = site());
        let profile = tempfile::tempdir().unwrap();
        let url = format!("http://{}/check.html", served.site);
        let output = render(&url, profile.path());
        let result = output
            .stdout
            .split_once("<pre id=\"result\">")
            .and_then(|(_, rest)| rest.split_once("</pre>"));
        let Some((result, _)) = result else {
            panic!("no result: {output:?}");
        };
        // Colours and font of the manual's style sheet; a browser's own are black, blue, serif.
        for part in [
            "PostgreSQL 15",
            "heading=rgb(236, 88, 0)",
            "font=verdana",
            "link=rgb(0, 102, 162)",
        ] {
            assert!(result.contains(part), "no `{part}` in {result}");
        }
        served.stats().assert_no_trouble();
        served.stop();
    });
}
