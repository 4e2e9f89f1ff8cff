//! Manual pages and completions, made of the definition of the command line ([`crate::cli`]).

use crate::cli::help::{Section, sections};
use crate::cli::{Cli, CompletionsArgs, ManualArgs, Shell};
use crate::error::Error;
use clap::{Command, CommandFactory};
use clap_complete::aot;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// What stands in the middle of a page's head.
const BOOK: &str = "Quartz";
/// The format of `/etc/quartz/NAME.toml`, explained by itself.
const EXAMPLE: &str = include_str!("../systemd/example.toml");

/// `quartz completions`.
///
/// # Errors
/// Never: a reader that goes away has seen enough.
pub fn completions(args: &CompletionsArgs) -> Result<(), Error> {
    let shell = match args.shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Zsh => aot::Shell::Zsh,
        Shell::Fish => aot::Shell::Fish,
    };
    let mut script = Vec::new();
    aot::generate(shell, &mut Cli::command(), "quartz", &mut script);
    let _ = io::stdout().lock().write_all(&script);
    Ok(())
}

/// `quartz manual`: a page for the program, one for each command, and one for the configuration.
///
/// # Errors
/// A page cannot be written.
pub fn main(args: &ManualArgs) -> Result<(), Error> {
    for (folder, name, page) in pages(&args.date).map_err(Error::system("cannot make a page"))? {
        let folder = args.folder.join(folder);
        put(&folder, &name, &page).map_err(|source| Error::Output {
            path: folder.join(&name),
            source,
        })?;
    }
    Ok(())
}

fn put(folder: &Path, name: &str, page: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(name), page)
}

/// Every page: folder, name, content.
fn pages(date: &str) -> io::Result<Vec<(&'static str, String, Vec<u8>)>> {
    let mut program = Cli::command()
        .disable_help_subcommand(true)
        .subcommand_help_heading("COMMANDS")
        .subcommand_value_name("COMMAND");
    program.build();
    let mut all = vec![("man1", "quartz.1".to_owned(), page(&program, date)?)];
    for command in program.get_subcommands().filter(|c| !c.is_hide_set()) {
        let name = format!("quartz-{}.1", command.get_name());
        all.push(("man1", name, page(command, date)?));
    }
    all.push(("man5", "quartz.toml.5".to_owned(), configuration(date)?));
    Ok(all)
}

/// The page of a command.
fn page(command: &Command, date: &str) -> io::Result<Vec<u8>> {
    let is_program = command.get_name() == "quartz";
    let mut page = Vec::new();
    let man = Man::new(command.clone())
        .date(date)
        .manual(BOOK)
        .source(concat!("quartz ", env!("CARGO_PKG_VERSION")));
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if is_program {
        man.render_subcommands_section(&mut page)?;
    }
    let mut rest = Roff::new();
    for section in sections(command.get_name()) {
        add(&mut rest, &section);
    }
    let related: &[(&str, &str)] = match command.get_name() {
        "quartz" => &[("quartz.toml", "5"), ("qemu-system-x86_64", "1")],
        "run" => &[("quartz", "1"), ("quartz-pack", "1")],
        _ => &[("quartz", "1"), ("quartz.toml", "5")],
    };
    see_also(&mut rest, related);
    rest.to_writer(&mut page)?;
    Ok(tidied(&page))
}

/// The page of the configuration.
fn configuration(date: &str) -> io::Result<Vec<u8>> {
    let mut page = Roff::new();
    let source = concat!("quartz ", env!("CARGO_PKG_VERSION"));
    page.control("TH", ["quartz.toml", "5", date, source, BOOK]);
    page.control("SH", ["NAME"]);
    page.text([roman("quartz.toml - what a guest of Quartz is to be")]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([
        italic("/etc/quartz/NAME.toml"),
        roman(" describes the guest that "),
        bold("quartz@NAME.service"),
        roman(" keeps alive. It is TOML. Every key but "),
        bold("listen"),
        roman(" may be left out; the values below are what holds then. An unknown key is refused."),
    ]);
    page.control("SH", ["KEYS"]);
    page.control("nf", []);
    for line in EXAMPLE.lines() {
        match line {
            "" => page.control("sp", []),
            line => page.text([roman(line)]),
        };
    }
    page.control("fi", []);
    see_also(
        &mut page,
        &[("quartz", "1"), ("quartz-reload", "1"), ("systemctl", "1")],
    );
    let mut bytes = Vec::new();
    page.to_writer(&mut bytes)?;
    Ok(bytes)
}

fn add(page: &mut Roff, section: &Section) {
    page.control("SH", [section.title.to_uppercase().as_str()]);
    for (term, meaning) in &section.rows {
        page.control("TP", []);
        page.text([bold(term.trim_start())]);
        page.text([roman(meaning)]);
    }
}

fn see_also(page: &mut Roff, pages: &[(&str, &str)]) {
    page.control("SH", ["SEE ALSO"]);
    let mut text: Vec<Inline> = Vec::new();
    for (at, (name, section)) in pages.iter().enumerate() {
        if at > 0 {
            text.push(roman(", "));
        }
        text.push(bold(*name));
        text.push(roman(format!("({section})")));
    }
    page.text(text);
}

/// Paragraphs inside an option's text come as empty lines, which typesetters complain about: they
/// become paragraphs of the same indent. No line ends with a blank.
fn tidied(page: &[u8]) -> Vec<u8> {
    let mut tidy = Vec::with_capacity(page.len());
    for line in page.split_inclusive(|&b| b == b'\n') {
        let text = line.trim_ascii_end();
        tidy.extend_from_slice(if text.is_empty() { b".IP" } else { text });
        tidy.push(b'\n');
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a page, without its typesetting.
    fn plain(page: &[u8]) -> String {
        let text = String::from_utf8(page.to_vec()).unwrap();
        ["\\fB", "\\fI", "\\fR"]
            .iter()
            .fold(text, |text, font| text.replace(font, ""))
            .replace("\\-", "-")
            .replace("\\(aq", "'")
    }

    #[test]
    fn every_command_and_every_option_has_its_place_in_a_page() {
        let pages = pages("2026-01-02").unwrap();
        let page = |name: &str| {
            let found = pages.iter().find(|(_, n, _)| n == name);
            plain(&found.unwrap_or_else(|| panic!("no {name}")).2)
        };
        let main = page("quartz.1");
        let program = Cli::command();
        for command in program.get_subcommands() {
            let name = command.get_name();
            if command.is_hide_set() {
                assert!(!main.contains(&format!("quartz-{name}(1)")));
                continue;
            }
            assert!(main.contains(&format!("quartz-{name}(1)")), "{name}");
            let own = page(&format!("quartz-{name}.1"));
            for option in command.get_arguments().filter(|a| !a.is_hide_set()) {
                if let Some(long) = option.get_long() {
                    assert!(own.contains(&format!("--{long}")), "{name} --{long}");
                }
            }
        }
        for heading in ["EXAMPLES", "FILES", "EXIT STATUS", "SEE ALSO"] {
            assert!(
                main.contains(&format!(".SH \"{heading}\""))
                    || main.contains(&format!(".SH {heading}"))
            );
        }
        assert!(page("quartz-run.1").contains("conns_per_source"));
        assert!(page("quartz.toml.5").contains("#memory = \"64M\""));
        assert_eq!(pages, super::pages("2026-01-02").unwrap());
    }

    #[test]
    fn no_page_has_an_empty_line_or_a_blank_at_a_lines_end() {
        for (_, name, page) in pages("2026-01-02").unwrap() {
            let text = String::from_utf8(page).unwrap();
            for line in text.lines() {
                assert!(!line.is_empty() && !line.ends_with(' '), "{name}: {line:?}");
            }
        }
    }
}
