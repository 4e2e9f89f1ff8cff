//! Archives, good and bad ones.

mod common;

use common::archive::{Entry, archive, image};
use quartz_net::{Site, SiteErrorKind};
use std::process::Command;

fn read(entries: &[Entry]) -> Result<Site, quartz_net::SiteError> {
    Site::from_tar(image(archive(entries)))
}

fn kind(entries: &[Entry]) -> SiteErrorKind {
    read(entries).err().expect("a bad archive").kind
}

fn file(name: &str) -> Entry {
    Entry::new(name.as_bytes(), b'0', b"content")
}

/// A PAX record.
fn record(key: &str, value: &str) -> String {
    let body = format!(" {key}={value}\n");
    let mut len = body.len() + 1;
    while len != body.len() + len.to_string().len() {
        len += 1;
    }
    format!("{len}{body}")
}

#[test]
fn plain_files_are_found_by_their_names() {
    let site = read(&[
        Entry::new(b"./", b'5', b""),
        file("./a.txt"),
        file("dir/b.txt"),
        Entry::new(b"c", 0, b"old type flag"),
        Entry::new(b"d", b'7', b"contiguous"),
        Entry::new(b"empty", b'0', b""),
    ])
    .unwrap();
    assert_eq!(site.len(), 5);
    assert_eq!(site.content(b"a.txt"), Some(&b"content"[..]));
    assert_eq!(site.content(b"dir/b.txt"), Some(&b"content"[..]));
    assert_eq!(site.content(b"c"), Some(&b"old type flag"[..]));
    assert_eq!(site.content(b"d"), Some(&b"contiguous"[..]));
    assert_eq!(site.content(b"empty"), Some(&b""[..]));
    assert_eq!(site.content(b"dir"), None);
    assert_eq!(site.content(b"./a.txt"), None);
}

#[test]
fn names_of_any_length_in_every_format() {
    let long = format!("{}/{}.html", "d".repeat(120), "f".repeat(140));
    let gnu = [
        Entry::new(b"././@LongLink", b'L', format!("{long}\0").as_bytes()),
        file("cut"),
    ];
    assert!(read(&gnu).unwrap().content(long.as_bytes()).is_some());
    let pax = [
        Entry::new(b"PaxHeaders/x", b'x', record("path", &long).as_bytes()),
        file("cut"),
    ];
    assert!(read(&pax).unwrap().content(long.as_bytes()).is_some());
    // A POSIX prefix.
    let prefix = file("name.html").with(345, b"./some/dir");
    assert!(
        read(&[prefix])
            .unwrap()
            .content(b"some/dir/name.html")
            .is_some()
    );
    // GNU tar keeps other things there.
    let times = file("name.html").with(345, b"123").with(257, b"ustar  \0");
    assert!(read(&[times]).unwrap().content(b"name.html").is_some());
    // A name that fills its field has no zero byte behind it.
    let full = "n".repeat(100);
    assert!(
        read(&[file(&full)])
            .unwrap()
            .content(full.as_bytes())
            .is_some()
    );
}

#[test]
fn sizes_in_every_format() {
    let mut base256 = Entry::new(b"a", b'0', &[7; 600]);
    let mut field = [0; 12];
    field[0] = 0x80;
    field[10..].copy_from_slice(&600u16.to_be_bytes());
    base256.field(124, &field);
    let mut pax = Entry::new(b"b", b'0', &[8; 600]);
    pax.size("00000000001");
    let header = Entry::new(b"x", b'x', record("size", "600").as_bytes());
    let mut blanks = Entry::new(b"c", b'0', &[9; 5]);
    blanks.size("         5 \0");
    let site = read(&[base256, header, pax, blanks]).unwrap();
    assert_eq!(site.content(b"a"), Some(&[7; 600][..]));
    assert_eq!(site.content(b"b"), Some(&[8; 600][..]));
    assert_eq!(site.content(b"c"), Some(&[9; 5][..]));
}

#[test]
fn global_headers_and_other_records_are_passed_over() {
    let site = read(&[
        Entry::new(
            b"pax_global_header",
            b'g',
            record("comment", "path=/x").as_bytes(),
        ),
        Entry::new(
            b"x",
            b'x',
            (record("mtime", "1.5") + &record("atime", "2")).as_bytes(),
        ),
        file("a"),
    ])
    .unwrap();
    assert_eq!(site.content(b"a"), Some(&b"content"[..]));
}

#[test]
fn links_and_devices() {
    let link = |target: &[u8]| Entry::new(b"second", b'1', b"").with(157, target);
    let site = read(&[
        file("./first"),
        link(b"./first"),
        Entry::new(b"sym", b'2', b"").with(157, b"/etc/passwd"),
        Entry::new(b"dev", b'3', b""),
        Entry::new(b"fifo", b'6', b""),
        Entry::new(b"odd", b'Z', b"some content"),
        file("last"),
    ])
    .unwrap();
    assert_eq!(site.content(b"second"), Some(&b"content"[..]));
    assert_eq!(site.len(), 3);
    assert_eq!(
        kind(&[link(b"first"), file("first")]),
        SiteErrorKind::BrokenLink
    );
}

#[test]
fn traps_in_names_are_refused() {
    for (name, expected) in [
        ("/etc/passwd", SiteErrorKind::AbsoluteName),
        ("../secret", SiteErrorKind::ClimbingName),
        ("a/../../secret", SiteErrorKind::ClimbingName),
        ("./../a", SiteErrorKind::ClimbingName),
        ("a/..", SiteErrorKind::ClimbingName),
        (".//a", SiteErrorKind::AbsoluteName),
        ("a//b", SiteErrorKind::BadName),
        ("a/./b", SiteErrorKind::BadName),
        ("", SiteErrorKind::BadName),
        (".", SiteErrorKind::BadName),
        ("./.", SiteErrorKind::BadName),
    ] {
        assert_eq!(kind(&[file(name)]), expected, "{name}");
    }
    let pax = |name: &str| {
        [
            Entry::new(b"x", b'x', record("path", name).as_bytes()),
            file("a"),
        ]
    };
    assert_eq!(kind(&pax("a\0b")), SiteErrorKind::BadName);
    assert_eq!(kind(&pax(&"n".repeat(5000))), SiteErrorKind::BadName);
    assert_eq!(kind(&[file(".").with(345, b"a")]), SiteErrorKind::BadName);
    assert_eq!(
        kind(&[file("b").with(345, b"..")]),
        SiteErrorKind::ClimbingName
    );
    assert_eq!(
        kind(&[file("b").with(345, b"/a")]),
        SiteErrorKind::AbsoluteName
    );
    assert_eq!(
        kind(&[Entry::new(b"../d/", b'5', b"")]),
        SiteErrorKind::ClimbingName
    );
}

#[test]
fn damage_is_refused_with_the_place() {
    let good = archive(&[file("a"), file("b")]);
    let error = |bytes: &[u8]| Site::from_tar(image(bytes.to_vec())).err().expect("damage");
    // Every truncation, except inside the second block of the end mark.
    for end in 0..good.len() - 1023 {
        assert_eq!(
            error(&good[..end]).kind,
            SiteErrorKind::Truncated,
            "cut at {end}"
        );
    }
    let mut flipped = good.clone();
    flipped[1024] ^= 1;
    let bad = error(&flipped);
    assert_eq!((bad.kind, bad.offset), (SiteErrorKind::BadChecksum, 1024));
    assert_eq!(error(&[0xff; 4096]).kind, SiteErrorKind::BadChecksum);
    assert_eq!(
        error(b"PK\x03\x04 a zip file, not an archive").kind,
        SiteErrorKind::Truncated
    );
    assert_eq!(error(&[0; 1024]).kind, SiteErrorKind::Empty);
    assert_eq!(error(b"").kind, SiteErrorKind::Truncated);

    let mut huge = file("huge");
    huge.size("77777777777");
    let bad = read(&[file("a"), huge]).err().unwrap();
    assert_eq!(
        (bad.kind, bad.name(), bad.offset),
        (SiteErrorKind::Truncated, &b"huge"[..], 1024)
    );
    assert_eq!(
        bad.to_string(),
        "the archive is cut off: `huge` at byte 1024"
    );
    let mut negative = file("a");
    negative.field(124, &[0xff; 12]);
    assert!(matches!(
        kind(&[negative]),
        SiteErrorKind::BadNumber | SiteErrorKind::Truncated
    ));
    let mut letters = file("a");
    letters.size("0000000000x");
    assert_eq!(kind(&[letters]), SiteErrorKind::BadNumber);
    assert_eq!(kind(&[file("a"), file("./a")]), SiteErrorKind::Duplicate);
}

#[test]
fn bad_extensions_are_refused() {
    for text in [
        "",
        "x",
        "5 a=b\n",
        "99 path=a\n",
        "10 path=ab",
        "9 pathaa\n",
        "-1 path=a\n",
        "0 a=b\n",
    ] {
        let entries = [Entry::new(b"x", b'x', text.as_bytes()), file("a")];
        if text.is_empty() {
            assert!(read(&entries).is_ok());
        } else {
            assert_eq!(kind(&entries), SiteErrorKind::BadExtension, "{text:?}");
        }
    }
    // An extension of nothing.
    let alone = [file("a"), Entry::new(b"././@LongLink", b'L', b"name")];
    assert_eq!(kind(&alone), SiteErrorKind::BadExtension);
}

#[test]
fn too_many_entries_are_refused() {
    let block = Entry::new(b"d/", b'5', b"").bytes();
    let mut bytes = block.repeat(quartz_net::MOST_ENTRIES + 1);
    bytes.resize(bytes.len() + 1024, 0);
    let error = Site::from_tar(image(bytes)).err().unwrap();
    assert_eq!(error.kind, SiteErrorKind::TooManyEntries);
}

#[test]
fn no_image_makes_the_reader_panic() {
    // Good archives with bytes changed, checksums mended or not.
    let entries = [
        Entry::new(b"././@LongLink", b'L', b"dir/long name\0"),
        file("a"),
        Entry::new(b"x", b'x', record("path", "p").as_bytes()),
        file("b").with(345, b"prefix"),
        Entry::new(b"c", b'1', b"").with(157, b"dir/long name"),
    ];
    let mut random = common::Random(7);
    let mut accepted = 0;
    for _ in 0..4000 {
        let mut entries = entries.clone();
        for _ in 0..1 + random.next() % 3 {
            let entry = &mut entries[(random.next() % 5) as usize];
            let byte = random.next() as u8;
            if random.happens(800) || entry.content.is_empty() {
                entry.field((random.next() % 512) as usize, &[byte]);
            } else {
                let at = random.next() as usize % entry.content.len();
                entry.content[at] = byte;
            }
        }
        let mut bytes = archive(&entries);
        if random.happens(100) {
            bytes.truncate(random.next() as usize % bytes.len());
        }
        // Freed again: the image is read here and nowhere else.
        let leaked = Box::leak(bytes.into_boxed_slice());
        accepted += u32::from(Site::from_tar(leaked).is_ok());
    }
    assert!(accepted > 200, "the changes were too coarse: {accepted}");
}

#[test]
fn what_tar_itself_writes() {
    let directory = std::env::temp_dir().join(format!("quartz-net-tar-{}", std::process::id()));
    let long = "l".repeat(90);
    let deep = directory.join(&long).join(&long).join("x".repeat(60));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(directory.join("index.html"), "root").unwrap();
    std::fs::write(directory.join("a b.txt"), "blank").unwrap();
    std::fs::write(deep.join("deep.txt"), "deep").unwrap();
    let path = format!("{long}/{long}/{}/deep.txt", "x".repeat(60));
    let mut formats = 0;
    for format in ["gnu", "pax", "posix", "ustar", "oldgnu"] {
        let output = Command::new("tar")
            .args(["--format", format, "-cf", "-", "-C"])
            .arg(&directory)
            .arg(".")
            .output();
        // Without tar there is nothing to compare with; ustar cannot hold every name.
        let Ok(output) = output else { break };
        let site = Site::from_tar(image(output.stdout)).unwrap();
        assert_eq!(site.content(b"index.html"), Some(&b"root"[..]), "{format}");
        assert_eq!(site.content(b"a b.txt"), Some(&b"blank"[..]), "{format}");
        if format != "ustar" {
            assert_eq!(
                site.content(path.as_bytes()),
                Some(&b"deep"[..]),
                "{format}"
            );
        }
        formats += 1;
    }
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(formats == 5 || formats == 0);
}
