//! Makes one compressed file out of the page of live figures, and the policy that goes with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::{env, fs};

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let source = here.join("src/live");
    println!("cargo:rerun-if-changed={}", source.display());
    let read = |name: &str| fs::read_to_string(source.join(name)).map(|text| shortened(&text));
    let (style, script) = (read("style.css")?, read("script.js")?);
    let page = read("page.html")?
        .replace("STYLE", &style)
        .replace("SCRIPT", &script);

    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(page.as_bytes())?;
    fs::write(out.join("live.html.gz"), packed.finish()?)?;

    // Content Security Policy 3: nothing but what is named.
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
        hash(&script),
        hash(&style),
    );
    let fields = format!(
        "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\nContent-Security-Policy: {policy}\r\n\
         X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
    );
    fs::write(out.join("live.fields"), fields)
}

/// Without indentation, empty lines and comments that have a line of their own.
fn shortened(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let kept = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    kept.collect::<Vec<_>>().join("\n")
}

/// A source as a policy names it: by its SHA-256.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}
