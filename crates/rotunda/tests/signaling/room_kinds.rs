//! Rooms without video, rooms of one codec, rooms that end by age, and names that nobody made a room for.

use std::time::Duration;

use room::ParticipantStatus::Disconnected;
use room::{RoomSid, RoomType};
use serde_json::Value;
use store::NewRoom;
use testkit::signaling::{CAMERA, Client, MICROPHONE, OFFER, both_tracks, track};

use crate::world::{World, now_s};

/// Makes a room of this name as REST does.
async fn make(world: &World, name: &str, change: impl FnOnce(&mut NewRoom)) {
    let mut room = NewRoom {
        sid: RoomSid::from_bytes([7; 16]),
        unique_name: Some(name.to_owned()),
        kind: RoomType::Group,
        audio_only: false,
        large_room: false,
        ad_hoc: false,
        status_callback: None,
        status_callback_method: store::CallbackMethod::Post,
        max_participants: 50,
        max_participant_duration_s: 14_400,
        empty_room_timeout_min: 5,
        unused_room_timeout_min: 5,
        video_codecs: vec!["VP8".to_owned(), "H264".to_owned()],
        media_region: Some("us1".to_owned()),
        at: room::Timestamp(now_s() * 1_000_000),
    };
    change(&mut room);
    let rooms = &world.server.app().rooms;
    rooms.create(world.key().account, room).await.unwrap();
}

fn fault(message: &Value, id: &str) -> Option<u64> {
    let tracks = message["published"]["tracks"].as_array()?;
    let track = tracks.iter().find(|track| track["id"] == id)?;
    track["error"]["code"].as_u64()
}

fn answer(connected: &Value) -> &str {
    connected["peer_connections"][0]["description"]["sdp"].as_str().unwrap()
}

fn video_formats(sdp: &str) -> Vec<&str> {
    let video = sdp.split("m=").find(|section| section.starts_with("video")).unwrap();
    let maps = video.lines().filter_map(|line| line.strip_prefix("a=rtpmap:"));
    let names = maps.filter_map(|map| map.split([' ', '/']).nth(1));
    let mut names: Vec<&str> = names.filter(|name| *name != "rtx").collect();
    names.dedup();
    names
}

#[tokio::test]
async fn an_audio_only_room_refuses_video_and_answers_without_it() {
    let world = World::new().await;
    make(&world, "talk", |room| {
        room.audio_only = true;
        room.video_codecs = Vec::new();
    })
    .await;
    let (mut alice, connected) = world.join("alice", "talk").await;
    assert_eq!(fault(&connected, CAMERA), Some(53125));
    assert_eq!(fault(&connected, MICROPHONE), None);
    assert!(answer(&connected).contains("m=video 0 "), "{}", answer(&connected));
    let (_bob, seen) = world.join("bob", "talk").await;
    assert_eq!(seen["participants"][0]["tracks"].as_array().unwrap().len(), 1);
    let screen = serde_json::json!([
        track(MICROPHONE, "audio", "microphone"),
        track("11111111-2222-3333-4444-555555555555", "video", "screen")
    ]);
    alice.announce(screen).await;
    let code = alice
        .until(|message| fault(message, "11111111-2222-3333-4444-555555555555"))
        .await
        .unwrap();
    assert_eq!(code, 53125);
}

#[tokio::test]
async fn only_the_codecs_of_the_room_are_agreed() {
    let world = World::new().await;
    for (name, number, codecs) in [
        ("vp8", 1, &["VP8"][..]),
        ("h264", 2, &["H264"]),
        ("both", 3, &["VP8", "H264"]),
    ] {
        make(&world, name, |room| {
            room.sid = RoomSid::from_bytes([number; 16]);
            room.video_codecs = codecs.iter().map(|codec| (*codec).to_owned()).collect();
        })
        .await;
        let (_alice, connected) = world.join("alice", name).await;
        assert_eq!(fault(&connected, CAMERA), None);
        let mut agreed = video_formats(answer(&connected));
        agreed.sort_unstable();
        let mut expected = codecs.to_vec();
        expected.sort_unstable();
        assert_eq!(agreed, expected, "{name}");
    }
}

#[tokio::test]
async fn video_of_a_client_without_the_rooms_codec_is_refused() {
    let world = World::new().await;
    make(&world, "h264", |room| room.video_codecs = vec!["H264".to_owned()]).await;
    let without = OFFER.replace(" H264/90000", " H265/90000");
    let token = world.token("alice", None);
    let (mut alice, connected) = Client::join_with(&world.url, &token, Some("h264"), both_tracks(), Some(&without))
        .await
        .unwrap();
    assert_eq!(fault(&connected, CAMERA), Some(53404));
    assert_eq!(fault(&connected, MICROPHONE), None);
    // It is known from then on.
    alice
        .announce(serde_json::json!([
            track(MICROPHONE, "audio", "microphone"),
            track("screen", "video", "screen")
        ]))
        .await;
    assert_eq!(alice.until(|message| fault(message, "screen")).await.unwrap(), 53404);
    // What it cannot show it is told, too.
    let (_bob, _) = world.join("bob", "h264").await;
    let code = alice
        .until(|message| {
            let tracks = message["subscribed"]["tracks"].as_array()?;
            tracks.iter().find_map(|track| track["error"]["code"].as_u64())
        })
        .await
        .unwrap();
    assert_eq!(code, 53404);
}

#[tokio::test]
async fn an_unknown_name_is_refused_where_joining_makes_no_rooms() {
    let world = World::with(|settings| settings.rooms.ad_hoc.allowed = false).await;
    for name in [Some("daily"), None] {
        let refusal = Client::join(&world.url, &world.token("alice", None), name)
            .await
            .err()
            .unwrap();
        assert_eq!(refusal["code"], 53103);
    }
    make(&world, "daily", |_| ()).await;
    world.join("alice", "daily").await;
}

#[tokio::test]
async fn rooms_that_joining_makes_are_as_set() {
    let world = World::with(|settings| {
        settings.rooms.ad_hoc.kind = RoomType::Go;
        settings.rooms.ad_hoc.video_codecs = vec!["H264".to_owned()];
    })
    .await;
    let (_alice, connected) = world.join("alice", "daily").await;
    assert_eq!(video_formats(answer(&connected)), ["H264"]);
    let row = world.room("daily").await;
    assert_eq!((row.new.kind, row.new.max_participants), (RoomType::Go, 2));
    let (_bob, _) = world.join("bob", "daily").await;
    let refusal = Client::join(&world.url, &world.token("carol", None), Some("daily"))
        .await
        .err()
        .unwrap();
    assert_eq!(refusal["code"], 53105);
}

#[tokio::test]
async fn a_room_is_completed_at_its_greatest_age() {
    let world = World::with(|settings| settings.rooms.max_room_duration = Some(Duration::from_secs(2))).await;
    let (mut alice, _) = world.join("alice", "daily").await;
    let row = world.room("daily").await;
    let last = alice.dismissal().await.unwrap();
    assert_eq!(
        (last["type"].as_str(), last["status"].as_str()),
        (Some("disconnected"), Some("completed"))
    );
    world.settles(&row, &[Disconnected]).await;
}

#[tokio::test]
async fn a_restart_keeps_what_a_room_is() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::in_directory(directory.path()).await;
    make(&world, "talk", |room| {
        room.audio_only = true;
        room.video_codecs = Vec::new();
        room.large_room = true;
    })
    .await;
    let before = world.room("talk").await;
    world.server.shutdown().await;
    let world = World::in_directory(directory.path()).await;
    let (_alice, connected) = world.join("alice", "talk").await;
    assert_eq!(fault(&connected, CAMERA), Some(53125));
    assert_eq!(world.room("talk").await.new, before.new);
}
