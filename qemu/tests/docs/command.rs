//! The command line as a person meets it: help, wrong words, missing files, manual pages,
//! completions.

use crate::{quartz, succeeds, text};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What a command line that ends with `status` says on standard error.
fn fails(command: &mut Command, status: i32) -> String {
    let output = command.output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{command:?}: {said}");
    assert!(!said.contains("panicked"), "{command:?}: {said}");
    assert!(output.stdout.is_empty(), "{command:?}: {output:?}");
    said
}

#[test]
fn wrong_words_are_told_with_what_would_be_right() {
    for (words, expected) in [
        (&["runn"][..], &["'runn'", "similar", "'run'"][..]),
        (&["run", "--prot", "80"], &["'--prot'", "'--port'"]),
        (
            &["run", "--port"],
            &["a value is required", "--port <PORT>"],
        ),
        (&["run", "--port=eighty"], &["eighty", "0 to 65535"]),
        (&["run", "--port=70000"], &["70000", "0 to 65535"]),
        (&["run", "--mem=lots"], &["lots", "such as 64M"]),
        (
            &["run", "--net=bridge"],
            &["bridge", "`user` or `tap:NAME`"],
        ),
        (&["run", "--accel=hvf"], &["hvf", "auto, kvm, tcg"]),
        (
            &["run", "site"],
            &[
                "unexpected argument 'site'",
                "quartz run --site site",
                "Usage: quartz run",
            ],
        ),
        (&["pack"], &["required", "<DIR|FILE>", "Usage: quartz pack"]),
        (
            &["upgrade", "www"],
            &["--kernel <FILE>", "--site <DIR|FILE>"],
        ),
        (&["completions", "tcsh"], &["tcsh", "bash, zsh, fish"]),
    ] {
        let said = fails(quartz().args(words), 2);
        for word in expected {
            assert!(said.contains(word), "no `{word}` for {words:?}:\n{said}");
        }
        assert!(said.contains("--help"), "{words:?}:\n{said}");
    }
}

#[test]
fn what_is_missing_or_something_else_is_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("notes.txt"), "no tar\n".repeat(100)).unwrap();
    fs::create_dir(here.join("empty")).unwrap();
    fs::create_dir(here.join("site")).unwrap();
    fs::write(here.join("site/index.html"), "hello\n").unwrap();
    for (words, expected) in [
        (
            &["run", "--site", "nowhere"][..],
            &["the site nowhere does not exist"][..],
        ),
        (&["run", "--site", "empty"], &["the site empty is empty"]),
        (
            &["run", "--site", "notes.txt"],
            &["notes.txt is no site", "not a tar"],
        ),
        (
            &["run", "--kernel", "nowhere"],
            &["there is no kernel nowhere", "make kernel"],
        ),
        (
            &["run", "--kernel", "notes.txt"],
            &["notes.txt is no kernel"],
        ),
        (
            &["run", "--append", "prot=80"],
            &["unknown key `prot`", "gw, ip6", "port"],
        ),
        (
            &["run", "--append", "log=loud"],
            &["`loud`", "error, warn, info"],
        ),
        (&["pack", "nowhere"], &["the site nowhere does not exist"]),
        (
            &["pack", "notes.txt"],
            &["notes.txt is no site", "not a tar"],
        ),
        (
            &["pack", "site", "-o", "no/site.tar"],
            &["no/site.tar", "no directory no"],
        ),
        (
            &["pack", "site", "-o", "empty"],
            &["cannot write empty", "directory"],
        ),
        (&["autopsy", "empty"], &["empty is no autopsy", "report.md"]),
        (
            &["bench", "--peers", "empty"],
            &["no peers in empty", "make bench", "--quick"],
        ),
        (&["autopsy", "notes.txt"], &["notes.txt", "no black box"]),
    ] {
        let mut command = quartz();
        command.args(words).current_dir(here);
        if words[0] == "run" && words[1] != "--kernel" {
            command.arg("--kernel").arg(fake_kernel(here));
        }
        let said = fails(command.args(qemu(words)), 1);
        for word in expected {
            assert!(said.contains(word), "no `{word}` for {words:?}:\n{said}");
        }
    }
}

/// `quartz run` looks for QEMU first; anything that can be run will do, since nothing is started.
fn qemu(words: &[&str]) -> &'static [&'static str] {
    match words[0] {
        "run" => &["--qemu", "/bin/false", "--port", "0", "--accel", "tcg"],
        _ => &[],
    }
}

/// An ELF file that loads a page: enough for what is checked before a start.
fn fake_kernel(folder: &Path) -> std::path::PathBuf {
    let mut image = vec![0u8; 120];
    image[..6].copy_from_slice(b"\x7fELF\x02\x01");
    for (at, value) in [
        (18, 62),
        (32, 64),
        (54, 56),
        (56, 1),
        (64, 1),
        (90, 16),
        (105, 16),
    ] {
        image[at] = value;
    }
    let path = folder.join("kernel.elf");
    fs::write(&path, image).unwrap();
    path
}

#[test]
fn guests_that_are_not_there_are_told_with_those_that_are() {
    let root = tempfile::tempdir().unwrap();
    let here = |command: &mut Command| command.env("QUARTZ_ROOT", root.path()).output().unwrap();
    let none = here(quartz().arg("list"));
    assert!(none.status.success() && none.stdout.is_empty());
    assert!(text(&none.stderr).contains("no guest is configured"));
    assert_eq!(
        text(&here(quartz().args(["list", "--json"])).stdout),
        "[]\n"
    );
    for words in [
        &["status", "www"][..],
        &["reload", "www"],
        &["upgrade", "www", "--site", "x"],
        &["console", "www"],
        &["autopsy", "www"],
        &["supervise", "www"],
    ] {
        let mut command = quartz();
        let said = fails(command.args(words).env("QUARTZ_ROOT", root.path()), 1);
        assert!(said.contains("there is no guest www"), "{words:?}: {said}");
        assert!(said.contains("etc/quartz/www.toml"), "{words:?}: {said}");
        assert!(
            said.contains("no guest is configured here"),
            "{words:?}: {said}"
        );
    }
    let configurations = root.path().join("etc/quartz");
    fs::create_dir_all(&configurations).unwrap();
    fs::write(
        configurations.join("blog.toml"),
        "listen = \"127.0.0.1:1\"\n",
    )
    .unwrap();
    let mut command = quartz();
    let said = fails(
        command
            .args(["status", "www"])
            .env("QUARTZ_ROOT", root.path()),
        1,
    );
    assert!(said.contains("the guests here are blog"), "{said}");
    let mut command = quartz();
    let said = fails(
        command
            .args(["status", "blog"])
            .env("QUARTZ_ROOT", root.path()),
        1,
    );
    assert!(said.contains("blog has no supervisor"), "{said}");
    assert!(said.contains("quartz start blog"), "{said}");
    let mut command = quartz();
    let said = fails(command.args(["status", "No Name"]), 78);
    assert!(said.contains("1 to 24 of a-z"), "{said}");
}

#[test]
fn every_manual_page_is_typeset_without_a_complaint() {
    let folder = tempfile::tempdir().unwrap();
    succeeds(
        quartz()
            .arg("manual")
            .arg(folder.path())
            .args(["--date", "2026-01-02"]),
    );
    let mut pages = 0;
    for section in ["man1", "man5"] {
        for page in fs::read_dir(folder.path().join(section)).unwrap() {
            let page = page.unwrap().path();
            let complaints = Command::new("mandoc")
                .args(["-Tlint", "-W", "warning"])
                .arg(&page)
                .output()
                .expect("mandoc is missing: `qemu/setup.sh test` installs it");
            assert!(complaints.status.success(), "{}", text(&complaints.stdout));
            let shown = succeeds(Command::new("mandoc").args(["-Tutf8"]).arg(&page));
            // Bold is struck over.
            assert!(shown.contains("N\u{8}NA\u{8}AM\u{8}ME\u{8}E"), "{shown}");
            pages += 1;
        }
    }
    assert!(pages > 15, "only {pages} pages");
}

/// What bash offers after these words; the last one is unfinished.
fn bash_offers(words: &[&str]) -> Vec<String> {
    let script = format!(
        "source <(\"$QUARTZ\" completions bash)
        COMP_WORDS=({}); COMP_CWORD={}
        _quartz quartz \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"
        printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words.len() - 1
    );
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", &script]);
    bash.env("QUARTZ", env!("CARGO_BIN_EXE_quartz"));
    succeeds(&mut bash).lines().map(str::to_owned).collect()
}

#[test]
fn shells_complete_commands_options_and_values() {
    assert_eq!(bash_offers(&["quartz", "up"]), ["upgrade"]);
    assert_eq!(bash_offers(&["quartz", "run", "--po"]), ["--port"]);
    let accelerators = bash_offers(&["quartz", "run", "--accel", "\"\""]);
    assert_eq!(accelerators, ["auto", "kvm", "tcg"]);
    let folder = tempfile::tempdir().unwrap();
    for shell in ["zsh", "fish"] {
        let script = succeeds(quartz().args(["completions", shell]));
        let path = folder.path().join(shell);
        fs::write(&path, script).unwrap();
        succeeds(Command::new(shell).arg("-n").arg(&path));
    }
    let offers = format!(
        "source {}; complete -C 'quartz run --acc'",
        folder.path().join("fish").display()
    );
    let offers = succeeds(
        Command::new("fish")
            .args(["--no-config", "-c", &offers])
            .env("HOME", folder.path())
            .env("XDG_DATA_HOME", folder.path()),
    );
    assert!(offers.starts_with("--accel"), "{offers}");
}

#[test]
fn help_is_given_for_every_command_in_two_lengths() {
    let long = succeeds(quartz().arg("--help"));
    let short = succeeds(quartz().arg("-h"));
    assert!(long.len() > short.len());
    for part in ["Commands:", "Examples:", "Files:", "Exit status:"] {
        assert!(long.contains(part), "no {part} in\n{long}");
    }
    let run = succeeds(quartz().args(["run", "--help"]));
    assert!(run.contains("Guest command line (--append):") && run.contains("time_wait"));
    assert_eq!(succeeds(quartz().args(["help", "run"])), run);
    assert!(succeeds(quartz().arg("--version")).starts_with("quartz 0."));
}

/// Every file below a directory, without the directory's own path.
fn files(root: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => all.push(path.strip_prefix(root).unwrap().display().to_string()),
            }
        }
    }
    all.sort();
    all
}

#[test]
fn what_is_installed_has_its_manual_and_goes_away_again() {
    let root = tempfile::tempdir().unwrap();
    let install = |what: &str| {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/install.sh"));
        command.arg(what).env("DESTDIR", root.path());
        succeeds(command.env("QUARTZ", env!("CARGO_BIN_EXE_quartz")))
    };
    install("install");
    let installed = files(root.path());
    for file in [
        "usr/bin/quartz",
        "usr/lib/quartz/quartz-unikernel.elf",
        "usr/lib/systemd/system/quartz@.service",
        "usr/share/bash-completion/completions/quartz",
        "usr/share/fish/vendor_completions.d/quartz.fish",
        "usr/share/zsh/vendor-completions/_quartz",
        "usr/share/man/man1/quartz.1.gz",
        "usr/share/man/man1/quartz-run.1.gz",
        "usr/share/man/man5/quartz.toml.5.gz",
    ] {
        assert!(
            installed.iter().any(|f| f == file),
            "no {file}: {installed:?}"
        );
    }
    let mut man = Command::new("mandoc");
    let page = root.path().join("usr/share/man/man1/quartz.1.gz");
    assert!(succeeds(man.arg(page)).contains("quartz-upgrade(1)"));
    install("uninstall");
    assert_eq!(files(root.path()), Vec::<String>::new());
}
