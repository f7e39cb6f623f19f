//! Pages of lists (rest.md section 5).

use serde::Serialize;

use super::{ParticipantResource, RoomResource, TrackResource};

/// Where a page is in its list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Meta {
    /// The client's page counter, echoed.
    pub page: i64,
    /// Rows at most, as applied.
    pub page_size: u32,
    /// The first page of the same list.
    pub first_page_url: String,
    /// The page of newer rows, if there are any.
    pub previous_page_url: Option<String>,
    /// This page.
    pub url: String,
    /// The page of older rows, if there are any.
    pub next_page_url: Option<String>,
    /// Name of the member that holds the rows.
    pub key: &'static str,
}

/// A page of rooms; its `meta.key` is `rooms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomPage {
    /// Newest first.
    pub rooms: Vec<RoomResource>,
    /// Where the page is.
    pub meta: Meta,
}

/// A page of participants; its `meta.key` is `participants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParticipantPage {
    /// Newest first.
    pub participants: Vec<ParticipantResource>,
    /// Where the page is.
    pub meta: Meta,
}

/// A page of what a participant publishes; its `meta.key` is `published_tracks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublishedTrackPage {
    /// Newest first.
    pub published_tracks: Vec<TrackResource>,
    /// Where the page is.
    pub meta: Meta,
}

/// A page of what a participant receives; its `meta.key` is `subscribed_tracks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubscribedTrackPage {
    /// Newest first.
    pub subscribed_tracks: Vec<TrackResource>,
    /// Where the page is.
    pub meta: Meta,
}
