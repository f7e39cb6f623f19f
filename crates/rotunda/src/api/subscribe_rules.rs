//! Subscribe rules of a participant: fetch, replace (rest.md section 12).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::rest::SubscribeRulesResource;
use protocol::rules::{self, InvalidRules, ShownRules};
use room::ParticipantStatus;
use store::{ParticipantRow, SubscribeRulesRow};

use super::actor::Actor;
use super::error::ApiError;
use super::limits::REASON_CHARS_MAX;
use super::params::Form;
use super::path::ParticipantOf;
use crate::app::App;

/// `GET …/SubscribeRules`: of one who left, those it had last.
pub(super) async fn fetch(
    State(app): State<App>,
    ParticipantOf { participant, path }: ParticipantOf,
) -> Result<Json<SubscribeRulesResource>, ApiError> {
    let (account, room) = (participant.account, participant.room);
    let row = app.store.subscribe_rules(account, room, participant.sid).await?;
    let row = row.ok_or_else(|| ApiError::not_found(&path))?;
    Ok(Json(resource(&participant, row)))
}

/// `POST …/SubscribeRules`: replaces the whole list of one who is there, connected or reconnecting. Who left has none to
/// replace, by SID as by identity.
pub(super) async fn replace(
    State(app): State<App>,
    ParticipantOf { participant, path }: ParticipantOf,
    actor: Actor,
    Form(params): Form,
) -> Result<Json<SubscribeRulesResource>, ApiError> {
    if participant.status == ParticipantStatus::Disconnected {
        return Err(ApiError::not_found(&path));
    }
    let text = params.text("Rules")?.ok_or(ApiError::Missing("Rules"))?;
    let rules = rules::read(text).map_err(|invalid| refusal(&invalid))?;
    let (account, room, sid) = (participant.account, participant.room, participant.sid);
    let status = StatusCode::OK.as_u16();
    let by = actor.audit(account, "replace-subscribe-rules", room, Some(sid), status);
    let row = app.rooms.replace_rules(account, room, sid, rules, Some(by)).await;
    let row = row.map_err(|error| ApiError::of_rooms(error, &path))?;
    Ok(Json(resource(&participant, row)))
}

/// The reason may quote what was sent.
fn refusal(invalid: &InvalidRules) -> ApiError {
    ApiError::SubscribeRules(invalid.to_string().chars().take(REASON_CHARS_MAX).collect())
}

fn resource(participant: &ParticipantRow, row: SubscribeRulesRow) -> SubscribeRulesResource {
    SubscribeRulesResource {
        participant_sid: participant.sid,
        room_sid: participant.room,
        rules: ShownRules(row.rules),
        date_created: row.created.into(),
        date_updated: row.updated.unwrap_or(row.created).into(),
    }
}
