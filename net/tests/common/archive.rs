//! Writes tar archives, good and bad ones.

use quartz_net::Site;

/// One entry of an archive.
#[derive(Clone)]
pub struct Entry {
    pub header: [u8; 512],
    pub content: Vec<u8>,
}

impl Entry {
    pub fn new(name: &[u8], flag: u8, content: &[u8]) -> Entry {
        let mut header = [0; 512];
        let len = name.len().min(100);
        header[..len].copy_from_slice(&name[..len]);
        header[100..108].copy_from_slice(b"0000644\0");
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        header[136..148].copy_from_slice(b"00000000000\0");
        header[156] = flag;
        header[257..265].copy_from_slice(b"ustar\x0000");
        let mut entry = Entry {
            header,
            content: content.to_vec(),
        };
        entry.size(&format!("{:011o}", content.len()));
        entry
    }

    /// Writes the size field.
    pub fn size(&mut self, figures: &str) {
        self.field(124, figures.as_bytes());
    }

    /// Overwrites a part of the header and sums it up anew.
    pub fn field(&mut self, at: usize, bytes: &[u8]) {
        self.header[at..at + bytes.len()].copy_from_slice(bytes);
        self.header[148..156].fill(b' ');
        let sum: u32 = self.header.iter().map(|&b| u32::from(b)).sum();
        self.header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }

    pub fn with(mut self, at: usize, bytes: &[u8]) -> Entry {
        self.field(at, bytes);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header.to_vec();
        bytes.extend_from_slice(&self.content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

/// An archive of these entries with its end mark.
pub fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries.iter().flat_map(Entry::bytes).collect();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// An image as the kernel has it.
pub fn image(bytes: Vec<u8>) -> &'static [u8] {
    Vec::leak(bytes)
}

/// A site of these files.
pub fn site(files: &[(&str, &[u8])]) -> Site {
    let entries: Vec<Entry> = files
        .iter()
        .map(|(name, content)| Entry::new(name.as_bytes(), b'0', content))
        .collect();
    Site::from_tar(image(archive(&entries))).expect("a good archive")
}
