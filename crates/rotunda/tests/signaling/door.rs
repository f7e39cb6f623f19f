//! Who is turned away at the door, how it is told, and who is let in all the same.

use std::time::{Duration, Instant};

use protocol::signaling::ServerFrame;
use room::ParticipantStatus;
use rotunda::rooms::RoomsError;
use serde_json::{Value, json};
use testkit::postgres::Shell;
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

/// Says hello again and again until it is answered like this.
async fn until_first_frame_is(world: &World, wanted: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let ice = json!({ "type": "ice", "version": 1, "edge": "roaming", "token": world.token("anyone", None) });
    loop {
        let frame = first_frame(world, Some(ice.clone())).await;
        if frame["type"] == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{frame}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
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
    let mut refused = Client::hello(&world.url, Some(json!({ "type": "ice", "token": "x" }))).await;
    let telemetry = world.url.replace("/signaling", "/v1/VideoEvents");
    let mut silent = Client::hello_raw(&telemetry, json!({ "type": "connect", "version": 1, "token": "x" })).await;
    // Who was told to go and does not is closed as one who left.
    assert_eq!(refused.ends().await, Gone::Closed(1000));
    assert_eq!(unsaid.ends().await, Gone::Closed(4008));
    assert_eq!(idle.ends().await, Gone::Closed(4008));
    assert_eq!(silent.ends().await, Gone::Broken);
}

#[tokio::test]
async fn telemetry_over_the_bound_closes_its_socket() {
    let world = World::new().await;
    let url = world.url.replace("/signaling", "/v1/VideoEvents");
    let mut client = Client::hello_raw(&url, json!({ "type": "event", "payload": "x".repeat(300 << 10) })).await;
    assert!(matches!(client.ends().await, Gone::Closed(_) | Gone::Broken));
}

#[tokio::test]
async fn a_list_of_too_many_tracks_is_an_invalid_message() {
    let world = World::new().await;
    let tracks = |count: usize| {
        (0..count)
            .map(|n| track(&format!("t{n}"), "data", &format!("n{n}")))
            .collect::<Value>()
    };
    let most = 2 * room::limits::TRACKS_PER_PARTICIPANT;
    let token = world.token("alice", None);
    let refusal = Client::join_with(&world.url, &token, Some("daily"), tracks(most + 1), None).await;
    assert_eq!(refusal.err().expect("refused")["code"], 53004);
    let (_alice, connected) = Client::join_with(&world.url, &token, Some("daily"), tracks(most), None)
        .await
        .expect("let in");
    let published = connected["published"]["tracks"].as_array().unwrap();
    let failed = published.iter().filter(|entry| entry["state"] == "failed");
    assert_eq!(failed.clone().count(), most - room::limits::TRACKS_PER_PARTICIPANT);
    assert!(
        failed.clone().all(|entry| entry["error"]["code"] == 53203),
        "{failed:?}"
    );
}

/// The database is locked by another, as by a person with a database tool.
#[tokio::test]
async fn a_store_that_is_behind_makes_the_server_busy_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::in_directory(directory.path()).await;
    let (mut alice, _) = world.join("alice", "daily").await;
    let room = world.room("daily").await;
    let mut apart = Shell::wanted_in(directory.path());
    let file = rusqlite::Connection::open(directory.path().join(rotunda::server::DATABASE)).unwrap();
    match &mut apart {
        Some(shell) => shell.run("BEGIN; LOCK TABLE rooms IN EXCLUSIVE MODE"),
        None => {
            file.busy_timeout(Duration::from_secs(30)).unwrap();
            file.execute_batch("BEGIN IMMEDIATE").unwrap();
        }
    }
    // More changes than the room may have waiting, and than its queue takes: each is one write.
    let changing = async {
        let mut enabled = true;
        for _ in 0..2000 {
            enabled = !enabled;
            let mut tracks = both_tracks();
            tracks[0]["enabled"] = json!(enabled);
            alice.announce(tracks).await;
        }
    };
    let looking = async {
        until_first_frame_is(&world, "busy").await;
        let completed = world.server.app().rooms.complete(room.account, room.new.sid).await;
        assert!(
            matches!(completed, Err(RoomsError::Busy)),
            "the queue of the room is full, and still {completed:?}"
        );
        match &mut apart {
            Some(shell) => shell.run("ROLLBACK"),
            None => file.execute_batch("ROLLBACK").unwrap(),
        }
    };
    tokio::join!(changing, looking);
    // Soon all is written; who comes then is let in, after the changes that were there before, and told the last state. Thousands
    // of commits may take a while, in which who comes is refused, or waits and is refused.
    until_first_frame_is(&world, "welcome").await;
    let deadline = Instant::now() + Duration::from_secs(120);
    let token = world.token("carol", None);
    loop {
        let answer = Client::join(&world.url, &token, Some("daily")).await;
        let alice_is = match &answer {
            Ok((_carol, connected)) => &connected["participants"][0],
            Err(refusal) => refusal,
        };
        if alice_is["tracks"][0]["enabled"] == true && alice_is["revision"].as_u64().unwrap() > 1000 {
            break;
        }
        assert!(Instant::now() < deadline, "{alice_is}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
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
    while bob.sees("alice").await.expect("news of her") != "reconnecting" {}
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
