//! Commands that the documentation names exist: targets of make with their variables, and the words
//! and flags of `quartz`.

use crate::page::{Page, pages, tell};
use crate::root;
use clap::{Command, CommandFactory};
use quartz::cli::Cli;
use std::collections::BTreeSet;
use std::fs;

/// What there is.
struct Known {
    targets: BTreeSet<String>,
    makefile: String,
    program: Command,
    /// gdb's commands, which begin with `quartz` too.
    debugger: BTreeSet<String>,
}

/// The commands that the scripts for gdb define: `"quartz NAME"` in them.
fn debugger() -> BTreeSet<String> {
    let scripts = fs::read_dir(root().join("qemu/gdb")).into_iter().flatten();
    let texts = scripts.filter_map(|script| fs::read_to_string(script.ok()?.path()).ok());
    let mut names = BTreeSet::new();
    for text in texts {
        for rest in text.split("\"quartz ").skip(1) {
            let end = rest.find('"').unwrap_or(0);
            names.insert(rest[..end].to_owned());
        }
    }
    names
}

impl Known {
    fn new() -> Known {
        let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
        let targets = makefile
            .lines()
            .filter_map(|line| line.strip_prefix(".PHONY: "))
            .flat_map(str::split_whitespace);
        let targets: BTreeSet<String> = targets.map(str::to_owned).collect();
        assert!(targets.contains("run"), "{targets:?}");
        let mut program = Cli::command();
        program.build();
        Known {
            targets,
            makefile,
            program,
            debugger: debugger(),
        }
    }

    /// What is wrong with a command line, or nothing.
    fn judge(&self, line: &str) -> Option<String> {
        let mut words = line.split_whitespace().peekable();
        // Settings in front, and who it is run as.
        while let Some(word) = words.peek() {
            let setting = word.contains('=') && word.starts_with(|c: char| c.is_ascii_uppercase());
            match setting || ["sudo", "exec", "time", "$"].contains(word) {
                true => words.next(),
                false => break,
            };
        }
        let program = words.next()?;
        match program {
            "make" => words.find_map(|word| self.judge_make(word)),
            _ if program == "quartz" || program.ends_with("/quartz") => {
                let words: Vec<&str> = words.collect();
                self.judge_quartz(&words)
            }
            _ => None,
        }
    }

    fn judge_make(&self, word: &str) -> Option<String> {
        if let Some((variable, _)) = word.split_once('=') {
            let known = format!("$({variable})");
            let shell = format!("$${variable}");
            return (![known.as_str(), shell.as_str(), &format!("$${{{variable}")]
                .iter()
                .any(|known| self.makefile.contains(known)))
            .then(|| format!("the Makefile does nothing with {variable}"));
        }
        let target = word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let named = target.starts_with(|c: char| c.is_ascii_lowercase());
        (named && !self.targets.contains(target))
            .then(|| format!("the Makefile has no target `{target}`; `make help` lists them"))
    }

    fn judge_quartz(&self, words: &[&str]) -> Option<String> {
        let named = |word: &&&str| word.starts_with(|c: char| c.is_ascii_lowercase());
        let command = match words.first().filter(named) {
            None => &self.program,
            Some(name) if self.debugger.contains(*name) => return None,
            Some(name) => match self.program.find_subcommand(name) {
                Some(command) => command,
                None => return Some(format!("`quartz` has no command `{name}`")),
            },
        };
        words.iter().find_map(|word| {
            let flag = word.strip_prefix("--")?;
            let flag = flag
                .split(['=', ',', '[', ']', '.', ')'])
                .next()
                .unwrap_or("");
            let known = |command: &Command| {
                flag.is_empty()
                    || command
                        .get_arguments()
                        .any(|argument| argument.get_long() == Some(flag))
            };
            (!known(command)).then(|| {
                format!("`quartz {}` has no --{flag}", command.get_name())
                    .replace("quartz quartz", "quartz")
            })
        })
    }
}

/// The command lines of a block: those behind `$ ` if it has such, else all its lines.
pub fn command_lines(text: &str, first: usize) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (at, line) in text.lines().enumerate() {
        match lines.last_mut() {
            Some((_, last)) if goes_on => {
                last.push(' ');
                *last += line.trim();
            }
            _ => lines.push((first + at, line.to_owned())),
        }
        let (_, last) = lines.last_mut().unwrap();
        goes_on = last.ends_with('\\');
        if goes_on {
            last.pop();
        }
    }
    if lines.iter().any(|(_, line)| line.starts_with("$ ")) {
        lines.retain(|(_, line)| line.starts_with("$ "));
    }
    for (_, line) in &mut lines {
        if let Some(bare) = line.strip_prefix("$ ") {
            *line = bare.to_owned();
        }
    }
    lines
}

/// The parts of a line between `|`, `&&` and `;`, without a comment.
fn parts(line: &str) -> Vec<&str> {
    let line = line.split(" #").next().unwrap_or(line);
    line.split(['|', ';', '&', '('])
        .map(|part| part.trim().trim_end_matches(['`', '\'', '"']))
        .collect()
}

/// What is wrong with the commands of `page`.
fn wrong(page: &Page, known: &Known) -> Vec<String> {
    let mut lines: Vec<(usize, String)> = page.spans.clone();
    for block in &page.blocks {
        if ["", "sh", "bash", "console", "shell"].contains(&block.language()) {
            lines.extend(command_lines(&block.text, block.line + 1));
        }
    }
    let mut complaints = Vec::new();
    for (line, text) in &lines {
        for part in parts(text) {
            if let Some(what) = known.judge(part) {
                complaints.push(format!("{}: `{part}`: {what}", page.at(*line)));
            }
        }
    }
    complaints
}

#[test]
fn every_command_that_is_named_exists() {
    let known = Known::new();
    let all = pages();
    let complaints: Vec<String> = all.iter().flat_map(|page| wrong(page, &known)).collect();
    tell(
        &complaints,
        "Write the command as it is: qemu/src/cli.rs, the Makefile and qemu/gdb define them.",
    );
}

#[test]
fn a_command_that_does_not_exist_is_found() {
    let text = "`make dinner` `make run SITE=x` `make run SIGHT=x` `quartz runn` `quartz run --sight x`\n\
        `quartz run --site=x` `quartz@NAME` `quartz status NAME --json` `quartz NAME`\n\n\
        ```\n$ sudo quartz upgrade www --speed 3\nquartz: nothing\n```\n\n\
        ```\nPORT=1 make rum # quartz fly\nquartz run \\\n  --prot 1 | quartz pack --portable\n```\n";
    let found = wrong(&Page::parse("x.md".into(), text), &Known::new());
    let expected = [
        "x.md:1: `make dinner`: the Makefile has no target `dinner`",
        "x.md:1: `make run SIGHT=x`: the Makefile does nothing with SIGHT",
        "x.md:1: `quartz runn`: `quartz` has no command `runn`",
        "x.md:1: `quartz run --sight x`: `quartz run` has no --sight",
        "x.md:5: `sudo quartz upgrade www --speed 3`: `quartz upgrade` has no --speed",
        "x.md:10: `PORT=1 make rum`: the Makefile has no target `rum`",
        "x.md:11: `quartz run   --prot 1`: `quartz run` has no --prot",
        "x.md:11: `quartz pack --portable`: `quartz pack` has no --portable",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        let found = found.split_whitespace().collect::<Vec<_>>().join(" ");
        let expected = expected.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(found.starts_with(&expected), "{found}\n{expected}");
    }
}
