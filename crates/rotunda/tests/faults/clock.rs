//! The calendar's clock, set forward and back by an hour under a call.

use serde_json::Value;
use testkit::fault_layer::{FaultLayer, Faults};

use super::caller::{Caller, both_hear};
use super::process::{Server, Start, directory, token, token_at, until};
use super::store_faults::call;

const HOUR_S: i64 = 3600;

fn step(layer: &FaultLayer, clock_step_s: i64) {
    layer.set(Faults {
        clock_step_s,
        ..Faults::default()
    });
}

/// Calls go on, rows stay in order, durations are those of a clock that does not step, callbacks go out at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_steps_by_an_hour_disturbs_no_call_and_no_order() {
    let (_directory, data) = directory();
    let layer = FaultLayer::new(&data);
    let server = Start::on(&data).env(layer.env()).run();
    let (alice, bob) = call(&server).await;
    let mut expected = vec![("alice", "connected"), ("bob", "connected")];
    for (name, hours) in [("forward", 1), ("back", -1), ("right", 0)] {
        let reads = layer.counts().clock_reads;
        step(&layer, hours * HOUR_S);
        // Tokens are those of applications whose clocks go with the server's.
        let carol = Caller::join(&server.signaling(), &token_at(name, hours * HOUR_S), "daily")
            .await
            .unwrap();
        both_hear(&alice, &bob).await;
        carol.hears().await;
        carol.leave().await;
        expected.push((name, "disconnected"));
        server.settles("daily", &expected).await;
        assert!(layer.counts().clock_reads > reads, "the step was seen");
    }
    assert!(!alice.is_gone() && !bob.is_gone());
    // Newest first is the order of coming, whatever the clock said; nobody's stay is longer than this test.
    let (_, list) = server.get("/v1/Rooms/daily/Participants?Status=disconnected").await;
    let rows = list["participants"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().filter_map(|row| row["identity"].as_str()).collect();
    assert_eq!(names, ["right", "back", "forward"]);
    for row in rows {
        assert!(
            row["duration"]
                .as_i64()
                .is_some_and(|seconds| (0..600).contains(&seconds)),
            "{row}"
        );
        assert!(row["end_time"].as_str() >= row["start_time"].as_str(), "{row}");
    }
    let (_, list) = server.get("/v1/Rooms/daily/Participants").await;
    let starts: Vec<&Value> = list["participants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["start_time"])
        .collect();
    assert_eq!(starts.len(), 2);
}

/// What an application signed by a clock that is right is refused by one that is not, with the right code; who is in
/// stays in.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_judged_by_the_clock_that_there_is() {
    let (_directory, data) = directory();
    let layer = FaultLayer::new(&data);
    let server = Start::on(&data).env(layer.env()).run();
    let (alice, bob) = call(&server).await;
    for (hours, code) in [(1, 20104), (-1, 20105)] {
        step(&layer, hours * HOUR_S);
        let refusal = Caller::join(&server.signaling(), &token("carol"), "daily")
            .await
            .err()
            .unwrap();
        assert_eq!(refusal["code"], code, "{hours}: {refusal}");
    }
    step(&layer, 0);
    both_hear(&alice, &bob).await;
}

/// A retry that is due in a second is due in a second, though the clock goes back by an hour.
#[tokio::test(flavor = "multi_thread")]
async fn callbacks_do_not_wait_for_a_clock_that_was_set_back() {
    let (_directory, data) = directory();
    let layer = FaultLayer::new(&data);
    let server = Start::on(&data).env(layer.env()).run();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (status, _) = server
        .post("/v1/Rooms", &[("UniqueName", "told"), ("StatusCallback", &url)])
        .await;
    assert_eq!(status, 201);
    // The first attempt finds nobody who answers; the clock goes back before the second.
    let (refused, _) = listener.accept().await.unwrap();
    step(&layer, -HOUR_S);
    drop(refused);
    let (_again, _) = tokio::time::timeout(std::time::Duration::from_secs(60), listener.accept())
        .await
        .expect("a second attempt")
        .unwrap();
    both_steps_are_over(&server).await;
}

async fn both_steps_are_over(server: &Server) {
    until("the server is well", async || server.get("/readyz").await.0 == 200).await;
}
