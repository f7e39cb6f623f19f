//! Participants: fetch, disconnect, names.

use crate::world::{World, participant_sid, room_sid};

#[tokio::test]
async fn fetch_by_sid_in_any_state_and_by_identity_while_live() {
    let world = World::start().await;
    let room = world.room(Some("daily"), 0).await;
    let alice = world.join(room, "alice", 1).await;
    let url = |participant: &str| format!("/v1/Rooms/daily/Participants/{participant}");
    let (by_sid, by_identity) = (url(&alice.to_string()), url("alice"));
    for _ in 0..2 {
        // First connected, then reconnecting.
        assert_eq!(world.get(&by_sid).await.status, 200);
        assert_eq!(world.get(&by_identity).await.text, world.get(&by_sid).await.text);
        world.lose(room, alice, 2).await;
    }
    assert_eq!(world.get(&by_identity).await.json()["status"], "reconnecting");
    world.leave(room, alice, 62, 60).await;
    let gone = world.get(&by_identity).await;
    assert_eq!(gone.error(), (404, 20404));
    let message = "The requested resource /Rooms/daily/Participants/alice was not found";
    assert_eq!(gone.json()["message"], message);
    let row = world.get(&by_sid).await.json();
    assert_eq!(
        (row["status"].as_str(), row["duration"].as_u64()),
        (Some("disconnected"), Some(60))
    );
    assert_eq!(
        (&row["end_time"], &row["date_updated"]),
        (&"2017-07-30T20:01:02Z".into(), &row["end_time"])
    );
    // The next one of that identity is another participant.
    let again = world.join(room, "alice", 70).await;
    assert_eq!(world.get(&by_identity).await.json()["sid"], again.to_string());
}

#[tokio::test]
async fn a_participant_of_another_room_is_not_found() {
    let world = World::start().await;
    let (here, there) = (world.room(None, 0).await, world.room(None, 0).await);
    let alice = world.join(here, "alice", 0).await;
    for participant in [alice.to_string(), "alice".to_owned(), participant_sid(1).to_string()] {
        let answer = world
            .get(&format!("/v1/Rooms/{there}/Participants/{participant}"))
            .await;
        assert_eq!(answer.error(), (404, 20404), "{participant}");
    }
}

#[tokio::test]
async fn urls_are_made_of_sids() {
    let world = World::start().await;
    let room = world.room(Some("daily"), 0).await;
    let alice = world.join(room, "alice", 0).await;
    let row = world.get("/v1/Rooms/daily/Participants/alice").await.json();
    let url = format!("{}/v1/Rooms/{room}/Participants/{alice}", world.base());
    assert_eq!(row["url"], url);
    assert_eq!(row["links"]["anonymize"], format!("{url}/Anonymize"));
    // While the page's own URLs repeat the path.
    let list = world.get("/v1/Rooms/daily/Participants").await;
    assert_eq!(
        list.meta("url"),
        format!("{}/v1/Rooms/daily/Participants?PageSize=50&Page=0", world.base())
    );
}

#[tokio::test]
async fn names_with_any_character() {
    let world = World::start().await;
    for (name, encoded) in [
        ("a/b", "a%2Fb"),
        ("täglich ☕", "t%C3%A4glich%20%E2%98%95"),
        ("a+b", "a+b"),
        ("a+b?", "a%2Bb%3F"),
        ("..", "%2E%2E"),
        ("50%", "50%25"),
        ("%2F", "%252F"),
        ("Participants", "Participants"),
    ] {
        let room = world.room(Some(name), 0).await;
        world.join(room, name, 0).await;
        assert_eq!(
            world.get(&format!("/v1/Rooms/{encoded}")).await.json()["unique_name"],
            name
        );
        let fetched = world.get(&format!("/v1/Rooms/{encoded}/Participants/{encoded}")).await;
        assert_eq!(fetched.json()["identity"], name);
        let list = world.get(&format!("/v1/Rooms/{encoded}/Participants?PageSize=1")).await;
        assert_eq!(list.column("identity"), [name]);
        let url = format!("{}/v1/Rooms/{encoded}/Participants?PageSize=1&Page=0", world.base());
        assert_eq!(list.meta("url"), url);
        world.leave(room, participant(&fetched.json()), 1, 1).await;
        world.complete(room, 2).await;
    }
    assert_eq!(world.get("/v1/Rooms/%FF/Participants").await.error(), (404, 20404));
    assert_eq!(world.get("/v1/Rooms/a%00b/Participants").await.error(), (400, 20001));
}

fn participant(row: &serde_json::Value) -> room::ParticipantSid {
    row["sid"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_identity_in_the_query_takes_a_plus_as_a_space() {
    let world = World::start().await;
    let room = world.room(None, 0).await;
    world.join(room, "al ice", 0).await;
    world.join(room, "al+ice", 1).await;
    let list = format!("/v1/Rooms/{room}/Participants");
    for (query, identity) in [("al+ice", "al ice"), ("al%20ice", "al ice"), ("al%2Bice", "al+ice")] {
        let answer = world.get(&format!("{list}?Identity={query}")).await;
        assert_eq!(answer.column("identity"), [identity], "{query}");
        let encoded = identity.replace('+', "%2B").replace(' ', "%20");
        let url = format!("{}{list}?Identity={encoded}&PageSize=50&Page=0", world.base());
        assert_eq!(answer.meta("url"), url);
    }
}

#[tokio::test]
async fn update_refuses_what_is_no_change() {
    let world = World::start().await;
    let room = world.room(None, 0).await;
    world.join(room, "alice", 0).await;
    let alice = format!("/v1/Rooms/{room}/Participants/alice");
    for status in ["connected", "reconnecting", "Disconnected", "gone"] {
        assert_eq!(
            world.post(&alice, &format!("Status={status}")).await.error(),
            (400, 53209),
            "{status}"
        );
    }
    for form in ["", "Status=", "status=disconnected"] {
        let answer = world.post(&alice, form).await;
        assert_eq!(answer.error(), (400, 20001), "{form}");
        assert_eq!(
            answer.json()["message"],
            "Missing required parameter Status in the post body"
        );
    }
    assert_eq!(world.get(&alice).await.json()["status"], "connected");
    let nobody = world
        .post(&format!("/v1/Rooms/{room}/Participants/bob"), "Status=disconnected")
        .await;
    assert_eq!(nobody.error(), (404, 20404));
    let nowhere = world
        .post(
            &format!("/v1/Rooms/{}/Participants/bob", room_sid(9)),
            "Status=disconnected",
        )
        .await;
    assert_eq!(nowhere.error(), (404, 20404));
}

#[tokio::test]
async fn disconnecting_who_is_gone_changes_nothing() {
    let world = World::start().await;
    let room = world.room(None, 0).await;
    let alice = world.join(room, "alice", 0).await;
    world.leave(room, alice, 5, 5).await;
    let url = format!("/v1/Rooms/{room}/Participants/{alice}");
    let before = world.get(&url).await;
    let answer = world.post(&url, "Status=disconnected").await;
    assert_eq!((answer.status, answer.text), (202, before.text));
}
