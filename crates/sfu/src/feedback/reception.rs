//! What is reported of one stream that we receive (RFC 3550 sections 6.4.1 and A.3, A.8).

use std::time::{Duration, Instant};

use crate::wire::rtcp::{ReportBlock, SenderReport};

/// A jump of the media clock against ours that is no jitter but another beginning.
const CLOCK_JUMP: Duration = Duration::from_secs(5);

/// The statistics of one stream.
#[derive(Debug, Clone)]
pub(crate) struct Reception {
    ssrc: u32,
    /// Hz.
    clock_rate: u32,
    received: u64,
    /// Lowest and highest extended sequence number.
    range: Option<(u64, u64)>,
    /// What the last report told of: expected and received.
    reported: (u64, u64),
    last: Option<(Instant, u32)>,
    /// Times 16, in units of the media clock.
    jitter_16: u64,
    sender_report: Option<(u32, Instant)>,
}

impl Reception {
    pub(crate) fn new(ssrc: u32, clock_rate: u32) -> Self {
        Self {
            ssrc,
            clock_rate,
            received: 0,
            range: None,
            reported: (0, 0),
            last: None,
            jitter_16: 0,
            sender_report: None,
        }
    }

    /// A packet of the stream arrived; not what was repaired by another stream.
    pub(crate) fn received(&mut self, sequence: u64, timestamp: u32, arrival: Instant) {
        self.received += 1;
        let (low, high) = self.range.unwrap_or((sequence, sequence));
        self.range = Some((low.min(sequence), high.max(sequence)));
        if let Some((last_arrival, last_timestamp)) = self.last {
            let passed = arrival.saturating_duration_since(last_arrival).as_micros();
            let passed = (passed * u128::from(self.clock_rate) / 1_000_000) as i64;
            let stamped = i64::from(timestamp.wrapping_sub(last_timestamp) as i32);
            let difference = (passed - stamped).unsigned_abs();
            if difference <= CLOCK_JUMP.as_secs() * u64::from(self.clock_rate) {
                // J += (|D| - J) / 16, rounded.
                self.jitter_16 = self.jitter_16 + difference - ((self.jitter_16 + 8) >> 4);
            }
        }
        self.last = Some((arrival, timestamp));
    }

    /// The sender's own report arrived.
    pub(crate) fn sender_report(&mut self, report: &SenderReport, arrival: Instant) {
        self.sender_report = Some((report.compact_ntp(), arrival));
    }

    /// The block of the next report; `None` as long as nothing arrived.
    pub(crate) fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        let (low, high) = self.range?;
        let expected = high - low + 1;
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, self.received);
        let lately = expected.saturating_sub(expected_before);
        let lost = lately.saturating_sub(self.received - received_before);
        let (last_sender_report, delay) = match self.sender_report {
            Some((compact, arrival)) => (compact, units_of_delay(now.saturating_duration_since(arrival))),
            None => (0, 0),
        };
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: (lost * 256).checked_div(lately).unwrap_or(0).min(255) as u8,
            cumulative_lost: i64::clamp(expected as i64 - self.received as i64, -(1 << 23), (1 << 23) - 1) as i32,
            highest_sequence: high as u32,
            jitter: (self.jitter_16 >> 4) as u32,
            last_sender_report,
            delay,
        })
    }
}

/// 1/65536 s.
fn units_of_delay(delay: Duration) -> u32 {
    u32::try_from(delay.as_micros() * 65_536 / 1_000_000).unwrap_or(u32::MAX)
}

/// The time a packet takes to the client and back, out of a report of the client's on a stream of ours (RFC 3550 section
/// 6.4.1); `compact_now` is the clock of our sender reports. `None` if it had none of them, or claims to be faster than
/// time.
pub(crate) fn round_trip(block: &ReportBlock, compact_now: u32) -> Option<Duration> {
    let units = compact_now
        .wrapping_sub(block.last_sender_report)
        .checked_sub(block.delay)
        .filter(|units| block.last_sender_report != 0 && *units < 1 << 31)?;
    Some(Duration::from_micros(u64::from(units) * 1_000_000 / 65_536))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn losses_since_the_last_report_and_in_all() {
        let start = Instant::now();
        let mut reception = Reception::new(7, 90_000);
        assert_eq!(reception.report(start), None);
        for sequence in (70_000..70_100).filter(|sequence| sequence % 4 != 1) {
            reception.received(sequence, 0, start);
        }
        let block = reception.report(start).unwrap();
        assert_eq!((block.ssrc, block.fraction_lost, block.cumulative_lost), (7, 64, 25));
        assert_eq!(
            (block.highest_sequence, block.last_sender_report, block.delay),
            (70_099, 0, 0)
        );
        for sequence in 70_100..70_110 {
            reception.received(sequence, 0, start);
        }
        let block = reception.report(start).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 25));
        // Nothing new, then what was late: not below zero.
        assert_eq!(reception.report(start).unwrap().fraction_lost, 0);
        reception.received(70_001, 0, start);
        assert_eq!(reception.report(start).unwrap().cumulative_lost, 24);
        // All lost but one.
        reception.received(80_000, 0, start);
        assert_eq!(reception.report(start).unwrap().fraction_lost, 255);
    }

    #[test]
    fn jitter_is_the_smoothed_difference() {
        let start = Instant::now();
        let mut reception = Reception::new(7, 90_000);
        // Even spacing has none; every other packet 10 ms late approaches 10 ms.
        for i in 0..100 {
            reception.received(u64::from(i), i * 1800, start + 20 * MS * i);
        }
        assert_eq!(reception.report(start).unwrap().jitter, 0);
        for i in 100..400 {
            let late = if i % 2 == 0 { 10 * MS } else { Duration::ZERO };
            reception.received(u64::from(i), i * 1800, start + 20 * MS * i + late);
        }
        let jitter = reception.report(start).unwrap().jitter;
        assert!((890..=900).contains(&jitter), "{jitter}");
        // Another beginning of the clock is no jitter.
        reception.received(400, 4_000_000_000, start + 20 * MS * 400);
        assert_eq!(reception.report(start).unwrap().jitter, jitter);
    }

    #[test]
    fn a_report_tells_the_round_trip() {
        let start = Instant::now();
        let mut reception = Reception::new(7, 48_000);
        reception.received(1, 0, start);
        let report = SenderReport {
            ssrc: 7,
            ntp: 0xffff_fff0_8000_0000,
            timestamp: 0,
            packets: 0,
            octets: 0,
        };
        reception.sender_report(&report, start);
        let block = reception.report(start + 500 * MS).unwrap();
        assert_eq!((block.last_sender_report, block.delay), (0xfff0_8000, 32_768));
        let now = 0xfff0_8000_u32.wrapping_add(32_768 + 6554);
        assert_eq!(round_trip(&block, now).unwrap().as_millis(), 100);
        assert_eq!(round_trip(&block, 0xfff0_8000 + 100), None, "sooner than its delay");
        assert_eq!(round_trip(&ReportBlock::default(), now), None);
    }
}
