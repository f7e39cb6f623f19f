//! Disconnecting participants: one, or all of an account or an API key.

use room::{AccountSid, ApiKeySid, ParticipantSid, RoomSid};
use store::{Audit, ParticipantRow};
use tokio::sync::oneshot;

use super::task::Command;
use super::{LiveHandle, Rooms, RoomsError, is_stored, lock};

impl Rooms {
    /// Removes a participant. The row as it is then; that of one who is gone already is unchanged.
    pub async fn disconnect(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
    ) -> Result<ParticipantRow, RoomsError> {
        self.disconnect_audited(account, room, participant, None).await
    }

    /// Removes a participant, with a line of the audit log in the same commit; no line if nothing changes.
    pub async fn disconnect_audited(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
        by: Option<Audit>,
    ) -> Result<ParticipantRow, RoomsError> {
        let row = self.shared.store.participant(account, room, participant).await?;
        row.ok_or(RoomsError::ParticipantNotFound)?;
        if let Some(handle) = self.live(account, room) {
            let (stored, wait) = oneshot::channel();
            self.ask(
                &handle,
                Command::Remove {
                    participant,
                    by,
                    stored,
                },
            )
            .await?;
            // False if the room ended meanwhile, and the participant with it.
            is_stored(wait).await?;
        }
        self.shared
            .store
            .participant(account, room, participant)
            .await?
            .ok_or(RoomsError::ParticipantNotFound)
    }

    /// Disconnects the participants of an account, those alone that came with a key if one is named; how many.
    ///
    /// # Errors
    /// A room was busy: then some may be left. The next call finds them.
    pub async fn end_sessions(&self, account: AccountSid, key: Option<ApiKeySid>) -> Result<usize, RoomsError> {
        let handles: Vec<LiveHandle> = lock(&self.shared.live)
            .values()
            .filter(|handle| handle.account == account)
            .cloned()
            .collect();
        let mut asked = Vec::new();
        for handle in handles {
            let (removed, wait) = oneshot::channel();
            match self.ask(&handle, Command::RemoveAll { key, removed }).await {
                Ok(()) => asked.push(wait),
                // It was over first, with everybody.
                Err(RoomsError::RoomNotInProgress) => {}
                Err(error) => return Err(error),
            }
        }
        let mut ended = 0;
        for wait in asked {
            // A room that is over has nobody left.
            if let Ok((removed, stored)) = wait.await {
                ended += removed;
                is_stored(stored).await?;
            }
        }
        Ok(ended)
    }
}
