//! Dates (RFC 9110, 5.6.7): the `Date` field, written once a second, and those of conditions.

/// Length of a date.
pub(crate) const DATE: usize = 29;
/// Length of the field with its line end.
pub(crate) const LEN: usize = DATE + 8;

const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

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

    /// Unix time at `second` since time 0, if it is known.
    pub fn unix(&self, second: i64) -> Option<u32> {
        let unix = self.origin?.saturating_add(second.max(0) as u64);
        // Until 2106.
        Some(unix.min(u32::MAX.into()) as u32)
    }

    /// The field for `second` since time 0; empty when the time is not known.
    pub fn field(&mut self, second: i64) -> &[u8] {
        let Some(origin) = self.origin else {
            return &[];
        };
        if second != self.second {
            self.second = second;
            let unix = origin.saturating_add(second.max(0) as u64);
            self.field[6..6 + DATE].copy_from_slice(&imf(unix));
        }
        &self.field
    }
}

/// `unix` seconds as an IMF-fixdate.
#[cfg_attr(target_os = "none", optimize(size))]
pub(crate) fn imf(unix: u64) -> [u8; DATE] {
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    // The year stays at four figures.
    let unix = unix.min(253_402_300_799);
    let (days, time) = (unix / 86_400, unix % 86_400);
    let (year, month, day) = civil(days);
    text[..3].copy_from_slice(DAYS[(days % 7) as usize]);
    two(&mut text, 5, day);
    text[8..11].copy_from_slice(MONTHS[month as usize - 1]);
    two(&mut text, 12, year / 100);
    two(&mut text, 14, year % 100);
    two(&mut text, 17, time / 3600);
    two(&mut text, 20, time / 60 % 60);
    two(&mut text, 23, time % 60);
    text
}

fn two(text: &mut [u8; DATE], at: usize, number: u64) {
    text[at] = b'0' + (number / 10) as u8;
    text[at + 1] = b'0' + (number % 10) as u8;
}

/// Unix seconds of a date in one of its three forms: the preferred one, that of RFC 850, and that
/// of C's `asctime`. The day of the week is not compared with the date. `None`: it is no date, or
/// before 1970.
#[cfg_attr(target_os = "none", optimize(size))]
pub(crate) fn parse(text: &[u8]) -> Option<u64> {
    let comma = text.iter().position(|&b| b == b',');
    match comma {
        // Sun, 06 Nov 1994 08:49:37 GMT
        Some(3) if text.len() == DATE => {
            short_day(&text[..3])?;
            gmt(&text[25..])?;
            let [b' ', d1, d2, b' ', m @ .., b' ', y1, y2, y3, y4, b' '] = &text[4..17] else {
                return None;
            };
            let year = pair(*y1, *y2)? * 100 + pair(*y3, *y4)?;
            unix(year, month(m)?, pair(*d1, *d2)?, &text[17..25])
        }
        // Sunday, 06-Nov-94 08:49:37 GMT
        Some(len) if len > 3 && text.len() == len + 24 => {
            const LONG: [&[u8]; 7] = [
                b"Sunday",
                b"Monday",
                b"Tuesday",
                b"Wednesday",
                b"Thursday",
                b"Friday",
                b"Saturday",
            ];
            LONG.iter().find(|day| **day == &text[..len])?;
            gmt(&text[len + 20..])?;
            let [b' ', d1, d2, b'-', m @ .., b'-', y1, y2, b' '] = &text[len + 1..len + 12] else {
                return None;
            };
            // Such dates were written until about 2000: two figures are of that century.
            let year = match pair(*y1, *y2)? {
                year @ 70.. => 1900 + year,
                year => 2000 + year,
            };
            unix(year, month(m)?, pair(*d1, *d2)?, &text[len + 12..len + 20])
        }
        // Sun Nov  6 08:49:37 1994
        None if text.len() == 24 => {
            short_day(&text[..3])?;
            let [b' ', m1, m2, m3, b' ', d1, d2, b' '] = &text[3..11] else {
                return None;
            };
            let [b' ', y1, y2, y3, y4] = &text[19..] else {
                return None;
            };
            let d1 = if *d1 == b' ' { b'0' } else { *d1 };
            let year = pair(*y1, *y2)? * 100 + pair(*y3, *y4)?;
            unix(
                year,
                month(&[*m1, *m2, *m3])?,
                pair(d1, *d2)?,
                &text[11..19],
            )
        }
        _ => None,
    }
}

fn short_day(text: &[u8]) -> Option<()> {
    DAYS.iter().any(|day| *day == text).then_some(())
}

fn gmt(text: &[u8]) -> Option<()> {
    (text == b" GMT").then_some(())
}

/// The number of a month, from 1.
fn month(text: &[u8]) -> Option<u64> {
    let at = MONTHS.iter().position(|month| *month == text)?;
    Some(at as u64 + 1)
}

/// Two figures.
fn pair(tens: u8, ones: u8) -> Option<u64> {
    let figure = |byte: u8| byte.checked_sub(b'0').filter(|figure| *figure < 10);
    Some(u64::from(figure(tens)?) * 10 + u64::from(figure(ones)?))
}

/// Unix seconds of a day and a time as in `08:49:37`.
fn unix(year: u64, month: u64, day: u64, time: &[u8]) -> Option<u64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = time else {
        return None;
    };
    let (hour, minute, second) = (pair(*h1, *h2)?, pair(*m1, *m2)?, pair(*s1, *s2)?);
    // 60: a leap second.
    if year < 1970 || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days(year, month, day);
    // A day that its month does not have comes back as another one.
    (civil(days) == (year, month, day))
        .then_some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days since 1970 of a date in the Gregorian calendar: the other way round than [`civil`].
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = match month {
        3.. => (year, month - 3),
        _ => (year - 1, month + 9),
    };
    let day_of_year = (153 * month + 2) / 5 + day.max(1) - 1;
    let day_of_era = year % 400 * 365 + year % 400 / 4 - year % 400 / 100 + day_of_year;
    year / 400 * 146_097 + day_of_era - 719_468
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

    #[test]
    fn what_is_written_is_read() {
        // Every 12 hours and 13 seconds from 1970 to 2106.
        for unix in (0..1 << 32).step_by(43_213) {
            assert_eq!(parse(&imf(unix)), Some(unix));
        }
        assert_eq!(parse(&imf(253_402_300_799)), Some(253_402_300_799));
    }

    #[test]
    fn the_three_forms() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text.as_bytes()), Some(784_111_777), "{text}");
        }
        assert_eq!(
            parse(b"Tuesday, 01-Jan-30 00:00:00 GMT"),
            Some(1_893_456_000)
        );
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "0",
            "784111777",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Son, 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 29 Feb 1995 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 08-49-37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 1994  8:49:37 GMT",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
