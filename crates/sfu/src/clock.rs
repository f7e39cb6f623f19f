//! When a packet was captured, on our clock, for lip sync.
//!
//! Receivers align a publisher's streams by its sender reports. What we report must keep the
//! relation that the publisher's own reports state, so capture times come from them, with one
//! clock offset for all its streams, and not from when packets happened to arrive.

use std::collections::VecDeque;

/// Reports remembered for the offset: some 10 s with audio and video.
const SAMPLES_MAX: usize = 16;

/// A capture time further from the arrival than this means that the publisher's reports are wrong.
const SKEW_MAX_US: i64 = 5_000_000;

/// Offset from a publisher's clock to ours.
#[derive(Debug, Clone, Default)]
pub(crate) struct PublisherClock {
    samples: VecDeque<i64>,
}

impl PublisherClock {
    /// A report says `sender_us` and arrived at `arrival_us`, µs on the two clocks.
    pub(crate) fn report(&mut self, sender_us: i64, arrival_us: i64) {
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(arrival_us.saturating_sub(sender_us));
    }

    /// The smallest one of late: that of the report that was delayed least.
    fn offset_us(&self) -> Option<i64> {
        self.samples.iter().min().copied()
    }
}

/// From timestamps of one stream to capture times.
#[derive(Debug, Clone, Default)]
pub(crate) struct StreamClock {
    report: Option<(u32, i64)>,
    anchor: Option<(u32, i64)>,
}

impl StreamClock {
    /// A report relates a timestamp to the publisher's clock.
    pub(crate) fn report(&mut self, timestamp: u32, sender_us: i64) {
        self.report = Some((timestamp, sender_us));
    }

    /// When this timestamp was captured, µs on our clock; never after its arrival.
    pub(crate) fn captured_us(
        &mut self,
        timestamp: u32,
        clock_rate: u32,
        arrival_us: i64,
        publisher: &PublisherClock,
    ) -> i64 {
        let reported = self.report.zip(publisher.offset_us()).map(|((at, sender_us), offset)| {
            sender_us
                .saturating_add(ticks_us(timestamp, at, clock_rate))
                .saturating_add(offset)
        });
        match reported {
            Some(captured) if (arrival_us - SKEW_MAX_US..=arrival_us + SKEW_MAX_US).contains(&captured) => {
                captured.min(arrival_us)
            }
            _ => self.anchored_us(timestamp, clock_rate, arrival_us),
        }
    }

    /// Without reports: as if the packet that was delayed least had not been delayed at all.
    fn anchored_us(&mut self, timestamp: u32, clock_rate: u32, arrival_us: i64) -> i64 {
        let expected = self.anchor.map(|(at, us)| us + ticks_us(timestamp, at, clock_rate));
        match expected {
            Some(expected) if (arrival_us - 1_000_000..=arrival_us).contains(&expected) => expected,
            _ => {
                self.anchor = Some((timestamp, arrival_us));
                arrival_us
            }
        }
    }
}

/// µs from one timestamp to another, either way.
fn ticks_us(timestamp: u32, since: u32, clock_rate: u32) -> i64 {
    i64::from(timestamp.wrapping_sub(since) as i32) * 1_000_000 / i64::from(clock_rate.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_streams_keep_the_relation_their_publisher_stated() {
        // Both streams were captured at the same moments; video arrives 120 ms later than audio.
        let mut publisher = PublisherClock::default();
        let (mut audio, mut video) = (StreamClock::default(), StreamClock::default());
        publisher.report(50_000_000, 1_020_000);
        audio.report(480_000, 50_000_000);
        publisher.report(50_000_000, 1_035_000);
        video.report(900_000, 50_000_000);
        let audio_us = audio.captured_us(480_000 + 48_000, 48_000, 2_025_000, &publisher);
        let video_us = video.captured_us(900_000 + 90_000, 90_000, 2_145_000, &publisher);
        assert_eq!(audio_us, 2_020_000);
        assert_eq!(video_us, audio_us);
    }

    #[test]
    fn nothing_is_captured_after_it_arrived() {
        let mut publisher = PublisherClock::default();
        let mut stream = StreamClock::default();
        publisher.report(0, 500_000);
        stream.report(0, 0);
        assert_eq!(stream.captured_us(48_000, 48_000, 1_400_000, &publisher), 1_400_000);
    }

    #[test]
    fn without_reports_jitter_is_taken_out() {
        let publisher = PublisherClock::default();
        let mut stream = StreamClock::default();
        assert_eq!(
            stream.captured_us(u32::MAX - 99, 90_000, 1_000_000, &publisher),
            1_000_000
        );
        assert_eq!(stream.captured_us(8900, 90_000, 1_130_000, &publisher), 1_100_000);
        assert_eq!(stream.captured_us(17_900, 90_000, 1_190_000, &publisher), 1_190_000);
    }

    #[test]
    fn absurd_reports_are_not_believed() {
        let mut publisher = PublisherClock::default();
        let mut stream = StreamClock::default();
        publisher.report(0, 0);
        stream.report(0, i64::MAX);
        assert_eq!(stream.captured_us(90_000, 90_000, 1_000_000, &publisher), 1_000_000);
    }
}
