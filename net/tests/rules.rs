//! The site's own rules and its index, seen by a client.

mod common;

use common::archive::{Entry, archive, image};
use common::{Rig, config};
use quartz_abi::site::index::{self, Extent, IndexError, Writer};
use quartz_abi::site::{Coding, ContentHash, RuleFault};
use quartz_net::{Site, SiteErrorKind};

/// A rig with a site of these files.
fn rig(files: &[(&str, &str)]) -> Rig {
    Rig::with(config(), site(files).expect("a good site"))
}

fn site(files: &[(&str, &str)]) -> Result<Site, quartz_net::SiteError> {
    let entries: Vec<Entry> = files
        .iter()
        .map(|(name, text)| Entry::new(name.as_bytes(), b'0', text.as_bytes()))
        .collect();
    Site::from_tar(image(archive(&entries)))
}

#[test]
fn redirects_lead_where_the_file_says() {
    let mut rig = rig(&[
        ("index.html", "home"),
        ("app.html", "app"),
        ("gone.html", "gone for good"),
        ("old/there.html", "still there"),
        ("docs/index.html", "docs"),
        (
            "_redirects",
            "# rules\n/a /b\n/tmp /x 302\n/see /x?y=1 303\n/t7 /x 307\n/t8 https://x.example/p#f 308\n\
             /old/* /new/:splat\n/blog/:year/:slug /:slug-:year.html 302\n/app/* /app.html 200\n\
             /dead/* /gone.html 404\n/index.html / 301!\n/docs/x /docs/ 302\n/* /:splat/z 302\n",
        ),
    ]);
    for (path, code, place) in [
        ("/a", 301, "/b"),
        ("/a?q=1", 301, "/b?q=1"),
        ("/%61", 301, "/b"),
        ("/x/../a", 301, "/b"),
        ("/tmp", 302, "/x"),
        ("/see?z", 303, "/x?y=1"),
        ("/t7", 307, "/x"),
        ("/t8?q", 308, "https://x.example/p?q#f"),
        ("/old/a/b", 301, "/new/a/b"),
        ("/old/a%20b%22", 301, "/new/a%20b%22"),
        ("/blog/2020/rust", 302, "/rust-2020.html"),
        ("/index.html", 301, "/"),
        ("/docs", 301, "/docs/"),
        ("/docs/x", 302, "/docs/"),
        // No other server may come of it.
        ("//evil.example", 302, "/evil.example/z"),
        ("/%5cevil.example", 302, "/%5Cevil.example/z"),
        ("/%0d%0aSet-Cookie:x", 302, "/%0D%0ASet-Cookie:x/z"),
    ] {
        let answer = rig.get(path);
        assert_eq!(
            (answer.code, answer.field("Location")),
            (code, Some(place)),
            "{path}"
        );
        assert!(answer.field("Set-Cookie").is_none());
    }
    for (path, code, body) in [
        ("/", 200, "home"),
        ("/old/there.html", 200, "still there"),
        ("/app/deep/link", 200, "app"),
        ("/dead/x", 404, "gone for good"),
    ] {
        let answer = rig.get(path);
        assert_eq!(
            (answer.code, &answer.body[..]),
            (code, body.as_bytes()),
            "{path}"
        );
    }
    // The rules themselves are nobody's business.
    assert_eq!(
        rig.get("/_redirects").field("Location"),
        Some("/_redirects/z")
    );
}

#[test]
fn the_first_rule_that_matches_counts() {
    let mut rig = rig(&[
        ("x", "x"),
        (
            "_redirects",
            "/a/b /first\n/a/* /second\n/a/c /third\n/a/b /fourth\n",
        ),
    ]);
    assert_eq!(rig.get("/a/b").field("Location"), Some("/first"));
    assert_eq!(rig.get("/a/c").field("Location"), Some("/second"));
    assert_eq!(rig.get("/nothing").code, 404);
}

#[test]
fn header_fields_are_those_of_the_file() {
    let mut rig = rig(&[
        ("index.html", "home"),
        ("docs/index.html", "docs"),
        ("plain.txt", "plain"),
        ("feed", "<feed/>"),
        (
            "_headers",
            "/*\n  X-All: 1\n/docs/\n  X-Docs: 2\n  X-All: 3\n/plain.txt\n  ! X-All\n\
             /feed\n  Content-Type: application/atom+xml\n  Cache-Control: max-age=60\n",
        ),
    ]);
    let mut fields = |path: &str, name: &str| rig.get(path).field(name).map(str::to_owned);
    assert_eq!(fields("/", "X-All").as_deref(), Some("1"));
    assert_eq!(fields("/docs/", "X-All").as_deref(), Some("1, 3"));
    assert_eq!(fields("/docs/index.html", "X-Docs").as_deref(), Some("2"));
    assert_eq!(fields("/plain.txt", "X-All"), None);
    assert_eq!(
        fields("/feed", "Cache-Control").as_deref(),
        Some("max-age=60")
    );
    let feed = rig.get("/feed");
    assert_eq!(
        feed.head.matches("Content-Type").count(),
        1,
        "{}",
        feed.head
    );
    assert_eq!(feed.field("Content-Type"), Some("application/atom+xml"));
    assert_eq!(rig.get("/_headers").code, 404);
    let tag = rig.get("/").field("ETag").unwrap().to_owned();
    let again = rig.ask_once(&format!(
        "GET / HTTP/1.1\r\nHost: x\r\nIf-None-Match: {tag}\r\n\r\n"
    ));
    assert_eq!((again.code, again.field("X-All")), (304, Some("1")));
}

#[test]
fn rules_that_cannot_be_followed_are_refused_with_their_line() {
    let error = |name: &str, text: &str| {
        let error = site(&[("index.html", "x"), (name, text)]).err().unwrap();
        (error.kind, error.to_string())
    };
    let (kind, text) = error("_redirects", "/a /b\n/c /d 999\n");
    let SiteErrorKind::BadRedirects(bad) = kind else {
        panic!("{kind:?}");
    };
    assert_eq!((bad.line, bad.fault), (2, RuleFault::BadStatus));
    assert!(text.starts_with("`_redirects`, line 2: "), "{text}");
    let (kind, _) = error("_redirects", "/a /none.html 200\n");
    assert!(matches!(kind, SiteErrorKind::BadRedirects(e) if e.fault == RuleFault::NoSuchFile));
    let (kind, text) = error("_headers", "/*\n  Bad Name: 1\n");
    assert!(
        matches!(kind, SiteErrorKind::BadHeaders(e) if e.line == 2),
        "{text}"
    );
}

/// An image with an index for two files, one of them with a compressed form that no archive entry
/// has. `change` may spoil the index.
fn packed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let files: [(&str, &[u8]); 3] = [
        ("a.html", b"the page, as it is, and long enough"),
        ("b/index.html", b"another"),
        ("coded", b"a.html coded"),
    ];
    let mut writer = Writer::default();
    writer.push(
        b"a.html",
        b"text/html; charset=utf-8",
        b"X-Own: yes\r\n",
        784_111_777,
    );
    writer.push(b"b/index.html", b"text/html; charset=utf-8", b"", 0);
    let mut entries = vec![Entry::new(
        index::NAME.as_bytes(),
        b'0',
        &vec![0; writer.len()],
    )];
    entries.extend(files.map(|(name, text)| Entry::new(name.as_bytes(), b'0', text)));
    let mut at = 512 + (writer.len() as u64).next_multiple_of(512);
    for (number, (_, text)) in files.iter().enumerate() {
        let extent = Extent {
            at: at + 512,
            len: text.len() as u64,
            hash: ContentHash::of(text),
        };
        match number {
            2 => writer.place(0, Coding::Brotli, extent),
            number => writer.place(number, Coding::Identity, extent),
        }
        at += 512 + (text.len() as u64).next_multiple_of(512);
    }
    entries[0].content = writer.finish(at + 1024, None);
    change(&mut entries[0].content);
    archive(&entries)
}

#[test]
fn a_site_with_an_index_is_served_by_it() {
    let site = Site::from_tar(image(packed(|_| {}))).unwrap();
    assert_eq!(site.len(), 2);
    let mut rig = Rig::with(config(), site);
    let answer = rig.get("/a.html");
    assert_eq!(answer.body, b"the page, as it is, and long enough");
    assert_eq!(answer.field("X-Own"), Some("yes"));
    assert_eq!(
        answer.field("Last-Modified"),
        Some("Sun, 06 Nov 1994 08:49:37 GMT")
    );
    assert_eq!(answer.field("Vary"), Some("Accept-Encoding"));
    let coded = rig.ask_once("GET /a.html HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\n\r\n");
    assert_eq!(
        (coded.field("Content-Encoding"), &coded.body[..]),
        (Some("br"), &b"a.html coded"[..])
    );
    assert_ne!(coded.field("ETag"), answer.field("ETag"));
    assert_eq!(rig.get("/b/").body, b"another");
    assert_eq!(rig.get("/b").field("Location"), Some("/b/"));
    assert_eq!(rig.get("/coded").code, 404);
    assert_eq!(rig.get("/.quartz-index").code, 404);
}

#[test]
fn tags_are_the_same_with_and_without_an_index() {
    let bytes = packed(|_| {});
    let mut with = Rig::with(config(), Site::from_tar(image(bytes.clone())).unwrap());
    // Without the index: an archive from the next entry on.
    let index_len = u64::from_str_radix(std::str::from_utf8(&bytes[124..135]).unwrap(), 8).unwrap();
    let start = 512 + index_len.next_multiple_of(512) as usize;
    let plain = Site::from_tar(image(bytes[start..].to_vec())).unwrap();
    let mut without = Rig::with(config(), plain);
    for path in ["/a.html", "/b/"] {
        assert_eq!(
            with.get(path).field("ETag"),
            without.get(path).field("ETag")
        );
    }
}

#[test]
fn a_stale_index_is_passed_over() {
    let mut longer = packed(|_| {});
    longer.resize(longer.len() + 512, 0);
    let site = Site::from_tar(image(longer)).unwrap();
    assert_eq!(site.len(), 3, "the archive itself");
    let newer = packed(|index| index[8] = 99);
    assert_eq!(Site::from_tar(image(newer)).unwrap().len(), 3);
}

#[test]
fn an_index_that_lies_is_refused() {
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let error = Site::from_tar(image(packed(change))).err().expect("a lie");
        match error.kind {
            SiteErrorKind::BadIndex(why) => (why, error.to_string()),
            kind => panic!("{kind:?}"),
        }
    };
    let (why, text) = refused(&|index| index[0] = b'x');
    assert_eq!(why, IndexError::Malformed);
    assert_eq!(text, "the index is damaged: `.quartz-index`");
    let set = |index: &mut Vec<u8>, at: usize, value: u64| {
        index[at..at + 8].copy_from_slice(&value.to_le_bytes());
    };
    let (why, text) = refused(&|index| set(index, 64 + 32, 1 << 40));
    assert_eq!(
        why,
        IndexError::BadRecord {
            file: 0,
            what: "the place"
        }
    );
    assert!(text.contains("wrong about the place of file 0"), "{text}");
    refused(&|index| set(index, 64 + 40, u64::MAX));
    refused(&|index| set(index, 64, u64::MAX));
    refused(&|index| index.truncate(100));
    refused(&|index| index[15] = 0xff);
    refused(&|index| {
        // A name that climbs out.
        let texts = 64 + 2 * 128;
        index[texts..texts + 6].copy_from_slice(b"../a.h");
    });
}

#[test]
fn no_byte_of_an_index_makes_the_reader_panic() {
    let good = packed(|_| {});
    let index_len = u64::from_str_radix(std::str::from_utf8(&good[124..135]).unwrap(), 8).unwrap();
    let (mut refused, mut accepted) = (0, 0);
    for at in 512..512 + index_len as usize {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bytes = good.clone();
            bytes[at] = value;
            match Site::from_tar(image(bytes)) {
                Ok(_) => accepted += 1,
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 200 && accepted > 200, "{refused} {accepted}");
}

#[test]
fn forms_beside_a_file_are_its_own_only_if_they_look_so() {
    let mut rig = rig(&[
        ("a.css", "a long enough style sheet"),
        ("a.css.gz", "\u{1f}no gzip"),
        ("b.css", "b"),
        ("b.css.br", "longer than the file itself"),
    ]);
    for path in ["/a.css", "/b.css"] {
        let text = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br, gzip\r\n\r\n");
        let answer = rig.ask_once(&text);
        assert_eq!(answer.field("Content-Encoding"), None, "{path}");
    }
    assert_eq!(rig.get("/a.css.gz").code, 200);
}
