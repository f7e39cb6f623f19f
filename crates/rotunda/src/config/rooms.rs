//! What rooms may be made with: caps, types, regions, and what those are that joining clients make.

use std::time::Duration;

use room::RoomType;

use super::raw::{Raw, Text};
use super::settings::{Reader, region};
use crate::limits;

/// The names that the API has for a room's video codecs; also the default, in this order.
pub(crate) const VIDEO_CODECS: [&str; 2] = ["VP8", "H264"];

/// What rooms may be made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomSettings {
    /// Largest `MaxParticipants`, of any type.
    pub max_participants: u32,
    /// Largest `MaxParticipantDuration`, seconds.
    pub max_participant_duration_s: u32,
    /// How long a room may live before it is completed; `None`: as long as it likes.
    pub max_room_duration: Option<Duration>,
    /// `MediaRegion`, as rooms report it.
    pub media_region: String,
    /// Other regions that a room may ask for. It gets [`RoomSettings::media_region`].
    pub accept_media_regions: Vec<String>,
    /// Rooms that joining clients make.
    pub ad_hoc: AdHocSettings,
}

/// Rooms that joining clients make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdHocSettings {
    /// Whether there are any; else who joins an unknown name is refused with 53103.
    pub allowed: bool,
    /// What they are called.
    pub kind: RoomType,
    /// Participants at once; `None`: as in a room made by REST without saying it.
    pub max_participants: Option<u32>,
    /// Some of `VIDEO_CODECS`, none twice.
    pub video_codecs: Vec<String>,
}

impl Default for RoomSettings {
    fn default() -> Self {
        Self {
            max_participants: 1000,
            max_participant_duration_s: 86_400,
            max_room_duration: None,
            media_region: "us1".to_owned(),
            accept_media_regions: Vec::new(),
            ad_hoc: AdHocSettings {
                allowed: true,
                kind: RoomType::Group,
                max_participants: None,
                video_codecs: VIDEO_CODECS.map(str::to_owned).to_vec(),
            },
        }
    }
}

impl RoomSettings {
    /// Largest `MaxParticipants` of a room of this type (rest.md section 8.2).
    pub fn participants_max(&self, kind: RoomType) -> u32 {
        let of_type = match kind {
            RoomType::Group => u32::MAX,
            RoomType::Go => limits::GO_PARTICIPANTS_MAX,
            RoomType::PeerToPeer => limits::PEER_TO_PEER_PARTICIPANTS_MAX,
            RoomType::GroupSmall => limits::GROUP_SMALL_PARTICIPANTS_MAX,
        };
        self.max_participants.min(of_type)
    }

    /// `MaxParticipants` of a room of this type whose maker says nothing.
    pub fn participants_default(&self, kind: RoomType) -> u32 {
        self.participants_max(kind).min(limits::MAX_PARTICIPANTS_DEFAULT)
    }

    /// `MaxParticipantDuration` of a room whose maker says nothing, seconds.
    pub fn participant_duration_default_s(&self) -> u32 {
        self.max_participant_duration_s
            .min(limits::MAX_PARTICIPANT_DURATION_DEFAULT_S)
    }
}

impl Reader<'_> {
    /// All that rooms may be made with; `None` if something of it is wrong, which is noted then.
    pub(super) fn rooms(&mut self, raw: &Raw) -> Option<RoomSettings> {
        let number = |reader: &mut Self, name, text: &Option<Text>, range| reader.number(name, text.as_ref(), range);
        let max_participants = number(
            self,
            "max_participants",
            &raw.max_participants,
            limits::MAX_PARTICIPANTS,
        );
        let max_participant_duration_s = number(
            self,
            "max_participant_duration_s",
            &raw.max_participant_duration_s,
            limits::MAX_PARTICIPANT_DURATION_S,
        );
        let max_room_duration_s = number(
            self,
            "max_room_duration_s",
            &raw.max_room_duration_s,
            limits::MAX_ROOM_DURATION_S,
        );
        let media_region = self.optional("media_region", raw.media_region.as_ref(), region);
        let regions = raw.accept_media_regions.iter().flat_map(|list| &list.0);
        let accept_media_regions = self.each("accept_media_regions", regions, region);
        let allowed = self.flag("ad_hoc_rooms", raw.ad_hoc_rooms.as_ref());
        let kind = self.optional("ad_hoc_type", raw.ad_hoc_type.as_ref(), |text| {
            RoomType::from_word(text).ok_or_else(|| "group, go, peer-to-peer or group-small".to_owned())
        });
        let codecs = raw.ad_hoc_video_codecs.iter().flat_map(|list| &list.0);
        let mut video_codecs = self.each("ad_hoc_video_codecs", codecs, |text| {
            let known = VIDEO_CODECS.contains(&text).then(|| text.to_owned());
            known.ok_or_else(|| "VP8 or H264".to_owned())
        });
        dedup(&mut video_codecs);
        if video_codecs.is_empty() {
            video_codecs = VIDEO_CODECS.map(str::to_owned).to_vec();
        }
        let mut rooms = RoomSettings {
            max_participants: max_participants?,
            max_participant_duration_s: max_participant_duration_s?,
            max_room_duration: max_room_duration_s.map(|seconds| Duration::from_secs(seconds.into())),
            media_region: media_region?,
            accept_media_regions,
            ad_hoc: AdHocSettings {
                allowed: allowed?,
                kind: kind?,
                max_participants: None,
                video_codecs,
            },
        };
        let range = 1..=rooms.participants_max(rooms.ad_hoc.kind);
        rooms.ad_hoc.max_participants = number(self, "ad_hoc_max_participants", &raw.ad_hoc_max_participants, range);
        Some(rooms)
    }
}

/// Drops what is there already, and keeps the order.
pub(crate) fn dedup(list: &mut Vec<String>) {
    let mut seen = std::collections::BTreeSet::new();
    list.retain(|item| seen.insert(item.clone()));
}
