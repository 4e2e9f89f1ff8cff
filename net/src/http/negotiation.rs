//! Which representation of a file a client is sent (RFC 9110, 12.5.3).

use super::fields::Lines;
use crate::site::{Coding, Representation};

/// Weights of codings in thousandths, as far as the client named them.
#[derive(Clone, Copy, Debug)]
struct Weights {
    identity: Option<u16>,
    gzip: Option<u16>,
    brotli: Option<u16>,
    rest: Option<u16>,
}

/// What `Accept-Encoding` says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Accept<'a> {
    /// Its lines.
    Lines(Lines<'a>),
    /// The same, read before.
    Read(Wish),
}

/// What the lines of `Accept-Encoding` come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// There are none.
    absent: bool,
    /// Something has a weight, and may be ruled out.
    weighted: bool,
    weights: Weights,
}

impl Wish {
    /// The field is not there.
    pub const NONE: Wish = Wish {
        absent: true,
        weighted: false,
        weights: Weights::NONE,
    };

    /// Reads the lines.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn read(accept: &Lines<'_>) -> Wish {
        Wish {
            absent: accept.is_empty(),
            weighted: is_weighted(accept),
            weights: Weights::read(accept),
        }
    }
}

fn is_weighted(accept: &Lines<'_>) -> bool {
    accept.iter().any(|line| line.contains(&b';'))
}

/// The number of the representation that a client prefers; of those that it likes the same, the
/// first. Without the field it is the last, which is the file as it is. `None`: it refuses all of
/// them.
#[cfg_attr(target_os = "none", optimize(speed))]
pub(super) fn choose(accept: &Accept<'_>, representations: &[Representation]) -> Option<usize> {
    let last = representations.len() - 1;
    let (absent, weighted) = match accept {
        Accept::Lines(lines) => (lines.is_empty(), last > 0 || is_weighted(lines)),
        Accept::Read(wish) => (wish.absent, wish.weighted),
    };
    // Nothing to choose, and nothing is ruled out without a weight.
    if absent || (last == 0 && !weighted) {
        return Some(last);
    }
    let weights = match accept {
        Accept::Lines(lines) => Weights::read(lines),
        Accept::Read(wish) => wish.weights,
    };
    let mut best = None;
    for (number, representation) in representations.iter().enumerate() {
        let weight = weights.of(representation.coding);
        if weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((number, weight));
        }
    }
    best.map(|(number, _)| number)
}

/// Whether a client says that it takes gzip.
pub(super) fn takes_gzip(accept: &Accept<'_>) -> bool {
    let weights = match accept {
        Accept::Lines(lines) => Weights::read(lines),
        Accept::Read(wish) => wish.weights,
    };
    weights.of(Coding::Gzip) > 0
}

impl Weights {
    /// Nothing is named.
    const NONE: Weights = Weights {
        identity: None,
        gzip: None,
        brotli: None,
        rest: None,
    };

    #[cfg_attr(target_os = "none", optimize(size))]
    fn read(accept: &Lines<'_>) -> Weights {
        let mut weights = Weights::NONE;
        for element in accept.iter().flat_map(|line| line.split(|&b| b == b',')) {
            let (name, weight) = match element.iter().position(|&b| b == b';') {
                Some(at) => (&element[..at], weight(&element[at + 1..])),
                None => (element, Some(1000)),
            };
            let name = name.trim_ascii();
            let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
            let place = if is(b"gzip") || is(b"x-gzip") {
                &mut weights.gzip
            } else if is(b"br") {
                &mut weights.brotli
            } else if is(b"identity") {
                &mut weights.identity
            } else if is(b"*") {
                &mut weights.rest
            } else {
                continue;
            };
            // What has no weight that can be read is as good as not named.
            *place = weight.or(*place);
        }
        weights
    }

    /// What a coding weighs, 0 if it is not acceptable. Double thousandths leave room for one that
    /// is acceptable without being named: the identity.
    fn of(&self, coding: Coding) -> u16 {
        let (named, unnamed) = match coding {
            Coding::Identity => (self.identity, 1),
            Coding::Gzip => (self.gzip, 0),
            Coding::Brotli => (self.brotli, 0),
        };
        named.or(self.rest).map_or(unnamed, |weight| weight * 2)
    }
}

/// A weight in thousandths: `q=0.5` (RFC 9110, 12.4.2).
fn weight(text: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', value @ ..] = text.trim_ascii() else {
        return None;
    };
    let (whole, figures) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', figures @ ..] if figures.len() <= 3 => (whole, figures),
        _ => return None,
    };
    let mut weight = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    for (figure, value) in figures.iter().zip([100, 10, 1]) {
        let figure = figure.checked_sub(b'0').filter(|figure| *figure < 10)?;
        weight += u16::from(figure) * value;
    }
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Head;
    use std::vec::Vec;

    fn chosen(accept: Option<&str>, codings: &[Coding]) -> Option<Coding> {
        let representations: Vec<_> = codings
            .iter()
            .map(|&coding| Representation {
                coding,
                content: &[],
                head: Head::EMPTY,
            })
            .collect();
        let lines = accept.map_or(Lines::default(), |text| Lines::from(text.as_bytes()));
        let read = Wish::read(&lines);
        let chosen = choose(&Accept::Lines(lines), &representations);
        assert_eq!(choose(&Accept::Read(read), &representations), chosen);
        chosen.map(|number| codings[number])
    }

    #[test]
    fn of_three() {
        use Coding::{Brotli, Gzip, Identity};
        let all = [Brotli, Gzip, Identity];
        for (accept, expected) in [
            (None, Some(Identity)),
            (Some(""), Some(Identity)),
            (Some("gzip, deflate, br, zstd"), Some(Brotli)),
            (Some("gzip, deflate"), Some(Gzip)),
            (Some("GZIP"), Some(Gzip)),
            (Some("x-gzip"), Some(Gzip)),
            (Some("deflate"), Some(Identity)),
            (Some("*"), Some(Brotli)),
            (Some("br;q=0, *"), Some(Gzip)),
            (Some("*;q=0, gzip"), Some(Gzip)),
            (Some("br;q=0.5, gzip;q=0.8"), Some(Gzip)),
            (Some("br;q=0.5,gzip;q=0.5"), Some(Brotli)),
            (Some("br; q=0.001"), Some(Brotli)),
            (Some("br ;q=0.2, identity;q=0.3"), Some(Identity)),
            (Some("identity, gzip;q=0.9"), Some(Identity)),
            (Some("gzip;q=1.000, br;q=0.999"), Some(Gzip)),
            (Some("identity;q=0"), None),
            (Some("*;q=0"), None),
            (Some("identity;q=0, *"), Some(Brotli)),
            (Some("br;q=0, gzip;q=0"), Some(Identity)),
            (Some("br;q=0, gzip;q=0, identity;q=0"), None),
            (Some("br;q=x"), Some(Identity)),
            (Some("br;q=1.1"), Some(Identity)),
            (Some("br;q=0.1234"), Some(Identity)),
            (Some("br;level=3"), Some(Identity)),
            (Some(",,gzip,,"), Some(Gzip)),
            (Some("gzipx, xbr"), Some(Identity)),
        ] {
            assert_eq!(chosen(accept, &all), expected, "{accept:?}");
        }
    }

    #[test]
    fn of_one() {
        use Coding::Identity;
        assert_eq!(chosen(Some("gzip, br"), &[Identity]), Some(Identity));
        assert_eq!(chosen(Some("identity;q=0"), &[Identity]), None);
        assert_eq!(chosen(Some("gzip;q=1, *;q=0"), &[Identity]), None);
        assert_eq!(
            chosen(Some("gzip;q=1, *;q=0.1"), &[Identity]),
            Some(Identity)
        );
    }
}
