//! The disk and the database: full, failing, slow, locked.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use testkit::fault_layer::{FaultLayer, Faults};
use testkit::signaling::Client;

use super::caller::{Caller, both_hear};
use super::process::{Server, Start, directory, token, until};

/// What is said once when the store can be used again.
const AGAIN: &str = "the database works again";

/// A call of two in the room "daily".
pub(crate) async fn call(server: &Server) -> (Caller, Caller) {
    let url = server.signaling();
    let alice = Caller::join(&url, &token("alice"), "daily").await.unwrap();
    let bob = Caller::join(&url, &token("bob"), "daily").await.unwrap();
    both_hear(&alice, &bob).await;
    (alice, bob)
}

/// What holds while the store cannot be written, from the first line that says so on: media flows, the list is read,
/// whatever is new is refused clearly.
async fn new_work_is_refused_and_the_call_goes_on(server: &Server, call: (&Caller, &Caller), begun: &str) {
    new_work_is_refused(server, call, begun).await;
    server
        .settles("daily", &[("alice", "connected"), ("bob", "connected")])
        .await;
}

/// The same but for the list.
pub(crate) async fn new_work_is_refused(server: &Server, call: (&Caller, &Caller), begun: &str) {
    until("it is said", async || !server.said(begun).is_empty()).await;
    both_hear(call.0, call.1).await;
    newcomers_are_refused(server).await;
}

async fn newcomers_are_refused(server: &Server) {
    let (status, headers, body) = server
        .rest(reqwest::Method::POST, "/v1/Rooms", &[("UniqueName", "other")])
        .await;
    assert_eq!(
        (status, &body["code"], &body["status"]),
        (503, &20503.into(), &503.into())
    );
    assert!(headers.contains_key("retry-after"));
    let (status, ready) = server.get("/readyz").await;
    assert_eq!((status, &ready["store"]), (503, &"failed".into()));
    let mut newcomer = Client::hello(
        &server.signaling(),
        Some(testkit::signaling::connect(
            &token("carol"),
            Some("daily"),
            serde_json::json!([]),
            None,
        )),
    )
    .await;
    assert_eq!(newcomer.frame().await.unwrap()["type"], "busy");
}

/// What holds once it can: it says so once, the refused work is taken, and so is what waited, in order.
pub(crate) async fn all_is_well_again(server: &Server, begun: &str) {
    until("it is said that it works", async || !server.said(AGAIN).is_empty()).await;
    let (status, body) = server.post("/v1/Rooms", &[("UniqueName", "other")]).await;
    assert_eq!(status, 201, "{body}");
    let carol = Caller::join(&server.signaling(), &token("carol"), "daily")
        .await
        .unwrap();
    carol.hears().await;
    carol.leave().await;
    let count = |text: &str| server.said(text).len();
    assert_eq!((count(begun), count(AGAIN)), (1, 1), "one line each");
    let others = server
        .said("ERROR")
        .into_iter()
        .filter(|line| !line.contains(begun))
        .collect::<Vec<_>>();
    assert_eq!(others, Vec::<String>::new(), "no other line");
}

/// Everything of a fault that stops writing: a call goes on, a mute and a leave meanwhile land in order.
async fn a_store_that_cannot_be_written(server: &Server, begun: &str, begin: impl FnOnce(), end: impl FnOnce()) {
    let (alice, bob) = call(server).await;
    let before = changed(server, "daily", "bob").await;
    begin();
    // Somebody has to write for it to be noticed; and this is what has to land later.
    bob.enable(false);
    new_work_is_refused_and_the_call_goes_on(server, (&alice, &bob), begun).await;
    assert!(!alice.is_gone() && !bob.is_gone());
    bob.leave().await;
    end();
    server
        .settles("daily", &[("alice", "connected"), ("bob", "disconnected")])
        .await;
    assert!(changed(server, "daily", "bob").await > before);
    all_is_well_again(server, begun).await;
    assert!(!alice.is_gone(), "she never lost her socket");
}

async fn changed(server: &Server, room: &str, identity: &str) -> String {
    let rows = server.full_rows(room).await;
    let row: &Value = rows.iter().find(|row| row["identity"] == identity).unwrap();
    row["date_updated"].as_str().unwrap().to_owned()
}

fn under_a_layer(data: &Path) -> (FaultLayer, Server) {
    let layer = FaultLayer::new(data);
    let server = Start::on(data).env(layer.env()).run();
    (layer, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_full() {
    let (_directory, data) = directory();
    let (layer, server) = under_a_layer(&data);
    let full = || {
        layer.set(Faults {
            disk_full: true,
            ..Faults::default()
        });
    };
    a_store_that_cannot_be_written(&server, "the disk of the database is full", full, || {
        layer.set(Faults::default());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_fail() {
    let (_directory, data) = directory();
    let (layer, server) = under_a_layer(&data);
    let fail = || {
        layer.set(Faults {
            write_error: true,
            ..Faults::default()
        });
    };
    a_store_that_cannot_be_written(&server, "the disk of the database fails", fail, || {
        layer.set(Faults::default());
    })
    .await;
}

/// Lists say so instead of showing what is there in part, and show all of it once they can be read.
#[tokio::test(flavor = "multi_thread")]
async fn reads_that_fail() {
    // SQLite takes a file system that fails reads by `EIO` for a damaged one.
    const FAILS: &str = "the database is damaged";
    let (_directory, data) = directory();
    let (layer, server) = under_a_layer(&data);
    let (alice, bob) = call(&server).await;
    let rows = "/v1/Rooms/daily/Participants";
    layer.set(Faults {
        read_error: true,
        ..Faults::default()
    });
    // What readers still remember is not true any more after this, and has to be read.
    bob.enable(false);
    until("a list fails", async || server.get(rows).await.0 != 200).await;
    let (status, body) = server.get(rows).await;
    assert_eq!((status, &body["code"]), (503, &20503.into()), "{body}");
    until("it is said", async || !server.said(FAILS).is_empty()).await;
    both_hear(&alice, &bob).await;
    newcomers_are_refused(&server).await;
    assert!(!alice.is_gone() && !bob.is_gone());
    bob.leave().await;
    layer.set(Faults::default());
    server
        .settles("daily", &[("alice", "connected"), ("bob", "disconnected")])
        .await;
    all_is_well_again(&server, FAILS).await;
    assert!(!alice.is_gone(), "she never lost her socket");
}

/// Nothing new is taken, what runs goes on, and the operator is told what to do; it does not pass.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_damaged_while_it_is_served() {
    const DAMAGED: &str = "the database is damaged";
    let (_directory, data) = directory();
    let mut server = Start::on(&data).run();
    let (alice, bob) = call(&server).await;
    let file = data.join("rotunda.db");
    until("all of it is in the one file", async || is_in_one_file(&file)).await;
    damage(&file);
    bob.enable(false);
    until("it is said", async || {
        // A write may find its pages remembered; a list finds out, too.
        server.get("/v1/Rooms/daily/Participants").await;
        !server.said(DAMAGED).is_empty()
    })
    .await;
    both_hear(&alice, &bob).await;
    newcomers_are_refused(&server).await;
    let (status, body) = server.get("/v1/Rooms/daily/Participants").await;
    assert_eq!((status, &body["code"]), (503, &20503.into()), "{body}");
    both_hear(&alice, &bob).await;
    assert!(!alice.is_gone() && !bob.is_gone());
    assert_eq!((server.said(DAMAGED).len(), server.said(AGAIN).len()), (1, 0));
    assert!(server.said(DAMAGED)[0].contains("restore a backup"));
    server.signal("TERM");
    server.ended().await;
}

/// Moves the write-ahead log into the database; whether nothing stood in the way.
fn is_in_one_file(file: &Path) -> bool {
    let shell = rusqlite::Connection::open(file).unwrap();
    let busy: i64 = shell
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .unwrap();
    busy == 0
}

/// Writes over every page but the first, behind the back of whoever has the file open.
fn damage(file: &Path) {
    use std::io::{Seek, SeekFrom, Write};
    const PAGE: u64 = 4096;
    let mut file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    let length = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(PAGE)).unwrap();
    let rest = usize::try_from(length - PAGE).unwrap();
    file.write_all(&vec![0xaa; rest]).unwrap();
}

/// After a failed sync the system forgets what it should have written, so what SQLite wrote before is not trusted: it is
/// written anew. A power failure right after the recovery shows that it was.
#[tokio::test(flavor = "multi_thread")]
async fn syncs_that_fail_lose_nothing_that_is_acknowledged_later() {
    let (_directory, data) = directory();
    let (layer, mut server) = under_a_layer(&data);
    let fail = || {
        layer.set(Faults {
            sync_error: true,
            ..Faults::default()
        });
    };
    a_store_that_cannot_be_written(&server, "the disk of the database fails", fail, || {
        layer.set(Faults::default());
    })
    .await;
    // Her socket went with the call: nothing moves any more while the rows are read.
    let all = [
        ("alice", "reconnecting"),
        ("bob", "disconnected"),
        ("carol", "disconnected"),
    ];
    server.settles("daily", &all).await;
    let before = server.full_rows("daily").await;
    layer.crash(server.child(), None);
    let server = Start::on(&data).env(layer.env()).run();
    let after = server.full_rows("daily").await;
    let facts = |rows: &[Value]| {
        let facts = rows
            .iter()
            .map(|row| (row["sid"].clone(), row["identity"].clone(), row["start_time"].clone()));
        facts.collect::<Vec<_>>()
    };
    assert_eq!(facts(&after), facts(&before));
    server.settles("daily", &all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_locked_by_another_program() {
    let (_directory, data) = directory();
    let server = Start::on(&data).run();
    let shell = rusqlite::Connection::open(data.join("rotunda.db")).unwrap();
    a_store_that_cannot_be_written(
        &server,
        "another program has locked the database",
        || shell.execute_batch("BEGIN EXCLUSIVE").unwrap(),
        || shell.execute_batch("ROLLBACK").unwrap(),
    )
    .await;
}

/// Everything takes longer that waits for the disk, nothing is refused, and it is said once.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_whose_syncs_take_two_seconds() {
    let (_directory, data) = directory();
    let (layer, server) = under_a_layer(&data);
    let (alice, bob) = call(&server).await;
    layer.set(Faults {
        sync_delay: Duration::from_secs(2),
        ..Faults::default()
    });
    let carol = Caller::join(&server.signaling(), &token("carol"), "daily")
        .await
        .unwrap();
    both_hear(&alice, &bob).await;
    let (status, body) = server.post("/v1/Rooms", &[("UniqueName", "other")]).await;
    assert_eq!(status, 201, "{body}");
    carol.leave().await;
    server
        .settles(
            "daily",
            &[("alice", "connected"), ("bob", "connected"), ("carol", "disconnected")],
        )
        .await;
    layer.set(Faults::default());
    until("it is said that it works", async || !server.said(AGAIN).is_empty()).await;
    assert_eq!(server.said("the disk of the database is slow").len(), 1);
    assert!(!alice.is_gone() && !bob.is_gone());
}

/// A write that does not end: new work is not left hanging behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_stalls() {
    let (_directory, data) = directory();
    let (layer, server) = under_a_layer(&data);
    let stall = || {
        layer.set(Faults {
            sync_delay: Duration::from_secs(12),
            ..Faults::default()
        });
    };
    let (alice, bob) = call(&server).await;
    stall();
    bob.enable(false);
    new_work_is_refused_and_the_call_goes_on(&server, (&alice, &bob), "the disk of the database stalls").await;
    layer.set(Faults::default());
    until("it is said that it works", async || !server.said(AGAIN).is_empty()).await;
    let (status, body) = server.post("/v1/Rooms", &[("UniqueName", "other")]).await;
    assert_eq!(status, 201, "{body}");
}

/// Whoever was let in and whose row could not be written is not left hanging; and once it can, the row is not left either.
#[tokio::test(flavor = "multi_thread")]
async fn a_join_under_way_when_the_fault_begins_is_told_to_come_again() {
    let (_directory, data) = directory();
    let server = Start::on(&data).run();
    let (alice, bob) = call(&server).await;
    let shell = rusqlite::Connection::open(data.join("rotunda.db")).unwrap();
    shell.execute_batch("BEGIN EXCLUSIVE").unwrap();
    // At once, before anybody knows of the lock.
    let refusal = Caller::join(&server.signaling(), &token("carol"), "daily")
        .await
        .err()
        .unwrap();
    assert_eq!((&refusal["type"], &refusal["code"]), (&"error".into(), &53006.into()));
    both_hear(&alice, &bob).await;
    shell.execute_batch("ROLLBACK").unwrap();
    until("it is said that it works", async || !server.said(AGAIN).is_empty()).await;
    let carol = Caller::join(&server.signaling(), &token("carol"), "daily")
        .await
        .unwrap();
    carol.hears().await;
    let rows = server.rows("daily").await;
    let live = rows.iter().filter(|(who, how)| who == "carol" && how != "disconnected");
    assert_eq!(live.count(), 1, "{rows:?}");
}
