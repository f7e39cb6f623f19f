//! What a room is created with: the parameters of `POST /v1/Rooms` (rest.md section 8.2).
//!
//! A parameter does what it says or is refused. What this server does not have yet is refused when
//! it is asked for, and accepted when it is asked not to be there.

use std::ops::RangeInclusive;

use room::{RoomSid, RoomType};
use serde_json::Value;
use store::{CallbackMethod, NewRoom};
use url::Url;

use super::error::{ApiError, Fault};
use super::limits::{ROOM_NAME_CHARS_MAX, STATUS_CALLBACK_CHARS};
use super::params::Params;
use crate::config::{RoomSettings, VIDEO_CODECS, dedup};
use crate::rooms::wall;

/// The regions of the API (rest.md section 8.2), `gll` aside.
const REGIONS: [&str; 9] = ["au1", "br1", "de1", "ie1", "in1", "jp1", "sg1", "us1", "us2"];

/// The region that means: wherever the first participant is.
const NEAREST: &str = "gll";

/// Shortest `MaxParticipantDuration`, seconds.
const PARTICIPANT_DURATION_S_MIN: u32 = 600;

/// Minutes.
const ROOM_TIMEOUT_MIN: RangeInclusive<u32> = 1..=60;

/// A new room from the parameters, with a random SID, created now.
///
/// # Errors
/// The first parameter that is wrong, or asks for what is not there yet.
pub(super) fn new_room(params: &Params, settings: &RoomSettings) -> Result<NewRoom, ApiError> {
    let kind = kind(params)?;
    let audio_only = params.flag("AudioOnly")?;
    let large_room = params.flag("LargeRoom")?;
    check_fit(params, kind, audio_only, large_room)?;
    refuse_what_is_not_there(params)?;
    let max_participants = 1..=settings.participants_max(kind);
    let max_participant_duration_s = PARTICIPANT_DURATION_S_MIN..=settings.max_participant_duration_s;
    let mut sid = [0; 16];
    aws_lc_rs::rand::fill(&mut sid).map_err(|_| ApiError::Busy)?;
    Ok(NewRoom {
        sid: RoomSid::from_bytes(sid),
        unique_name: unique_name(params)?,
        kind,
        audio_only,
        large_room,
        ad_hoc: false,
        status_callback: status_callback(params)?,
        status_callback_method: status_callback_method(params)?,
        max_participants: number(params, "MaxParticipants", &max_participants, Fault::MaxParticipants)?
            .unwrap_or(settings.participants_default(kind)),
        max_participant_duration_s: number(
            params,
            "MaxParticipantDuration",
            &max_participant_duration_s,
            Fault::MaxParticipantDuration,
        )?
        .unwrap_or(settings.participant_duration_default_s()),
        empty_room_timeout_min: number(params, "EmptyRoomTimeout", &ROOM_TIMEOUT_MIN, Fault::Timeout)?.unwrap_or(5),
        unused_room_timeout_min: number(params, "UnusedRoomTimeout", &ROOM_TIMEOUT_MIN, Fault::Timeout)?.unwrap_or(5),
        video_codecs: if audio_only { Vec::new() } else { video_codecs(params)? },
        media_region: Some(media_region(params, settings)?),
        at: wall(),
    })
}

fn kind(params: &Params) -> Result<RoomType, ApiError> {
    match params.text("Type")? {
        None => Ok(RoomType::Group),
        Some(word) => RoomType::from_word(word).ok_or(Fault::RoomType.into()),
    }
}

/// Refuses what does not go with the room's type, whatever its value (rest.md section 8.2): media of `go` and
/// `peer-to-peer` rooms has no server in the hosted API, so there is no choice of its region and codecs.
fn check_fit(params: &Params, kind: RoomType, audio_only: bool, large_room: bool) -> Result<(), ApiError> {
    if audio_only && kind != RoomType::Group {
        return Err(Fault::AudioOnly.into());
    }
    let has_codecs = !params.texts("VideoCodecs")?.is_empty();
    let chooses_media = has_codecs || params.text("MediaRegion")?.is_some();
    let has_no_choice = matches!(kind, RoomType::Go | RoomType::PeerToPeer);
    if (large_room && kind != RoomType::Group) || (chooses_media && has_no_choice) || (has_codecs && audio_only) {
        return Err(Fault::RoomParameters.into());
    }
    Ok(())
}

fn refuse_what_is_not_there(params: &Params) -> Result<(), ApiError> {
    const NOT_YET: &str = "Rotunda does not have transcriptions yet";
    if params.flag("RecordParticipantsOnConnect")? {
        return Err(Fault::Recording.into());
    }
    check_recording_rules(params)?;
    if params.flag("TranscribeParticipantsOnConnect")? {
        return Err(ApiError::Invalid {
            name: "TranscribeParticipantsOnConnect",
            why: NOT_YET,
        });
    }
    if params.text("TranscriptionsConfiguration")?.is_some() {
        return Err(ApiError::Invalid {
            name: "TranscriptionsConfiguration",
            why: NOT_YET,
        });
    }
    Ok(())
}

/// Rules that say "record nothing" hold in every room of this server; others are refused.
fn check_recording_rules(params: &Params) -> Result<(), ApiError> {
    let Some(text) = params.text("RecordingRules")? else {
        return Ok(());
    };
    let rules: Vec<Value> = serde_json::from_str(text).map_err(|_| Fault::RecordingRules)?;
    let nothing = serde_json::json!({ "type": "exclude", "all": true });
    let is_rule = |rule: &Value| matches!(rule["type"].as_str(), Some("include" | "exclude"));
    if rules == [nothing] {
        Ok(())
    } else if rules.is_empty() || !rules.iter().all(is_rule) {
        Err(Fault::RecordingRules.into())
    } else {
        Err(Fault::Recording.into())
    }
}

fn unique_name(params: &Params) -> Result<Option<String>, ApiError> {
    let Some(name) = params.text("UniqueName").map_err(|_| Fault::RoomNameCharacters)? else {
        return Ok(None);
    };
    if name.chars().count() > ROOM_NAME_CHARS_MAX {
        return Err(Fault::RoomNameTooLong.into());
    }
    // It could never be addressed: a path segment that looks like a SID is one.
    if name.parse::<RoomSid>().is_ok() {
        return Err(Fault::RoomName.into());
    }
    Ok(Some(name.to_owned()))
}

fn status_callback(params: &Params) -> Result<Option<String>, ApiError> {
    let Some(text) = params.text("StatusCallback").map_err(|_| Fault::StatusCallback)? else {
        return Ok(None);
    };
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if url.is_none() || text.chars().count() >= STATUS_CALLBACK_CHARS {
        return Err(Fault::StatusCallback.into());
    }
    // As written: the receiver computes the signature over the URL as it configured it.
    Ok(Some(text.to_owned()))
}

fn status_callback_method(params: &Params) -> Result<CallbackMethod, ApiError> {
    match params.text("StatusCallbackMethod")? {
        None | Some("POST") => Ok(CallbackMethod::Post),
        Some("GET") => Ok(CallbackMethod::Get),
        Some(_) => Err(Fault::StatusCallbackMethod.into()),
    }
}

fn number(
    params: &Params,
    name: &'static str,
    range: &RangeInclusive<u32>,
    fault: Fault,
) -> Result<Option<u32>, ApiError> {
    let Some(text) = params.text(name)? else {
        return Ok(None);
    };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && range.contains(number));
    number.map(Some).ok_or(fault.into())
}

fn video_codecs(params: &Params) -> Result<Vec<String>, ApiError> {
    let mut codecs: Vec<String> = Vec::new();
    for codec in params.texts("VideoCodecs")? {
        if !VIDEO_CODECS.contains(&codec) {
            return Err(ApiError::Invalid {
                name: "VideoCodecs",
                why: "it is neither VP8 nor H264",
            });
        }
        codecs.push(codec.to_owned());
    }
    dedup(&mut codecs);
    Ok(if codecs.is_empty() {
        VIDEO_CODECS.map(str::to_owned).to_vec()
    } else {
        codecs
    })
}

/// Media is handled here, so the only region there is is the one that was set.
fn media_region(params: &Params, settings: &RoomSettings) -> Result<String, ApiError> {
    match params.text("MediaRegion")? {
        None | Some(NEAREST) => Ok(settings.media_region.clone()),
        Some(region) if region == settings.media_region => Ok(region.to_owned()),
        Some(region) if settings.accept_media_regions.iter().any(|accepted| accepted == region) => {
            Ok(settings.media_region.clone())
        }
        Some(region) if REGIONS.contains(&region) => Err(Fault::MediaRegionEmpty.into()),
        Some(_) => Err(Fault::MediaRegion.into()),
    }
}
