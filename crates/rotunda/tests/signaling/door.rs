//! Who is turned away at the door, how it is told, and who is let in all the same.

use std::time::{Duration, Instant};

use protocol::signaling::ServerFrame;
use room::ParticipantStatus;
use serde_json::{Value, json};
use testkit::signaling::{Client, Gone, both_tracks, connect, track};

use crate::world::World;

/// As long as any client may be held back.
const ANY_WAIT: Duration = Duration::from_secs(3600);

/// Promises so many joins that the next would have to wait some seconds.
fn exhaust(world: &World) {
    let app = world.server.app();
    let account = world.key().account;
    while app.door.join_wait(Some(account), Instant::now()) < Duration::from_secs(30) {
        app.door.join(account, ANY_WAIT, Instant::now()).expect("any wait");
    }
}

async fn first_frame(world: &World, body: Option<Value>) -> Value {
    Client::hello(&world.url, body)
        .await
        .frame()
        .await
        .expect("an answer to hello")
}

#[tokio::test]
async fn joins_that_come_too_fast_are_told_busy_and_resumes_are_not() {
    let world = World::with(|settings| settings.door.joins_per_account_per_s = 1).await;
    let (alice, connected) = world.join("alice", "daily").await;
    let session = alice.session.clone();
    let description = connected["peer_connections"][0].clone();
    exhaust(&world);
    let token = world.token("bob", None);
    for body in [
        json!({ "type": "ice", "version": 1, "edge": "roaming", "token": token }),
        connect(&token, Some("daily"), json!([]), None),
    ] {
        let frame = first_frame(&world, Some(body)).await;
        assert_eq!(frame["type"], "busy", "{frame}");
        assert_eq!(frame["keepAlive"], false);
        assert!(frame["retryAfter"].as_u64().unwrap() >= 1000, "{frame}");
    }
    // Whose account is not known yet is greeted: another account may join.
    assert_eq!(first_frame(&world, None).await["type"], "welcome");
    // And who joins on a socket that was greeted is told by a code.
    let mut late = Client::hello(&world.url, None).await;
    late.say(connect(&token, Some("daily"), json!([]), None)).await;
    assert_eq!(late.dismissal().await.unwrap()["code"], 53006);
    alice.cut();
    let peers = json!([{ "id": description["id"], "description": null }]);
    let (_alice, synced) = Client::resume(&world.url, &session, both_tracks(), 1, peers)
        .await
        .expect("resumed");
    assert_eq!(synced["participant"]["identity"], "alice");
}

#[tokio::test]
async fn a_join_over_the_rate_is_held_back_not_refused() {
    let world = World::with(|settings| settings.door.joins_per_s = 2).await;
    let joins = (0..8).map(|number| {
        let world = &world;
        async move { world.join(&format!("p{number}"), "daily").await }
    });
    let joined = futures_util::future::join_all(joins).await;
    let room = world.room("daily").await;
    world.settles(&room, &[ParticipantStatus::Connected; 8]).await;
    drop(joined);
}

#[tokio::test]
async fn an_account_has_so_many_sockets() {
    let world = World::with(|settings| settings.door.sockets_per_account = 1).await;
    let (alice, _) = world.join("alice", "daily").await;
    let token = world.token("bob", None);
    let refusal = Client::join(&world.url, &token, Some("daily"))
        .await
        .err()
        .expect("refused");
    assert_eq!((&refusal["type"], &refusal["code"]), (&json!("error"), &json!(53206)));
    // Her lost socket may not have ended yet: she comes back all the same.
    let session = alice.session.clone();
    let (back, _) = Client::resume(&world.url, &session, both_tracks(), 1, json!([]))
        .await
        .expect("resumed");
    drop(alice);
    back.leave().await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(refusal) = Client::join(&world.url, &token, Some("daily")).await {
        assert!(refusal["code"] == 53206 && Instant::now() < deadline, "{refusal}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn sockets_that_do_not_go_on_are_closed() {
    let world = World::new().await;
    let mut unsaid = Client::hello_raw(&world.url, json!({ "type": "from-the-future" })).await;
    let mut idle = Client::hello(&world.url, None).await;
    assert_eq!(unsaid.ends().await, Gone::Closed(4008));
    assert_eq!(idle.ends().await, Gone::Closed(4008));
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_socket_and_slows_nobody() {
    let world = World::new().await;
    let (mut bob, _) = world.join("bob", "daily").await;
    let (alice, _) = world.join("alice", "daily").await;
    let room = world.room("daily").await;
    let crowd = |enabled: bool| {
        let tracks = (0..room::limits::TRACKS_PER_PARTICIPANT).map(|number| {
            let mut track = track(&format!("t{number}"), "data", &format!("{number}{}", "n".repeat(100)));
            track["enabled"] = json!(enabled);
            track
        });
        Value::Array(tracks.collect())
    };
    // Alice never reads: what is told to her fills the buffers of both sides, then her queue.
    let status = || async { world.participants(&room).await[1].status };
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut enabled = true;
    while status().await == ParticipantStatus::Connected {
        assert!(Instant::now() < deadline, "she still counts as connected");
        for _ in 0..50 {
            enabled = !enabled;
            bob.announce(crowd(enabled)).await;
        }
    }
    assert_eq!(status().await, ParticipantStatus::Reconnecting);
    // Bob's own socket lives: he hears of her.
    assert_eq!(bob.sees("alice").await.unwrap(), "reconnecting");
    drop(alice);
}

/// The numbers in `busy` are what the SDK reads (signaling.md section 2.2).
#[test]
fn busy_is_written_as_the_sdk_reads_it() {
    let frame = ServerFrame::Busy {
        retry_after: 1500,
        keep_alive: false,
    };
    let written = serde_json::to_value(&frame).unwrap();
    assert_eq!(
        written,
        json!({ "type": "busy", "retryAfter": 1500, "keepAlive": false })
    );
}
