//! The `quartz` command as a person uses it.

use crate::harness::network::{TAP, in_namespace, ip};
use crate::harness::process::{Output, Process, run};
use crate::harness::{STEP, kernel, light, soon, wait_until};
use quartz::http;
use quartz::journal::Journal;
use quartz_abi::ExitCode;
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The `quartz` command, deaf to the machine's own settings.
fn quartz() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quartz"));
    command.env_remove("SOURCE_DATE_EPOCH");
    command
}

/// `quartz run` with the kernel under test, by TCG, on a free port.
fn quartz_run() -> Command {
    let mut command = quartz();
    command.args(["run", "--accel", "tcg", "--port", "0", "--kernel"]);
    command.arg(kernel());
    command
}

/// A `quartz run` in the foreground of a test.
struct Running {
    child: Child,
    /// What it says on standard error.
    said: Arc<Journal>,
    /// Where it says that it serves.
    site: SocketAddr,
}

impl Running {
    fn start(command: &mut Command) -> Running {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = quartz::spawn::bound(command, Vec::new()).unwrap();
        let said = Journal::new(false);
        said.follow(child.stderr.take().unwrap()).unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        // The command itself ends this wait: it gives the guest 30 s.
        stdout.read_line(&mut line).unwrap();
        let site = line
            .strip_prefix("quartz: serving http://")
            .and_then(|rest| rest.trim_end().strip_suffix('/'))
            .unwrap_or_else(|| panic!("the line is {line:?}; {:?}", said.since(0)));
        let site = match site.parse() {
            Ok(site) => site,
            Err(_) => format!("{site}:80").parse().unwrap(),
        };
        Running { child, said, site }
    }

    fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// The QEMU process that it has started.
    fn qemu(&self) -> u32 {
        let path = format!("/proc/{0}/task/{0}/children", self.child.id());
        let children = fs::read_to_string(path).unwrap();
        children.trim().parse().unwrap()
    }

    fn status(&mut self) -> i32 {
        let deadline = soon();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().expect("an exit status");
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!(
                "--- what the command said ---\n{}",
                self.said.tail(40).join("\n")
            );
        }
    }
}

fn gone(pid: u32) -> bool {
    // A zombie is gone: it holds nothing but its number.
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|s| s.starts_with('Z')),
        Err(_) => true,
    }
}

fn fails(command: &mut Command, status: i32, words: &[&str]) -> Output {
    let output = run(command, Duration::from_secs(60));
    assert_eq!(
        output.status.code(),
        Some(status),
        "{command:?}: {output:?}"
    );
    for word in words {
        assert!(
            output.stderr.contains(word),
            "no `{word}` in what {command:?} said:\n{}",
            output.stderr
        );
    }
    assert!(!output.stdout.contains("serving"), "{output:?}");
    assert!(
        !output.stderr.contains("thread '"),
        "the tool panicked: {output:?}"
    );
    output
}

fn site() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("index.html"), "mine\n").unwrap();
    folder
}

#[test]
fn each_way_to_ask_for_the_end_drains_and_ends_with_0() {
    let _light = light();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let folder = site();
        let mut running = Running::start(quartz_run().arg("--site").arg(folder.path()));
        let answer = http::get(running.site, "/", soon()).unwrap();
        assert_eq!(answer.body, b"mine\n");
        let qemu = running.qemu();
        running.signal(signal);
        assert_eq!(running.status(), 0);
        assert!(gone(qemu), "QEMU outlived the command");
    }
}

#[test]
fn a_killed_command_takes_its_guest_along() {
    let _light = light();
    let mut running = Running::start(&mut quartz_run());
    let qemu = running.qemu();
    running.signal(Signal::KILL);
    let _ = running.child.wait();
    wait_until("QEMU is gone", || gone(qemu));
}

#[test]
fn nothing_is_left_in_the_temporary_directory() {
    let _light = light();
    let temporary = tempfile::tempdir().unwrap();
    let folder = site();
    for signal in [Signal::INT, Signal::KILL] {
        let mut command = quartz_run();
        command.arg("--site").arg(folder.path());
        command.env("TMPDIR", temporary.path());
        let mut running = Running::start(&mut command);
        running.signal(signal);
        let _ = running.child.wait();
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_second_signal_does_not_wait() {
    let _light = light();
    let mut running = Running::start(&mut quartz_run());
    let qemu = running.qemu();
    // A stopped QEMU drains nothing.
    let pid = rustix::process::Pid::from_raw(qemu as i32).unwrap();
    rustix::process::kill_process(pid, Signal::STOP).unwrap();
    running.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    let before = Instant::now();
    running.signal(Signal::INT);
    assert_eq!(running.status(), 3);
    assert!(before.elapsed() < Duration::from_secs(9), "it waited");
    assert!(gone(qemu));
}

#[test]
fn an_image_file_is_served() {
    let _light = light();
    let folder = site();
    let image = folder.path().join("../").join(format!(
        "{}.tar",
        folder.path().file_name().unwrap().to_str().unwrap()
    ));
    let output = run(
        quartz()
            .arg("pack")
            .arg(folder.path())
            .arg("-o")
            .arg(&image),
        STEP,
    );
    assert!(output.status.success(), "{output:?}");
    assert!(
        output.stderr.contains("packed 1 file, 5 bytes"),
        "{output:?}"
    );
    let mut running = Running::start(quartz_run().arg("--site").arg(&image));
    fs::remove_file(&image).unwrap();
    let answer = http::get(running.site, "/", soon()).unwrap();
    assert_eq!(answer.body, b"mine\n");
    running.signal(Signal::INT);
    assert_eq!(running.status(), 0);
}

#[test]
fn a_guest_on_a_tap_tells_its_own_address() {
    let _light = light();
    in_namespace(|| {
        let mut running = Running::start(quartz_run().args(["--net", &format!("tap:{TAP}")]));
        assert_eq!(running.site.to_string(), "10.0.2.15:80");
        assert_eq!(http::get(running.site, "/", soon()).unwrap().status, 200);
        running.signal(Signal::INT);
        assert_eq!(running.status(), 0);
    });
}

#[test]
fn the_admin_port_is_forwarded_and_told() {
    let _light = light();
    let mut running = Running::start(&mut quartz_run());
    // A line may be seen before its end.
    let whole = |line: &str| line.contains("look inside: ") && line.ends_with('`');
    let told = running.said.wait_for(0, soon(), whole);
    let told = told.expect("where to look inside");
    let at = told
        .split_once("http://")
        .unwrap()
        .1
        .split_once('/')
        .unwrap()
        .0;
    let admin: SocketAddr = at.parse().unwrap();
    assert!(
        told.contains(&format!("`quartz top http://{admin}`")),
        "{told}"
    );
    assert_eq!(http::get(admin, "/metrics", soon()).unwrap().status, 200);
    running.signal(Signal::INT);
    assert_eq!(running.status(), 0);

    let mut running = Running::start(quartz_run().args(["--append", "admin=off"]));
    assert_eq!(http::get(running.site, "/", soon()).unwrap().status, 200);
    running.signal(Signal::INT);
    assert_eq!(running.status(), 0);
    assert!(
        !running
            .said
            .since(0)
            .iter()
            .any(|line| line.contains("look inside"))
    );

    let port = quartz::port::free(0).unwrap();
    let mut running = Running::start(quartz_run().args(["--admin-port", &port.to_string()]));
    let admin = SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(http::get(admin, "/stats.json", soon()).unwrap().status, 200);
    running.signal(Signal::INT);
    assert_eq!(running.status(), 0);
}

#[test]
fn auto_picks_an_accelerator_that_works() {
    let _light = light();
    let cache = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut command = quartz();
        command
            .args(["run", "--port", "0", "--kernel"])
            .arg(kernel());
        command.env("XDG_CACHE_HOME", cache.path());
        let mut running = Running::start(&mut command);
        assert_eq!(http::get(running.site, "/", soon()).unwrap().status, 200);
        running.signal(Signal::INT);
        assert_eq!(running.status(), 0);
    }
}

#[test]
fn the_end_of_a_guest_is_told_with_its_status() {
    let _light = light();
    for (append, code) in [
        ("provoke=panic", ExitCode::Panic),
        ("provoke=null-read", ExitCode::Exception),
        ("provoke=out-of-memory", ExitCode::OutOfMemory),
    ] {
        let mut command = quartz_run();
        command.args(["--append", append]);
        let status = i32::from(quartz::outcome::status(code));
        fails(
            &mut command,
            status,
            &["FATAL", "backtrace", code.message()],
        );
    }
}

#[test]
fn qemu_missing_is_told() {
    let _light = light();
    let empty = tempfile::tempdir().unwrap();
    let words = ["QEMU is missing", "apt-get install qemu-system-x86"];
    fails(quartz_run().env("PATH", empty.path()), 1, &words);
    fails(
        quartz_run().args(["--qemu", "/nonexistent/qemu"]),
        1,
        &words,
    );
}

#[test]
fn a_qemu_that_fails_is_told_in_its_own_words() {
    let _light = light();
    let words = ["QEMU ended by itself (status 1)"];
    fails(quartz_run().args(["--qemu", "/bin/false"]), 4, &words);
}

#[test]
fn a_taken_port_is_told_with_its_holder() {
    let _light = light();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let me = format!("(process {})", std::process::id());
    let words = [port.as_str(), "is taken by", &me, "--port"];
    let mut command = quartz();
    command.args(["run", "--accel", "tcg", "--port", &port, "--kernel"]);
    fails(command.arg(kernel()), 1, &words);
}

#[test]
fn a_site_that_cannot_be_served_is_told() {
    let _light = light();
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    fails(
        quartz_run().arg("--site").arg(&missing),
        1,
        &["does not exist"],
    );
    fails(
        quartz_run().arg("--site").arg(folder.path()),
        1,
        &["is empty"],
    );
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/etc/hostname", link).unwrap();
    let words = ["symbolic link", "out of the site"];
    fails(quartz_run().arg("--site").arg(folder.path()), 1, &words);
    let output = fails(
        quartz().arg("pack").arg(kernel()),
        1,
        &["not a tar archive"],
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn an_unreadable_file_is_named() {
    let _light = light();
    let folder = site();
    let secret = folder.path().join("secret.html");
    fs::write(&secret, "x").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&secret).is_ok() {
        // The superuser reads everything, except a link that leads to itself.
        fs::remove_file(&secret).unwrap();
        std::os::unix::fs::symlink("secret.html", &secret).unwrap();
    }
    fails(
        quartz_run().arg("--site").arg(folder.path()),
        1,
        &["secret.html"],
    );
}

#[test]
fn a_site_larger_than_the_memory_is_told() {
    let _light = light();
    let folder = site();
    let big = fs::File::create(folder.path().join("big.bin")).unwrap();
    big.set_len(40 << 20).unwrap();
    let mut command = quartz_run();
    command
        .arg("--site")
        .arg(folder.path())
        .args(["--mem", "32M"]);
    fails(
        &mut command,
        1,
        &["larger than the memory", "--mem 48M", "MEM="],
    );
}

#[test]
fn a_kernel_that_is_missing_or_none_is_told() {
    let _light = light();
    let mut command = quartz();
    command.args(["run", "--kernel", "/nonexistent/kernel.elf"]);
    fails(
        &mut command,
        1,
        &["there is no kernel /nonexistent/kernel.elf", "make kernel"],
    );
    let mut command = quartz();
    command.args(["run", "--kernel", "/etc/passwd"]);
    fails(&mut command, 1, &["is no kernel"]);
}

#[test]
fn a_tap_that_cannot_be_used_is_told() {
    let _light = light();
    in_namespace(|| {
        let missing = ["there is no interface tap9", "ip tuntap add"];
        fails(quartz_run().args(["--net", "tap:tap9"]), 1, &missing);
        fails(quartz_run().args(["--net", "tap:lo"]), 1, &["is no tap"]);
        let mut running = Running::start(quartz_run().args(["--net", &format!("tap:{TAP}")]));
        let second = format!("tap:{TAP}");
        fails(quartz_run().args(["--net", &second]), 1, &["in use"]);
        running.signal(Signal::INT);
        assert_eq!(running.status(), 0);
        ip(&format!("link del {TAP}"));
    });
}

#[test]
fn wrong_words_are_told_before_anything_starts() {
    let _light = light();
    fails(
        quartz_run().args(["--append", "prot=80"]),
        1,
        &["unknown key `prot`", "the keys are ip, gw, ip6"],
    );
    fails(quartz_run().args(["--mem", "lots"]), 2, &["--mem"]);
    fails(quartz_run().args(["--net", "bridge"]), 2, &["tap:NAME"]);
    fails(quartz().arg("fly"), 2, &["fly"]);
    fails(
        quartz_run().args(["--append", "ip=192.0.2.1/24"]),
        1,
        &["10.0.2.0/24"],
    );
}

#[test]
fn a_qemu_without_sandbox_is_used_without() {
    let _light = light();
    let qemu = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/qemu-without-sandbox");
    let mut running = Running::start(quartz_run().args(["--qemu", qemu]));
    assert_eq!(http::get(running.site, "/", soon()).unwrap().status, 200);
    running.signal(Signal::INT);
    assert_eq!(running.status(), 0);
}

/// A guest whose address cannot be reached from here.
fn mute() -> Command {
    let mut command = quartz_run();
    command.args(["--net", &format!("tap:{TAP}")]);
    command.args(["--append", "ip=192.0.2.1/24"]);
    command
}

#[test]
fn a_guest_that_does_not_answer_is_given_up_with_what_it_said() {
    let _light = light();
    in_namespace(|| {
        let mut command = mute();
        command.args(["--answer-within", "2"]);
        let words = [
            "did not answer within 2 s",
            "on its serial line",
            "ready in",
        ];
        fails(&mut command, 5, &words);
    });
}

#[test]
fn a_signal_before_the_first_answer_stops_the_guest_too() {
    let _light = light();
    in_namespace(|| {
        let process = Process::start(&mut mute());
        let children = format!("/proc/{0}/task/{0}/children", process.id().as_raw_nonzero());
        wait_until("QEMU has been started", || {
            fs::read_to_string(&children).is_ok_and(|c| !c.is_empty())
        });
        process.signal(Signal::TERM);
        let output = process.finish(STEP);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    });
}
