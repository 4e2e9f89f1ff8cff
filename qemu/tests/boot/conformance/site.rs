//! The site of the table: as an image for the guest, as a directory for nginx.

use super::rules;
use quartz::site::Site;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// When every file was last changed: the date of the examples in RFC 9110.
pub const MODIFIED: u64 = 784_111_777;
pub const MODIFIED_TEXT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

pub const INDEX: &str = "<!doctype html><title>Index</title>\n";
pub const STYLE: &str = "body { color: green }\n";
/// What the compressed forms hold is of no matter here, but for the mark of gzip at the front.
pub const STYLE_GZIP: &[u8] = b"\x1f\x8b\x08 the style\n";
pub const STYLE_BROTLI: &str = "the style, by brotli\n";
pub const MISSING: &str = "<!doctype html><title>Missing</title>\n";
pub const PAGE: &str = "a page\n";
pub const PROBE: &str = "still here\n";

/// A thousand bytes, each of which says where it is.
pub fn digits() -> String {
    (0..100).map(|n| format!("[{n:06}],\n")).collect()
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("index.html", INDEX.into()),
        ("404.html", MISSING.into()),
        ("style.css", STYLE.into()),
        ("style.css.gz", STYLE_GZIP.into()),
        ("style.css.br", STYLE_BROTLI.into()),
        ("digits.txt", digits().into()),
        ("empty.txt", Vec::new()),
        ("probe.txt", PROBE.into()),
        ("dir/index.html", PAGE.into()),
        ("dir/a b.txt", PAGE.into()),
        ("dir/100%.txt", PAGE.into()),
        ("dir/caf\u{e9}.txt", PAGE.into()),
        ("data.json", b"{}\n".into()),
        (
            "picture.svg",
            b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>\n".into(),
        ),
        ("app.js", b"let a = 1;\n".into()),
        ("more.js", b"let b = 2;\n".into()),
        ("more.json", b"[]\n".into()),
        ("m.wasm", b"\0asm\x01\0\0\0".into()),
        ("photo.png", b"\x89PNG\r\n\x1a\n".into()),
        ("unknown.zzz", b"?\n".into()),
        ("bare/file.txt", PAGE.into()),
        ("_headers", rules::HEADERS.into()),
        ("_redirects", rules::REDIRECTS.into()),
    ]
}

/// Writes the files to a directory.
pub fn directory(root: &Path) {
    for (name, content) in files() {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = File::create(path).unwrap();
        file.write_all(&content).unwrap();
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED);
        file.set_modified(modified).unwrap();
    }
}

/// A plain tar archive of them.
pub fn image() -> Option<Arc<Site>> {
    let mut archive = tar::Builder::new(tempfile::tempfile().unwrap());
    for (name, content) in files() {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(MODIFIED);
        archive
            .append_data(&mut header, name, content.as_slice())
            .unwrap();
    }
    let file = archive.into_inner().unwrap();
    let bytes = file.metadata().unwrap().len();
    Some(Arc::new(Site { file, bytes }))
}
