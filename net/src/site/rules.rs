//! The site's redirects, ready to be looked up.
//!
//! Rules that spell a path are found by a table, the few with patterns are tried in turn; of both
//! the one that stands first in the file counts.

use super::lookup::{Lookup, Names, hash};
use super::path;
use crate::text::Text;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write as _;
use hashbrown::HashTable;
use quartz_abi::site::redirects::Part;
use quartz_abi::site::{Redirect, Redirects, RuleError, RuleFault};

/// The rules.
pub(super) struct Rules {
    rules: Vec<Redirect<'static>>,
    /// The file that a rule for 200 or 404 answers with.
    files: Vec<Option<u32>>,
    /// Rules without a pattern, by their path.
    fixed: HashTable<u32>,
    /// Rules with a pattern, in their order.
    patterns: Vec<u32>,
    /// Some win over files.
    pub forced: bool,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A file.
    File(u32),
    /// An error page.
    Missing(u32),
    /// A place that was written down, by a status.
    Place(u16),
}

impl Rules {
    /// Reads `_redirects`; empty: there are no rules.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn new(text: &'static [u8], lookup: &Lookup, names: &Names) -> Result<Rules, RuleError> {
        let Redirects { rules } = Redirects::parse(text)?;
        let mut fixed: HashTable<u32> = HashTable::with_capacity(rules.len());
        let (mut files, mut patterns) = (Vec::with_capacity(rules.len()), Vec::new());
        let mut memory = vec![0; super::LONGEST_PATH];
        for (number, rule) in rules.iter().enumerate() {
            let from = rule.from.text();
            if !rule.from.is_static() {
                patterns.push(number as u32);
            } else if find(&fixed, &rules, from).is_none() {
                let hash_of = |n: &u32| hash(rules[*n as usize].from.text());
                fixed.insert_unique(hash(from), number as u32, hash_of);
            }
            files.push(match rule.is_rewrite() {
                true => Some(
                    target_file(rule, lookup, names, &mut memory).ok_or(RuleError {
                        line: rule.line,
                        fault: RuleFault::NoSuchFile,
                    })?,
                ),
                false => None,
            });
        }
        Ok(Rules {
            forced: rules.iter().any(|rule| rule.force),
            rules,
            files,
            fixed,
            patterns,
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The first rule for a path that begins with a slash and has no escapes; `forced`: only if it
    /// wins over files. The place that it leads to is written to `location`.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn find(&self, path: &[u8], forced: bool, location: &mut Text) -> Option<Found> {
        let fixed = find(&self.fixed, &self.rules, path);
        let before = fixed.unwrap_or(u32::MAX);
        let tried = self.patterns.iter().copied().take_while(|n| *n < before);
        let matching = |n: u32| Some((n, self.rules[n as usize].from.matches(path)?));
        let (number, captures) = tried
            .filter_map(matching)
            .next()
            .or_else(|| matching(fixed?))?;
        let rule = &self.rules[number as usize];
        if forced && !rule.force {
            return None;
        }
        match (self.files[number as usize], rule.status) {
            (Some(file), 404) => return Some(Found::Missing(file)),
            (Some(file), _) => return Some(Found::File(file)),
            (None, _) => {}
        }
        location.clear();
        for part in rule.target(captures) {
            match part {
                Part::Text(text) => location.push(text),
                Part::Captured(mut text) => {
                    // Two slashes at the front would name another server.
                    while location.bytes() == b"/" && text.first() == Some(&b'/') {
                        text = &text[1..];
                    }
                    escape(text, location);
                }
            }
        }
        Some(Found::Place(rule.status))
    }
}

/// Writes a path with the escapes that it needs.
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn escape(path: &[u8], text: &mut Text) {
    for &byte in path {
        if path::is_plain(byte) {
            text.push(&[byte]);
        } else {
            // Writing into `Text` cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

#[cfg_attr(target_os = "none", optimize(size))]
fn find(table: &HashTable<u32>, rules: &[Redirect<'static>], path: &[u8]) -> Option<u32> {
    let same = |number: &u32| rules[*number as usize].from.text() == path;
    table.find(hash(path), same).copied()
}

/// The file that a rule's target names.
fn target_file(
    rule: &Redirect<'_>,
    lookup: &Lookup,
    names: &Names,
    memory: &mut [u8],
) -> Option<u32> {
    let path = rule.to.split(|b| b"?#".contains(b)).next()?;
    let len = path::plain(path.strip_prefix(b"/")?, memory)?;
    lookup.served(&memory[..len], names)
}
