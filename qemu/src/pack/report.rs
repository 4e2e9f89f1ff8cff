//! What `quartz pack` says when it is done.

use super::compress::{CODINGS, Prepared};
use super::entry::Entry;
use super::links::{self, Broken};
use super::note;
use super::rules::{Rules, are_rules};
use indicatif::HumanBytes;
use quartz_abi::site::mime;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::Write as _;

/// Figures of some files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    files: u64,
    /// As they are.
    bytes: u64,
    /// In the smallest form that a browser of today takes.
    smallest: u64,
    /// Bytes of the forms in gzip and in brotli.
    forms: [u64; 2],
}

impl Sum {
    fn add(&mut self, other: &Sum) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.smallest += other.smallest;
        for (sum, more) in self.forms.iter_mut().zip(other.forms) {
            *sum += more;
        }
    }
}

/// What is in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Number of files.
    pub files: u64,
    /// Their bytes, without compressed forms and the tar's own.
    pub bytes: u64,
    /// Length of the image.
    pub image: u64,
    /// Links of its pages that lead nowhere.
    pub broken: Vec<Broken>,
    kinds: BTreeMap<&'static str, Sum>,
}

impl Packed {
    pub(super) fn new(
        entries: &[Entry],
        prepared: &[Prepared],
        rules: &Rules<'_>,
        image: u64,
    ) -> Packed {
        let mut packed = Packed {
            files: 0,
            bytes: 0,
            image,
            broken: Vec::new(),
            kinds: BTreeMap::new(),
        };
        for (entry, prepared) in entries.iter().zip(prepared) {
            if are_rules(entry.bytes_of_name()) {
                continue;
            }
            let forms = [0, 1].map(|slot| {
                let made = prepared.made[slot]
                    .as_ref()
                    .map(|form| form.bytes.len() as u64);
                made.or(prepared.own[slot].map(|own| entries[own].size))
            });
            let smallest = forms.iter().flatten().fold(entry.size, |a, b| a.min(*b));
            let sum = Sum {
                files: 1,
                bytes: entry.size,
                smallest,
                forms: forms.map(|form| form.unwrap_or(0)),
            };
            let kind = mime::of(entry.bytes_of_name()).name;
            packed.kinds.entry(kind).or_default().add(&sum);
            packed.files += 1;
            packed.bytes += entry.size;
            let page = entry.name.to_string_lossy();
            let targets = links::targets(&page, &prepared.links);
            let broken = targets.filter(|(_, path)| !rules.leads_somewhere(path));
            packed.broken.extend(broken.map(|(link, _)| Broken {
                page: page.clone().into_owned(),
                link: link.to_owned(),
            }));
        }
        packed
    }

    /// Prints what may be wrong with the site.
    pub fn tell(&self) {
        let mut pages: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
        for broken in &self.broken {
            pages.entry(&broken.link).or_insert((&broken.page, 0)).1 += 1;
        }
        let name = |(link, (page, count)): (&str, (&str, usize))| match count {
            1 => format!("{link:?} on {page}"),
            n => format!("{link:?} on {page} and {} more pages", n - 1),
        };
        note("broken links", pages.into_iter().map(name).collect());
    }

    /// The sizes, for a person.
    pub(super) fn table(&self) -> String {
        let mut rows: Vec<_> = self.kinds.iter().map(|(kind, sum)| (*kind, *sum)).collect();
        rows.sort_by_key(|(kind, sum)| (std::cmp::Reverse(sum.bytes), *kind));
        let mut total = Sum::default();
        rows.iter().for_each(|(_, sum)| total.add(sum));
        rows.push(("all", total));
        let width = rows
            .iter()
            .map(|(kind, _)| kind.len())
            .max()
            .unwrap_or(0)
            .max(8);
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:width$} {:>7} {:>12} {:>12} {:>12}",
            "type", "files", "bytes", "gzip", "brotli"
        );
        let form = |bytes| match bytes {
            0 => "-".to_owned(),
            bytes => HumanBytes(bytes).to_string(),
        };
        for (kind, sum) in &rows {
            let _ = writeln!(
                text,
                "{kind:width$} {:>7} {:>12} {:>12} {:>12}",
                sum.files,
                HumanBytes(sum.bytes).to_string(),
                form(sum.forms[0]),
                form(sum.forms[1])
            );
        }
        let _ = writeln!(
            text,
            "sent to a browser of today: {}; image: {}",
            HumanBytes(total.smallest),
            HumanBytes(self.image)
        );
        text
    }

    /// The same for a program.
    pub(super) fn json(&self) -> String {
        let sum = |sum: &Sum| {
            json!({
                "files": sum.files,
                "bytes": sum.bytes,
                "smallest": sum.smallest,
                CODINGS[0].name(): sum.forms[0],
                CODINGS[1].name(): sum.forms[1],
            })
        };
        let kinds: serde_json::Map<_, _> = self
            .kinds
            .iter()
            .map(|(kind, s)| ((*kind).to_owned(), sum(s)))
            .collect();
        let broken: Vec<_> = self
            .broken
            .iter()
            .map(|broken| json!({ "page": broken.page, "link": broken.link }))
            .collect();
        let json = json!({
            "files": self.files,
            "bytes": self.bytes,
            "image": self.image,
            "types": kinds,
            "broken_links": broken,
        });
        format!("{json:#}\n")
    }
}

impl fmt::Display for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.files == 1 { "" } else { "s" };
        write!(f, "{} file{s}, {} bytes", self.files, self.bytes)
    }
}

/// Prints a report. If nobody reads it, it is lost.
pub(super) fn print(text: &str, to_stderr: bool) {
    let _ = if to_stderr {
        std::io::stderr().lock().write_all(text.as_bytes())
    } else {
        std::io::stdout().lock().write_all(text.as_bytes())
    };
}
