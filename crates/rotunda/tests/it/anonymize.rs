//! Erasing identities by REST, of participants in the rows alone.

use store::AuditFilter;

use crate::world::{World, participant_sid};

#[tokio::test]
async fn in_a_completed_room() {
    let world = World::start().await;
    let room = world.room(Some("daily"), 0).await;
    let alice = world.join(room, "alice", 1).await;
    world.leave(room, alice, 61, 60).await;
    world.complete(room, 62).await;
    let path = format!("/v1/Rooms/{room}/Participants/{alice}");
    let before = world.get(&path).await.json();
    let answer = world.post(&format!("{path}/Anonymize"), "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let erased = answer.json();
    assert_eq!(erased["identity"], alice.to_string());
    assert_eq!(erased["url"], format!("{}{path}/Anonymize", world.base()));
    for same in [
        "sid",
        "room_sid",
        "account_sid",
        "status",
        "date_created",
        "date_updated",
        "start_time",
        "end_time",
        "duration",
    ] {
        assert_eq!(erased[same], before[same], "{same}");
    }
    // Repeating is harmless, a slash at the end too; GET is no method of it.
    assert_eq!(world.post(&format!("{path}/Anonymize/"), "").await.text, answer.text);
    assert_eq!(world.get(&format!("{path}/Anonymize")).await.status, 405);
    assert_eq!(world.get(&path).await.json()["identity"], alice.to_string());
    let list = format!("/v1/Rooms/{room}/Participants");
    assert!(
        world
            .get(&format!("{list}?Identity=alice"))
            .await
            .column("sid")
            .is_empty()
    );
    assert_eq!(
        world.get(&format!("{list}?Identity={alice}")).await.column("sid"),
        [alice.to_string()]
    );
    // One line, which does not repeat what was erased.
    let log = world.store().audit(AuditFilter::default(), 0, 10).await.unwrap();
    let of_it: Vec<_> = log
        .iter()
        .filter(|row| row.audit.operation == "anonymize-participant")
        .collect();
    assert_eq!(of_it.len(), 1);
    assert_eq!(of_it[0].audit.participant, Some(alice));
    assert!(!format!("{log:?}").contains("alice"));
}

#[tokio::test]
async fn nobody_anonymizes_who_is_not_theirs() {
    let world = World::start().await;
    let foreign = world.foreign_room(None).await;
    let room = world.room(Some("daily"), 0).await;
    let alice = world.join(room, "alice", 1).await;
    world.leave(room, alice, 61, 60).await;
    world.complete(room, 62).await;
    let nobody = participant_sid(9);
    for path in [
        format!("/v1/Rooms/{foreign}/Participants/{alice}/Anonymize"),
        format!("/v1/Rooms/{room}/Participants/{nobody}/Anonymize"),
        // An identity stands for who is there.
        format!("/v1/Rooms/{room}/Participants/alice/Anonymize"),
        format!("/v1/Rooms/daily/Participants/{alice}/Anonymize"),
    ] {
        assert_eq!(world.post(&path, "").await.error(), (404, 20404), "{path}");
    }
    let row = world
        .get(&format!("/v1/Rooms/{room}/Participants/{alice}"))
        .await
        .json();
    assert_eq!(row["identity"], "alice");
}
