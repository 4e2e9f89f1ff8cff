//! The real-time clock (MC146818), read once: what the wall clock said at boot.

use x86_64::instructions::port::Port;

/// Tries to read a stable time; a second has passed by then many times over.
const TRIES: u32 = 1000;

const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
const UPDATE_IN_PROGRESS: u8 = 0x80;
const BINARY: u8 = 0x04;
const HOURS_24: u8 = 0x02;

/// Seconds since 1970-01-01 UTC, or `None` if the machine has no clock that makes sense.
pub fn unix_seconds() -> Option<u64> {
    // The date may change between two registers: take it when it reads the same twice.
    let mut last = None;
    for _ in 0..TRIES {
        if read(STATUS_A) & UPDATE_IN_PROGRESS != 0 {
            continue;
        }
        let now = registers();
        if last == Some(now) {
            return decode(now, read(STATUS_B));
        }
        last = Some(now);
    }
    None
}

/// Second, minute, hour, day, month, year of the century.
type Registers = [u8; 6];

fn registers() -> Registers {
    [0x00, 0x02, 0x04, 0x07, 0x08, 0x09].map(read)
}

fn read(register: u8) -> u8 {
    // SAFETY: index and data port of the clock, or nothing is there. Bit 7 would mask NMIs.
    unsafe {
        Port::<u8>::new(0x70).write(register & 0x7f);
        Port::<u8>::new(0x71).read()
    }
}

fn decode(raw: Registers, status: u8) -> Option<u64> {
    let plain = |value: u8| {
        let value = if status & BINARY != 0 {
            value
        } else {
            (value >> 4) * 10 + (value & 0x0f)
        };
        u64::from(value)
    };
    let afternoon = status & HOURS_24 == 0 && raw[2] & 0x80 != 0;
    let [second, minute, _, day, month, year] = raw.map(plain);
    let mut hour = plain(raw[2] & if status & HOURS_24 == 0 { 0x7f } else { 0xff });
    if status & HOURS_24 == 0 {
        hour = hour % 12 + if afternoon { 12 } else { 0 };
    }
    let valid = second < 60
        && minute < 60
        && hour < 24
        && (1..=31).contains(&day)
        && (1..=12).contains(&month)
        && year < 100;
    valid.then(|| {
        days_since_1970(2000 + year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
    })
}

/// Days from the civil date, after Howard Hinnant's `days_from_civil`.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}
