//! A new process on the same data: sessions resume, or end; nobody is connected for ever.

use room::ParticipantStatus::{Connected, Disconnected, Reconnecting};
use serde_json::json;
use testkit::signaling::{Client, Gone, both_tracks};

use crate::world::World;

#[tokio::test]
async fn a_stopped_server_leaves_rows_reconnecting_and_the_next_resumes_them() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::in_directory(directory.path()).await;
    let (mut alice, connected) = world.join("alice", "daily").await;
    let (bob, _) = world.join("bob", "daily").await;
    let room = world.room("daily").await;
    let session = alice.session.clone();
    let store = std::sync::Arc::clone(&world.server.app().store);
    world.server.shutdown().await;
    let gone = loop {
        match alice.message().await {
            Ok(_) => {}
            Err(gone) => break gone,
        }
    };
    assert_eq!(gone, Gone::Closed(1012), "1012 makes the SDK resume");
    let row = store
        .participant(
            room.account,
            room.new.sid,
            connected["participant"]["sid"].as_str().unwrap().parse().unwrap(),
        )
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row.status, Reconnecting, "before the next process even starts");
    bob.cut();
    drop(store);

    let world = World::in_directory(directory.path()).await;
    let (_alice, synced) = Client::resume(&world.url, &session, both_tracks(), 1, json!([{ "id": "pc" }]))
        .await
        .unwrap();
    assert_eq!(synced["participant"], connected["participant"]);
    assert_eq!(synced["published"]["tracks"], connected["published"]["tracks"]);
    let states = synced["peer_connections"].as_array().unwrap();
    assert_eq!(
        (states[0]["id"].as_str(), states[0]["description"]["type"].as_str()),
        (Some("pc"), Some("close"))
    );
    assert_eq!(states[1]["description"]["type"], "create-offer");
    assert!(
        states[1]["description"]["revision"].as_u64().unwrap() > 1 << 32,
        "revisions go on from the room's epoch"
    );
    assert!(synced["subscribed"]["revision"].as_u64().unwrap() > 1 << 32);
    // Bob does not come back: an end, at a defined time.
    let rows = world.settles(&room, &[Connected, Disconnected]).await;
    assert!(rows[1].ended.is_some());
}

#[tokio::test]
async fn nobody_comes_back_and_the_room_ends() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::in_directory(directory.path()).await;
    let (alice, _) = world.join("alice", "daily").await;
    let room = world.room("daily").await;
    world.server.shutdown().await;
    alice.cut();
    let world = World::in_directory(directory.path()).await;
    world.settles(&room, &[Disconnected]).await;
    assert_eq!(world.rooms(room::RoomStatus::Completed, "daily").await.len(), 1);
}
