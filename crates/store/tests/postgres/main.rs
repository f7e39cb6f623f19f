//! The PostgreSQL backend's own behaviour: outages, commits in doubt, a second server, a stale writer, encryption.
#![allow(clippy::unwrap_used, missing_docs)]

mod tls;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use room::{AccountSid, Change, ParticipantSid, RoomSid, Timestamp};
use store::conformance::{ordinary_join, ordinary_room};
use store::{
    Account, CallbackFilter, CallbackLease, CallbackOutcome, DatabaseUrl, EndedAttempt, NewRoom, Outage, PageRequest,
    ParticipantFilter, PostgresStore, Store, StoreError,
};
use testkit::postgres::{PostgresServer, Shell, Sync};

const ACCOUNT: AccountSid = AccountSid::from_bytes([1; 16]);
const ROOM: RoomSid = RoomSid::from_bytes([2; 16]);
/// Longer than anything takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// Names the database in the environment of the child.
const DATABASE: &str = "STORE_STALE_WRITER_DATABASE";

fn new_room(sid: RoomSid) -> NewRoom {
    ordinary_room(sid, Timestamp(1_000_000))
}

fn join(number: u32) -> Change {
    let participant = ParticipantSid::from_bytes(u128::from(number).to_be_bytes());
    ordinary_join(participant, format!("guest {number}"), Timestamp(i64::from(number)))
}

fn url(database: &str) -> DatabaseUrl {
    database.parse().unwrap()
}

/// A store with a room in it.
async fn store(database: &str) -> PostgresStore {
    let store = PostgresStore::open(&url(database)).await.unwrap();
    let account = Account::new(ACCOUNT);
    store.put_account(account).await.unwrap();
    store.create_room(ACCOUNT, new_room(ROOM)).await.unwrap();
    store
}

async fn present(store: &dyn Store) -> usize {
    let page = PageRequest {
        size: 1000,
        from: None,
        backwards: false,
    };
    let rows = store.participants(ACCOUNT, ROOM, ParticipantFilter::default(), page);
    rows.await.unwrap().rows.len()
}

fn outage<T>(result: &Result<T, StoreError>) -> Option<Outage> {
    match result {
        Err(StoreError::Unavailable { outage, .. }) => Some(*outage),
        _ => None,
    }
}

/// Asks until the answer is this one.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waits = async {
        while !is_so().await {
            tokio::time::sleep(PAUSE).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waits).await.is_ok(), "{what}");
}

fn name(database: &str) -> &str {
    let path = database.rsplit('/').next().unwrap();
    path.split('?').next().unwrap()
}

#[tokio::test]
async fn a_second_store_on_the_same_database_is_refused() {
    let database = PostgresServer::shared().database();
    let first = store(&database).await;
    first.write(ACCOUNT, ROOM, 1, vec![join(1)]).await.unwrap();
    let second = PostgresStore::open(&url(&database)).await.map(drop);
    assert!(matches!(second, Err(StoreError::DatabaseInUse { .. })), "{second:?}");
    let migrate = PostgresStore::migrate(&url(&database)).await;
    assert!(matches!(migrate, Err(StoreError::DatabaseInUse { .. })), "{migrate:?}");
    drop(first);
    // At once: the lock is released before the store is gone.
    let next = PostgresStore::open(&url(&database)).await.unwrap();
    assert_eq!(present(&next).await, 1);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    let server = PostgresServer::shared();
    let database = server.database();
    assert_eq!(PostgresStore::migrate(&url(&database)).await.unwrap().0, 0);
    let (from, to) = PostgresStore::migrate(&url(&database)).await.unwrap();
    assert_eq!(from, to, "once");
    server.sql(name(&database), "INSERT INTO rotunda_schema VALUES (99)");
    let newer = PostgresStore::open(&url(&database)).await.map(drop);
    assert!(
        matches!(newer, Err(StoreError::NewerSchema { found: 99, .. })),
        "{newer:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_away() {
    let nowhere = PostgresStore::open(&url("postgres://nobody@127.0.0.1:1/none"))
        .await
        .map(drop);
    assert_eq!(outage(&nowhere), Some(Outage::Away), "{nowhere:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_away_comes_back_with_all_that_was_acknowledged() {
    let server = PostgresServer::start(Sync::Disk);
    let database = server.database();
    let store = store(&database).await;
    for number in 0..20 {
        store.write(ACCOUNT, ROOM, 1, vec![join(number)]).await.unwrap();
    }
    server.stop();
    let away = store.write(ACCOUNT, ROOM, 1, vec![join(20)]).await;
    assert_eq!(outage(&away), Some(Outage::Away), "{away:?}");
    let away = store.room(ACCOUNT, ROOM).await;
    assert_eq!(outage(&away), Some(Outage::Away), "{away:?}");
    assert_eq!(store.condition().outage, Some(Outage::Away));
    server.resume();
    until("it works again", async || store.check().await.is_ok()).await;
    until("it says so", async || store.condition().outage.is_none()).await;
    store.write(ACCOUNT, ROOM, 1, vec![join(20)]).await.unwrap();
    assert_eq!(present(&store).await, 21);
}

/// A commit that waits for a standby which is not there is done, but nobody says so before the connection breaks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_was_lost_is_found_done() {
    let server = PostgresServer::start(Sync::Disk);
    let database = server.database();
    let store = Arc::new(store(&database).await);
    store.write(ACCOUNT, ROOM, 1, vec![join(1)]).await.unwrap();
    let reload = |value: &str| {
        server.sql(
            "postgres",
            &format!("ALTER SYSTEM SET synchronous_standby_names = '{value}'"),
        );
        server.sql("postgres", "SELECT pg_reload_conf()");
    };
    reload("nobody");
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    until("the setting is in force", async || {
        server.sql("postgres", "SHOW synchronous_standby_names") == "nobody"
    })
    .await;
    let written = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.write(ACCOUNT, ROOM, 1, vec![join(2)]).await }
    });
    until("the commit waits", async || server.sql("postgres", waits) == "1").await;
    reload("");
    // Ending the process beats the news that there is nothing to wait for, or does not: both must do.
    server.sql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
    );
    written.await.unwrap().unwrap();
    assert_eq!(present(&*store).await, 2);
    store.write(ACCOUNT, ROOM, 1, vec![join(3)]).await.unwrap();
    assert_eq!(present(&*store).await, 3, "nothing is doubled");
}

/// A commit that is cut short while it checks what was put off until then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_lost_is_found_not_done_and_can_be_done_again() {
    let server = PostgresServer::shared();
    let database = server.database();
    let store = Arc::new(store(&database).await);
    let owner = name(&database);
    server.sql(
        owner,
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON participants DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION wait()",
    );
    let written = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.write(ACCOUNT, ROOM, 1, vec![join(1)]).await }
    });
    let waits = format!("FROM pg_stat_activity WHERE datname = '{owner}' AND wait_event = 'PgSleep'");
    until("the commit waits", async || {
        server.sql("postgres", &format!("SELECT count(*) {waits}")) == "1"
    })
    .await;
    server.sql("postgres", &format!("SELECT pg_terminate_backend(pid) {waits}"));
    let lost = written.await.unwrap();
    assert_eq!(outage(&lost), Some(Outage::Away), "{lost:?}");
    server.sql(owner, "DROP TRIGGER wait ON participants");
    store.write(ACCOUNT, ROOM, 1, vec![join(1)]).await.unwrap();
    assert_eq!(present(&*store).await, 1);
}

/// The child's part; without its environment this is no test.
#[test]
fn writes_until_it_is_refused() {
    let Ok(database) = std::env::var(DATABASE) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = store(&database).await;
        let mut out = std::io::stdout().lock();
        for number in 0.. {
            match store.write(ACCOUNT, ROOM, 1, vec![join(number)]).await {
                Ok(()) => writeln!(out, "written {number}").unwrap(),
                Err(StoreError::Unavailable { outage, .. }) => {
                    writeln!(out, "refused {outage:?}").unwrap();
                    if outage == Outage::TakenOver {
                        return;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => {
                    writeln!(out, "refused {error:?}").unwrap();
                    return;
                }
            }
        }
    });
}

/// A server that was stopped in the middle of its writes, whose sessions the database ended meanwhile, and whose rooms
/// another one took over: what it still writes is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_writer_of_another_process_writes_nothing_more() {
    let server = PostgresServer::shared();
    let database = server.database();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writes_until_it_is_refused", "--nocapture"])
        .env(DATABASE, &database)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().map(|line| line.unwrap());
    while !next().unwrap().contains("written 20") {}
    let signal = |name: &str| {
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    };
    signal("-STOP");
    server.sql(
        "postgres",
        &format!(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '{}'",
            name(&database)
        ),
    );
    let heir = PostgresStore::open(&url(&database)).await.unwrap();
    let taken = heir.take_over(Timestamp(2_000_000)).await.unwrap();
    assert_eq!((taken.len(), taken[0].room.epoch), (1, 2));
    let before = present(&heir).await;
    signal("-CONT");
    let mut told = Vec::new();
    while let Some(line) = next() {
        told.push(line);
    }
    child.wait().unwrap();
    assert!(told.iter().any(|line| line.contains("refused TakenOver")), "{told:?}");
    assert_eq!(present(&heir).await, before, "{told:?}");
    // Without the lock, the epoch alone refuses it.
    let late = heir.write(ACCOUNT, ROOM, 1, vec![join(5000)]).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    heir.write(ACCOUNT, ROOM, 2, vec![join(5000)]).await.unwrap();
    assert_eq!(present(&heir).await, before + 1);
}

#[test]
fn a_write_that_was_queued_happens_though_nobody_waits_for_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = PostgresServer::shared().database();
    runtime.block_on(async {
        let store = store(&database).await;
        let mut write = store.write(ACCOUNT, ROOM, 1, vec![join(1)]);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(write.as_mut().poll(&mut context).is_pending());
        drop(write);
        drop(store);
        let store = PostgresStore::open(&url(&database)).await.unwrap();
        assert_eq!(present(&store).await, 1);
    });
}

/// Attempts of two rooms end in two transactions. If one of them fails, both are told again; each counts once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_counts_once_though_another_could_not_be_written_with_it() {
    let server = PostgresServer::shared();
    let database = server.database();
    let store = store(&database).await;
    for number in 3..11 {
        let other = RoomSid::from_bytes([number; 16]);
        store.create_room(ACCOUNT, new_room(other)).await.unwrap();
    }
    let (now, until) = (Timestamp(2_000_000), Timestamp(9_000_000));
    let due = store.lease_callbacks(now, until, 100).await.unwrap();
    assert_eq!(due.len(), 9);
    let ended: Vec<EndedAttempt> = due
        .iter()
        .map(|due| EndedAttempt {
            id: due.id,
            at: Timestamp(3_000_000 + due.id),
            answer: Err("no connection".to_owned()),
            outcome: CallbackOutcome::Retry(Timestamp(5_000_000)),
        })
        .collect();
    let lease = CallbackLease {
        now,
        ..CallbackLease::default()
    };
    let broken = due[4].id;
    let owner = name(&database);
    server.sql(
        owner,
        &format!(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
             CREATE TRIGGER fail BEFORE INSERT ON attempts FOR EACH ROW WHEN (NEW.outbox_id = {broken})
                 EXECUTE FUNCTION fail()"
        ),
    );
    store
        .exchange_callbacks(ended.clone(), lease.clone())
        .await
        .unwrap_err();
    let written = "SELECT count(*) FROM attempts";
    assert_ne!(server.sql(owner, written), "0", "the others were written");
    server.sql(owner, "DROP TRIGGER fail ON attempts");
    store.exchange_callbacks(ended.clone(), lease.clone()).await.unwrap();
    store.exchange_callbacks(ended, lease).await.unwrap();
    let rows = store.callbacks(CallbackFilter::default(), 0, 100).await.unwrap();
    assert!(rows.iter().all(|row| row.attempts == 1), "{rows:#?}");
    assert_eq!(server.sql(owner, written), "9");
    // Counted once, it is tried again as the schedule of a first attempt says.
    let again = store.lease_callbacks(Timestamp(5_000_000), until, 100).await.unwrap();
    assert!(again.len() == 9 && again.iter().all(|due| due.attempts == 1));
}

/// Versions of rows of participants, and entries of their indexes, that have this text.
fn traces(server: &PostgresServer, database: &str, text: &str) -> u32 {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let spaced: Vec<String> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let rows = format!(
        "SELECT count(*) FROM generate_series(0, pg_relation_size('participants') / 8192 - 1) AS page,
             heap_page_items(get_raw_page('participants', page::int)) AS item
         WHERE position('{hex}' IN encode(item.t_data, 'hex')) > 0"
    );
    let entries = |index: &str| {
        // Page 0 has no entries.
        format!(
            "SELECT count(*) FROM generate_series(1, pg_relation_size('{index}') / 8192 - 1) AS page,
                 bt_page_items('{index}', page::int) AS item
             WHERE position('{}' IN item.data) > 0",
            spaced.join(" ")
        )
    };
    let count = |sql: &str| server.sql(database, sql).parse::<u32>().unwrap();
    count(&rows) + count(&entries("participants_listed_by_identity")) + count(&entries("participants_live_identity"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_identity_is_in_no_row_and_in_no_index() {
    let server = PostgresServer::shared();
    let database = server.database();
    let store = store(&database).await;
    let owner = name(&database);
    server.sql(owner, "CREATE EXTENSION pageinspect");
    store
        .write(ACCOUNT, ROOM, 1, (1..200).map(join).collect())
        .await
        .unwrap();
    let anonymized = Change::ParticipantAnonymized {
        participant: ParticipantSid::from_bytes(u128::from(77u32).to_be_bytes()),
    };
    store.write(ACCOUNT, ROOM, 1, vec![anonymized]).await.unwrap();
    assert_eq!(traces(server, owner, "guest 77"), 3, "the old versions");
    store.expunge().await.unwrap();
    assert_eq!(traces(server, owner, "guest 77"), 0);
    assert_eq!(traces(server, owner, "guest 78"), 3, "others stay");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_waits_for_who_reads_an_older_state() {
    let server = PostgresServer::shared();
    let database = server.database();
    let store = Arc::new(store(&database).await);
    let mut shell = Shell::of(Some(database.clone())).unwrap();
    shell.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    store.write(ACCOUNT, ROOM, 1, vec![join(1)]).await.unwrap();
    let expunging = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.expunge().await }
    });
    // Others write on meanwhile.
    store.write(ACCOUNT, ROOM, 1, vec![join(2)]).await.unwrap();
    assert!(!expunging.is_finished());
    shell.run("COMMIT");
    expunging.await.unwrap().unwrap();
    shell.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    store.write(ACCOUNT, ROOM, 1, vec![join(3)]).await.unwrap();
    let never = store.expunge().await;
    assert_eq!(outage(&never), Some(Outage::Locked), "{never:?}");
    shell.run("COMMIT");
    store.expunge().await.unwrap();
}
