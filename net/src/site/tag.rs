//! Strong entity tags (RFC 9110, 8.8.1): a hash of the content, computed at boot.

use core::hash::Hasher;
use siphasher::sip128::{Hasher128, SipHasher13};

/// Length of a tag with its quotes.
pub(super) const LEN: usize = 34;

/// Writes the tag of `content`.
pub(super) fn write(tag: &mut [u8; LEN], content: &[u8]) {
    let mut hasher = SipHasher13::new();
    hasher.write(content);
    let hash = hasher.finish128().as_u128();
    tag[0] = b'"';
    for (at, byte) in tag[1..LEN - 1].iter_mut().enumerate() {
        *byte = b"0123456789abcdef"[(hash >> (124 - 4 * at)) as usize & 0xf];
    }
    tag[LEN - 1] = b'"';
}
