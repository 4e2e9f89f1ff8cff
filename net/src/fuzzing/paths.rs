//! The path mapper: no path leaves the site.

use crate::site::{Resolved, Site, path};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write as _;

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
