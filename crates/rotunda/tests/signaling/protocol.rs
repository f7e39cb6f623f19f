//! The connection protocol itself: hello, heartbeats, nonsense, and the sink for telemetry.

use std::time::Duration;

use serde_json::json;
use testkit::signaling::{Client, Gone};

use crate::world::World;

#[tokio::test]
async fn ice_is_answered_before_connect() {
    let world = World::new().await;
    let token = world.token("alice", None);
    let mut client = Client::hello(
        &world.url,
        Some(json!({ "type": "ice", "version": 1, "edge": "roaming", "token": token })),
    )
    .await;
    assert_eq!(
        client.frame().await.unwrap(),
        json!({ "type": "welcome", "negotiatedTimeout": 5000 })
    );
    assert_eq!(
        client.message().await.unwrap(),
        json!({ "type": "iced", "version": 1, "ice_servers": [] })
    );
}

#[tokio::test]
async fn a_bad_token_is_refused_at_ice_already() {
    let world = World::new().await;
    let mut client = Client::hello(&world.url, Some(json!({ "type": "ice", "token": "x" }))).await;
    assert_eq!(client.message().await.unwrap()["code"], 20101);
}

#[tokio::test]
async fn heartbeats_come_at_the_pace_agreed() {
    let world = World::new().await;
    let mut client = Client::hello(&world.url, None).await;
    client
        .raw(json!({ "type": "hello", "timeout": 5000 }).to_string())
        .await; // repeated hello
    assert_eq!(client.frame().await.unwrap()["type"], "welcome");
    assert_eq!(client.frame().await.unwrap()["type"], "heartbeat");
}

#[tokio::test]
async fn a_client_that_is_silent_for_three_heartbeats_is_reconnecting() {
    let world = World::new().await;
    let (_bob, _) = world.join("bob", "daily").await;
    let mut connect = json!({ "type": "hello", "id": "x", "timeout": 1000, "version": 2 });
    connect["body"] = testkit::signaling::connect(&world.token("alice", None), Some("daily"), json!([]), None);
    // The first hello asks for nothing, so this raw one is a repeat: send it as the only one.
    let mut alice = Client::hello_raw(&world.url, connect).await;
    assert_eq!(alice.message().await.unwrap()["type"], "connected");
    let room = world.room("daily").await;
    let rows = tokio::time::timeout(
        Duration::from_secs(8),
        world.settles(
            &room,
            &[
                room::ParticipantStatus::Connected,
                room::ParticipantStatus::Reconnecting,
            ],
        ),
    );
    rows.await.expect("after 3 s of silence");
}

#[tokio::test]
async fn nonsense_before_hello_is_told_bad_and_after_it_53004() {
    let world = World::new().await;
    let mut client = Client::hello_raw(&world.url, json!("nonsense")).await;
    assert_eq!(client.frame().await.unwrap()["type"], "bad");
    let (mut alice, _) = world.join("alice", "daily").await;
    alice.raw("{ not json".to_owned()).await;
    assert_eq!(alice.dismissal().await.unwrap()["code"], 53004);
}

#[tokio::test]
async fn unknown_types_are_ignored() {
    let world = World::new().await;
    let (mut alice, _) = world.join("alice", "daily").await;
    alice.send(json!({ "type": "from-the-future" })).await;
    alice.say(json!({ "type": "from-the-future", "version": 3 })).await;
    let (_bob, _) = world.join("bob", "daily").await;
    assert_eq!(alice.sees("bob").await.unwrap(), "connected");
}

#[tokio::test]
async fn a_message_over_the_bound_closes_the_socket() {
    let world = World::new().await;
    let (mut alice, _) = world.join("alice", "daily").await;
    alice.raw(format!("\"{}\"", "x".repeat(2 << 20))).await;
    let gone = alice.dismissal().await.unwrap_err();
    assert!(matches!(gone, Gone::Closed(_) | Gone::Broken), "{gone:?}");
}

#[tokio::test]
async fn telemetry_is_greeted_and_dropped() {
    let world = World::new().await;
    let url = world.url.replace("/signaling", "/v1/VideoEvents");
    let mut client = Client::hello_raw(&url, json!({ "type": "connect", "version": 1, "token": "x" })).await;
    assert_eq!(client.frame().await.unwrap()["type"], "connected");
}
