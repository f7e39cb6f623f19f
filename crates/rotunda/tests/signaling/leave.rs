//! Going out: by oneself, by the API, with the room.

use room::ParticipantStatus::{Connected, Disconnected};
use room::RoomStatus;

use crate::world::World;

#[tokio::test]
async fn who_leaves_has_an_end_and_the_others_see_it() {
    let world = World::new().await;
    let (mut alice, _) = world.join("alice", "daily").await;
    let (bob, _) = world.join("bob", "daily").await;
    assert_eq!(alice.sees("bob").await.unwrap(), "connected");
    bob.leave().await;
    assert_eq!(alice.sees("bob").await.unwrap(), "disconnected");
    let rows = world
        .settles(&world.room("daily").await, &[Connected, Disconnected])
        .await;
    let bob = &rows[1];
    assert_eq!(bob.ended, Some(bob.updated));
    assert!(bob.ended.unwrap() >= bob.created);
}

#[tokio::test]
async fn an_ad_hoc_room_ends_with_its_last_participant_and_its_name_is_free() {
    let world = World::new().await;
    let (alice, first) = world.join("alice", "daily").await;
    alice.leave().await;
    for _ in 0..200 {
        if !world.rooms(RoomStatus::Completed, "daily").await.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    let completed = world.rooms(RoomStatus::Completed, "daily").await;
    assert_eq!(completed.len(), 1);
    assert!(completed[0].ended.is_some());
    let (_alice, second) = world.join("alice", "daily").await;
    assert_ne!(first["sid"], second["sid"]);
}

#[tokio::test]
async fn leaving_and_joining_at_once_never_loses_the_joiner() {
    let world = World::new().await;
    for round in 0..20 {
        let (alice, _) = world.join("alice", "daily").await;
        let (bob, _) = tokio::join!(world.join("bob", "daily"), alice.leave()).0;
        assert!(
            !world.rooms(RoomStatus::InProgress, "daily").await.is_empty(),
            "round {round}"
        );
        bob.leave().await;
    }
}

#[tokio::test]
async fn removal_by_the_api_is_no_error_for_the_client() {
    let world = World::new().await;
    let (_bob, _) = world.join("bob", "daily").await;
    let (mut alice, connected) = world.join("alice", "daily").await;
    let room = world.room("daily").await;
    let alice_sid = connected["participant"]["sid"].as_str().unwrap().parse().unwrap();
    let row = world
        .server
        .app()
        .rooms
        .disconnect(room.account, room.new.sid, alice_sid)
        .await
        .unwrap();
    assert_eq!(row.status, Disconnected);
    assert!(row.ended.is_some() && row.duration_s.is_some());
    let farewell = alice.dismissal().await.unwrap();
    assert_eq!(farewell["type"], "disconnected");
    assert_ne!(farewell["status"], "completed");
    let again = world
        .server
        .app()
        .rooms
        .disconnect(room.account, room.new.sid, alice_sid)
        .await
        .unwrap();
    assert_eq!(again, row, "once more changes nothing");
}

#[tokio::test]
async fn completing_the_room_ends_it_for_all() {
    let world = World::new().await;
    let (mut alice, _) = world.join("alice", "daily").await;
    let (mut bob, _) = world.join("bob", "daily").await;
    let room = world.room("daily").await;
    let row = world
        .server
        .app()
        .rooms
        .complete(room.account, room.new.sid)
        .await
        .unwrap();
    assert_eq!(row.status, RoomStatus::Completed);
    assert_eq!(row.ended, Some(row.updated));
    for client in [&mut alice, &mut bob] {
        let farewell = client.dismissal().await.unwrap();
        assert_eq!(
            (farewell["type"].as_str(), farewell["status"].as_str()),
            (Some("disconnected"), Some("completed"))
        );
    }
    let rows = world.participants(&room).await;
    assert!(rows.iter().all(|row| row.status == Disconnected && row.ended.is_some()));
    assert!(
        world
            .server
            .app()
            .rooms
            .complete(room.account, room.new.sid)
            .await
            .is_err(),
        "once is enough"
    );
    let token = world.token("alice", None);
    let refusal = testkit::signaling::Client::join(&world.url, &token, Some(&room.new.sid.to_string()))
        .await
        .err()
        .unwrap();
    assert_eq!(refusal["code"], 53118);
}
