//! The project's tables against the published OpenAPI document, where that is there.

use serde_json::Value;
use testkit::contract::{
    ANONYMIZED, META, PARTICIPANT, PUBLISHED_TRACK, ROOM, SUBSCRIBE_RULES, SUBSCRIBED_TRACK, differences,
};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/api/twilio_video_v1.json");

#[test]
fn tables_agree_with_the_openapi_document_or_it_is_absent() {
    let Ok(document) = std::fs::read_to_string(DOCUMENT) else {
        println!("the published document is not beside this checkout: nothing to compare with");
        return;
    };
    let document: Value = serde_json::from_str(&document).unwrap();
    let schema = |name: &str| document["components"]["schemas"][name].clone();
    let meta = document["paths"]["/v1/Rooms"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        ["properties"]["meta"]
        .clone();
    for (table, schema) in [
        (ROOM, schema("video.v1.room")),
        (PARTICIPANT, schema("video.v1.room.room_participant")),
        (
            ANONYMIZED,
            schema("video.v1.room.room_participant.room_participant_anonymize"),
        ),
        (
            PUBLISHED_TRACK,
            schema("video.v1.room.room_participant.room_participant_published_track"),
        ),
        (
            SUBSCRIBED_TRACK,
            schema("video.v1.room.room_participant.room_participant_subscribed_track"),
        ),
        (
            SUBSCRIBE_RULES,
            schema("video.v1.room.room_participant.room_participant_subscribe_rule"),
        ),
        (META, meta),
    ] {
        assert_eq!(differences(table, &schema, &document), Vec::<String>::new());
    }
}
