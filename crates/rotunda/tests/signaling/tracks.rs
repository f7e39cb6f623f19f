//! Publishing: SIDs, faults, mute, unpublish, as the publisher and the others are told.

use serde_json::{Value, json};
use testkit::signaling::{CAMERA, Client, MICROPHONE, both_tracks, track};

use crate::world::World;

async fn pair(world: &World) -> (Client, Client) {
    let (mut alice, _) = world.join("alice", "daily").await;
    let (bob, _) = world.join("bob", "daily").await;
    alice.sees("bob").await.unwrap();
    (alice, bob)
}

/// The next state of somebody's tracks that `wanted` accepts.
async fn sees_tracks(client: &mut Client, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let seen = client.until(|message| {
        let tracks = message["participants"][0]["tracks"].as_array()?;
        wanted(tracks).then(|| tracks.clone())
    });
    seen.await.unwrap()
}

#[tokio::test]
async fn muting_is_told_to_the_others_with_the_same_sid() {
    let world = World::new().await;
    let (mut alice, mut bob) = pair(&world).await;
    let mut tracks = both_tracks();
    tracks[0]["enabled"] = json!(false);
    bob.announce(tracks).await;
    let muted = sees_tracks(&mut alice, |tracks| tracks[0]["enabled"] == false).await;
    bob.announce(both_tracks()).await;
    let unmuted = sees_tracks(&mut alice, |tracks| tracks[0]["enabled"] == true).await;
    assert_eq!(muted[0]["sid"], unmuted[0]["sid"]);
}

#[tokio::test]
async fn every_new_track_is_answered_ready_or_failed() {
    let world = World::new().await;
    let (_alice, mut bob) = pair(&world).await;
    bob.announce(json!([
        track(MICROPHONE, "audio", "microphone"),
        track(CAMERA, "video", "camera"),
        track("data-1", "data", "notes"),
        track("data-2", "data", "notes"),
        track("data-3", "data", &"n".repeat(129)),
    ]))
    .await;
    let published = bob
        .until(|message| message["published"]["tracks"].as_array().cloned())
        .await
        .unwrap();
    let state = |id: &str| published.iter().find(|entry| entry["id"] == id).cloned().unwrap();
    assert_eq!(state("data-1")["state"], "ready");
    assert_eq!(
        (
            state("data-2")["state"].as_str(),
            state("data-2")["error"]["code"].as_u64()
        ),
        (Some("failed"), Some(53304))
    );
    assert_eq!(state("data-3")["error"]["code"], 53302);
}

#[tokio::test]
async fn an_unpublished_track_is_gone_and_its_heir_has_a_new_sid() {
    let world = World::new().await;
    let (mut alice, mut bob) = pair(&world).await;
    let mut tracks = both_tracks();
    tracks[1]["priority"] = json!("low");
    bob.announce(tracks).await;
    let before = sees_tracks(&mut alice, |tracks| tracks.len() == 2).await;
    bob.announce(json!([track(MICROPHONE, "audio", "microphone")])).await;
    let between = sees_tracks(&mut alice, |tracks| tracks.len() == 1).await;
    assert_eq!(between[0]["sid"], before[0]["sid"]);
    bob.announce(json!([
        track(MICROPHONE, "audio", "microphone"),
        track("camera-again", "video", "camera")
    ]))
    .await;
    let after = sees_tracks(&mut alice, |tracks| tracks.len() == 2).await;
    assert_eq!(
        (&after[0]["sid"], &after[1]["name"]),
        (&before[0]["sid"], &json!("camera"))
    );
    assert_ne!(after[1]["sid"], before[1]["sid"]);
}

#[tokio::test]
async fn a_list_that_is_not_newer_changes_nothing() {
    let world = World::new().await;
    let (mut alice, mut bob) = pair(&world).await;
    bob.revision = 0;
    bob.announce(json!([])).await; // revision 1 again
    let mut tracks = both_tracks();
    tracks[1]["enabled"] = json!(false);
    bob.announce(tracks).await;
    let seen = sees_tracks(&mut alice, |_| true).await;
    assert_eq!(seen.len(), 2, "the empty list was a repeat");
    assert_eq!(seen[1]["enabled"], false);
}

#[tokio::test]
async fn a_priority_is_passed_on() {
    let world = World::new().await;
    let (mut alice, mut bob) = pair(&world).await;
    let mut tracks = both_tracks();
    tracks[1]["priority"] = json!("high");
    bob.announce(tracks).await;
    sees_tracks(&mut alice, |tracks| tracks[1]["priority"] == "high").await;
}

#[tokio::test]
async fn exclude_all_subscribes_to_nothing() {
    let world = World::new().await;
    let (_alice, _) = world.join("alice", "daily").await;
    let mut connect = testkit::signaling::connect(
        &world.token("bob", None),
        Some("daily"),
        both_tracks(),
        Some(testkit::signaling::OFFER),
    );
    connect["subscribe"]["rules"] = json!([{ "type": "exclude", "all": true }]);
    let mut bob = Client::hello(&world.url, Some(connect)).await;
    let connected = bob.message().await.unwrap();
    assert_eq!(connected["participants"][0]["tracks"].as_array().unwrap().len(), 2);
    assert_eq!(connected["subscribed"]["tracks"], json!([]));
}
