//! Tracks: what a participant publishes, and what it receives of the others (rest.md sections 10 and 11).

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use protocol::rest::{PublishedTrackPage, SubscribedTrackPage, TrackResource};
use room::{ParticipantSid, TrackSid};
use store::{Page, PageRequest, ParticipantRow, Position, TrackKey, TrackRow};

use super::base_url::BaseUrl;
use super::error::{ApiError, Fault};
use super::json;
use super::page::{Filters, List, PageQuery, PageUrls};
use super::params::{Params, Query};
use super::path::{ParticipantOf, RequestPath};
use crate::app::App;

/// `GET …/PublishedTracks`: those of now. Who left has none.
pub(super) async fn list_published(
    State(app): State<App>,
    base: BaseUrl,
    ParticipantOf { participant, path }: ParticipantOf,
    Query(params): Query,
) -> Result<Response, ApiError> {
    let scope = Scope::of(&app, &params, &participant, List::PublishedTracks(participant.sid))?;
    let (account, room, sid) = (participant.account, participant.room, participant.sid);
    let request = scope.query.request();
    let page = app.store.published_tracks(account, room, sid, request).await?;
    let meta = scope.urls(&app, &base, &path).meta("published_tracks", &page, position);
    let published_tracks: Vec<_> = page.rows.into_iter().map(|row| published(row, &base)).collect();
    let rows = published_tracks.len();
    Ok(json::page(&PublishedTrackPage { published_tracks, meta }, rows))
}

/// `GET …/PublishedTracks/{Track}`: by SID or name.
pub(super) async fn fetch_published(
    State(app): State<App>,
    base: BaseUrl,
    ParticipantOf { participant, path }: ParticipantOf,
) -> Result<Json<TrackResource>, ApiError> {
    let segment = path.track()?;
    let key = segment.parse().map_or(TrackKey::Name(segment), TrackKey::Sid);
    let (account, room) = (participant.account, participant.room);
    let found = app.store.published_track(account, room, participant.sid, key).await?;
    let row = found.ok_or_else(|| ApiError::not_found(&path))?;
    Ok(Json(published(row, &base)))
}

/// `GET …/SubscribedTracks`: what the live room has it receive, also while it is reconnecting. Who left has none.
pub(super) async fn list_subscribed(
    State(app): State<App>,
    base: BaseUrl,
    ParticipantOf { participant, path }: ParticipantOf,
    Query(params): Query,
) -> Result<Response, ApiError> {
    let scope = Scope::of(&app, &params, &participant, List::SubscribedTracks(participant.sid))?;
    let (account, room, subscriber) = (participant.account, participant.room, participant.sid);
    let tracks = app.rooms.subscriptions(account, room, subscriber).await;
    let tracks = tracks.map_err(|error| ApiError::of_rooms(error, &path))?;
    let rows = app.store.tracks(account, room, tracks).await?;
    let page = cut(rows, scope.query.request());
    let meta = scope
        .urls(&app, &base, &path)
        .meta("subscribed_tracks", &page, position);
    let subscribed_tracks: Vec<_> = page
        .rows
        .into_iter()
        .map(|row| subscribed(row, subscriber, &base))
        .collect();
    let rows = subscribed_tracks.len();
    Ok(json::page(
        &SubscribedTrackPage {
            subscribed_tracks,
            meta,
        },
        rows,
    ))
}

/// `GET …/SubscribedTracks/{TrackSid}`: by SID alone, since names are not unique here.
pub(super) async fn fetch_subscribed(
    State(app): State<App>,
    base: BaseUrl,
    ParticipantOf { participant, path }: ParticipantOf,
) -> Result<Json<TrackResource>, ApiError> {
    let not_found = || ApiError::not_found(&path);
    let wanted: TrackSid = path.track()?.parse().map_err(|_| not_found())?;
    let (account, room, subscriber) = (participant.account, participant.room, participant.sid);
    let tracks = app.rooms.subscriptions(account, room, subscriber).await;
    let tracks = tracks.map_err(|error| ApiError::of_rooms(error, &path))?;
    if !tracks.contains(&wanted) {
        return Err(not_found());
    }
    let mut rows = app.store.tracks(account, room, vec![wanted]).await?;
    let row = rows.pop().ok_or_else(not_found)?;
    Ok(Json(subscribed(row, subscriber, &base)))
}

/// The list of one participant's tracks that a request is about.
struct Scope<'a> {
    participant: &'a ParticipantRow,
    list: List,
    query: PageQuery,
    filters: Filters,
}

impl<'a> Scope<'a> {
    fn of(app: &App, params: &Params, participant: &'a ParticipantRow, list: List) -> Result<Self, ApiError> {
        let query = PageQuery::read(params, &app.page_key, participant.account)?;
        match &query.cursor {
            Some((_, cursor)) if cursor.list != list => Err(Fault::PageToken.into()),
            _ => Ok(Self {
                participant,
                list,
                query,
                filters: Filters::new(),
            }),
        }
    }

    fn urls<'b>(&'b self, app: &'b App, base: &'b BaseUrl, path: &'b RequestPath) -> PageUrls<'b> {
        PageUrls {
            base,
            path,
            query: &self.query,
            account: self.participant.account,
            list: self.list,
            filters: &self.filters,
            status: "",
            key: &app.page_key,
        }
    }
}

/// The page of all rows, newest first, that is asked for.
fn cut(mut rows: Vec<TrackRow>, request: PageRequest) -> Page<TrackRow> {
    let size = request.size as usize;
    let key = |position: Position| (position.created, position.sid);
    let from = request.from.map(key);
    let (first, end) = if request.backwards {
        let end = from.map_or(0, |from| rows.partition_point(|row| key(position(row)) > from));
        (end.saturating_sub(size), end)
    } else {
        let first = from.map_or(0, |from| rows.partition_point(|row| key(position(row)) >= from));
        (first, first.saturating_add(size).min(rows.len()))
    };
    let has_next = end < rows.len();
    rows.truncate(end);
    Page {
        rows: rows.split_off(first),
        has_previous: first > 0,
        has_next,
    }
}

fn position(row: &TrackRow) -> Position {
    Position {
        created: row.created,
        sid: *row.sid.as_bytes(),
    }
}

fn published(row: TrackRow, base: &BaseUrl) -> TrackResource {
    let url = format!(
        "{}/PublishedTracks/{}",
        base.participant(row.room, row.publisher),
        row.sid
    );
    TrackResource {
        participant_sid: row.publisher,
        publisher_sid: None,
        ..resource(row, url)
    }
}

fn subscribed(row: TrackRow, subscriber: ParticipantSid, base: &BaseUrl) -> TrackResource {
    let url = format!(
        "{}/SubscribedTracks/{}",
        base.participant(row.room, subscriber),
        row.sid
    );
    TrackResource {
        participant_sid: subscriber,
        publisher_sid: Some(row.publisher),
        ..resource(row, url)
    }
}

fn resource(row: TrackRow, url: String) -> TrackResource {
    TrackResource {
        sid: row.sid,
        participant_sid: row.publisher,
        publisher_sid: None,
        room_sid: row.room,
        name: row.name,
        date_created: row.created.into(),
        date_updated: row.updated.map(Into::into),
        enabled: row.enabled,
        kind: row.kind.as_str(),
        url,
    }
}

#[cfg(test)]
mod tests {
    use room::{Priority, RoomSid, Timestamp, TrackKind};

    use super::*;

    fn row(number: u8) -> TrackRow {
        TrackRow {
            sid: TrackSid::from_bytes([number; 16]),
            publisher: ParticipantSid::from_bytes([1; 16]),
            room: RoomSid::from_bytes([2; 16]),
            name: number.to_string(),
            kind: TrackKind::Audio,
            enabled: true,
            priority: Priority::Standard,
            // Some of one moment.
            created: Timestamp(i64::from(number / 3)),
            updated: None,
        }
    }

    #[test]
    fn a_page_is_cut_from_either_side_of_a_row_that_may_be_gone() {
        let all = [9, 8, 6, 5, 4, 2];
        let check = |from: Option<u8>, backwards, expected: &[u8], around| {
            let request = PageRequest {
                size: 2,
                from: from.map(|number| position(&row(number))),
                backwards,
            };
            let page = cut(all.map(row).to_vec(), request);
            let numbers: Vec<u8> = page.rows.iter().map(|row| row.sid.as_bytes()[0]).collect();
            assert_eq!(numbers, expected, "{from:?} {backwards}");
            assert_eq!((page.has_previous, page.has_next), around, "{from:?} {backwards}");
        };
        check(None, false, &[9, 8], (false, true));
        check(Some(8), false, &[6, 5], (true, true));
        check(Some(7), false, &[6, 5], (true, true));
        check(Some(5), false, &[4, 2], (true, false));
        check(Some(2), false, &[], (true, false));
        check(Some(2), true, &[5, 4], (true, true));
        check(Some(6), true, &[9, 8], (false, true));
        check(Some(7), true, &[9, 8], (false, true));
        check(Some(8), true, &[9], (false, true));
        check(Some(9), true, &[], (false, true));
    }
}
