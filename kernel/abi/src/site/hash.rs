//! A hash of a file's content, which makes a strong entity tag (RFC 9110, 8.8.1): files that
//! differ have different tags, and a file keeps its tag from image to image.

use core::hash::Hasher;
use siphasher::sip128::{Hasher128, SipHasher13};

/// Length of an entity tag with its quotes.
pub const TAG: usize = 34;

/// Takes in content piece by piece.
#[derive(Clone, Debug)]
pub struct ContentHash(SipHasher13);

impl Default for ContentHash {
    fn default() -> ContentHash {
        ContentHash(SipHasher13::new())
    }
}

impl ContentHash {
    /// The hash of content that is here whole.
    #[must_use]
    pub fn of(content: &[u8]) -> u128 {
        let mut hash = ContentHash::default();
        hash.update(content);
        hash.finish()
    }

    /// Takes in the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.write(piece);
    }

    /// The hash of all pieces.
    #[must_use]
    pub fn finish(&self) -> u128 {
        self.0.finish128().as_u128()
    }
}

/// A hash as an entity tag with its quotes.
#[must_use]
pub fn tag(hash: u128) -> [u8; TAG] {
    let mut tag = [b'"'; TAG];
    for (at, byte) in tag[1..TAG - 1].iter_mut().enumerate() {
        *byte = b"0123456789abcdef"[(hash >> (124 - 4 * at)) as usize & 0xf];
    }
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_same_hash_as_the_whole() {
        let content: alloc::vec::Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let whole = ContentHash::of(&content);
        for piece in [1, 7, 8, 4096, 9_999] {
            let mut hash = ContentHash::default();
            content.chunks(piece).for_each(|piece| hash.update(piece));
            assert_eq!(hash.finish(), whole, "{piece}");
        }
        assert_ne!(ContentHash::of(&content[1..]), whole);
    }

    #[test]
    fn a_tag_is_the_hash_between_quotes() {
        let hash = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;
        assert_eq!(&tag(hash), b"\"0123456789abcdef0011223344556677\"");
    }
}
