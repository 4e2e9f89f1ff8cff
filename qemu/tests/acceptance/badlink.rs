//! Ten mebibytes over a link that loses, delays, doubles and reorders.

use super::Row;
use super::harness::badlink::{Run, from_guest, from_linux};

/// Bytes of an answer.
const LEN: usize = 10 << 20;
/// Answers of the guest.
const RUNS: usize = 20;
/// Answers of Linux with each congestion control.
const PEER_RUNS: usize = 3;

/// All answers are right; their times beside those of Linux over the same link.
pub fn row() -> Row {
    let runs = from_guest(LEN, RUNS);
    let peer = |control| {
        let runs = from_linux(LEN, PEER_RUNS, control);
        format!("Linux, {control}: {}", times(&runs))
    };
    let wrong = runs.iter().filter(|run| !run.right).count();
    Row {
        what: "10 MiB, 2 % lost, 5 % late, 40 ms",
        figure: format!(
            "{} of {RUNS} right, {}; {}; {}; {}",
            RUNS - wrong,
            times(&runs),
            peer("reno"),
            peer("cubic"),
            peer("bbr"),
        ),
        fault: (wrong > 0).then(|| format!("{wrong} answers were wrong")),
    }
}

/// The least, the median and the greatest time.
fn times(runs: &[Run]) -> String {
    let mut times: Vec<f64> = runs.iter().map(|run| run.time.as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    let (least, most) = (times[0], times[times.len() - 1]);
    format!("{least:.1}, {:.1}, {most:.1} s", times[times.len() / 2])
}
