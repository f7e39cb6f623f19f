//! Participants: finding and listing them.

use room::{AccountSid, ParticipantSid, ParticipantStatus, RoomSid, RoomStatus};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::connection::Connection;
use super::page::{List, page};
use super::room_row;
use super::row::{self, Sid, text};
use crate::page::Created;
use crate::{Page, PageRequest, ParticipantFilter, ParticipantRow, ParticipantsOf, Position, RoomKey, StoreError};

/// Columns that a [`ParticipantRow`] is read from; they stand first.
pub(super) const COLUMNS: &str = "sid, identity, status, created_us, updated_us, ended_us, duration_s";

/// The room of `$1`, the account of `$2`.
pub(super) const OF_ROOM: &str = "room_id = (SELECT r.id FROM rooms AS r WHERE r.sid = $1
     AND r.account_id = (SELECT a.id FROM accounts AS a WHERE a.sid = $2))";

pub(super) async fn fetch(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    participant: ParticipantSid,
) -> Result<Option<ParticipantRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM participants WHERE sid = $3 AND {OF_ROOM}");
    let sids = (
        Sid(*room.as_bytes()),
        Sid(*account.as_bytes()),
        Sid(*participant.as_bytes()),
    );
    let found = db.query_opt(&sql, &[&sids.0, &sids.1, &sids.2]).await?;
    found.map(|row| read(&row, account, room)).transpose()
}

pub(super) async fn live(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    identity: &str,
) -> Result<Option<ParticipantRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM participants WHERE {OF_ROOM} AND identity = $3 AND ended_us IS NULL");
    let sids = (Sid(*room.as_bytes()), Sid(*account.as_bytes()));
    let found = db.query_opt(&sql, &[&sids.0, &sids.1, &text(identity)]).await?;
    found.map(|row| read(&row, account, room)).transpose()
}

pub(super) async fn list(
    db: &Connection,
    account: AccountSid,
    room: RoomSid,
    filter: &ParticipantFilter,
    request: PageRequest,
) -> Result<Page<ParticipantRow>, StoreError> {
    // No row has this id: the list of an unknown room is empty.
    let room_id = room_row::id(db, account, room).await?.unwrap_or(-1);
    list_in(db, account, (room_id, room), filter, request).await
}

pub(super) async fn list_of(
    db: &Connection,
    account: AccountSid,
    room: &RoomKey,
    mut filter: ParticipantFilter,
    otherwise: fn(RoomStatus) -> ParticipantStatus,
    request: PageRequest,
) -> Result<Option<ParticipantsOf>, StoreError> {
    let Some((room_id, room, state)) = room_row::find(db, account, room).await? else {
        return Ok(None);
    };
    let status = filter.status.unwrap_or_else(|| otherwise(state));
    filter.status = Some(status);
    let page = list_in(db, account, (room_id, room), &filter, request).await?;
    Ok(Some(ParticipantsOf { room, status, page }))
}

/// Of a room by its row.
async fn list_in(
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
    let identity = filter.identity.as_deref().map(text);
    let scan = scan(filter.status, identity.is_some());
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&room_id];
    if let Some(identity) = &identity {
        parameters.push(identity);
    }
    if scan.by_status {
        parameters.push(&status);
    }
    let list = List {
        columns: COLUMNS,
        source: scan.source,
        matching: scan.matching,
        parameters: &parameters,
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
    .await
}

/// Where the rows of a filter come from in order, and what is left to be checked on each.
struct Scan {
    source: &'static str,
    matching: &'static str,
    by_status: bool,
}

/// What is checked fails at most once for each live participant, so that the work of a page is
/// bounded by its size plus those: live ones come from indexes of live ones, and the disconnected
/// are what is left of all when the live are skipped.
fn scan(status: Option<ParticipantStatus>, by_identity: bool) -> Scan {
    use ParticipantStatus::{Connected, Disconnected, Reconnecting};
    let (source, matching, by_status) = match (status, by_identity) {
        (None, false) => ("participants", "room_id = $6", false),
        (None, true) => ("participants", "room_id = $6 AND identity = $7", false),
        (Some(Disconnected), false) => ("participants", "room_id = $6 AND ended_us IS NOT NULL", false),
        (Some(Disconnected), true) => (
            "participants",
            "room_id = $6 AND identity = $7 AND ended_us IS NOT NULL",
            false,
        ),
        (Some(Connected | Reconnecting), false) => (
            "participants",
            "room_id = $6 AND ended_us IS NULL AND status = $7",
            true,
        ),
        // One row at most: found first, then held against the rest.
        (Some(Connected | Reconnecting), true) => (
            "(SELECT * FROM participants WHERE room_id = $6 AND identity = $7 AND ended_us IS NULL LIMIT 1) AS live",
            "status = $8",
            true,
        ),
    };
    Scan {
        source,
        matching,
        by_status,
    }
}

pub(super) fn read(row: &Row, account: AccountSid, room: RoomSid) -> Result<ParticipantRow, StoreError> {
    Ok(ParticipantRow {
        sid: row::sid(row, 0, ParticipantSid::from_bytes)?,
        room,
        account,
        identity: row::get(row, 1)?,
        status: row::word(row, 2, ParticipantStatus::from_word)?,
        created: row::time(row, 3)?,
        updated: row::time(row, 4)?,
        ended: row::time_or_null(row, 5)?,
        duration_s: row::count_or_null(row, 6)?,
    })
}
