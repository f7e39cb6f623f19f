//! A new process on the same data: sessions resume, or end; nobody is connected for ever.

use room::ParticipantStatus::{Connected, Disconnected, Reconnecting};
use serde_json::json;
use testkit::postgres::Shell;
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

/// Nobody's time runs while there is no server to come back to; then each has the session timeout.
#[tokio::test]
async fn a_resume_that_comes_too_late_is_told_so_and_the_row_ended_when_the_time_was_over() {
    const SESSION_TIMEOUT_US: i64 = 5_000_000;
    let directory = tempfile::tempdir().unwrap();
    let world = World::in_directory(directory.path()).await;
    let (alice, _) = world.join("alice", "daily").await;
    let (bob, _) = world.join("bob", "daily").await;
    let room = world.room("daily").await;
    let [late, early] = [alice.session.clone(), bob.session.clone()];
    world.server.shutdown().await;
    drop((alice, bob));
    // Away for longer than a session may be lost.
    tokio::time::sleep(std::time::Duration::from_millis(5_500)).await;
    let started = now_us();
    let world = World::in_directory(directory.path()).await;
    let resumed = Client::resume(&world.url, &early, both_tracks(), 1, json!([])).await;
    let _bob = resumed.expect("in time").0;
    let rows = world.settles(&room, &[Disconnected, Connected]).await;
    let row = &rows[0];
    let ended = row.ended.expect("an end").0;
    assert!(ended >= started + SESSION_TIMEOUT_US, "{ended} {started}");
    assert!(ended <= now_us());
    let stay_s = (ended - row.created.0) / 1_000_000;
    let duration_s = i64::try_from(row.duration_s.expect("a duration")).unwrap();
    assert!((stay_s - duration_s).abs() <= 1, "{stay_s} {duration_s}");
    let refusal = Client::resume(&world.url, &late, both_tracks(), 1, json!([]))
        .await
        .err()
        .unwrap();
    assert_eq!((&refusal["type"], &refusal["code"]), (&"error".into(), &53001.into()));
    assert_eq!(
        world.participants(&room).await[0],
        *row,
        "once it has ended nothing changes it"
    );
}

fn now_us() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    now.as_micros().try_into().unwrap()
}

/// A fault of one room is that room's reconnection: it is taken over from the store as after a restart.
#[tokio::test]
async fn a_room_that_the_store_refuses_goes_on_from_what_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::in_directory(directory.path()).await;
    let (mut alice, connected) = world.join("alice", "daily").await;
    let (_other, _) = world.join("bob", "other").await;
    let room = world.room("daily").await;
    // Younger rooms are given up, or they might be refused for ever.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    // Behind the server's back: a track that it will say something about is gone.
    let delete = "DELETE FROM tracks WHERE kind = 'audio'";
    if let Some(mut shell) = Shell::wanted_in(directory.path()) {
        shell.run(&format!("SET session_replication_role = replica; {delete}"));
    } else {
        let shell = rusqlite::Connection::open(directory.path().join("rotunda.db")).unwrap();
        shell
            .execute_batch(&format!("PRAGMA foreign_keys = OFF; {delete}"))
            .unwrap();
    }
    let mut tracks = both_tracks();
    tracks[0]["enabled"] = false.into();
    alice.announce(tracks.clone()).await;
    let gone = loop {
        match alice.message().await {
            Ok(_) => {}
            Err(gone) => break gone,
        }
    };
    assert_eq!(gone, Gone::Closed(1012), "1012 makes the SDK resume");
    let session = alice.session.clone();
    let resumed = Client::resume(&world.url, &session, tracks, 3, json!([])).await;
    let (_alice, synced) = resumed.expect("the session is there");
    assert_eq!(synced["participant"], connected["participant"]);
    assert!(
        synced["subscribed"]["revision"].as_u64().unwrap() > 1 << 32,
        "of the next epoch"
    );
    let rows = world.settles(&room, &[Connected]).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(
        world.rooms(room::RoomStatus::InProgress, "other").await.len(),
        1,
        "other rooms are not touched"
    );
}
