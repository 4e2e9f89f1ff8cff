//! `_redirects`: `FROM TO [STATUS]` on each line, as Netlify and Cloudflare Pages have it.
//!
//! - `FROM` is a path; `*` stands for any bytes, `:name` for one path segment.
//! - `TO` is a path or an `http(s)://` address; `:splat` and `:name` put in what `FROM` found.
//! - `STATUS`: 301 (default), 302, 303, 307, 308; 200 answers with the file `TO`, 404 with the file
//!   `TO` as an error page. A `!` behind it makes the rule win over a file of that path, which
//!   otherwise wins.
//!
//! The first rule that matches counts.

use super::pattern::{Captures, Pattern, is_name};
use super::rule::{self, MOST_PATTERNS, MOST_RULES, RuleError, RuleFault};
use alloc::vec::Vec;

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect<'a> {
    /// Its line.
    pub line: u32,
    /// Which paths it is for.
    pub from: Pattern<'a>,
    /// Where to.
    pub to: &'a [u8],
    /// Status code.
    pub status: u16,
    /// It wins over a file.
    pub force: bool,
}

/// The rules, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirects<'a> {
    /// Each.
    pub rules: Vec<Redirect<'a>>,
}

impl<'a> Redirects<'a> {
    /// Reads the file.
    ///
    /// # Errors
    /// The first line that cannot be followed.
    pub fn parse(text: &'a [u8]) -> Result<Redirects<'a>, RuleError> {
        let mut redirects = Redirects::default();
        let mut patterns = 0;
        for line in rule::lines(text) {
            let (line, text) = line?;
            let fail = |fault| RuleError { line, fault };
            let redirect = Redirect::parse(line, text).map_err(fail)?;
            patterns += usize::from(!redirect.from.is_static());
            if redirects.rules.len() == MOST_RULES {
                return Err(fail(RuleFault::TooManyRules));
            }
            if patterns > MOST_PATTERNS {
                return Err(fail(RuleFault::TooManyPatterns));
            }
            redirects.rules.push(redirect);
        }
        Ok(redirects)
    }
}

impl<'a> Redirect<'a> {
    fn parse(line: u32, text: &'a [u8]) -> Result<Redirect<'a>, RuleFault> {
        let mut words = text
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            // A comment ends the line.
            .take_while(|word| word[0] != b'#');
        let from = Pattern::new(words.next().ok_or(RuleFault::NoPath)?)?;
        let to = words.next().ok_or(RuleFault::NoTarget)?;
        let (status, force) = match words.next() {
            Some(word) => status(word)?,
            None => (301, false),
        };
        match words.next() {
            Some(word) if word.contains(&b'=') => return Err(RuleFault::Condition),
            Some(_) => return Err(RuleFault::Surplus),
            None => {}
        }
        if to == from.text() {
            return Err(RuleFault::Circle);
        }
        check_target(to, &from, status)?;
        Ok(Redirect {
            line,
            from,
            to,
            status,
            force,
        })
    }

    /// Whether it answers with a file and not with a `Location`.
    #[must_use]
    pub fn is_rewrite(&self) -> bool {
        matches!(self.status, 200 | 404)
    }

    /// The target's parts: text to copy, and what the path's captures put in.
    pub fn target<'t>(
        &self,
        captures: Captures<'a, 't>,
    ) -> impl Iterator<Item = Part<'t>> + use<'t, 'a>
    where
        'a: 't,
    {
        let mut rest = self.to;
        core::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            if let Some((name, after)) = placeholder(rest)
                && let Some(value) = captures.get(name)
            {
                rest = after;
                return Some(Part::Captured(value));
            }
            let next = 1 + rest[1..]
                .iter()
                .position(|&b| b == b':')
                .unwrap_or(rest.len() - 1);
            let (text, after) = rest.split_at(next);
            rest = after;
            Some(Part::Text(text))
        })
    }
}

/// A part of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'t> {
    /// As it was written.
    Text(&'t [u8]),
    /// From the path, without escapes: it has to be escaped.
    Captured(&'t [u8]),
}

/// A `:name` that a target begins with, and what follows.
fn placeholder(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b":")?;
    let end = text
        .iter()
        .position(|b| !(b.is_ascii_alphanumeric() || *b == b'_'))
        .unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    (is_name(name) || name == b"splat").then_some((name, after))
}

fn status(word: &[u8]) -> Result<(u16, bool), RuleFault> {
    let (figures, force) = match word.strip_suffix(b"!") {
        Some(figures) => (figures, true),
        None => (word, false),
    };
    let code = match figures {
        b"200" => 200,
        b"301" => 301,
        b"302" => 302,
        b"303" => 303,
        b"307" => 307,
        b"308" => 308,
        b"404" => 404,
        // Netlify puts conditions on the query in front of the status.
        _ if word.contains(&b'=') || word[0] == b'/' => return Err(RuleFault::Condition),
        _ => return Err(RuleFault::BadStatus),
    };
    Ok((code, force))
}

fn check_target(to: &[u8], from: &Pattern<'_>, status: u16) -> Result<(), RuleFault> {
    let scheme = [&b"https://"[..], b"http://"];
    let host = scheme.iter().find_map(|scheme| to.strip_prefix(*scheme));
    let local = to[0] == b'/' && to.get(1) != Some(&b'/');
    if to.contains(&b'=') && host.is_none() && !local {
        return Err(RuleFault::Condition);
    }
    // RFC 3986, 2: what an address may be made of.
    let plain = |b: &u8| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(b);
    if !to.iter().all(plain) || !(local || host.is_some_and(|host| !host.is_empty())) {
        return Err(RuleFault::BadTarget);
    }
    if matches!(status, 200 | 404) && !local {
        return Err(RuleFault::BadTarget);
    }
    // The scheme's own colon is no placeholder.
    let mut rest = host.unwrap_or(to);
    while let Some(at) = rest.iter().position(|&b| b == b':') {
        rest = &rest[at..];
        if let Some((name, _)) = placeholder(rest)
            && !from.captures(name)
        {
            return Err(RuleFault::UnknownPlaceholder);
        }
        rest = &rest[1..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn one(line: &str) -> Result<(u16, bool), RuleFault> {
        match Redirects::parse(line.as_bytes()) {
            Ok(redirects) => Ok((redirects.rules[0].status, redirects.rules[0].force)),
            Err(error) => Err(error.fault),
        }
    }

    fn to(rule: &str, path: &str) -> Option<String> {
        let redirects = Redirects::parse(rule.as_bytes()).unwrap();
        let rule = redirects.rules[0];
        let captures = rule.from.matches(path.as_bytes())?;
        let parts = rule.target(captures).map(|part| match part {
            Part::Text(text) | Part::Captured(text) => String::from_utf8(text.to_vec()).unwrap(),
        });
        Some(parts.collect())
    }

    #[test]
    fn lines_are_read() {
        let text =
            b"# comment\n\n/a /b\r\n  /c\t/d   302 # why\n/e https://x.example/:splat 404!\n";
        let error = Redirects::parse(text).unwrap_err();
        assert_eq!((error.line, error.fault), (5, RuleFault::BadTarget));
        let redirects = Redirects::parse(text.split_at(text.len() - 33).0).unwrap();
        let lines: Vec<u32> = redirects.rules.iter().map(|rule| rule.line).collect();
        assert_eq!(lines, [3, 4]);
        assert_eq!(redirects.rules[1].to, b"/d");
        assert_eq!(
            Redirects::parse(b"\xef\xbb\xbf/a /b").unwrap().rules.len(),
            1
        );
    }

    #[test]
    fn statuses_and_faults() {
        assert_eq!(one("/a /b"), Ok((301, false)));
        assert_eq!(one("/a /b 308!"), Ok((308, true)));
        assert_eq!(one("/* /index.html 200"), Ok((200, false)));
        assert_eq!(one("/a https://x.example:8080/b"), Ok((301, false)));
        for (line, fault) in [
            ("a /b", RuleFault::NoPath),
            ("https://x.example/a /b", RuleFault::NoPath),
            ("/a", RuleFault::NoTarget),
            ("/a b", RuleFault::BadTarget),
            ("/a //evil.example/", RuleFault::BadTarget),
            ("/a javascript:alert(1)", RuleFault::BadTarget),
            ("/a https://", RuleFault::BadTarget),
            ("/a /\u{fc}", RuleFault::BadTarget),
            ("/a https://x.example/ 200", RuleFault::BadTarget),
            ("/a /b 300", RuleFault::BadStatus),
            ("/a /b 301 Country=de", RuleFault::Condition),
            ("/a id=:id /b/:id 301", RuleFault::Condition),
            ("/a /b 301 x", RuleFault::Surplus),
            ("/a /b/:x", RuleFault::UnknownPlaceholder),
            ("/a /b/:splat", RuleFault::UnknownPlaceholder),
            ("/a https://x.example/:splat", RuleFault::UnknownPlaceholder),
            ("/a /a", RuleFault::Circle),
        ] {
            assert_eq!(one(line), Err(fault), "{line}");
        }
    }

    #[test]
    fn targets_take_what_the_path_has() {
        assert_eq!(to("/a/* /b/:splat", "/a/x/y").unwrap(), "/b/x/y");
        assert_eq!(
            to("/:y/:m /archive/:m-:y.html", "/2020/12").unwrap(),
            "/archive/12-2020.html"
        );
        assert_eq!(
            to("/* https://x.example:80/:splat", "/q").unwrap(),
            "https://x.example:80/q"
        );
        assert_eq!(to("/a /t?x=1:2#y", "/a").unwrap(), "/t?x=1:2#y");
        assert_eq!(to("/a /b", "/c"), None);
    }

    #[test]
    fn bounds() {
        let many = "/a /b\n".repeat(MOST_RULES);
        assert_eq!(
            Redirects::parse(many.as_bytes()).unwrap().rules.len(),
            MOST_RULES
        );
        let more = many + "/a /b\n";
        let error = Redirects::parse(more.as_bytes()).unwrap_err();
        assert_eq!(
            (error.line, error.fault),
            (MOST_RULES as u32 + 1, RuleFault::TooManyRules)
        );
        let patterns = "/a/* /b\n".repeat(MOST_PATTERNS + 1);
        let error = Redirects::parse(patterns.as_bytes()).unwrap_err();
        assert_eq!(error.fault, RuleFault::TooManyPatterns);
        let long = std::format!("/a /{}", "b".repeat(2000));
        assert_eq!(
            Redirects::parse(long.as_bytes()).unwrap_err().fault,
            RuleFault::LongLine
        );
    }
}
