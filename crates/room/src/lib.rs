//! What a room decides, without I/O, clock, randomness, serde or SQL.
//!
//! The contract of [`Room`]: tell it one thing with [`Room::handle`], then do what [`Room::poll`]
//! says until it is `None`, then wait for the next thing or for [`Room::poll_timeout`].
//!
//! ```text
//!   client, API, timer ──► handle(Input, now) ──► poll() ──► Persist ──► store
//!                              ▲                    │                      │
//!                              │                    ▼                      │
//!                              │          Admit, Tell…, Subscribe,         │
//!                              │          Dismiss, Ended (once durable)    │
//!                              └──────────── Stored { batch } ◄────────────┘
//! ```
//!
//! What holds in every room, whatever it is told and in whatever order:
//!
//! - Nobody is told of a change before the store has confirmed its batch, and everyone is told in
//!   the order in which things happened.
//! - Of each identity at most one participant is in the room: the newer one wins. Never are more in
//!   it than may be, not even between two changes of one batch.
//! - A participant connects once and disconnects at most once; its tracks are unpublished before.
//!   The room is completed at most once, and this is its last change.
//! - Everyone receives those tracks of the others that its rules select, and no others.
//! - To each recipient the revisions of a participant and of its own published tracks only grow;
//!   a repeat occurs only in [`Output::Welcome`].
//! - A room in progress always has a [`Room::poll_timeout`].
//!
//! ```
//! # use std::time::{Duration, Instant};
//! use room::{Announced, Input, Join, Now, Output, ParticipantSid, Room, RoomConfig, Rules, SessionHash, Timestamp};
//!
//! let now = Now { mono: Instant::now(), wall: Timestamp(0) };
//! let minutes = |n: u64| Duration::from_secs(60 * n);
//! let mut room = Room::new(RoomConfig {
//!     max_participants: 50, max_participant_duration: minutes(240), unused_timeout: minutes(5),
//!     empty_timeout: minutes(5), max_age: None, audio_only: false, ad_hoc: false,
//!     session_timeout: Duration::from_secs(30), first_revision: 0,
//! }, now);
//! let alice = ParticipantSid::from_bytes([1; 16]);
//! room.handle(Input::Join(Join {
//!     participant: alice, identity: "alice".into(), session: SessionHash([0; 32]),
//!     rules: Rules::everything(), announced: Announced::default(),
//! }), now);
//! assert!(matches!(room.poll(), Some(Output::Persist { batch: 1, .. })));
//! assert_eq!(room.poll(), None); // nobody hears of it before it is durable
//! room.handle(Input::Stored { batch: 1 }, now);
//! assert!(matches!(room.poll(), Some(Output::Admit { participant, .. }) if participant == alice));
//! ```

pub mod limits;

mod change;
mod input;
mod output;
mod participant;
mod room;
mod rules;
mod sid;
mod track;

pub use change::{Change, EventKind, ParticipantStatus, RoomStatus, RoomType, SessionHash, Timestamp};
pub use input::{Announced, AnnouncedTrack, Input, Join, Now};
pub use output::{Dismissal, Output, ParticipantView, Published, Refusal, Subscription, TrackFault, View};
pub use room::{Restored, RestoredParticipant, Room, RoomConfig};
pub use rules::{Named, Publisher, Rule, RuleEffect, RuleFault, Rules, RulesFault};
pub use sid::{AccountSid, ApiKeySid, InvalidSid, ParticipantSid, RoomSid, TrackSid};
pub use track::{Priority, Track, TrackKind};
