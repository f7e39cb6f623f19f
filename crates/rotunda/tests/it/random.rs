//! Whatever is asked: an answer of the contract, never a failure of the server.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::world::World;

/// Parameters, half of them with a value that means something.
fn parameter() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "Status",
        "Identity",
        "UniqueName",
        "DateCreatedAfter",
        "DateCreatedBefore",
        "PageSize",
        "Page",
        "PageToken",
        "Unknown",
    ]);
    let value = prop_oneof![
        prop::sample::select(vec![
            "connected",
            "completed",
            "alice",
            "daily",
            "2017-07-30",
            "2017-07-30T20:00:00Z",
            "1",
            "0",
            "-1",
            "",
            "%00",
            "%FF",
            "%",
            "+",
        ])
        .prop_map(str::to_owned),
        "[!-\"$-~]{0,20}",
    ];
    (name, value).prop_map(|(name, value)| format!("{name}={value}"))
}

#[test]
fn random_queries_never_fail_the_server() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(async {
        let world = World::start().await;
        let room = world.room(Some("daily"), 0).await;
        world.join(room, "alice", 0).await;
        world
    });
    let paths = prop::sample::select(vec![
        "/v1/Rooms",
        "/v1/Rooms/",
        "/v1/Rooms/daily",
        "/v1/Rooms/daily/Participants",
        "/v1/Rooms/x/Participants/",
    ]);
    let query = prop::collection::vec(parameter(), 0..5).prop_map(|list| list.join("&"));
    let mut runner = TestRunner::new(Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&(paths, query), |(path, query)| {
        // The client holds every body against the contract.
        let answer = runtime.block_on(world.get(&format!("{path}?{query}")));
        prop_assert!([200, 400, 404].contains(&answer.status), "{}", answer.text);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn random_forms_never_fail_the_server() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::start());
    let name = prop::sample::select(vec![
        "UniqueName",
        "Type",
        "StatusCallback",
        "MaxParticipants",
        "VideoCodecs",
        "MediaRegion",
        "RecordingRules",
        "AudioOnly",
        "LargeRoom",
        "MaxParticipantDuration",
        "EmptyRoomTimeout",
    ]);
    let value = prop_oneof![
        "[!-~]{0,12}",
        prop::sample::select(vec![
            "group",
            "go",
            "peer-to-peer",
            "group-small",
            "true",
            "false",
            "VP8",
            "H264",
            "gll",
            "us1",
            "de1",
            "1",
            "2",
            "3",
            "10",
            "600",
            "86400",
        ])
        .prop_map(str::to_owned),
    ];
    let pair = (name, value).prop_map(|(name, value)| format!("{name}={value}"));
    let form = prop::collection::vec(pair, 0..3).prop_map(|list| list.join("&"));
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&form, |form| {
        let answer = runtime.block_on(world.post("/v1/Rooms", &form));
        prop_assert!([201, 400].contains(&answer.status), "{}", answer.text);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn a_changed_page_token_is_never_accepted() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (world, list, token) = runtime.block_on(async {
        let world = World::start().await;
        let room = world.room(None, 0).await;
        for identity in ["alice", "bob"] {
            world.join(room, identity, 0).await;
        }
        let list = format!("/v1/Rooms/{room}/Participants");
        let first = world.get(&format!("{list}?PageSize=1")).await;
        let next = first.meta("next_page_url").as_str().unwrap().to_owned();
        (world, list, next.split("PageToken=").nth(1).unwrap().to_owned())
    });
    let change = (0..token.len(), prop::sample::select(b"ABCxyz019-_".to_vec()));
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&change, |(position, byte)| {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = byte;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assume!(changed != token);
        let answer = runtime.block_on(world.get(&format!("{list}?PageToken={changed}")));
        prop_assert_eq!(answer.error(), (400, 21481));
        Ok(())
    });
    result.unwrap();
}
