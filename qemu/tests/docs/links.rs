//! Links lead somewhere: to a file, a picture, a heading.

use crate::page::{Page, pages, tell};
use crate::root;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// A path without `..` in it.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// What is wrong with the links of `page`.
fn broken(page: &Page, all: &[Page]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (line, link) in &page.links {
        let mut complain = |what: String| complaints.push(format!("{}: {what}", page.at(*line)));
        if link.contains("://") || link.starts_with("mailto:") {
            let host = link.split('/').nth(2).unwrap_or("");
            if !link.starts_with("https://") || !host.contains('.') {
                complain(format!("`{link}` is no https address of a site"));
            }
            continue;
        }
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let path = match file {
            "" => page.path.clone(),
            file => plain(&page.path.parent().unwrap().join(file)),
        };
        let there = root().join(&path);
        if !there.exists() {
            complain(format!(
                "the link `{link}` leads to {}, which does not exist",
                path.display()
            ));
            continue;
        }
        if there.is_file() && fs::metadata(&there).unwrap().len() == 0 {
            complain(format!("{} is empty", path.display()));
        }
        if anchor.is_empty() {
            continue;
        }
        match all.iter().find(|page| page.path == path) {
            None => complain(format!("`{link}`: {} has no headings", path.display())),
            Some(target) if !target.anchors.iter().any(|a| a == anchor) => complain(format!(
                "`{link}`: {} has no heading `#{anchor}`; it has {}",
                path.display(),
                target.anchors.join(", ")
            )),
            Some(_) => {}
        }
    }
    complaints
}

#[test]
fn every_link_leads_somewhere() {
    let all = pages();
    let complaints: Vec<String> = all.iter().flat_map(|page| broken(page, &all)).collect();
    tell(
        &complaints,
        "Correct the address, or the heading that it names.",
    );
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let text = "# One\n[a](b.md) [c](#one) [d](#two) [e](../README.md) [f](https://example.org/) [g](http://x)\n";
    let page = Page::parse("docs/ring.md".into(), text);
    let all = [page];
    let found = broken(&all[0], &all);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("docs/ring.md:2: the link `b.md` leads to docs/b.md"));
    assert!(found[1].contains("no heading `#two`; it has one"));
    assert!(found[2].contains("no https address"));
}
