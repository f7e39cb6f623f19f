//! What may happen to a room, at random.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use room::{AnnouncedTrack, Priority, RoomConfig, Rules, TrackKind, limits};

use crate::rules::any_rules;
use crate::world::{listed, seconds};

/// All who may come.
pub(crate) const IDENTITIES: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];

/// One thing that happens; `who` is the latest participant of an identity, there or gone.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Join {
        who: usize,
        rules: Rules,
        tracks: Vec<AnnouncedTrack>,
    },
    /// The client changes its list; told if its socket is up.
    Tracks {
        who: usize,
        tracks: Vec<AnnouncedTrack>,
    },
    /// The client tells its list again.
    Repeat {
        who: usize,
    },
    Leave {
        who: usize,
    },
    /// The socket dies, and the room is told.
    Lost {
        who: usize,
    },
    /// The socket dies, and the room does not know.
    Silent {
        who: usize,
    },
    Resume {
        who: usize,
    },
    Remove {
        who: usize,
    },
    /// The API replaces its rules.
    Rules {
        who: usize,
        rules: Rules,
    },
    MediaFailed {
        who: usize,
    },
    /// An earlier participant of the identity sends what it had to say.
    Late {
        who: usize,
    },
    Complete,
    /// The timer fires when it is due.
    Pass {
        time: Duration,
    },
    /// The timer fires only then.
    Delay {
        time: Duration,
    },
    /// The calendar is set back or forth.
    Calendar {
        seconds: i64,
    },
    /// The slow store confirms some batches.
    Confirm {
        count: usize,
    },
    /// The process dies; of the batches not confirmed this many are there all the same.
    Restart {
        durable: usize,
    },
}

pub(crate) fn configs() -> impl Strategy<Value = RoomConfig> {
    (1usize..=6, any::<bool>(), 60u64..2000).prop_map(|(max_participants, ad_hoc, stay)| RoomConfig {
        max_participants,
        max_participant_duration: seconds(stay),
        unused_timeout: seconds(100),
        empty_timeout: seconds(60),
        max_age: None,
        audio_only: false,
        ad_hoc,
        session_timeout: seconds(30),
        first_revision: 0,
    })
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    // Some come more often, so that their sequences are longer.
    let who = prop_oneof![3 => 0..2usize, 1 => 2..IDENTITIES.len()];
    let short = (0u64..15_000).prop_map(Duration::from_millis);
    prop_oneof![
        24 => (who.clone(), any_rules(), tracks())
            .prop_map(|(who, rules, tracks)| Step::Join { who, rules, tracks }),
        30 => (who.clone(), tracks()).prop_map(|(who, tracks)| Step::Tracks { who, tracks }),
        2 => who.clone().prop_map(|who| Step::Repeat { who }),
        4 => who.clone().prop_map(|who| Step::Leave { who }),
        12 => who.clone().prop_map(|who| Step::Lost { who }),
        8 => who.clone().prop_map(|who| Step::Silent { who }),
        20 => who.clone().prop_map(|who| Step::Resume { who }),
        2 => who.clone().prop_map(|who| Step::Remove { who }),
        8 => (who.clone(), any_rules()).prop_map(|(who, rules)| Step::Rules { who, rules }),
        2 => who.clone().prop_map(|who| Step::MediaFailed { who }),
        2 => who.prop_map(|who| Step::Late { who }),
        1 => Just(Step::Complete),
        12 => short.clone().prop_map(|time| Step::Pass { time }),
        4 => short.prop_map(|time| Step::Delay { time }),
        2 => (30u64..300).prop_map(|time| Step::Pass { time: seconds(time) }),
        2 => (-7200i64..7200).prop_map(|seconds| Step::Calendar { seconds }),
        30 => (1usize..5).prop_map(|count| Step::Confirm { count }),
        2 => (0usize..4).prop_map(|durable| Step::Restart { durable }),
    ]
}

/// A list with few ids and names, so that they meet; now and then one that is not allowed.
fn tracks() -> impl Strategy<Value = Vec<AnnouncedTrack>> {
    let media_id = prop_oneof![
        20 => (0..5).prop_map(|number| format!("media{number}")),
        1 => Just(String::new()),
        1 => Just("m".repeat(limits::MEDIA_ID_BYTES + 1)),
    ];
    let name = prop_oneof![
        20 => (0..8).prop_map(|number| format!("name{number}")),
        1 => Just("nul\0".to_owned()),
        1 => Just("n".repeat(limits::TRACK_NAME_CHARS + 1)),
    ];
    let kind = prop::sample::select(TrackKind::ALL);
    let priority = prop::sample::select(Priority::ALL);
    let track =
        (media_id, name, kind, any::<bool>(), priority).prop_map(|(media_id, name, kind, enabled, priority)| {
            AnnouncedTrack {
                name,
                enabled,
                priority,
                ..listed(kind, &media_id)
            }
        });
    vec(track, 0..5)
}
