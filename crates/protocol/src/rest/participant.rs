//! A participant (rest.md section 9.1).

use room::{AccountSid, ParticipantSid, RoomSid};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::Date;
use super::text::Text;

/// One stay of one identity in one room.
///
/// A page has up to a thousand of these, so what is derived is only made when it is written: the texts of
/// SIDs, and `links`, absolute addresses below `url` (`published_tracks`, `subscribed_tracks`,
/// `subscribe_rules`, `anonymize`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantResource {
    /// `PA…`
    pub sid: ParticipantSid,
    /// `RM…`
    pub room_sid: RoomSid,
    /// `AC…`
    pub account_sid: AccountSid,
    /// `connected`, `reconnecting` or `disconnected`.
    pub status: &'static str,
    /// From the access token.
    pub identity: String,
    /// When it connected.
    pub date_created: Date,
    /// When its state changed last.
    pub date_updated: Date,
    /// When it connected: the same as `date_created`.
    pub start_time: Date,
    /// When it was disconnected.
    pub end_time: Option<Date>,
    /// Whole seconds of its stay, cut, once it is disconnected.
    pub duration: Option<u64>,
    /// The absolute address of this resource, made of SIDs.
    pub url: String,
}

impl ParticipantResource {
    /// All members but addresses.
    fn members<S: SerializeStruct>(&self, resource: &mut S) -> Result<(), S::Error> {
        resource.serialize_field("sid", &Text(self.sid))?;
        resource.serialize_field("room_sid", &Text(self.room_sid))?;
        resource.serialize_field("account_sid", &Text(self.account_sid))?;
        resource.serialize_field("status", self.status)?;
        resource.serialize_field("identity", &self.identity)?;
        resource.serialize_field("date_created", &self.date_created)?;
        resource.serialize_field("date_updated", &self.date_updated)?;
        resource.serialize_field("start_time", &self.start_time)?;
        resource.serialize_field("end_time", &self.end_time)?;
        resource.serialize_field("duration", &self.duration)
    }
}

impl Serialize for ParticipantResource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut resource = serializer.serialize_struct("ParticipantResource", 12)?;
        self.members(&mut resource)?;
        resource.serialize_field("url", &self.url)?;
        resource.serialize_field("links", &Links { of: &self.url })?;
        resource.end()
    }
}

/// A participant whose identity was erased (rest.md section 9.6): as it is, without links, at an address of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnonymizedResource(pub ParticipantResource);

impl Serialize for AnonymizedResource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut resource = serializer.serialize_struct("AnonymizedResource", 11)?;
        self.0.members(&mut resource)?;
        let url = &self.0.url;
        resource.serialize_field("url", &Text(format_args!("{url}/Anonymize")))?;
        resource.end()
    }
}

/// Absolute addresses below a participant's own.
struct Links<'a> {
    of: &'a str,
}

impl Serialize for Links<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let url = self.of;
        let mut links = serializer.serialize_struct("Links", 4)?;
        links.serialize_field("published_tracks", &Text(format_args!("{url}/PublishedTracks")))?;
        links.serialize_field("subscribed_tracks", &Text(format_args!("{url}/SubscribedTracks")))?;
        links.serialize_field("subscribe_rules", &Text(format_args!("{url}/SubscribeRules")))?;
        links.serialize_field("anonymize", &Text(format_args!("{url}/Anonymize")))?;
        links.end()
    }
}

#[cfg(test)]
mod tests {
    use room::Timestamp;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_member_is_there_in_order() {
        let url = "https://video.example.com/v1/Rooms/RM/Participants/PA";
        let resource = ParticipantResource {
            sid: ParticipantSid::from_bytes([0x0a; 16]),
            room_sid: RoomSid::from_bytes([0xbc; 16]),
            account_sid: AccountSid::from_bytes([0xff; 16]),
            status: "connected",
            identity: "a \"guest\"\n".to_owned(),
            date_created: Timestamp(0).into(),
            date_updated: Timestamp(61_000_000).into(),
            start_time: Timestamp(0).into(),
            end_time: None,
            duration: None,
            url: url.to_owned(),
        };
        let text = serde_json::to_string(&resource).expect("texts and numbers are JSON");
        let members = [
            r#"{"sid":"PA0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a","#,
            r#""room_sid":"RMbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbc","#,
            r#""account_sid":"ACffffffffffffffffffffffffffffffff","#,
            r#""status":"connected","identity":"a \"guest\"\n","#,
            r#""date_created":"1970-01-01T00:00:00Z","date_updated":"1970-01-01T00:01:01Z","#,
            r#""start_time":"1970-01-01T00:00:00Z","end_time":null,"duration":null,"#,
            r#""url":"https://video.example.com/v1/Rooms/RM/Participants/PA","links":{"#,
        ];
        assert!(text.starts_with(&members.concat()), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let links = json!({
            "published_tracks": format!("{url}/PublishedTracks"),
            "subscribed_tracks": format!("{url}/SubscribedTracks"),
            "subscribe_rules": format!("{url}/SubscribeRules"),
            "anonymize": format!("{url}/Anonymize"),
        });
        assert_eq!(value["links"], links);
        let mut erased = serde_json::to_value(AnonymizedResource(resource)).expect("texts and numbers are JSON");
        assert_eq!(erased["url"], format!("{url}/Anonymize"));
        erased["url"] = value["url"].clone();
        erased["links"] = links;
        assert_eq!(erased, value, "the rest is as it is");
    }
}
