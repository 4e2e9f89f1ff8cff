//! Files and tests that the documentation names exist.

use crate::page::{Page, pages, tell};
use crate::root;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Folders at the top that hold what people made.
const TOP: [&str; 8] = [
    ".cargo", ".ci", "docs", "drivers", "examples", "kernel", "net", "qemu",
];
/// Endings of files that are named without their folder.
const SOURCES: [&str; 4] = [".rs", ".sh", ".ld", ".lua"];
/// Files of a reader's own.
const OWN: [&str; 2] = ["src/main.rs", "build.rs"];

/// Every file and folder, by its path below the top.
fn tree() -> BTreeSet<String> {
    fn go(folder: &Path, all: &mut BTreeSet<String>) {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            let name = path.display().to_string();
            if ["target", ".git"].contains(&name.as_str()) {
                continue;
            }
            if entry.path().is_dir() {
                go(&path, all);
            }
            all.insert(name);
        }
    }
    let mut all = BTreeSet::new();
    go(Path::new(""), &mut all);
    all
}

/// Whether `name` is there: exactly, or, with `*` in it, something like it.
fn exists(name: &str, tree: &BTreeSet<String>) -> bool {
    let name = name.trim_end_matches('/');
    match name.split_once('*') {
        None => tree.contains(name),
        Some((front, back)) => tree
            .iter()
            .any(|path| path.starts_with(front) && path.ends_with(back)),
    }
}

/// Names of all functions: those of tests above all.
fn functions(tree: &BTreeSet<String>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in tree.iter().filter(|path| path.ends_with(".rs")) {
        let text = fs::read_to_string(root().join(path)).unwrap();
        for rest in text.split("fn ").skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            names.insert(rest[..end.unwrap_or(0)].to_owned());
        }
    }
    names
}

/// Whether this is the name of a test: lower-case words, four at least. (Names of settings and
/// counters have fewer, and those of metrics begin with the program's.)
fn is_test(span: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '*';
    span.matches('_').count() >= 3 && span.chars().all(plain) && !span.starts_with("quartz_")
}

/// What is wrong with the paths that `page` names.
fn missing(page: &Page, tree: &BTreeSet<String>, functions: &BTreeSet<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (line, span) in &page.spans {
        if is_test(span) && !exists(span, functions) {
            complaints.push(format!("{}: there is no test `{span}`", page.at(*line)));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/*@+".contains(c);
        // Capitals stand for what a reader puts there.
        let placeholder = span
            .split(['/', '.'])
            .any(|part| part.len() > 1 && part.chars().all(|c| c.is_ascii_uppercase()))
            && !exists(span, tree);
        if !span.chars().all(plain) || placeholder || OWN.contains(&span.as_str()) {
            continue;
        }
        let found = match span.split_once('/') {
            Some((top, _)) if TOP.contains(&top) => exists(span, tree),
            Some(_) => true,
            None if SOURCES.iter().any(|end| span.ends_with(end) && span != end) => {
                let end = format!("/{span}");
                tree.iter().any(|path| path.ends_with(&end))
            }
            None => true,
        };
        if !found {
            complaints.push(format!("{}: there is no `{span}`", page.at(*line)));
        }
    }
    complaints
}

#[test]
fn every_file_that_is_named_exists() {
    let tree = tree();
    let functions = functions(&tree);
    let all = pages();
    let complaints: Vec<String> = all
        .iter()
        .flat_map(|page| missing(page, &tree, &functions))
        .collect();
    tell(
        &complaints,
        "Name the file by its path below the top of the sources, or by its name alone.",
    );
}

#[test]
fn a_file_that_does_not_exist_is_found() {
    let text = "`qemu/src/cli.rs` `qemu/src/clip.rs` `cli.rs` `clip.rs` `net/` `nets/x` `qemu/*.sh` `qemu/*.bat` `docs/NAME.md` `every_file_that_is_named_exists` `every_file_that_is_*` `no_file_of_this_name`\n";
    let tree = tree();
    let found = missing(&Page::parse("x.md".into(), text), &tree, &functions(&tree));
    let all = found.join("\n");
    assert_eq!(found.len(), 4, "{all}");
    for name in [
        "`qemu/src/clip.rs`",
        "`clip.rs`",
        "`qemu/*.bat`",
        "test `no_file_of_this_name`",
    ] {
        assert!(all.contains(name), "{all}");
    }
}
