//! What the system grants: file descriptors and memory.

use std::path::{Path, PathBuf};
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
    let near = |server: &Server| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
        let used_kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        limit(server, "as", &(used_kib * 1024 / 100 * 107).to_string());
    };
    memory_is_near_and_far(&server, near, |server| limit(server, "as", "unlimited")).await;
}

/// The same by a control group, and what happens at its limit: the system kills the server, which loses nothing that was
/// acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_control_group_near_and_at_its_memory_limit() {
    let group = match Group::new() {
        Ok(group) => group,
        Err(reason) => return println!("NOT RUN: a control group with a memory limit: {reason}"),
    };
    let (_directory, data) = directory();
    let mut inside = Command::new("sh");
    inside
        .args(["-ec", "echo $$ > \"$GROUP/cgroup.procs\"; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_rotunda"))
        .env("GROUP", &group.0);
    let mut server = Start::with(inside, &data, "127.0.0.1").run();
    memory_is_near_and_far(
        &server,
        |_| group.allow(group.used() / 100 * 107),
        |_| group.allow_all(),
    )
    .await;
    let (alice, bob) = call(&server).await;
    drop((alice, bob));
    group.allow(1 << 20);
    assert_eq!(server.ended().await.code(), None, "killed by a signal");
    group.allow_all();
    let server = Start::on(&data).run();
    let rows = server.rows("daily").await;
    for who in ["alice", "bob"] {
        let all: Vec<_> = rows.iter().filter(|(identity, _)| identity == who).collect();
        let open = all.iter().filter(|(_, status)| status == "reconnecting").count();
        assert_eq!(open, 1, "{rows:?}");
    }
}

/// A control group of version 2; it is removed in the end.
struct Group(PathBuf);

impl Group {
    /// Fails with the reason why there is none here.
    fn new() -> Result<Self, String> {
        const MOUNT: &str = "/sys/fs/cgroup";
        let controllers = std::fs::read_to_string(Path::new(MOUNT).join("cgroup.controllers"))
            .map_err(|_| format!("{MOUNT} is not of version 2"))?;
        if !controllers.split_whitespace().any(|name| name == "memory") {
            return Err("version 2 has no memory here".to_owned());
        }
        let group = Self(Path::new(MOUNT).join(format!("rotunda-test-{}", std::process::id())));
        std::fs::create_dir(&group.0).map_err(|error| format!("making one: {error}"))?;
        if !group.0.join("memory.max").exists() {
            return Err("memory is not delegated".to_owned());
        }
        Ok(group)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// Bytes in use, without what the system could drop at once.
    fn used(&self) -> u64 {
        let current: u64 = self.read("memory.current").trim().parse().unwrap();
        let stat = self.read("memory.stat");
        let droppable = stat.lines().find_map(|line| line.strip_prefix("inactive_file "));
        current - droppable.map_or(0, |bytes| bytes.parse().unwrap())
    }

    fn allow(&self, bytes: u64) {
        std::fs::write(self.0.join("memory.max"), bytes.to_string()).unwrap();
    }

    fn allow_all(&self) {
        std::fs::write(self.0.join("memory.max"), "max").unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // One that still has a process stays; the process ends with the test.
        std::fs::remove_dir(&self.0).ok();
    }
}

/// Under a call of two memory becomes scarce and is there again.
async fn memory_is_near_and_far(server: &Server, near: impl FnOnce(&Server), far: impl FnOnce(&Server)) {
    let (alice, bob) = call(server).await;
    near(server);
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
    far(server);
    until("it passes", async || !server.said("there is memory again").is_empty()).await;
    assert_eq!(server.said("memory is nearly used up").len(), 1);
    let carol = Caller::join(&server.signaling(), &token("carol"), "daily")
        .await
        .unwrap();
    carol.hears().await;
}
