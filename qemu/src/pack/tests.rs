//! Packing whole sites.

use super::*;
use quartz_abi::site::{Coding, ContentHash, Index, RuleFault, SiteErrorKind};
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

fn site(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn plan(dir: &Path) -> Result<Plan, PackError> {
    Plan::of(dir, &Choice::default())
}

fn image(dir: &Path) -> Vec<u8> {
    let mut image = Vec::new();
    plan(dir).unwrap().write(&mut image).unwrap();
    image
}

fn unpack(image: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(image);
    let files = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert_eq!(header.mode().unwrap(), 0o644);
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut text = Vec::new();
        entry.read_to_end(&mut text).unwrap();
        (name, String::from_utf8_lossy(&text).into_owned())
    });
    // The index is no text.
    files.filter(|(name, _)| name != index::NAME).collect()
}

/// An image with compressed forms, as it was written, and what was said of it.
fn compressed(site: &Path) -> (Vec<u8>, Packed) {
    let choice = Choice {
        compress: true,
        ..Choice::default()
    };
    let mut image = Vec::new();
    let packed = Plan::of(site, &choice).unwrap().write(&mut image).unwrap();
    (image, packed)
}

/// The index of an image.
fn index_of(image: &[u8]) -> Index<'_> {
    let first = quartz_abi::site::tar::entries(image)
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(&*first.name(), index::NAME.as_bytes());
    let quartz_abi::site::tar::Kind::File(content) = first.kind else {
        panic!("{:?}", first.kind);
    };
    Index::read(content, image.len() as u64).unwrap()
}

#[test]
fn every_file_is_in_the_image() {
    let long = format!("{}/{}.html", "d".repeat(90), "f".repeat(200));
    let dir = site(&[
        ("index.html", "hello"),
        ("a/b/c.css", "x"),
        ("empty", ""),
        ("grüße & co.txt", "?"),
        (".well-known/security.txt", "contact"),
        (&long, "long"),
    ]);
    let files = unpack(&image(dir.path()));
    assert_eq!(files.len(), 6);
    assert_eq!(files["index.html"], "hello");
    assert_eq!(files["a/b/c.css"], "x");
    assert_eq!(files["empty"], "");
    assert_eq!(files["grüße & co.txt"], "?");
    assert_eq!(files[&long], "long");
}

#[test]
fn the_same_directory_gives_the_same_bytes() {
    let names = ["b", "a/z", "a.html", "a-b", "c/d/e"];
    let forward: Vec<_> = names.iter().map(|n| (*n, "text")).collect();
    let backward: Vec<_> = names.iter().rev().map(|n| (*n, "text")).collect();
    let (one, two) = (site(&forward), site(&backward));
    for dir in [&one, &two] {
        for name in names {
            let file = File::open(dir.path().join(name)).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
            file.set_modified(time).unwrap();
        }
    }
    let image_one = image(one.path());
    assert_eq!(image_one, image(two.path()));
    let mut archive = tar::Archive::new(image_one.as_slice());
    for entry in archive.entries().unwrap() {
        assert_eq!(entry.unwrap().header().mtime().unwrap(), 1_000_000);
    }
}

#[test]
fn hidden_files_are_left_out_unless_asked_for() {
    let dir = site(&[
        ("index.html", "x"),
        (".git/config", "secret"),
        (".env", "secret"),
    ]);
    let found = plan(dir.path()).unwrap();
    assert_eq!(found.entries.len(), 1);
    assert_eq!(found.hidden.len(), 2);
    let choice = Choice {
        hidden: true,
        ..Choice::default()
    };
    assert_eq!(Plan::of(dir.path(), &choice).unwrap().entries.len(), 3);
}

#[test]
fn links_inside_the_site_are_followed() {
    let dir = site(&[("v2/index.html", "new"), ("v2/a.css", "css")]);
    symlink("v2", dir.path().join("current")).unwrap();
    symlink("current/index.html", dir.path().join("index.html")).unwrap();
    let found = plan(dir.path()).unwrap();
    assert_eq!(found.links.len(), 2);
    let files = unpack(&image(dir.path()));
    assert_eq!(files["index.html"], "new");
    assert_eq!(files["current/a.css"], "css");
}

#[test]
fn links_out_of_the_site_in_circles_and_to_nowhere_are_refused() {
    for (target, word) in [
        ("/etc/passwd", "out of"),
        ("..", "out of"),
        (".", "lies in"),
        ("gone", "nowhere"),
    ] {
        let dir = site(&[("index.html", "x")]);
        symlink(target, dir.path().join("link")).unwrap();
        let error = plan(dir.path()).unwrap_err().to_string();
        assert!(error.contains(word), "{target}: {error}");
    }
}

#[test]
fn a_neighbour_with_a_longer_name_is_outside() {
    let parent = tempfile::tempdir().unwrap();
    let (root, beside) = (
        parent.path().join("site"),
        parent.path().join("site-secret"),
    );
    fs::create_dir(&root).unwrap();
    fs::write(&beside, "secret").unwrap();
    symlink("../site-secret", root.join("link")).unwrap();
    assert!(matches!(plan(&root), Err(PackError::Link { .. })));
}

#[test]
fn sockets_are_left_out() {
    let dir = site(&[("index.html", "x")]);
    let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
    assert_eq!(plan(dir.path()).unwrap().special, [Path::new("socket")]);
}

#[test]
fn names_with_control_characters_are_refused() {
    let dir = site(&[("index.html", "x"), ("two\nlines", "x")]);
    assert!(matches!(plan(dir.path()), Err(PackError::Name { .. })));
}

#[test]
fn missing_empty_and_no_directory_are_told_apart() {
    let dir = site(&[("index.html", "x")]);
    assert!(matches!(
        plan(&dir.path().join("no")),
        Err(PackError::Missing(_))
    ));
    assert!(matches!(
        plan(Path::new("/dev/null")),
        Err(PackError::NotADirectory(_))
    ));
    let empty = site(&[]);
    fs::create_dir(empty.path().join("sub")).unwrap();
    assert!(matches!(plan(empty.path()), Err(PackError::Empty(_))));
}

#[test]
fn a_file_that_changes_is_noticed() {
    for text in ["longer than before", "x"] {
        let dir = site(&[("index.html", "before")]);
        let found = plan(dir.path()).unwrap();
        fs::write(dir.path().join("index.html"), text).unwrap();
        let error = found.write(io::sink()).unwrap_err();
        assert!(matches!(error, PackError::Changed(_)), "{error}");
    }
}

#[test]
fn the_image_itself_is_left_out() {
    let dir = site(&[("index.html", "x"), ("site.tar", "old")]);
    let choice = Choice {
        except: Some(fs::canonicalize(dir.path().join("site.tar")).unwrap()),
        ..Choice::default()
    };
    assert_eq!(Plan::of(dir.path(), &choice).unwrap().entries.len(), 1);
}

/// Text that compresses well.
fn long_text() -> String {
    (0..500).map(|n| format!("line {n} of a text\n")).collect()
}

#[test]
fn the_index_says_where_everything_lies() {
    let long = format!("{}/{}.txt", "d".repeat(90), "f".repeat(200));
    let text = long_text();
    let dir = site(&[
        ("index.html", &text),
        ("empty.css", ""),
        ("small.css", "a{}"),
        ("photo.jpg", &text),
        ("_headers", "/*.css\n  X-Kind: style\n"),
        ("_redirects", "/old /small.css 302\n"),
        (&long, &text),
    ]);
    let (image, packed) = compressed(dir.path());
    assert_eq!((packed.files, packed.image), (5, image.len() as u64));
    let index = index_of(&image);
    let records: Vec<_> = index.records().map(Result::unwrap).collect();
    let names: Vec<_> = records
        .iter()
        .map(|r| String::from_utf8_lossy(r.name))
        .collect();
    assert_eq!(
        names,
        [
            &long[..],
            "empty.css",
            "index.html",
            "photo.jpg",
            "small.css"
        ]
    );
    for record in &records {
        let name = String::from_utf8_lossy(record.name);
        let original = fs::read(dir.path().join(&*name)).unwrap();
        let worth = matches!(&*name, "index.html") || name == long;
        for coding in Coding::ALL {
            let Some(extent) = record.extents[coding as usize] else {
                assert!(!worth, "{name} {coding:?}");
                continue;
            };
            assert!(worth || coding == Coding::Identity, "{name} {coding:?}");
            let range = extent.at as usize..(extent.at + extent.len) as usize;
            let bytes = &image[range];
            assert_eq!(ContentHash::of(bytes), extent.hash, "{name} {coding:?}");
            match coding {
                Coding::Identity => assert_eq!(bytes, original, "{name}"),
                _ => assert!(bytes.len() * 2 < original.len(), "{name} {coding:?}"),
            }
        }
        let style = name.ends_with(".css");
        assert_eq!(record.lines == b"X-Kind: style\r\n", style, "{name}");
        assert_eq!(
            record.content_type == b"text/css; charset=utf-8",
            style,
            "{name}"
        );
    }
    let (at, len) = index.redirects().unwrap();
    assert_eq!(
        &image[at as usize..(at + len) as usize],
        b"/old /small.css 302\n"
    );
    // Any tar reader finds the same, and the compressed forms beside it.
    let files = unpack(&image);
    assert!(files.contains_key("index.html.br") && files.contains_key("index.html.gz"));
    assert_eq!(files["index.html"], text);
    assert_eq!(files.len(), 7 + 4);
}

#[test]
fn compressed_images_are_reproducible() {
    let text = long_text();
    let names: Vec<String> = (0..40).map(|n| format!("page-{n}.html")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (&name[..], &text[..])).collect();
    let dir = site(&files);
    let (one, two) = (compressed(dir.path()).0, compressed(dir.path()).0);
    assert!(one == two);
}

#[test]
fn forms_that_the_site_has_are_taken_if_they_are_true() {
    let text = long_text();
    let dir = site(&[
        ("a.txt", &text),
        ("b.txt", &text),
        ("b.txt.gz", "something else"),
    ]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    let own = encoder.finish().unwrap();
    fs::write(dir.path().join("a.txt.gz"), &own).unwrap();
    let (image, _) = compressed(dir.path());
    let index = index_of(&image);
    let records: BTreeMap<_, _> = index
        .records()
        .map(|record| record.unwrap())
        .map(|record| (String::from_utf8_lossy(record.name).into_owned(), record))
        .collect();
    let gzip = |name: &str| records[name].extents[Coding::Gzip as usize];
    assert_eq!(gzip("a.txt").unwrap().len, own.len() as u64);
    assert_eq!(
        gzip("a.txt").unwrap().at,
        records["a.txt.gz"].extents[0].unwrap().at
    );
    assert_eq!(gzip("b.txt"), None);
    assert!(records["b.txt"].extents[Coding::Brotli as usize].is_some());
}

#[test]
fn an_archive_is_packed_like_its_directory() {
    let text = long_text();
    let dir = site(&[
        ("index.html", &text),
        ("a/b.css", "x"),
        ("_headers", "/*\n  X: 1\n"),
    ]);
    for name in ["index.html", "a/b.css", "_headers"] {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        let file = File::open(dir.path().join(name)).unwrap();
        file.set_modified(time).unwrap();
    }
    let from_directory = compressed(dir.path()).0;
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("plain.tar");
    let mut builder = tar::Builder::new(File::create(&archive).unwrap());
    builder.append_dir_all(".", dir.path()).unwrap();
    builder.into_inner().unwrap();
    assert!(compressed(&archive).0 == from_directory);
    // An image that was packed before gives itself again.
    let again = folder.path().join("again.tar");
    fs::write(&again, &from_directory).unwrap();
    assert!(compressed(&again).0 == from_directory);
}

#[test]
fn archives_that_the_guest_would_refuse_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.tar");
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        match plan(&path).unwrap_err() {
            PackError::Archive { error, .. } => error.kind,
            other => panic!("{other}"),
        }
    };
    let dir = site(&[("index.html", "x"), ("b.html", "y")]);
    let good = image(dir.path());
    assert_eq!(
        refused(&good[..good.len() - 1024]),
        SiteErrorKind::Truncated
    );
    assert_eq!(refused(&[7; 2048]), SiteErrorKind::BadChecksum);
    assert_eq!(refused(b"no archive"), SiteErrorKind::Truncated);
    let named = |name: &[u8], twice: bool| {
        let mut builder = tar::Builder::new(Vec::new());
        for _ in 0..1 + usize::from(twice) {
            let mut header = tar::Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name);
            header.set_size(1);
            header.set_cksum();
            builder.append(&header, &b"x"[..]).unwrap();
        }
        builder.into_inner().unwrap()
    };
    assert_eq!(refused(&named(b"../x", false)), SiteErrorKind::ClimbingName);
    assert_eq!(refused(&named(b"/x", false)), SiteErrorKind::AbsoluteName);
    assert_eq!(refused(&named(b"x", true)), SiteErrorKind::Duplicate);
}

#[test]
fn rules_are_checked_with_their_lines() {
    for (name, text, line, fault) in [
        ("_headers", "/*\n  X-A 1\n", 2, RuleFault::NoField),
        (
            "_headers",
            "/*\n  Content-Length: 1\n",
            2,
            RuleFault::ReservedField,
        ),
        ("_redirects", "# old\n/a /b 999\n", 2, RuleFault::BadStatus),
        (
            "_redirects",
            "/a /gone.html 200\n",
            1,
            RuleFault::NoSuchFile,
        ),
        ("_redirects", "/a/* /:splat 200\n", 1, RuleFault::NoSuchFile),
    ] {
        let dir = site(&[("index.html", "x"), (name, text)]);
        let error = plan(dir.path()).unwrap().write(io::sink()).unwrap_err();
        match error {
            PackError::Rule { file, error } => {
                assert_eq!(
                    (file, error.line, error.fault),
                    (name, line, fault),
                    "{text}"
                );
            }
            other => panic!("{text}: {other}"),
        }
    }
    let dir = site(&[
        ("index.html", "x"),
        ("_redirects", "/app/* / 200\n/x /index.html 404"),
    ]);
    plan(dir.path()).unwrap().write(io::sink()).unwrap();
    let rules_alone = site(&[("_redirects", "/a /b\n")]);
    assert!(matches!(plan(rules_alone.path()), Err(PackError::Empty(_))));
}

#[test]
fn broken_links_are_found() {
    let page = r#"<a href="there.html"><a href="docs"><a href="docs/"><a href="/healthz">
        <a href="old/x"><a href="gone.html#x"><img src="docs/gone.png"><a href="https://x.example">"#;
    let dir = site(&[
        ("index.html", page),
        ("there.html", ""),
        (
            "docs/index.html",
            r#"<a href="../there.html"><a href="there.html">"#,
        ),
        ("_redirects", "/old/* /there.html\n"),
    ]);
    let packed = plan(dir.path()).unwrap().write(io::sink()).unwrap();
    let broken: Vec<_> = packed
        .broken
        .iter()
        .map(|b| (&b.page[..], &b.link[..]))
        .collect();
    assert_eq!(
        broken,
        [
            ("docs/index.html", "there.html"),
            ("index.html", "docs/gone.png"),
            ("index.html", "gone.html#x"),
        ]
    );
    let json: serde_json::Value = serde_json::from_str(&packed.json()).unwrap();
    assert_eq!(json["broken_links"][0]["page"], "docs/index.html");
    assert_eq!(json["types"]["text/html"]["files"], 3);
    assert!(packed.table().contains("text/html"));
}

#[test]
fn the_name_of_the_index_is_taken() {
    let dir = site(&[("index.html", "x"), (index::NAME, "mine")]);
    let choice = Choice {
        hidden: true,
        ..Choice::default()
    };
    assert!(matches!(
        Plan::of(dir.path(), &choice),
        Err(PackError::OwnName)
    ));
}
