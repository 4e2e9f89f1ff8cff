//! How long a site of many pages, and one of 300 MB, takes to boot: packed, and as a plain tar,
//! which the guest has to read whole.

use crate::Row;
use crate::harness::guest::boot;
use crate::harness::manual;
use quartz::pack::{Choice, Plan};
use quartz::site::Site;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Files of the large site, and bytes of each.
const FILES: usize = 300;
const BYTES: usize = 1 << 20;

fn image(folder: &Path, packed: bool) -> Arc<Site> {
    let mut file = tempfile::tempfile().unwrap();
    if packed {
        let plan = Plan::of(folder, &Choice::default()).unwrap();
        plan.write(&mut file).unwrap();
    } else {
        let mut archive = tar::Builder::new(&mut file);
        archive.append_dir_all(".", folder).unwrap();
        archive.finish().unwrap();
    }
    let bytes = file.metadata().unwrap().len();
    Arc::new(Site { file, bytes })
}

/// Boots it, and compares a file.
fn measure(what: &'static str, folder: &Path, packed: bool, memory: &str, name: &str) -> Row {
    let site = image(folder, packed);
    let size = site.bytes;
    let served = boot(|machine| {
        machine.memory = memory.parse().unwrap();
        machine.site = Some(site);
    });
    let time = served.first_answer;
    let answer = served.get(&format!("/{name}"));
    let same = answer.status == 200 && answer.body == fs::read(folder.join(name)).unwrap();
    let boot_us = served.stats().number("boot_us");
    served.stop();
    Row {
        what,
        figure: format!(
            "{} MB: first answer after {} ms, of which the guest {} ms",
            size / 1_000_000,
            time.as_millis(),
            boot_us / 1000
        ),
        fault: (!same).then(|| format!("{name} came with status {}", answer.status)),
    }
}

/// Over 1,000 pages.
pub fn pages(packed: bool) -> Row {
    let what = match packed {
        true => "the PostgreSQL manual, packed",
        false => "the PostgreSQL manual, plain tar",
    };
    measure(what, &manual(), packed, "64M", "sql-select.html")
}

/// 300 MB of bytes that nothing compresses.
pub fn large(packed: bool) -> Row {
    let folder = tempfile::tempdir().unwrap();
    let mut state = 1u64;
    for number in 0..FILES {
        let mut content = Vec::with_capacity(BYTES);
        while content.len() < BYTES {
            // SplitMix64's step and a multiplication: cheap, and no two files are alike.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            content.extend_from_slice(
                &(state ^ (state >> 30))
                    .wrapping_mul(0xbf58_476d_1ce4_e5b9)
                    .to_le_bytes(),
            );
        }
        fs::write(folder.path().join(format!("{number}.bin")), content).unwrap();
    }
    let what = match packed {
        true => "a site of 300 MB, packed",
        false => "a site of 300 MB, plain tar",
    };
    measure(what, folder.path(), packed, "512M", "299.bin")
}
