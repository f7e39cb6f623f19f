//! Published and subscribed tracks: what REST says of live rooms.

use serde_json::{Value, json};
use testkit::signaling::{CAMERA, Client, both_tracks, track};

use crate::world::{Answer, World};

const ROOM: &str = "daily";

/// Alice and Bob in a room, each with microphone and camera.
async fn pair() -> (World, Client, Client) {
    let world = World::start().await;
    let (mut alice, _) = world.client("alice", ROOM).await;
    let (bob, _) = world.client("bob", ROOM).await;
    alice.sees("bob").await.unwrap();
    (world, alice, bob)
}

fn path(who: &str, tail: &str) -> String {
    format!("/v1/Rooms/{ROOM}/Participants/{who}/{tail}")
}

async fn sid(world: &World, who: &str) -> String {
    let row = world.get(&format!("/v1/Rooms/{ROOM}/Participants/{who}")).await;
    row.json()["sid"].as_str().unwrap().to_owned()
}

fn rows(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let json = answer.json();
    json[json["meta"]["key"].as_str().unwrap()].as_array().unwrap().clone()
}

/// The next state of somebody's tracks that `wanted` accepts.
async fn until_tracks(client: &mut Client, wanted: impl Fn(&[Value]) -> bool) {
    let seen = client.until(|message| wanted(message["participants"][0]["tracks"].as_array()?).then_some(()));
    seen.await.unwrap();
}

#[tokio::test]
async fn published_tracks_are_listed_newest_first_and_fetched_by_sid_and_name() {
    let (world, _alice, _bob) = pair().await;
    let list = world.get(&path("bob", "PublishedTracks")).await;
    assert_eq!(list.column("name"), ["camera", "microphone"]);
    assert_eq!(list.column("kind"), ["video", "audio"]);
    let (bob, room) = (
        sid(&world, "bob").await,
        list.json()["published_tracks"][0]["room_sid"].clone(),
    );
    for row in rows(&list) {
        assert_eq!(row["participant_sid"], bob.as_str());
        assert_eq!((&row["enabled"], &row["date_updated"]), (&json!(true), &Value::Null));
        let url = format!(
            "{}/v1/Rooms/{}/Participants/{bob}/PublishedTracks/{}",
            world.base(),
            room.as_str().unwrap(),
            row["sid"].as_str().unwrap()
        );
        assert_eq!(row["url"], url);
        for by in ["sid", "name"] {
            let by = row[by].as_str().unwrap();
            for who in ["bob", &bob] {
                let fetched = world.get(&path(who, &format!("PublishedTracks/{by}"))).await;
                assert_eq!(fetched.json(), row);
            }
        }
    }
    let alices = world.get(&path("alice", "PublishedTracks")).await.column("sid");
    for tail in [
        "PublishedTracks/screen",
        "PublishedTracks/Camera",
        &format!("PublishedTracks/{}", alices[0]),
    ] {
        assert_eq!(world.get(&path("bob", tail)).await.error(), (404, 20404), "{tail}");
    }
    assert_eq!(world.get(&path("carol", "PublishedTracks")).await.error(), (404, 20404));
    assert_eq!(
        world.get(&path("bob", "PublishedTracks/a%00")).await.error(),
        (400, 20001)
    );
}

#[tokio::test]
async fn muting_and_ranking_show_and_what_is_unpublished_is_gone() {
    let (world, mut alice, mut bob) = pair().await;
    let mut tracks = both_tracks();
    tracks[0]["enabled"] = json!(false);
    bob.announce(tracks.clone()).await;
    until_tracks(&mut alice, |tracks| tracks[0]["enabled"] == false).await;
    let microphone = world.get(&path("bob", "PublishedTracks/microphone")).await.json();
    assert_eq!(microphone["enabled"], false);
    assert!(microphone["date_updated"].is_string());
    let camera = world.get(&path("bob", "PublishedTracks/camera")).await.json();
    assert_eq!(
        (&camera["enabled"], &camera["date_updated"]),
        (&json!(true), &Value::Null)
    );
    let seen = world.get(&path("alice", "SubscribedTracks")).await;
    assert_eq!(seen.json()["subscribed_tracks"][1]["enabled"], false);

    tracks[1]["priority"] = json!("high");
    bob.announce(tracks).await;
    until_tracks(&mut alice, |tracks| tracks[1]["priority"] == "high").await;
    assert!(world.get(&path("bob", "PublishedTracks/camera")).await.json()["date_updated"].is_string());

    bob.announce(json!([track(CAMERA, "video", "camera")])).await;
    until_tracks(&mut alice, |tracks| tracks.len() == 1).await;
    assert_eq!(
        world.get(&path("bob", "PublishedTracks")).await.column("name"),
        ["camera"]
    );
    assert_eq!(
        world.get(&path("bob", "PublishedTracks/microphone")).await.error(),
        (404, 20404)
    );
    assert_eq!(
        world.get(&path("alice", "SubscribedTracks")).await.column("name"),
        ["camera"]
    );
}

#[tokio::test]
async fn subscribed_tracks_are_those_of_the_others_with_their_publisher() {
    let (world, _alice, _bob) = pair().await;
    let (alice, bob) = (sid(&world, "alice").await, sid(&world, "bob").await);
    let published = rows(&world.get(&path("bob", "PublishedTracks")).await);
    let list = world.get(&path("alice", "SubscribedTracks")).await;
    let subscribed = rows(&list);
    assert_eq!(subscribed.len(), 2);
    for (subscribed, published) in subscribed.iter().zip(&published) {
        for member in [
            "sid",
            "name",
            "kind",
            "enabled",
            "room_sid",
            "date_created",
            "date_updated",
        ] {
            assert_eq!(subscribed[member], published[member], "{member}");
        }
        assert_eq!(subscribed["participant_sid"], alice.as_str());
        assert_eq!(subscribed["publisher_sid"], bob.as_str());
        let track = subscribed["sid"].as_str().unwrap();
        let url = subscribed["url"].as_str().unwrap();
        assert!(
            url.ends_with(&format!("/Participants/{alice}/SubscribedTracks/{track}")),
            "{url}"
        );
        let fetched = world.get(url.strip_prefix(&world.base()).unwrap()).await;
        assert_eq!(fetched.json(), *subscribed);
        // A participant's own tracks never appear, and a name is no address here.
        for (who, track) in [
            ("bob", track),
            ("alice", "camera"),
            ("alice", "MT00000000000000000000000000000001"),
        ] {
            let answer = world.get(&path(who, &format!("SubscribedTracks/{track}"))).await;
            assert_eq!(answer.error(), (404, 20404), "{who} {track}");
        }
    }
}

#[tokio::test]
async fn who_is_reconnecting_keeps_what_it_receives_and_who_left_has_nothing() {
    let (world, mut alice, bob) = pair().await;
    let bob_sid = sid(&world, "bob").await;
    let track = world.get(&path("bob", "PublishedTracks")).await.column("sid").remove(0);
    let received = world
        .get(&path("bob", "SubscribedTracks"))
        .await
        .column("sid")
        .remove(0);
    bob.cut();
    assert_eq!(alice.sees("bob").await.unwrap(), "reconnecting");
    assert_eq!(world.get(&path("bob", "PublishedTracks")).await.column("sid").len(), 2);
    assert_eq!(world.get(&path("bob", "SubscribedTracks")).await.column("sid").len(), 2);
    assert_eq!(
        world.get(&path("alice", "SubscribedTracks")).await.column("sid").len(),
        2
    );

    let removed = world
        .post(&format!("/v1/Rooms/{ROOM}/Participants/bob"), "Status=disconnected")
        .await;
    assert_eq!(removed.status, 202);
    for list in ["PublishedTracks", "SubscribedTracks"] {
        assert!(world.get(&path(&bob_sid, list)).await.column("sid").is_empty());
        assert_eq!(world.get(&path("bob", list)).await.error(), (404, 20404));
    }
    for one in [
        format!("PublishedTracks/{track}"),
        "PublishedTracks/camera".to_owned(),
        format!("SubscribedTracks/{received}"),
    ] {
        assert_eq!(world.get(&path(&bob_sid, &one)).await.error(), (404, 20404), "{one}");
    }
    assert!(
        world
            .get(&path("alice", "SubscribedTracks"))
            .await
            .column("sid")
            .is_empty()
    );
    let room = world
        .post(&format!("/v1/Rooms/{ROOM}"), "Status=completed")
        .await
        .json();
    let completed = format!(
        "/v1/Rooms/{}/Participants/{bob_sid}/SubscribedTracks",
        room["sid"].as_str().unwrap()
    );
    assert!(world.get(&completed).await.column("sid").is_empty());
}

#[tokio::test]
async fn both_lists_have_pages_with_tokens_of_their_own() {
    let (world, mut alice, mut bob) = pair().await;
    let mut tracks = both_tracks();
    for number in 0..5 {
        let chat = track(&format!("data-{number}"), "data", &format!("chat {number}"));
        tracks.as_array_mut().unwrap().push(chat);
    }
    bob.announce(tracks).await;
    until_tracks(&mut alice, |tracks| tracks.len() == 7).await;
    let expected = ["chat 4", "chat 3", "chat 2", "chat 1", "chat 0", "camera", "microphone"];
    let mut tokens = Vec::new();
    for (who, list, key) in [
        ("bob", "PublishedTracks", "published_tracks"),
        ("alice", "SubscribedTracks", "subscribed_tracks"),
    ] {
        let mut url = format!("{}?PageSize=3", path(who, list));
        let mut names = Vec::new();
        let mut pages = Vec::new();
        loop {
            let page = world.get(&url).await;
            assert_eq!(page.meta("key"), key);
            names.extend(page.column("name"));
            pages.push(page);
            match pages.last().unwrap().meta("next_page_url").as_str() {
                Some(next) => url = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(names, expected, "{list}");
        assert_eq!(pages.len(), 3);
        let back = world.get(pages[2].meta("previous_page_url").as_str().unwrap()).await;
        assert_eq!(back.column("name"), expected[3..6]);
        let back = world.get(back.meta("previous_page_url").as_str().unwrap()).await;
        assert_eq!(back.column("name"), expected[..3]);
        assert_eq!(back.meta("previous_page_url"), Value::Null);
        let next = pages[0].meta("next_page_url");
        tokens.push(next.as_str().unwrap().split("PageToken=").nth(1).unwrap().to_owned());
    }
    // A token is good for its own list alone.
    for (who, list, token) in [
        ("alice", "SubscribedTracks", &tokens[0]),
        ("bob", "PublishedTracks", &tokens[1]),
        ("alice", "PublishedTracks", &tokens[0]),
        ("bob", "SubscribedTracks", &tokens[1]),
    ] {
        let answer = world.get(&format!("{}?PageToken={token}", path(who, list))).await;
        assert_eq!(answer.error(), (400, 21481), "{who} {list}");
    }
    let token_elsewhere = world
        .get(&format!("/v1/Rooms/{ROOM}/Participants?PageToken={}", tokens[0]))
        .await;
    assert_eq!(token_elsewhere.error(), (400, 21481));
    for list in ["PublishedTracks", "SubscribedTracks"] {
        let answer = world.get(&format!("{}?PageSize=0", path("bob", list))).await;
        assert_eq!(answer.error(), (400, 20001));
        assert_eq!(world.get(&format!("{}/", path("bob", list))).await.status, 200);
    }
}
