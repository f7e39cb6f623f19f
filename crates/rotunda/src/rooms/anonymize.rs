//! Erasing a participant's identity, whatever its state and that of its room.

use room::{AccountSid, ParticipantSid, RoomSid};
use store::{Audit, ParticipantRow};
use tokio::sync::oneshot;

use super::task::Command;
use super::{Rooms, RoomsError, is_stored};

impl Rooms {
    /// Erases a participant's identity, with a line of the audit log in the same commit if that changes anything. When it
    /// resolves nothing of it is left in the database's files. The row as it is then.
    pub async fn anonymize_audited(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
        by: Option<Audit>,
    ) -> Result<ParticipantRow, RoomsError> {
        let row = self.shared.store.participant(account, room, participant).await?;
        let row = row.ok_or(RoomsError::ParticipantNotFound)?;
        if row.identity != participant.to_string() {
            self.anonymize_row(account, room, &row, by).await?;
        }
        // Also of one whose identity is gone: an earlier call may have got no further.
        self.shared.store.expunge().await?;
        self.shared
            .store
            .participant(account, room, participant)
            .await?
            .ok_or(RoomsError::ParticipantNotFound)
    }

    /// By the room's task, so that the room knows it; by the store alone once the room is over.
    async fn anonymize_row(
        &self,
        account: AccountSid,
        room: RoomSid,
        row: &ParticipantRow,
        by: Option<Audit>,
    ) -> Result<(), RoomsError> {
        let participant = row.sid;
        if let Some(handle) = self.live(account, room) {
            let (stored, wait) = oneshot::channel();
            let by = by.clone();
            let command = Command::Anonymize {
                participant,
                identity: row.identity.clone(),
                by,
                stored,
            };
            match self.ask(&handle, command).await {
                Ok(()) if is_stored(wait).await? => return Ok(()),
                // The room ended meanwhile.
                Ok(()) | Err(RoomsError::RoomNotInProgress) => {}
                Err(error) => return Err(error),
            }
        }
        if self.shared.store.anonymize(account, room, participant, by).await? {
            Ok(())
        } else {
            // Between two tasks.
            Err(RoomsError::Busy)
        }
    }
}
