//! `kill -9` under load, each time with a power failure: what was not synced is gone; or, with the rows in PostgreSQL, of
//! the server alone. The history over all restarts contradicts nothing, and the database keeps its invariants.

use std::ffi::{OsStr, OsString};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use room::{AccountSid, ApiKeySid};
use rotunda::credentials::ApiKey;
use testkit::fault_layer::{FaultLayer, Faults};
use testkit::history::Touches;
use testkit::postgres::{PostgresServer, Sync};

use crate::random::seed;
use crate::receiver::Receiver;
use crate::scenario::{SETTLED_WITHIN, faults, settle, work};
use crate::world::World;

pub(crate) const ACCOUNT: &str = "ACcccccccccccccccccccccccccccccccc";
pub(crate) const AUTH_TOKEN: &str = "cccccccccccccccccccccccccccccccc";
pub(crate) const KEY: &str = "SKcccccccccccccccccccccccccccccccc";
pub(crate) const SECRET: &str = "a-secret-for-the-crash-test-only";
/// The shortest that can be set, seconds.
const SESSION_TIMEOUT_S: &str = "5";
/// Who acts at the same time.
const WORKERS: u64 = 4;
/// Kills between two looks at the database.
const CHECK_EVERY: u64 = 5;
/// How long a start may take.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// What a run of kills came to.
struct Report {
    faults: Vec<String>,
    facts: usize,
    deeds: usize,
    unsynced: usize,
    dropped: usize,
}

/// The program: the one of `ROTUNDA_BIN`, so that a long run does not see it built anew, or cargo's.
fn program() -> Command {
    Command::new(std::env::var_os("ROTUNDA_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_rotunda").into()))
}

/// Starts a server on this directory and port, with this environment besides; it is ready.
pub(crate) async fn start<K: AsRef<OsStr>, V: AsRef<OsStr>>(
    directory: &Path,
    port: u16,
    environment: impl IntoIterator<Item = (K, V)>,
) -> Child {
    let mut child = program()
        .args([
            "serve",
            "--media-addr",
            "127.0.0.1:0",
            "--http-addr",
            &format!("127.0.0.1:{port}"),
            "--data-dir",
        ])
        .arg(directory)
        .env("ROTUNDA_ACCOUNT_SID", ACCOUNT)
        .env("ROTUNDA_AUTH_TOKEN", AUTH_TOKEN)
        .env("ROTUNDA_API_KEY_SID", KEY)
        .env("ROTUNDA_API_KEY_SECRET", SECRET)
        .env("ROTUNDA_SESSION_TIMEOUT_S", SESSION_TIMEOUT_S)
        .env("ROTUNDA_CALLBACK_ALLOW", "loopback")
        .env("ROTUNDA_LOG", "warn")
        .envs(environment)
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let ready = format!("http://127.0.0.1:{port}/readyz");
    let deadline = tokio::time::Instant::now() + READY_WITHIN;
    while !reqwest::get(&ready)
        .await
        .is_ok_and(|answer| answer.status().is_success())
    {
        assert!(child.try_wait().unwrap().is_none(), "the server ended by itself");
        assert!(tokio::time::Instant::now() < deadline, "the server is ready in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    child
}

/// The key that the server knows.
pub(crate) fn key() -> ApiKey {
    ApiKey {
        sid: KEY.parse::<ApiKeySid>().unwrap(),
        account: ACCOUNT.parse::<AccountSid>().unwrap(),
        secret: SECRET.to_owned(),
    }
}

/// What `rotunda check` says against the database, if anything.
pub(crate) fn broken_invariants(directory: &Path) -> Option<String> {
    said_against(program().args(["check", "--data-dir"]).arg(directory))
}

/// The same of a database in PostgreSQL.
pub(crate) fn broken_invariants_of(database: &str) -> Option<String> {
    said_against(program().arg("check").env("ROTUNDA_DATABASE_URL", database))
}

fn said_against(check: &mut Command) -> Option<String> {
    let checked = check.output().unwrap();
    let said = [checked.stdout, checked.stderr].concat();
    (!checked.status.success()).then(|| String::from_utf8_lossy(&said).into_owned())
}

/// A port that no client's own end takes by chance while the server is away.
pub(crate) fn port(dice: &mut Rng) -> u16 {
    loop {
        let port = dice.u16(10_000..30_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Where the rows are.
enum Rows {
    /// In a file, over a layer that loses what was not synced.
    File(FaultLayer),
    /// In the PostgreSQL database with this URL, which outlives the server.
    Apart(String),
}

impl Rows {
    fn env(&self) -> Vec<(OsString, OsString)> {
        match self {
            Self::File(layer) => layer
                .env()
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect(),
            Self::Apart(url) => vec![("ROTUNDA_DATABASE_URL".into(), url.into())],
        }
    }

    /// Ends the server at once: changes that were not synced, and those of them that are gone.
    fn crash(&self, child: &mut Child, torn: Option<u64>) -> (usize, usize) {
        match self {
            Self::File(layer) => {
                let lost = layer.crash(child, torn);
                (lost.unsynced, lost.dropped)
            }
            Self::Apart(_) => {
                child.kill().unwrap();
                child.wait().unwrap();
                (0, 0)
            }
        }
    }

    fn broken_invariants(&self, data: &Path) -> Option<String> {
        match self {
            Self::File(_) => broken_invariants(data),
            Self::Apart(url) => broken_invariants_of(url),
        }
    }
}

async fn run(kills: u64, seed: u64, wrong: Faults, patience: Duration) -> Report {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let layer = FaultLayer::new(&data);
    layer.set(wrong);
    run_on(Rows::File(layer), &data, kills, seed, patience).await
}

async fn run_on(rows: Rows, data: &Path, kills: u64, seed: u64, patience: Duration) -> Report {
    let mut dice = Rng::with_seed(seed);
    let port = port(&mut dice);
    let receiver = Receiver::start(seed, None).await;
    let user = (ACCOUNT.to_owned(), AUTH_TOKEN.to_owned());
    let world = Arc::new(World::new(
        format!("http://127.0.0.1:{port}"),
        user,
        key(),
        receiver.url.clone(),
    ));
    receiver.tells(&world);
    let mut child = start(data, port, rows.env()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| tokio::spawn(work(Arc::clone(&world), seed ^ worker, u64::MAX, Arc::clone(&stop))))
        .collect();
    let mut report = Report {
        faults: Vec::new(),
        facts: 0,
        deeds: 0,
        unsynced: 0,
        dropped: 0,
    };
    for kill in 1..=kills {
        tokio::time::sleep(Duration::from_millis(dice.u64(20..700))).await;
        let death = world.recorder.begins(Touches::Everything);
        world.set_up(false);
        // Every other time all is lost that may be; else a part of it.
        let torn = dice.bool().then(|| dice.u64(..));
        let (unsynced, dropped) = rows.crash(&mut child, torn);
        world.recorder.dead();
        report.unsynced += unsynced;
        report.dropped += dropped;
        if kill % CHECK_EVERY == 0 || kill == kills {
            report.faults.extend(rows.broken_invariants(data));
        }
        child = start(data, port, rows.env()).await;
        world.recorder.over(death);
        world.set_up(true);
        if kill % 50 == 0 {
            println!(
                "{kill} kills, {} changes not synced, {} dropped",
                report.unsynced, report.dropped
            );
        }
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    let history = settle(&world, &receiver, patience).await;
    child.kill().unwrap();
    child.wait().unwrap();
    report.faults.extend(rows.broken_invariants(data));
    report.faults.extend(faults(&world, &history));
    (report.facts, report.deeds) = (history.facts.len(), history.deeds.len());
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifteen_kills_lose_nothing_and_invent_nothing() {
    passes(15, seed()).await;
}

/// Those of the server alone: what was acknowledged is PostgreSQL's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_kills_over_postgres_lose_nothing_and_invent_nothing() {
    passes_over_postgres(5, seed()).await;
}

/// `scripts/soak kills [COUNT] [SEED] [postgres]`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes as long as it is told to: scripts/soak kills"]
async fn soak() {
    let count = std::env::var("TRUTH_KILLS").map_or(1000, |count| count.parse().unwrap());
    match std::env::var("TRUTH_STORE").as_deref() {
        Ok("postgres") => passes_over_postgres(count, seed()).await,
        _ => passes(count, seed()).await,
    }
}

async fn passes_over_postgres(kills: u64, seed: u64) {
    println!("seed {seed}");
    let directory = tempfile::tempdir().unwrap();
    let server = PostgresServer::start(Sync::Disk);
    let rows = Rows::Apart(server.database());
    let report = run_on(rows, &directory.path().join("data"), kills, seed, SETTLED_WITHIN).await;
    println!(
        "{kills} kills over PostgreSQL: {} facts, {} deeds",
        report.facts, report.deeds
    );
    assert!(
        report.faults.is_empty(),
        "{:#?}\nagain: scripts/soak kills {kills} {seed} postgres",
        report.faults
    );
    assert!(report.facts > 0 && report.deeds > 0);
}

async fn passes(kills: u64, seed: u64) {
    println!("seed {seed}");
    let report = run(kills, seed, Faults::default(), SETTLED_WITHIN).await;
    let Report {
        facts,
        deeds,
        unsynced,
        dropped,
        ..
    } = report;
    println!(
        "{kills} kills: {facts} facts, {deeds} deeds, {unsynced} changes not synced at a kill, {dropped} of them dropped"
    );
    assert!(
        report.faults.is_empty(),
        "{:#?}\nagain: scripts/soak kills {kills} {seed}",
        report.faults
    );
    assert!(unsynced > 0, "the kills came at moments that matter");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_ignores_syncs_is_found() {
    let lies = Faults {
        sync_lies: true,
        ..Faults::default()
    };
    // The database may be broken so badly that the server refuses to start with it.
    let found = tokio::spawn(run(4, 3, lies, Duration::from_secs(10))).await;
    assert!(found.is_err() || found.is_ok_and(|report| !report.faults.is_empty()));
}
