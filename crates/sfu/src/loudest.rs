//! Which sound a receiver is sent where many speak at once: the loudest, and for a while those who were.
//!
//! Levels are those that clients measure themselves (RFC 6464). Sound without a level cannot be judged: it is always sent, and counts
//! for nothing here.

use std::cmp::Reverse;
use std::time::Instant;

use crate::limits;

/// Steps of a decibel.
const DECIBEL: i32 = 16;

/// Silence, the least that a level can say (RFC 6464 section 3), dBov.
const SILENCE_DBOV: i32 = -127;

/// A louder packet is believed by this part: a click is not speech, and speech is believed within some packets.
const RISE: i32 = 4;

/// How fast a track gets quiet again, a packet: the pauses between words are not the end of speech.
const FALL: i32 = DECIBEL;

/// Whoever is among the loudest is left there until others are this much louder.
const ADVANTAGE: i32 = 3 * DECIBEL;

/// How loud a track is, above silence, smoothed over its packets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Loudness {
    smoothed: i32,
    at: Option<Instant>,
}

impl Loudness {
    /// A packet with this level arrived, dBov from -127 to 0.
    pub(crate) fn heard(&mut self, level: i8, now: Instant) {
        let level = (i32::from(level) - SILENCE_DBOV) * DECIBEL;
        if level > self.smoothed {
            self.smoothed += (level - self.smoothed + RISE - 1) / RISE;
        } else {
            self.smoothed = level.max(self.smoothed - FALL);
        }
        self.at = Some(now);
    }

    /// How loud it is; `None` if no packet of it ever had a level.
    pub(crate) fn get(&self, now: Instant) -> Option<i32> {
        let age = now.saturating_duration_since(self.at?);
        Some(if age > limits::SOUND_SILENT_AFTER {
            0
        } else {
            self.smoothed
        })
    }
}

/// A track's place among those that one receiver could be sent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Standing {
    /// When it was among the loudest.
    loudest_at: Option<Instant>,
    /// It is not sent.
    pub(crate) is_quiet: bool,
}

/// A track that a receiver could be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<T> {
    pub(crate) track: T,
    pub(crate) loudness: i32,
    pub(crate) standing: Standing,
}

/// Gives each candidate its standing: the `most` loudest are sent, and as many at the most of those who were among them within
/// [`limits::LOUDEST_HOLD`]. Of equals, those stay who are there.
pub(crate) fn choose<T: Copy + Ord>(candidates: &mut [Candidate<T>], most: usize, now: Instant) {
    let since = |candidate: &Candidate<T>| candidate.standing.loudest_at;
    let latest = candidates.iter().filter_map(since).max();
    candidates.sort_unstable_by_key(|candidate| {
        let was_loudest = since(candidate).is_some() && since(candidate) == latest;
        let advantage = if was_loudest { ADVANTAGE } else { 0 };
        Reverse((
            candidate.loudness + advantage,
            since(candidate),
            Reverse(candidate.track),
        ))
    });
    let (loudest, others) = candidates.split_at_mut(most.min(candidates.len()));
    for candidate in loudest {
        candidate.standing = Standing {
            loudest_at: Some(now),
            is_quiet: false,
        };
    }
    others.sort_unstable_by_key(|candidate| Reverse(since(candidate)));
    for (place, candidate) in others.iter_mut().enumerate() {
        let is_held = |at| now.saturating_duration_since(at) < limits::LOUDEST_HOLD;
        candidate.standing.is_quiet = place >= most || !since(candidate).is_some_and(is_held);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// Tracks with their loudness, over and over.
    struct Crowd {
        most: usize,
        now: Instant,
        candidates: Vec<Candidate<usize>>,
    }

    impl Crowd {
        fn new(tracks: usize, most: usize) -> Self {
            let candidate = |track| Candidate {
                track,
                loudness: 0,
                standing: Standing::default(),
            };
            Self {
                most,
                now: Instant::now(),
                candidates: (0..tracks).map(candidate).collect(),
            }
        }

        /// Which are sent, some time later, when they are so loud, dB above silence.
        fn sent(&mut self, later: Duration, loudness: &[i32]) -> BTreeSet<usize> {
            self.now += later;
            for candidate in &mut self.candidates {
                candidate.loudness = loudness[candidate.track] * DECIBEL;
            }
            choose(&mut self.candidates, self.most, self.now);
            let sent = self.candidates.iter().filter(|candidate| !candidate.standing.is_quiet);
            sent.map(|candidate| candidate.track).collect()
        }
    }

    const SOON: Duration = Duration::from_millis(50);

    #[test]
    fn the_loudest_are_sent_at_once_and_those_before_for_a_while() {
        let mut crowd = Crowd::new(4, 2);
        assert_eq!(crowd.sent(SOON, &[50, 60, 10, 20]), BTreeSet::from([0, 1]));
        assert_eq!(crowd.sent(SOON, &[50, 60, 90, 20]), BTreeSet::from([0, 1, 2]));
        assert_eq!(
            crowd.sent(limits::LOUDEST_HOLD, &[50, 60, 90, 20]),
            BTreeSet::from([1, 2])
        );
    }

    #[test]
    fn equals_do_not_take_turns() {
        let mut crowd = Crowd::new(4, 2);
        let first = crowd.sent(SOON, &[40; 4]);
        assert_eq!(first.len(), 2);
        for _ in 0..100 {
            assert_eq!(crowd.sent(SOON, &[40; 4]), first);
        }
    }

    #[test]
    fn who_is_hardly_louder_does_not_take_the_place() {
        let mut crowd = Crowd::new(2, 1);
        assert_eq!(crowd.sent(SOON, &[50, 40]), BTreeSet::from([0]));
        assert_eq!(crowd.sent(SOON, &[50, 52]), BTreeSet::from([0]));
        assert_eq!(crowd.sent(SOON, &[50, 54]), BTreeSet::from([0, 1]));
    }

    #[test]
    fn speech_is_believed_within_some_packets_and_pauses_between_words_are_no_end() {
        let mut now = Instant::now();
        let mut track = Loudness::default();
        assert_eq!(track.get(now), None);
        let mut hear = |track: &mut Loudness, level: i8, packets: usize| {
            for _ in 0..packets {
                now += Duration::from_millis(20);
                track.heard(level, now);
            }
            track.get(now).map(|loudness| loudness / DECIBEL)
        };
        assert_eq!(hear(&mut track, -127, 50), Some(0));
        let speech = hear(&mut track, -27, 8);
        assert!(speech.is_some_and(|loudness| loudness > 85), "{speech:?}");
        let pause = hear(&mut track, -127, 10);
        assert!(pause.is_some_and(|loudness| loudness > 75), "{pause:?}");
        assert_eq!(hear(&mut track, -127, 100), Some(0));
        hear(&mut track, -27, 20);
        let later = now + limits::SOUND_SILENT_AFTER + Duration::from_millis(1);
        assert_eq!(track.get(later), Some(0), "nothing comes of it any more");
    }

    proptest! {
        #[test]
        fn the_loudest_are_always_sent_and_never_more_than_twice_as_many(
            most in 1_usize..5,
            times in prop::collection::vec((prop::collection::vec(0_i32..128, 12), 1_u64..3000), 1..60),
        ) {
            let mut crowd = Crowd::new(12, most);
            for (loudness, later_ms) in times {
                let sent = crowd.sent(Duration::from_millis(later_ms), &loudness);
                prop_assert!(sent.len() >= most && sent.len() <= 2 * most);
                let mut by_loudness: Vec<usize> = (0..12).collect();
                by_loudness.sort_by_key(|track| Reverse(loudness[*track]));
                // Those that are louder by more than what it takes to displace another.
                let bar = loudness[by_loudness[most]] + ADVANTAGE / DECIBEL;
                for track in by_loudness.iter().take(most).filter(|track| loudness[**track] > bar) {
                    prop_assert!(sent.contains(track));
                }
            }
        }
    }
}
