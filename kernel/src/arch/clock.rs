//! Time since boot, from the time stamp counter, measured once against the APIC timer. While that
//! measurement runs, beside other work of the boot, the APIC timer itself is the clock.

use super::{apic, cpu};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Shortest measurement, in microseconds: a reading is good to about one, so the clock is good to
/// about 0.1 %.
const WINDOW_US: u64 = 1_000;
/// Ticks of the APIC timer in a microsecond.
const TICKS: u64 = apic::TIMER_HZ / 1_000_000;

static BASE: AtomicU64 = AtomicU64::new(0);
/// When the measurement began.
static FROM: AtomicU64 = AtomicU64::new(0);
/// Microseconds per tick, times 2^32. 0: not measured yet.
static SCALE: AtomicU64 = AtomicU64::new(0);

/// Starts the clock, whose 0 is at `boot_tsc`, and its measurement. Takes the local APIC's timer
/// until [`settle`], for four seconds at most.
pub fn init(boot_tsc: u64) {
    BASE.store(boot_tsc, Relaxed);
    apic::start_timer(u32::MAX);
    FROM.store(cpu::tsc(), Relaxed);
}

/// Ends the measurement, as soon as it may.
pub fn settle() {
    let from = FROM.load(Relaxed);
    let (us, to) = loop {
        let (us, to) = (counted_us(), cpu::tsc());
        if us >= WINDOW_US {
            break (us, to);
        }
    };
    apic::start_timer(0);
    SCALE.store((us << 32) / (to - from).max(1), Relaxed);
}

/// What the APIC timer has counted since [`init`], in microseconds.
fn counted_us() -> u64 {
    (u64::from(u32::MAX) - u64::from(apic::timer_left())) / TICKS
}

/// Microseconds since boot; 0 until [`init`].
#[optimize(speed)]
pub fn now_us() -> u64 {
    let scale = SCALE.load(Relaxed);
    if scale == 0 {
        return provisional_us();
    }
    let elapsed = cpu::tsc().saturating_sub(BASE.load(Relaxed));
    ((u128::from(elapsed) * u128::from(scale)) >> 32) as u64
}

#[cold]
fn provisional_us() -> u64 {
    match FROM.load(Relaxed) {
        0 => 0,
        _ => counted_us(),
    }
}

/// Lets the timer interrupt come in `us` microseconds, or somewhat earlier: the counter holds
/// four seconds.
pub fn wake_in(us: u64) {
    let ticks = us.saturating_mul(TICKS);
    apic::start_timer(ticks.clamp(1, u64::from(u32::MAX)) as u32);
}

/// Time since boot, as the protocol stack counts it.
pub fn now() -> quartz_net::Instant {
    quartz_net::Instant::from_micros(now_us() as i64)
}
