//! The `Date` field (RFC 9110, 6.6.1): written once a second.

/// Length of the field with its line end.
pub(crate) const LEN: usize = 37;

/// The field, and the second that it was written for.
pub(crate) struct Date {
    /// Unix time at time 0 of the guest's clock, if it is known.
    origin: Option<u64>,
    second: i64,
    field: [u8; LEN],
}

impl Date {
    /// `origin`: Unix time in seconds at time 0.
    pub fn new(origin: Option<u64>) -> Date {
        Date {
            origin,
            second: -1,
            field: *b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
        }
    }

    /// The field for `second` since time 0; empty when the time is not known.
    pub fn field(&mut self, second: i64) -> &[u8] {
        let Some(origin) = self.origin else {
            return &[];
        };
        if second != self.second {
            self.second = second;
            write(&mut self.field, origin.saturating_add(second.max(0) as u64));
        }
        &self.field
    }
}

/// Writes `unix` seconds over the figures of a field.
fn write(field: &mut [u8; LEN], unix: u64) {
    const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
    const MONTHS: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    // The year stays at four figures.
    let unix = unix.min(253_402_300_799);
    let (days, time) = (unix / 86_400, unix % 86_400);
    let (year, month, day) = civil(days);
    field[6..9].copy_from_slice(DAYS[(days % 7) as usize]);
    two(field, 11, day);
    field[14..17].copy_from_slice(MONTHS[month as usize - 1]);
    two(field, 18, year / 100);
    two(field, 20, year % 100);
    two(field, 23, time / 3600);
    two(field, 26, time / 60 % 60);
    two(field, 29, time % 60);
}

fn two(field: &mut [u8; LEN], at: usize, number: u64) {
    field[at] = b'0' + (number / 10) as u8;
    field[at + 1] = b'0' + (number % 10) as u8;
}

/// Year, month and day of a number of days since 1970 (Gregorian calendar). Years begin in March
/// here, so that the leap day is the last day of a year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = year + era * 400;
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year + 1, month - 9, day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn at(unix: u64) -> String {
        let mut date = Date::new(Some(unix - 5));
        String::from_utf8(date.field(5).to_vec()).unwrap()
    }

    #[test]
    fn known_times() {
        // As `date -u -R -d @N` prints them.
        assert_eq!(at(784_111_777), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(at(951_782_400), "Date: Tue, 29 Feb 2000 00:00:00 GMT\r\n");
        assert_eq!(at(951_868_800), "Date: Wed, 01 Mar 2000 00:00:00 GMT\r\n");
        assert_eq!(at(1_709_251_199), "Date: Thu, 29 Feb 2024 23:59:59 GMT\r\n");
        assert_eq!(at(4_102_444_800), "Date: Fri, 01 Jan 2100 00:00:00 GMT\r\n");
        assert_eq!(at(4_107_542_399), "Date: Sun, 28 Feb 2100 23:59:59 GMT\r\n");
        assert_eq!(at(4_107_542_400), "Date: Mon, 01 Mar 2100 00:00:00 GMT\r\n");
    }

    #[test]
    fn without_a_clock_there_is_no_field() {
        assert_eq!(Date::new(None).field(7), b"");
    }
}
