//! gdb on a guest of `quartz run --debug`, and the names that a dead one gets.

use crate::harness::process::{Process, run, success};
use crate::harness::stats::Stats;
use crate::harness::{STEP, kernel, light, soon, wait_until};
use quartz::http::Client;
use quartz::journal::Journal;
use quartz::symbols;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

fn quartz_run() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quartz"));
    command.args(["run", "--accel", "tcg", "--port", "0", "--kernel"]);
    command.arg(kernel());
    command
}

/// A guest that waits for a debugger.
struct Held {
    child: Child,
    said: Arc<Journal>,
    stdout: BufReader<ChildStdout>,
}

impl Held {
    fn start(socket: &Path) -> Held {
        let mut command = quartz_run();
        command.arg(format!("--debug={}", socket.display()));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = quartz::spawn::bound(&mut command, Vec::new()).unwrap();
        let said = Journal::new(false);
        said.follow(child.stderr.take().unwrap()).unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Held {
            child,
            said,
            stdout,
        }
    }

    /// The command that it tells to attach with.
    fn attach(&self) -> String {
        let line = self
            .said
            .wait_for(0, soon(), |l| l.contains("target remote"));
        line.expect("a command to attach with").trim().to_owned()
    }

    /// Where the site is, once it says so.
    fn site(&mut self) -> SocketAddr {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let site = line.trim_end().strip_prefix("quartz: serving http://");
        site.unwrap_or_else(|| panic!("{line:?}: {:?}", self.said.since(0)))
            .trim_end_matches('/')
            .parse()
            .unwrap()
    }

    /// Asks it to end; it must, and within the limit.
    fn stop(mut self, within: Duration) {
        let pid = Pid::from_raw(self.child.id() as i32).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let deadline = Instant::now() + within;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "{status}: {:?}", self.said.since(0));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What gdb does: it looks once before the guest has run, then each time that it is interrupted.
const SCRIPT: &str = "\
set pagination off
set confirm off
python
try:
    gdb.execute('quartz rings')
except gdb.error as error:
    print('refused:', error)
end
hbreak kernel_main
continue
backtrace 1
delete
define look
  echo == look\\n
  quartz rings
  quartz flows
  quartz flow 0
  quartz time-wait
  quartz events 500
  quartz blackbox
end
continue
backtrace
shell touch HELD
look
continue
look
monitor dump-guest-memory DUMP
detach
";

#[test]
fn gdb_reads_rings_flows_and_events_of_a_guest_it_holds() {
    let _light = light();
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.gdb");
    let marker = folder.path().join("held");
    let dump = folder.path().join("dump");
    let text = SCRIPT
        .replace("HELD", marker.to_str().unwrap())
        .replace("DUMP", dump.to_str().unwrap());
    fs::write(&script, text).unwrap();
    let mut held = Held::start(&folder.path().join("gdb.sock"));
    let attach = held.attach();
    let mut command = Command::new("sh");
    command.args([
        "-c",
        &format!("exec {attach} -nx -batch -x {}", script.display()),
    ]);
    let gdb = Process::start(&mut command);

    // Let go at kernel_main, it boots and serves.
    let site = held.site();
    let mut closed = Client::connect(site, soon()).unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    closed.send(request).unwrap();
    assert_eq!(closed.answer(false).unwrap().status, 200);
    closed.at_end().unwrap();
    drop(closed);
    let mut idle = Client::connect(site, soon()).unwrap();
    let stats = Stats::from(&idle.request("GET", "/stats.json").unwrap());
    settle();
    gdb.signal(Signal::INT);
    // A request that came before it is held would be seen under way; one that comes now is not
    // answered before gdb has seen enough.
    wait_until("gdb holds the guest", || marker.exists());
    let again = Stats::from(&idle.request("GET", "/stats.json").unwrap());
    settle();
    gdb.signal(Signal::INT);
    let output = gdb.finish(STEP);
    let printed = format!("{}\n{}", output.stdout, output.stderr);
    assert!(output.status.success(), "{printed}");
    // Left, it goes on.
    assert_eq!(idle.request("GET", "/").unwrap().status, 200);
    held.stop(STEP);

    assert!(
        printed.contains("refused: the guest has not got so far"),
        "{printed}"
    );
    assert!(
        printed.contains("Breakpoint 1, quartz_kernel::kernel_main"),
        "{printed}"
    );
    // Where it slept, down to the first function.
    for function in ["Machine::run", "kernel_main", "pvh::start", "pvh_entry"] {
        assert!(printed.contains(function), "no {function} in {printed}");
    }
    let looks: Vec<&str> = printed.split("== look").skip(1).collect();
    assert_eq!(looks.len(), 2, "{printed}");
    for (look, stats) in looks.iter().zip([&stats, &again]) {
        let [rx, tx] = ["rx", "tx"].map(|ring| figures(look, ring));
        // It rests: what it had then it has now, but the frames that were being sent.
        assert_eq!(number(&rx, "gap"), stats.number("rx.gap"), "{look}");
        assert_eq!(number(&tx, "gap"), 0, "{look}");
        for (at, ring) in [(&rx, "rx"), (&tx, "tx")] {
            for name in ["size", "resets", "bad_used"] {
                let told = stats.number(&format!("{ring}.{name}"));
                assert_eq!(number(at, name), told, "{ring} {name} in {look}");
            }
            assert_eq!(number(at, "in memory: avail.idx"), number(at, "avail_idx"));
            assert_eq!(number(at, "in memory: used.idx"), number(at, "used_idx"));
            assert_eq!(number(at, "used, not taken in"), 0);
            let told = stats.number(&format!("{ring}.harvested"));
            let more = number(at, "harvested") - told;
            assert!(more < 20, "{ring}: {more} more since it was asked: {look}");
        }
        assert!(look.contains("1 connections;"), "{look}");
        let flow = |l: &&str| l.contains("Idle") && l.contains("10.0.2.15:80");
        assert!(look.lines().any(|l| flow(&l)), "{look}");
        assert!(look.contains("sender.una "), "{look}");
        // What closed before is remembered.
        let remembered = stats.number("connections.time_wait");
        assert!(remembered >= 1, "{}", stats.0);
        assert!(look.contains(&format!("{remembered} records")), "{look}");
        for event in ["Boot", "Interrupt", "Harvest", "Publish", "Kick"] {
            let shown = look.lines().any(|l| l.split(' ').any(|word| word == event));
            assert!(shown, "no {event} in {look}");
        }
        let build = symbols::build_of(&kernel()).unwrap().expect("a build id");
        assert!(look.contains(&format!("build {build}")), "{look}");
        assert!(look.contains("no failure recorded"), "{look}");
    }
    // All the figures, as the kernel itself had put them into the black box: a probe of the link
    // may have come in between, but hardly twice.
    let same = looks.iter().any(|look| {
        ["rx", "tx"].iter().all(|ring| {
            let boxed = look
                .lines()
                .find(|l| l.starts_with(&format!("{ring} then: ")));
            let boxed = boxed.unwrap_or_else(|| panic!("no black box in {look}"));
            let rows = figures(look, ring);
            let shown = rows[..14].iter().map(|(k, v)| format!("{k} {v}"));
            boxed.ends_with(&shown.collect::<Vec<_>>().join(", "))
        })
    });
    assert!(same, "{printed}");

    // A dump shows the same as the guest that it was made of.
    let (before, after) = attach.split_once("-ex 'target remote").expect(&attach);
    let symbols = after.split_once("' ").expect(&attach).1;
    let read = format!(
        "exec {before} -nx -batch -ex 'core-file {}' -ex backtrace -ex 'quartz rings' {symbols}",
        dump.display()
    );
    let dead = success(Command::new("sh").args(["-c", &read]), STEP);
    assert!(dead.contains("kernel_main"), "{dead}");
    assert_eq!(figures(&dead, "rx"), figures(looks[1], "rx"));
    assert_eq!(figures(&dead, "tx"), figures(looks[1], "tx"));
}

/// Time in which what is under way ends, and the black box is brought up to date.
fn settle() {
    sleep(Duration::from_millis(300));
}

/// Rows of `quartz rings`, of one ring.
fn figures(look: &str, ring: &str) -> Vec<(String, u64)> {
    let table = look.lines().skip_while(|line| !line.starts_with("ring "));
    let rows = table.skip(1).map_while(|line| {
        let mut words = line.split_ascii_whitespace().rev();
        let (tx, rx) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let name: Vec<&str> = words.rev().collect();
        Some((name.join(" "), if ring == "rx" { rx } else { tx }))
    });
    rows.collect()
}

fn number(rows: &[(String, u64)], name: &str) -> u64 {
    let row = rows.iter().find(|(row, _)| row == name);
    row.unwrap_or_else(|| panic!("no {name} in {rows:?}")).1
}

#[test]
fn a_guest_that_a_debugger_holds_is_stopped_at_once() {
    let _light = light();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("gdb.sock");
    let held = Held::start(&socket);
    held.attach();
    wait_until("QEMU opens the socket", || socket.exists());
    // Not after the ten seconds that a guest has to drain.
    held.stop(Duration::from_secs(8));
    assert!(!socket.exists(), "the socket was left behind");
    let other = folder.path().join("file");
    fs::write(&other, "precious").unwrap();
    let mut command = quartz_run();
    command.arg(format!("--debug={}", other.display()));
    let refused = run(&mut command, STEP);
    assert!(refused.stderr.contains("is no socket"), "{refused:?}");
    assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
}

#[test]
fn a_panic_is_named_by_the_symbols_of_its_build_and_by_no_others() {
    let _light = light();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("kernel.elf");
    fs::copy(kernel(), &copy).unwrap();
    let symbols = symbols::beside(&copy);

    let said = panicked(&copy);
    assert!(said.contains("no names: there is no"), "{said}");

    let mut bytes = fs::read(symbols::beside(&kernel())).unwrap();
    fs::write(&symbols, &bytes).unwrap();
    let said = panicked(&copy);
    let line = said
        .lines()
        .find(|l| l.contains("quartz_kernel::provoke::provoked "));
    let line = line.unwrap_or_else(|| panic!("no name in {said}"));
    let source =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel/src/provoke.rs"))
            .unwrap();
    let at = source
        .lines()
        .position(|l| l.contains("panic!(\"provoked\")"))
        .unwrap()
        + 1;
    assert!(
        line.ends_with(&format!("(kernel/src/provoke.rs:{at})")),
        "{line}"
    );

    // The same file, as if another build had left it.
    let build = symbols::build_of(&kernel()).unwrap().unwrap();
    let note = bytes.windows(16).position(|w| w == build.0).unwrap();
    bytes[note] ^= 1;
    fs::write(&symbols, &bytes).unwrap();
    let said = panicked(&copy);
    assert!(
        said.contains("no names: ") && said.contains(&format!("the kernel of build {build}")),
        "{said}"
    );
    assert!(
        !said.contains("quartz_kernel::provoke::provoked "),
        "{said}"
    );
}

/// What `quartz run` says of this kernel when it panics.
fn panicked(kernel: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quartz"));
    command.args([
        "run",
        "--accel",
        "tcg",
        "--port",
        "0",
        "--append",
        "provoke=panic",
    ]);
    command.arg("--kernel").arg(kernel);
    let output = run(&mut command, STEP);
    assert_eq!(output.status.code(), Some(17), "{output:?}");
    output.stderr
}
