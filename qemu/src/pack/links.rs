//! Links of HTML pages to other files of the site, and whether those are there.

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{Token, Tokenizer};
use std::collections::BTreeSet;

/// Most links of a page that are kept: more are not looked at.
const MOST: usize = 10_000;

/// A link that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broken {
    /// The page it stands on, by its name in the site.
    pub page: String,
    /// As it stands there.
    pub link: String,
}

/// The links of a page, each once, sorted: `href` and `src` of every element. A `<base>` comes
/// first, as `base:` and its address.
pub(super) fn of(page: &[u8]) -> Vec<String> {
    let mut links = BTreeSet::new();
    let mut base = None;
    let mut emitter = DefaultEmitter::default();
    // What stands in scripts and style sheets is no element.
    emitter.naively_switch_states(true);
    for Ok(token) in Tokenizer::new_with_emitter(page, emitter) {
        let Token::StartTag(tag) = token else {
            continue;
        };
        for name in [&b"href"[..], b"src"] {
            let Some(value) = tag.attributes.get(name) else {
                continue;
            };
            let text = String::from_utf8_lossy(value).trim().to_owned();
            if &tag.name[..] == b"base" {
                base.get_or_insert(text);
            } else if links.len() < MOST && is_internal(&text) {
                links.insert(text);
            }
        }
    }
    let base = base.map(|base| format!("base:{base}"));
    base.into_iter().chain(links).collect()
}

/// Whether a link stays in the site and names a path.
fn is_internal(link: &str) -> bool {
    let scheme = link
        .split(['/', '?', '#'])
        .next()
        .is_some_and(|head| head.contains(':'));
    !scheme && !link.starts_with("//") && !link.starts_with(['#', '?']) && !link.is_empty()
}

/// The paths that a page's links lead to: what stands on the page, and the path without escapes,
/// dots, query and fragment, and without a slash at its front.
pub(super) fn targets<'a>(
    page: &str,
    links: &'a [String],
) -> impl Iterator<Item = (&'a str, Vec<u8>)> {
    let mut folder = format!("/{page}");
    let mut links = links.iter().peekable();
    let mut elsewhere = false;
    if let Some(base) = links.next_if(|link| link.starts_with("base:")) {
        let base = &base["base:".len()..];
        match is_internal(base) {
            true => folder = format!("/{}", String::from_utf8_lossy(&join(&folder, base))),
            // Every link leads out of the site.
            false => elsewhere = !base.starts_with('#') && !base.is_empty(),
        }
    }
    links
        .filter(move |_| !elsewhere)
        .map(move |link| (link.as_str(), join(&folder, link)))
}

/// A relative path, seen from `from` (RFC 3986, 5.2).
fn join(from: &str, link: &str) -> Vec<u8> {
    let path = link.split(['?', '#']).next().unwrap_or("");
    let folder = match path.starts_with('/') {
        true => "",
        false => from.rsplit_once('/').map_or("", |(folder, _)| folder),
    };
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let whole = format!("{folder}/{}", path.trim_start_matches('/'));
    let mut segments = whole.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let segment = unescape(segment.as_bytes());
        let last = segments.peek().is_none();
        match &segment[..] {
            b"." if last => parts.push(Vec::new()),
            b"." => {}
            b".." => {
                parts.pop();
                if last {
                    parts.push(Vec::new());
                }
            }
            _ => parts.push(segment),
        }
    }
    parts.join(&b'/')
}

/// Decodes `%20` and the like; what is no escape stays.
pub(super) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| std::str::from_utf8(tail.get(..2)?).ok())
            .flatten()
            .and_then(|figures| u8::from_str_radix(figures, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_where_browsers_find_them() {
        let page =
            br##"<!doctype html><!-- <a href="comment"> --><link rel=stylesheet href=style.css>
            <script>"<a href='script'>"</script><A HREF="up/../a%20b.html?x=1&amp;y#z">x</A>
            <img src='/i.png'><a href="https://x.example/y"><a href="//x.example/"><a href="#top">
            <a href="mailto:a@b.example"><a href="data:,x"><a href=""><a href=" b ">"##;
        assert_eq!(
            of(page),
            ["/i.png", "b", "style.css", "up/../a%20b.html?x=1&y#z"]
        );
    }

    #[test]
    fn targets_are_paths_of_the_site() {
        let at = |page: &str, link: &str| {
            let links = [link.to_owned()];
            let target = targets(page, &links).next().map(|(_, path)| path);
            target.map(|path| String::from_utf8(path).unwrap())
        };
        for (page, link, path) in [
            ("index.html", "a.html", "a.html"),
            ("a/b/c.html", "../d.html?x#y", "a/d.html"),
            ("a/b/c.html", "/d/", "d/"),
            ("a/b.html", ".", "a/"),
            ("a/b.html", "..", ""),
            ("a.html", "../../x", "x"),
            ("a/b.html", "./c%20d", "a/c d"),
            ("a.html", "50%", "50%"),
            ("a.html", "/", ""),
        ] {
            assert_eq!(at(page, link).as_deref(), Some(path), "{page} {link}");
        }
        let based = of(b"<base href=/docs/><a href=x.html>");
        let found: Vec<_> = targets("a/b.html", &based).map(|(_, path)| path).collect();
        assert_eq!(found, [b"docs/x.html"]);
        let away = of(b"<base href=https://x.example/><a href=x.html>");
        assert_eq!(targets("a.html", &away).count(), 0);
    }
}
