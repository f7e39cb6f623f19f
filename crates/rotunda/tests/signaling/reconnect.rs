//! Sockets that are lost: reconnecting, resumed as the same participant, or an end.

use std::time::Duration;

use room::ParticipantStatus::{Connected, Disconnected, Reconnecting};
use serde_json::json;
use testkit::signaling::{Client, Gone, both_tracks};

use crate::world::World;

#[tokio::test]
async fn a_lost_socket_is_reconnecting_and_resumes_as_the_same_participant() {
    let world = World::new().await;
    let (mut bob, _) = world.join("bob", "daily").await;
    let (alice, connected) = world.join("alice", "daily").await;
    assert_eq!(bob.sees("alice").await.unwrap(), "connected");
    let room = world.room("daily").await;
    let session = alice.session.clone();
    alice.cut();
    assert_eq!(bob.sees("alice").await.unwrap(), "reconnecting");
    world.settles(&room, &[Connected, Reconnecting]).await;

    let (_alice, synced) = Client::resume(&world.url, &session, both_tracks(), 1, json!([{ "id": "pc" }]))
        .await
        .unwrap();
    assert_eq!(synced["participant"], connected["participant"]);
    assert_eq!(synced["participants"][0]["identity"], "bob");
    assert_eq!(
        synced["published"]["tracks"], connected["published"]["tracks"],
        "the same track SIDs"
    );
    assert!(synced["subscribed"]["revision"].as_u64() > connected["subscribed"]["revision"].as_u64());
    assert_eq!(synced["peer_connections"][0]["id"], "pc", "the peer connection is kept");
    assert_eq!(bob.sees("alice").await.unwrap(), "connected");
    let rows = world.settles(&room, &[Connected, Connected]).await;
    assert_eq!(
        rows[1].sid.to_string(),
        connected["participant"]["sid"].as_str().unwrap()
    );
}

#[tokio::test]
async fn a_session_that_nobody_resumes_ends() {
    let world = World::with(|settings| settings.session_timeout = Duration::from_secs(1)).await;
    let (mut bob, _) = world.join("bob", "daily").await;
    let (alice, _) = world.join("alice", "daily").await;
    bob.sees("alice").await.unwrap();
    let session = alice.session.clone();
    alice.cut();
    assert_eq!(bob.sees("alice").await.unwrap(), "reconnecting");
    assert_eq!(bob.sees("alice").await.unwrap(), "disconnected");
    let rows = world
        .settles(&world.room("daily").await, &[Connected, Disconnected])
        .await;
    let stay = rows[1].ended.unwrap().0 - rows[1].created.0;
    assert!(stay >= 1_000_000, "the end is when the session ran out: {stay} µs");
    let refusal = Client::resume(&world.url, &session, both_tracks(), 1, json!([]))
        .await
        .err()
        .unwrap();
    assert_eq!(refusal["code"], 53001);
}

#[tokio::test]
async fn a_sync_on_a_new_socket_overtakes_the_old_one() {
    let world = World::new().await;
    let (_bob, _) = world.join("bob", "daily").await;
    let (mut old, _) = world.join("alice", "daily").await;
    let room = world.room("daily").await;
    let (mut new, _) = Client::resume(&world.url, &old.session, both_tracks(), 1, json!([{ "id": "pc" }]))
        .await
        .unwrap();
    let gone = loop {
        match old.message().await {
            Ok(_) => {}
            Err(gone) => break gone,
        }
    };
    assert_eq!(gone, Gone::Closed(4000));
    old.cut();
    // The late end of the old socket is no end of the participant.
    new.announce(both_tracks()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.settles(&room, &[Connected, Connected]).await;
}

#[tokio::test]
async fn news_missed_while_away_are_in_synced() {
    let world = World::new().await;
    let (bob, _) = world.join("bob", "daily").await;
    let (alice, _) = world.join("alice", "daily").await;
    let session = alice.session.clone();
    alice.cut();
    let room = world.room("daily").await;
    world.settles(&room, &[Connected, Reconnecting]).await;
    let (_carol, _) = world.join("carol", "daily").await;
    bob.leave().await;
    world.settles(&room, &[Disconnected, Reconnecting, Connected]).await;
    let (_alice, synced) = Client::resume(&world.url, &session, both_tracks(), 1, json!([{ "id": "pc" }]))
        .await
        .unwrap();
    let others: Vec<&str> = synced["participants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|other| other["identity"].as_str().unwrap())
        .collect();
    assert_eq!(others, ["carol"]);
    assert_eq!(synced["subscribed"]["tracks"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn tracks_published_while_away_count_from_the_sync() {
    let world = World::new().await;
    let (mut bob, _) = world.join("bob", "daily").await;
    let (alice, _) = world.join("alice", "daily").await;
    let session = alice.session.clone();
    alice.cut();
    let mut tracks = both_tracks();
    tracks
        .as_array_mut()
        .unwrap()
        .push(testkit::signaling::track("notes", "data", "notes"));
    let (_alice, synced) = Client::resume(&world.url, &session, tracks, 2, json!([{ "id": "pc" }]))
        .await
        .unwrap();
    assert_eq!(synced["published"]["tracks"].as_array().unwrap().len(), 3);
    bob.until(|message| (message["participants"][0]["tracks"].as_array()?.len() == 3).then_some(()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_wrong_session_is_refused() {
    let world = World::new().await;
    let (alice, _) = world.join("alice", "daily").await;
    let mut forged = alice.session.clone();
    forged.replace_range(120..128, "00000000");
    for session in ["", "nonsense", forged.as_str()] {
        let refusal = Client::resume(&world.url, session, both_tracks(), 1, json!([]))
            .await
            .err()
            .unwrap();
        assert_eq!(refusal["code"], 53001, "{session}");
    }
}
