//! Names and sizes that are lawful and still trouble.

use super::entry::Entry;
use std::collections::HashMap;

/// From so many bytes on, a file is worth a word: the guest's memory has to hold it.
const LARGE: u64 = 32 << 20;
/// Longer names do not fit everything that addresses are put into.
const LONG: usize = 1024;

/// What is odd, and which names are.
pub(super) fn odd(entries: &[Entry]) -> Vec<(&'static str, Vec<String>)> {
    let mut by_folded: HashMap<String, usize> = HashMap::new();
    for entry in entries {
        *by_folded.entry(folded(entry)).or_default() += 1;
    }
    let which = |odd: &dyn Fn(&Entry) -> bool| {
        let odd = entries.iter().filter(|entry| odd(entry));
        odd.map(|entry| format!("{:?}", entry.name)).collect()
    };
    let has = |entry: &Entry, bytes: &[u8]| entry.bytes_of_name().iter().any(|b| bytes.contains(b));
    vec![
        (
            "odd names (they are served only with these characters escaped)",
            which(&|entry| has(entry, b"%?#")),
        ),
        (
            "odd names (a `\\` is a slash to some programs)",
            which(&|entry| has(entry, b"\\")),
        ),
        (
            "odd names (not UTF-8)",
            which(&|entry| entry.name.to_str().is_none()),
        ),
        (
            "odd names (a blank at an end is easily lost)",
            which(&|entry| {
                let name = entry.bytes_of_name();
                name.split(|&b| b == b'/')
                    .any(|part| part.trim_ascii() != part)
            }),
        ),
        (
            "odd names (they differ only in upper and lower case)",
            which(&|entry| by_folded[&folded(entry)] > 1),
        ),
        (
            "long names (over 1024 bytes)",
            which(&|entry| entry.bytes_of_name().len() > LONG),
        ),
        (
            "large files (the guest's memory holds the whole image: see --mem)",
            which(&|entry| entry.size >= LARGE),
        ),
    ]
}

fn folded(entry: &Entry) -> String {
    entry.name.to_string_lossy().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::entry::Source;
    use super::*;

    #[test]
    fn odd_names_are_told_from_good_ones() {
        let entry = |name: &str, size| Entry {
            name: name.into(),
            source: Source::File("/x".into()),
            size,
            modified: 0,
        };
        let entries = [
            entry("a b/Grüße.html", 1),
            entry("50%.html", 1),
            entry("a\\b", 1),
            entry("a /b", 1),
            entry("Logo.png", 1),
            entry("logo.PNG", 1),
            entry("video.mp4", LARGE),
            entry(&format!("{}/x", "d".repeat(LONG)), 1),
        ];
        let found: Vec<usize> = odd(&entries).iter().map(|(_, names)| names.len()).collect();
        assert_eq!(found, [1, 1, 0, 1, 2, 1, 1]);
    }
}
