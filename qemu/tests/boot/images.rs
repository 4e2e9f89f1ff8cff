//! Images that nobody should boot, and packed ones that everybody can.

use crate::harness::guest::{boot, boot_to_end, image};
use crate::harness::{heavy, light, manual};
use quartz::guest::Ending;
use quartz::pack::{Choice, Plan};
use quartz::site::Site;
use quartz_abi::ExitCode;
use quartz_abi::site::index;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

/// A header with its checksum, and content.
fn entry(name: &[u8], flag: u8, size: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name);
    header[124..124 + size.len()].copy_from_slice(size);
    header[156] = flag;
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend_from_slice(content);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

fn file(name: &[u8], content: &[u8]) -> Vec<u8> {
    entry(
        name,
        b'0',
        format!("{:011o}", content.len()).as_bytes(),
        content,
    )
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// A good image with an index.
fn packed() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("index.html"), "home").unwrap();
    let mut bytes = Vec::new();
    let plan = Plan::of(folder.path(), &Choice::default()).unwrap();
    plan.write(&mut bytes).unwrap();
    bytes
}

/// The index of the image says something else.
fn lie(at: usize, value: u64) -> Vec<u8> {
    let mut bytes = packed();
    assert!(bytes.starts_with(index::NAME.as_bytes()));
    bytes[512 + at..512 + at + 8].copy_from_slice(&value.to_le_bytes());
    bytes
}

#[test]
fn hostile_images_are_refused_with_a_reason() {
    let _light = light();
    let home = file(b"index.html", b"home");
    let mut damaged = archive(&[home.clone(), file(b"b", b"b")]);
    damaged[1024 + 5] ^= 1;
    let mut cut = archive(&[home.clone(), file(b"cut.bin", &[7; 3000])]);
    cut.truncate(2500);
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("cut", cut, &["cut off", "cut.bin"]),
        ("damaged", damaged, &["checksum", "byte 1024"]),
        (
            "a huge size",
            archive(&[home.clone(), entry(b"huge", b'0', b"77777777777", b"")]),
            &["cut off", "huge"],
        ),
        (
            "absolute",
            archive(&[file(b"/etc/passwd", b"x")]),
            &["begins with a slash", "/etc/passwd"],
        ),
        (
            "climbing",
            archive(&[file(b"a/../../b", b"x")]),
            &["`..`", "a/../../b"],
        ),
        (
            "twice",
            archive(&[home.clone(), home.clone()]),
            &["stands twice", "index.html"],
        ),
        (
            "a link to nothing",
            archive(&[entry(b"link", b'1', b"", b"")]),
            &["hard link", "link"],
        ),
        (
            "an extension that lies",
            archive(&[
                file(b"a", b"a"),
                entry(b"x", b'x', b"00000000010", b"99 path="),
                home.clone(),
            ]),
            &["extended header"],
        ),
        (
            "nothing",
            archive(&[entry(b"d/", b'5', b"", b"")]),
            &["no file"],
        ),
        (
            "an index that lies of a place",
            lie(64 + 32, 1 << 50),
            &["index is wrong", "place"],
        ),
        (
            "an index that lies of a length",
            lie(64 + 40, u64::MAX),
            &["index is wrong", "place"],
        ),
        (
            "an index that lies of a name",
            lie(64, u64::MAX),
            &["index is wrong", "name"],
        ),
        (
            "a rule that nobody can follow",
            archive(&[home.clone(), file(b"_redirects", b"/a /b\n/c d\n")]),
            &["_redirects", "line 2"],
        ),
        (
            "a hundred thousand entries and more",
            archive(&[entry(b"d/", b'5', b"", b"").repeat(100_001)]),
            &["more than 100000 entries"],
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (what, bytes, words) in cases {
        let path = folder.path().join("hostile.tar");
        fs::write(&path, bytes).unwrap();
        let (ending, said) = boot_to_end(|machine| {
            machine.memory = "128M".parse().unwrap();
            machine.site = image(&path);
        });
        let log = said.join("\n");
        assert_eq!(ending, Ending::Code(ExitCode::BadSite), "{what}:\n{log}");
        for word in words.iter().chain(&["site image refused"]) {
            assert!(log.contains(word), "{what}: no `{word}` in:\n{log}");
        }
    }
}

#[test]
fn a_million_entries_are_refused() {
    let _heavy = heavy();
    let mut file = tempfile::tempfile().unwrap();
    let some = entry(b"d/", b'5', b"", b"").repeat(10_000);
    for _ in 0..100 {
        file.write_all(&some).unwrap();
    }
    file.write_all(&[0; 1024]).unwrap();
    let bytes = file.metadata().unwrap().len();
    let (ending, said) = boot_to_end(|machine| {
        machine.memory = "640M".parse().unwrap();
        machine.site = Some(Arc::new(Site { file, bytes }));
    });
    let log = said.join("\n");
    assert_eq!(ending, Ending::Code(ExitCode::BadSite), "{log}");
    assert!(log.contains("more than 100000 entries"), "{log}");
}

/// Packs a folder as `quartz pack` does, or without an index as `tar` does.
fn image_of(folder: &Path, with_index: bool) -> Option<Arc<Site>> {
    let mut file: File = tempfile::tempfile().unwrap();
    if with_index {
        let plan = Plan::of(folder, &Choice::default()).unwrap();
        plan.write(&mut file).unwrap();
    } else {
        let mut archive = tar::Builder::new(&mut file);
        archive.append_dir_all(".", folder).unwrap();
        archive.finish().unwrap();
    }
    let bytes = file.metadata().unwrap().len();
    Some(Arc::new(Site { file, bytes }))
}

#[test]
fn a_packed_site_and_a_plain_one_are_the_same_to_a_client() {
    let _light = light();
    let mut seen = Vec::new();
    for with_index in [true, false] {
        let served = boot(|machine| machine.site = image_of(&manual(), with_index));
        let answers: Vec<_> = ["/", "/sql-select.html", "/stylesheet.css", "/nowhere"]
            .into_iter()
            .map(|path| {
                let answer = served.get(path);
                let field = |name: &str| answer.field(name).map(str::to_owned);
                let fields = ["etag", "last-modified", "content-type"].map(field);
                (answer.status, answer.body, fields)
            })
            .collect();
        assert_eq!(answers[0].0, 200);
        assert!(
            answers[0].2.iter().all(Option::is_some),
            "{:?}",
            answers[0].2
        );
        seen.push(answers);
        served.stop();
    }
    assert!(seen[0] == seen[1]);
}

#[test]
fn compressed_forms_reach_clients_that_want_them() {
    let _light = light();
    let folder = tempfile::tempdir().unwrap();
    let text = "a line that stands here often\n".repeat(400);
    fs::write(folder.path().join("index.html"), &text).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let choice = Choice {
        compress: true,
        ..Choice::default()
    };
    let plan = Plan::of(folder.path(), &choice).unwrap();
    plan.write(&mut file).unwrap();
    let bytes = file.metadata().unwrap().len();
    let served = boot(|machine| machine.site = Some(Arc::new(Site { file, bytes })));
    let curl = |words: &[&str]| {
        let mut command = std::process::Command::new("curl");
        command.args(["-s", "-S", "--max-time", "20"]).args(words);
        command.arg(format!("http://{}/", served.site));
        let mut child = command
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut body = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut body).unwrap();
        assert!(child.wait().unwrap().success());
        body
    };
    assert_eq!(curl(&[]), text.as_bytes());
    assert_eq!(curl(&["--compressed"]), text.as_bytes());
    let raw = curl(&["-H", "Accept-Encoding: gzip"]);
    assert!(raw.starts_with(&[0x1f, 0x8b]) && raw.len() * 10 < text.len());
    let raw = curl(&["-H", "Accept-Encoding: br"]);
    assert!(raw.len() * 10 < text.len());
    served.stop();
}
