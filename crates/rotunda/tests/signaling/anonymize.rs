//! Identities erased while people are in the room, and what is left of them in the files.

use std::path::Path;

use room::ParticipantStatus::{Connected, Disconnected, Reconnecting};
use serde_json::{Value, json};
use testkit::signaling::{Client, both_tracks};

use crate::world::World;

/// Names of the files that have this text.
fn files_with(directory: &Path, text: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.is_file())
        .filter(|path| {
            let bytes = std::fs::read(path).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect()
}

fn sid(connected: &Value) -> room::ParticipantSid {
    connected["participant"]["sid"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn one_who_is_in_the_room_stays_and_is_nowhere_by_the_old_identity() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::in_directory(directory.path()).await;
    let (alice, connected) = world.join("alice-the-erased", "daily").await;
    let (mut bob, _) = world.join("bob", "daily").await;
    let room = world.room("daily").await;
    let erased = sid(&connected);
    // The files of PostgreSQL are searched by tests/postgres.rs of the store.
    let is_apart = world.server.app().settings.database.is_some();
    assert_eq!(files_with(directory.path(), "alice-the-erased").is_empty(), is_apart);
    let rooms = world.server.app().rooms.clone();
    let row = rooms
        .anonymize_audited(room.account, room.new.sid, erased, None)
        .await
        .unwrap();
    assert_eq!((row.identity, row.status), (erased.to_string(), Connected));
    assert_eq!(files_with(directory.path(), "alice-the-erased"), Vec::<String>::new());

    // Who comes later is told the SID; the identity is free for another.
    let (_carol, seen) = world.join("carol", "daily").await;
    let names: Vec<&str> = seen["participants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|other| other["identity"].as_str().unwrap())
        .collect();
    assert_eq!(names, [erased.to_string().as_str(), "bob"]);
    let (_alice, again) = world.join("alice-the-erased", "daily").await;
    assert_ne!(sid(&again), erased);
    world.settles(&room, &[Connected; 4]).await;

    // A new process knows it by the SID too, and its session goes on.
    let session = alice.session.clone();
    alice.cut();
    assert_eq!(bob.sees(&erased.to_string()).await.unwrap(), "reconnecting");
    let (_alice, synced) = Client::resume(&world.url, &session, both_tracks(), 1, json!([{ "id": "pc" }]))
        .await
        .unwrap();
    assert_eq!(
        synced["participant"],
        json!({ "sid": erased.to_string(), "identity": erased.to_string() })
    );
}

#[tokio::test]
async fn one_who_is_away_or_gone_is_erased_too() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::in_directory(directory.path()).await;
    let (alice, first) = world.join("alice-the-lost", "daily").await;
    let (bob, second) = world.join("bob-the-gone", "daily").await;
    let (_carol, _) = world.join("carol", "daily").await;
    let room = world.room("daily").await;
    alice.cut();
    bob.leave().await;
    world.settles(&room, &[Reconnecting, Disconnected, Connected]).await;
    let rooms = world.server.app().rooms.clone();
    for (participant, old) in [(sid(&first), "alice-the-lost"), (sid(&second), "bob-the-gone")] {
        let row = rooms
            .anonymize_audited(room.account, room.new.sid, participant, None)
            .await
            .unwrap();
        assert_eq!(row.identity, participant.to_string());
        assert_eq!(files_with(directory.path(), old), Vec::<String>::new());
    }
}
