//! The table of a site's paths: each file by its name, each index page by its directory too.
//!
//! It is filled at boot and only read afterwards, so the hash needs no secret: whoever could
//! choose names that collide, chooses the site.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;
use hashbrown::HashTable;
use quartz_abi::site::PAGE;

/// How a path is made from a file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The name itself.
    Name,
    /// An index page's directory, with the slash.
    Directory,
    /// The same without the slash.
    Bare,
}

/// An entry: a file by its number, and how its path is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// The file.
    pub file: u32,
    /// What of its name is the path.
    pub form: Form,
}

impl Key {
    /// The path, of the file's name.
    pub fn path(self, name: &[u8]) -> &[u8] {
        match self.form {
            Form::Name => name,
            Form::Directory => &name[..name.len() - PAGE.len()],
            Form::Bare => &name[..name.len() - PAGE.len() - 1],
        }
    }
}

/// The names of files, by their numbers.
#[derive(Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    /// Where each name ends.
    ends: Vec<u32>,
}

impl Names {
    /// Room for so many files with so many bytes of names.
    pub fn with_room(files: usize, bytes: usize) -> Result<Names, TryReserveError> {
        let mut names = Names::default();
        names.bytes.try_reserve_exact(bytes)?;
        names.ends.try_reserve_exact(files)?;
        Ok(names)
    }

    /// Adds the next file's name.
    pub fn push(&mut self, name: &[u8]) {
        self.bytes.extend_from_slice(name);
        self.ends.push(self.bytes.len() as u32);
    }

    /// A file's name.
    pub fn get(&self, file: u32) -> &[u8] {
        let file = file as usize;
        let start = match file {
            0 => 0,
            _ => self.ends[file - 1] as usize,
        };
        &self.bytes[start..self.ends[file] as usize]
    }
}

/// The table.
pub(super) struct Lookup {
    table: HashTable<Key>,
}

impl Lookup {
    /// Room for `len` paths. `None`: the heap has none.
    pub fn with_room(len: usize) -> Option<Lookup> {
        let mut table = HashTable::new();
        table.try_reserve(len, |_| 0).ok()?;
        Some(Lookup { table })
    }

    /// What is at a path.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn find(&self, path: &[u8], names: &Names) -> Option<Key> {
        self.table
            .find(hash(path), |key| key.path(names.get(key.file)) == path)
            .copied()
    }

    /// The file of a name.
    pub fn file(&self, name: &[u8], names: &Names) -> Option<u32> {
        let key = self.find(name, names)?;
        (key.form == Form::Name).then_some(key.file)
    }

    /// The file that a path is answered with at once: its own, or a directory's page.
    pub fn served(&self, path: &[u8], names: &Names) -> Option<u32> {
        let key = self.find(path, names)?;
        (key.form != Form::Bare).then_some(key.file)
    }

    /// Enters a path that is not in it yet.
    pub fn insert(&mut self, key: Key, names: &Names) {
        let hash_of = |key: &Key| hash(key.path(names.get(key.file)));
        self.table.insert_unique(hash_of(&key), key, hash_of);
    }
}

/// A quick hash of a path.
#[cfg_attr(target_os = "none", optimize(speed))]
pub(super) fn hash(path: &[u8]) -> u64 {
    // Any odd number with well mixed bits.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word).wrapping_mul(u128::from(FACTOR));
        product as u64 ^ (product >> 64) as u64
    };
    let (words, tail) = path.as_chunks::<8>();
    let hash = words.iter().fold(path.len() as u64 + FACTOR, |hash, word| {
        mix(hash, u64::from_le_bytes(*word))
    });
    let tail = tail
        .iter()
        .fold(0, |word, byte| word << 8 | u64::from(*byte));
    mix(mix(hash, tail), FACTOR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn a_hundred_thousand_paths_are_found() {
        let mut names = Names::default();
        let mut index = Lookup::with_room(100_000).unwrap();
        for file in 0..100_000 {
            names.push(format!("docs/section-{}/page-{}.html", file / 100, file % 100).as_bytes());
            let form = Form::Name;
            index.insert(Key { file, form }, &names);
        }
        for file in (0..100_000).step_by(77) {
            let path = format!("docs/section-{}/page-{}.html", file / 100, file % 100);
            assert_eq!(
                index.find(path.as_bytes(), &names).map(|key| key.file),
                Some(file)
            );
        }
        assert!(index.find(b"docs/section-1/page-1.htm", &names).is_none());
    }

    #[test]
    fn hashes_of_similar_paths_differ_everywhere() {
        // Both the bits that choose a bucket and those that tell its entries apart.
        let hashes = || (0..4096).map(|n| hash(format!("img/{n}.png").as_bytes()));
        for shift in [0, 57] {
            let mut seen = [0u32; 128];
            hashes().for_each(|hash| seen[(hash >> shift) as usize & 127] += 1);
            assert!(seen.iter().all(|&n| (8..80).contains(&n)), "{seen:?}");
        }
    }
}
