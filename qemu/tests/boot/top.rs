//! `quartz top` at a real guest: on a terminal, and for programs.

use crate::harness::STEP;
use crate::harness::guest::ADDRESS;
use crate::harness::light;
use crate::harness::load::load_for;
use crate::harness::network::{boot_on_tap, in_namespace};
use crate::harness::process::{Process, run};
use crate::harness::pty::Pty;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

fn top(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quartz"));
    command
        .arg("top")
        .arg(format!("http://{ADDRESS}:9100"))
        .args(words);
    command
}

/// The rate in a line like `requests    33.8 k/s    ▁▂▃`.
fn rate(screen: &str, name: &str) -> Option<f64> {
    let line = screen.lines().find(|line| line.starts_with(name))?;
    let mut words = line[name.len()..].split_whitespace();
    let value: f64 = words.next()?.trim_end_matches("/s").parse().ok()?;
    let unit = match words.next() {
        Some("k/s" | "KiB/s") => 1e3,
        Some("M/s" | "MiB/s") => 1e6,
        _ => 1.0,
    };
    Some(value * unit)
}

/// Connections in the table, by our port.
fn rows(screen: &str, port: &str) -> usize {
    let table = screen.lines().skip_while(|line| !line.starts_with("STATE"));
    let ports = table.filter_map(|line| line.split_whitespace().nth(2));
    ports.filter(|found| *found == port).count()
}

#[test]
fn top_shows_a_guest_on_a_terminal_until_q_is_pressed() {
    let _light = light();
    in_namespace(|| {
        let mut served = boot_on_tap(|_| {});
        let load = load_for(&served, 60);
        let mut pty = Pty::start(&mut top(&[]), 100, 40);
        // Those of the load, and its own.
        let screen = pty.until("rates and connections", |text| {
            rate(text, "requests").is_some_and(|rate| rate > 20.0)
                && text.contains("  live\n")
                && (rows(text, "80"), rows(text, "9100")) == (8, 1)
        });
        assert!(pty.is_taken());
        assert!(
            screen.starts_with(&format!("quartz top http://{ADDRESS}:9100 ")),
            "{screen}"
        );
        for name in ["bytes out", "bytes in", "frames out", "frames in"] {
            assert!(
                rate(&screen, name).is_some_and(|rate| rate > 20.0),
                "{name}\n{screen}"
            );
        }
        assert!(screen.contains("rx ring gap      256 of 256"), "{screen}");
        assert!(
            screen.contains("q  leave   s  sort (age, largest first)"),
            "{screen}"
        );
        pty.press(b"ss");
        pty.until("another order", |text| {
            text.contains("sort (sent, largest first)")
        });
        pty.press(b"r");
        pty.until("the other way round", |text| {
            text.contains("sort (sent, smallest first)")
        });
        // As soon as it is smaller, everything fits it.
        pty.resize(70, 20);
        pty.until("a small screen", |text| {
            let lines: Vec<&str> = text.lines().collect();
            lines.len() == 20
                && lines[0].starts_with("quartz top")
                && lines[19].starts_with("q  leave")
                && text.contains("RECEIVED")
                && lines.iter().all(|line| line.chars().count() <= 70)
        });

        // A guest that stops answering: for how long, and its last figures.
        drop(load);
        let monitor = served.guest.monitor();
        monitor
            .execute("stop", Value::Null, crate::harness::soon())
            .unwrap();
        let silent = pty.until("silence", |text| {
            text.contains("no answer for 2.") || text.contains("no answer for 3.")
        });
        assert!(
            silent.contains("256 of 256") && silent.contains("RECEIVED"),
            "{silent}"
        );
        served
            .guest
            .monitor()
            .execute("cont", Value::Null, crate::harness::soon())
            .unwrap();
        pty.until("an answer again", |text| text.contains("  live\n"));

        pty.press(b"q");
        assert!(pty.ended().success());
        pty.until("the person's own screen", |_| pty.is_restored());

        // A signal restores it too.
        let mut pty = Pty::start(&mut top(&[]), 80, 24);
        pty.until("figures", |text| text.contains("rx ring gap"));
        assert!(pty.is_taken() && !pty.is_restored());
        let id = Pid::from_raw(pty.id().try_into().unwrap()).unwrap();
        kill_process(id, Signal::TERM).unwrap();
        assert!(pty.ended().success());
        pty.until("the person's own screen", |_| pty.is_restored());
        served.stop();
    });
}

#[test]
fn top_tells_programs() {
    let _light = light();
    in_namespace(|| {
        let served = boot_on_tap(|_| {});
        let load = load_for(&served, 60);
        let once = run(&mut top(&["--once"]), STEP);
        assert!(once.status.success(), "{once:?}");
        assert!(!once.stdout.contains('\x1b'), "{once:?}");
        assert!(
            rate(&once.stdout, "requests").is_some_and(|rate| rate > 20.0),
            "{once:?}"
        );
        assert_eq!(rows(&once.stdout, "80"), 8, "{once:?}");

        let json = run(&mut top(&["--json", "--once"]), STEP);
        let told: Value = serde_json::from_str(&json.stdout).unwrap();
        assert!(told["rates"]["requests"].as_f64().unwrap() > 20.0, "{told}");
        assert_eq!(told["answers"], true);
        assert_eq!(told["flows"]["total"], 9);
        assert_eq!(told["stats"]["rx"]["size"], 256);

        let stream = Process::start(&mut top(&["--json"]));
        std::thread::sleep(Duration::from_millis(2500));
        drop(load);
        served.stop();
        std::thread::sleep(Duration::from_millis(3500));
        // Who is started in the background may ignore an interrupt.
        stream.signal(Signal::TERM);
        let said = stream.finish(STEP).stdout;
        let lines: Vec<Value> = said
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert!(lines.len() >= 3, "{said}");
        assert_eq!(lines[0]["answers"], true, "{said}");
        assert_eq!(lines.last().unwrap()["answers"], false, "{said}");

        let gone = run(&mut top(&["--once"]), STEP);
        assert_eq!(gone.status.code(), Some(1), "{gone:?}");
        assert!(
            gone.stderr
                .starts_with(&format!("quartz: http://{ADDRESS}:9100: ")),
            "{gone:?}"
        );
        // On no terminal it does not pretend.
        let blind = run(&mut top(&[]), STEP);
        assert!(blind.stderr.contains("--once or --json"), "{blind:?}");
    });
}
