//! Status callbacks of a whole call, as their receiver gets them.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::extract::Form;
use axum::routing::post;
use serde_json::{Value, json};
use testkit::signaling::{Client, both_tracks};
use tokio::sync::mpsc;

use crate::world::World;

type Fields = BTreeMap<String, String>;

async fn receiver() -> (String, mpsc::UnboundedReceiver<Fields>) {
    let (sender, received) = mpsc::unbounded_channel();
    let router = Router::new().route(
        "/events",
        post(move |Form(fields): Form<Fields>| async move {
            sender.send(fields).unwrap();
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, received)
}

async fn rest(world: &World, path: &str, form: &[(&str, &str)]) -> Value {
    let owner = world.server.owner();
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(form);
    let request = reqwest::Client::new()
        .post(format!("{}{path}", world.server.local_url()))
        .basic_auth(owner.api_key.as_ref().unwrap().sid, Some(&world.key().secret))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.finish());
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_call_is_told_in_order_and_without_gaps() {
    let world = World::new().await;
    let (url, mut received) = receiver().await;
    let room = rest(
        &world,
        "/v1/Rooms",
        &[("UniqueName", "daily"), ("StatusCallback", &url)],
    )
    .await;
    let (mut alice, _) = world.join("alice", "daily").await;
    let (_bob, connected) = Client::join_with(&world.url, &world.token("bob", None), Some("daily"), json!([]), None)
        .await
        .unwrap();
    assert_eq!(alice.sees("bob").await.unwrap(), "connected");
    let mut muted = both_tracks();
    muted[0]["enabled"] = json!(false);
    alice.announce(muted).await;
    alice.announce(both_tracks()).await;
    alice.announce(json!([both_tracks()[0]])).await;
    alice
        .until(|message| message["published"].is_object().then_some(()))
        .await
        .unwrap();
    let bob = connected["participant"]["sid"].as_str().unwrap();
    let room_sid = room["sid"].as_str().unwrap();
    let removed = rest(
        &world,
        &format!("/v1/Rooms/daily/Participants/{bob}"),
        &[("Status", "disconnected")],
    )
    .await;
    assert_eq!(
        (removed["status"].as_str(), removed["sid"].as_str()),
        (Some("disconnected"), Some(bob))
    );
    let completed = rest(&world, &format!("/v1/Rooms/{room_sid}"), &[("Status", "completed")]).await;
    assert_eq!(completed["status"], "completed");

    let wanted = [
        "room-created",
        "participant-connected",
        "track-added",
        "track-added",
        "participant-connected",
        "track-disabled",
        "track-enabled",
        "track-removed",
        "participant-disconnected",
        "track-removed",
        "participant-disconnected",
        "room-ended",
    ];
    for (sequence, event) in wanted.iter().enumerate() {
        let fields = tokio::time::timeout(Duration::from_secs(10), received.recv())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (
                fields["StatusCallbackEvent"].as_str(),
                fields["SequenceNumber"].as_str()
            ),
            (*event, sequence.to_string().as_str())
        );
        assert_eq!(
            (fields["RoomSid"].as_str(), fields["RoomName"].as_str()),
            (room_sid, "daily")
        );
        let is_about_somebody = !event.starts_with("room-");
        assert_eq!(fields.contains_key("ParticipantIdentity"), is_about_somebody, "{event}");
        assert_eq!(fields.contains_key("TrackSid"), event.starts_with("track-"), "{event}");
    }
}
