//! What participants receive: asked of their rooms, and changed there.

use protocol::signaling::Subscribe;
use room::{AccountSid, ParticipantSid, RoomSid, Rules, TrackSid};
use store::{Audit, SubscribeRulesRow};
use tokio::sync::oneshot;

use super::task::Command;
use super::{Rooms, RoomsError, is_stored, limits};

impl Rooms {
    /// Puts these rules in the place of a participant's, with a line of the audit log in the same commit. What is
    /// stored then.
    ///
    /// # Errors
    /// [`RoomsError::ParticipantNotFound`] if it is not in the room (any more); [`RoomsError::Busy`] if the room cannot say.
    pub async fn replace_rules(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
        rules: Rules,
        by: Option<Audit>,
    ) -> Result<SubscribeRulesRow, RoomsError> {
        let gone = RoomsError::ParticipantNotFound;
        let Some(handle) = self.live(account, room) else {
            return Err(gone);
        };
        let (stored, wait) = oneshot::channel();
        let command = Command::Rules {
            participant,
            rules,
            by,
            stored,
        };
        match self.ask(&handle, command).await {
            Err(RoomsError::RoomNotInProgress) => return Err(gone),
            asked => asked?,
        }
        if !is_stored(wait).await? {
            // It was out before, or its room is just restored from what is stored.
            let row = self.shared.store.participant(account, room, participant).await?;
            let is_there = row.is_some_and(|row| row.ended.is_none());
            return Err(if is_there { RoomsError::Busy } else { gone });
        }
        let row = self.shared.store.subscribe_rules(account, room, participant).await?;
        row.ok_or(gone)
    }

    /// The tracks that a participant is to receive, in no order, all of them stored; none if it is not in the room.
    pub async fn subscriptions(
        &self,
        account: AccountSid,
        room: RoomSid,
        participant: ParticipantSid,
    ) -> Result<Vec<TrackSid>, RoomsError> {
        let Some(handle) = self.live(account, room) else {
            return Ok(Vec::new());
        };
        let (answer, wait) = oneshot::channel();
        let command = Command::Subscriptions { participant, answer };
        match self.ask(&handle, command).await {
            Err(RoomsError::RoomNotInProgress) => return Ok(Vec::new()),
            asked => asked?,
        }
        match tokio::time::timeout(limits::STORED_WAIT, wait).await {
            // Dropped unanswered by a room that is over.
            Ok(tracks) => Ok(tracks.unwrap_or_default()),
            Err(_) => Err(RoomsError::Busy),
        }
    }
}

/// The rules that a client brings when it connects; `None` if they are no valid list. One that says nothing
/// subscribes to everything.
pub(crate) fn initial_rules(subscribe: Option<Subscribe>) -> Option<Rules> {
    match subscribe.and_then(|subscribe| subscribe.rules) {
        None => Some(Rules::everything()),
        Some(rules) => protocol::rules::of(rules).ok(),
    }
}
