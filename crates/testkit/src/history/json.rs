//! Rows out of the API's answers.

use std::sync::Arc;

use room::{ParticipantStatus, RoomStatus};
use serde_json::Value;

use super::{ParticipantRow, RoomRow, RowTime, Times};

/// A participant's row; `None` if it is none.
pub fn participant_row(json: &Value) -> Option<ParticipantRow> {
    Some(ParticipantRow {
        sid: json["sid"].as_str()?.parse().ok()?,
        room: json["room_sid"].as_str()?.parse().ok()?,
        identity: json["identity"].as_str()?.into(),
        status: ParticipantStatus::from_word(json["status"].as_str()?)?,
        times: times(json)?,
    })
}

/// A room's row; `None` if it is none. Its callbacks come to this receiver if they go to `receiver`.
pub fn room_row(json: &Value, receiver: Option<&str>) -> Option<RoomRow> {
    Some(RoomRow {
        sid: json["sid"].as_str()?.parse().ok()?,
        name: Arc::from(json["unique_name"].as_str()?),
        status: RoomStatus::from_word(json["status"].as_str()?)?,
        calls_back: receiver.is_some() && json["status_callback"].as_str() == receiver,
        times: times(json)?,
    })
}

/// The rows of a page, and the address of the next one; `None` if it is no page, or a row is none.
pub fn page_rows<Row>(json: &Value, row: impl Fn(&Value) -> Option<Row>) -> Option<(Vec<Row>, Option<String>)> {
    let rows = json[json["meta"]["key"].as_str()?].as_array()?;
    let rows: Option<Vec<Row>> = rows.iter().map(row).collect();
    Some((rows?, json["meta"]["next_page_url"].as_str().map(ToOwned::to_owned)))
}

fn times(json: &Value) -> Option<Times> {
    let ended = &json["end_time"];
    Some(Times {
        created: time(&json["date_created"])?,
        updated: time(&json["date_updated"])?,
        ended: if ended.is_null() { None } else { Some(time(ended)?) },
        duration_s: json["duration"].as_u64(),
    })
}

/// Microseconds since 1970 of `YYYY-MM-DDThh:mm:ssZ`.
fn time(json: &Value) -> Option<RowTime> {
    let text = json.as_str()?;
    let number = |from: usize, to: usize| -> Option<i64> { text.get(from..to)?.parse().ok() };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    // Years begin in March, so that the leap day is the last of its year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day;
    let seconds = (days - 719_469) * 86_400 + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    Some(seconds * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2017-07-30T20:00:00Z", 1_501_444_800),
            ("2024-02-29T23:59:59Z", 1_709_251_199),
            ("2024-03-01T00:00:00Z", 1_709_251_200),
        ] {
            assert_eq!(time(&text.into()), Some(seconds * 1_000_000), "{text}");
        }
        assert_eq!(time(&"today".into()), None);
    }
}
