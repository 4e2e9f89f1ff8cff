//! Random bytes for keys and initial sequence numbers.

use super::cpu;
use core::arch::x86_64::_rdrand64_step;

/// Where a seed came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The processor's generator.
    Rdrand,
    /// The jitter of the time stamp counter: guessable with effort, so the log warns.
    Jitter,
}

/// Tries a word is asked for before the generator counts as broken (Intel SDM 1, 7.3.17).
const TRIES: u32 = 10;

/// A fresh seed.
pub fn seed() -> ([u8; 32], Source) {
    let mut seed = [0; 32];
    let mut source = Source::Rdrand;
    for word in seed.chunks_exact_mut(8) {
        let value = rdrand().unwrap_or_else(|| {
            source = Source::Jitter;
            jitter()
        });
        word.copy_from_slice(&value.to_le_bytes());
    }
    (seed, source)
}

fn rdrand() -> Option<u64> {
    if !cpu::has_rdrand() {
        return None;
    }
    let mut value = 0;
    // SAFETY: CPUID says that the instruction is there.
    let got = (0..TRIES).any(|_| unsafe { rdrand_step(&mut value) });
    got.then_some(value)
}

#[target_feature(enable = "rdrand")]
fn rdrand_step(value: &mut u64) -> bool {
    _rdrand64_step(value) == 1
}

/// Folds the low bits of many time stamps together (the multiplier is SplitMix64's).
fn jitter() -> u64 {
    let mut state = cpu::tsc();
    for _ in 0..256 {
        core::hint::spin_loop();
        state = (state ^ cpu::tsc())
            .rotate_left(13)
            .wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    state ^ (state >> 31)
}
