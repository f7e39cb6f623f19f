//! REST resources as JSON (rest.md sections 1.3, 4, 5, 8 to 12): every member is always there, null
//! where there is no value.

mod date;
mod error;
mod page;
mod participant;
mod room;
mod text;
mod track;

pub use date::Date;
pub use error::{ErrorBody, ErrorDetails};
pub use page::{Meta, ParticipantPage, PublishedTrackPage, RoomPage, SubscribedTrackPage};
pub use participant::{AnonymizedResource, ParticipantResource};
pub use room::{RoomLinks, RoomResource};
pub use track::{SubscribeRulesResource, TrackResource};
