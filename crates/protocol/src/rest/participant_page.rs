//! Pages of participants as JSON: the one answer whose cost counts, so it is written at once and not member by member.
//!
//! Most of a page is the same few texts: names of members, the room's address, SIDs. They are copied. What it has to be
//! is what `Serialize` of [`ParticipantPage`] makes of it; a test holds both together.

use std::sync::Arc;

use room::ParticipantSid;

use super::date::TEXT_LEN;
use super::{Date, ParticipantPage, ParticipantResource};

/// Bytes that a row takes without its addresses, about; more only costs a copy.
const ROW_BYTES: usize = 600;
/// Bytes of what stands around the rows, about.
const REST_BYTES: usize = 3000;
/// Addresses in a row.
const ADDRESSES: usize = 5;

impl ParticipantPage {
    /// The page as JSON.
    ///
    /// # Errors
    /// None that is known: texts and numbers are JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let url_len = self.participants.first().map_or(0, |row| row.room_url.len());
        let row_bytes = ROW_BYTES + ADDRESSES * url_len;
        let mut out = Vec::with_capacity(REST_BYTES + self.participants.len() * row_bytes);
        out.extend_from_slice(b"{\"participants\":[");
        let mut room = Room::default();
        for (number, row) in self.participants.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            room.enter(row)?;
            write(&mut out, row, &room)?;
        }
        out.extend_from_slice(b"],\"meta\":");
        serde_json::to_writer(&mut out, &self.meta)?;
        out.push(b'}');
        Ok(out)
    }
}

/// What the rows of a room have in common.
#[derive(Default)]
struct Room {
    of: Option<Arc<str>>,
    /// The beginning of its participants' addresses, as it stands inside of a JSON text.
    address: Vec<u8>,
}

impl Room {
    fn enter(&mut self, row: &ParticipantResource) -> Result<(), serde_json::Error> {
        if self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, &row.room_url)) {
            return Ok(());
        }
        let address = serde_json::to_vec(&*row.room_url)?;
        self.address.clear();
        // Without the quotes around it.
        self.address.extend_from_slice(&address[1..address.len() - 1]);
        self.address.extend_from_slice(b"/Participants/");
        self.of = Some(Arc::clone(&row.room_url));
        Ok(())
    }
}

fn write(out: &mut Vec<u8>, row: &ParticipantResource, room: &Room) -> Result<(), serde_json::Error> {
    let sid = hex(row.sid.as_bytes());
    put(out, &[b"{\"sid\":\"", ParticipantSid::PREFIX.as_bytes(), &sid]);
    put(out, &[b"\",\"room_sid\":\"RM", &hex(row.room_sid.as_bytes())]);
    put(out, &[b"\",\"account_sid\":\"AC", &hex(row.account_sid.as_bytes())]);
    put(out, &[b"\",\"status\":"]);
    text(out, row.status)?;
    put(out, &[b",\"identity\":"]);
    text(out, &row.identity)?;
    put(out, &[b",\"date_created\":\"", &row.date_created.text()]);
    put(out, &[b"\",\"date_updated\":\"", &row.date_updated.text()]);
    put(out, &[b"\",\"start_time\":\"", &row.start_time.text()]);
    put(out, &[b"\",\"end_time\":"]);
    date_or_null(out, row.end_time);
    put(out, &[b",\"duration\":"]);
    serde_json::to_writer(&mut *out, &row.duration)?;
    let address = &room.address;
    put(out, &[b",\"url\":\"", address, b"PA", &sid, b"\",\"links\":{"]);
    for (member, path) in LINKS {
        put(out, &[member, address, b"PA", &sid, path]);
    }
    put(out, &[b"}}"]);
    Ok(())
}

/// The members of `links`: what stands before and behind the participant's address.
const LINKS: [(&[u8], &[u8]); 4] = [
    (b"\"published_tracks\":\"", b"/PublishedTracks\","),
    (b"\"subscribed_tracks\":\"", b"/SubscribedTracks\","),
    (b"\"subscribe_rules\":\"", b"/SubscribeRules\","),
    (b"\"anonymize\":\"", b"/Anonymize\""),
];

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// A text with its quotes; nearly all have nothing to escape.
fn text(out: &mut Vec<u8>, text: &str) -> Result<(), serde_json::Error> {
    let is_plain = text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
    if is_plain {
        put(out, &[b"\"", text.as_bytes(), b"\""]);
        Ok(())
    } else {
        serde_json::to_writer(out, text)
    }
}

fn date_or_null(out: &mut Vec<u8>, date: Option<Date>) {
    match date {
        Some(date) => {
            let date: [u8; TEXT_LEN] = date.text();
            put(out, &[b"\"", &date, b"\""]);
        }
        None => put(out, &[b"null"]),
    }
}

/// The hexadecimal digits of a SID.
fn hex(bytes: &[u8; 16]) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

#[cfg(test)]
mod tests {
    use room::{AccountSid, RoomSid, Timestamp};

    use super::*;
    use crate::rest::Meta;

    fn row(number: u8, identity: &str, room_url: &Arc<str>) -> ParticipantResource {
        let ended = number
            .is_multiple_of(2)
            .then_some(Timestamp(99_000_000 + i64::from(number)));
        ParticipantResource {
            sid: ParticipantSid::from_bytes([number; 16]),
            room_sid: RoomSid::from_bytes([0xbc; 16]),
            account_sid: AccountSid::from_bytes([0xff; 16]),
            status: if ended.is_some() { "disconnected" } else { "connected" },
            identity: identity.to_owned(),
            date_created: Timestamp(i64::from(number) * 1_000_000).into(),
            date_updated: Timestamp(61_000_000).into(),
            start_time: Timestamp(i64::from(number)).into(),
            end_time: ended.map(Into::into),
            duration: ended.map(|_| u64::MAX - u64::from(number)),
            room_url: Arc::clone(room_url),
        }
    }

    fn check(participants: Vec<ParticipantResource>) {
        let page = ParticipantPage {
            participants,
            meta: Meta {
                page: 3,
                page_size: 50,
                first_page_url: "https://a/\"first\"".to_owned(),
                previous_page_url: None,
                url: "https://a/this".to_owned(),
                next_page_url: Some("https://a/next".to_owned()),
                key: "participants",
            },
        };
        let expected = serde_json::to_string(&page).expect("texts and numbers are JSON");
        let written = page.to_json().expect("texts and numbers are JSON");
        assert_eq!(String::from_utf8(written).expect("JSON is UTF-8"), expected);
    }

    #[test]
    fn it_is_what_serialize_makes_of_it() {
        let here: Arc<str> = "https://video.example.com/v1/Rooms/RM00".into();
        let odd: Arc<str> = "https://\"\\\n\u{7f}\u{e9}/v1/Rooms/RM01".into();
        check(Vec::new());
        check(vec![row(0, "desk", &here)]);
        let names = [
            "",
            "a b",
            "a \"guest\"",
            "back\\slash",
            "\u{0}\u{1f}\n\t",
            "\u{7f}\u{e9}\u{1f600}",
            "</script>",
        ];
        let rows = (0..=255u8).map(|number| {
            let room_url = if number % 5 == 4 { &odd } else { &here };
            row(number, names[usize::from(number) % names.len()], room_url)
        });
        check(rows.collect());
    }
}
