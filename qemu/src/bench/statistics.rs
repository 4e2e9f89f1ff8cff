//! Medians and spreads of a few figures.

use std::fmt;

/// Several measurements of one thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread {
    sorted: Vec<f64>,
}

impl Spread {
    /// Of these figures.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Spread {
        let mut sorted: Vec<f64> = figures.into_iter().filter(|f| f.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        Spread { sorted }
    }

    /// The one in the middle; of an even number, the mean of the two. 0 for none.
    #[must_use]
    pub fn median(&self) -> f64 {
        let len = self.sorted.len();
        match len {
            0 => 0.0,
            _ if len % 2 == 1 => self.sorted[len / 2],
            _ => self.sorted[len / 2 - 1].midpoint(self.sorted[len / 2]),
        }
    }

    /// The least.
    #[must_use]
    pub fn min(&self) -> f64 {
        self.sorted.first().copied().unwrap_or(0.0)
    }

    /// The greatest.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.sorted.last().copied().unwrap_or(0.0)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, min, max] = [self.median(), self.min(), self.max()].map(short);
        write!(f, "{median} ({min}–{max})")
    }
}

/// A figure with three digits that matter, or whole.
#[must_use]
pub fn short(figure: f64) -> String {
    match figure.abs() {
        0.0 => "0".into(),
        f if f < 1.0 => format!("{figure:.3}"),
        f if f < 10.0 => format!("{figure:.2}"),
        f if f < 100.0 => format!("{figure:.1}"),
        _ => grouped(figure),
    }
}

/// A whole figure with its thousands set apart.
fn grouped(figure: f64) -> String {
    let digits = format!("{:.0}", figure.abs());
    let mut text = String::from(if figure < 0.0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_found() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(Spread::of([4.0, 1.0]).median(), 2.5);
        assert_eq!(Spread::of([]).median(), 0.0);
        assert_eq!(
            Spread::of([3.0, f64::NAN, 1.0]).to_string(),
            "2.00 (1.00–3.00)"
        );
    }

    #[test]
    fn figures_are_short() {
        let texts = [0.0, 0.1234, 1.234, 12.34, 1234.5, -1_234_567.0].map(short);
        assert_eq!(texts, ["0", "0.123", "1.23", "12.3", "1,234", "-1,234,567"]);
    }
}
