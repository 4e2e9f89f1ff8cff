//! Path patterns: `/a/b`, `/a/*`, `/:year/:month`, as on static hosts.

use super::rule::RuleFault;

/// Most placeholders of a pattern.
const MOST_PLACEHOLDERS: usize = 4;

/// A checked pattern. `*` stands for any bytes, also none; `:name` for one whole path segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern<'a>(&'a [u8]);

/// What a pattern's parts stand for in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captures<'p, 't> {
    names: [&'p [u8]; MOST_PLACEHOLDERS],
    values: [&'t [u8]; MOST_PLACEHOLDERS],
    count: usize,
    splat: Option<&'t [u8]>,
}

impl<'t> Captures<'_, 't> {
    /// What `:name` stands for; `*` has the name `splat`.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&'t [u8]> {
        let at = self.names[..self.count].iter().position(|n| *n == name);
        match at {
            Some(at) => Some(self.values[at]),
            None if name == b"splat" => self.splat,
            None => None,
        }
    }
}

impl<'p> Pattern<'p> {
    /// Checks a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &'p [u8]) -> Result<Pattern<'p>, RuleFault> {
        if text.first() != Some(&b'/') {
            return Err(RuleFault::NoPath);
        }
        if text
            .iter()
            .any(|b| b"%?#".contains(b) || b.is_ascii_control())
        {
            return Err(RuleFault::EscapedPath);
        }
        let splat = text.iter().position(|&b| b == b'*');
        if let Some(at) = splat
            && (text[at + 1..].contains(&b'*') || text[at..].windows(2).any(|w| w == b"/:"))
        {
            return Err(RuleFault::TwoSplats);
        }
        let mut names = [&[][..]; MOST_PLACEHOLDERS];
        let mut count = 0;
        for segment in text.split(|&b| b == b'/') {
            let Some(name) = segment.strip_prefix(b":") else {
                continue;
            };
            if !is_name(name) || names[..count].contains(&name) {
                return Err(RuleFault::BadPlaceholder);
            }
            *names.get_mut(count).ok_or(RuleFault::TooManyPlaceholders)? = name;
            count += 1;
        }
        Ok(Pattern(text))
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &'p [u8] {
        self.0
    }

    /// Whether it matches only the path that it spells.
    #[must_use]
    pub fn is_static(&self) -> bool {
        !self.0.contains(&b'*') && !self.0.windows(2).any(|w| w == b"/:")
    }

    /// Whether it has a part of this name.
    #[must_use]
    pub fn captures(&self, name: &[u8]) -> bool {
        let mut segments = self.0.split(|&b| b == b'/');
        segments.any(|segment| segment.strip_prefix(b":") == Some(name))
            || (name == b"splat" && self.0.contains(&b'*'))
    }

    /// Compares it with a path that begins with a slash and has no escapes.
    #[must_use]
    pub fn matches<'t>(&self, path: &'t [u8]) -> Option<Captures<'p, 't>> {
        let mut captures = Captures::default();
        let (mut pattern, mut path) = (self.0, path);
        loop {
            match pattern {
                [b'*', suffix @ ..] => {
                    captures.splat = Some(path.strip_suffix(suffix)?);
                    return Some(captures);
                }
                [b'/', b':', rest @ ..] => {
                    let rest_path = path.strip_prefix(b"/")?;
                    let (name, pattern_after) = segment(rest);
                    let (value, path_after) = segment(rest_path);
                    if value.is_empty() {
                        return None;
                    }
                    captures.names[captures.count] = name;
                    captures.values[captures.count] = value;
                    captures.count += 1;
                    (pattern, path) = (pattern_after, path_after);
                }
                [byte, rest @ ..] => {
                    path = path.strip_prefix(&[*byte])?;
                    pattern = rest;
                }
                [] => return path.is_empty().then_some(captures),
            }
        }
    }
}

/// Whether a placeholder may have this name.
pub(super) fn is_name(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
        && name != b"splat"
}

/// A segment and what follows it, with its slash.
fn segment(path: &[u8]) -> (&[u8], &[u8]) {
    let end = path.iter().position(|&b| b == b'/').unwrap_or(path.len());
    path.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let pattern = Pattern::new(pattern.as_bytes()).unwrap();
        pattern.matches(path.as_bytes()).is_some()
    }

    #[test]
    fn paths_and_splats() {
        for (pattern, good, bad) in [
            ("/a", &["/a"][..], &["/", "/a/", "/ab", "/A", ""][..]),
            ("/*", &["/", "/a", "/a/b"], &[""]),
            ("/a/*", &["/a/", "/a/b/c"], &["/a", "/b/a/"]),
            ("/*.css", &["/.css", "/x/y.css"], &["/x.css/", "/css"]),
            ("/a*c/d", &["/ac/d", "/ab/c/d"], &["/a/d", "/ac/"]),
            ("/aba*ba", &["/ababa", "/abaxba"], &["/aba"]),
            (
                "/:year/:month",
                &["/2020/12"],
                &["/2020", "/2020/", "/2020/1/2", "//1"],
            ),
            (
                "/x/:a/y/*",
                &["/x/1/y/", "/x/1/y/2/3"],
                &["/x//y/", "/x/1/y"],
            ),
            ("/a:b", &["/a:b"], &["/ax"]),
        ] {
            for path in good {
                assert!(matches(pattern, path), "{pattern} {path}");
            }
            for path in bad {
                assert!(!matches(pattern, path), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn what_the_parts_stand_for() {
        let pattern = Pattern::new(b"/blog/:year/:slug/*").unwrap();
        let captures = pattern.matches(b"/blog/2020/x-y/a/b").unwrap();
        assert_eq!(captures.get(b"year"), Some(&b"2020"[..]));
        assert_eq!(captures.get(b"slug"), Some(&b"x-y"[..]));
        assert_eq!(captures.get(b"splat"), Some(&b"a/b"[..]));
        assert_eq!(captures.get(b"month"), None);
    }

    #[test]
    fn bad_patterns() {
        for (text, fault) in [
            ("", RuleFault::NoPath),
            ("a", RuleFault::NoPath),
            ("/a%20b", RuleFault::EscapedPath),
            ("/a?b=c", RuleFault::EscapedPath),
            ("/*/*", RuleFault::TwoSplats),
            ("/*/:a", RuleFault::TwoSplats),
            ("/:", RuleFault::BadPlaceholder),
            ("/:a.html", RuleFault::BadPlaceholder),
            ("/:splat", RuleFault::BadPlaceholder),
            ("/:a/:a", RuleFault::BadPlaceholder),
            ("/:a/:b/:c/:d/:e", RuleFault::TooManyPlaceholders),
        ] {
            assert_eq!(Pattern::new(text.as_bytes()), Err(fault), "{text}");
        }
    }
}
