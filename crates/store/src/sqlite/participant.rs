//! Participants: finding and listing them.

use room::{AccountSid, ParticipantSid, ParticipantStatus, RoomSid, RoomStatus};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::page::{List, page};
use super::{room_row, row};
use crate::page::Created;
use crate::{Page, PageRequest, ParticipantFilter, ParticipantRow, ParticipantsOf, Position, RoomKey, StoreError};

/// Columns that a [`ParticipantRow`] is read from; they stand first.
pub(super) const COLUMNS: &str = "sid, identity, status, created_us, updated_us, ended_us, duration_s";

pub(super) fn fetch(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    participant: ParticipantSid,
) -> Result<Option<ParticipantRow>, StoreError> {
    let Some(room_id) = room_row::id(db, account, room)? else {
        return Ok(None);
    };
    let sql = format!("SELECT {COLUMNS} FROM participants WHERE sid = ?1 AND room_id = ?2");
    let found = db
        .prepare_cached(&sql)?
        .query_row(params![participant.as_bytes(), room_id], |row| read(row, account, room))
        .optional()?;
    Ok(found)
}

pub(super) fn live(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    identity: &str,
) -> Result<Option<ParticipantRow>, StoreError> {
    let Some(room_id) = room_row::id(db, account, room)? else {
        return Ok(None);
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM participants INDEXED BY participants_live_identity
         WHERE room_id = ?1 AND identity = ?2 AND ended_us IS NULL"
    );
    let found = db
        .prepare_cached(&sql)?
        .query_row(params![room_id, identity], |row| read(row, account, room))
        .optional()?;
    Ok(found)
}

pub(super) fn list(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    filter: &ParticipantFilter,
    request: PageRequest,
) -> Result<Page<ParticipantRow>, StoreError> {
    // No row has this id: the list of an unknown room is empty.
    let room_id = room_row::id(db, account, room)?.unwrap_or(-1);
    list_in(db, account, (room_id, room), filter, request)
}

pub(super) fn list_of(
    db: &Connection,
    account: AccountSid,
    room: &RoomKey,
    mut filter: ParticipantFilter,
    otherwise: fn(RoomStatus) -> ParticipantStatus,
    request: PageRequest,
) -> Result<Option<ParticipantsOf>, StoreError> {
    let Some((room_id, room, state)) = room_row::find(db, account, room)? else {
        return Ok(None);
    };
    let status = filter.status.unwrap_or_else(|| otherwise(state));
    filter.status = Some(status);
    let page = list_in(db, account, (room_id, room), &filter, request)?;
    Ok(Some(ParticipantsOf { room, status, page }))
}

/// Of a room by its row.
fn list_in(
    db: &Connection,
    account: AccountSid,
    (room_id, room): (i64, RoomSid),
    filter: &ParticipantFilter,
    request: PageRequest,
) -> Result<Page<ParticipantRow>, StoreError> {
    let created = Created::seconds(
        filter.created_after_s.map(|second| i128::from(second) + 1),
        filter.created_before_s,
    );
    let status = filter.status.map(ParticipantStatus::as_str);
    let identity = filter.identity.as_deref();
    let (source, matching) = scan(filter.status, identity.is_some());
    let list = List {
        columns: COLUMNS,
        source,
        matching,
        parameters: [&room_id as &dyn ToSql, &identity, &status],
    };
    page(
        db,
        &list,
        created,
        request,
        |row| read(row, account, room),
        |row| Position {
            created: row.created,
            sid: *row.sid.as_bytes(),
        },
    )
}

/// Which index yields the rows of a filter in order, and what is left to be checked on each.
///
/// What is checked fails at most once for each live participant, so that the work of a page is
/// bounded by its size plus those: live ones come from indexes of live ones, and the disconnected
/// are what is left of all when the live are skipped.
fn scan(status: Option<ParticipantStatus>, by_identity: bool) -> (&'static str, &'static str) {
    use ParticipantStatus::{Connected, Disconnected, Reconnecting};
    match (status, by_identity) {
        (None, false) => ("participants INDEXED BY participants_listed", "room_id = ?1"),
        (None, true) => (
            "participants INDEXED BY participants_listed_by_identity",
            "room_id = ?1 AND identity = ?2",
        ),
        (Some(Disconnected), false) => (
            "participants INDEXED BY participants_listed",
            "room_id = ?1 AND ended_us IS NOT NULL",
        ),
        (Some(Disconnected), true) => (
            "participants INDEXED BY participants_listed_by_identity",
            "room_id = ?1 AND identity = ?2 AND ended_us IS NOT NULL",
        ),
        (Some(Connected | Reconnecting), false) => (
            "participants INDEXED BY participants_live",
            "room_id = ?1 AND ended_us IS NULL AND status = ?3",
        ),
        (Some(Connected | Reconnecting), true) => (
            "participants INDEXED BY participants_live_identity",
            "room_id = ?1 AND identity = ?2 AND ended_us IS NULL AND status = ?3",
        ),
    }
}

pub(super) fn read(row: &Row<'_>, account: AccountSid, room: RoomSid) -> rusqlite::Result<ParticipantRow> {
    Ok(ParticipantRow {
        sid: row::sid(row, 0, ParticipantSid::from_bytes)?,
        room,
        account,
        identity: row.get(1)?,
        status: row::word(row, 2, ParticipantStatus::from_word)?,
        created: row::time(row, 3)?,
        updated: row::time(row, 4)?,
        ended: row::time_or_null(row, 5)?,
        duration_s: row::count_or_null(row, 6)?,
    })
}
