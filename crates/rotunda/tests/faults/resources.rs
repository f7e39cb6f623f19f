//! What the system grants: file descriptors and memory.

use std::process::Command;
use std::time::Duration;

use testkit::signaling::{Client, connect};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::caller::{Caller, both_hear};
use super::process::{Server, Start, directory, token, until};
use super::store_faults::call;

/// Sets a limit of a running process (prlimit(1)); the hard limit stays.
fn limit(server: &Server, resource: &str, soft: &str) {
    let id = server.id().to_string();
    let done = Command::new("prlimit")
        .args(["--pid", &id, &format!("--{resource}={soft}:")])
        .status();
    assert!(done.expect("util-linux is there").success());
}

fn addr(server: &Server) -> String {
    server.http.replace("http://", "")
}

/// Idle connections up to the bound leave the call, its rows and the database alone; one more is turned away at once.
#[tokio::test(flavor = "multi_thread")]
async fn connections_never_take_the_descriptors_that_calls_need() {
    let (_directory, data) = directory();
    let mut limited = Command::new("prlimit");
    limited.args(["--nofile=276:276", env!("CARGO_BIN_EXE_rotunda")]);
    let server = Start::with(limited, &data, "127.0.0.1").run();
    until("it is said", async || {
        server.said("leaves room for 20 connections at once").len() == 1
    })
    .await;
    let (alice, bob) = call(&server).await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(TcpStream::connect(addr(&server)).await.unwrap());
    }
    // Whoever came when all places were taken hears so, or finds the connection closed; nobody hangs.
    let mut answer = Vec::new();
    let last = idle.last_mut().unwrap();
    let read = tokio::time::timeout(Duration::from_secs(60), last.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "it is told at once");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 503"), "{answer:?}");
    both_hear(&alice, &bob).await;
    bob.leave().await;
    drop(idle);
    until("there is room again", async || is_answered(&server).await).await;
    server
        .settles("daily", &[("alice", "connected"), ("bob", "disconnected")])
        .await;
    assert_eq!(server.said("ERROR"), Vec::<String>::new());
}

async fn is_answered(server: &Server) -> bool {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client
        .get(format!("{}/healthz", server.http))
        .send()
        .await
        .is_ok_and(|answer| answer.status() == 200)
}

/// All are gone, by whatever: the call goes on, who comes waits, it is said once, and it passes by itself.
#[tokio::test(flavor = "multi_thread")]
async fn descriptors_used_up() {
    let (_directory, data) = directory();
    let server = Start::on(&data).run();
    let (alice, bob) = call(&server).await;
    // Not even one more.
    limit(&server, "nofile", "5");
    let waiting = TcpStream::connect(addr(&server)).await.unwrap();
    until("it is said", async || {
        !server.said("connections cannot be accepted").is_empty()
    })
    .await;
    both_hear(&alice, &bob).await;
    bob.enable(false);
    both_hear(&alice, &bob).await;
    limit(&server, "nofile", "1024");
    until("it passes", async || {
        !server.said("connections are accepted again").is_empty()
    })
    .await;
    drop(waiting);
    assert_eq!(server.said("connections cannot be accepted").len(), 1);
    let carol = Caller::join(&server.signaling(), &token("carol"), "daily")
        .await
        .unwrap();
    carol.hears().await;
    assert!(!alice.is_gone() && !bob.is_gone());
}

/// Near its limit the server takes nothing new, and what there is goes on.
#[tokio::test(flavor = "multi_thread")]
async fn memory_near_its_limit() {
    let (_directory, data) = directory();
    let server = Start::on(&data).run();
    let (alice, bob) = call(&server).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let used_kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    limit(&server, "as", &(used_kib * 1024 / 100 * 107).to_string());
    until("it is said", async || {
        !server.said("memory is nearly used up").is_empty()
    })
    .await;
    both_hear(&alice, &bob).await;
    let (status, body) = server.post("/v1/Rooms", &[("UniqueName", "other")]).await;
    assert_eq!((status, &body["code"]), (503, &20503.into()));
    let hello = connect(&token("carol"), Some("daily"), serde_json::json!([]), None);
    let mut newcomer = Client::hello(&server.signaling(), Some(hello)).await;
    assert_eq!(newcomer.frame().await.unwrap()["type"], "busy");
    drop(newcomer);
    server
        .settles("daily", &[("alice", "connected"), ("bob", "connected")])
        .await;
    limit(&server, "as", "unlimited");
    until("it passes", async || !server.said("there is memory again").is_empty()).await;
    assert_eq!(server.said("memory is nearly used up").len(), 1);
    let carol = Caller::join(&server.signaling(), &token("carol"), "daily")
        .await
        .unwrap();
    carol.hears().await;
}
