//! The figures as lines of text: a pure function of them and of the size of the screen.

use super::figures::{Figures, Rates, number};
use super::source::Reading;
use serde_json::Value;
use std::cmp::Ordering;

/// How a piece of a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As text does.
    Plain,
    /// Of less weight.
    Soft,
    /// A heading.
    Bold,
    /// As it should be.
    Good,
    /// Worth a look.
    Some,
    /// Wrong.
    Bad,
    /// A table's head.
    Head,
}

impl Style {
    /// The numbers of its control sequence (ECMA-48, 8.3.117).
    fn sequence(self) -> &'static str {
        match self {
            Style::Plain => "0",
            Style::Soft => "2",
            Style::Bold => "1",
            Style::Good => "32",
            Style::Some => "33",
            Style::Bad => "1;31",
            Style::Head => "7",
        }
    }
}

/// A line: pieces that follow each other. Each character takes one column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<(Style, String)>);

impl Line {
    fn and(mut self, style: Style, text: impl Into<String>) -> Line {
        self.0.push((style, text.into()));
        self
    }

    fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// With `text` at the right end of `width` columns.
    fn right(self, width: usize, style: Style, text: &str) -> Line {
        let gap = width.saturating_sub(self.width() + text.chars().count());
        self.and(Style::Plain, " ".repeat(gap.max(1)))
            .and(style, text)
    }

    /// No wider than the screen.
    fn cut(mut self, width: usize) -> Line {
        let mut left = width;
        for (_, text) in &mut self.0 {
            *text = text.chars().take(left).collect();
            left -= text.chars().count();
        }
        self
    }

    /// As text.
    #[must_use]
    pub fn plain(&self) -> String {
        let text: String = self.0.iter().map(|(_, text)| text.as_str()).collect();
        text.trim_end().to_owned()
    }

    /// For a terminal.
    #[must_use]
    pub fn styled(&self) -> String {
        let piece = |(style, text): &(Style, String)| match style {
            Style::Plain => text.clone(),
            style => format!("\x1b[{}m{text}\x1b[0m", style.sequence()),
        };
        self.0.iter().map(piece).collect()
    }
}

/// What connections are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the columns")]
pub enum Column {
    State,
    Peer,
    Age,
    Received,
    Sent,
    Queued,
}

impl Column {
    const ALL: [Column; 6] = [
        Column::Age,
        Column::Received,
        Column::Sent,
        Column::Queued,
        Column::State,
        Column::Peer,
    ];

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Column {
        let at = Column::ALL.iter().position(|one| *one == self).unwrap_or(0);
        Column::ALL[(at + 1) % Column::ALL.len()]
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Column::State => "state",
            Column::Peer => "peer",
            Column::Age => "age",
            Column::Received => "received",
            Column::Sent => "sent",
            Column::Queued => "queued",
        }
    }

    fn compare(self, a: &Value, b: &Value) -> Ordering {
        match self {
            Column::State | Column::Peer => {
                let text = |flow: &Value| flow[self.name()].as_str().unwrap_or("").to_owned();
                text(a).cmp(&text(b))
            }
            Column::Age => number(a, "age_ms").cmp(&number(b, "age_ms")),
            _ => number(a, self.name()).cmp(&number(b, self.name())),
        }
    }
}

/// How the person looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// What connections are sorted by.
    pub column: Column,
    /// The smallest first.
    pub ascending: bool,
    /// The first connection that is shown.
    pub from: usize,
}

/// The screen, at most `height` lines of at most `width` columns.
#[must_use]
pub fn lines(figures: &Figures, look: &Look, width: usize, height: usize) -> Vec<Line> {
    let mut lines = vec![title(figures, width)];
    let Some(last) = figures.last() else {
        lines.push(Line::default());
        return finished(lines, width, height);
    };
    lines.push(about(last));
    lines.push(Line::default());
    let room = width.saturating_sub(31).min(60);
    let rate = |name: &str, get: fn(&Rates) -> f64, show: fn(f64) -> String| {
        let values: Vec<f64> = figures.rates().map(get).collect();
        let now = values
            .last()
            .map_or_else(|| "–".to_owned(), |n| show(*n) + "/s");
        Line::default()
            .and(Style::Soft, format!("{name:<15}"))
            .and(Style::Bold, format!("{now:>12}"))
            .and(Style::Good, format!("    {}", sparkline(&values, room)))
    };
    lines.push(rate("requests", |r| r.requests, count));
    lines.push(rate("bytes out", |r| r.bytes_out, bytes));
    lines.push(rate("bytes in", |r| r.bytes_in, bytes));
    lines.push(rate("frames out", |r| r.frames_out, count));
    lines.push(rate("frames in", |r| r.frames_in, count));
    lines.push(Line::default());
    lines.extend(state(&last.stats, room));
    lines.push(Line::default());
    // The last line is for the keys.
    let left = height.saturating_sub(lines.len() + 1);
    lines.extend(table(last, look, width, left));
    let mut lines = finished(lines, width, height.saturating_sub(1).max(1));
    if height != usize::MAX && height > 1 {
        lines.resize(height - 1, Line::default());
        lines.push(keys(look).cut(width));
    }
    lines
}

fn finished(mut lines: Vec<Line>, width: usize, height: usize) -> Vec<Line> {
    lines.truncate(height);
    lines.into_iter().map(|line| line.cut(width)).collect()
}

fn title(figures: &Figures, width: usize) -> Line {
    let line = Line::default().and(Style::Bold, format!("quartz top {}", figures.guest));
    match (figures.silence(), figures.last()) {
        (Some((since, why)), _) => {
            let told = format!("no answer for {}: {why}", span(since.as_millis() as u64));
            line.right(width, Style::Bad, &told)
        }
        (None, None) => line.right(width, Style::Soft, "asking"),
        (None, Some(last)) if last.health != "ok" => line.right(width, Style::Some, &last.health),
        (None, Some(_)) => line.right(width, Style::Good, "live"),
    }
}

fn about(last: &Reading) -> Line {
    let stats = &last.stats;
    let version = stats["version"].as_str().unwrap_or("?");
    let up = span(number(stats, "uptime_ms"));
    let served = number(stats, "requests_served");
    let mut text = format!("version {version}, up {up}, {} requests", exact(served));
    if let Some(supervisor) = &last.supervisor {
        text = format!("{supervisor}, {text}");
    }
    Line::default().and(Style::Soft, text)
}

/// Rings, memory, connections, trouble.
fn state(stats: &Value, room: usize) -> Vec<Line> {
    let n = |path: &str| number(stats, path);
    let gauge = |name: &str, part: u64, whole: u64, text: String| {
        Line::default()
            .and(Style::Soft, format!("{name:<15}"))
            .and(Style::Plain, format!("{text:>12}"))
            .and(Style::Good, format!("    {}", bar(part, whole, room)))
    };
    let ring = |name: &str, queue: &str| {
        let (gap, size) = (n(&format!("{queue}.gap")), n(&format!("{queue}.size")));
        gauge(name, gap, size, format!("{gap} of {size}"))
    };
    let (used, total) = (n("heap.used"), n("heap.total"));
    let (open, busy, closing) = (
        n("connections.open"),
        n("connections.busy"),
        n("connections.closing"),
    );
    let idle = open.saturating_sub(busy + closing);
    let connections = format!(
        "{}: {busy} busy, {idle} idle, {closing} closing; {} half open, {} time wait; {} at most",
        exact(open),
        n("connections.half_open"),
        n("connections.time_wait"),
        exact(n("connections.limit")),
    );
    vec![
        ring("rx ring gap", "rx"),
        ring("tx ring gap", "tx"),
        gauge("heap", used, total, bytes(used as f64)),
        Line::default()
            .and(Style::Soft, format!("{:<15}", "connections"))
            .and(Style::Plain, connections),
        trouble(stats),
    ]
}

/// What should not be, and what tells of a hard life; nothing that is zero.
fn trouble(stats: &Value) -> Line {
    let n = |path: &str| number(stats, path);
    let both = |name: &str| n(&format!("rx.{name}")) + n(&format!("tx.{name}"));
    let bad = [
        ("device resets", both("resets")),
        ("interrupts missed", both("missed_interrupts")),
        ("kicks repeated", both("rekicks")),
        ("bad used entries", both("bad_used")),
        ("answers 5xx", n("status.5xx")),
    ];
    let some = [
        ("segments sent again", n("frames.retransmitted")),
        ("ring full", n("frames.ring_full")),
        ("malformed", n("frames.dropped.malformed")),
        ("bad checksums", n("frames.dropped.checksum")),
        ("evicted", n("connections.evicted")),
        ("SYNs dropped", n("connections.syn_dropped")),
        (
            "over the limit of a client",
            n("connections.source_limited"),
        ),
        ("cookies", n("connections.cookies_sent")),
    ];
    let bad = bad.map(|one| (Style::Bad, one));
    let some = some.map(|one| (Style::Some, one));
    let mut line = Line::default().and(Style::Soft, format!("{:<15}", "trouble"));
    let mut before = "";
    for (style, (name, count)) in bad.into_iter().chain(some) {
        if count > 0 {
            line = line
                .and(Style::Plain, before)
                .and(style, format!("{name} {}", exact(count)));
            before = ", ";
        }
    }
    match before {
        "" => line.and(Style::Good, "none"),
        _ => line,
    }
}

fn table(last: &Reading, look: &Look, width: usize, height: usize) -> Vec<Line> {
    let Some((rows, total)) = &last.flows else {
        let text = "the admin port alone tells of connections";
        return vec![Line::default().and(Style::Soft, text)];
    };
    let mut rows: Vec<&Value> = rows.iter().collect();
    rows.sort_by(|a, b| {
        let order = look.column.compare(a, b);
        let order = if look.ascending {
            order
        } else {
            order.reverse()
        };
        order.then_with(|| number(a, "slot").cmp(&number(b, "slot")))
    });
    let head = ["STATE", "PEER", "PORT", "AGE", "RECEIVED", "SENT", "QUEUED"];
    let head = columns(width, head.map(str::to_owned));
    let mut lines = vec![Line::default().and(Style::Head, head)];
    for flow in rows.iter().skip(look.from).take(height.saturating_sub(1)) {
        let text = |key: &str| flow[key].as_str().unwrap_or("?").replace('_', " ");
        let size = |key: &str| bytes(number(flow, key) as f64);
        let port = flow["port"].to_string();
        let age = span(number(flow, "age_ms"));
        let cells = [
            text("state"),
            text("peer"),
            port,
            age,
            size("received"),
            size("sent"),
            size("queued"),
        ];
        let row = columns(width, cells);
        lines.push(Line::default().and(Style::Plain, row));
    }
    if rows.len() as u64 != *total {
        let text = format!("{} of {} connections were read", rows.len(), exact(*total));
        lines.push(Line::default().and(Style::Soft, text));
    }
    lines
}

/// A row of the table: state, peer, port, age, received, sent, queued.
fn columns(width: usize, cells: [String; 7]) -> String {
    let [state, peer, port, age, received, sent, queued] = cells;
    // An IPv6 address with its port is the longest; an IPv4 one has to fit in any case.
    let room = width.saturating_sub(57).clamp(21, 47);
    format!("{state:<9} {peer:<room$} {port:>5} {age:>10} {received:>9} {sent:>9} {queued:>9}")
}

fn keys(look: &Look) -> Line {
    let order = if look.ascending {
        "smallest"
    } else {
        "largest"
    };
    let sorted = format!("  sort ({}, {order} first)   ", look.column.name());
    Line::default()
        .and(Style::Bold, "q")
        .and(Style::Soft, "  leave   ")
        .and(Style::Bold, "s")
        .and(Style::Soft, sorted)
        .and(Style::Bold, "r")
        .and(Style::Soft, "  reverse   ")
        .and(Style::Bold, "↑ ↓")
        .and(Style::Soft, "  scroll")
}

/// Values as a row of blocks, the newest at the right.
fn sparkline(values: &[f64], width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let seen = &values[values.len().saturating_sub(width)..];
    let most = seen.iter().copied().fold(0.0, f64::max);
    let block = |value: &f64| match most > 0.0 {
        true => BLOCKS[(value / most * 7.0).round().clamp(0.0, 7.0) as usize],
        false => BLOCKS[0],
    };
    seen.iter().map(block).collect()
}

/// A part of a whole, as a bar.
fn bar(part: u64, whole: u64, width: usize) -> String {
    let full = match whole {
        0 => 0,
        _ => (part.min(whole) as f64 / whole as f64 * width as f64).round() as usize,
    };
    "█".repeat(full) + &"░".repeat(width - full)
}

fn scaled(mut n: f64, base: f64, marks: &[&str]) -> String {
    let mut mark = 0;
    while n >= base && mark + 1 < marks.len() {
        n /= base;
        mark += 1;
    }
    match mark == 0 || n >= 100.0 {
        true => format!("{n:.0}{}", marks[mark]),
        false => format!("{n:.1}{}", marks[mark]),
    }
}

fn count(n: f64) -> String {
    scaled(n, 1000.0, &["", " k", " M", " G"])
}

fn bytes(n: f64) -> String {
    scaled(n, 1024.0, &[" B", " KiB", " MiB", " GiB"])
}

/// A number with its thousands apart.
fn exact(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn span(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0..10 => format!("{:.1} s", ms as f64 / 1000.0),
        10..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::reading;
    use super::*;

    fn figures() -> Figures {
        let mut figures = Figures::new("www".into());
        for n in 0..10 {
            figures.take(Ok(reading(1_000 * (n + 1), 100 * n * n)));
        }
        figures
    }

    fn text(figures: &Figures, look: &Look, width: usize, height: usize) -> String {
        let lines = lines(figures, look, width, height);
        lines.iter().map(|line| line.plain() + "\n").collect()
    }

    #[test]
    fn no_screen_is_too_small() {
        let figures = figures();
        for width in [0, 1, 10, 31, 32, 80, 200, 1000] {
            for height in [0, 1, 2, 5, 24, 25, 100] {
                let lines = lines(&figures, &Look::default(), width, height);
                assert!(lines.len() <= height.max(1), "{width} x {height}");
                assert!(lines.iter().all(|line| line.width() <= width));
            }
        }
    }

    #[test]
    fn everything_is_on_a_terminal_of_24_lines() {
        let text = text(&figures(), &Look::default(), 80, 24);
        for part in [
            "quartz top www",
            "live\n",
            "up 10 s",
            "1.7 k/s",
            "4.1 MiB/s",
            "256 of 256",
            "4 of 256",
            "59.1 MiB",
            "3: 1 busy, 2 idle, 0 closing; 1 half open, 2 time wait",
            "none\n",
            "STATE",
            "10.0.2.2:4000",
            "10.0.2.2:4004",
            "q  leave",
            "QUEUED",
        ] {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
        assert_eq!(text.lines().count(), 24);
        // The oldest first.
        assert!(text.find(":4000") < text.find(":4004"));
    }

    #[test]
    fn connections_are_sorted_and_scrolled() {
        let figures = figures();
        let mut look = Look {
            column: Column::Sent,
            ..Look::default()
        };
        let sent = text(&figures, &look, 100, 40);
        assert!(sent.find(":4004") < sent.find(":4000"), "{sent}");
        look.ascending = true;
        let sent = text(&figures, &look, 100, 40);
        assert!(sent.find(":4000") < sent.find(":4004"), "{sent}");
        look.from = 3;
        let sent = text(&figures, &look, 100, 40);
        assert!(!sent.contains(":4002") && sent.contains(":4003"), "{sent}");
        let mut column = Column::Age;
        for _ in Column::ALL {
            column = column.next();
        }
        assert_eq!(column, Column::Age);
    }

    #[test]
    fn silence_and_trouble_are_shown() {
        let mut figures = figures();
        let mut hurt = reading(20_000, 9_000);
        hurt.stats["rx"]["resets"] = 2.into();
        hurt.stats["frames"]["retransmitted"] = 1234.into();
        hurt.health = "draining".into();
        figures.take(Ok(hurt));
        let shown = text(&figures, &Look::default(), 100, 30);
        assert!(
            shown.contains("device resets 2, segments sent again 1,234"),
            "{shown}"
        );
        assert!(shown.contains("draining\n"), "{shown}");
        figures.take(Err("connection refused".into()));
        let shown = text(&figures, &Look::default(), 100, 30);
        assert!(
            shown.contains("no answer for 0.0 s: connection refused\n"),
            "{shown}"
        );
        assert!(shown.contains("256 of 256"), "{shown}");
        let nothing = text(&Figures::new("www".into()), &Look::default(), 80, 24);
        assert!(nothing.contains("asking"), "{nothing}");
    }
}
