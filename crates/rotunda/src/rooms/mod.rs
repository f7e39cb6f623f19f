//! The registry of live rooms: one task for each owns its `room::Room`.

use room::{AccountSid, ParticipantSid, RoomSid};
use store::{NewRoom, ParticipantRow, RoomRow, StoreError};

/// Handle on the live rooms; cheap to clone.
#[derive(Clone)]
pub struct Rooms;

/// Why a room did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RoomsError {
    /// Code 53113.
    #[error("a room of that name is in progress")]
    RoomExists,
    /// No such room for this account.
    #[error("there is no such room")]
    RoomNotFound,
    /// Codes 53112 and 53118.
    #[error("the room is not in progress")]
    RoomNotInProgress,
    /// No such participant in the room, in any state.
    #[error("there is no such participant")]
    ParticipantNotFound,
    /// The room's command queue is full, or the server is shutting down: try again.
    #[error("the room is busy")]
    Busy,
    /// The store failed.
    #[error("the change could not be stored")]
    Store(#[from] StoreError),
}

#[allow(unused_variables, clippy::unimplemented, clippy::unused_async, missing_docs)]
impl Rooms {
    /// Creates a room. The row as stored.
    pub async fn create(&self, account: AccountSid, room: NewRoom) -> Result<RoomRow, RoomsError> {
        unimplemented!()
    }

    /// Completes a room in progress: everyone is disconnected. The row as it is then.
    pub async fn complete(&self, account: AccountSid, room: RoomSid) -> Result<RoomRow, RoomsError> {
        unimplemented!()
    }

    /// Removes a participant. The row as it is then; that of one who is gone already is unchanged.
    pub async fn disconnect(&self, account: AccountSid, room: RoomSid, participant: ParticipantSid) -> Result<ParticipantRow, RoomsError> {
        unimplemented!()
    }
}
