//! Content types by file name extension.

include!(concat!(env!("OUT_DIR"), "/mime.rs"));

/// Where an extension and its type lie in `EXTENSIONS` and `KINDS`. Places instead of pointers: the
/// table is in every guest's memory.
struct Row {
    extension: u16,
    kind: u16,
}

/// A content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// Type and subtype.
    pub name: &'static str,
    /// It is text, which we send as UTF-8.
    pub is_text: bool,
}

impl ContentType {
    /// Whether such files become much smaller when they are compressed.
    #[must_use]
    pub fn is_compressible(&self) -> bool {
        self.is_text
            || self.name.ends_with("+json")
            || matches!(
                self.name,
                "application/wasm"
                    | "application/rtf"
                    | "application/postscript"
                    | "application/vnd.ms-fontobject"
                    | "font/ttf"
                    | "font/otf"
                    | "image/bmp"
                    | "image/x-icon"
            )
    }
}

/// The content type for a file's name.
#[must_use]
pub fn of(name: &[u8]) -> ContentType {
    let file = name.rsplit(|&b| b == b'/').next().unwrap_or(name);
    let name = match file.rsplit(|&b| b == b'.').next() {
        Some(extension) if extension.len() < file.len() => by_extension(extension),
        _ => None,
    }
    .unwrap_or("application/octet-stream");
    ContentType {
        name,
        is_text: name.starts_with("text/")
            || name.ends_with("+xml")
            || matches!(name, "application/json" | "application/xml"),
    }
}

fn by_extension(extension: &[u8]) -> Option<&'static str> {
    let mut lower = [0; LONGEST];
    let lower = lower.get_mut(..extension.len())?;
    lower.copy_from_slice(extension);
    lower.make_ascii_lowercase();
    let found = ROWS.binary_search_by(|row| text(EXTENSIONS, row.extension).as_bytes().cmp(lower));
    Some(text(KINDS, ROWS[found.ok()?].kind))
}

/// The text at `at` of `texts`, behind its length.
fn text(texts: &'static str, at: u16) -> &'static str {
    let (len, texts) = texts[usize::from(at)..].split_at(1);
    &texts[..usize::from(len.as_bytes()[0])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sites_are_made_of() {
        for (name, expected, is_text) in [
            ("index.html", "text/html", true),
            ("a.b/x.CSS", "text/css", true),
            ("app.js", "text/javascript", true),
            ("app.mjs", "text/javascript", true),
            ("a.json", "application/json", true),
            ("feed.xml", "text/xml", true),
            ("i.svg", "image/svg+xml", true),
            ("i.png", "image/png", false),
            ("i.webp", "image/webp", false),
            ("i.avif", "image/avif", false),
            ("favicon.ico", "image/x-icon", false),
            ("f.woff2", "font/woff2", false),
            ("m.wasm", "application/wasm", false),
            ("d.pdf", "application/pdf", false),
            ("v.mp4", "video/mp4", false),
            ("site.webmanifest", "application/manifest+json", false),
            (
                "t.docx",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                false,
            ),
            ("t.txt", "text/plain", true),
            ("README", "application/octet-stream", false),
            ("a.b/README", "application/octet-stream", false),
            (".html", "text/html", true),
            ("x.", "application/octet-stream", false),
            ("x.a-very-long-extension", "application/octet-stream", false),
        ] {
            let found = of(name.as_bytes());
            assert_eq!((found.name, found.is_text), (expected, is_text), "{name}");
        }
    }
}
