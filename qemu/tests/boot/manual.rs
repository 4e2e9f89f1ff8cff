//! A real site: the HTML manual of PostgreSQL.

use crate::harness::guest::{boot, packed};
use crate::harness::{heavy, manual, soon};
use quartz::guest::Ending;
use std::fs;
use std::path::{Path, PathBuf};

/// Every file below a directory, by its path from there.
fn files(root: &Path, below: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        if entry.path().is_dir() {
            files(root, &path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn every_file_of_the_manual_arrives_unchanged() {
    let _heavy = heavy();
    let root = manual();
    let mut names = Vec::new();
    files(&root, Path::new(""), &mut names);
    assert!(names.len() > 1000, "only {} files", names.len());
    let served = boot(|machine| machine.site = packed(&root));
    let before = served.stats();
    let mut client = served.connect();
    for name in &names {
        let target = format!("/{}", name.to_str().unwrap());
        client.set_deadline(soon());
        let answer = client.request("GET", &target).unwrap();
        assert_eq!(answer.status, 200, "{target}");
        let on_disk = fs::read(root.join(name)).unwrap();
        assert!(answer.body == on_disk, "{target} differs from the disk");
    }
    drop(client);
    let after = served.stats();
    let grown = after.number("requests_served") - before.number("requests_served");
    assert!((names.len() as u64..names.len() as u64 + 3).contains(&grown));
    after.assert_no_trouble();
    served.stop();
}

#[test]
fn a_site_that_does_not_fit_is_refused_not_half_served() {
    let _heavy = heavy();
    let mut machine = quartz::machine::Machine::new(crate::harness::kernel());
    machine.site = packed(&manual());
    machine.memory = "16M".parse().unwrap();
    let mut guest = quartz::guest::Guest::start(&machine, false).unwrap();
    let ending = guest.wait(soon()).unwrap();
    assert!(
        matches!(ending, Some(Ending::Qemu(1) | Ending::Code(_))),
        "{ending:?}: {:?}",
        guest.journal().since(0)
    );
}
