//! The kernel's `memcpy` and its kin, run on the host against what they have to do: every length up
//! to some hundred bytes, every alignment, every overlap, and nothing beside.
#![cfg(target_arch = "x86_64")]

use std::arch::global_asm;
use std::cmp::Ordering;
use std::ffi::{c_int, c_void};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

// SAFETY: no other symbol has this name.
#[unsafe(export_name = "quartz_copy_wide")]
static WIDE: AtomicU8 = AtomicU8::new(0);
/// Tests that say which registers are used take turns.
static TURN: Mutex<()> = Mutex::new(());

global_asm!(include_str!("../../src/arch/copy.s"));

unsafe extern "C" {
    fn quartz_memcpy(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void;
    fn quartz_memmove(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void;
    fn quartz_memset(to: *mut c_void, byte: c_int, len: usize) -> *mut c_void;
    fn quartz_memcmp(a: *const c_void, b: *const c_void, len: usize) -> c_int;
    fn quartz_bcmp(a: *const c_void, b: *const c_void, len: usize) -> c_int;
}

const MOST: usize = 700;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251 + 1) as u8).collect()
}

/// Runs a test with narrow registers, and with wide ones if there are such.
fn both(test: impl Fn()) {
    let _turn = TURN.lock().unwrap_or_else(|broken| broken.into_inner());
    WIDE.store(0, SeqCst);
    test();
    if is_x86_feature_detected!("avx2") {
        WIDE.store(1, SeqCst);
        test();
    }
}

#[test]
fn copies_are_exact() {
    let source = pattern(10_100);
    both(|| {
        for len in (0..MOST).chain([4096, 10_000]) {
            for (from, to) in [(0, 0), (1, 0), (0, 3), (7, 16), (31, 33)] {
                let mut target = vec![0xee; len + 100];
                // SAFETY: both ranges lie in their vectors, which are two.
                unsafe {
                    let start = target.as_mut_ptr().add(to).cast();
                    let back = quartz_memcpy(start, source.as_ptr().add(from).cast(), len);
                    assert_eq!(back, start);
                }
                let (before, rest) = target.split_at(to);
                let (copied, behind) = rest.split_at(len);
                assert!(copied == &source[from..from + len], "{len} bytes");
                assert!(before.iter().chain(behind).all(|b| *b == 0xee));
            }
        }
    });
}

#[test]
fn moves_may_overlap() {
    let shifts = [0, 1, 5, 8, 9, 40, 70];
    both(|| {
        for len in (0..MOST)
            .step_by(3)
            .chain([1, 7, 8, 63, 64, 65, 127, 128, 129, 256])
        {
            for (from, to) in shifts.iter().flat_map(|from| shifts.map(|to| (*from, to))) {
                let mut bytes = pattern(len + 100);
                let mut expected = bytes.clone();
                expected.copy_within(from..from + len, to);
                // SAFETY: both ranges lie in the vector.
                unsafe {
                    let start = bytes.as_mut_ptr();
                    quartz_memmove(start.add(to).cast(), start.add(from).cast(), len);
                }
                assert!(bytes == expected, "{len} bytes from {from} to {to}");
            }
        }
    });
}

#[test]
fn sets_are_exact() {
    for len in 0..MOST {
        for (at, byte) in [(0, 0), (1, 0xa5), (13, 0x1ff)] {
            let mut bytes = vec![0xee; len + 50];
            // SAFETY: the range lies in the vector.
            unsafe { quartz_memset(bytes.as_mut_ptr().add(at).cast(), byte, len) };
            let (before, rest) = bytes.split_at(at);
            let (set, behind) = rest.split_at(len);
            assert!(set.iter().all(|b| *b == byte as u8), "{len} bytes");
            assert!(before.iter().chain(behind).all(|b| *b == 0xee));
        }
    }
}

#[test]
fn comparisons_order_by_the_first_byte_that_differs() {
    let a = pattern(200);
    for len in 0..120 {
        for place in (0..len + 3).chain([150]) {
            for change in [1, 0x80, 0xff] {
                let mut b = a.clone();
                b[place] ^= change;
                // SAFETY: both are longer.
                let (order, differs) = unsafe {
                    let (a, b) = (a.as_ptr().cast(), b.as_ptr().cast());
                    (quartz_memcmp(a, b, len), quartz_bcmp(a, b, len))
                };
                let expected = a[..len].cmp(&b[..len]);
                assert_eq!(order.cmp(&0), expected, "{len} {place}");
                assert_eq!(differs == 0, expected == Ordering::Equal);
            }
        }
    }
}
