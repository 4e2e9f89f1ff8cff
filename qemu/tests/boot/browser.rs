//! A real browser renders a page of the manual with its style sheet.

use crate::clients;
use crate::harness::browser::{checked, chromium};
use crate::harness::guest::packed;
use crate::harness::network::{boot_on_tap, in_namespace};
use crate::harness::process::{Output, run};
use crate::harness::{heavy, manual};
use std::fs;
use std::path::Path;
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

/// The document at `url` after its scripts ran, as Chromium has it.
fn render(url: &str, profile: &Path) -> Output {
    let mut command = chromium(profile);
    command.args(["--timeout=30000", "--dump-dom", url]);
    run(&mut command, Duration::from_secs(90))
}

#[test]
fn a_page_renders_with_its_style_sheet() {
    let _heavy = heavy();
    in_namespace(|| {
        let served = boot_on_tap(|machine| machine.site = checked(&manual(), CHECK));
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

/// A page that fetches a text in its ways, one after the other, before it is loaded.
const FETCH: &str = r#"<!doctype html><title>fetch</title><pre id="result">nothing</pre>
<script>
const get = (path, fields) => {
    const request = new XMLHttpRequest();
    request.open("GET", path, false);
    for (const name in fields) request.setRequestHeader(name, fields[name]);
    request.send();
    return request;
};
const lines = [...Array(2000).keys()].map((n) => `line ${n} of the text\n`).join("");
const said = [];
for (let n = 0; n < 20; n++) {
    const whole = get("/text.txt?" + n, {});
    said.push("whole=" + (whole.responseText === lines) + whole.getResponseHeader("Content-Encoding"));
}
const part = get("/text.txt?part", { Range: "bytes=5-24" });
said.push("part=" + part.status + (part.getResponseHeader("Content-Range") !== null));
const entries = performance.getEntriesByType("resource");
said.push("reused=" + entries.filter((entry) => entry.connectStart === entry.connectEnd).length);
document.getElementById("result").textContent = said.join(";");
</script>"#;

#[test]
fn a_browser_keeps_its_connection_and_takes_compressed_forms_and_ranges() {
    let _heavy = heavy();
    in_namespace(|| {
        let folder = tempfile::tempdir().unwrap();
        clients::write_text(folder.path());
        fs::write(folder.path().join("fetch.html"), FETCH).unwrap();
        let served = boot_on_tap(|machine| machine.site = packed(folder.path()));
        let profile = tempfile::tempdir().unwrap();
        let output = render(
            &format!("http://{}/fetch.html", served.site),
            profile.path(),
        );
        let said = output.stdout;
        // Browsers ask for brotli on encrypted connections only.
        assert_eq!(said.matches("whole=truegzip").count(), 20, "{said}");
        assert!(said.contains("part=206true"), "{said}");
        let reused = said
            .split_once("reused=")
            .and_then(|(_, rest)| rest.split_once('<'));
        let reused: u32 = reused.expect("a number").0.parse().unwrap();
        assert!(
            reused >= 18,
            "only {reused} fetches used an open connection"
        );
        served.stats().assert_no_trouble();
        served.stop();
    });
}
