//! Several guests behind what is usual for that: the examples in `examples/fleet`, as they are.

use crate::harness::guest::{boot, packed};
use crate::harness::process::{Process, run, success};
use crate::harness::steady::{Load, Tally};
use crate::harness::{STEP, heavy, light, soon, target, wait_until};
use quartz::guest::Patience;
use quartz::{http, port};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// How long starting three guests, or replacing them one after the other, may take.
const LONG: Duration = Duration::from_secs(60);

const NODES: [&str; 3] = ["one", "two", "three"];

/// A file of the examples.
fn example(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/fleet");
    folder.join(name).canonicalize().unwrap()
}

fn here(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A site of one page.
fn site(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir(&path).unwrap();
    fs::write(path.join("index.html"), format!("this is {name}\n")).unwrap();
    path
}

/// The page at an address.
fn page(at: SocketAddr) -> String {
    let answer = http::get(at, "/", soon()).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    String::from_utf8(answer.body).unwrap()
}

/// `fleet.sh` with ports and a directory of its own.
struct Fleet {
    folder: PathBuf,
    /// The load balancer's port, and the guests'.
    ports: [u16; 4],
}

impl Fleet {
    fn new(folder: &Path) -> Fleet {
        Fleet {
            folder: folder.join("fleet"),
            ports: std::array::from_fn(|_| port::free(0).unwrap()),
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(example("fleet.sh"));
        command
            .args(words)
            .env("FLEET", &self.folder)
            .env("QUARTZ", env!("CARGO_BIN_EXE_quartz"))
            .env("RUN", "--accel tcg --mem 32M");
        for (name, port) in ["PORT", "ONE", "TWO", "THREE"].iter().zip(self.ports) {
            command.env(name, port.to_string());
        }
        command
    }

    /// Starts it, and waits until it says that it serves.
    fn up(&self, site: &Path) -> Process {
        let log = self.folder.with_extension("log");
        let mut command = self.command(&["up", site.to_str().unwrap()]);
        // What it prints is read while it runs.
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$@\" >\"$0\" 2>&1"]).arg(&log);
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            shell.env(name, value.unwrap());
        }
        command = shell;
        let fleet = Process::start(&mut command);
        let said = || fs::read_to_string(&log).unwrap_or_default();
        let started = std::time::Instant::now();
        while !said().contains("fleet: serving") {
            assert!(started.elapsed() < LONG, "{}", said());
            sleep(Duration::from_millis(50));
        }
        fleet
    }

    fn status(&self, node: &str) -> String {
        let table = success(&mut self.command(&["status"]), STEP);
        let row = table.lines().find(|l| l.split(' ').next() == Some(node));
        row.unwrap_or_else(|| panic!("{table}")).to_owned()
    }

    /// The process of `quartz run` for a guest.
    fn process(&self, node: &str) -> Option<Pid> {
        let text = fs::read_to_string(self.folder.join(format!("{node}.pid"))).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // What a failed test has left: the guests are in sessions of their own.
        for node in NODES {
            if let Some(pid) = self.process(node) {
                let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                if command.starts_with(env!("CARGO_BIN_EXE_quartz").as_bytes()) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
        }
        if std::thread::panicking() {
            for file in ["fleet/one.log", "fleet/haproxy.log", "fleet.log"] {
                let path = self.folder.parent().unwrap().join(file);
                println!(
                    "--- {file} ---\n{}",
                    fs::read_to_string(path).unwrap_or_default()
                );
            }
        }
    }
}

fn none_failed(tally: &Tally) {
    assert!(tally.answered > 100, "{tally:?}");
    assert_eq!(tally.failures, Vec::<String>::new(), "{tally:?}");
    println!(
        "{} answered, none failed, slowest {:?}",
        tally.answered, tally.slowest
    );
}

#[test]
fn a_rolling_upgrade_behind_haproxy_loses_no_request() {
    let _heavy = heavy();
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| site(folder.path(), name));
    let fleet = Fleet::new(folder.path());
    let running = fleet.up(&old);
    let [front, guests @ ..] = fleet.ports.map(here);
    assert_eq!(page(front), "this is old\n");

    let load = Load::start(front);
    wait_until("the load runs", || load.answered() > 50);
    let rolled = run(&mut fleet.command(&["roll", new.to_str().unwrap()]), LONG);
    assert!(rolled.status.success(), "{rolled:?}");
    for guest in guests {
        assert_eq!(page(guest), "this is new\n");
    }
    let back = run(&mut fleet.command(&["roll", old.to_str().unwrap()]), LONG);
    assert!(back.status.success(), "{back:?}");
    for guest in guests {
        assert_eq!(page(guest), "this is old\n");
    }
    // One that cannot start is put back, and the others are not touched.
    let bad = folder.path().join("bad.tar");
    fs::write(&bad, vec![7; 2048]).unwrap();
    let refused = run(&mut fleet.command(&["roll", bad.to_str().unwrap()]), LONG);
    assert!(!refused.status.success(), "{refused:?}");
    assert!(refused.stdout.contains("back to"), "{refused:?}");
    for guest in guests {
        assert_eq!(page(guest), "this is old\n");
    }
    none_failed(&load.stop());

    // One that dies is asked no more.
    let load = Load::start(front);
    wait_until("the load runs", || load.answered() > 50);
    kill_process(fleet.process("two").unwrap(), Signal::KILL).unwrap();
    wait_until("HAProxy sees it", || fleet.status("two").contains(" DOWN"));
    for node in ["one", "three"] {
        assert!(fleet.status(node).contains(" UP"), "{node}");
    }
    let before = load.answered();
    wait_until("the others serve", || load.answered() > before + 50);
    let tally = load.stop();
    // Of each client the answer that it was just getting; HAProxy asks for those again that had
    // not begun.
    assert!(tally.failures.len() <= 6, "{tally:?}");
    println!(
        "killed: {} answered, failed {:?}",
        tally.answered, tally.failures
    );

    running.signal(Signal::TERM);
    running.finish(STEP);
    for guest in guests {
        assert!(
            http::get(guest, "/", soon()).is_err(),
            "{guest} still serves"
        );
    }
}

#[test]
fn caddy_asks_the_guests_that_are_well() {
    let _light = light();
    let places = [
        PathBuf::from("/usr/bin/caddy"),
        target("caddy/usr/bin/caddy"),
    ];
    let caddy = places.into_iter().find(|path| path.exists());
    let caddy = caddy.expect("Caddy is missing: run `qemu/setup.sh test` first");
    let folder = tempfile::tempdir().unwrap();
    let pages = site(folder.path(), "page");
    let guest = || boot(|machine| machine.site = packed(&pages));
    let (mut first, second) = (guest(), guest());
    let port = port::free(0).unwrap();
    // Nobody listens at the third.
    let ports = [
        ("PORT", port),
        ("ONE", first.site.port()),
        ("TWO", second.site.port()),
        ("THREE", port::free(0).unwrap()),
    ];
    let command = |word: &str| {
        let mut command = Command::new(&caddy);
        command.args([word, "--adapter", "caddyfile", "--config"]);
        command.arg(example("Caddyfile"));
        // It keeps what it knows below these.
        for name in ["FLEET", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "HOME"] {
            command.env(name, folder.path());
        }
        command.envs(ports.map(|(name, port)| (name, port.to_string())));
        command
    };
    let valid = run(&mut command("validate"), STEP);
    assert!(valid.status.success(), "{valid:?}");
    let running = Process::start(&mut command("run"));
    let front = here(port);
    wait_until("Caddy serves", || http::get(front, "/", soon()).is_ok());
    assert_eq!(page(front), "this is page\n");

    let load = Load::start(front);
    wait_until("the load runs", || load.answered() > 50);
    first.guest.stop(Patience::default(), None).unwrap();
    let before = load.answered();
    wait_until("the other serves", || load.answered() > before + 100);
    none_failed(&load.stop());
    running.signal(Signal::TERM);
    running.finish(STEP);
    second.stop();
}
