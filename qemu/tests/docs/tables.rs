//! Tables of the documentation against what they describe.

use crate::page::{Table, pages, tell};
use quartz::outcome;
use quartz_abi::ExitCode;
use quartz_abi::words::WORDS;
use std::collections::BTreeSet;

/// The tables with this head, and where they stand.
fn tables(head: &[&str]) -> Vec<(String, Table)> {
    let mut found = Vec::new();
    for page in pages() {
        let path = page.path.display().to_string();
        for table in page.tables {
            if table.rows[0].1 == head {
                found.push((path.clone(), table));
            }
        }
    }
    assert!(
        !found.is_empty(),
        "no page has a table with the head | {} |; a reader needs it, and this test looks for it",
        head.join(" | ")
    );
    found
}

#[test]
fn the_exit_codes_are_those_of_the_kernel() {
    let mut complaints = Vec::new();
    for (path, table) in tables(&["guest code", "status of quartz run", "meaning"]) {
        let told: Vec<(String, String)> = table.rows[1..]
            .iter()
            .map(|(_, cells)| (cells[0].clone(), cells[1].clone()))
            .collect();
        let real: Vec<(String, String)> = ExitCode::ALL
            .into_iter()
            .map(|code| {
                (
                    format!("{:#x}", code as u32),
                    outcome::status(code).to_string(),
                )
            })
            .collect();
        if told != real {
            complaints.push(format!(
                "{path}:{}: {told:?}, but it is {real:?}",
                table.line
            ));
        }
    }
    tell(&complaints, "kernel/abi/src/exit.rs has the codes.");
}

#[test]
fn the_guests_words_are_those_that_it_takes() {
    let mut complaints = Vec::new();
    for (path, table) in tables(&["key", "value", "default"]) {
        let mut told = BTreeSet::new();
        for (line, cells) in &table.rows[1..] {
            let key = cells[0].as_str();
            told.insert(key);
            match WORDS.iter().find(|word| word.key == key) {
                None => complaints.push(format!("{path}:{line}: there is no key `{key}`")),
                Some(word) if word.default != cells[2] => complaints.push(format!(
                    "{path}:{line}: the default of `{key}` is {}, not {}",
                    word.default, cells[2]
                )),
                Some(_) => {}
            }
        }
        for word in WORDS.iter().filter(|word| !told.contains(word.key)) {
            complaints.push(format!("{path}:{}: `{}` is missing", table.line, word.key));
        }
    }
    tell(
        &complaints,
        "kernel/abi/src/words.rs has the words: a row for each key.",
    );
}
