//! `/flows.json`: the connections, a page at a time.

use crate::census::FlowSnapshot;
use crate::text::Text;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::ops::Range;
use smoltcp::time::Instant;

/// Most connections on one page.
const ROWS: usize = 64;
/// Most slots that are looked at for a page: nobody else is served meanwhile. So a page may have
/// fewer connections, and one more after it.
const LOOK: usize = 2048;

/// A page of the table, taken for one answer.
pub(crate) struct FlowPage {
    /// For which first slot it was taken; `None`: for nobody that is still to be answered.
    pub from: Option<u32>,
    rows: Vec<FlowSnapshot>,
    /// The first slot of the next page.
    next: Option<u32>,
}

impl FlowPage {
    /// Memory for a page.
    pub fn new() -> FlowPage {
        FlowPage {
            from: None,
            rows: Vec::with_capacity(ROWS),
            next: None,
        }
    }

    /// Takes the connections in the first of these slots, for who asked from the first one on.
    pub fn take(&mut self, slots: Range<u32>, flow: impl Fn(u32) -> Option<FlowSnapshot>) {
        self.from = Some(slots.start);
        self.rows.clear();
        for (looked, slot) in slots.enumerate() {
            if self.rows.len() == ROWS || looked == LOOK {
                self.next = Some(slot);
                return;
            }
            self.rows.extend(flow(slot));
        }
        self.next = None;
    }

    /// Writes `/flows.json`. `total`: connections in the table.
    #[inline(never)]
    pub fn write(&self, text: &mut Text, total: u64, now: Instant) {
        // Writing into `Text` cannot fail.
        let _ = write!(
            text,
            "{{\"uptime_ms\":{},\"total\":{total},\"flows\":[",
            now.total_millis()
        );
        for (number, row) in self.rows.iter().enumerate() {
            if number > 0 {
                text.push(b",");
            }
            write_row(row, text);
        }
        let _ = match self.next {
            Some(next) => writeln!(text, "],\"next\":{next}}}"),
            None => writeln!(text, "],\"next\":null}}"),
        };
    }
}

/// Writes one connection.
fn write_row(row: &FlowSnapshot, text: &mut Text) {
    let _ = write!(
        text,
        "{{\"slot\":{},\"state\":\"{}\",\"peer\":\"{}\",\"port\":{},\"age_ms\":{},\
         \"received\":{},\"sent\":{},\"queued\":{}}}",
        row.slot,
        row.state.name(),
        row.peer,
        row.port,
        row.age.total_millis(),
        row.received,
        row.sent,
        row.queued,
    );
}

/// The first slot that a query asks for: `from=N`, or 0. `None`: it asks for something else.
pub(crate) fn first(query: Option<&[u8]>) -> Option<u32> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Some(0);
    };
    let digits = query.strip_prefix(b"from=")?;
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    core::str::from_utf8(digits)
        .ok()
        .filter(|_| plain)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::census::FlowState;
    use core::net::{IpAddr, Ipv6Addr, SocketAddr};
    use smoltcp::time::Duration;
    use std::format;
    use std::string::String;

    fn flow(slot: u32) -> FlowSnapshot {
        FlowSnapshot {
            slot,
            state: FlowState::HalfOpen,
            peer: SocketAddr::new(IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)), u16::MAX),
            port: u16::MAX,
            age: Duration::from_micros(u64::MAX),
            received: u32::MAX,
            sent: u32::MAX,
            queued: u64::MAX,
        }
    }

    fn written(page: &FlowPage, total: u64) -> String {
        let mut text = Text::new(1 << 16);
        page.write(&mut text, total, Instant::from_micros(i64::MAX));
        // A head, `Date` and `Connection` go with it.
        let len = text.bytes().len();
        assert!(len + 300 < crate::stack::TEXT, "{len}");
        String::from_utf8(text.bytes().to_vec()).unwrap()
    }

    #[test]
    fn the_largest_page_fits() {
        let mut page = FlowPage::new();
        let first = u32::MAX - 100;
        page.take(first..u32::MAX, |slot| Some(flow(slot)));
        let text = written(&page, u64::MAX);
        assert_eq!(text.matches("\"slot\"").count(), ROWS);
        let next = first + ROWS as u32;
        assert!(text.ends_with(&format!("],\"next\":{next}}}\n")), "{text}");
        assert_eq!(page.from, Some(first));
    }

    #[test]
    fn pages_hold_every_connection_once() {
        // Few among many free slots, then many in a row.
        let lives = |slot: u32| slot.is_multiple_of(1000) || (9_000..9_200).contains(&slot);
        let (mut page, mut seen, mut from) = (FlowPage::new(), Vec::new(), 0);
        loop {
            page.take(from..10_001, |slot| lives(slot).then(|| flow(slot)));
            assert!(page.rows.len() <= ROWS);
            seen.extend(page.rows.iter().map(|row| row.slot));
            match page.next {
                Some(next) => from = next,
                None => break,
            }
        }
        assert!(seen.into_iter().eq((0..10_001).filter(|slot| lives(*slot))));
        // Whoever asks from behind the end.
        page.take(20_000..20_000, |_| None);
        assert!(written(&page, 0).ends_with("\"flows\":[],\"next\":null}\n"));
    }

    #[test]
    fn queries_are_read() {
        for (query, from) in [
            (None, Some(0)),
            (Some(""), Some(0)),
            (Some("from=0"), Some(0)),
            (Some("from=64"), Some(64)),
            (Some("from=4294967295"), Some(u32::MAX)),
            (Some("from=4294967296"), None),
            (Some("from="), None),
            (Some("from=+1"), None),
            (Some("from=-1"), None),
            (Some("to=1"), None),
        ] {
            assert_eq!(first(query.map(str::as_bytes)), from, "{query:?}");
        }
    }
}
