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
