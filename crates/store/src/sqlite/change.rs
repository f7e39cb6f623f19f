//! Changes of a room made durable: rows, events and outbox entries of a batch together.
//!
//! A change that is true already (a track muted twice, a participant that is gone) writes nothing
//! and tells nobody. One that can not become true (of a participant or track that is not in the
//! room, or that ended) is an error, and the whole batch leaves nothing.

use room::{
    AccountSid, Change, EventKind, ParticipantSid, ParticipantStatus, Priority, RoomSid, Rules, SessionHash, Timestamp,
    Track, TrackSid,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::anonymize;
use super::event;
use super::row::{self, signed};
use super::rules;
use crate::StoreError;
use crate::open_room::{About, OpenRoom, Participant, PublishedTrack};

pub(super) fn apply(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    epoch: u64,
    changes: &[Change],
) -> Result<(), StoreError> {
    let mut writing = Writing::load(db, account, room, epoch)?;
    for change in changes {
        writing.apply(change)?;
    }
    writing.save()
}

/// A room in progress while changes are made to it.
struct Writing<'a> {
    db: &'a Connection,
    room: OpenRoom,
}

impl<'a> Writing<'a> {
    fn load(db: &'a Connection, account: AccountSid, room: RoomSid, epoch: u64) -> Result<Self, StoreError> {
        let mut query = db.prepare_cached(
            "SELECT r.id, r.created_us, r.status_callback IS NOT NULL AS calls_back, r.next_seq,
                 r.last_participant_us, r.last_track_us, r.last_left_us,
                 r.ended_us IS NOT NULL AS completed, r.epoch
             FROM rooms AS r JOIN accounts AS a ON a.id = r.account_id
             WHERE r.sid = ?1 AND a.sid = ?2",
        )?;
        let found = query
            .query_row(params![room.as_bytes(), account.as_bytes()], |row| {
                let room = OpenRoom {
                    id: row.get("id")?,
                    created: row::time(row, "created_us")?,
                    calls_back: row.get("calls_back")?,
                    next_sequence: row::count(row, "next_seq")?,
                    last_participant: row.get("last_participant_us")?,
                    last_track: row.get("last_track_us")?,
                    last_left: row.get("last_left_us")?,
                    completed: row.get("completed")?,
                };
                Ok((room, row::count(row, "epoch")?))
            })
            .optional()?;
        let (room, current) = found.ok_or(StoreError::RoomNotInProgress)?;
        let room = room.of_epoch(current, epoch)?;
        Ok(Self { db, room })
    }

    fn save(self) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "UPDATE rooms SET next_seq = ?2, last_participant_us = ?3, last_track_us = ?4,
                     last_left_us = ?5
                 WHERE id = ?1",
            )?
            .execute(params![
                self.room.id,
                signed(self.room.next_sequence),
                self.room.last_participant,
                self.room.last_track,
                self.room.last_left,
            ])?;
        Ok(())
    }

    fn apply(&mut self, change: &Change) -> Result<(), StoreError> {
        self.room.in_progress()?;
        match change {
            Change::ParticipantConnected {
                participant,
                identity,
                session,
                rules,
                at,
            } => self.connect(*participant, identity, *session, rules, *at),
            Change::ParticipantReconnecting { participant, at } => {
                self.move_to(*participant, ParticipantStatus::Reconnecting, *at)
            }
            Change::ParticipantResumed { participant, at } => {
                self.move_to(*participant, ParticipantStatus::Connected, *at)
            }
            Change::ParticipantDisconnected {
                participant,
                at,
                duration_s,
            } => self.disconnect(*participant, *at, *duration_s),
            Change::ParticipantAnonymized { participant } => {
                anonymize::participant(self.db, self.room.id, *participant)
            }
            Change::SubscribeRules { participant, rules, at } => {
                let row = self.live_participant(*participant)?;
                rules::replace(self.db, row.id, rules, at.max(&row.created).0)
            }
            Change::TrackPublished { participant, track, at } => self.publish(*participant, track, *at),
            Change::TrackEnabled {
                participant,
                track,
                enabled,
                at,
            } => self.enable(*participant, *track, *enabled, *at),
            Change::TrackPriority {
                participant,
                track,
                priority,
                at,
            } => self.rank(*participant, *track, *priority, *at),
            Change::TrackUnpublished { participant, track, at } => self.unpublish(*participant, *track, *at),
            Change::RoomCompleted { at, duration_s } => self.complete(*at, *duration_s),
        }
    }

    fn connect(
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
            .prepare_cached(
                "INSERT INTO participants
                     (sid, room_id, identity, status, session, subscribe_all, created_us, updated_us)
                 VALUES (?1, ?2, ?3, 'connected', ?4, ?5, ?6, ?6)",
            )?
            .insert(params![
                participant.as_bytes(),
                self.room.id,
                identity,
                session.0,
                rules::subscribe_all(rules),
                created.0
            ]);
        let id = inserted.map_err(|error| match row::violated(&error) {
            Some("participants.room_id, participants.identity") => StoreError::DuplicateIdentity,
            _ => error.into(),
        })?;
        rules::insert(self.db, id, rules)?;
        self.tell(EventKind::ParticipantConnected, created, at, About::participant(id))
    }

    fn move_to(
        &mut self,
        participant: ParticipantSid,
        status: ParticipantStatus,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let row = self.live_participant(participant)?;
        if row.status == status {
            return Ok(());
        }
        self.db
            .prepare_cached("UPDATE participants SET status = ?2, updated_us = ?3 WHERE id = ?1")?
            .execute(params![row.id, status.as_str(), at.max(row.created).0])?;
        Ok(())
    }

    fn disconnect(&mut self, participant: ParticipantSid, at: Timestamp, duration_s: u64) -> Result<(), StoreError> {
        let row = self.participant(participant)?;
        if row.status == ParticipantStatus::Disconnected {
            return Ok(());
        }
        let ended = at.max(row.created);
        self.db
            .prepare_cached(
                "UPDATE participants SET status = 'disconnected', updated_us = ?2, ended_us = ?2,
                     duration_s = ?3
                 WHERE id = ?1",
            )?
            .execute(params![row.id, ended.0, signed(duration_s)])?;
        self.room.participant_left(ended);
        self.end_forgotten_tracks(row.id, ended)?;
        let about = About {
            duration_s: Some(duration_s),
            ..About::participant(row.id)
        };
        self.tell(EventKind::ParticipantDisconnected, ended, at, about)
    }

    /// Nobody who is gone has tracks. The room says so itself, before; if it did not, the rows
    /// still tell the truth.
    fn end_forgotten_tracks(&self, participant: i64, ended: Timestamp) -> Result<(), StoreError> {
        let forgotten = self
            .db
            .prepare_cached(
                "UPDATE tracks SET ended_us = max(?2, created_us), updated_us = max(?2, created_us)
                 WHERE participant_id = ?1 AND ended_us IS NULL",
            )?
            .execute(params![participant, ended.0])?;
        if forgotten > 0 {
            tracing::warn!(tracks = forgotten, "a participant left without its tracks");
        }
        Ok(())
    }

    fn publish(&mut self, participant: ParticipantSid, track: &Track, at: Timestamp) -> Result<(), StoreError> {
        let row = self.live_participant(participant)?;
        let created = self.room.track_begins(at);
        let id = self
            .db
            .prepare_cached(
                "INSERT INTO tracks (sid, participant_id, media_id, kind, name, enabled, priority,
                     created_us, updated_us)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
            )?
            .insert(params![
                track.sid.as_bytes(),
                row.id,
                track.media_id,
                track.kind.as_str(),
                track.name,
                track.enabled,
                track.priority.as_str(),
                created.0,
            ])?;
        self.tell(EventKind::TrackAdded, created, at, About::track(row.id, id))
    }

    fn enable(
        &mut self,
        participant: ParticipantSid,
        track: TrackSid,
        enabled: bool,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let row = self.live_track(participant, track)?;
        if row.enabled == enabled {
            return Ok(());
        }
        let at_row = row.changed(at);
        self.db
            .prepare_cached("UPDATE tracks SET enabled = ?2, updated_us = ?3 WHERE id = ?1")?
            .execute(params![row.id, enabled, at_row.0])?;
        let kind = match enabled {
            true => EventKind::TrackEnabled,
            false => EventKind::TrackDisabled,
        };
        self.tell(kind, at_row, at, About::track(row.participant, row.id))
    }

    fn rank(
        &self,
        participant: ParticipantSid,
        track: TrackSid,
        priority: Priority,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let row = self.live_track(participant, track)?;
        self.db
            .prepare_cached(
                "UPDATE tracks SET priority = ?2, updated_us = ?3
                 WHERE id = ?1 AND priority <> ?2",
            )?
            .execute(params![row.id, priority.as_str(), row.changed(at).0])?;
        Ok(())
    }

    fn unpublish(&mut self, participant: ParticipantSid, track: TrackSid, at: Timestamp) -> Result<(), StoreError> {
        let row = self.track(participant, track)?;
        if row.ended {
            return Ok(());
        }
        let ended = at.max(row.created);
        self.db
            .prepare_cached("UPDATE tracks SET ended_us = ?2, updated_us = ?2 WHERE id = ?1")?
            .execute(params![row.id, ended.0])?;
        self.tell(
            EventKind::TrackRemoved,
            ended,
            at,
            About::track(row.participant, row.id),
        )
    }

    fn complete(&mut self, at: Timestamp, duration_s: u64) -> Result<(), StoreError> {
        let anybody: bool = self
            .db
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM participants INDEXED BY participants_live
                     WHERE room_id = ?1 AND ended_us IS NULL)",
            )?
            .query_row(params![self.room.id], |row| row.get(0))?;
        let ended = self.room.complete(at, anybody)?;
        self.db
            .prepare_cached(
                "UPDATE rooms SET status = 'completed', updated_us = ?2, ended_us = ?2,
                     duration_s = ?3
                 WHERE id = ?1",
            )?
            .execute(params![self.room.id, ended.0, signed(duration_s)])?;
        let about = About {
            duration_s: Some(duration_s),
            ..About::default()
        };
        self.tell(EventKind::RoomEnded, ended, at, about)
    }

    /// Writes the room's next event, and the callback that is due at `due`.
    fn tell(&mut self, kind: EventKind, at: Timestamp, due: Timestamp, about: About) -> Result<(), StoreError> {
        let event = self.room.event(kind, at, about);
        event::append(self.db, &event, self.room.calls_back.then_some(due))
    }

    fn participant(&self, participant: ParticipantSid) -> Result<Participant, StoreError> {
        self.db
            .prepare_cached("SELECT id, status, created_us FROM participants WHERE sid = ?1 AND room_id = ?2")?
            .query_row(params![participant.as_bytes(), self.room.id], |row| {
                Ok(Participant {
                    id: row.get("id")?,
                    status: row::word(row, "status", ParticipantStatus::from_word)?,
                    created: row::time(row, "created_us")?,
                })
            })
            .optional()?
            .ok_or_else(Participant::missing)
    }

    fn live_participant(&self, participant: ParticipantSid) -> Result<Participant, StoreError> {
        self.participant(participant)?.live()
    }

    fn track(&self, participant: ParticipantSid, track: TrackSid) -> Result<PublishedTrack, StoreError> {
        self.db
            .prepare_cached(
                "SELECT t.id, t.participant_id, t.enabled, t.ended_us IS NOT NULL AS ended,
                     t.created_us
                 FROM tracks AS t JOIN participants AS p ON p.id = t.participant_id
                 WHERE t.sid = ?1 AND p.sid = ?2 AND p.room_id = ?3",
            )?
            .query_row(params![track.as_bytes(), participant.as_bytes(), self.room.id], |row| {
                Ok(PublishedTrack {
                    id: row.get("id")?,
                    participant: row.get("participant_id")?,
                    enabled: row.get("enabled")?,
                    ended: row.get("ended")?,
                    created: row::time(row, "created_us")?,
                })
            })
            .optional()?
            .ok_or_else(PublishedTrack::missing)
    }

    fn live_track(&self, participant: ParticipantSid, track: TrackSid) -> Result<PublishedTrack, StoreError> {
        self.track(participant, track)?.live()
    }
}
