//! Writes the table of content types that `src/site/mime.rs` includes, from the maintained list of the
//! crate `mime_guess`: types that sites are made of, sorted by file name extension.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

/// Longest extension kept, in bytes.
const LONGEST: usize = 16;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let all = mime_guess::get_extensions("*", "*").expect("mime_guess knows every type as */*");
    let mut extensions: Vec<&str> = all.to_vec();
    extensions.sort_unstable();
    extensions.dedup();

    let (mut names, mut kinds, mut rows) = (Texts::default(), Texts::default(), String::new());
    for extension in extensions {
        let kind = mime_guess::from_ext(extension).first_raw();
        // RFC 9239 has made the other names of JavaScript obsolete.
        let kind = match kind {
            Some("application/javascript") => Some("text/javascript"),
            kind => kind,
        };
        if let Some(kind) = kind.filter(|kind| extension.len() <= LONGEST && kept(kind)) {
            let (extension, kind) = (names.place(extension), kinds.place(kind));
            writeln!(rows, "Row {{ extension: {extension}, kind: {kind} }},").unwrap();
        }
    }
    let text = format!(
        "const LONGEST: usize = {LONGEST};\n\
         static EXTENSIONS: &str = {:?};\n\
         static KINDS: &str = {:?};\n\
         static ROWS: &[Row] = &[\n{rows}];\n",
        names.text, kinds.text
    );
    let target = Path::new(&env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("mime.rs");
    fs::write(target, text).expect("the build directory can be written");
}

/// Short texts in one, each behind its length as a character.
#[derive(Default)]
struct Texts {
    text: String,
    places: HashMap<String, u16>,
}

impl Texts {
    /// Where `text` is, and is put if it is new.
    fn place(&mut self, text: &str) -> u16 {
        *self.places.entry(text.to_owned()).or_insert_with(|| {
            let at = u16::try_from(self.text.len()).expect("64 KiB of texts");
            let len = u8::try_from(text.len()).expect("a short text");
            assert!(len.is_ascii() && text.is_ascii());
            self.text.push(char::from(len));
            self.text.push_str(text);
            at
        })
    }
}

/// Types of single vendors and programs fill most of the list and a tenth of the guest's memory at its
/// smallest; of them only those that sites show or offer for download stay.
fn kept(kind: &str) -> bool {
    let (group, name) = kind.split_once('/').expect("a type has two parts");
    let own = ["x-", "vnd.", "prs.", "ms", "set-", "rpki-", "scvp-", "pkix"];
    match group {
        "text" | "font" | "model" => true,
        "application" | "audio" | "image" | "video" => {
            !own.iter().any(|prefix| name.starts_with(prefix)) || KEPT.contains(&name)
        }
        _ => false,
    }
}

/// Those that stay.
const KEPT: [&str; 42] = [
    "msword",
    "vnd.android.package-archive",
    "vnd.ms-excel",
    "vnd.ms-fontobject",
    "vnd.ms-powerpoint",
    "vnd.oasis.opendocument.graphics",
    "vnd.oasis.opendocument.presentation",
    "vnd.oasis.opendocument.spreadsheet",
    "vnd.oasis.opendocument.text",
    "vnd.openxmlformats-officedocument.presentationml.presentation",
    "vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "vnd.openxmlformats-officedocument.wordprocessingml.document",
    "x-7z-compressed",
    "x-aiff",
    "x-bittorrent",
    "x-bzip",
    "x-bzip2",
    "x-debian-package",
    "x-flac",
    "x-flv",
    "x-font-type1",
    "x-icon",
    "x-latex",
    "x-m4a",
    "x-matroska",
    "x-ms-wma",
    "x-ms-wmv",
    "x-mpegurl",
    "x-msdownload",
    "x-msvideo",
    "x-ns-proxy-autoconfig",
    "x-rar-compressed",
    "x-research-info-systems",
    "x-sh",
    "x-shockwave-flash",
    "x-sql",
    "x-subrip",
    "x-tar",
    "x-tex",
    "x-x509-ca-cert",
    "x-xz",
    "x-wav",
];
