//! The report as a page of tables, for docs/performance.md.

use super::cost::Figures;
use super::race::Row;
use super::statistics::{Spread, short};
use super::subject::Subject;
use std::fmt::Write as _;

/// The page so far.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// Figures of one or more subjects, one column for each.
    pub fn figures(&mut self, title: &str, columns: &[(&str, &Figures)]) {
        let Page(text) = self;
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let _ = writeln!(text, "\n| {title} | {} |", names.join(" | "));
        let _ = writeln!(text, "| --- |{}", " ---: |".repeat(columns.len()));
        let Some((_, first)) = columns.first() else {
            return;
        };
        for (key, _) in *first {
            let _ = write!(text, "| {key} |");
            for (_, figures) in columns {
                let found = figures.iter().find(|(of, _)| of == key);
                let cell = found.map_or("–".into(), |(_, figure)| short(*figure));
                let _ = write!(text, " {cell} |");
            }
            let _ = writeln!(text);
        }
    }

    /// Rows of a race: medians, ours as a multiple of each peer's with the spread, errors.
    pub fn race(&mut self, title: &str, rows: &[Row]) {
        let Page(text) = self;
        let peers = [Subject::Nginx, Subject::Lighttpd];
        let _ = writeln!(
            text,
            "\n| {title} | unit | quartz | nginx | lighttpd | × nginx | × lighttpd | errors |"
        );
        let _ = writeln!(
            text,
            "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"
        );
        for row in rows {
            let _ = write!(text, "| {} | {} |", row.what, row.unit);
            for (_, figures) in &row.figures {
                let median = Spread::of(figures.iter().copied()).median();
                let _ = write!(text, " {} |", short(median));
            }
            for peer in peers {
                let _ = write!(text, " {} |", row.ratio(peer));
            }
            let errors: Vec<String> = row.errors.iter().map(|(_, e)| e.to_string()).collect();
            let _ = writeln!(text, " {} |", errors.join("/"));
        }
    }

    /// A sentence.
    pub fn say(&mut self, sentence: &str) {
        let Page(text) = self;
        let _ = writeln!(text, "\n{sentence}");
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.trim_start()
    }
}
