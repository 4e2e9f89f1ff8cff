//! Steps of the documentation that are really taken.
//!
//! A block whose fence says `sh run` is run as it stands, by bash, in an empty directory in which
//! `target` is the one of this build and `quartz` the command under test. If the next block's fence
//! says `text output`, it shows what comes on standard output; `…` stands for anything in a line.

use crate::page::{Block, pages, tell};
use crate::root;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a step may take.
const STEP: Duration = Duration::from_secs(60);

/// A script that runs, with all that it starts; ends with its scope.
struct Script {
    bash: Child,
    folder: tempfile::TempDir,
}

impl Script {
    fn start(script: &str) -> Script {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().join("here");
        fs::create_dir(&here).unwrap();
        symlink(
            root().canonicalize().unwrap().join("target"),
            here.join("target"),
        )
        .unwrap();
        let bin = Path::new(env!("CARGO_BIN_EXE_quartz")).parent().unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let file = |name: &str| File::create(folder.path().join(name)).unwrap();
        let bash = Command::new("bash")
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(&here)
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"))
            .process_group(0)
            .spawn()
            .unwrap();
        Script { bash, folder }
    }

    fn here(&self) -> PathBuf {
        self.folder.path().join("here")
    }

    /// What it has said so far, on `out` or `err`.
    fn said(&self, on: &str) -> String {
        fs::read_to_string(self.folder.path().join(on)).unwrap()
    }

    /// What it says on standard output, or what went wrong.
    fn finish(mut self) -> Result<String, String> {
        let deadline = Instant::now() + STEP;
        loop {
            match self.bash.try_wait().unwrap() {
                Some(status) if status.success() => return Ok(self.said("out")),
                Some(status) => return Err(format!("it ends with {status}: {}", self.said("err"))),
                None if Instant::now() > deadline => {
                    return Err(format!("it takes longer than {STEP:?}"));
                }
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.bash.id() as i32) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.bash.wait();
    }
}

/// Whether `said` is what `shown` shows.
fn same(shown: &str, said: &str) -> bool {
    let (mut shown, mut said) = (shown.lines(), said.lines());
    loop {
        match (shown.next(), said.next()) {
            (None, None) => return true,
            (Some(shown), Some(said)) if like(shown.trim_end(), said.trim_end()) => {}
            _ => return false,
        }
    }
}

/// Whether a line is like one in which `…` stands for anything.
fn like(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    for (at, part) in parts.iter().enumerate() {
        if at + 1 == parts.len() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(found) => rest = &rest[found + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

#[test]
fn a_line_is_like_its_pattern() {
    for (pattern, line, expected) in [
        ("abc", "abc", true),
        ("abc", "abcd", false),
        ("a…c", "abbbc", true),
        ("a…", "a", true),
        ("…b…d", "abcd", true),
        ("…b…d", "acd", false),
    ] {
        assert_eq!(like(pattern, line), expected, "{pattern} {line}");
    }
}

#[test]
fn every_block_that_says_run_runs() {
    let mut complaints = Vec::new();
    let mut ran = 0;
    for page in pages() {
        for (at, block) in page.blocks.iter().enumerate() {
            if !block.has("run") {
                continue;
            }
            ran += 1;
            match Script::start(&block.text).finish() {
                Err(what) => complaints.push(format!("{}: {what}", page.at(block.line))),
                Ok(said) => {
                    let next = page.blocks.get(at + 1).filter(|next| next.has("output"));
                    if let Some(shown) = next.filter(|shown| !same(&shown.text, &said)) {
                        complaints.push(format!(
                            "{}: the output is now:\n{said}",
                            page.at(shown.line)
                        ));
                    }
                }
            }
        }
    }
    tell(
        &complaints,
        "The block is run as it stands: see qemu/tests/docs/steps.rs.",
    );
    assert!(ran > 0, "no block says `sh run`");
}

/// The first block of docs/settings.md that starts the kernel by QEMU alone.
fn by_qemu_alone() -> Block {
    let settings = pages()
        .into_iter()
        .find(|page| page.path.ends_with("settings.md"));
    let blocks = settings.unwrap().blocks.into_iter();
    let starts = |block: &Block| {
        block.text.contains("qemu-system-x86_64") && block.text.contains("-initrd site.tar")
    };
    let block = { blocks }.find(starts);
    block.expect("docs/settings.md shows how to start the kernel by QEMU alone, with a plain tar")
}

#[test]
fn the_kernel_is_started_by_qemu_alone_as_its_page_says() {
    let block = by_qemu_alone();
    assert!(
        block.text.contains("make kernel"),
        "the kernel is built first"
    );
    assert!(
        crate::root().join("target/quartz-unikernel.elf").exists(),
        "the kernel is not built: run `make kernel` first"
    );
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let site = listener.local_addr().unwrap();
    drop(listener);
    // It is built already; the port is another one; the site is made where the block looks for it.
    let mut script = block.text.replace("make kernel", ":");
    assert!(script.contains("127.0.0.1:8080"), "{script}");
    script = script.replace("127.0.0.1:8080", &site.to_string());
    let folder = "path/to/site";
    assert!(script.contains(folder), "{script}");
    let page = "served by QEMU alone";
    script.insert_str(
        0,
        &format!("mkdir -p {folder}; echo '{page}' > {folder}/index.html\n"),
    );
    let running = Script::start(&script);
    let deadline = Instant::now() + STEP;
    loop {
        match get(site) {
            Ok(answer) if answer.contains(page) => break,
            other if Instant::now() > deadline => panic!(
                "{other:?}; it said: {}{}",
                running.said("out"),
                running.said("err")
            ),
            _ => thread::sleep(Duration::from_millis(100)),
        }
    }
    assert!(running.here().join("site.tar").exists());
}

/// The answer to a request for `/`.
fn get(site: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&site, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
