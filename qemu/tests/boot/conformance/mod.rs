//! The conformance table: what a server has to answer, by the sections of the standards, byte for
//! byte. It is run against the guest, and, as a check of the table itself, against nginx, whose
//! differences stand in the table with their reasons.

mod case;
mod conditions;
mod connection;
mod content;
mod differences;
mod framing;
mod methods;
mod nginx;
mod paths;
mod ranges;
mod rules;
mod site;
mod syntax;
mod talk;

use crate::harness::guest::boot;
use crate::harness::light;
use case::{Case, Expected};
use differences::DIFFERENCES;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use talk::Validators;

/// Connections at once.
const LANES: usize = 8;

fn table() -> Vec<Case> {
    // The slow ones first.
    let mut table = connection::cases();
    table.reverse();
    for more in [
        syntax::cases(),
        framing::cases(),
        methods::cases(),
        paths::cases(),
        content::cases(),
        conditions::cases(),
        ranges::cases(),
        rules::cases(),
    ] {
        table.extend(more);
    }
    table
}

/// Runs the table against a server; the rows that it fails, with the reason.
fn run(
    address: SocketAddr,
    table: &[Case],
    expected: impl Fn(&Case) -> Expected + Sync,
) -> Vec<String> {
    let validators = Validators::of(address);
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(case) = table.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = talk::check(address, case, &expected(case), &validators) {
                        let text = format!(
                            "{}: {error}\n    sent: {}",
                            case.title(),
                            case.send[..case.send.len().min(300)].escape_ascii()
                        );
                        failures.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    failures.into_inner().unwrap()
}

#[test]
fn the_guest_does_what_the_standards_say() {
    let _light = light();
    let served = boot(|machine| machine.site = site::image());
    let table = table();
    assert!(table.len() >= 120);
    let failures = run(served.site, &table, |case| case.expected.clone());
    assert!(
        failures.is_empty(),
        "{} of {} rows:\n{}",
        failures.len(),
        table.len(),
        failures.join("\n")
    );
    served.stats().assert_no_trouble();
    served.stop();
}

#[test]
fn nginx_does_the_same_but_where_the_table_says_so() {
    let _light = light();
    let root = tempfile::tempdir().unwrap();
    site::directory(root.path());
    let work = tempfile::tempdir().unwrap();
    let nginx = nginx::start(root.path(), work.path(), quartz::port::free(0).unwrap());
    let table = table();
    let expected = |case: &Case| {
        let title = case.title();
        let known = DIFFERENCES
            .iter()
            .find(|difference| difference.rows.contains(&title.as_str()));
        known.map_or_else(
            || case.expected.clone(),
            |difference| (difference.nginx)(case.blank()).expected,
        )
    };
    let failures = run(nginx.address, &table, expected);
    assert!(
        failures.is_empty(),
        "{} of {} rows:\n{}",
        failures.len(),
        table.len(),
        failures.join("\n")
    );
}

#[test]
fn titles_and_differences_fit_together() {
    let table = table();
    let titles: HashSet<String> = table.iter().map(Case::title).collect();
    assert_eq!(titles.len(), table.len(), "two rows share a title");
    let mut seen = HashSet::new();
    for difference in DIFFERENCES {
        assert!(difference.why.len() > 20);
        for row in difference.rows {
            assert!(titles.contains(*row), "no row {row}");
            assert!(seen.insert(*row), "{row} differs twice");
        }
    }
}
