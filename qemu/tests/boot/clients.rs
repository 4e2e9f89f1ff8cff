//! Clients that people use: each fetches whole files, compressed forms and ranges, over connections
//! that go on and such that do not.

use crate::harness::STEP;
use crate::harness::guest::{Served, boot, packed};
use crate::harness::light;
use crate::harness::process::success;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// Of the text that every client fetches.
const LINES: usize = 2000;

fn text() -> String {
    (0..LINES)
        .map(|n| format!("line {n} of the text\n"))
        .collect()
}

/// Writes the text in three forms to a directory.
pub fn write_text(folder: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(text().as_bytes()).unwrap();
    let mut brotli = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams::default();
    brotli::BrotliCompress(&mut text().as_bytes(), &mut brotli, &parameters).unwrap();
    write("text.txt", text().as_bytes());
    write("text.txt.gz", &gzip.finish().unwrap());
    write("text.txt.br", &brotli);
}

/// A guest that serves the text, a page and a directory.
fn serve() -> Served {
    let folder = tempfile::tempdir().unwrap();
    write_text(folder.path());
    fs::create_dir(folder.path().join("dir")).unwrap();
    fs::write(folder.path().join("dir/index.html"), "a page\n").unwrap();
    fs::write(
        folder.path().join("index.html"),
        "<!doctype html><title>Index</title>\n",
    )
    .unwrap();
    boot(|machine| machine.site = packed(folder.path()))
}

/// Runs a script that is given the site's address; it ends badly if anything is wrong.
fn script(program: &str, flag: &str, text: &str) {
    let _light = light();
    let served = serve();
    let mut command = Command::new(program);
    command
        .args([flag, text])
        .env("SITE", format!("http://{}", served.site))
        .env("NO_PROXY", "*")
        .env("no_proxy", "*");
    let said = success(&mut command, STEP * 2);
    assert_eq!(said.trim(), "done");
    served.stats().assert_no_trouble();
    served.stop();
}

#[test]
fn curl_fetches_forms_ranges_and_what_has_changed() {
    let _light = light();
    let served = serve();
    let folder = tempfile::tempdir().unwrap();
    let curl = |words: &[&str], target: &str| {
        let mut command = Command::new("curl");
        command
            .args(["-sS", "--max-time", "15", "--noproxy", "*"])
            .args(words)
            .arg(format!("http://{}{target}", served.site))
            .current_dir(folder.path());
        success(&mut command, STEP)
    };
    let text = text();
    for words in [
        &[][..],
        &["--compressed"],
        &["--http1.0"],
        &["-H", "Connection: close"],
        &["-H", "Expect: 100-continue", "-X", "GET", "-d", "content"],
        &["-X", "GET", "-T", "-", "-H", "Expect:"],
    ] {
        assert!(curl(words, "/text.txt") == text, "{words:?}");
    }
    let size = ["-o", "/dev/null", "-w", "%{size_download}", "-H"];
    for coding in ["gzip", "br"] {
        let accept = format!("Accept-Encoding: {coding}");
        let few: usize = curl(&[&size[..], &[&accept]].concat(), "/text.txt")
            .parse()
            .unwrap();
        assert!(few < text.len() / 3, "{few} bytes by {coding}");
    }
    assert_eq!(curl(&["-r", "0-9"], "/text.txt"), text[..10]);
    assert_eq!(curl(&["-r", "-10"], "/text.txt"), text[text.len() - 10..]);
    let parts = curl(&["-r", "0-9,1000-1009"], "/text.txt");
    assert!(parts.contains(&text[..10]) && parts.contains(&text[1000..1010]));
    // A download goes on where it stopped.
    fs::write(folder.path().join("part"), &text[..1234]).unwrap();
    curl(&["-C", "-", "-o", "part"], "/text.txt");
    assert!(fs::read_to_string(folder.path().join("part")).unwrap() == text);
    // What is here already is not fetched again, by its tag and by its date.
    let code = ["-o", "copy", "-R", "-w", "%{http_code}"];
    let tag = ["--etag-save", "tag", "--etag-compare", "tag"];
    let by_tag = [&code[..], &tag].concat();
    assert_eq!(curl(&by_tag, "/text.txt"), "200");
    assert_eq!(curl(&by_tag, "/text.txt"), "304");
    assert_eq!(
        curl(&[&code[..], &["-z", "copy"]].concat(), "/text.txt"),
        "304"
    );
    assert_eq!(curl(&["-L"], "/dir?query"), "a page\n");
    served.stats().assert_no_trouble();
    served.stop();
}

#[test]
fn requests_for_python() {
    script(
        "/usr/bin/python3",
        "-c",
        r#"
import os, requests
site = os.environ["SITE"]
text = "".join(f"line {n} of the text\n" for n in range(2000))
with requests.Session() as session:
    session.trust_env = False
    for _ in range(50):
        answer = session.get(site + "/text.txt")
        assert answer.text == text and answer.headers["Content-Encoding"] == "gzip"
    plain = session.get(site + "/text.txt", headers={"Accept-Encoding": "identity"})
    assert plain.text == text and "Content-Encoding" not in plain.headers
    tag = plain.headers["ETag"]
    part = session.get(site + "/text.txt",
                       headers={"Accept-Encoding": "identity", "Range": "bytes=5-24", "If-Range": tag})
    assert part.status_code == 206 and part.text == text[5:25], part.headers
    assert session.get(site + "/text.txt", headers={"Accept-Encoding": "identity", "If-None-Match": tag}).status_code == 304
    moved = session.get(site + "/dir?a=b")
    assert moved.url.endswith("/dir/?a=b") and moved.text == "a page\n"
    assert session.get(site + "/nothing").status_code == 404
    assert session.post(site + "/", data=b"x" * 30000).status_code == 405
    assert session.options(site + "/").headers["Allow"] == "GET, HEAD, OPTIONS"
    assert session.head(site + "/text.txt").headers["Content-Length"]
    assert session.get(site + "/text.txt", headers={"Connection": "close"}).text == text
    assert session.get(site + "/text.txt", data=iter([b"in", b"chunks"])).text == text
print("done")
"#,
    );
}

#[test]
fn httpx_for_python() {
    script(
        "/usr/bin/python3",
        "-c",
        r#"
import asyncio, os, httpx
site = os.environ["SITE"]
text = "".join(f"line {n} of the text\n" for n in range(2000))
async def main():
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        answers = await asyncio.gather(*[client.get(site + "/text.txt") for _ in range(60)])
        assert all(a.text == text and "content-encoding" in a.headers for a in answers)
        part = await client.get(site + "/text.txt",
                                headers={"Accept-Encoding": "identity", "Range": "bytes=-20"})
        assert part.status_code == 206 and part.text == text[-20:]
        assert part.headers["Content-Range"] == f"bytes {len(text) - 20}-{len(text) - 1}/{len(text)}"
        moved = await client.get(site + "/dir?q", follow_redirects=True)
        assert moved.text == "a page\n" and str(moved.url).endswith("/dir/?q")
        assert (await client.get(site + "/nothing")).status_code == 404
        closed = await client.get(site + "/text.txt", headers={"Connection": "close"})
        assert closed.text == text
asyncio.run(main())
print("done")
"#,
    );
}

#[test]
fn fetch_of_node() {
    script(
        "node",
        "-e",
        r#"
const site = process.env.SITE, lines = [...Array(2000).keys()];
const text = lines.map((n) => `line ${n} of the text\n`).join("");
const check = (good, what) => { if (!good) throw new Error(what); };
const get = (path, headers = {}, more = {}) => fetch(site + path, { headers, ...more });
(async () => {
    for (let round = 0; round < 5; round++) {
        const answers = await Promise.all([...Array(20)].map(() => get("/text.txt")));
        for (const answer of answers) {
            check(answer.headers.get("content-encoding"), "no coding");
            check(await answer.text() === text, "another text");
        }
    }
    const whole = await get("/text.txt", { "Accept-Encoding": "identity" });
    check(!whole.headers.has("content-encoding"), "a coding");
    check(await whole.text() === text, "another text without coding");
    const part = await get("/text.txt", { "Accept-Encoding": "identity", Range: "bytes=100-199" });
    check(part.status === 206 && await part.text() === text.slice(100, 200), "another part");
    const tag = whole.headers.get("etag");
    const known = await get("/text.txt", { "Accept-Encoding": "identity", "If-None-Match": tag });
    check(known.status === 304, "not 304");
    const moved = await get("/dir?q");
    check(moved.redirected && moved.url.endsWith("/dir/?q") && await moved.text() === "a page\n", "not moved");
    const post = await get("/", {}, { method: "POST", body: "x".repeat(30000) });
    check(post.status === 405 && await post.text(), "not 405");
    check((await get("/nothing")).status === 404, "not 404");
    check(await (await get("/text.txt", { Connection: "close" })).text() === text, "not after a close");
    console.log("done");
})().catch((error) => { console.error(error); process.exit(1); });
"#,
    );
}

/// A number behind a word in what a program printed.
fn number(said: &str, before: &str) -> u64 {
    let found = said
        .lines()
        .find_map(|line| line.trim().strip_prefix(before));
    let figures = found.and_then(|rest| rest.split_whitespace().next());
    figures
        .and_then(|figures| figures.parse().ok())
        .unwrap_or_else(|| panic!("no {before} in {said}"))
}

#[test]
fn ab_keeps_connections_and_closes_them() {
    let _light = light();
    let served = serve();
    for (words, kept) in [
        (&["-k"][..], 400),
        (&[], 0),
        (&["-k", "-H", "Accept-Encoding: gzip"], 400),
    ] {
        let mut command = Command::new("ab");
        command
            .args(["-q", "-n", "400", "-c", "8", "-s", "20"])
            .args(words)
            .arg(format!("http://{}/text.txt", served.site));
        let said = success(&mut command, STEP * 2);
        assert_eq!(number(&said, "Complete requests:"), 400);
        assert_eq!(number(&said, "Failed requests:"), 0);
        assert!(!said.contains("Non-2xx"), "{said}");
        if kept > 0 {
            assert_eq!(number(&said, "Keep-Alive requests:"), kept);
        }
    }
    served.stats().assert_no_trouble();
    served.stop();
}

#[test]
fn h2load_asks_in_rows_by_http_1() {
    let _light = light();
    let served = serve();
    for words in [
        &["-m1"][..],
        &["-m4"],
        &["-m1", "-H", "Range: bytes=100-199"],
        &["-m1", "-H", "Accept-Encoding: br"],
    ] {
        let mut command = Command::new("h2load");
        command
            .args(["--h1", "-n400", "-c8"])
            .args(words)
            .arg(format!("http://{}/text.txt", served.site));
        let said = success(&mut command, STEP * 2);
        let good =
            "400 total, 400 started, 400 done, 400 succeeded, 0 failed, 0 errored, 0 timeout";
        assert!(said.contains(good) && said.contains("400 2xx"), "{said}");
    }
    served.stats().assert_no_trouble();
    served.stop();
}

#[test]
fn wrk_asks_for_forms_and_ranges() {
    let _light = light();
    let served = serve();
    for header in [
        "Accept-Encoding: br",
        "Range: bytes=100-199",
        "Range: bytes=0-9,2000-2009",
        "Connection: close",
    ] {
        let before = served.stats().number("requests_served");
        let mut command = Command::new("wrk");
        command
            .args(["-t1", "-c8", "-d1s", "--timeout", "10s", "-H", header])
            .arg(format!("http://{}/text.txt", served.site));
        let said = success(&mut command, STEP);
        assert!(
            !said.contains("Socket errors") && !said.contains("Non-2xx"),
            "{header}: {said}"
        );
        assert!(
            served.stats().number("requests_served") > before + 1,
            "{header}: {said}"
        );
    }
    served.stats().assert_no_trouble();
    served.stop();
}
