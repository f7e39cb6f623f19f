//! Tracks and who receives them (rest.md sections 10 to 12).

use room::{ParticipantSid, RoomSid, TrackSid};
use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::text::Text;
use super::{Date, schema};
use crate::rules::ShownRules;

/// A track that is published now, as its publisher or as one who receives it has it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(rename = "video.v1.room.room_participant.room_participant_subscribed_track")]
pub struct TrackResource {
    /// `MT…`
    #[schemars(with = "schema::TrackSid")]
    pub sid: TrackSid,
    /// Of a published track who publishes it, of a subscribed one who receives it.
    #[schemars(with = "schema::ParticipantSid")]
    pub participant_sid: ParticipantSid,
    /// Of a subscribed track alone: who publishes it.
    #[schemars(with = "schema::ParticipantSid")]
    pub publisher_sid: Option<ParticipantSid>,
    /// `RM…`
    #[schemars(with = "schema::RoomSid")]
    pub room_sid: RoomSid,
    /// Its name.
    pub name: String,
    /// When it was published.
    pub date_created: Date,
    /// When it was muted, unmuted or ranked last.
    pub date_updated: Option<Date>,
    /// False while muted.
    pub enabled: bool,
    /// `audio`, `video` or `data`.
    #[schemars(with = "schema::TrackKind")]
    pub kind: &'static str,
    /// The absolute address of this resource, made of SIDs.
    #[schemars(with = "schema::Url")]
    pub url: String,
}

impl Serialize for TrackResource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = 9 + usize::from(self.publisher_sid.is_some());
        let mut resource = serializer.serialize_struct("TrackResource", members)?;
        resource.serialize_field("sid", &Text(self.sid))?;
        resource.serialize_field("participant_sid", &Text(self.participant_sid))?;
        if let Some(publisher) = self.publisher_sid {
            resource.serialize_field("publisher_sid", &Text(publisher))?;
        }
        resource.serialize_field("room_sid", &Text(self.room_sid))?;
        resource.serialize_field("name", &self.name)?;
        resource.serialize_field("date_created", &self.date_created)?;
        resource.serialize_field("date_updated", &self.date_updated)?;
        resource.serialize_field("enabled", &self.enabled)?;
        resource.serialize_field("kind", self.kind)?;
        resource.serialize_field("url", &self.url)?;
        resource.end()
    }
}

/// The schema of a published track: that of [`TrackResource`] without a member `publisher_sid`.
pub struct PublishedTrack;

impl JsonSchema for PublishedTrack {
    fn schema_name() -> Cow<'static, str> {
        "video.v1.room.room_participant.room_participant_published_track".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = TrackResource::json_schema(generator);
        schema::leave_out(&mut schema, "publisher_sid");
        schema
    }
}

/// What a participant receives, by rules.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(rename = "video.v1.room.room_participant.room_participant_subscribe_rule")]
pub struct SubscribeRulesResource {
    /// Whose.
    #[schemars(with = "schema::ParticipantSid")]
    pub participant_sid: ParticipantSid,
    /// `RM…`
    #[schemars(with = "schema::RoomSid")]
    pub room_sid: RoomSid,
    /// All of them, in order.
    #[schemars(with = "schema::SubscribeRules")]
    pub rules: ShownRules,
    /// When the participant connected.
    pub date_created: Date,
    /// When the rules were replaced last, else as `date_created`.
    pub date_updated: Date,
}

impl Serialize for SubscribeRulesResource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut resource = serializer.serialize_struct("SubscribeRulesResource", 5)?;
        resource.serialize_field("participant_sid", &Text(self.participant_sid))?;
        resource.serialize_field("room_sid", &Text(self.room_sid))?;
        resource.serialize_field("rules", &self.rules)?;
        resource.serialize_field("date_created", &self.date_created)?;
        resource.serialize_field("date_updated", &self.date_updated)?;
        resource.end()
    }
}
