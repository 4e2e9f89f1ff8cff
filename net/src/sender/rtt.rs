//! The retransmission timeout (RFC 6298).

use smoltcp::time::{Duration, Instant};

/// The timeout before anything was measured (RFC 6298, 2.1).
const INITIAL: u32 = 1_000_000;
/// What the timeout exceeds the smoothed round trip by, at least. RFC 6298, 2.4 asks for a timeout
/// of a second; as in Linux, a fifth of one is enough to outlast delayed acknowledgements.
const MARGIN: u32 = 200_000;
/// The longest timeout (RFC 6298, 2.5).
const MOST: u32 = 60_000_000;

/// What is known of the round trip. All times in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Rtt {
    smoothed: Option<u32>,
    variation: u32,
    timeout: u32,
    /// Timeouts since the last progress.
    backoff: u8,
    /// The number whose acknowledgement is waited for, and since when. Nothing that was sent
    /// twice is measured (Karn's algorithm; RFC 6298, 3).
    timing: Option<(u32, Instant)>,
}

impl Rtt {
    /// Nothing is known.
    pub const fn new() -> Rtt {
        Rtt {
            smoothed: None,
            variation: 0,
            timeout: INITIAL,
            backoff: 0,
            timing: None,
        }
    }

    /// Something new that ends before `seq` was sent.
    pub fn sent(&mut self, seq: u32, now: Instant) {
        if self.timing.is_none() {
            self.timing = Some((seq, now));
        }
    }

    /// Something was sent again.
    pub fn resent(&mut self) {
        self.timing = None;
    }

    /// Something new was acknowledged, up to `seq`.
    pub fn acknowledged(&mut self, seq: u32, now: Instant) {
        self.backoff = 0;
        if let Some((timed, since)) = self.timing
            && (seq.wrapping_sub(timed) as i32) >= 0
        {
            self.timing = None;
            let sample = (now - since).total_micros().min(u64::from(MOST)) as u32;
            self.measured(sample);
        }
    }

    fn measured(&mut self, sample: u32) {
        let smoothed = match self.smoothed {
            None => {
                self.variation = sample / 2;
                sample
            }
            Some(smoothed) => {
                let error = smoothed.abs_diff(sample);
                self.variation = self.variation - self.variation / 4 + error / 4;
                smoothed - smoothed / 8 + sample / 8
            }
        };
        self.smoothed = Some(smoothed);
        self.timeout = (smoothed + MARGIN.max(4 * self.variation)).min(MOST);
    }

    /// The peer has told a window again after none: it is there.
    pub fn opened(&mut self) {
        self.backoff = 0;
    }

    /// The timer has fired without progress (RFC 6298, 5.5).
    pub fn timed_out(&mut self) {
        self.backoff = (self.backoff + 1).min(16);
        self.timing = None;
    }

    /// How often the timer has fired since there was progress.
    pub fn timeouts(&self) -> u8 {
        self.backoff
    }

    /// The smoothed round trip, once something was measured.
    pub fn smoothed(&self) -> Option<Duration> {
        self.smoothed.map(|us| Duration::from_micros(u64::from(us)))
    }

    /// The timeout now.
    pub fn timeout(&self) -> Duration {
        let timeout = u64::from(self.timeout) << self.backoff;
        Duration::from_micros(timeout.min(u64::from(MOST)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn sample(rtt: &mut Rtt, seq: u32, trip: u64) {
        rtt.sent(seq, Instant::ZERO);
        rtt.acknowledged(seq, Instant::ZERO + ms(trip));
    }

    #[test]
    fn follows_what_is_measured() {
        let mut rtt = Rtt::new();
        assert_eq!(rtt.timeout(), ms(1000));
        sample(&mut rtt, 1, 100);
        assert_eq!(rtt.smoothed(), Some(ms(100)));
        assert_eq!(rtt.timeout(), ms(100 + 200), "four times half the trip");
        for seq in 2..100 {
            sample(&mut rtt, seq, 100);
        }
        assert_eq!(
            rtt.timeout(),
            ms(300),
            "never less than a fifth of a second more"
        );
        sample(&mut rtt, 100, 900);
        assert!(rtt.timeout() > ms(900), "{}", rtt.timeout());
    }

    #[test]
    fn doubles_until_there_is_progress() {
        let mut rtt = Rtt::new();
        for wanted in [2, 4, 8, 16, 32, 60, 60] {
            rtt.timed_out();
            assert_eq!(rtt.timeout(), ms(wanted * 1000));
        }
        sample(&mut rtt, 1, 10);
        assert_eq!(rtt.timeout(), ms(210));
    }

    #[test]
    fn what_was_sent_twice_is_not_measured() {
        let mut rtt = Rtt::new();
        rtt.sent(1, Instant::ZERO);
        rtt.resent();
        rtt.acknowledged(1, Instant::ZERO + ms(5000));
        assert_eq!(rtt.smoothed(), None);
    }
}
