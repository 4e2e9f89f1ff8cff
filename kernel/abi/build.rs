//! Writes the table of content types that `src/site/mime.rs` includes, from the maintained list of the
//! crate `mime_guess`: types that sites are made of, sorted by file name extension.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

/// Longest extension kept, in bytes: it is stored as one `u128`.
const LONGEST: usize = 16;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let all = mime_guess::get_extensions("*", "*").expect("mime_guess knows every type as */*");
    let mut extensions: Vec<&str> = all.to_vec();
    extensions.sort_unstable();
    extensions.dedup();

    let mut rows: Vec<(u128, &str)> = extensions
        .into_iter()
        .filter(|extension| extension.len() <= LONGEST)
        .filter_map(|extension| {
            let kind = mime_guess::from_ext(extension).first_raw()?;
            // RFC 9239 has made the other names of JavaScript obsolete.
            let kind = match kind {
                "application/javascript" => "text/javascript",
                kind => kind,
            };
            Some((packed(extension), kind))
        })
        .filter(|(_, kind)| kept(kind))
        .collect();
    rows.sort_unstable();
    rows.dedup_by_key(|row| row.0);

    let mut kinds: Vec<&str> = rows.iter().map(|row| row.1).collect();
    kinds.sort_unstable();
    kinds.dedup();

    let mut text = String::new();
    writeln!(text, "static EXTENSIONS: [u128; {}] = [", rows.len()).unwrap();
    for (extension, _) in &rows {
        writeln!(text, "{extension:#x},").unwrap();
    }
    writeln!(text, "];\nstatic KIND_OF: [u16; {}] = [", rows.len()).unwrap();
    for (_, kind) in &rows {
        writeln!(text, "{},", kinds.binary_search(kind).unwrap()).unwrap();
    }
    writeln!(text, "];\nstatic KINDS: [&str; {}] = [", kinds.len()).unwrap();
    for kind in &kinds {
        writeln!(text, "{kind:?},").unwrap();
    }
    writeln!(text, "];").unwrap();

    let target = Path::new(&env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("mime.rs");
    fs::write(target, text).expect("the build directory can be written");
}

/// The extension's bytes as one number.
fn packed(extension: &str) -> u128 {
    extension
        .bytes()
        .fold(0, |number, byte| number << 8 | u128::from(byte))
}

/// Vendor types fill two thirds of the list and the guest's memory; of them only those that sites
/// offer for download stay.
fn kept(kind: &str) -> bool {
    !kind.starts_with("application/vnd.")
        || kind.starts_with("application/vnd.openxmlformats-officedocument")
        || kind.starts_with("application/vnd.oasis.opendocument")
        || matches!(
            kind,
            "application/vnd.ms-excel"
                | "application/vnd.ms-fontobject"
                | "application/vnd.ms-powerpoint"
                | "application/vnd.android.package-archive"
        )
}
