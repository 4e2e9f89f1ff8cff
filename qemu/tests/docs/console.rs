//! Commands of the serial console that the documentation names exist, and its page names all.

use crate::page::{Block, Page, pages, tell};
use quartz_console::command::{COMMANDS, Usage};

/// What is typed behind the prompt in blocks of `page`, and is no command.
fn wrong(page: &Page) -> Vec<String> {
    let mut complaints = Vec::new();
    for block in &page.blocks {
        for (at, line) in block.text.lines().enumerate() {
            let Some((_, typed)) = line.split_once("quartz> ") else {
                continue;
            };
            let name = typed.split_whitespace().next().unwrap_or("help");
            if !COMMANDS.iter().any(|entry| entry.name == name) {
                let at = page.at(block.line + 1 + at);
                complaints.push(format!("{at}: the console has no command `{name}`"));
            }
        }
    }
    complaints
}

/// Commands that `page` does not name.
fn unnamed(page: &Page) -> Vec<String> {
    let named = |name: &str| {
        let spans = page.spans.iter().map(|(_, span)| span.as_str());
        let typed = page.blocks.iter().flat_map(|block| block.text.lines());
        let typed = typed.filter_map(|line| Some(line.split_once("quartz> ")?.1));
        spans
            .chain(typed)
            .any(|text| text.split_whitespace().next() == Some(name))
    };
    let missing = COMMANDS.iter().filter(|entry| !named(entry.name));
    missing
        .map(|entry| format!("{}: `{}` is not named", page.at(1), entry.name))
        .collect()
}

#[test]
fn commands_of_the_console_exist_and_its_page_names_all() {
    let all = pages();
    let mut complaints: Vec<String> = all.iter().flat_map(wrong).collect();
    if let Some(page) = all.iter().find(|page| page.path.ends_with("console.md")) {
        complaints.extend(unnamed(page));
    }
    tell(
        &complaints,
        "kernel/console/src/command/table.rs has the table of commands.",
    );
}

#[test]
fn a_command_of_the_console_that_does_not_exist_is_found() {
    let text = "`help [COMMAND]`\n```\nquartz> stats\n1 2 3\nquartz> dance now\nquartz> \n```\n";
    let page = Page::parse("x.md".into(), text);
    let found = wrong(&page);
    assert_eq!(found, ["x.md:5: the console has no command `dance`"]);
    let unnamed = unnamed(&page);
    assert_eq!(unnamed.len(), COMMANDS.len() - 2, "{unnamed:?}");
}

#[test]
fn the_list_of_commands_is_what_the_console_says() {
    let path = "docs/console.md";
    let page = pages().into_iter().find(|page| page.path.ends_with(path));
    let page = page.expect("docs/console.md is where a reader looks for the commands");
    let told = |block: &&Block| block.text.starts_with("quartz> help\n");
    let told = page
        .blocks
        .iter()
        .find(told)
        .expect("a block with the list");
    let real: String = COMMANDS
        .iter()
        .map(|entry| format!("{:38} {}\n", Usage(entry), entry.help))
        .collect();
    assert_eq!(
        told.text.trim_end(),
        format!("quartz> help\n{real}").trim_end(),
        "{path} shows what `help` says: kernel/console/src/command/table.rs"
    );
}
