//! The site's own rules: `_headers` and `_redirects`, checked before anybody boots with them.

use super::entry::Entry;
use super::error::PackError;
use super::links::unescape;
use quartz_abi::site::{HEADERS, HeaderRules, PAGE, REDIRECTS, Redirects, RuleError, RuleFault};
use std::collections::HashSet;

/// Paths that the guest answers itself.
const ENDPOINTS: [&[u8]; 2] = [b"healthz", b"stats.json"];

/// The contents of both files; empty where there is none.
#[derive(Debug, Default)]
pub(super) struct Texts {
    headers: Vec<u8>,
    redirects: Vec<u8>,
}

/// The rules of a site.
pub(super) struct Rules<'a> {
    headers: HeaderRules<'a>,
    redirects: Redirects<'a>,
    names: HashSet<&'a [u8]>,
}

impl Texts {
    pub fn read(entries: &[Entry]) -> Result<Texts, PackError> {
        let text = |name: &[u8]| {
            let entry = entries.iter().find(|entry| entry.bytes_of_name() == name);
            entry.map_or(Ok(Vec::new()), Entry::content)
        };
        Ok(Texts {
            headers: text(HEADERS)?,
            redirects: text(REDIRECTS)?,
        })
    }
}

/// Whether a file holds rules and is not served.
pub(super) fn are_rules(name: &[u8]) -> bool {
    name == HEADERS || name == REDIRECTS
}

impl<'a> Rules<'a> {
    /// Checks the rules against the site's files.
    pub fn new(texts: &'a Texts, entries: &'a [Entry]) -> Result<Rules<'a>, PackError> {
        let file = "_headers";
        let headers =
            HeaderRules::parse(&texts.headers).map_err(|error| PackError::Rule { file, error })?;
        let file = "_redirects";
        let fail = |error| PackError::Rule { file, error };
        let redirects = Redirects::parse(&texts.redirects).map_err(fail)?;
        let names = entries.iter().map(Entry::bytes_of_name);
        let rules = Rules {
            headers,
            redirects,
            names: names.filter(|name| !are_rules(name)).collect(),
        };
        for rule in rules
            .redirects
            .rules
            .iter()
            .filter(|rule| rule.is_rewrite())
        {
            let path = rule.to.split(|b| b"?#".contains(b)).next().unwrap_or(b"");
            if !rules.has_file(&unescape(&path[1..])) {
                return Err(fail(RuleError {
                    line: rule.line,
                    fault: RuleFault::NoSuchFile,
                }));
            }
        }
        Ok(rules)
    }

    /// The header fields for a file.
    pub fn lines(&self, name: &[u8]) -> Result<Vec<u8>, PackError> {
        let mut lines = Vec::new();
        let path = [b"/", name].concat();
        let folder = path
            .strip_suffix(PAGE)
            .filter(|folder| folder.ends_with(b"/"));
        let paths = [&path[..], folder.unwrap_or(&path)];
        let written = self.headers.write_lines(&paths, &mut lines);
        let file = "_headers";
        written.map_err(|error| PackError::Rule { file, error })?;
        Ok(lines)
    }

    /// Whether a path, without a slash at its front, is answered with more than 404.
    pub fn leads_somewhere(&self, path: &[u8]) -> bool {
        let page = [path, b"/", PAGE].concat();
        self.has_file(path)
            || self.names.contains(&page[..])
            || ENDPOINTS.contains(&path)
            || self.redirects.rules.iter().any(|rule| {
                let path = [b"/", path].concat();
                rule.status != 404 && rule.from.matches(&path).is_some()
            })
    }

    fn has_file(&self, path: &[u8]) -> bool {
        match path.last() {
            None | Some(b'/') => self.names.contains(&[path, PAGE].concat()[..]),
            _ => self.names.contains(path),
        }
    }
}
