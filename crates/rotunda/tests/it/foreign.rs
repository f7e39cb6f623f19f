//! What belongs to another account answers like what nobody has, byte for byte, in every operation of the API.

use std::collections::BTreeMap;

use room::{Change, Priority, Track, TrackKind, TrackSid};
use testkit::operations::{OPERATIONS, Operation};

use crate::world::{ACCOUNT, Answer, OTHERS, World, at, authorization, basic, connected, participant_sid, room_sid};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/api/twilio_video_v1.json");

/// Resources that the published document leaves out and the manual has.
const NOT_IN_THE_DOCUMENT: &str = "/Media";

/// The places of a path, outermost first, each as the kind of thing that it names.
fn places(path: &str) -> Vec<&'static str> {
    let segments: Vec<&str> = path.split('/').collect();
    let kind = |before: &str| match before {
        "Rooms" => "room",
        "Participants" => "participant",
        "PublishedTracks" | "SubscribedTracks" => "track",
        "Recordings" => "recording",
        "Transcriptions" => "transcription",
        "Compositions" => "composition",
        "CompositionHooks" => "hook",
        other => panic!("{path}: a place after {other}"),
    };
    let pairs = segments.windows(2).filter(|pair| pair[1].starts_with('{'));
    pairs.map(|pair| kind(pair[0])).collect()
}

/// The path and the form of an operation with these in its places.
fn filled(operation: &Operation, names: &[String], room: &str) -> (String, String) {
    let mut names = names.iter();
    let segments = operation.path.split('/').map(|segment| {
        if segment.starts_with('{') {
            names.next().unwrap().clone()
        } else {
            segment.to_owned()
        }
    });
    let path = segments.collect::<Vec<_>>().join("/");
    (path, operation.form.replace("{RoomSid}", room))
}

/// All of an answer, with `mine` read as `others`; the date may differ.
fn bytes(answer: &Answer, pairs: &[(String, String)]) -> (u16, BTreeMap<String, String>, String) {
    let mut text = answer.text.clone();
    for (from, to) in pairs {
        text = text.replace(from, to);
    }
    let mut headers = answer.headers.clone();
    headers.remove("date");
    (answer.status, headers, text)
}

async fn ask(world: &World, operation: &Operation, path: &str, form: &str) -> Answer {
    let content_type = "Content-Type: application/x-www-form-urlencoded".to_owned();
    let headers = [authorization(), content_type];
    world.raw(operation.method, path, &headers, form.as_bytes()).await
}

/// By SIDs, and by names where a place takes one; names have one length, so that lengths tell nothing either.
fn of(kind: &str, by_name: bool, who: &str) -> String {
    let number = match who {
        "ours" => 1,
        "theirs" => 2,
        _ => 3,
    };
    let sid = |prefix: &str| format!("{prefix}{:032x}", 0xabc0 + number);
    match (kind, by_name) {
        ("room", true) => format!("room-{number}"),
        ("participant", true) => format!("person-{number}"),
        ("track", true) => format!("track-{number}"),
        ("room", false) => sid("RM"),
        ("participant", false) => sid("PA"),
        ("track", false) => sid("MT"),
        ("recording", _) => sid("RT"),
        ("composition", _) => sid("CJ"),
        ("hook", _) => sid("HK"),
        ("transcription", _) => format!("video_extension_{number}"),
        _ => unreachable!(),
    }
}

/// A room in progress with a participant and its track, of this account, all named as `of` says.
async fn fill(world: &World, account: room::AccountSid, who: &str) {
    let number = if who == "ours" { 0xabc1 } else { 0xabc2 };
    let new = crate::world::new_room(room_sid(number), Some(&of("room", true, who)), 0);
    let room = world.store().create_room(account, new).await.unwrap().new.sid;
    let participant = participant_sid(number);
    let track = Track {
        sid: TrackSid::from_bytes(number.to_be_bytes()),
        media_id: "media".to_owned(),
        kind: TrackKind::Video,
        name: of("track", true, who),
        enabled: true,
        priority: Priority::Standard,
    };
    let changes = vec![
        connected(participant, &of("participant", true, who), at(1)),
        Change::TrackPublished {
            participant,
            track,
            at: at(2),
        },
    ];
    world.store().write(account, room, 1, changes).await.unwrap();
    assert_eq!(room.to_string(), of("room", false, who), "named as `of` says");
}

#[tokio::test]
async fn every_operation_answers_foreign_names_like_unknown_ones() {
    let world = World::start().await;
    world.store().put_account(store::Account::new(OTHERS)).await.unwrap();
    fill(&world, ACCOUNT, "ours").await;
    fill(&world, OTHERS, "theirs").await;
    let before = world.store().room(OTHERS, room_sid(0xabc2)).await.unwrap();
    let mut compared = 0;
    for operation in OPERATIONS {
        let places = places(operation.path);
        // The first places are ours, the others are not: in each of them something foreign is tried.
        for (ours, by_name) in (0..places.len()).flat_map(|ours| [(ours, false), (ours, true)]) {
            let fill = |who: &str| -> Vec<String> {
                let who = |at: usize| if at < ours { "ours" } else { who };
                places
                    .iter()
                    .enumerate()
                    .map(|(at, kind)| of(kind, by_name, who(at)))
                    .collect()
            };
            let (theirs, nobodys) = (fill("theirs"), fill("nobodys"));
            let (path, form) = filled(operation, &theirs, &of("room", false, "theirs"));
            let foreign = ask(&world, operation, &path, &form).await;
            let (path, form) = filled(operation, &nobodys, &of("room", false, "nobodys"));
            let unknown = ask(&world, operation, &path, &form).await;
            let pairs: Vec<(String, String)> = theirs.into_iter().zip(nobodys).collect();
            assert_eq!(bytes(&foreign, &pairs), bytes(&unknown, &[]), "{operation:?} {pairs:?}");
            assert!([404, 501].contains(&foreign.status), "{operation:?}: {}", foreign.text);
            compared += 1;
        }
        if places.is_empty() && !operation.form.contains("{RoomSid}") {
            let answer = ask(&world, operation, operation.path, operation.form).await;
            let shows = ["room", "participant", "track"].iter().any(|kind| {
                let names = [of(kind, false, "theirs"), of(kind, true, "theirs")];
                names.iter().any(|name| answer.text.contains(name))
            });
            assert!(!shows, "{operation:?}: {}", answer.text);
        }
        if operation.form.contains("{RoomSid}") {
            let of_room = |who| (of("room", false, who), filled(operation, &[], &of("room", false, who)));
            let (theirs, (path, form)) = of_room("theirs");
            let foreign = ask(&world, operation, &path, &form).await;
            let (nobodys, (path, form)) = of_room("nobodys");
            let unknown = ask(&world, operation, &path, &form).await;
            assert_eq!(
                bytes(&foreign, &[(theirs, nobodys)]),
                bytes(&unknown, &[]),
                "{operation:?}"
            );
            compared += 1;
        }
    }
    assert!(compared > 80, "only {compared} pairs were compared");
    let after = world.store().room(OTHERS, room_sid(0xabc2)).await.unwrap();
    assert_eq!(after, before, "nothing foreign was changed");
    let participant = world
        .store()
        .participant(OTHERS, room_sid(0xabc2), participant_sid(0xabc2));
    assert!(participant.await.unwrap().unwrap().ended.is_none());
}

/// Who has no right at all is told so before anything is looked for.
#[tokio::test]
async fn every_operation_wants_credentials_first() {
    let world = World::start().await;
    for operation in OPERATIONS {
        let names: Vec<String> = places(operation.path)
            .iter()
            .map(|kind| of(kind, false, "nobodys"))
            .collect();
        let (path, form) = filled(operation, &names, "");
        let wrong = [basic(&ACCOUNT.to_string(), "not the auth token")];
        for headers in [&wrong[..], &[]] {
            let answer = world.raw(operation.method, &path, headers, form.as_bytes()).await;
            assert_eq!(answer.error(), (401, 20003), "{operation:?}");
        }
    }
}

#[test]
fn the_table_of_operations_is_the_published_one_or_that_is_absent() {
    let Ok(document) = std::fs::read_to_string(DOCUMENT) else {
        println!("the published document is not beside this checkout: nothing to compare with");
        return;
    };
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    let mut published: Vec<(String, String)> = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let methods = item
            .as_object()
            .unwrap()
            .keys()
            .filter(|name| ["get", "post", "delete"].contains(&name.as_str()));
        published.extend(methods.map(|method| (path.clone(), method.to_uppercase())));
    }
    let ours = OPERATIONS
        .iter()
        .filter(|operation| !operation.path.ends_with(NOT_IN_THE_DOCUMENT));
    let mut ours: Vec<(String, String)> = ours
        .map(|operation| (operation.path.to_owned(), operation.method.to_owned()))
        .collect();
    ours.sort();
    published.sort();
    assert_eq!(ours, published);
}
