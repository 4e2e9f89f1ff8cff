//! The last frames, in a ring of bytes. A new frame pushes out as many old ones as it takes.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

/// Bytes before each frame: time, length, and how much of it is kept.
const HEAD: usize = 8 + 4 + 2;
/// Least bytes of a ring: one frame of any length fits.
pub const SMALLEST: usize = 16 * 1024;

/// A frame that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// When it passed, in microseconds.
    pub at_us: u64,
    /// Its length.
    pub len: u32,
    /// Bytes of it that are kept, from its beginning.
    pub kept: u16,
}

/// The ring.
#[derive(Debug)]
pub struct Capture {
    bytes: Vec<u8>,
    snaplen: u16,
    /// The oldest frame.
    first: usize,
    used: usize,
    frames: u32,
    taken: u64,
}

impl Capture {
    /// A ring of `size` bytes, at least [`SMALLEST`], that keeps `snaplen` bytes of each frame.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn new(size: usize, snaplen: u16) -> Result<Capture, TryReserveError> {
        let size = size.max(SMALLEST);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size)?;
        bytes.resize(size, 0);
        Ok(Capture {
            bytes,
            snaplen,
            first: 0,
            used: 0,
            frames: 0,
            taken: 0,
        })
    }

    /// Keeps a frame that passed at `at_us`, of which `tail` lies elsewhere.
    pub fn keep(&mut self, at_us: u64, frame: &[u8], tail: &[u8]) {
        let most = usize::from(self.snaplen);
        let len = frame.len() + tail.len();
        let frame = &frame[..frame.len().min(most)];
        let tail = &tail[..tail.len().min(most - frame.len())];
        let kept = frame.len() + tail.len();
        let needed = HEAD + kept;
        while self.used + needed > self.bytes.len() {
            self.forget();
        }
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&at_us.to_le_bytes());
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        head[8..12].copy_from_slice(&len.to_le_bytes());
        head[12..].copy_from_slice(&(kept as u16).to_le_bytes());
        self.push(&head);
        self.push(frame);
        self.push(tail);
        self.frames += 1;
        self.taken += 1;
    }

    /// Frames in the ring.
    #[must_use]
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Frames that were kept since the beginning, those that were pushed out included.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Most bytes kept of a frame.
    #[must_use]
    pub fn snaplen(&self) -> u16 {
        self.snaplen
    }

    /// Bytes of the ring.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of the frames that are kept, without what stands before them.
    #[must_use]
    pub fn content(&self) -> usize {
        self.used - self.frames as usize * HEAD
    }

    /// The place of the oldest frame but `skip`; none if there are not so many.
    #[must_use]
    pub fn place(&self, skip: u32) -> Option<Place> {
        let mut place = Place(0);
        for _ in 0..skip {
            place = self.after(place)?;
        }
        self.get(place).map(|_| place)
    }

    /// The frame at a place.
    #[must_use]
    pub fn get(&self, place: Place) -> Option<Kept> {
        if place.0 + HEAD > self.used {
            return None;
        }
        let mut head = [0; HEAD];
        self.copy(place.0, &mut head);
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = head;
        Some(Kept {
            at_us: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            len: u32::from_le_bytes([i, j, k, l]),
            kept: u16::from_le_bytes([m, n]),
        })
    }

    /// The place behind a frame.
    #[must_use]
    pub fn after(&self, place: Place) -> Option<Place> {
        let kept = self.get(place)?.kept;
        Some(Place(place.0 + HEAD + usize::from(kept)))
    }

    /// Copies the bytes of the frame at a place, from `at` on; how many there were.
    pub fn read(&self, place: Place, at: usize, target: &mut [u8]) -> usize {
        let kept = self.get(place).map_or(0, |kept| usize::from(kept.kept));
        let len = kept.saturating_sub(at).min(target.len());
        self.copy(place.0 + HEAD + at, &mut target[..len]);
        len
    }

    fn forget(&mut self) {
        let Some(kept) = self.get(Place(0)) else {
            return;
        };
        let len = HEAD + usize::from(kept.kept);
        self.first = (self.first + len) % self.bytes.len();
        self.used -= len;
        self.frames -= 1;
    }

    fn push(&mut self, bytes: &[u8]) {
        let at = (self.first + self.used) % self.bytes.len();
        let run = bytes.len().min(self.bytes.len() - at);
        self.bytes[at..at + run].copy_from_slice(&bytes[..run]);
        self.bytes[..bytes.len() - run].copy_from_slice(&bytes[run..]);
        self.used += bytes.len();
    }

    fn copy(&self, offset: usize, target: &mut [u8]) {
        let at = (self.first + offset) % self.bytes.len();
        let run = target.len().min(self.bytes.len() - at);
        let (head, tail) = target.split_at_mut(run);
        head.copy_from_slice(&self.bytes[at..at + run]);
        tail.copy_from_slice(&self.bytes[..tail.len()]);
    }
}

/// Where a frame lies, as long as none is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(usize);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::vec;

    #[test]
    fn the_last_frames_are_kept() {
        let mut capture = Capture::new(0, 200).unwrap();
        assert_eq!((capture.place(0), capture.frames()), (None, 0));
        let mut model: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
        for n in 0..2000_u64 {
            let frame = vec![n as u8; 14 + (n * 37 % 400) as usize];
            let (head, tail) = frame.split_at(frame.len().min(150));
            capture.keep(n, head, tail);
            model.push_back((n, frame));
            while model.len() > capture.frames() as usize {
                model.pop_front();
            }
            assert_eq!(capture.frames() as usize, model.len());
            let size: usize = model.iter().map(|(_, f)| HEAD + f.len().min(200)).sum();
            assert!(size <= SMALLEST && size == capture.used);
        }
        // Not one more would have fitted.
        assert!(capture.used + HEAD + 200 > SMALLEST);
        assert_eq!(capture.taken(), 2000);
        let mut place = capture.place(0);
        for (at_us, frame) in &model {
            let here = place.unwrap();
            let kept = capture.get(here).unwrap();
            assert_eq!((kept.at_us, kept.len as usize), (*at_us, frame.len()));
            let mut bytes = [0; 300];
            let len = capture.read(here, 3, &mut bytes);
            assert_eq!(bytes[..len], frame[3..frame.len().min(200)]);
            place = capture.after(here);
        }
        assert_eq!(capture.get(place.unwrap()), None);
        assert_eq!(capture.place(capture.frames()), None);
        let skipped = capture.place(5).and_then(|place| capture.get(place));
        assert_eq!(skipped.unwrap().at_us, model[5].0);
    }

    #[test]
    fn too_much_memory_is_an_error() {
        assert!(Capture::new(usize::MAX / 2, 100).is_err());
    }
}
