//! REST resources as JSON (rest.md sections 1.3, 4, 5, 8, 9): every member is always there, null
//! where there is no value.

mod date;
mod error;
mod page;
mod participant;
mod participant_page;
mod room;
mod text;

pub use date::Date;
pub use error::ErrorBody;
pub use page::{Meta, ParticipantPage, RoomPage};
pub use participant::ParticipantResource;
pub use room::{RoomLinks, RoomResource};
