//! The contract of the REST API as the project's own tables: every member of every answer with its
//! type, its pattern, its words, and when it is null. [`check`] holds an answer against them.

use serde_json::{Map, Value};

/// What a member's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `^XX[0-9a-fA-F]{32}$` with these two letters.
    Sid(&'static str),
    /// Any text that is not empty.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any number of these words, none twice.
    Words(&'static [&'static str]),
    /// `YYYY-MM-DDThh:mm:ssZ`.
    Time,
    /// `true` or `false`.
    Bool,
    /// A whole number, at least 0.
    Number,
    /// An absolute URL.
    Url,
    /// A list of 1 to 20 rules, each as [`RULE`] has it.
    Rules,
    /// An object of URLs with exactly these names, each the resource's own URL with a tail.
    Links(&'static [(&'static str, &'static str)]),
}

/// When a member has a value; otherwise it is null. It is never left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// In every answer.
    Always,
    /// Where there is something to say.
    Sometimes,
    /// Once `status` is this word, and not before.
    Once(&'static str),
}

/// A member of an object.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// When it has a value.
    pub filled: Filled,
}

const fn field(name: &'static str, kind: Kind, filled: Filled) -> Field {
    Field { name, kind, filled }
}

/// A participant (rest.md section 9.1).
pub const PARTICIPANT: &[Field] = &[
    field("sid", Kind::Sid("PA"), Filled::Always),
    field("room_sid", Kind::Sid("RM"), Filled::Always),
    field("account_sid", Kind::Sid("AC"), Filled::Always),
    field(
        "status",
        Kind::Word(&["connected", "disconnected", "reconnecting"]),
        Filled::Always,
    ),
    field("identity", Kind::Text, Filled::Always),
    field("date_created", Kind::Time, Filled::Always),
    field("date_updated", Kind::Time, Filled::Always),
    field("start_time", Kind::Time, Filled::Always),
    field("end_time", Kind::Time, Filled::Once("disconnected")),
    field("duration", Kind::Number, Filled::Once("disconnected")),
    field("url", Kind::Url, Filled::Always),
    field(
        "links",
        Kind::Links(&[
            ("published_tracks", "/PublishedTracks"),
            ("subscribed_tracks", "/SubscribedTracks"),
            ("subscribe_rules", "/SubscribeRules"),
            ("anonymize", "/Anonymize"),
        ]),
        Filled::Always,
    ),
];

/// A participant whose identity was erased (rest.md section 9.6).
pub const ANONYMIZED: &[Field] = &[
    field("sid", Kind::Sid("PA"), Filled::Always),
    field("room_sid", Kind::Sid("RM"), Filled::Always),
    field("account_sid", Kind::Sid("AC"), Filled::Always),
    field("status", Kind::Word(&["connected", "disconnected"]), Filled::Always),
    field("identity", Kind::Sid("PA"), Filled::Always),
    field("date_created", Kind::Time, Filled::Always),
    field("date_updated", Kind::Time, Filled::Always),
    field("start_time", Kind::Time, Filled::Always),
    field("end_time", Kind::Time, Filled::Once("disconnected")),
    field("duration", Kind::Number, Filled::Once("disconnected")),
    field("url", Kind::Url, Filled::Always),
];

/// A room (rest.md section 8.1).
pub const ROOM: &[Field] = &[
    field("sid", Kind::Sid("RM"), Filled::Always),
    field(
        "status",
        Kind::Word(&["in-progress", "completed", "failed"]),
        Filled::Always,
    ),
    field("date_created", Kind::Time, Filled::Always),
    field("date_updated", Kind::Time, Filled::Always),
    field("account_sid", Kind::Sid("AC"), Filled::Always),
    field("enable_turn", Kind::Bool, Filled::Always),
    field("unique_name", Kind::Text, Filled::Always),
    field("status_callback", Kind::Url, Filled::Sometimes),
    field("status_callback_method", Kind::Word(&["GET", "POST"]), Filled::Always),
    field("end_time", Kind::Time, Filled::Once("completed")),
    field("duration", Kind::Number, Filled::Once("completed")),
    field(
        "type",
        Kind::Word(&["group", "go", "peer-to-peer", "group-small"]),
        Filled::Always,
    ),
    field("max_participants", Kind::Number, Filled::Always),
    field("max_participant_duration", Kind::Number, Filled::Always),
    field("max_concurrent_published_tracks", Kind::Number, Filled::Always),
    field("record_participants_on_connect", Kind::Bool, Filled::Always),
    field("video_codecs", Kind::Words(&["VP8", "H264"]), Filled::Always),
    field("media_region", Kind::Text, Filled::Always),
    field("audio_only", Kind::Bool, Filled::Always),
    field("empty_room_timeout", Kind::Number, Filled::Always),
    field("unused_room_timeout", Kind::Number, Filled::Always),
    field("large_room", Kind::Bool, Filled::Always),
    field("url", Kind::Url, Filled::Always),
    field(
        "links",
        Kind::Links(&[
            ("participants", "/Participants"),
            ("recordings", "/Recordings"),
            ("recording_rules", "/RecordingRules"),
            ("transcriptions", "/Transcriptions"),
        ]),
        Filled::Always,
    ),
];

/// A published track (rest.md section 10).
pub const PUBLISHED_TRACK: &[Field] = &[
    field("sid", Kind::Sid("MT"), Filled::Always),
    field("participant_sid", Kind::Sid("PA"), Filled::Always),
    field("room_sid", Kind::Sid("RM"), Filled::Always),
    field("name", Kind::Text, Filled::Always),
    field("date_created", Kind::Time, Filled::Always),
    field("date_updated", Kind::Time, Filled::Sometimes),
    field("enabled", Kind::Bool, Filled::Always),
    field("kind", Kind::Word(&["audio", "video", "data"]), Filled::Always),
    field("url", Kind::Url, Filled::Always),
];

/// A subscribed track (rest.md section 11).
pub const SUBSCRIBED_TRACK: &[Field] = &[
    field("sid", Kind::Sid("MT"), Filled::Always),
    field("participant_sid", Kind::Sid("PA"), Filled::Always),
    field("publisher_sid", Kind::Sid("PA"), Filled::Always),
    field("room_sid", Kind::Sid("RM"), Filled::Always),
    field("name", Kind::Text, Filled::Always),
    field("date_created", Kind::Time, Filled::Always),
    field("date_updated", Kind::Time, Filled::Sometimes),
    field("enabled", Kind::Bool, Filled::Always),
    field("kind", Kind::Word(&["audio", "video", "data"]), Filled::Always),
    field("url", Kind::Url, Filled::Always),
];

/// The subscribe rules of a participant (rest.md section 12).
pub const SUBSCRIBE_RULES: &[Field] = &[
    field("participant_sid", Kind::Sid("PA"), Filled::Always),
    field("room_sid", Kind::Sid("RM"), Filled::Always),
    field("date_created", Kind::Time, Filled::Always),
    field("date_updated", Kind::Time, Filled::Always),
    field("rules", Kind::Rules, Filled::Always),
];

/// A rule of them (rest.md section 14).
pub const RULE: &[Field] = &[
    field("type", Kind::Word(&["include", "exclude"]), Filled::Always),
    field("all", Kind::Bool, Filled::Sometimes),
    field("publisher", Kind::Text, Filled::Sometimes),
    field("track", Kind::Text, Filled::Sometimes),
    field("kind", Kind::Word(&["audio", "video", "data"]), Filled::Sometimes),
    field("priority", Kind::Word(&["low", "standard", "high"]), Filled::Sometimes),
];

/// Where a page is (rest.md section 5).
pub const META: &[Field] = &[
    field("first_page_url", Kind::Url, Filled::Always),
    field(
        "key",
        Kind::Word(&["participants", "published_tracks", "rooms", "subscribed_tracks"]),
        Filled::Always,
    ),
    field("next_page_url", Kind::Url, Filled::Sometimes),
    field("page", Kind::Number, Filled::Always),
    field("page_size", Kind::Number, Filled::Always),
    field("previous_page_url", Kind::Url, Filled::Sometimes),
    field("url", Kind::Url, Filled::Always),
];

/// An error (rest.md section 4). On 401 there is a `detail` too.
pub const ERROR: &[Field] = &[
    field("code", Kind::Number, Filled::Always),
    field("message", Kind::Text, Filled::Always),
    field("more_info", Kind::Url, Filled::Always),
    field("status", Kind::Number, Filled::Always),
];

/// Holds the body of an answer against the tables: an error, a page, a room or a participant.
/// What is wrong, one sentence each; nothing if all is well.
pub fn check(status: u16, body: &Value) -> Vec<String> {
    let Some(object) = body.as_object() else {
        return vec![format!("the body is no object: {body}")];
    };
    if status >= 400 {
        return error_faults(status, object);
    }
    if object.contains_key("meta") {
        return page_faults(object);
    }
    let has = |name| object.contains_key(name);
    let is_anonymized = object
        .get("url")
        .and_then(Value::as_str)
        .is_some_and(|url| url.ends_with("/Anonymize"));
    let fields = if has("rules") {
        SUBSCRIBE_RULES
    } else if has("publisher_sid") {
        SUBSCRIBED_TRACK
    } else if has("participant_sid") {
        PUBLISHED_TRACK
    } else if is_anonymized {
        ANONYMIZED
    } else if has("room_sid") {
        PARTICIPANT
    } else {
        ROOM
    };
    faults(fields, object)
}

fn error_faults(status: u16, object: &Map<String, Value>) -> Vec<String> {
    let mut object = object.clone();
    let mut found = Vec::new();
    if status == 401 && !object.remove("detail").is_some_and(|detail| detail.is_string()) {
        found.push("a 401 has no detail".to_owned());
    }
    // Invalid rules say what is wrong with them.
    if object["code"] == 53215
        && !object
            .remove("details")
            .is_some_and(|details| details["reason"].is_string())
    {
        found.push("a 53215 has no reason".to_owned());
    }
    found.extend(faults(ERROR, &object));
    if object["status"] != status {
        found.push(format!("status is {} in a body of {status}", object["status"]));
    }
    let expected = format!("https://www.twilio.com/docs/errors/{}", object["code"]);
    if object["more_info"] != expected {
        found.push(format!("more_info is {}, not {expected}", object["more_info"]));
    }
    found
}

fn page_faults(object: &Map<String, Value>) -> Vec<String> {
    let Some(meta) = object["meta"].as_object() else {
        return vec!["meta is no object".to_owned()];
    };
    let mut found = faults(META, meta);
    let key = meta.get("key").and_then(Value::as_str).unwrap_or_default();
    let fields = match key {
        "rooms" => ROOM,
        "published_tracks" => PUBLISHED_TRACK,
        "subscribed_tracks" => SUBSCRIBED_TRACK,
        _ => PARTICIPANT,
    };
    if object.len() != 2 {
        found.push(format!("a page has {} members, not 2", object.len()));
    }
    let Some(rows) = object.get(key).and_then(Value::as_array) else {
        found.push(format!("there is no list {key}"));
        return found;
    };
    if rows.len() as u64 > meta.get("page_size").and_then(Value::as_u64).unwrap_or_default() {
        found.push("there are more rows than page_size".to_owned());
    }
    for row in rows {
        match row.as_object() {
            Some(row) => found.extend(faults(fields, row)),
            None => found.push(format!("a row is no object: {row}")),
        }
    }
    found
}

/// What is wrong with an object whose members should be these.
pub fn faults(fields: &[Field], object: &Map<String, Value>) -> Vec<String> {
    let known = |name: &str| fields.iter().any(|field| field.name == name);
    let unknown = object
        .keys()
        .filter(|name| !known(name))
        .map(|name| format!("{name} is not in the contract"));
    let mut found: Vec<String> = unknown.collect();
    for field in fields {
        let Some(value) = object.get(field.name) else {
            found.push(format!("{} is missing", field.name));
            continue;
        };
        let filled = match field.filled {
            Filled::Always => Some(true),
            Filled::Sometimes => None,
            Filled::Once(status) => Some(object.get("status").and_then(Value::as_str) == Some(status)),
        };
        if filled.is_some_and(|filled| filled == value.is_null()) {
            found.push(format!("{} is {value}", field.name));
        } else if !value.is_null() && !fits(field.kind, value, object) {
            found.push(format!("{} is {value}, not {:?}", field.name, field.kind));
        }
    }
    found
}

fn fits(kind: Kind, value: &Value, object: &Map<String, Value>) -> bool {
    let text = value.as_str();
    match kind {
        Kind::Sid(prefix) => text.is_some_and(|text| is_sid(prefix, text)),
        Kind::Text => text.is_some_and(|text| !text.is_empty()),
        Kind::Word(words) => text.is_some_and(|text| words.contains(&text)),
        Kind::Words(words) => value.as_array().is_some_and(|list| {
            let known = list
                .iter()
                .all(|word| word.as_str().is_some_and(|word| words.contains(&word)));
            known && list.iter().enumerate().all(|(at, word)| !list[..at].contains(word))
        }),
        Kind::Time => text.is_some_and(is_time),
        Kind::Bool => value.is_boolean(),
        Kind::Number => value.is_u64(),
        Kind::Url => text.is_some_and(is_url),
        Kind::Rules => value.as_array().is_some_and(|rules| {
            let is_rule = |rule: &Value| rule.as_object().is_some_and(|rule| faults(RULE, rule).is_empty());
            (1..=20).contains(&rules.len()) && rules.iter().all(is_rule)
        }),
        Kind::Links(links) => value.as_object().is_some_and(|object_of_links| {
            let url = object.get("url").and_then(Value::as_str).unwrap_or_default();
            let is = |(name, tail): &(&str, &str)| object_of_links.get(*name) == Some(&format!("{url}{tail}").into());
            object_of_links.len() == links.len() && links.iter().all(is)
        }),
    }
}

/// Whether a text is a SID with these two letters.
pub fn is_sid(prefix: &str, text: &str) -> bool {
    let hex = text.strip_prefix(prefix);
    hex.is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether a text is `YYYY-MM-DDThh:mm:ssZ`.
pub fn is_time(text: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00T00:00:00Z";
    let same = |(given, form): (u8, &u8)| {
        if *form == b'0' {
            given.is_ascii_digit()
        } else {
            given == *form
        }
    };
    text.len() == FORM.len() && text.bytes().zip(FORM).all(same)
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// Holds a table against a schema of the published OpenAPI document. `document` is all of it, for
/// its references. What differs, one sentence each. A table may be stricter: never null where the
/// schema allows null.
pub fn differences(fields: &[Field], schema: &Value, document: &Value) -> Vec<String> {
    let Some(properties) = schema["properties"].as_object() else {
        return vec!["the schema has no properties".into()];
    };
    let known = |name: &str| fields.iter().any(|field| field.name == name);
    let unknown = properties
        .keys()
        .filter(|name| !known(name))
        .map(|name| format!("{name} is not in our table"));
    let mut found: Vec<String> = unknown.collect();
    for field in fields {
        match properties.get(field.name) {
            None => found.push(format!("{} is not in the schema", field.name)),
            Some(property) => found.extend(difference(field, resolved(property, document), document)),
        }
    }
    found
}

fn resolved<'a>(schema: &'a Value, document: &'a Value) -> &'a Value {
    let reference = schema["$ref"]
        .as_str()
        .and_then(|reference| reference.strip_prefix('#'));
    reference
        .and_then(|pointer| document.pointer(pointer))
        .unwrap_or(schema)
}

fn difference(field: &Field, schema: &Value, document: &Value) -> Option<String> {
    let is = |name: &str, expected: &str| schema[name] == expected;
    let words = |schema: &Value, words: &[&str]| {
        let listed: Vec<_> = schema["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        listed.len() == words.len() && words.iter().all(|word| listed.contains(word))
    };
    // The document has no enumeration for `key`: any list has its own.
    let same = match field.kind {
        Kind::Sid(prefix) => {
            is("type", "string")
                && is("pattern", &format!("^{prefix}[0-9a-fA-F]{{32}}$"))
                && schema["minLength"] == 34
                && schema["maxLength"] == 34
        }
        Kind::Text => is("type", "string"),
        Kind::Word(_) if field.name == "key" => is("type", "string"),
        Kind::Word(list) => is("type", "string") && words(schema, list),
        Kind::Words(list) => is("type", "array") && words(resolved(&schema["items"], document), list),
        Kind::Time => is("type", "string") && is("format", "date-time"),
        Kind::Bool => is("type", "boolean"),
        Kind::Number => is("type", "integer"),
        Kind::Url => is("type", "string") && is("format", "uri"),
        // The document gives the members of a rule no words, and says null of them in its examples alone.
        Kind::Rules => {
            let members = resolved(&schema["items"], document)["properties"].as_object();
            let same = |members: &Map<String, Value>| {
                members.len() == RULE.len() && RULE.iter().all(|field| members.contains_key(field.name))
            };
            is("type", "array") && members.is_some_and(same)
        }
        Kind::Links(_) => is("type", "object") && is("format", "uri-map"),
    };
    if !same {
        return Some(format!("{} is {:?} here and {schema} there", field.name, field.kind));
    }
    let null_there = schema["nullable"] == true;
    (field.filled != Filled::Always && !null_there).then(|| format!("{} is null here and never there", field.name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn participant() -> Value {
        let url = "https://video.example.com/v1/Rooms/RM00000000000000000000000000000001/Participants/PA1";
        json!({
            "sid": "PA00000000000000000000000000000001",
            "room_sid": "RM00000000000000000000000000000001",
            "account_sid": "AC00000000000000000000000000000001",
            "status": "connected",
            "identity": "alice",
            "date_created": "2017-07-30T20:00:00Z",
            "date_updated": "2017-07-30T20:00:00Z",
            "start_time": "2017-07-30T20:00:00Z",
            "end_time": null,
            "duration": null,
            "url": url,
            "links": {
                "published_tracks": format!("{url}/PublishedTracks"),
                "subscribed_tracks": format!("{url}/SubscribedTracks"),
                "subscribe_rules": format!("{url}/SubscribeRules"),
                "anonymize": format!("{url}/Anonymize"),
            },
        })
    }

    fn check_change(name: &str, value: Value) {
        let mut body = participant();
        body[name] = value;
        let faults = check(200, &body);
        assert!(faults.iter().any(|fault| fault.starts_with(name)), "{faults:?}");
    }

    #[test]
    fn tracks_and_rules_are_held_against_their_tables() {
        let mut track = json!({
            "sid": "MT00000000000000000000000000000001",
            "participant_sid": "PA00000000000000000000000000000001",
            "room_sid": "RM00000000000000000000000000000001",
            "name": "camera",
            "date_created": "2017-07-30T20:00:00Z",
            "date_updated": null,
            "enabled": true,
            "kind": "video",
            "url": "https://video.example.com/v1/Rooms/RM1/Participants/PA1/PublishedTracks/MT1",
        });
        assert_eq!(check(200, &track), Vec::<String>::new());
        track["publisher_sid"] = json!("PA00000000000000000000000000000002");
        assert_eq!(check(200, &track), Vec::<String>::new());
        track["kind"] = json!("screen");
        assert_eq!(check(200, &track).len(), 1);

        let rule =
            json!({ "type": "include", "all": true, "publisher": null, "track": null, "kind": null, "priority": null });
        let mut rules = json!({
            "participant_sid": "PA00000000000000000000000000000001",
            "room_sid": "RM00000000000000000000000000000001",
            "date_created": "2017-07-30T20:00:00Z",
            "date_updated": "2017-07-30T20:00:00Z",
            "rules": [rule],
        });
        assert_eq!(check(200, &rules), Vec::<String>::new());
        for wrong in [
            json!([]),
            json!([{ "type": "include", "all": true }]),
            json!([{ "type": "add" }]),
            json!(null),
        ] {
            rules["rules"] = wrong;
            assert_eq!(check(200, &rules).len(), 1, "{rules}");
        }
    }

    #[test]
    fn sees_what_is_wrong() {
        assert_eq!(check(200, &participant()), Vec::<String>::new());
        check_change("sid", "PA0".into());
        check_change("status", "away".into());
        check_change("date_created", "2017-07-30T20:00:00.5Z".into());
        check_change("end_time", "2017-07-30T20:00:00Z".into());
        check_change("identity", Value::Null);
        check_change("url", "/v1".into());
        check_change("links", json!({}));
        check_change("count", 1.into());
        let mut body = participant();
        body["status"] = "disconnected".into();
        assert_eq!(check(200, &body), ["end_time is null", "duration is null"]);
        body.as_object_mut().expect("an object").remove("identity");
        assert_eq!(check(200, &body)[0], "identity is missing");
    }

    #[test]
    fn an_error_tells_its_own_status() {
        let body = |status: u16| json!({ "code": 1, "message": "m", "more_info": "https://www.twilio.com/docs/errors/1", "status": status });
        assert_eq!(check(404, &body(404)), Vec::<String>::new());
        assert_eq!(check(404, &body(400)).len(), 1);
        assert_eq!(check(401, &body(401)), ["a 401 has no detail"]);
    }
}
