//! The units themselves: install, start, READY, watchdog, stop, reload, limits, removal.

use super::container::Container;
use super::harness::exposition::check_metrics;
use super::harness::wait_until;
use std::net::TcpListener;
use std::time::{Duration, Instant};

const NAME: &str = "unit";

/// Each test with its name, in this order.
pub const TESTS: [(&str, fn(&Container)); 16] = [
    ("start returns when the guest has answered", start_is_ready),
    ("the exposure is 2.0 or better", exposure),
    (
        "status, list, console, autopsy and metrics tell",
        commands_tell,
    ),
    ("a change of state runs the operator's command", hook_runs),
    (
        "a reload sees that the site's file has changed",
        reload_sees,
    ),
    ("a stop drains and leaves nothing", stop_leaves_nothing),
    (
        "a connection made meanwhile waits for the guest",
        connections_wait,
    ),
    (
        "a supervisor that hangs is replaced by systemd's watchdog",
        watchdog_bites,
    ),
    ("stopped right after the start it stops", stop_after_start),
    (
        "a stop of a QEMU that stands still ends by force",
        stop_by_force,
    ),
    (
        "a stop goes on when the supervisor is killed in it",
        stop_without_supervisor,
    ),
    ("a crash loop is given up and told", crash_loop),
    (
        "a refused configuration and a taken port are told",
        refusals,
    ),
    ("ten guests start and stop at once", ten_at_once),
    (
        "the package is replaced under a running guest",
        package_replaced,
    ),
    (
        "a removed package leaves nothing but what the operator wrote",
        package_removed,
    ),
];

fn configuration(more: &str) -> String {
    format!("listen = \"127.0.0.1:8081\"\naccelerator = \"tcg\"\n{more}")
}

fn started(c: &Container, more: &str) {
    c.run(&format!(
        "systemctl stop quartz@{NAME}; systemctl reset-failed"
    ));
    c.ok("rm -rf /etc/systemd/system/quartz@unit.service.d");
    c.configure(NAME, &configuration(more));
    c.ok(&format!("systemctl start quartz@{NAME}"));
}

fn show(c: &Container, property: &str) -> String {
    let text = c.ok(&format!("systemctl show -P {property} quartz@{NAME}"));
    text.trim().to_owned()
}

fn stopped(c: &Container) {
    c.ok(&format!("systemctl stop quartz@{NAME}"));
    assert!(!c.has_guests(), "a QEMU is left");
}

fn start_is_ready(c: &Container) {
    started(c, "");
    // Once: the service was ready only after the first answer on this very path.
    assert_eq!(
        c.ok("curl -s -m 20 http://127.0.0.1:8081/healthz").trim(),
        "ok"
    );
    assert_eq!(show(c, "ActiveState"), "active");
    assert!(show(c, "StatusText").contains("healthy"));
    // In a user's name that exists as long as it runs, without any capability.
    let who = c.ok("ps -o user:32= -p $(pgrep qemu-system)");
    assert_eq!(who.trim(), "quartz-unit");
    let caps = c.ok("grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/$(pgrep qemu-system)/status");
    assert!(caps.contains("CapEff:\t0000000000000000"), "{caps}");
    assert!(
        caps.contains("NoNewPrivs:\t1") && caps.contains("Seccomp:\t2"),
        "{caps}"
    );
}

fn exposure(c: &Container) {
    for unit in ["quartz@unit", "quartz-forward@unit"] {
        let text = c.ok(&format!(
            "systemd-analyze security --no-pager {unit} | tail -n 1"
        ));
        let number = text
            .split(": ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let exposure: f64 = number.and_then(|n| n.parse().ok()).expect(&text);
        println!("    {}", text.trim());
        assert!(exposure <= 2.0, "{text}");
    }
}

fn commands_tell(c: &Container) {
    started(
        c,
        "metrics = \"127.0.0.1:9181\"\n[autopsy]\nmemory = true\n",
    );
    let table = c.ok("quartz status");
    assert!(
        table.contains("unit") && table.contains("healthy"),
        "{table}"
    );
    let list: serde_json::Value = serde_json::from_str(&c.ok("quartz list --json")).unwrap();
    assert!(
        list.as_array()
            .unwrap()
            .iter()
            .any(|one| one["name"] == NAME),
        "{list}"
    );
    let said = c.ok("echo version | quartz console unit");
    assert!(
        said.contains("ready in") && said.contains(", up "),
        "{said}"
    );
    // Key by key, from a terminal that `script` provides, and while heartbeats come.
    let keys = "(sleep 1.5; printf 'uptmie\\b\\b\\bime\\r'; sleep 1; printf '\\035') | \
                script -qec 'quartz console unit' /dev/null";
    let said = c.ok(keys);
    assert!(
        said.contains("Ctrl-] leaves") && said.contains("\nup "),
        "{said}"
    );
    assert!(!said.contains("heartbeat"), "{said}");
    // A capture is a file: its magic number, and more than its head.
    c.ok("quartz console unit --pcap - --seconds 2 > /tmp/frames");
    let magic = c.ok("od -An -tx4 -N4 /tmp/frames");
    assert_eq!(magic.trim(), "a1b2c3d4");
    c.ok("test $(stat -c %s /tmp/frames) -gt 200");
    let log = c.ok("quartz console unit --no-input");
    assert!(
        log.contains("pcap: capturing") && !log.contains("pcap 0 "),
        "{log}"
    );
    let told = c.ok("quartz autopsy unit");
    let (verdict, folder) = told.trim().split_once('\n').expect(&told);
    assert_eq!(verdict, "verdict: every part answers");
    let report = c.ok(&format!("quartz autopsy {folder}"));
    assert!(
        report.starts_with(verdict) && report.contains("missing: nothing"),
        "{report}"
    );
    // The package brings the kernel's symbols.
    let place = report
        .split("## Where the guest was")
        .nth(1)
        .expect(&report);
    assert!(
        place.contains("quartz_kernel::machine::Machine>::run (kernel/src/machine.rs:"),
        "{report}"
    );
    for file in [
        "blackbox",
        "rx-used",
        "registers.txt",
        "monitor.json",
        "process.txt",
    ] {
        c.ok(&format!("test -s {folder}/{file}"));
    }
    // What was saved is read by the same command.
    assert!(
        c.ok(&format!("quartz autopsy {folder}/blackbox"))
            .starts_with("verdict: no failure")
    );
    assert!(
        c.ok(&format!("quartz autopsy {folder}/memory"))
            .starts_with("verdict: no failure")
    );
    let figures = c.ok("curl -s -m 20 http://127.0.0.1:9181/metrics");
    check_metrics(figures.as_bytes());
    assert!(
        figures.contains("quartz_host_guest_scraped{guest=\"unit\"} 1")
            && figures.contains("\nquartz_http_requests_total{code=\"2xx\"} "),
        "{figures}"
    );
    // The guest's own pages are behind the same address.
    let page = c.ok("curl -s -m 20 --compressed http://127.0.0.1:9181/");
    assert!(
        page.contains("<title>Quartz, from inside</title>"),
        "{page}"
    );
    let flows = c.ok("curl -s -m 20 http://127.0.0.1:9181/flows.json");
    assert!(flows.contains("\"port\":9100"), "{flows}");
    let top = c.ok("quartz top unit --once");
    assert!(
        top.starts_with("quartz top unit ") && top.contains("live\nhealthy, guest "),
        "{top}"
    );
    assert!(
        figures.contains("quartz_host_healthy{guest=\"unit\"} 1"),
        "{figures}"
    );
    assert!(
        figures.contains("quartz_host_autopsies_total{guest=\"unit\"} 1"),
        "{figures}"
    );
    // The journal has the fields.
    let fields = c.ok("journalctl -o cat --no-pager QUARTZ_NAME=unit QUARTZ_STATE=healthy");
    assert!(fields.contains("unit: healthy"), "{fields}");
}

fn hook_runs(c: &Container) {
    let hook = "on_event = [\"sh\", \"-c\", \"echo $QUARTZ_NAME $QUARTZ_STATE >> /var/lib/quartz/unit/told\"]\n";
    started(c, hook);
    wait_until("the hook has run", || {
        let told = c.run("cat /var/lib/quartz/unit/told").stdout;
        told.contains("unit starting") && told.contains("unit healthy")
    });
}

fn reload_sees(c: &Container) {
    let pack = |text: &str| {
        c.ok(&format!(
            "mkdir -p /root/own && echo {text} > /root/own/index.html && \
             quartz pack /root/own -o /root/own.tar && cp /root/own.tar /srv/own.tar"
        ))
    };
    pack("first");
    started(c, "site = \"/srv/own.tar\"\n");
    let unchanged = c.run(&format!("quartz reload {NAME}"));
    assert!(
        unchanged.stderr.contains("nothing has changed"),
        "{unchanged:?}"
    );
    pack("other");
    let taken = c.run(&format!("quartz reload {NAME}"));
    assert!(taken.stderr.contains("has taken over"), "{taken:?}");
    let page = c.ok("curl -s http://127.0.0.1:8081/");
    assert_eq!(page, "other\n");
}

fn stop_leaves_nothing(c: &Container) {
    started(c, "");
    stopped(c);
    assert_eq!(
        (show(c, "ActiveState"), show(c, "Result")),
        ("inactive".into(), "success".into())
    );
    let left = c.run("ls /run/quartz/unit/").stdout;
    assert!(left.is_empty(), "{left}");
    let journal = c.ok("journalctl --no-pager -o cat QUARTZ_NAME=unit -n 1");
    assert!(journal.contains("it ended as asked"), "{journal}");
}

fn connections_wait(c: &Container) {
    started(c, "");
    stopped(c);
    c.ok("(curl -s -m 60 http://127.0.0.1:8081/healthz > /tmp/waited; echo done >> /tmp/waited) > /dev/null 2>&1 &");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(c.ok("cat /tmp/waited"), "", "somebody answered");
    c.ok("systemctl start quartz@unit");
    wait_until("the answer has come", || {
        c.ok("cat /tmp/waited").contains("done")
    });
    assert!(c.ok("cat /tmp/waited").starts_with("ok"));
}

fn watchdog_bites(c: &Container) {
    c.run("systemctl stop quartz@unit");
    c.ok("mkdir -p /etc/systemd/system/quartz@unit.service.d && printf '[Service]\\nWatchdogSec=3\\nTimeoutAbortSec=1\\n' > /etc/systemd/system/quartz@unit.service.d/test.conf && systemctl daemon-reload");
    c.ok("systemctl start quartz@unit");
    // It is fed: nothing happens for longer than the watchdog's time.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(show(c, "NRestarts"), "0");
    let before = c.healthy(NAME);
    c.ok("systemctl kill --kill-who=main -s STOP quartz@unit");
    wait_until("systemd starts another", || show(c, "NRestarts") == "1");
    let after = c.healthy(NAME);
    assert_eq!(
        before["guest"]["pid"], after["guest"]["pid"],
        "the guest was not kept"
    );
    assert_eq!(after["starts"], 1);
}

fn stop_after_start(c: &Container) {
    started(c, "");
    stopped(c);
    for _ in 0..3 {
        c.ok("systemctl start --no-block quartz@unit; systemctl stop quartz@unit");
        assert!(!c.has_guests(), "a QEMU is left");
        assert_eq!(show(c, "ActiveState"), "inactive");
    }
}

fn stop_by_force(c: &Container) {
    started(c, "[stop]\ndrain = 1\n");
    c.ok("kill -STOP $(pgrep qemu-system)");
    let began = Instant::now();
    stopped(c);
    println!("    it took {:?}", began.elapsed());
    let journal = c.ok("journalctl --no-pager -o cat QUARTZ_NAME=unit -n 1");
    assert!(journal.contains("stopped"), "{journal}");
}

fn stop_without_supervisor(c: &Container) {
    started(c, "[stop]\ndrain = 60\n");
    c.ok("kill -STOP $(pgrep qemu-system)");
    c.ok("systemctl stop --no-block quartz@unit");
    wait_until("it stops", || c.status(NAME)["state"] == "stopping");
    c.ok("kill -KILL $(systemctl show -P MainPID quartz@unit)");
    wait_until("the service has ended", || {
        show(c, "ActiveState") != "deactivating"
    });
    assert!(!c.has_guests(), "a QEMU is left");
}

fn crash_loop(c: &Container) {
    c.run("systemctl stop quartz@unit; systemctl reset-failed");
    c.ok("rm -rf /var/lib/private/quartz/unit/autopsies");
    let more = "append = \"provoke=panic\"\n[restart]\nstarts = 3\npause = 0.1\n";
    c.configure(NAME, &configuration(more));
    assert!(!c.run("systemctl start quartz@unit").status.success());
    assert_eq!(show(c, "ActiveState"), "failed");
    // Given up by the supervisor, so systemd does not try again.
    assert_eq!(
        (show(c, "ExecMainStatus"), show(c, "NRestarts")),
        ("6".into(), "0".into())
    );
    assert_eq!(
        c.ok("ls /var/lib/private/quartz/unit/autopsies | wc -l")
            .trim(),
        "3"
    );
    let journal = c.ok("journalctl --no-pager -o cat QUARTZ_NAME=unit QUARTZ_STATE=failed -n 1");
    assert!(
        journal.contains("given up after 3 starts") && journal.contains("panicked"),
        "{journal}"
    );
    assert!(!c.has_guests());
    started(c, "");
}

fn refusals(c: &Container) {
    c.run("systemctl stop quartz@unit");
    c.configure(NAME, &configuration("sight = \"/srv\"\n"));
    assert!(!c.run("systemctl start quartz@unit").status.success());
    assert_eq!(show(c, "ExecMainStatus"), "78");
    let journal = c.ok("journalctl --no-pager -o cat -u quartz@unit -n 30");
    assert!(
        journal.contains("line 3") && journal.contains("sight"),
        "{journal}"
    );

    c.run(
        "systemctl stop quartz@unit quartz@unit.socket quartz-forward@unit; systemctl reset-failed",
    );
    c.configure(NAME, &configuration(""));
    let taken = TcpListener::bind("127.0.0.1:8081").unwrap();
    assert!(!c.run("systemctl start quartz@unit").status.success());
    let journal = c.ok("journalctl --no-pager -o cat -u quartz@unit.socket -n 10");
    assert!(journal.contains("Address already in use"), "{journal}");
    drop(taken);
    c.ok("systemctl reset-failed; systemctl start quartz@unit");
    stopped(c);
}

fn ten_at_once(c: &Container) {
    let units: Vec<String> = (0..10).map(|n| format!("quartz@ten-{n}")).collect();
    for n in 0..10 {
        let text = format!(
            "listen = \"127.0.0.1:{}\"\naccelerator = \"tcg\"\n",
            8100 + n
        );
        c.configure(&format!("ten-{n}"), &text);
    }
    let units = units.join(" ");
    c.ok(&format!("systemctl start {units}"));
    for n in 0..10 {
        let url = format!("http://127.0.0.1:{}/healthz", 8100 + n);
        assert_eq!(c.ok(&format!("curl -s -m 20 {url}")).trim(), "ok");
    }
    assert_eq!(c.ok("pgrep -c qemu-system").trim(), "10");
    c.ok(&format!("systemctl stop {units}"));
    assert!(!c.has_guests(), "a QEMU is left");
    // Stopped while they start, all at once.
    c.ok(&format!(
        "systemctl start --no-block {units}; systemctl stop {units}"
    ));
    assert!(!c.has_guests(), "a QEMU is left");
    c.ok("rm /etc/quartz/ten-*.toml; systemctl daemon-reload");
}

fn package_replaced(c: &Container) {
    started(c, "");
    let before = c.healthy(NAME);
    c.ok("dpkg -i /srv/shared/quartz.deb");
    wait_until("the new supervisor has adopted the guest", || {
        c.status(NAME)["metrics"]["adoptions_total"] == 1
    });
    let after = c.healthy(NAME);
    assert_eq!(
        before["guest"]["pid"], after["guest"]["pid"],
        "the guest was not kept"
    );
    assert_eq!(show(c, "NRestarts"), "0");
}

fn package_removed(c: &Container) {
    started(c, "");
    c.ok("dpkg -r quartz");
    assert!(!c.has_guests(), "a QEMU is left");
    let left = c
        .run("ls -d /usr/bin/quartz /usr/lib/quartz /usr/lib/systemd/system/quartz*")
        .stdout;
    assert!(left.is_empty(), "{left}");
    c.ok("test -f /etc/quartz/unit.toml && rm /etc/quartz/unit.toml");
    // Nobody holds the port any more: the container shares this program's network.
    drop(TcpListener::bind("127.0.0.1:8081").unwrap());
    c.ok("dpkg -i /srv/shared/quartz.deb");
}
