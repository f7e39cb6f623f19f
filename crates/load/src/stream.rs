//! What one receiver heard of one stream: how much came, what never came, how long it took.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Sequence numbers for which it is known whether they came already: 1024.
const WORDS: usize = 16;
const SPAN: u64 = 64 * WORDS as u64;

/// Longest delay that is told from longer ones, µs.
const DELAY_US_MAX: u64 = 60_000_000;

/// What was heard of one stream since the measurement began.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Newest sequence number before the measurement.
    base: u64,
    newest: u64,
    came: [u64; WORDS],
    received: u64,
    repaired: u64,
}

impl Stream {
    /// A stream whose first packet is this one.
    pub fn new(first: u64) -> Self {
        Self {
            base: first.saturating_sub(1),
            newest: first.saturating_sub(1),
            came: [0; WORDS],
            received: 0,
            repaired: 0,
        }
    }

    /// Counts from here on.
    pub fn mark(&mut self) {
        self.base = self.newest;
        self.received = 0;
        self.repaired = 0;
    }

    /// A packet came; says whether it is counted: not if it came before or belongs before the mark.
    pub fn take(&mut self, sequence: u64) -> bool {
        let late = sequence <= self.newest;
        if late && self.newest - sequence >= SPAN {
            return false;
        }
        if !late {
            // Numbers that were skipped have not come.
            for skipped in (self.newest + 1..=sequence).take(SPAN as usize) {
                self.clear(skipped);
            }
            if sequence - self.newest > SPAN {
                self.came = [0; WORDS];
            }
            self.newest = sequence;
        }
        let (word, bit) = place(sequence);
        if self.came[word] & bit != 0 || sequence <= self.base {
            return false;
        }
        self.came[word] |= bit;
        self.received += 1;
        self.repaired += u64::from(late);
        true
    }

    /// The number with its upper bits that is nearest to the newest.
    pub fn extended(&self, number: u16) -> u64 {
        let ahead = number.wrapping_sub(self.newest as u16) as i16;
        self.newest.saturating_add_signed(ahead.into())
    }

    /// Packets that came since the mark, each once.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Those of them that came after a later one: resent, or overtaken.
    pub fn repaired(&self) -> u64 {
        self.repaired
    }

    /// Packets since the mark that never came.
    pub fn lost(&self) -> u64 {
        (self.newest - self.base).saturating_sub(self.received)
    }

    fn clear(&mut self, sequence: u64) {
        let (word, bit) = place(sequence);
        self.came[word] &= !bit;
    }
}

fn place(sequence: u64) -> (usize, u64) {
    let at = sequence % SPAN;
    ((at / 64) as usize, 1 << (at % 64))
}

/// How long packets took.
#[derive(Debug, Clone)]
pub struct Delays(Histogram<u64>);

impl Delays {
    /// None yet.
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, DELAY_US_MAX, 3);
        Self(histogram.expect("the bounds are constants that the histogram takes"))
    }

    /// One packet took so long.
    pub fn record(&mut self, delay: Duration) {
        self.0
            .saturating_record(delay.as_micros().try_into().unwrap_or(u64::MAX));
    }

    /// Takes in those of another.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds, so nothing is beyond them.
        self.0.add(&other.0).ok();
    }

    /// The delay that this share of the packets did not exceed, ms.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1000.0
    }
}

impl Default for Delays {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_came_what_came_late_and_what_never_came() {
        let mut stream = Stream::new(100);
        for sequence in [100, 101, 104, 102, 104, 110] {
            stream.take(sequence);
        }
        assert_eq!((stream.received(), stream.repaired(), stream.lost()), (5, 1, 6));
        assert!(!stream.take(101), "a second time");
        assert!(stream.take(103));
        assert_eq!((stream.received(), stream.lost()), (6, 5));
    }

    #[test]
    fn what_belongs_before_the_mark_is_not_counted() {
        let mut stream = Stream::new(1);
        stream.take(1);
        stream.take(5);
        stream.mark();
        assert!(!stream.take(3), "sent before");
        assert!(stream.take(6));
        assert_eq!((stream.received(), stream.lost()), (1, 0));
    }

    #[test]
    fn numbers_wrap() {
        let mut stream = Stream::new(65_535);
        assert!(stream.take(65_535));
        assert_eq!([65_534, 2].map(|number| stream.extended(number)), [65_534, 65_538]);
        assert!(stream.take(65_538));
        assert_eq!(stream.extended(65_535), 65_535);
    }

    #[test]
    fn a_leap_longer_than_its_memory_is_all_loss() {
        let mut stream = Stream::new(1);
        stream.take(1);
        stream.take(5000);
        assert_eq!((stream.received(), stream.lost()), (2, 4998));
        assert!(!stream.take(2), "too old to be told from a repetition");
        assert!(stream.take(4999));
    }

    #[test]
    fn delays_have_quantiles() {
        let mut delays = Delays::new();
        for ms in 1..=100 {
            delays.record(Duration::from_millis(ms));
        }
        let mut more = Delays::new();
        more.record(Duration::from_secs(3600));
        delays.add(&more);
        assert!(
            (delays.quantile_ms(0.5) - 51.0).abs() < 1.0,
            "{}",
            delays.quantile_ms(0.5)
        );
        assert!(delays.quantile_ms(1.0) >= 59_000.0, "longer ones count as the longest");
    }
}
