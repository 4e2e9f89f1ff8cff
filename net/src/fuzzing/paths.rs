//! The path mapper: no path leaves the site.

use crate::site::{Resolved, Site, path};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write as _;

/// A tar archive of some names with nothing in them, and of rules.
#[must_use]
pub fn image() -> Vec<u8> {
    const RULES: &[u8] = b"/old/* /new/:splat 302\n/x/:a/* /:a/:splat\n/y/* /:splat\n\
        /spa/* /index.html 200\n/a/forced /a/ 307!\n";
    let mut image = Vec::new();
    for (name, content) in [
        ("index.html", &b""[..]),
        ("a/index.html", b""),
        ("a/b/index.html", b""),
        ("a/100%.txt", b""),
        ("a b?#.txt", b""),
        ("...", b""),
        ("404.html", b""),
        ("_redirects", RULES),
    ] {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = b'0';
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        image.extend_from_slice(&header);
        image.extend_from_slice(content);
        image.resize(image.len().next_multiple_of(512), 0);
    }
    image.resize(image.len() + 1024, 0);
    image
}

/// A site whose paths are looked up.
pub struct Paths {
    site: Site,
    plain: Vec<u8>,
}

impl Paths {
    /// For a site.
    #[must_use]
    pub fn new(site: Site) -> Paths {
        Paths {
            site,
            plain: vec![0; 8192],
        }
    }

    /// Maps one path.
    ///
    /// # Panics
    /// The result has a dot part, is not its own plain form, or a redirection leads out.
    pub fn check(&mut self, path: &[u8]) {
        let files = self.site.len() as u32;
        match self.site.resolve(path) {
            Resolved::File(file) | Resolved::Nothing(Some(file)) => assert!(file < files),
            Resolved::Redirect(_) => {
                let place = self.site.location();
                let (first, second) = (place.first(), place.get(1));
                // Two slashes would begin the name of another server.
                assert!(first == Some(&b'/') && second != Some(&b'/') && second != Some(&b'\\'));
                assert!(place.iter().all(u8::is_ascii_graphic));
            }
            Resolved::Nothing(None) | Resolved::Malformed => {}
        }
        let Some(len) = path::plain(path, &mut self.plain) else {
            return;
        };
        let plain = self.plain[..len].to_vec();
        let mut parts = plain.split(|&b| b == b'/');
        assert!(parts.all(|part| part != b"." && part != b".."));
        let mut escaped = alloc::string::String::new();
        for &byte in &plain {
            match path::is_plain(byte) {
                true => escaped.push(char::from(byte)),
                false => write!(escaped, "%{byte:02x}").expect("memory"),
            }
        }
        if escaped.len() <= self.plain.len() {
            let again = path::plain(escaped.as_bytes(), &mut self.plain);
            assert_eq!(again.map(|len| &self.plain[..len]), Some(&plain[..]));
        }
    }
}
