//! A page of the documentation, taken apart: headings, links, code, tables, each with its line.

use crate::root;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::fs;
use std::path::{Path, PathBuf};

/// A page.
pub struct Page {
    /// Its path below the top of the sources.
    pub path: PathBuf,
    /// What `#...` in an address may name.
    pub anchors: Vec<String>,
    /// Links and images.
    pub links: Vec<(usize, String)>,
    /// `code` inside text.
    pub spans: Vec<(usize, String)>,
    /// Blocks of code.
    pub blocks: Vec<Block>,
    /// Tables.
    pub tables: Vec<Table>,
}

/// A block of code.
#[derive(Clone)]
pub struct Block {
    /// The line of its fence.
    pub line: usize,
    /// What stands behind the fence: the language, and more words.
    pub info: String,
    /// The last `code` before it: often the name of a file.
    pub name: Option<String>,
    /// What is in it.
    pub text: String,
}

/// A table; its first row is the head.
pub struct Table {
    /// Its first line.
    pub line: usize,
    /// The cells as text, with the line of their row.
    pub rows: Vec<(usize, Vec<String>)>,
}

impl Page {
    fn read(path: PathBuf) -> Page {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        Page::parse(path, &text)
    }

    /// Takes a page apart.
    pub fn parse(path: PathBuf, text: &str) -> Page {
        let mut page = Page {
            path,
            anchors: Vec::new(),
            links: Vec::new(),
            spans: Vec::new(),
            blocks: Vec::new(),
            tables: Vec::new(),
        };
        let mut heading: Option<String> = None;
        let mut block: Option<Block> = None;
        let mut cell: Option<String> = None;
        let mut name = None;
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
        for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
            let line = 1 + text[..range.start].matches('\n').count();
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    let same = page.anchors.iter().filter(|a| **a == anchor).count();
                    page.anchors.push(match same {
                        0 => anchor,
                        n => format!("{anchor}-{n}"),
                    });
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((line, dest_url.to_string()));
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let info = match kind {
                        CodeBlockKind::Fenced(info) => info.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    block = Some(Block {
                        line,
                        info,
                        name: name.take(),
                        text: String::new(),
                    });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Start(Tag::Table(_)) => page.tables.push(Table {
                    line,
                    rows: Vec::new(),
                }),
                Event::Start(Tag::TableHead | Tag::TableRow) => {
                    let table = page.tables.last_mut().unwrap();
                    table.rows.push((line, Vec::new()));
                }
                Event::Start(Tag::TableCell) => cell = Some(String::new()),
                Event::End(TagEnd::TableCell) => {
                    let table = page.tables.last_mut().unwrap();
                    let row = &mut table.rows.last_mut().unwrap().1;
                    row.push(cell.take().unwrap_or_default());
                }
                Event::Text(words) | Event::Code(words) if block.is_some() => {
                    block.as_mut().unwrap().text += &words;
                }
                Event::Code(code) => {
                    page.spans.push((line, code.to_string()));
                    name = Some(code.to_string());
                    for open in [&mut heading, &mut cell].into_iter().flatten() {
                        *open += &code;
                    }
                }
                Event::Text(words) => {
                    for open in [&mut heading, &mut cell].into_iter().flatten() {
                        *open += &words;
                    }
                }
                _ => {}
            }
        }
        page
    }

    /// Where something stands, as editors and terminals understand it.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

impl Block {
    /// The language.
    pub fn language(&self) -> &str {
        self.info.split_whitespace().next().unwrap_or("")
    }

    /// Whether a word stands behind the language.
    pub fn has(&self, word: &str) -> bool {
        self.info.split_whitespace().skip(1).any(|w| w == word)
    }
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

/// Every page: README and its likes at the top, and everything in `docs/`.
pub fn pages() -> Vec<Page> {
    let mut all = Vec::new();
    for folder in ["", "docs"] {
        find(Path::new(folder), folder == "docs", &mut all);
    }
    all.sort();
    assert!(all.len() > 8, "only {} pages", all.len());
    all.into_iter().map(Page::read).collect()
}

fn find(folder: &Path, deep: bool, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = folder.join(entry.file_name());
        if deep && entry.path().is_dir() {
            find(&path, deep, all);
        } else if path.extension().is_some_and(|e| e == "md") {
            all.push(path);
        }
    }
}

/// Fails with everything that is wrong, each with its place.
pub fn tell(complaints: &[String], advice: &str) {
    assert!(
        complaints.is_empty(),
        "\n{}\n{advice}\n",
        complaints.join("\n")
    );
}

#[test]
fn a_page_is_taken_apart() {
    let text = "# The `ring`, *again*\n\n[a](b.md#c) and `x y`:\n\n```sh run\nmake\n```\n\n| k | v |\n| --- | --- |\n| `a` | b |\n\n## The ring, again\n";
    let page = Page::parse("x.md".into(), text);
    assert_eq!(page.anchors, ["the-ring-again", "the-ring-again-1"]);
    assert_eq!(page.links, [(3, "b.md#c".to_owned())]);
    assert_eq!(page.spans[1], (3, "x y".to_owned()));
    let block = &page.blocks[0];
    assert_eq!(
        (block.line, block.language(), &*block.text),
        (5, "sh", "make\n")
    );
    assert!(block.has("run") && block.name.as_deref() == Some("x y"));
    assert_eq!(
        page.tables[0].rows[1],
        (11, vec!["a".to_owned(), "b".to_owned()])
    );
}
