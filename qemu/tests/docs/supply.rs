//! What a release is made of, and that the same input makes the same bytes.

use crate::{root, succeeds};
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn every_crate_comes_from_crates_io_with_its_checksum() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let lock: toml::Table = lock.parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let Some(source) = package.get("source") else {
            // A crate of this workspace.
            assert!(
                name == "live" || name.starts_with("quartz"),
                "{name} has no source"
            );
            continue;
        };
        assert_eq!(
            source.as_str(),
            Some("registry+https://github.com/rust-lang/crates.io-index"),
            "{name}"
        );
        assert!(package.get("checksum").is_some(), "{name} has no checksum");
    }
    assert!(packages.len() > 100);
}

#[test]
fn the_lock_file_says_what_is_built() {
    let mut cargo = Command::new(env!("CARGO"));
    // Resolves the whole workspace, and fetches nothing for it.
    cargo.args(["tree", "--locked", "--offline", "-p", "quartz-abi"]);
    // If this fails: `cargo build` writes a new Cargo.lock; commit it.
    succeeds(cargo.current_dir(root()));
}

/// A release in `folder`, made of the command under test, and tried out by the script itself.
fn release(folder: &Path) -> Command {
    let mut command = Command::new("sh");
    // The rights of new files are whatever the person who builds has set.
    command.args(["-c", "umask ${MASK:-022}; exec qemu/release.sh \"$0\""]);
    command.arg(folder).current_dir(root());
    command.env("QUARTZ", env!("CARGO_BIN_EXE_quartz"));
    command
        .env("QUICK", "1")
        .env("SOURCE_DATE_EPOCH", "1700000000");
    // Nobody downloads it.
    command.env("DPKG_DEB_COMPRESSOR_LEVEL", "1");
    command
}

#[test]
fn a_release_is_the_same_bytes_again_and_its_tarball_serves() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    succeeds(&mut release(&first));
    let elsewhere = folder.path().join("a directory for temporary files");
    fs::create_dir(&elsewhere).unwrap();
    let mut again = release(&second);
    again.env("TMPDIR", &elsewhere).env("MASK", "077");
    succeeds(again.env("TZ", "Asia/Tokyo").env("LC_ALL", "C.UTF-8"));
    let sums = |folder: &Path| fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    assert_eq!(sums(&first), sums(&second));
    let version = env!("CARGO_PKG_VERSION");
    let tarball = format!("quartz-{version}.tar.gz");
    let package = format!("quartz_{version}_amd64.deb");
    assert!(sums(&first).contains(&tarball) && sums(&first).contains(&package));
    let listed = succeeds(Command::new("tar").arg("tzf").arg(first.join(&tarball)));
    for file in [
        "bin/quartz",
        "quartz-unikernel.elf",
        "quartz-unikernel.debug",
        "share/man/man1/quartz-run.1",
        "share/completions/quartz.zsh",
        "share/systemd/quartz@.service",
        "docs/operations.md",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "THIRD-PARTY",
        "THIRD-PARTY-rust.html",
        "SHA256SUMS",
    ] {
        let path = format!("quartz-{version}/{file}");
        assert!(listed.lines().any(|line| line == path), "no {path}");
    }
    let fields = succeeds(Command::new("dpkg-deb").arg("-f").arg(first.join(&package)));
    assert!(
        fields.contains(&format!("Version: {version}\n")),
        "{fields}"
    );
    let unpacked = succeeds(Command::new("dpkg-deb").arg("-c").arg(first.join(&package)));
    assert!(
        !unpacked.contains("1970") && unpacked.contains("2023-11-14"),
        "{unpacked}"
    );
    for file in [
        "THIRD-PARTY.gz",
        "man1/quartz.1.gz",
        "system/quartz@.service",
    ] {
        assert!(unpacked.contains(file), "no {file} in\n{unpacked}");
    }
}

/// `make reproduce` shows it by building; this is what would break it first.
#[test]
fn the_kernel_carries_no_path_of_this_machine() {
    let top = root().canonicalize().unwrap();
    let home = std::env::var("HOME").unwrap_or_default();
    let cargo = std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{home}/.cargo"));
    let rustup = std::env::var("RUSTUP_HOME").unwrap_or_else(|_| format!("{home}/.rustup"));
    for file in ["quartz-unikernel.elf", "quartz-unikernel.debug"] {
        let image = fs::read(top.join("target").join(file))
            .unwrap_or_else(|e| panic!("{file}: {e}: run `make kernel` first"));
        for path in [top.to_str().unwrap(), &cargo, &rustup] {
            let found = image.windows(path.len()).any(|at| at == path.as_bytes());
            assert!(!found, "{path} stands in {file}");
        }
        // Lines are still told, by paths below the top of the sources.
        if file.ends_with("debug") {
            let known = b"machine.rs";
            let known = image.windows(known.len()).any(|at| at == known);
            assert!(known, "{file} tells no lines");
        }
    }
}
