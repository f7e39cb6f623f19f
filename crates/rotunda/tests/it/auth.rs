//! Who may ask, and that nobody sees what is another's.

use crate::world::{ACCOUNT, AUTH_TOKEN, KEY, SECRET, World, authorization, basic, room_sid};

#[tokio::test]
async fn both_pairs_are_taken() {
    let world = World::start().await;
    for header in [basic(&ACCOUNT.to_string(), AUTH_TOKEN), basic(&KEY.to_string(), SECRET)] {
        assert_eq!(world.raw("GET", "/v1/Rooms", &[header], b"").await.status, 200);
    }
}

#[tokio::test]
async fn everything_else_is_401_on_every_path() {
    let world = World::start().await;
    let wrong = [
        vec![],
        vec!["Authorization: Bearer x".to_owned()],
        vec!["Authorization: Basic !".to_owned()],
        vec![basic(&ACCOUNT.to_string(), SECRET)],
        vec![basic(&KEY.to_string(), AUTH_TOKEN)],
        vec![basic("", "")],
        vec![format!("Authorization: Basic {}", "A".repeat(5000))],
    ];
    for headers in &wrong {
        let answer = world.raw("GET", "/v1/Rooms", headers, b"").await;
        assert_eq!(answer.error(), (401, 20003), "{headers:?}");
        assert_eq!(answer.headers["www-authenticate"], "Basic realm=\"Rotunda\"");
        assert_eq!(answer.json()["message"], "Authentication Error - invalid username");
    }
    for path in [
        "/v1",
        "/v1/Nothing",
        "/v1/Rooms/x",
        "/v1/Rooms/x/Participants/y",
        "/v1/Compositions",
    ] {
        assert_eq!(world.raw("GET", path, &[], b"").await.error(), (401, 20003), "{path}");
    }
    assert_eq!(world.raw("POST", "/v1/Rooms", &[], b"").await.error(), (401, 20003));
    assert_eq!(world.raw("PUT", "/v1/Rooms", &[], b"").await.error(), (401, 20003));
}

#[tokio::test]
async fn another_accounts_room_answers_like_an_unknown_one() {
    let world = World::start().await;
    let foreign = world.foreign_room(Some("theirs")).await.to_string();
    let unknown = room_sid(0xdead).to_string();
    for tail in [
        "",
        "/Participants",
        "/Participants/PA00000000000000000000000000000001",
        "/Participants/alice",
        "/Participants/alice/PublishedTracks",
        "/Participants/PA00000000000000000000000000000001/PublishedTracks/camera",
        "/Participants/PA00000000000000000000000000000001/SubscribedTracks",
        "/Participants/alice/SubscribedTracks/MT00000000000000000000000000000001",
        "/Participants/PA00000000000000000000000000000001/SubscribeRules",
    ] {
        let theirs = world.get(&format!("/v1/Rooms/{foreign}{tail}")).await;
        let nobodys = world.get(&format!("/v1/Rooms/{unknown}{tail}")).await;
        assert_eq!(theirs.error(), (404, 20404));
        assert_eq!(theirs.text.replace(&foreign, &unknown), nobodys.text);
        assert_eq!(
            theirs.headers.keys().collect::<Vec<_>>(),
            nobodys.headers.keys().collect::<Vec<_>>()
        );
    }
    assert_eq!(world.get("/v1/Rooms/theirs").await.error(), (404, 20404));
    let update = world.post(&format!("/v1/Rooms/{foreign}"), "Status=completed").await;
    assert_eq!(update.error(), (404, 20404));
    assert!(world.get("/v1/Rooms").await.column("sid").is_empty());
    assert!(world.get("/v1/Rooms?UniqueName=theirs").await.column("sid").is_empty());
}

#[tokio::test]
async fn unknown_paths_and_methods() {
    let world = World::start().await;
    for path in [
        "/v1",
        "/v1/",
        "/v1/rooms",
        "/v1/Nothing",
        "/v1/Rooms//Participants",
        "/v1/Rooms/x/participants",
    ] {
        let answer = world.get(path).await;
        assert_eq!(answer.error(), (404, 20404), "{path}");
        let below = path.strip_prefix("/v1").unwrap();
        assert_eq!(
            answer.json()["message"],
            format!("The requested resource {below} was not found")
        );
    }
    for (method, path) in [
        ("DELETE", "/v1/Rooms"),
        ("PUT", "/v1/Rooms/x"),
        ("POST", "/v1/Rooms/x/Participants"),
        ("POST", "/v1/Rooms/x/Participants/y/PublishedTracks"),
        ("DELETE", "/v1/Rooms/x/Participants/y/PublishedTracks/z"),
        ("POST", "/v1/Rooms/x/Participants/y/SubscribedTracks"),
        ("POST", "/v1/Rooms/x/Participants/y/SubscribedTracks/z/"),
        ("DELETE", "/v1/Rooms/x/Participants/y/SubscribeRules"),
    ] {
        let answer = world.raw(method, path, &[authorization()], b"").await;
        assert_eq!(answer.error(), (405, 20004), "{method} {path}");
        assert!(answer.headers["allow"].contains("GET"), "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_not_there_yet_says_so() {
    let world = World::start().await;
    let room = world.room(None, 0).await;
    for (path, name) in [
        (format!("/v1/Rooms/{room}/RecordingRules"), "RecordingRules"),
        (format!("/v1/Rooms/{room}/Recordings"), "Recordings"),
        (format!("/v1/Rooms/{room}/Transcriptions/x"), "Transcriptions"),
        ("/v1/Recordings".to_owned(), "Recordings"),
        ("/v1/Compositions/".to_owned(), "Compositions"),
        ("/v1/CompositionHooks/x".to_owned(), "CompositionHooks"),
        ("/v1/RecordingSettings/Default".to_owned(), "RecordingSettings"),
        ("/v1/CompositionSettings/Default".to_owned(), "CompositionSettings"),
    ] {
        let answer = world.get(&path).await;
        assert_eq!(answer.error(), (501, 20501), "{path}");
        assert_eq!(answer.json()["message"], format!("Rotunda does not have {name} yet"));
    }
}
