//! `kill -9` in the middle of things: what was acknowledged is there afterwards, nothing is that
//! was not asked for, and nobody stays connected for ever.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use room::{AccountSid, ApiKeySid};
use rotunda::access_token;
use serde_json::{Value, json};
use store::ApiKey;
use testkit::signaling::{Client, both_tracks};

const KILLS: usize = 20;
const ACCOUNT: &str = "ACcccccccccccccccccccccccccccccccc";
const AUTH_TOKEN: &str = "cccccccccccccccccccccccccccccccc";
const KEY: &str = "SKcccccccccccccccccccccccccccccccc";
const SECRET: &str = "a-secret-for-the-crash-test-only";
/// The shortest that can be set, seconds.
const SESSION_TIMEOUT_S: u64 = 5;

struct Process {
    child: Child,
    http: String,
}

impl Process {
    async fn start(directory: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(env!("CARGO_BIN_EXE_rotunda"))
            .arg("serve")
            .args([
                "--http-addr",
                &format!("127.0.0.1:{port}"),
                "--media-addr",
                "127.0.0.1:0",
            ])
            .arg("--data-dir")
            .arg(directory)
            .env("ROTUNDA_ACCOUNT_SID", ACCOUNT)
            .env("ROTUNDA_AUTH_TOKEN", AUTH_TOKEN)
            .env("ROTUNDA_API_KEY_SID", KEY)
            .env("ROTUNDA_API_KEY_SECRET", SECRET)
            .env("ROTUNDA_SESSION_TIMEOUT_S", SESSION_TIMEOUT_S.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let process = Self {
            child,
            http: format!("http://127.0.0.1:{port}"),
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while reqwest::get(format!("{}/readyz", process.http)).await.is_err() {
            assert!(Instant::now() < deadline, "the server is ready within 20 s");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        process
    }

    fn signaling(&self) -> String {
        format!("{}/signaling", self.http.replace("http://", "ws://"))
    }

    /// SIGKILL, and the end of it.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn token(identity: &str) -> String {
    let key = ApiKey {
        sid: KEY.parse::<ApiKeySid>().unwrap(),
        account: ACCOUNT.parse::<AccountSid>().unwrap(),
        secret: SECRET.to_owned(),
    };
    let now_s = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    access_token::issue(&key, identity, None, 3600, now_s.try_into().unwrap()).unwrap()
}

async fn get(http: &str, path: &str) -> Option<Value> {
    let request = reqwest::Client::new()
        .get(format!("{http}{path}"))
        .basic_auth(ACCOUNT, Some(AUTH_TOKEN));
    let answer = request.send().await.ok()?;
    serde_json::from_str(&answer.text().await.ok()?).ok()
}

async fn post(http: &str, path: &str, body: &'static str) -> Option<Value> {
    let request = reqwest::Client::new()
        .post(format!("{http}{path}"))
        .basic_auth(ACCOUNT, Some(AUTH_TOKEN));
    let request = request
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    let answer = request.send().await.ok()?;
    if !answer.status().is_success() {
        return None;
    }
    serde_json::from_str(&answer.text().await.ok()?).ok()
}

/// What the server has said to be so.
#[derive(Default)]
struct Acknowledged {
    /// Identities that asked to be let in.
    asked: BTreeSet<String>,
    /// Participant SID by identity, from `connected`.
    connected: BTreeMap<String, String>,
    /// Participant SIDs that the API answered as disconnected.
    removed: BTreeSet<String>,
    /// Rooms seen.
    rooms: BTreeSet<String>,
}

/// People come, some are removed, some leave, until the server is gone.
async fn busy(process: &Process, round: usize, worker: usize, acknowledged: Arc<Mutex<Acknowledged>>) {
    let (http, url) = (process.http.clone(), process.signaling());
    for turn in 0.. {
        let identity = format!("guest-{round}-{worker}-{turn}");
        let room = format!("room-{}", worker % 3);
        acknowledged.lock().unwrap().asked.insert(identity.clone());
        let (token, url) = (token(&identity), url.clone());
        let joined =
            tokio::spawn(async move { Client::join_with(&url, &token, Some(&room), both_tracks(), None).await });
        let Ok(Ok((client, connected))) = joined.await else {
            return;
        };
        let sid = connected["participant"]["sid"].as_str().unwrap().to_owned();
        let room = connected["sid"].as_str().unwrap().to_owned();
        {
            let mut acknowledged = acknowledged.lock().unwrap();
            acknowledged.connected.insert(identity, sid.clone());
            acknowledged.rooms.insert(room.clone());
        }
        match turn % 4 {
            0 => client.leave().await,
            1 => client.cut(),
            2 => {
                let path = format!("/v1/Rooms/{room}/Participants/{sid}");
                if post(&http, &path, "Status=disconnected")
                    .await
                    .is_some_and(|row| row["status"] == "disconnected")
                {
                    acknowledged.lock().unwrap().removed.insert(sid);
                }
            }
            _ => std::mem::forget(client), // stays until the crash
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_nothing_and_invent_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
    let mut seed = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64
        | 1;
    println!("seed {seed}");
    for round in 0..KILLS {
        let process = Process::start(directory.path()).await;
        let workers: Vec<_> = (0..4)
            .map(|worker| Box::pin(busy(&process, round, worker, Arc::clone(&acknowledged))))
            .collect();
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let moment = Duration::from_millis(50 + seed % 450);
        let _cut_short = tokio::time::timeout(moment, futures_util::future::join_all(workers)).await;
        process.kill();
    }
    let process = Process::start(directory.path()).await;
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    verify(&process, &acknowledged).await;
    process.kill();
}

async fn verify(process: &Process, acknowledged: &Acknowledged) {
    assert!(
        acknowledged.connected.len() >= KILLS,
        "the scenario was busy: {}",
        acknowledged.connected.len()
    );
    let mut rows: BTreeMap<String, Value> = BTreeMap::new();
    let deadline = Instant::now() + Duration::from_secs(SESSION_TIMEOUT_S + 10);
    loop {
        let mut live = 0;
        for room in &acknowledged.rooms {
            for status in ["connected", "reconnecting", "disconnected"] {
                let path = format!("/v1/Rooms/{room}/Participants?PageSize=1000&Status={status}");
                let list = get(&process.http, &path).await.expect("the list answers");
                let list = list["participants"].as_array().expect("participants").clone();
                live += if status == "disconnected" { 0 } else { list.len() };
                assert!(
                    status != "connected" || list.is_empty(),
                    "nobody is connected after a crash: {list:?}"
                );
                for row in list {
                    rows.insert(row["sid"].as_str().unwrap().to_owned(), row);
                }
            }
        }
        if live == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "{live} never end");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for (identity, sid) in &acknowledged.connected {
        let row = rows
            .get(sid)
            .unwrap_or_else(|| panic!("the row of {identity}, who was told `connected`, is lost"));
        assert_eq!(row["identity"], json!(identity));
        assert!(row["end_time"].is_string() && row["duration"].is_number(), "{row}");
    }
    let mut identities = BTreeSet::new();
    for row in rows.values() {
        let identity = row["identity"].as_str().unwrap();
        assert!(acknowledged.asked.contains(identity), "{identity} never asked");
        assert!(
            identities.insert(identity.to_owned()),
            "{identity} asked once and has two rows"
        );
    }
    for sid in &acknowledged.removed {
        assert_eq!(rows[sid]["status"], "disconnected");
    }
    println!(
        "{} acknowledged, {} removed, {} rows",
        acknowledged.connected.len(),
        acknowledged.removed.len(),
        rows.len()
    );
}

/// The order of system calls: the row is in the log, the log is on the disk, the client hears it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_has_the_row_before_the_client_hears_connected_if_strace_is_installed() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        println!("strace is not installed: nothing was traced");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace");
    let process = Process::start(&directory.path().join("data")).await;
    let calls = "trace=pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg";
    let pid = process.child.id().to_string();
    let mut tracer = Command::new("strace")
        .args(["-f", "-s", "8192", "-e", calls, "-p", &pid, "-o"])
        .arg(&trace)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It says so for each thread, the last one when all are attached.
    let mut attached = std::io::BufReader::new(tracer.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut attached, &mut line).unwrap();
    assert!(line.contains("attached"), "strace may trace here: {line}");
    let identity = "somebody-to-trace";
    let url = process.signaling();
    let (_client, _) = Client::join_with(&url, &token(identity), Some("daily"), both_tracks(), None)
        .await
        .unwrap();
    process.kill();
    tracer.wait().unwrap();
    let text = String::from_utf8_lossy(&std::fs::read(&trace).unwrap()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let find = |from: usize, wanted: &dyn Fn(&str) -> bool| {
        lines[from..].iter().position(|line| wanted(line)).map(|at| from + at)
    };
    let logged = find(0, &|line| line.contains("pwrite64(") && line.contains(identity)).expect("the row is written");
    let synced = find(logged, &|line| line.contains("fdatasync(") || line.contains("fsync(")).expect("and synced");
    let synced = if lines[synced].contains("unfinished") {
        find(synced, &|line| line.contains("sync resumed")).expect("the sync ends")
    } else {
        synced
    };
    let told = find(0, &|line| line.contains(r#"\"type\":\"connected\""#)).expect("the client is told");
    assert!(
        logged < synced && synced < told,
        "written {logged}, synced {synced}, told {told}"
    );
}
