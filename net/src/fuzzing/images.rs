//! The reader of images: refused or served, never a panic, and nothing that names a way out.

use crate::site::{Site, SiteOptions};
use alloc::vec::Vec;
use quartz_abi::site::tar::{self, Kind};
use quartz_abi::site::{Index, index, name};

/// Reads one image.
///
/// # Panics
/// The reader does, or a name leads out of the site.
pub fn images(image: &'static [u8]) {
    let options = SiteOptions {
        now: Some(1 << 31),
        security_fields: true,
    };
    let _ = Site::check(image, &options);
    for entry in tar::entries(image) {
        let Ok(entry) = entry else { break };
        let name = entry.name();
        assert!(name.split(|&b| b == b'/').all(|part| part != b".."));
        match entry.kind {
            Kind::File(content) => {
                let range = image.as_ptr_range();
                assert!(range.contains(&content.as_ptr()) || content.as_ptr() == range.end);
                assert!(content.len() <= image.len());
                assert_eq!(name::check(&name), Ok(()));
            }
            Kind::Link(_) | Kind::Other(_) => assert_eq!(name::check(&name), Ok(())),
            Kind::Directory => {}
        }
    }
}

/// Makes an image of `data` and lets `read` read it. The first byte says how: an archive as it is,
/// one whose checksums are mended, or an index with an archive around it.
pub fn made_of(data: &[u8], read: impl FnOnce(&[u8])) {
    let Some((how, data)) = data.split_first() else {
        return;
    };
    match how % 3 {
        0 => read(data),
        1 => read(&mended(data)),
        _ => indexed(data, read),
    }
}

/// Blocks that begin with a letter or a dot are taken for headers and summed up, so that changes
/// get past the checksum.
fn mended(data: &[u8]) -> Vec<u8> {
    let mut image = data.to_vec();
    for block in image.chunks_exact_mut(tar::BLOCK) {
        if block[0].is_ascii_graphic() {
            sum_up(block);
        }
    }
    image
}

fn sum_up(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
    header[148..156].copy_from_slice(alloc::format!("{sum:06o}\0 ").as_bytes());
}

/// An archive around an index that says what it likes.
fn indexed(content: &[u8], read: impl FnOnce(&[u8])) {
    let len = content.len().next_multiple_of(tar::BLOCK) + 3 * tar::BLOCK;
    let mut image: Vec<u8> = alloc::vec![0; tar::BLOCK];
    image[..index::NAME.len()].copy_from_slice(index::NAME.as_bytes());
    image[124..136].copy_from_slice(alloc::format!("{:011o}\0", content.len()).as_bytes());
    image[156] = b'0';
    sum_up(&mut image);
    image.extend_from_slice(content);
    image.resize(len, 0);
    // Otherwise every index would be stale.
    if let Some(field) = image.get_mut(tar::BLOCK + 16..tar::BLOCK + 24) {
        field.copy_from_slice(&(len as u64).to_le_bytes());
    }
    if let Ok(index) = Index::read(&image[tar::BLOCK..tar::BLOCK + content.len()], len as u64) {
        for record in index.records() {
            let Ok(record) = record else { break };
            assert_eq!(name::check(record.name), Ok(()));
            for extent in record.extents.iter().flatten() {
                assert!(extent.at + extent.len <= len as u64);
            }
        }
    }
    read(&image);
}
