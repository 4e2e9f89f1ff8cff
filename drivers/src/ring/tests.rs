//! The ring's memory, word by word.

use super::RingMemory;
use crate::index::RingIndex;
use crate::model::ModelHal;
use crate::notify::Shared;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

static FENCES: AtomicU32 = AtomicU32::new(0);

/// On some machines a fence of the processor is not enough: the kernel knows.
#[test]
fn the_fence_is_the_one_that_was_given() {
    let fence = || {
        FENCES.fetch_add(1, Relaxed);
    };
    let ring = RingMemory::<ModelHal>::new(4, fence).expect("there is memory");
    assert_eq!(FENCES.load(Relaxed), 0);
    ring.full_fence();
    assert_eq!(FENCES.load(Relaxed), 1);
}

/// Every word of the driver's lies in a place of its own, whatever the size.
#[test]
fn no_word_lies_on_another() {
    for log in 1..=15 {
        let size = 1_u16 << log;
        let ring = RingMemory::<ModelHal>::new(size, || {}).expect("there is memory");
        ring.store_avail_flags(0xaaaa);
        ring.store_avail_idx(RingIndex::new(0xbbbb));
        ring.store_used_event(RingIndex::new(0xcccc));
        for at in 0..size {
            ring.write_avail(RingIndex::new(at), at ^ 0x5555);
        }
        let word = |at: usize| ring.avail_word(at).load(Relaxed);
        assert_eq!((word(0), word(1)), (0xaaaa, 0xbbbb), "{size}");
        for at in 0..size {
            assert_eq!(word(2 + usize::from(at)), at ^ 0x5555, "{size}");
        }
        assert_eq!(word(2 + usize::from(size)), 0xcccc, "{size}");
        ring.clear();
        assert!((0..usize::from(size) + 3).all(|at| word(at) == 0), "{size}");
    }
}
