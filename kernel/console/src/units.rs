//! Figures in few characters.

use core::fmt;

/// A time in microseconds, in at most six characters.
#[derive(Clone, Copy, Debug)]
pub struct Span(pub u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.0 / 1_000_000;
        let args = match s {
            0..10 => return pad(f, format_args!("{s}.{:03}s", self.0 / 1000 % 1000)),
            10..100 => return pad(f, format_args!("{s}.{}s", self.0 / 100_000 % 10)),
            100..6000 => (s / 60, "m", s % 60),
            6000..360_000 => (s / 3600, "h", s / 60 % 60),
            _ => (s / 86_400, "d", s / 3600 % 24),
        };
        pad(f, format_args!("{}{}{:02}", args.0, args.1, args.2))
    }
}

/// A number of bytes, in at most five characters.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0;
        if n < 10_000 {
            return pad(f, format_args!("{n}"));
        }
        let units = [(1 << 10, 'K'), (1 << 20, 'M'), (1 << 30, 'G')];
        let fits = units.into_iter().find(|(unit, _)| n / unit < 10_000);
        let (unit, letter) = fits.unwrap_or((1 << 40, 'T'));
        pad(f, format_args!("{}{letter}", n / unit))
    }
}

/// Writes with the width that was asked for, to the right.
fn pad(f: &mut fmt::Formatter<'_>, args: fmt::Arguments<'_>) -> fmt::Result {
    struct Count(usize);
    impl fmt::Write for Count {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.len();
            Ok(())
        }
    }
    let mut len = Count(0);
    fmt::Write::write_fmt(&mut len, args)?;
    for _ in len.0..f.width().unwrap_or(0) {
        fmt::Write::write_char(f, ' ')?;
    }
    f.write_fmt(args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn spans_are_short() {
        for (us, text) in [
            (0, "0.000s"),
            (1_234_567, "1.234s"),
            (12_345_678, "12.3s"),
            (99_999_999, "99.9s"),
            (125_000_000, "2m05"),
            (5_999_000_000, "99m59"),
            (6_000_000_000, "1h40"),
            (86_400_000_000, "24h00"),
            (360_000_000_000, "4d04"),
        ] {
            assert_eq!(format!("{}", Span(us)), text);
            assert_eq!(format!("{:7}", Span(us)), format!("{text:>7}"));
        }
    }

    #[test]
    fn bytes_are_short() {
        for (n, text) in [
            (0, "0"),
            (9_999, "9999"),
            (10_000, "9K"),
            (10_239_999, "9999K"),
            (10_240_000, "9M"),
            (u64::from(u32::MAX), "4095M"),
            (1 << 40, "1024G"),
        ] {
            assert_eq!(format!("{}", Bytes(n)), text);
            assert!(text.len() <= 5);
        }
    }
}
