//! Pages of participants as JSON: the one answer whose cost counts, so it is written at once and not member by member.
//!
//! Most of a page is the same few texts: names of members, the room's address, SIDs. They are copied. What it has to be
//! is what `Serialize` of [`ParticipantPage`] makes of it; a test holds both together.

use std::sync::Arc;

use super::date::TEXT_LEN;
use super::{Date, ParticipantPage, ParticipantResource};

/// Bytes that a row takes at most without its addresses, with an identity of ordinary length; a longer one only costs a copy of
/// the page.
const ROW_BYTES: usize = 850;
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
        let mut out = Vec::with_capacity(self.room_bytes());
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

    /// Bytes that it will have, or some more.
    fn room_bytes(&self) -> usize {
        let url_len = self.participants.first().map_or(0, |row| row.room_url.len());
        REST_BYTES + self.participants.len() * (ROW_BYTES + ADDRESSES * url_len)
    }
}

/// What the rows of a room have in common, as it stands inside of a JSON text.
#[derive(Default)]
struct Room {
    of: Option<Arc<str>>,
    /// From behind a participant's SID to its status.
    sids: Vec<u8>,
    /// The beginning of its participants' addresses, up to their SIDs' digits.
    address: Vec<u8>,
}

impl Room {
    fn enter(&mut self, row: &ParticipantResource) -> Result<(), serde_json::Error> {
        if self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, &row.room_url)) {
            return Ok(());
        }
        self.sids.clear();
        let (room, account) = (hex(row.room_sid.as_bytes()), hex(row.account_sid.as_bytes()));
        let sids: [&[u8]; 5] = [
            b"\",\"room_sid\":\"RM",
            &room,
            b"\",\"account_sid\":\"AC",
            &account,
            b"\",\"status\":",
        ];
        put(&mut self.sids, &sids);
        let address = serde_json::to_vec(&*row.room_url)?;
        self.address.clear();
        // Without the quotes around it.
        put(
            &mut self.address,
            &[&address[1..address.len() - 1], b"/Participants/PA"],
        );
        self.of = Some(Arc::clone(&row.room_url));
        Ok(())
    }
}

fn write(out: &mut Vec<u8>, row: &ParticipantResource, room: &Room) -> Result<(), serde_json::Error> {
    let sid = hex(row.sid.as_bytes());
    put(out, &[b"{\"sid\":\"PA", &sid, &room.sids]);
    text(out, row.status)?;
    put(out, &[b",\"identity\":"]);
    text(out, &row.identity)?;
    // Few of them differ, and writing one costs more than all that it is compared with.
    let created = row.date_created.text();
    let same_or = |date: Date, of: Date, text: [u8; TEXT_LEN]| if date == of { text } else { date.text() };
    let updated = same_or(row.date_updated, row.date_created, created);
    let started = same_or(row.start_time, row.date_created, created);
    put(
        out,
        &[
            b",\"date_created\":\"",
            &created,
            b"\",\"date_updated\":\"",
            &updated,
            b"\",\"start_time\":\"",
            &started,
            b"\",\"end_time\":",
        ],
    );
    match row.end_time {
        Some(end) => put(
            out,
            &[b"\"", &same_or(end, row.date_updated, updated), b"\",\"duration\":"],
        ),
        None => put(out, &[b"null,\"duration\":"]),
    }
    serde_json::to_writer(&mut *out, &row.duration)?;
    let address = &room.address;
    put(out, &[b",\"url\":\"", address, &sid, b"\",\"links\":{"]);
    for (member, path) in LINKS {
        put(out, &[member, address, &sid, path]);
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

/// Appends all of it.
fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    out.reserve(parts.iter().map(|part| part.len()).sum());
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
    use room::{AccountSid, ParticipantSid, RoomSid, Timestamp};

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

    fn page(participants: Vec<ParticipantResource>) -> ParticipantPage {
        ParticipantPage {
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
        }
    }

    fn check(participants: Vec<ParticipantResource>) {
        let page = page(participants);
        let expected = serde_json::to_string(&page).expect("texts and numbers are JSON");
        let written = page.to_json().expect("texts and numbers are JSON");
        assert_eq!(String::from_utf8(written).expect("JSON is UTF-8"), expected);
    }

    #[test]
    fn an_ordinary_page_is_not_copied_while_it_grows() {
        for url in [
            "http://127.0.0.1:8080/v1/Rooms/RM00",
            "https://video.example.com/v1/Rooms/RM00",
        ] {
            let url: Arc<str> = format!("{url}{}", "0".repeat(30)).into();
            let rows = (0..50).map(|number| row(2 * number, "somebody of 24 characters", &url));
            let page = page(rows.collect());
            let written = page.to_json().expect("texts and numbers are JSON");
            assert_eq!(written.capacity(), page.room_bytes());
        }
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
