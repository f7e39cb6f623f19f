//! Rooms: create, fetch, list, complete (rest.md section 8).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::rest::{RoomLinks, RoomPage, RoomResource};
use room::{RoomStatus, RoomType};
use store::{CallbackMethod, Page, Position, RoomFilter, RoomRow};

use super::actor::Actor;
use super::auth::Caller;
use super::base_url::BaseUrl;
use super::date::Moment;
use super::error::{ApiError, Fault};
use super::limits::MAX_CONCURRENT_PUBLISHED_TRACKS;
use super::page::{Filters, List, PageQuery, PageUrls};
use super::params::{Form, Params, Query};
use super::path::{RequestPath, RoomOf};
use super::room_creation::new_room;
use crate::app::App;

/// `POST /v1/Rooms`
pub(super) async fn create(
    State(app): State<App>,
    Caller(account): Caller,
    actor: Actor,
    base: BaseUrl,
    path: RequestPath,
    Form(params): Form,
) -> Result<(StatusCode, Json<RoomResource>), ApiError> {
    let room = new_room(&params, &app.settings.rooms)?;
    let by = actor.audit(account, "create-room", room.sid, None, StatusCode::CREATED.as_u16());
    let row = app
        .rooms
        .create_audited(account, room, Some(by))
        .await
        .map_err(|error| ApiError::of_rooms(error, &path))?;
    Ok((StatusCode::CREATED, Json(resource(&row, &base))))
}

/// `GET /v1/Rooms/{Room}`
pub(super) async fn fetch(base: BaseUrl, RoomOf { room, .. }: RoomOf) -> Json<RoomResource> {
    Json(resource(&room, &base))
}

/// `POST /v1/Rooms/{Room}`: `Status=completed` is the only change there is.
pub(super) async fn update(
    State(app): State<App>,
    base: BaseUrl,
    RoomOf { room, path }: RoomOf,
    actor: Actor,
    Form(params): Form,
) -> Result<(StatusCode, Json<RoomResource>), ApiError> {
    let status = params.text("Status")?.ok_or(ApiError::Missing("Status"))?;
    if status != RoomStatus::Completed.as_str() || room.status == RoomStatus::Completed {
        return Err(Fault::RoomStatus.into());
    }
    let (account, sid) = (room.account, room.new.sid);
    let by = actor.audit(account, "complete-room", sid, None, StatusCode::ACCEPTED.as_u16());
    let row = app.rooms.complete_audited(account, sid, Some(by)).await;
    let row = row.map_err(|error| ApiError::of_rooms(error, &path))?;
    Ok((StatusCode::ACCEPTED, Json(resource(&row, &base))))
}

/// `GET /v1/Rooms`: those in progress, unless another status is asked for.
pub(super) async fn list(
    State(app): State<App>,
    Caller(account): Caller,
    base: BaseUrl,
    path: RequestPath,
    Query(params): Query,
) -> Result<Json<RoomPage>, ApiError> {
    let given = filters(&params)?;
    // Before the token is opened: a value that is wrong by itself is told first.
    read(&given)?;
    let query = PageQuery::read(&params, &app.page_key, account)?;
    let filters = match &query.cursor {
        None => given,
        Some((_, cursor)) if cursor.list == List::Rooms && cursor.agrees_with(&given) => cursor.filters.clone(),
        Some(_) => return Err(Fault::PageToken.into()),
    };
    let page = match read(&filters)? {
        Some(filter) => app.store.rooms(account, filter, query.request()).await?,
        None => Page {
            rows: Vec::new(),
            has_previous: false,
            has_next: false,
        },
    };
    let (list, key) = (List::Rooms, &app.page_key);
    let urls = PageUrls {
        base: &base,
        path: &path,
        query: &query,
        account,
        list,
        filters: &filters,
        status: "",
        key,
    };
    let meta = urls.meta("rooms", &page, |row| Position {
        created: row.new.at,
        sid: *row.new.sid.as_bytes(),
    });
    let rooms = page.rows.iter().map(|row| resource(row, &base)).collect();
    Ok(Json(RoomPage { rooms, meta }))
}

/// The filters that were given, in the order of the URLs.
fn filters(params: &Params) -> Result<Filters, ApiError> {
    let mut filters = Filters::new();
    for name in ["Status", "DateCreatedAfter", "DateCreatedBefore", "UniqueName"] {
        filters.extend(params.text(name)?.map(|value| (name.to_owned(), value.to_owned())));
    }
    Ok(filters)
}

/// What the filters mean; `None`: nothing can match, since no room ever is `failed`.
fn read(filters: &Filters) -> Result<Option<RoomFilter>, ApiError> {
    let mut filter = RoomFilter {
        status: RoomStatus::InProgress,
        unique_name: None,
        created_from_s: None,
        created_before_s: None,
    };
    let mut possible = true;
    for (name, value) in filters {
        match name.as_str() {
            "Status" if value == "failed" => possible = false,
            "Status" => filter.status = RoomStatus::from_word(value).ok_or(UNKNOWN_STATUS)?,
            "UniqueName" => filter.unique_name = Some(value.clone()),
            // "On or after", and "before" (rest.md section 5.1).
            "DateCreatedAfter" => filter.created_from_s = Some(Moment::read("DateCreatedAfter", value)?.ceil_s()),
            _ => filter.created_before_s = Some(Moment::read("DateCreatedBefore", value)?.ceil_s()),
        }
    }
    Ok(possible.then_some(filter))
}

const UNKNOWN_STATUS: ApiError = ApiError::Invalid {
    name: "Status",
    why: "it is none of in-progress, completed, failed",
};

/// The resource of a row.
fn resource(row: &RoomRow, base: &BaseUrl) -> RoomResource {
    let sid = row.new.sid;
    let url = base.room(sid);
    RoomResource {
        sid: sid.to_string(),
        status: row.status.as_str(),
        date_created: row.new.at.into(),
        date_updated: row.updated.into(),
        account_sid: row.account.to_string(),
        enable_turn: true,
        unique_name: row.new.unique_name.clone().unwrap_or_else(|| sid.to_string()),
        status_callback: row.new.status_callback.clone(),
        status_callback_method: match row.new.status_callback_method {
            CallbackMethod::Get => "GET",
            CallbackMethod::Post => "POST",
        },
        end_time: row.ended.map(Into::into),
        duration: row.duration_s,
        kind: row.new.kind.as_str(),
        max_participants: row.new.max_participants,
        max_participant_duration: row.new.max_participant_duration_s,
        max_concurrent_published_tracks: Some(match row.new.kind {
            RoomType::Group | RoomType::GroupSmall => MAX_CONCURRENT_PUBLISHED_TRACKS,
            RoomType::Go | RoomType::PeerToPeer => 0,
        }),
        record_participants_on_connect: false,
        video_codecs: row.new.video_codecs.clone(),
        media_region: row.new.media_region.clone(),
        audio_only: row.new.audio_only,
        empty_room_timeout: row.new.empty_room_timeout_min,
        unused_room_timeout: row.new.unused_room_timeout_min,
        large_room: row.new.large_room,
        links: RoomLinks::of(&url),
        url,
    }
}
