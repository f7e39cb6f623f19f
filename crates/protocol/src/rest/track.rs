//! Tracks and who receives them (rest.md sections 10 to 12).

use room::{ParticipantSid, RoomSid, TrackSid};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::Date;
use super::text::Text;
use crate::rules::ShownRules;

/// A track that is published now, as its publisher or as one who receives it has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackResource {
    /// `MT…`
    pub sid: TrackSid,
    /// Of a published track who publishes it, of a subscribed one who receives it.
    pub participant_sid: ParticipantSid,
    /// Of a subscribed track alone: who publishes it.
    pub publisher_sid: Option<ParticipantSid>,
    /// `RM…`
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
    pub kind: &'static str,
    /// The absolute address of this resource, made of SIDs.
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

/// What a participant receives, by rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeRulesResource {
    /// Whose.
    pub participant_sid: ParticipantSid,
    /// `RM…`
    pub room_sid: RoomSid,
    /// All of them, in order.
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
