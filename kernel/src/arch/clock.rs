//! Time since boot, from the time stamp counter, measured once against the APIC timer.

use super::{apic, cpu};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Length of the measurement, in microseconds: a reading is good to about one, so the clock is
/// good to about 0.1 %.
const WINDOW_US: u64 = 1_000;

static BASE: AtomicU64 = AtomicU64::new(0);
/// Microseconds per tick, times 2^32.
static SCALE: AtomicU64 = AtomicU64::new(0);

/// Starts the clock: the present is 0. Needs the local APIC, whose timer it uses for a moment.
pub fn init(boot_tsc: u64) {
    let ticks = |us: u64| us * (apic::TIMER_HZ / 1_000_000);
    apic::start_timer(u32::MAX);
    let (first, from) = (u64::from(apic::timer_left()), cpu::tsc());
    let (mut last, mut to) = (first, from);
    while first - last < ticks(WINDOW_US) {
        (last, to) = (u64::from(apic::timer_left()), cpu::tsc());
    }
    apic::start_timer(0);
    let us = (first - last) / ticks(1);
    SCALE.store((us << 32) / (to - from).max(1), Relaxed);
    BASE.store(boot_tsc, Relaxed);
}

/// Microseconds since boot; 0 until [`init`].
pub fn now_us() -> u64 {
    let elapsed = cpu::tsc().saturating_sub(BASE.load(Relaxed));
    ((u128::from(elapsed) * u128::from(SCALE.load(Relaxed))) >> 32) as u64
}

/// Lets the timer interrupt come in `us` microseconds, or somewhat earlier: the counter holds
/// four seconds.
pub fn wake_in(us: u64) {
    let ticks = us.saturating_mul(apic::TIMER_HZ / 1_000_000);
    apic::start_timer(ticks.clamp(1, u64::from(u32::MAX)) as u32);
}

/// Time since boot, as the protocol stack counts it.
pub fn now() -> quartz_net::Instant {
    quartz_net::Instant::from_micros(now_us() as i64)
}
