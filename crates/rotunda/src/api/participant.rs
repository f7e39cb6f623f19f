//! Participants of a room: list, fetch, disconnect, anonymize (rest.md section 9).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use protocol::rest::{AnonymizedResource, ParticipantPage, ParticipantResource};
use room::{ParticipantStatus, RoomSid, RoomStatus};
use store::{ParticipantFilter, ParticipantRow, Position};

use super::actor::Actor;
use super::auth::Caller;
use super::base_url::BaseUrl;
use super::date::Moment;
use super::error::{ApiError, Fault};
use super::json;
use super::page::{Cursor, Filters, List, PageQuery, PageUrls};
use super::params::{Form, Params, Query};
use super::path::{ParticipantOf, RequestPath};
use crate::app::App;

/// `GET /v1/Rooms/{Room}/Participants/{Participant}`
pub(super) async fn fetch(base: BaseUrl, found: ParticipantOf) -> Json<ParticipantResource> {
    Json(resource(found.participant, &base))
}

/// `POST /v1/Rooms/{Room}/Participants/{Participant}`: `Status=disconnected` is the only change
/// there is. One who is gone already stays as it is.
pub(super) async fn update(
    State(app): State<App>,
    base: BaseUrl,
    ParticipantOf { participant, path }: ParticipantOf,
    actor: Actor,
    Form(params): Form,
) -> Result<(StatusCode, Json<ParticipantResource>), ApiError> {
    let status = params.text("Status")?.ok_or(ApiError::Missing("Status"))?;
    if status != ParticipantStatus::Disconnected.as_str() {
        return Err(Fault::ParticipantStatus.into());
    }
    let row = match participant.status {
        ParticipantStatus::Disconnected => participant,
        ParticipantStatus::Connected | ParticipantStatus::Reconnecting => {
            let (account, room, sid) = (participant.account, participant.room, participant.sid);
            let status = StatusCode::ACCEPTED.as_u16();
            let by = actor.audit(account, "disconnect-participant", room, Some(sid), status);
            let row = app.rooms.disconnect_audited(account, room, sid, Some(by)).await;
            row.map_err(|error| ApiError::of_rooms(error, &path))?
        }
    };
    Ok((StatusCode::ACCEPTED, Json(resource(row, &base))))
}

/// `POST /v1/Rooms/{Room}/Participants/{Participant}/Anonymize`: erases the identity, in any state. Nothing of it is left in
/// the database's files when this is answered. Repeating changes nothing.
pub(super) async fn anonymize(
    State(app): State<App>,
    base: BaseUrl,
    ParticipantOf { participant, path }: ParticipantOf,
    actor: Actor,
) -> Result<Json<AnonymizedResource>, ApiError> {
    let (account, room, sid) = (participant.account, participant.room, participant.sid);
    let by = actor.audit(
        account,
        "anonymize-participant",
        room,
        Some(sid),
        StatusCode::OK.as_u16(),
    );
    let row = app.rooms.anonymize_audited(account, room, sid, Some(by)).await;
    let row = row.map_err(|error| ApiError::of_rooms(error, &path))?;
    let mut resource = resource(row, &base);
    // The schema of this answer has no word for one whose connection is lost for the moment.
    if resource.status == ParticipantStatus::Reconnecting.as_str() {
        resource.status = ParticipantStatus::Connected.as_str();
    }
    Ok(Json(AnonymizedResource(resource)))
}

/// `GET /v1/Rooms/{Room}/Participants`: of a room in progress those connected, of a completed one
/// those disconnected, unless another status is asked for.
pub(super) async fn list(
    State(app): State<App>,
    Caller(account): Caller,
    base: BaseUrl,
    path: RequestPath,
    Query(params): Query,
) -> Result<Response, ApiError> {
    let given = filters(&params)?;
    // Before anything is looked up: a value that is wrong by itself is told first.
    read(&given)?;
    let query = PageQuery::read(&params, &app.page_key, account)?;
    let request = query.request();
    let (scope, page) = match &query.cursor {
        None => {
            let (key, filter) = (path.room_key()?, read(&given)?);
            let found = app.store.participants_of(account, key, filter, usual_status, request);
            let found = found.await?.ok_or_else(|| ApiError::not_found(&path))?;
            let scope = Scope {
                room: found.room,
                filters: given,
                status: found.status,
            };
            (scope, found.page)
        }
        Some((_, cursor)) => {
            let scope = Scope::continued(&app, &path, cursor, &given).await?;
            let filter = ParticipantFilter {
                status: Some(scope.status),
                ..read(&scope.filters)?
            };
            let page = app.store.participants(account, scope.room, filter, request).await?;
            (scope, page)
        }
    };
    let Scope { room, filters, status } = scope;
    let (list, status, key) = (List::Participants(room), status.as_str(), &app.page_key);
    let urls = PageUrls {
        base: &base,
        path: &path,
        query: &query,
        account,
        list,
        filters: &filters,
        status,
        key,
    };
    let meta = urls.meta("participants", &page, |row| Position {
        created: row.created,
        sid: *row.sid.as_bytes(),
    });
    let participants: Vec<_> = page.rows.into_iter().map(|row| resource(row, &base)).collect();
    let rows = participants.len();
    Ok(json::page(&ParticipantPage { participants, meta }, rows))
}

/// What is listed of a room unless another status is asked for.
fn usual_status(room: RoomStatus) -> ParticipantStatus {
    match room {
        RoomStatus::InProgress => ParticipantStatus::Connected,
        RoomStatus::Completed => ParticipantStatus::Disconnected,
    }
}

/// Which rows are listed: those of a room, with the filters as given and the status in effect.
struct Scope {
    room: RoomSid,
    filters: Filters,
    status: ParticipantStatus,
}

impl Scope {
    /// Of a later page: everything comes from the token. The path must only name the token's room,
    /// as it does now or did before.
    async fn continued(app: &App, path: &RequestPath, cursor: &Cursor, given: &Filters) -> Result<Self, ApiError> {
        let List::Participants(room) = cursor.list else {
            return Err(Fault::PageToken.into());
        };
        let segment = path.room()?;
        let named = match segment.parse::<RoomSid>() {
            Ok(sid) => sid == room,
            Err(_) => {
                let row = app.store.room(cursor.account, room).await?;
                // A room that retention took meanwhile has no rows left: the pages end well.
                row.is_none_or(|row| row.new.unique_name.as_deref() == Some(&*segment))
            }
        };
        let status = ParticipantStatus::from_word(&cursor.status);
        match status {
            Some(status) if named && cursor.agrees_with(given) => Ok(Self {
                room,
                filters: cursor.filters.clone(),
                status,
            }),
            _ => Err(Fault::PageToken.into()),
        }
    }
}

/// The filters that were given, in the order of the URLs.
fn filters(params: &Params) -> Result<Filters, ApiError> {
    let mut filters = Filters::new();
    for name in ["Status", "DateCreatedAfter", "DateCreatedBefore", "Identity"] {
        filters.extend(params.text(name)?.map(|value| (name.to_owned(), value.to_owned())));
    }
    Ok(filters)
}

/// What the filters mean.
fn read(filters: &Filters) -> Result<ParticipantFilter, ApiError> {
    let mut filter = ParticipantFilter::default();
    for (name, value) in filters {
        match name.as_str() {
            "Status" => filter.status = Some(ParticipantStatus::from_word(value).ok_or(UNKNOWN_STATUS)?),
            "Identity" => filter.identity = Some(value.clone()),
            // Both are exclusive (rest.md 26.4).
            "DateCreatedAfter" => filter.created_after_s = Some(Moment::read("DateCreatedAfter", value)?.floor_s()),
            _ => filter.created_before_s = Some(Moment::read("DateCreatedBefore", value)?.ceil_s()),
        }
    }
    Ok(filter)
}

const UNKNOWN_STATUS: ApiError = ApiError::Invalid {
    name: "Status",
    why: "it is none of connected, disconnected, reconnecting",
};

/// The resource of a row.
fn resource(row: ParticipantRow, base: &BaseUrl) -> ParticipantResource {
    ParticipantResource {
        sid: row.sid,
        room_sid: row.room,
        account_sid: row.account,
        status: row.status.as_str(),
        identity: row.identity,
        date_created: row.created.into(),
        date_updated: row.updated.into(),
        start_time: row.created.into(),
        end_time: row.ended.map(Into::into),
        duration: row.duration_s,
        url: base.participant(row.room, row.sid),
    }
}
