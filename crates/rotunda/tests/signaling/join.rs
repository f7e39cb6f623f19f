//! Coming in: who is let in, what everyone is told, and what the list says then.

use room::ParticipantStatus::{Connected, Disconnected};
use rotunda::access_token;
use serde_json::json;
use testkit::signaling::{CAMERA, Client, MICROPHONE};

use crate::world::{World, now_s};

#[tokio::test]
async fn the_row_is_there_before_connected() {
    let world = World::new().await;
    let (_alice, connected) = world.join("alice", "daily").await;
    let rows = world.participants(&world.room("daily").await).await;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].identity.as_str(), rows[0].status), ("alice", Connected));
    assert_eq!(
        connected["participant"],
        json!({ "sid": rows[0].sid.to_string(), "identity": "alice" })
    );
    assert_eq!(connected["name"], "daily");
    assert_eq!(connected["options"]["session_timeout"], 30);
    assert_eq!(connected["participants"], json!([]));
    assert_eq!(connected["recording"], json!({ "is_recording": false, "revision": 1 }));
    let published = connected["published"]["tracks"].as_array().unwrap();
    assert_eq!(
        published
            .iter()
            .map(|track| track["id"].as_str().unwrap())
            .collect::<Vec<_>>(),
        [MICROPHONE, CAMERA]
    );
    assert!(
        published
            .iter()
            .all(|track| track["state"] == "ready" && track["sid"].as_str().unwrap().starts_with("MT"))
    );
    let answer = &connected["peer_connections"][0];
    assert_eq!(
        (
            answer["id"].as_str(),
            answer["description"]["type"].as_str(),
            answer["description"]["revision"].as_u64()
        ),
        (Some("pc"), Some("answer"), Some(1))
    );
    assert!(
        answer["description"]["sdp"]
            .as_str()
            .unwrap()
            .contains("a=ice-lite\r\n")
    );
}

#[tokio::test]
async fn both_see_each_other_with_tracks_and_subscriptions() {
    let world = World::new().await;
    let (mut alice, _) = world.join("alice", "daily").await;
    let (_bob, connected) = world.join("bob", "daily").await;
    assert_eq!(connected["participants"][0]["identity"], "alice");
    assert_eq!(connected["participants"][0]["tracks"].as_array().unwrap().len(), 2);
    let subscribed = connected["subscribed"]["tracks"].as_array().unwrap();
    assert_eq!(subscribed.len(), 2);
    let sdp = connected["peer_connections"][0]["description"]["sdp"].as_str().unwrap();
    for track in subscribed {
        let id = track["id"].as_str().unwrap();
        assert!(
            sdp.lines()
                .any(|line| line.starts_with("a=msid:") && line.ends_with(&format!(" {id}"))),
            "{id} in the first answer"
        );
    }
    assert_eq!(alice.sees("bob").await.unwrap(), "connected");
}

#[tokio::test]
async fn application_section_is_offered_after_the_first_answer() {
    let world = World::new().await;
    let (mut alice, _) = world.join("alice", "daily").await;
    let offer = alice
        .until(|message| {
            message["peer_connections"][0]["description"]["sdp"]
                .as_str()
                .map(str::to_owned)
        })
        .await
        .unwrap();
    assert!(offer.contains("m=application "), "{offer}");
}

#[tokio::test]
async fn a_client_without_tracks_or_offer_is_let_in() {
    let world = World::new().await;
    let token = world.token("alice", None);
    let (_alice, connected) = Client::join_with(&world.url, &token, Some("daily"), json!([]), None)
        .await
        .unwrap();
    assert_eq!(connected["published"]["tracks"], json!([]));
}

#[tokio::test]
async fn the_room_comes_from_the_token_or_is_new() {
    let world = World::new().await;
    let (_alice, connected) = Client::join(&world.url, &world.token("alice", Some("granted")), None)
        .await
        .unwrap();
    assert_eq!(connected["name"], "granted");
    let (_bob, connected) = Client::join(&world.url, &world.token("bob", None), None).await.unwrap();
    assert_eq!(
        connected["name"], connected["sid"],
        "a room without a name has its SID as name"
    );
}

#[tokio::test]
async fn a_room_is_joined_by_sid_too() {
    let world = World::new().await;
    let (_alice, first) = world.join("alice", "daily").await;
    let (_bob, second) = world.join("bob", first["sid"].as_str().unwrap()).await;
    assert_eq!(second["sid"], first["sid"]);
    assert_eq!(second["name"], "daily");
}

#[tokio::test]
async fn each_fault_of_a_token_has_its_code() {
    let world = World::new().await;
    let key = world.key();
    let now = now_s();
    let forged = rotunda::credentials::ApiKey {
        secret: "another secret".to_owned(),
        ..key.clone()
    };
    let stranger = rotunda::credentials::ApiKey {
        sid: "SK00000000000000000000000000000000".parse().unwrap(),
        ..key.clone()
    };
    let cases = [
        (20101, "no token".to_owned()),
        (20103, access_token::issue(&stranger, "alice", None, 60, now).unwrap()),
        (20104, access_token::issue(&key, "alice", None, 60, now - 3600).unwrap()),
        (20105, access_token::issue(&key, "alice", None, 60, now + 3600).unwrap()),
        (
            20106,
            access_token::issue(&key, "alice", Some("elsewhere"), 60, now).unwrap(),
        ),
        (20107, access_token::issue(&forged, "alice", None, 60, now).unwrap()),
        (
            53201,
            access_token::issue(&key, &"a".repeat(129), None, 60, now).unwrap(),
        ),
    ];
    for (code, token) in cases {
        let refusal = Client::join(&world.url, &token, Some("daily"))
            .await
            .err()
            .unwrap_or_else(|| panic!("{code} was let in"));
        assert_eq!(
            (refusal["type"].as_str(), refusal["code"].as_u64()),
            (Some("error"), Some(code))
        );
    }
    assert!(
        world.rooms(room::RoomStatus::InProgress, "daily").await.is_empty(),
        "nobody was let in, no room was made"
    );
}

#[tokio::test]
async fn the_same_identity_again_takes_the_place_of_the_older() {
    let world = World::new().await;
    let (mut carol, _) = world.join("carol", "daily").await;
    let (mut older, first) = world.join("alice", "daily").await;
    let (_newer, second) = world.join("alice", "daily").await;
    assert_ne!(first["participant"]["sid"], second["participant"]["sid"]);
    assert_eq!(older.dismissal().await.unwrap()["code"], 53205);
    let rows = world
        .settles(&world.room("daily").await, &[Connected, Disconnected, Connected])
        .await;
    assert!(rows[1].ended.is_some() && rows[1].duration_s.is_some());
    assert_eq!(carol.sees("alice").await.unwrap(), "connected");
    let states = carol
        .until(|message| {
            let others = message["participants"].as_array()?;
            others
                .iter()
                .any(|other| other["state"] == "disconnected")
                .then(|| others.clone())
        })
        .await
        .unwrap();
    assert!(
        states
            .iter()
            .any(|other| other["sid"] == first["participant"]["sid"] && other["state"] == "disconnected")
    );
}

#[tokio::test]
async fn a_full_room_refuses_with_53105_and_makes_no_row() {
    let world = World::with(|settings| settings.rooms.max_participants = 1).await;
    let (_alice, _) = world.join("alice", "daily").await;
    let refusal = Client::join(&world.url, &world.token("bob", None), Some("daily"))
        .await
        .err()
        .unwrap();
    assert_eq!(refusal["code"], 53105);
    assert_eq!(world.participants(&world.room("daily").await).await.len(), 1);
}

#[tokio::test]
async fn an_offer_that_is_garbage_makes_no_row() {
    let world = World::new().await;
    let (_alice, _) = world.join("alice", "daily").await;
    let refusal = Client::join_with(
        &world.url,
        &world.token("bob", None),
        Some("daily"),
        json!([]),
        Some("v=0\r\ngarbage"),
    )
    .await
    .err()
    .unwrap();
    assert_eq!(refusal["code"], 53403);
    assert_eq!(world.participants(&world.room("daily").await).await.len(), 1);
}

#[tokio::test]
async fn names_that_cannot_be_are_refused() {
    let world = World::new().await;
    let token = world.token("alice", None);
    for (name, code) in [
        ("a".repeat(129), 53101),
        ("a\0b".to_owned(), 53102),
        ("RM00000000000000000000000000000000".to_owned(), 53106),
    ] {
        let refusal = Client::join(&world.url, &token, Some(&name)).await.err().unwrap();
        assert_eq!(refusal["code"], code, "{name}");
    }
}

#[tokio::test]
async fn thirty_at_once_all_come_in_in_order() {
    let world = World::new().await;
    let joins = (0..30).map(|index| {
        let token = world.token(&format!("guest-{index}"), None);
        let url = world.url.clone();
        tokio::spawn(async move {
            Client::join(&url, &token, Some("daily"))
                .await
                .map(|(client, _)| client)
        })
    });
    let mut clients = Vec::new();
    for join in joins.collect::<Vec<_>>() {
        clients.push(join.await.unwrap().expect("let in"));
    }
    let rows = world.participants(&world.room("daily").await).await;
    assert_eq!(rows.len(), 30);
    assert!(
        rows.is_sorted_by(|a, b| a.created < b.created),
        "times of creation are strictly increasing"
    );
}
