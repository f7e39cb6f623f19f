//! The network: a firewall before the UDP port, an interface that goes away and comes back.
//!
//! Each test runs itself again inside of a network namespace, with the server in another one and a cable between
//! them; that takes root, and without it they say so and pass.

use std::net::IpAddr;
use std::process::{Child, Command, Stdio};

use super::caller::{Caller, both_hear};
use super::process::{Server, Start, directory, token, until};

/// Set inside of the namespace.
const INSIDE: &str = "ROTUNDA_FAULTS_INSIDE";
const SILENT: &str = "no media arrives from anybody";
const HEARD: &str = "media arrives again";

/// Whether this is the inner run; else the inner run has been made, and has passed.
fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let possible = Command::new("unshare")
        .args(["--net", "true"])
        .stderr(Stdio::null())
        .status();
    if !possible.is_ok_and(|status| status.success()) {
        println!("NOT RUN: network namespaces take root");
        return false;
    }
    let inner = Command::new("unshare")
        .arg("--net")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status();
    assert!(inner.unwrap().success(), "inside of the namespace");
    false
}

/// A cable to a namespace of the server's own; its end is `10.78.0.1`, ours `10.78.0.2`.
struct Cable {
    /// Holds the server's namespace.
    holder: Child,
}

impl Cable {
    fn new() -> Self {
        let holder = Command::new("unshare")
            .args(["--net", "sleep", "infinity"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let cable = Self { holder };
        // `unshare` is in its namespace once it has become `sleep`.
        let comm = format!("/proc/{}/comm", cable.holder.id());
        while std::fs::read_to_string(&comm).unwrap().trim() != "sleep" {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        sh("ip link set lo up");
        cable.inside("ip link set lo up");
        cable.plug();
        cable
    }

    fn plug(&self) {
        sh(&format!(
            "ip link add ours type veth peer name theirs netns {}",
            self.holder.id()
        ));
        sh("ip addr add 10.78.0.2/24 dev ours && ip link set ours up");
        self.inside("ip addr add 10.78.0.1/24 dev theirs && ip link set theirs up");
    }

    fn unplug(&self) {
        sh("ip link del ours");
    }

    fn inside(&self, script: &str) {
        sh(&format!(
            "nsenter --net=/proc/{}/ns/net sh -ec '{script}'",
            self.holder.id()
        ));
    }

    fn serve(&self, data: &std::path::Path) -> Server {
        let mut inside = Command::new("nsenter");
        inside
            .arg(format!("--net=/proc/{}/ns/net", self.holder.id()))
            .arg(env!("CARGO_BIN_EXE_rotunda"));
        Start::with(inside, data, "10.78.0.1").run()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.holder.kill().ok();
        self.holder.wait().ok();
    }
}

fn sh(script: &str) {
    let done = Command::new("sh").args(["-ec", script]).status().unwrap();
    assert!(done.success(), "{script}");
}

/// A call of two over a cable.
struct Scene {
    alice: Caller,
    bob: Caller,
    server: Server,
    cable: Cable,
    _directory: tempfile::TempDir,
}

impl Scene {
    /// `None` where the test that makes it cannot run, or has run inside of a namespace.
    async fn new(test: &str) -> Option<Self> {
        if !is_inside(test) {
            return None;
        }
        let (directory, data) = directory();
        let cable = Cable::new();
        let server = cable.serve(&data);
        let (alice, bob) = (join(&server, "alice").await, join(&server, "bob").await);
        both_hear(&alice, &bob).await;
        Some(Self {
            alice,
            bob,
            server,
            cable,
            _directory: directory,
        })
    }
}

async fn join(server: &Server, identity: &str) -> Caller {
    let at: IpAddr = [10, 78, 0, 2].into();
    Caller::join_from(&server.signaling(), &token(identity), "daily", at)
        .await
        .unwrap()
}

/// Media stops, and only media: signaling, the list and new participants go on; the operator is told once; when the
/// port opens, the media of all flows.
#[tokio::test(flavor = "multi_thread")]
async fn a_firewall_before_the_udp_port() {
    let Some(scene) = Scene::new("network::a_firewall_before_the_udp_port").await else {
        return;
    };
    let Scene {
        alice,
        bob,
        server,
        cable,
        ..
    } = &scene;
    let port = server.media.rsplit(':').next().unwrap().to_owned();
    cable.inside("nft add table inet wall");
    cable.inside("nft \"add chain inet wall input { type filter hook input priority 0; }\"");
    cable.inside(&format!("nft add rule inet wall input udp dport {port} drop"));
    let carol = join(server, "carol").await;
    until("it is said", async || !server.said(SILENT).is_empty()).await;
    server
        .settles(
            "daily",
            &[("alice", "connected"), ("bob", "connected"), ("carol", "connected")],
        )
        .await;
    assert!(!alice.is_gone() && !bob.is_gone() && !carol.is_gone());
    cable.inside("nft delete table inet wall");
    until("it is said that it passed", async || !server.said(HEARD).is_empty()).await;
    carol.hears().await;
    both_hear(alice, bob).await;
    assert_eq!(server.said(SILENT).len(), 1);
    server
        .settles(
            "daily",
            &[("alice", "connected"), ("bob", "connected"), ("carol", "connected")],
        )
        .await;
}

/// The address goes and comes back: the server serves on it again by itself, with the same call.
#[tokio::test(flavor = "multi_thread")]
async fn an_interface_that_goes_and_comes_back() {
    let Some(scene) = Scene::new("network::an_interface_that_goes_and_comes_back").await else {
        return;
    };
    let Scene {
        alice,
        bob,
        server,
        cable,
        ..
    } = &scene;
    let (heard, sid) = (alice.heard(), alice.sid.clone());
    cable.unplug();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    cable.plug();
    until("media flows again", async || alice.heard() > heard + 50).await;
    both_hear(alice, bob).await;
    server
        .settles("daily", &[("alice", "connected"), ("bob", "connected")])
        .await;
    let rows = server.full_rows("daily").await;
    assert!(
        rows.iter().any(|row| row["sid"] == sid && row["identity"] == "alice"),
        "{rows:?}"
    );
    let carol = join(server, "carol").await;
    carol.hears().await;
}
