//! A participant (rest.md section 9.1).

use serde::Serialize;

use super::Date;

/// One stay of one identity in one room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParticipantResource {
    /// `PA…`
    pub sid: String,
    /// `RM…`
    pub room_sid: String,
    /// `AC…`
    pub account_sid: String,
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
    /// What belongs to it.
    pub links: ParticipantLinks,
}

/// Absolute addresses below a participant's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParticipantLinks {
    /// What it publishes.
    pub published_tracks: String,
    /// What it receives.
    pub subscribed_tracks: String,
    /// What it should receive.
    pub subscribe_rules: String,
    /// Takes its identity away.
    pub anonymize: String,
}

impl ParticipantLinks {
    /// The links of the participant at `url`.
    pub fn of(url: &str) -> Self {
        Self {
            published_tracks: format!("{url}/PublishedTracks"),
            subscribed_tracks: format!("{url}/SubscribedTracks"),
            subscribe_rules: format!("{url}/SubscribeRules"),
            anonymize: format!("{url}/Anonymize"),
        }
    }
}
