//! Status callbacks: their fields and how these are written (rest.md section 22).

use room::{
    AccountSid, EventKind, ParticipantSid, ParticipantStatus, RoomSid, RoomStatus, RoomType, Timestamp, TrackKind,
    TrackSid,
};

use crate::rest::Date;

/// What a callback tells (rest.md section 22.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// Whose room.
    pub account: AccountSid,
    /// The room.
    pub room: RoomSid,
    /// Its unique name, or its SID.
    pub room_name: String,
    /// What the room is called.
    pub room_type: RoomType,
    /// What happened.
    pub event: EventKind,
    /// Counts the events of a room, from 0.
    pub sequence: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Seconds of the room's life or the participant's stay, on the events that end them.
    pub duration_s: Option<u64>,
    /// Who and the identity, on participant and track events.
    pub participant: Option<(ParticipantSid, String)>,
    /// What, on track events.
    pub track: Option<(TrackSid, TrackKind)>,
}

/// Names and values, in the order of the body. No name occurs twice.
pub type Fields = Vec<(&'static str, String)>;

impl Callback {
    /// The fields that the event has; those without a value are left out.
    pub fn fields(&self) -> Fields {
        let mut fields: Fields = vec![
            ("RoomStatus", self.room_status().as_str().to_owned()),
            ("RoomType", self.room_type.as_str().to_owned()),
            ("RoomSid", self.room.to_string()),
            ("RoomName", self.room_name.clone()),
        ];
        if let (EventKind::RoomEnded, Some(seconds)) = (self.event, self.duration_s) {
            fields.push(("RoomDuration", seconds.to_string()));
        }
        if let Some((_, identity)) = &self.participant {
            fields.push(("ParticipantStatus", self.participant_status().as_str().to_owned()));
            if let (EventKind::ParticipantDisconnected, Some(seconds)) = (self.event, self.duration_s) {
                fields.push(("ParticipantDuration", seconds.to_string()));
            }
            fields.push(("ParticipantIdentity", identity.clone()));
        }
        if let Some((sid, kind)) = self.track {
            fields.push(("TrackSid", sid.to_string()));
            fields.push(("TrackKind", kind.as_str().to_owned()));
        }
        fields.push(("SequenceNumber", self.sequence.to_string()));
        fields.push(("StatusCallbackEvent", self.event.as_str().to_owned()));
        fields.push(("Timestamp", timestamp(self.at)));
        if let Some((sid, _)) = self.participant {
            fields.push(("ParticipantSid", sid.to_string()));
        }
        fields.push(("AccountSid", self.account.to_string()));
        fields
    }

    fn room_status(&self) -> RoomStatus {
        match self.event {
            EventKind::RoomEnded => RoomStatus::Completed,
            _ => RoomStatus::InProgress,
        }
    }

    fn participant_status(&self) -> ParticipantStatus {
        match self.event {
            EventKind::ParticipantDisconnected => ParticipantStatus::Disconnected,
            _ => ParticipantStatus::Connected,
        }
    }
}

/// The fields as a form body or a query: `Name=value&…`, everything but letters, digits and `-._~`
/// percent-encoded, so that a space is `%20`.
pub fn encode(fields: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        escape(name, &mut text);
        text.push('=');
        escape(value, &mut text);
    }
    text
}

fn escape(value: &str, text: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(byte.into());
        } else {
            text.push('%');
            text.push(HEX[usize::from(byte >> 4)].into());
            text.push(HEX[usize::from(byte & 15)].into());
        }
    }
}

/// With milliseconds, unlike every time in the REST API: `2025-10-27T18:16:01.876Z`.
fn timestamp(at: Timestamp) -> String {
    let seconds = Date::from(at).to_string();
    let millis = at.0.rem_euclid(1_000_000) / 1000;
    format!("{}.{millis:03}Z", seconds.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callback(event: EventKind) -> Callback {
        let of_room = matches!(event, EventKind::RoomCreated | EventKind::RoomEnded);
        let of_track = matches!(
            event,
            EventKind::TrackAdded | EventKind::TrackRemoved | EventKind::TrackEnabled | EventKind::TrackDisabled
        );
        let sequence = EventKind::ALL
            .iter()
            .position(|kind| *kind == event)
            .unwrap_or_default() as u64;
        Callback {
            account: AccountSid::from_bytes([0xa1; 16]),
            room: RoomSid::from_bytes([0xb2; 16]),
            room_name: "Réunion: día 1 & 2".to_owned(),
            room_type: RoomType::Group,
            event,
            sequence,
            at: Timestamp(1_793_000_000_007_999 + 1_000_000 * sequence as i64),
            duration_s: matches!(event, EventKind::RoomEnded | EventKind::ParticipantDisconnected).then_some(61),
            participant: (!of_room).then(|| (ParticipantSid::from_bytes([0xc3; 16]), "Ann+Bob Q. (50%)".to_owned())),
            track: of_track.then(|| (TrackSid::from_bytes([0xd4; 16]), TrackKind::Video)),
        }
    }

    #[test]
    fn bodies_are_as_recorded() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/callbacks");
        for event in EventKind::ALL {
            let file = folder.join(format!("{}.txt", event.as_str()));
            let expected = std::fs::read_to_string(&file).unwrap_or_default();
            let expected = expected.lines().collect::<Vec<_>>().join("&");
            assert_eq!(encode(&callback(*event).fields()), expected, "{}", file.display());
        }
    }

    #[test]
    fn times_have_milliseconds() {
        assert_eq!(timestamp(Timestamp(1_761_588_961_876_543)), "2025-10-27T18:16:01.876Z");
        assert_eq!(timestamp(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(Timestamp(-1)), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn spaces_and_colons_are_percent_encoded() {
        assert_eq!(
            encode(&[("A", "a b:c+d*é~".to_owned()), ("B", String::new())]),
            "A=a%20b%3Ac%2Bd%2A%C3%A9~&B="
        );
    }
}
