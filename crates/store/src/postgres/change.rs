//! Changes of a room made durable: rows, events and outbox entries of a batch together.
//!
//! A change that is true already (a track muted twice, a participant that is gone) writes nothing
//! and tells nobody. One that can not become true (of a participant or track that is not in the
//! room, or that ended) is an error, and the whole batch leaves nothing.

use room::{
    AccountSid, Change, EventKind, ParticipantSid, ParticipantStatus, Priority, RoomSid, Rules, SessionHash, Timestamp,
    Track, TrackSid,
};

use super::anonymize;
use super::connection::Connection;
use super::event;
use super::outage::violated;
use super::row::{self, Sid, signed, text};
use super::rules;
use crate::StoreError;
use crate::open_room::{About, OpenRoom, Participant, PublishedTrack};

pub(super) async fn apply(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    epoch: u64,
    changes: &[Change],
) -> Result<(), StoreError> {
    let mut writing = Writing::load(db, account, room, epoch).await?;
    for change in changes {
        writing.apply(change).await?;
    }
    writing.save().await
}

/// A room in progress while changes are made to it.
struct Writing<'a> {
    db: &'a Connection,
    room: OpenRoom,
}

impl<'a> Writing<'a> {
    /// Locks the room's row until the transaction ends: so whoever has an older epoch finds out, and nobody else
    /// counts at the same time.
    async fn load(db: &'a Connection, account: AccountSid, room: RoomSid, epoch: u64) -> Result<Self, StoreError> {
        let found = db
            .query_opt(
                "SELECT id, created_us, status_callback IS NOT NULL AS calls_back, next_seq,
                     last_participant_us, last_track_us, last_left_us, ended_us IS NOT NULL AS completed, epoch
                 FROM rooms WHERE sid = $1 AND account_id = (SELECT id FROM accounts WHERE sid = $2)
                 FOR NO KEY UPDATE",
                &[&Sid(*room.as_bytes()), &Sid(*account.as_bytes())],
            )
            .await?
            .ok_or(StoreError::RoomNotInProgress)?;
        let room = OpenRoom {
            id: row::get(&found, "id")?,
            created: row::time(&found, "created_us")?,
            calls_back: row::get(&found, "calls_back")?,
            next_sequence: row::count(&found, "next_seq")?,
            last_participant: row::get(&found, "last_participant_us")?,
            last_track: row::get(&found, "last_track_us")?,
            last_left: row::get(&found, "last_left_us")?,
            completed: row::get(&found, "completed")?,
        };
        let room = room.of_epoch(row::count(&found, "epoch")?, epoch)?;
        Ok(Self { db, room })
    }

    async fn save(self) -> Result<(), StoreError> {
        self.db
            .execute(
                "UPDATE rooms SET next_seq = $2, last_participant_us = $3, last_track_us = $4, last_left_us = $5
                 WHERE id = $1",
                &[
                    &self.room.id,
                    &signed(self.room.next_sequence),
                    &self.room.last_participant,
                    &self.room.last_track,
                    &self.room.last_left,
                ],
            )
            .await?;
        Ok(())
    }

    async fn apply(&mut self, change: &Change) -> Result<(), StoreError> {
        self.room.in_progress()?;
        match change {
            Change::ParticipantConnected {
                participant,
                identity,
                session,
                rules,
                at,
            } => self.connect(*participant, identity, *session, rules, *at).await,
            Change::ParticipantReconnecting { participant, at } => {
                self.move_to(*participant, ParticipantStatus::Reconnecting, *at).await
            }
            Change::ParticipantResumed { participant, at } => {
                self.move_to(*participant, ParticipantStatus::Connected, *at).await
            }
            Change::ParticipantDisconnected {
                participant,
                at,
                duration_s,
            } => self.disconnect(*participant, *at, *duration_s).await,
            Change::ParticipantAnonymized { participant } => {
                anonymize::participant(self.db, self.room.id, *participant).await
            }
            Change::SubscribeRules { participant, rules, at } => {
                let row = self.live_participant(*participant).await?;
                rules::replace(self.db, row.id, rules, at.max(&row.created).0).await
            }
            Change::TrackPublished { participant, track, at } => self.publish(*participant, track, *at).await,
            Change::TrackEnabled {
                participant,
                track,
                enabled,
                at,
            } => self.enable(*participant, *track, *enabled, *at).await,
            Change::TrackPriority {
                participant,
                track,
                priority,
                at,
            } => self.rank(*participant, *track, *priority, *at).await,
            Change::TrackUnpublished { participant, track, at } => self.unpublish(*participant, *track, *at).await,
            Change::RoomCompleted { at, duration_s } => self.complete(*at, *duration_s).await,
        }
    }

    async fn connect(
        &mut self,
        participant: ParticipantSid,
        identity: &str,
        session: SessionHash,
        rules: &Rules,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let created = self.room.participant_begins(at);
        let inserted = self
            .db
            .query_one(
                "INSERT INTO participants
                     (sid, room_id, identity, status, session, subscribe_all, created_us, updated_us)
                 VALUES ($1, $2, $3, 'connected', $4, $5, $6, $6) RETURNING id",
                &[
                    &Sid(*participant.as_bytes()),
                    &self.room.id,
                    &text(identity),
                    &session.0.as_slice(),
                    &rules::subscribe_all(rules),
                    &created.0,
                ],
            )
            .await
            .map_err(|error| match violated(&error) {
                Some("participants_live_identity") => StoreError::DuplicateIdentity,
                _ => error,
            })?;
        let id = row::get(&inserted, 0)?;
        rules::insert(self.db, id, rules).await?;
        self.tell(EventKind::ParticipantConnected, created, at, About::participant(id))
            .await
    }

    async fn move_to(
        &mut self,
        participant: ParticipantSid,
        status: ParticipantStatus,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let row = self.live_participant(participant).await?;
        if row.status == status {
            return Ok(());
        }
        self.db
            .execute(
                "UPDATE participants SET status = $2, updated_us = $3 WHERE id = $1",
                &[&row.id, &status.as_str(), &at.max(row.created).0],
            )
            .await?;
        Ok(())
    }

    async fn disconnect(
        &mut self,
        participant: ParticipantSid,
        at: Timestamp,
        duration_s: u64,
    ) -> Result<(), StoreError> {
        let row = self.participant(participant).await?;
        if row.status == ParticipantStatus::Disconnected {
            return Ok(());
        }
        let ended = at.max(row.created);
        self.db
            .execute(
                "UPDATE participants SET status = 'disconnected', updated_us = $2, ended_us = $2,
                     duration_s = $3
                 WHERE id = $1",
                &[&row.id, &ended.0, &signed(duration_s)],
            )
            .await?;
        self.room.participant_left(ended);
        self.end_forgotten_tracks(row.id, ended).await?;
        let about = About {
            duration_s: Some(duration_s),
            ..About::participant(row.id)
        };
        self.tell(EventKind::ParticipantDisconnected, ended, at, about).await
    }

    /// Nobody who is gone has tracks. The room says so itself, before; if it did not, the rows
    /// still tell the truth.
    async fn end_forgotten_tracks(&self, participant: i64, ended: Timestamp) -> Result<(), StoreError> {
        let forgotten = self
            .db
            .execute(
                "UPDATE tracks SET ended_us = greatest($2, created_us), updated_us = greatest($2, created_us)
                 WHERE participant_id = $1 AND ended_us IS NULL",
                &[&participant, &ended.0],
            )
            .await?;
        if forgotten > 0 {
            tracing::warn!(tracks = forgotten, "a participant left without its tracks");
        }
        Ok(())
    }

    async fn publish(&mut self, participant: ParticipantSid, track: &Track, at: Timestamp) -> Result<(), StoreError> {
        let row = self.live_participant(participant).await?;
        let created = self.room.track_begins(at);
        let inserted = self
            .db
            .query_one(
                "INSERT INTO tracks (sid, participant_id, media_id, kind, name, enabled, priority,
                     created_us, updated_us)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) RETURNING id",
                &[
                    &Sid(*track.sid.as_bytes()),
                    &row.id,
                    &text(&track.media_id),
                    &track.kind.as_str(),
                    &text(&track.name),
                    &track.enabled,
                    &track.priority.as_str(),
                    &created.0,
                ],
            )
            .await?;
        let id = row::get(&inserted, 0)?;
        self.tell(EventKind::TrackAdded, created, at, About::track(row.id, id))
            .await
    }

    async fn enable(
        &mut self,
        participant: ParticipantSid,
        track: TrackSid,
        enabled: bool,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let row = self.live_track(participant, track).await?;
        if row.enabled == enabled {
            return Ok(());
        }
        let at_row = row.changed(at);
        self.db
            .execute(
                "UPDATE tracks SET enabled = $2, updated_us = $3 WHERE id = $1",
                &[&row.id, &enabled, &at_row.0],
            )
            .await?;
        let kind = match enabled {
            true => EventKind::TrackEnabled,
            false => EventKind::TrackDisabled,
        };
        self.tell(kind, at_row, at, About::track(row.participant, row.id)).await
    }

    async fn rank(
        &self,
        participant: ParticipantSid,
        track: TrackSid,
        priority: Priority,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let row = self.live_track(participant, track).await?;
        self.db
            .execute(
                "UPDATE tracks SET priority = $2, updated_us = $3
                 WHERE id = $1 AND priority <> $2",
                &[&row.id, &priority.as_str(), &row.changed(at).0],
            )
            .await?;
        Ok(())
    }

    async fn unpublish(
        &mut self,
        participant: ParticipantSid,
        track: TrackSid,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let row = self.track(participant, track).await?;
        if row.ended {
            return Ok(());
        }
        let ended = at.max(row.created);
        self.db
            .execute(
                "UPDATE tracks SET ended_us = $2, updated_us = $2 WHERE id = $1",
                &[&row.id, &ended.0],
            )
            .await?;
        self.tell(
            EventKind::TrackRemoved,
            ended,
            at,
            About::track(row.participant, row.id),
        )
        .await
    }

    async fn complete(&mut self, at: Timestamp, duration_s: u64) -> Result<(), StoreError> {
        let anybody = self
            .db
            .query_opt(
                "SELECT 1 FROM participants WHERE room_id = $1 AND ended_us IS NULL LIMIT 1",
                &[&self.room.id],
            )
            .await?
            .is_some();
        let ended = self.room.complete(at, anybody)?;
        self.db
            .execute(
                "UPDATE rooms SET status = 'completed', updated_us = $2, ended_us = $2,
                     duration_s = $3
                 WHERE id = $1",
                &[&self.room.id, &ended.0, &signed(duration_s)],
            )
            .await?;
        let about = About {
            duration_s: Some(duration_s),
            ..About::default()
        };
        self.tell(EventKind::RoomEnded, ended, at, about).await
    }

    /// Writes the room's next event, and the callback that is due at `due`.
    async fn tell(&mut self, kind: EventKind, at: Timestamp, due: Timestamp, about: About) -> Result<(), StoreError> {
        let event = self.room.event(kind, at, about);
        event::append(self.db, &event, self.room.calls_back.then_some(due)).await
    }

    async fn participant(&self, participant: ParticipantSid) -> Result<Participant, StoreError> {
        let row = self
            .db
            .query_opt(
                "SELECT id, status, created_us FROM participants WHERE sid = $1 AND room_id = $2",
                &[&Sid(*participant.as_bytes()), &self.room.id],
            )
            .await?
            .ok_or_else(Participant::missing)?;
        Ok(Participant {
            id: row::get(&row, "id")?,
            status: row::word(&row, "status", ParticipantStatus::from_word)?,
            created: row::time(&row, "created_us")?,
        })
    }

    async fn live_participant(&self, participant: ParticipantSid) -> Result<Participant, StoreError> {
        self.participant(participant).await?.live()
    }

    async fn track(&self, participant: ParticipantSid, track: TrackSid) -> Result<PublishedTrack, StoreError> {
        let row = self
            .db
            .query_opt(
                "SELECT t.id, t.participant_id, t.enabled, t.ended_us IS NOT NULL AS ended,
                     t.created_us
                 FROM tracks AS t JOIN participants AS p ON p.id = t.participant_id
                 WHERE t.sid = $1 AND p.sid = $2 AND p.room_id = $3",
                &[&Sid(*track.as_bytes()), &Sid(*participant.as_bytes()), &self.room.id],
            )
            .await?
            .ok_or_else(PublishedTrack::missing)?;
        Ok(PublishedTrack {
            id: row::get(&row, "id")?,
            participant: row::get(&row, "participant_id")?,
            enabled: row::get(&row, "enabled")?,
            ended: row::get(&row, "ended")?,
            created: row::time(&row, "created_us")?,
        })
    }

    async fn live_track(&self, participant: ParticipantSid, track: TrackSid) -> Result<PublishedTrack, StoreError> {
        self.track(participant, track).await?.live()
    }
}
