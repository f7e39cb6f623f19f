//! Which msid stream each track is in: a publisher's microphone and camera share one, so that
//! browsers play them in sync; every further track has its own (stack.md, "Lip sync").

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use room::{Subscription, TrackSid};

/// Streams of the tracks of a room. A track keeps its stream for life.
#[derive(Debug, Default)]
pub(super) struct Streams(BTreeMap<TrackSid, Arc<str>>);

impl Streams {
    /// Gives each of these tracks a stream if it has none yet.
    pub(super) fn assign(&mut self, subscriptions: &[Subscription]) {
        for new in subscriptions {
            if self.0.contains_key(&new.track) {
                continue;
            }
            let shared = new.publisher.to_string();
            let taken = subscriptions.iter().any(|other| {
                other.publisher == new.publisher
                    && other.kind == new.kind
                    && self.0.get(&other.track).is_some_and(|stream| **stream == *shared)
            });
            let stream = if taken { new.track.to_string() } else { shared };
            self.0.insert(new.track, stream.into());
        }
    }

    /// The stream of a track.
    pub(super) fn of(&self, subscription: &Subscription) -> Arc<str> {
        self.0
            .get(&subscription.track)
            .cloned()
            .unwrap_or_else(|| subscription.track.to_string().into())
    }

    /// Forgets tracks that nobody receives any more, once they are many.
    pub(super) fn tidy<'a>(&mut self, current: impl Iterator<Item = &'a Subscription>) {
        const SLACK: usize = 256;
        if self.0.len() < SLACK {
            return;
        }
        let current: BTreeSet<TrackSid> = current.map(|subscription| subscription.track).collect();
        if self.0.len() > 2 * current.len() + SLACK / 2 {
            self.0.retain(|track, _| current.contains(track));
        }
    }
}

#[cfg(test)]
mod tests {
    use room::{ParticipantSid, TrackKind};

    use super::*;

    fn subscription(track: u8, kind: TrackKind) -> Subscription {
        Subscription {
            track: TrackSid::from_bytes([track; 16]),
            publisher: ParticipantSid::from_bytes([9; 16]),
            media_id: track.to_string(),
            kind,
        }
    }

    #[test]
    fn microphone_and_camera_share_a_stream_and_a_screen_has_its_own() {
        let (microphone, camera, screen) = (
            subscription(1, TrackKind::Audio),
            subscription(2, TrackKind::Video),
            subscription(3, TrackKind::Video),
        );
        let mut streams = Streams::default();
        streams.assign(&[microphone.clone(), camera.clone()]);
        streams.assign(&[microphone.clone(), camera.clone(), screen.clone()]);
        assert_eq!(streams.of(&microphone), streams.of(&camera));
        assert_ne!(streams.of(&screen), streams.of(&camera));

        // The camera goes and another comes: the screen stays where it is, the new one syncs.
        let camera_again = subscription(4, TrackKind::Video);
        let screen_stream = streams.of(&screen);
        streams.assign(&[microphone.clone(), screen.clone(), camera_again.clone()]);
        assert_eq!(streams.of(&screen), screen_stream);
        assert_eq!(streams.of(&camera_again), streams.of(&microphone));
    }
}
