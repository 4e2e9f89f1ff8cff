//! The arithmetic against integers that do not wrap.

use super::{RingIndex, need_event};

const MODULUS: i64 = 65_536;

fn index(unbounded: i64) -> RingIndex {
    RingIndex::new((unbounded & (MODULUS - 1)) as u16)
}

/// Whether one of the entries `old..new`, counted without wrapping, has the event's index: the
/// event's place nearest below `new` must not lie before `old`.
fn passes(event: i64, old: i64, new: i64) -> bool {
    let last = new - 1;
    let nearest = last - ((last - event) & (MODULUS - 1));
    old <= nearest
}

/// Every index, every batch from 1 to 256, the events at both ends of the batch and just outside.
#[test]
fn need_event_for_every_index_and_batch() {
    for old in MODULUS..2 * MODULUS {
        let old_index = index(old);
        for batch in 1..=256 {
            let new = old + batch;
            for event in [old - 1, old, new - 1, new] {
                let told = need_event(index(event), index(new), old_index);
                assert_eq!(told, passes(event, old, new), "{event} {old} {new}");
            }
        }
    }
}

/// Every event there is, for batches that begin at both ends and cross the wrap.
#[test]
fn need_event_for_every_event() {
    for old in [MODULUS, 2 * MODULUS - 1, 2 * MODULUS - 128] {
        for batch in 1..=256 {
            let new = old + batch;
            let mut count = 0;
            for event in 0..MODULUS {
                let told = need_event(index(event), index(new), index(old));
                assert_eq!(told, passes(event, old, new), "{event} {old} {new}");
                count += i64::from(told);
            }
            assert_eq!(count, batch, "one event for each entry");
        }
    }
}

/// A comparison of the raw values is what loses the kick.
#[test]
fn a_batch_over_the_wrap() {
    let kick = |event, new, old| {
        need_event(
            RingIndex::new(event),
            RingIndex::new(new),
            RingIndex::new(old),
        )
    };
    assert!(kick(65_534, 2, 65_534));
    assert!(kick(0, 2, 65_534));
    assert!(kick(65_535, 0, 65_535));
    assert!(!kick(2, 2, 65_534));
    assert!(!kick(65_533, 2, 65_534));
    assert!(!kick(7, 7, 7), "nothing published, nothing to tell");
}

/// Every index, every distance from 0 to 256.
#[test]
fn the_gap_for_every_index() {
    for used in MODULUS..2 * MODULUS {
        for gap in 0..=256_u16 {
            let avail = used + i64::from(gap);
            assert_eq!(index(avail).since(index(used)), gap);
            assert_eq!(index(used).plus(gap), index(avail));
            assert_eq!(index(avail).minus(gap), index(used));
        }
    }
}
