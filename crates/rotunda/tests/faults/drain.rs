//! `rotunda drain`: nobody new, nobody hurt, and an end within the time that was given.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use testkit::signaling::{Client, connect};

use super::caller::{Caller, both_hear};
use super::process::{Server, Start, directory, token, until};
use super::store_faults::call;

/// `rotunda drain` with these options, under way.
fn drain(data: &Path, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_rotunda"))
        .arg("drain")
        .arg("--data-dir")
        .arg(data)
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What it said at last.
fn said(drain: Child) -> String {
    let output = drain.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

async fn nobody_new(server: &Server) {
    until("it is not ready", async || server.get("/readyz").await.0 == 503).await;
    let (_, ready) = server.get("/readyz").await;
    assert_eq!((&ready["store"], &ready["rooms"]), (&"ok".into(), &"draining".into()));
    let (status, body) = server.post("/v1/Rooms", &[("UniqueName", "other")]).await;
    assert_eq!((status, &body["code"]), (503, &20503.into()));
    let hello = connect(&token("carol"), Some("daily"), serde_json::json!([]), None);
    let mut newcomer = Client::hello(&server.signaling(), Some(hello)).await;
    assert_eq!(newcomer.frame().await.unwrap()["type"], "busy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_takes_nobody_new_and_stops_when_everybody_has_left() {
    let (_directory, data) = directory();
    let mut server = Start::on(&data).run();
    let (alice, bob) = call(&server).await;
    let drain = drain(&data, &["--wait", "10m"]);
    nobody_new(&server).await;
    both_hear(&alice, &bob).await;
    // Who is there may still change things, and the API may.
    bob.enable(false);
    let (status, _) = server
        .post(
            &format!("/v1/Rooms/daily/Participants/{}", bob.sid),
            &[("Status", "disconnected")],
        )
        .await;
    assert_eq!(status, 202);
    alice.leave().await;
    assert!(server.ended().await.success());
    assert_eq!(said(drain), "everybody had left; the server has stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_whose_time_is_over_leaves_the_rest_to_the_next_process() {
    let (_directory, data) = directory();
    let mut server = Start::on(&data).run();
    let _call = call(&server).await;
    let drain = drain(&data, &["--wait", "1s"]);
    assert!(server.ended().await.success());
    assert_eq!(
        said(drain),
        "participants: 2 in rooms: 1, who resume with the next start; the server has stopped"
    );
    let server = Start::on(&data).run();
    server
        .settles("daily", &[("alice", "reconnecting"), ("bob", "reconnecting")])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_ends_rooms_completes_them_as_the_api_does() {
    let (_directory, data) = directory();
    let receiver = Receiver::start().await;
    let mut server = Start::on(&data).run();
    let form = [("UniqueName", "daily"), ("StatusCallback", receiver.url.as_str())];
    let (status, room) = server.post("/v1/Rooms", &form).await;
    assert_eq!(status, 201, "{room}");
    let (status, empty) = server.post("/v1/Rooms", &[("UniqueName", "empty")]).await;
    assert_eq!(status, 201, "{empty}");
    let mut alice = Client::join(&server.signaling(), &token("alice"), Some("daily"))
        .await
        .unwrap()
        .0;
    let drain = drain(&data, &["--end-rooms"]);
    let farewell = alice.dismissal().await.unwrap();
    assert_eq!(
        (&farewell["type"], &farewell["status"]),
        (&"disconnected".into(), &"completed".into())
    );
    assert!(server.ended().await.success());
    assert_eq!(said(drain), "rooms ended: 2; the server has stopped");
    let events = receiver.events();
    assert_eq!(events.first().map(String::as_str), Some("room-created"));
    assert_eq!(events.last().map(String::as_str), Some("room-ended"), "{events:?}");
    assert!(events.contains(&"participant-disconnected".to_owned()));
    let server = Start::on(&data).run();
    for sid in [&room["sid"], &empty["sid"]] {
        let (_, room) = server.get(&format!("/v1/Rooms/{}", sid.as_str().unwrap())).await;
        assert_eq!(room["status"], "completed");
        assert!(room["end_time"].is_string());
    }
    let sid = room["sid"].as_str().unwrap();
    server.settles(sid, &[("alice", "disconnected")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_is_given_up_takes_everybody_again() {
    let (_directory, data) = directory();
    let mut server = Start::on(&data).run();
    let alice = Caller::join(&server.signaling(), &token("alice"), "daily")
        .await
        .unwrap();
    let mut first = drain(&data, &[]);
    nobody_new(&server).await;
    let second = drain(&data, &[]).wait_with_output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(second.stderr).unwrap(),
        "rotunda: a drain or a restore is under way; wait for its end\n"
    );
    first.kill().unwrap();
    first.wait().unwrap();
    until("it is ready again", async || server.get("/readyz").await.0 == 200).await;
    let bob = Caller::join(&server.signaling(), &token("bob"), "daily").await.unwrap();
    both_hear(&alice, &bob).await;
    // A signal during a drain does not wait for anybody.
    let drain = drain(&data, &["--wait", "10m"]);
    nobody_new(&server).await;
    server.signal("TERM");
    assert!(server.ended().await.success());
    let output = drain.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

/// Takes callbacks and remembers their events.
struct Receiver {
    url: String,
    events: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl Receiver {
    async fn start() -> Self {
        let events = std::sync::Arc::<std::sync::Mutex<Vec<String>>>::default();
        let heard = std::sync::Arc::clone(&events);
        let take = move |body: String| {
            let event = body
                .split('&')
                .find_map(|field| field.strip_prefix("StatusCallbackEvent="));
            heard.lock().unwrap().extend(event.map(str::to_owned));
            async {}
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/hook", axum::routing::post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, events }
    }

    fn events(&self) -> Vec<String> {
        self.events.lock().unwrap().clone()
    }
}
