//! What stands below the options in the help, and in sections of their own in the manual pages:
//! examples, files, the guest's words, exit statuses.

use crate::outcome;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use quartz_abi::words::WORDS;

/// Columns of the text, unless a single word is longer.
const WIDTH: usize = 80;
/// The widest that the left column gets; if a term is wider, every meaning is below its term.
const LEFT: usize = 38;

/// A heading with rows in two columns.
#[derive(Debug)]
pub struct Section {
    /// What it is about.
    pub title: &'static str,
    /// Terms, and what they mean.
    pub rows: Vec<(String, String)>,
}

const QUARTZ: &[(&str, &str)] = &[
    (
        "quartz run",
        "serve the demo on 127.0.0.1:8080 until Ctrl-C",
    ),
    (
        "quartz run --site public",
        "serve the files in the directory public",
    ),
    (
        "quartz pack public -o site.tar",
        "make an image of them, compressed and checked",
    ),
    ("quartz status", "show the guests that run as services"),
    ("quartz help run", "explain a command"),
];

const RUN: &[(&str, &str)] = &[
    (
        "quartz run --site public --port 8081",
        "serve a directory on 127.0.0.1:8081",
    ),
    (
        "quartz run --site site.tar --mem 256M",
        "serve a large image",
    ),
    (
        "quartz run --net tap:tap0 --append 'ip=192.0.2.7/24 gw=192.0.2.1'",
        "an address of its own on a tap",
    ),
    (
        "quartz run --append 'log=debug conns_per_source=50'",
        "words for the guest",
    ),
];

const PACK: &[(&str, &str)] = &[
    (
        "quartz pack public -o site.tar",
        "make site.tar of the directory public",
    ),
    (
        "quartz pack public -o - | ssh HOST 'cat > site.tar'",
        "send the image elsewhere",
    ),
    (
        "SOURCE_DATE_EPOCH=0 quartz pack public",
        "the same bytes whenever the files were touched",
    ),
];

const AUTOPSY: &[(&str, &str)] = &[
    (
        "quartz autopsy www",
        "examine the running guest www, which goes on",
    ),
    (
        "quartz autopsy /var/lib/quartz/www/autopsies/DIR",
        "read what was left when one died",
    ),
    (
        "curl -o box http://127.0.0.1:9100/blackbox; quartz autopsy box",
        "read a black box from the admin port",
    ),
];

const UPGRADE: &[(&str, &str)] = &[
    (
        "quartz upgrade www --site /srv/www.tar",
        "serve another site",
    ),
    (
        "quartz upgrade www --kernel /usr/lib/quartz/quartz-unikernel.elf",
        "run another kernel",
    ),
];

const TOP: &[(&str, &str)] = &[
    ("quartz top www", "watch the service www; q leaves"),
    (
        "quartz top http://127.0.0.1:9100",
        "watch a guest by its admin port",
    ),
    (
        "quartz top www --json --once | jq .rates.requests",
        "one figure for a program",
    ),
];

const CONSOLE: &[(&str, &str)] = &[
    (
        "quartz console www",
        "the guest's console, key by key; Ctrl-] leaves",
    ),
    (
        "echo stats | quartz console www",
        "the log, and one command",
    ),
    (
        "quartz console www --pcap - | tcpdump -nr -",
        "what passes in five seconds, or was captured before",
    ),
];

const COMPLETIONS: &[(&str, &str)] = &[
    ("source <(quartz completions bash)", "for this shell alone"),
    (
        "quartz completions fish > ~/.config/fish/completions/quartz.fish",
        "for every fish to come",
    ),
];

const FILES: &[(&str, &str)] = &[
    (
        "/etc/quartz/NAME.toml",
        "what the guest NAME is to be: quartz.toml(5)",
    ),
    ("/usr/lib/quartz/quartz-unikernel.elf", "the kernel"),
    (
        "/var/lib/quartz/NAME/autopsies",
        "what was found when a guest died",
    ),
    (
        "/usr/share/doc/quartz",
        "operations.md: running it in production",
    ),
];

/// The sections of a command; `quartz` is the program itself.
#[must_use]
pub fn sections(command: &str) -> Vec<Section> {
    let rows = |rows: &[(&str, &str)]| {
        let owned = rows.iter().map(|(l, r)| ((*l).to_owned(), (*r).to_owned()));
        owned.collect()
    };
    let examples = match command {
        "quartz" => QUARTZ,
        "run" => RUN,
        "pack" => PACK,
        "top" => TOP,
        "autopsy" => AUTOPSY,
        "upgrade" => UPGRADE,
        "console" => CONSOLE,
        "completions" => COMPLETIONS,
        _ => &[],
    };
    let mut all = Vec::new();
    if command == "run" {
        let words = WORDS.iter().map(|word| {
            let text = format!("{} [default: {}]", word.value, word.default);
            (word.key.to_owned(), text)
        });
        all.push(Section {
            title: "Guest command line (--append)",
            rows: words.collect(),
        });
    }
    if !examples.is_empty() {
        all.push(Section {
            title: "Examples",
            rows: rows(examples),
        });
    }
    if command == "quartz" {
        all.push(Section {
            title: "Files",
            rows: rows(FILES),
        });
    }
    if matches!(command, "quartz" | "run") {
        let statuses = outcome::statuses().into_iter();
        all.push(Section {
            title: "Exit status",
            rows: statuses
                .map(|(status, meaning)| (format!("{status:>2}"), meaning.to_owned()))
                .collect(),
        });
    }
    all
}

/// The same as text, for the end of a command's `--help`.
#[must_use]
pub fn text(command: &str) -> String {
    let sections = sections(command);
    let texts: Vec<String> = sections.iter().map(columns).collect();
    texts.join("\n")
}

/// Adds what would be right to what clap says of `quartz run SITE`: many a server takes it so.
#[must_use]
pub fn with_tip(mut error: Error) -> Error {
    let site = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) if !word.starts_with('-') => word.clone(),
        _ => return error,
    };
    if error.kind() == ErrorKind::UnknownArgument {
        let tip = format!("the site is named by --site: quartz run --site {site}");
        error.insert(
            ContextKind::Suggested,
            ContextValue::StyledStrs(vec![tip.into()]),
        );
    }
    error
}

fn columns(section: &Section) -> String {
    let widest = section.rows.iter().map(|(term, _)| term.len()).max();
    let left = widest.filter(|width| *width <= LEFT).unwrap_or(0);
    let indent = if left == 0 { 6 } else { left + 4 };
    let mut text = format!("{}:\n", section.title);
    for (term, meaning) in &section.rows {
        let mut line = format!("  {term:left$}");
        if term.len() > left {
            text += &line;
            text.push('\n');
            line = " ".repeat(indent - 2);
        }
        line += "  ";
        let mut first = true;
        for word in meaning.split_whitespace() {
            if !first && line.len() + 1 + word.len() > WIDTH {
                text += &line;
                text.push('\n');
                line = " ".repeat(indent);
            } else if !first {
                line.push(' ');
            }
            line += word;
            first = false;
        }
        text += &line;
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::{CommandFactory, Parser};

    #[test]
    fn columns_are_aligned_and_wrapped() {
        let row = |left: &str, right: &str| (left.to_owned(), right.to_owned());
        let text = columns(&Section {
            title: "Things",
            rows: vec![row("a", &"word ".repeat(20)), row("bcd", "short")],
        });
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{text}");
        assert!(lines[1].starts_with("  a    word word"), "{text}");
        assert!(lines[2].starts_with("       word"), "{text}");
        assert_eq!(&lines[3..4], ["  bcd  short"]);
        let text = columns(&Section {
            title: "Things",
            rows: vec![row("a", "one"), row(&"x".repeat(LEFT + 1), "two")],
        });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[1], lines[2]), ("  a", "      one"));
        assert_eq!(lines[4], "      two");
    }

    /// The words of an example, as a shell splits them; what follows `|`, `;` or `>` is the shell's.
    fn words(example: &str) -> Option<Vec<String>> {
        let start = example.find("quartz ")?;
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in example[start..].chars() {
            match c {
                '\'' => quoted = !quoted,
                '|' | ';' | '>' | ')' if !quoted => break,
                ' ' if !quoted => words.push(String::new()),
                c => words.last_mut()?.push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        Some(words)
    }

    #[test]
    fn every_example_is_a_command_line_that_is_taken() {
        let command = Cli::command();
        let names = command.get_subcommands().map(clap::Command::get_name);
        let mut seen = 0;
        for name in names.chain(["quartz"]) {
            for section in sections(name) {
                if section.title != "Examples" {
                    continue;
                }
                for (example, _) in section.rows {
                    let at = example.rfind("quartz ").unwrap_or_else(|| {
                        panic!("`{example}` does not call quartz");
                    });
                    let words = words(&example[at..]).unwrap();
                    match Cli::try_parse_from(&words) {
                        Ok(_) => {}
                        Err(e) if e.kind() == clap::error::ErrorKind::DisplayHelp => {}
                        Err(e) => panic!("`{example}`: {e}"),
                    }
                    seen += 1;
                }
            }
        }
        assert!(seen > 15, "only {seen} examples");
    }
}
