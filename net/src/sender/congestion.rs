//! The congestion window: NewReno (RFC 5681, RFC 6582) with the initial window of RFC 6928.

/// Most that a window grows to, in bytes.
const MOST: u32 = 16 << 20;

/// A connection's congestion window. All sizes in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Congestion {
    window: u32,
    threshold: u32,
    segment: u32,
    /// Bytes acknowledged in congestion avoidance that did not open the window yet.
    credit: u32,
}

impl Congestion {
    /// For segments of at most `segment` bytes.
    pub const fn new(segment: u32) -> Congestion {
        Congestion {
            window: initial(segment),
            threshold: MOST,
            segment,
            credit: 0,
        }
    }

    /// Segments have at most `segment` bytes from now on.
    pub fn resize(&mut self, segment: u32) {
        self.segment = segment;
    }

    /// How much may be in flight.
    pub fn window(&self) -> u32 {
        self.window
    }

    /// `count` bytes more were acknowledged while the window was what held the sender back
    /// (RFC 5681, 3.1, counting bytes as in RFC 3465). `slow`: after a timeout an acknowledgement
    /// may stand for much that had arrived before.
    pub fn acknowledged(&mut self, count: u32, slow: bool) {
        if self.window < self.threshold {
            // RFC 3465, 2.3 and, for a sender that the network's own clock paces, RFC 9406, 4.2.
            let most = if slow { 1 } else { 8 };
            self.window += count.min(most * self.segment);
        } else {
            self.credit += count;
            if self.credit >= self.window {
                self.credit -= self.window;
                self.window += self.segment;
            }
        }
        self.window = self.window.min(MOST);
    }

    /// Three duplicate acknowledgements with `flight` bytes under way (RFC 5681, 3.2).
    pub fn lost(&mut self, flight: u32) {
        self.halve(flight);
        self.window = self.threshold + 3 * self.segment;
    }

    /// Something is lost, with `flight` bytes under way; what has left the network is known.
    pub fn reduced(&mut self, flight: u32) {
        self.halve(flight);
        self.window = self.threshold;
        self.credit = 0;
    }

    /// Nothing was lost: back to what was before, at least.
    pub fn restored(&mut self, before: &Congestion) {
        self.window = self.window.max(before.window);
        self.threshold = self.threshold.max(before.threshold);
    }

    /// One more duplicate acknowledgement: a segment has left the network.
    pub fn inflate(&mut self) {
        self.window = (self.window + self.segment).min(MOST);
    }

    /// A part of what was under way at the loss was acknowledged (RFC 6582, 3.2).
    pub fn partial(&mut self, count: u32) {
        let left = self.window.saturating_sub(count);
        self.window = if count >= self.segment {
            left + self.segment
        } else {
            left
        }
        .max(self.segment);
    }

    /// All that was under way at the loss was acknowledged; now `flight` bytes are (RFC 6582, 3.2).
    pub fn recovered(&mut self, flight: u32) {
        self.window = self.threshold.min(flight.max(self.segment) + self.segment);
        self.credit = 0;
    }

    /// The timer has fired with `flight` bytes under way (RFC 5681, 3.1). `again`: for what was
    /// sent by the timer before.
    pub fn timed_out(&mut self, flight: u32, again: bool) {
        if !again {
            self.halve(flight);
        }
        self.window = self.segment;
        self.credit = 0;
    }

    /// Nothing was sent for longer than the retransmission timeout (RFC 5681, 4.1).
    pub fn restart(&mut self) {
        self.window = self.window.min(initial(self.segment));
    }

    fn halve(&mut self, flight: u32) {
        self.threshold = (flight / 2).max(2 * self.segment);
    }
}

/// The initial window (RFC 6928, 2).
const fn initial(segment: u32) -> u32 {
    let floor = if 2 * segment > 14_600 {
        2 * segment
    } else {
        14_600
    };
    if 10 * segment < floor {
        10 * segment
    } else {
        floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_segments_first_then_twice_as_many_a_round() {
        let mut congestion = Congestion::new(1460);
        assert_eq!(congestion.window(), 14_600);
        for _ in 0..10 {
            congestion.acknowledged(1460, false);
        }
        assert_eq!(congestion.window(), 29_200);
        assert_eq!(Congestion::new(536).window(), 5360);
        assert_eq!(Congestion::new(8960).window(), 17_920);
    }

    #[test]
    fn a_loss_halves_and_growth_is_a_segment_a_round_from_there() {
        let mut congestion = Congestion::new(1000);
        congestion.lost(40_000);
        assert_eq!(congestion.window(), 23_000);
        congestion.recovered(30_000);
        assert_eq!(congestion.window(), 20_000);
        for _ in 0..20 {
            congestion.acknowledged(1000, false);
        }
        assert_eq!(congestion.window(), 21_000);
    }

    #[test]
    fn a_timeout_begins_with_one_segment() {
        let mut congestion = Congestion::new(1000);
        congestion.timed_out(40_000, false);
        congestion.timed_out(1000, true);
        assert_eq!(congestion.window(), 1000);
        let mut rounds = 0;
        while congestion.window() < 20_000 {
            congestion.acknowledged(congestion.window().min(1000), true);
            rounds += 1;
        }
        assert_eq!(rounds, 19, "slow start up to half of what was under way");
    }
}
