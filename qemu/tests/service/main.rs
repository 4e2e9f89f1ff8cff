//! Guests as services, under a real systemd as PID 1: a Debian in a container (systemd-nspawn), the
//! package that is to be released, the real kernel, and requests all the time.
//!
//! `cargo test --test service` runs the units' tests and the quick scenarios of chaos;
//! `make chaos` runs every scenario and prints the table of docs/operations.md.
#![allow(missing_docs, reason = "a program of tests")]

mod chaos;
mod container;
#[path = "../harness/mod.rs"]
mod harness;
mod scenarios;
mod units;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = env::args()
        .skip(1)
        .filter(|w| !w.starts_with("--"))
        .collect();
    let all = words.iter().any(|word| word == "chaos");
    let only: Vec<&String> = words.iter().filter(|word| *word != "chaos").collect();
    let wanted = |name: &str| only.is_empty() || only.iter().any(|word| name.contains(*word));
    if let Err(reason) = container::possible() {
        println!("not run: {reason}");
        println!("test result: ok. 0 passed; 0 failed");
        return ExitCode::SUCCESS;
    }
    let container = container::Container::boot();
    let (mut passed, mut failed) = (0, 0);
    let mut run = |name: &str, test: &mut dyn FnMut()| {
        let ok = catch_unwind(AssertUnwindSafe(test)).is_ok();
        println!("test {name} ... {}", if ok { "ok" } else { "FAILED" });
        if ok {
            passed += 1;
        } else {
            failed += 1;
            println!(
                "--- the journal of the container ---\n{}",
                container.journal(80)
            );
        }
    };
    if !all {
        for (name, test) in units::TESTS {
            if wanted(name) {
                run(name, &mut || test(&container));
            }
        }
    }
    let mut rows = Vec::new();
    let scenarios = scenarios::all();
    for scenario in scenarios
        .iter()
        .filter(|s| (all || s.quick) && wanted(s.name))
    {
        run(&format!("chaos: {}", scenario.name), &mut || {
            rows.push(chaos::play(&container, scenario));
        });
    }
    if all {
        println!("\n{}", chaos::table(&rows));
    }
    drop(container);
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {verdict}. {passed} passed; {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}
