//! A whole installation from one database to another and back, and files that are no such thing.

use std::io::BufReader;
use std::path::Path;

use room::{ApiKeySid, Change, Named, Priority, Rule, RuleEffect, Rules, TrackKind, TrackSid};
use store::{
    Account, ApiKey, ArchiveError, ArchiveReader, Audit, AuditFilter, CallbackFilter, CallbackOutcome, DatabaseCopy,
    DatabaseUrl, Expiry, Moved, NewRoom, PageRequest, ParticipantFilter, PostgresImport, PostgresStore, RoomFilter,
    SealedSecret, SqliteStore, Store, StoreError,
};
use testkit::postgres::PostgresServer;

use crate::story::{ACCOUNT, ALICE, CAROL, OPEN, OVER, at, join, leave, new_room, publish, story};

const KEY: ApiKeySid = ApiKeySid::from_bytes([0x5c; 16]);

/// Something in every column of every table.
async fn fill(store: &dyn Store) {
    story(store).await;
    let secret = |byte, until| SealedSecret {
        sealed: vec![byte; 40],
        since: at(1),
        until,
    };
    let account = Account {
        name: "Clinic \"Ü\"\n".to_owned(),
        auth_tokens: vec![secret(2, None), secret(1, Some(at(99)))],
        ..Account::new(ACCOUNT)
    };
    let by = Audit {
        api_key: Some(KEY),
        ..Audit::of_operator(at(2), "rotate")
    };
    store.put_account_audited(account, Some(by.clone())).await.unwrap();
    let key = ApiKey {
        created: Some(at(1)),
        revoked: Some(at(3)),
        secrets: vec![secret(3, None)],
        ..ApiKey::new(KEY, ACCOUNT)
    };
    store.put_api_key_audited(key, Some(by)).await.unwrap();
    store.secret("page_token", [9; 32]).await.unwrap();
    let rules = Rules::new(vec![
        Rule::all(RuleEffect::Exclude),
        Rule {
            publisher: Some(Named::Name("bob".to_owned())),
            track: Some(Named::Sid(TrackSid::from_bytes([0x22; 16]))),
            kind: Some(TrackKind::Audio),
            priority: Some(Priority::Low),
            ..Rule::new(RuleEffect::Include)
        },
    ]);
    let changes = vec![Change::SubscribeRules {
        participant: ALICE,
        rules: rules.unwrap(),
        at: at(12),
    }];
    let by = Audit {
        account: Some(ACCOUNT),
        method: Some("POST".to_owned()),
        room: Some(OPEN),
        participant: Some(ALICE),
        status: Some(202),
        remote: Some("192.0.2.1".to_owned()),
        request_id: Some("r".to_owned()),
        ..Audit::of_operator(at(12), "replace-rules")
    };
    store.write_audited(ACCOUNT, OPEN, 1, changes, vec![by]).await.unwrap();
    // The last line of the audit log is forgotten, since its clock was off.
    store.record(Audit::of_operator(at(-200), "last")).await.unwrap();
    let audit = Expiry {
        audit: Some(at(0)),
        ..Expiry::default()
    };
    assert_eq!(store.forget(audit, 100).await.unwrap().audit, 1);
    // One callback that is to be tried again, and one that was given up.
    let due = store.lease_callbacks(at(20), at(30), 10).await.unwrap();
    assert_eq!(due.len(), 2);
    let retry = CallbackOutcome::Retry(at(40));
    for (callback, outcome) in due.iter().zip([retry, CallbackOutcome::GivenUp]) {
        let ended = store.record_callback(callback.id, at(21), Err("no answer".to_owned()), outcome);
        ended.await.unwrap();
    }
    // A room of which a part is forgotten.
    let third = NewRoom {
        unique_name: Some("third".to_owned()),
        media_region: Some("us1".to_owned()),
        status_callback: None,
        ..new_room(room::RoomSid::from_bytes([3; 16]))
    };
    store.create_room(ACCOUNT, third.clone()).await.unwrap();
    let dave = room::ParticipantSid::from_bytes([0x14; 16]);
    let over = Change::RoomCompleted {
        at: at(-99),
        duration_s: 0,
    };
    let changes = vec![
        join(dave, "dave", -100),
        publish(dave, 0x23, -100),
        leave(dave, -99),
        over,
    ];
    store.write(ACCOUNT, third.sid, 1, changes).await.unwrap();
    let rooms = Expiry {
        rooms: Some(at(3)),
        ..Expiry::default()
    };
    store.forget(rooms, 1).await.unwrap();
}

fn of_file(path: &Path) -> Vec<u8> {
    let (mut out, mut told) = (Vec::new(), Vec::new());
    let rows = SqliteStore::export(path, &mut out, &mut |done, of| told.push((done, of))).unwrap();
    assert!(rows > 30 && told.iter().all(|(done, of)| done <= of && *of == rows));
    out
}

async fn of_postgres(url: &DatabaseUrl) -> Vec<u8> {
    let mut out = Vec::new();
    PostgresStore::export(url, &mut out, &mut |_, _| ()).await.unwrap();
    out
}

fn into_file(archive: &[u8], path: &Path) -> Result<Moved, ArchiveError> {
    let mut archive = ArchiveReader::begin(archive)?;
    let (copy, moved) = DatabaseCopy::of_archive(&mut archive, path.parent().unwrap(), &mut |_, _| ())?;
    assert_eq!(copy.check(&mut |_| ()).unwrap().violations, []);
    copy.publish(path, false).unwrap();
    Ok(moved)
}

async fn into_postgres(archive: &[u8], url: &DatabaseUrl) -> Result<Moved, ArchiveError> {
    let mut archive = ArchiveReader::begin(BufReader::new(archive))?;
    let import = PostgresImport::make(url, &mut archive, &mut |_, _| ()).await?;
    assert_eq!(import.check(&mut |_| ()).await.unwrap().violations, []);
    let moved = import.moved();
    import.commit().await.unwrap();
    Ok(moved)
}

fn fresh() -> DatabaseUrl {
    PostgresServer::shared().database().parse().unwrap()
}

/// All that a store answers, as text.
async fn answers(store: &dyn Store) -> String {
    let page = PageRequest {
        size: 100,
        from: None,
        backwards: false,
    };
    let mut told = format!(
        "{:?}\n{:?}\n",
        store.accounts().await.unwrap(),
        store.api_keys().await.unwrap()
    );
    for status in [room::RoomStatus::InProgress, room::RoomStatus::Completed] {
        let filter = RoomFilter {
            status,
            unique_name: None,
            created_from_s: None,
            created_before_s: None,
        };
        told += &format!("{:?}\n", store.rooms(ACCOUNT, filter, page).await.unwrap());
    }
    for room in [OPEN, OVER] {
        let people = store.participants(ACCOUNT, room, ParticipantFilter::default(), page);
        told += &format!("{:?}\n", people.await.unwrap());
        for participant in [ALICE, CAROL] {
            told += &format!(
                "{:?}\n",
                store.published_tracks(ACCOUNT, room, participant, page).await.unwrap()
            );
            told += &format!(
                "{:?}\n",
                store.subscribe_rules(ACCOUNT, room, participant).await.unwrap()
            );
        }
    }
    let callbacks = store.callbacks(CallbackFilter::default(), 0, 100).await.unwrap();
    for callback in &callbacks {
        told += &format!(
            "{callback:?} {:?}\n",
            store.callback_attempts(callback.id).await.unwrap()
        );
    }
    let audit = store.audit(AuditFilter::default(), 0, 100).await.unwrap();
    told + &format!("{audit:?}\n{:?}\n", store.secret("page_token", [0; 32]).await.unwrap())
}

/// What a server does with it: takes it over, goes on counting, and delivers what waits, in order.
async fn goes_on(store: &dyn Store) {
    let live = store.take_over(at(50)).await.unwrap();
    assert_eq!((live.len(), live[0].room.epoch, live[0].participants.len()), (1, 2, 1));
    let eve = room::ParticipantSid::from_bytes([0x15; 16]);
    let changes = vec![join(eve, "eve", 51), publish(eve, 0x24, 51)];
    store.write(ACCOUNT, OPEN, 2, changes).await.unwrap();
    let another = new_room(room::RoomSid::from_bytes([4; 16]));
    store.create_room(ACCOUNT, another).await.unwrap();
    store.record(Audit::of_operator(at(52), "next")).await.unwrap();
    let after = store.audit(AuditFilter::default(), 0, 100).await.unwrap();
    assert_eq!(after.last().map(|line| line.id), Some(5), "a number is given once");
    let mut sequences = Vec::new();
    loop {
        let due = store.lease_callbacks(at(60), at(70), 10).await.unwrap();
        if due.is_empty() {
            break;
        }
        for callback in due {
            let delivered = store.record_callback(callback.id, at(61), Ok(200), CallbackOutcome::Delivered);
            delivered.await.unwrap();
            if callback.room == OPEN {
                sequences.push(callback.sequence);
            }
        }
    }
    assert_eq!(sequences, (1..9).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_moves_to_postgres_and_back_and_is_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let (here, back) = (directory.path().join("here.db"), directory.path().join("back.db"));
    let store = SqliteStore::open(&here).unwrap();
    fill(&store).await;
    let told = answers(&store).await;
    let first = of_file(&here);
    drop(store);
    assert_eq!(of_file(&here), first, "whether it is served or not");

    let url = fresh();
    let moved = into_postgres(&first, &url).await.unwrap();
    assert_eq!(moved.changed, 0);
    let second = of_postgres(&url).await;
    assert!(first == second, "{}\n{}", text(&first), text(&second));
    assert_eq!(into_file(&second, &back).unwrap(), moved);
    assert!(of_file(&back) == first);

    let apart = PostgresStore::open(&url).await.unwrap();
    assert_eq!(answers(&apart).await, told);
    goes_on(&apart).await;
    drop(apart);
    assert_eq!(
        PostgresStore::check_database(&url, &mut |_| ())
            .await
            .unwrap()
            .violations,
        []
    );
    let store = SqliteStore::open(&back).unwrap();
    assert_eq!(answers(&store).await, told);
    goes_on(&store).await;
    assert_eq!(SqliteStore::check_file(&back, &mut |_| ()).unwrap().violations, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_that_began_in_postgres_moves_while_it_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let url = fresh();
    let store = PostgresStore::open(&url).await.unwrap();
    fill(&store).await;
    let archive = of_postgres(&url).await;
    let told = answers(&store).await;
    // Neither is disturbed by the other.
    let taken = into_postgres(&archive, &url).await;
    assert!(
        matches!(taken, Err(ArchiveError::Store(StoreError::DatabaseInUse { .. }))),
        "{taken:?}"
    );
    into_file(&archive, &path).unwrap();
    assert_eq!(answers(&SqliteStore::open(&path).unwrap()).await, told);
    assert!(of_file(&path) == archive);
    // Once more, from there to PostgreSQL, where it is the same.
    let other = fresh();
    into_postgres(&archive, &other).await.unwrap();
    assert!(of_postgres(&other).await == archive);
}

fn text(archive: &[u8]) -> String {
    String::from_utf8_lossy(archive).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_imported_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (here, there) = (directory.path().join("here.db"), directory.path().join("there.db"));
    fill(&SqliteStore::open(&here).unwrap()).await;
    let whole = of_file(&here);
    let written = text(&whole);
    let url = fresh();
    let alice = written.lines().find(|line| line.contains("\"alice\"")).unwrap();
    let broken = [
        (whole[..whole.len() - 20].to_vec(), "it is cut short: line "),
        (whole[..whole.len() / 2].to_vec(), "it is cut short: line "),
        (
            written.replace("\"alice\"", "\"alicf\"").into_bytes(),
            "it is damaged: line ",
        ),
        // What no database of ours holds: a SID twice, and a word that is none.
        (
            written.replace(&"12".repeat(16), &"11".repeat(16)).into_bytes(),
            "the database failed",
        ),
        (
            written
                .replace("\"reconnecting\"", "\"away\"")
                .replace("\"connected\"", "\"away\"")
                .into_bytes(),
            "the database failed",
        ),
        (written.replace(alice, "[]").into_bytes(), "it is damaged: line "),
    ];
    for (archive, expected) in &broken {
        let said = into_postgres(archive, &url).await.unwrap_err().to_string();
        assert!(said.starts_with(expected), "{said}");
        let said = into_file(archive, &there).unwrap_err().to_string();
        assert!(said.starts_with(expected), "{said}");
    }
    let left: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy().contains("copy")),
        "{left:?}"
    );
    // All of them left the database empty: the whole one finds its place, once.
    into_postgres(&whole, &url).await.unwrap();
    let again = into_postgres(&whole, &url).await;
    assert!(
        matches!(again, Err(ArchiveError::NotEmpty { table: "accounts" })),
        "{again:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_postgres_cannot_hold_is_changed_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let store = SqliteStore::open(&path).unwrap();
    fill(&store).await;
    let dave = room::ParticipantSid::from_bytes([0x16; 16]);
    store
        .write(ACCOUNT, OPEN, 1, vec![join(dave, "da\0ve", 70)])
        .await
        .unwrap();
    let url = fresh();
    assert_eq!(into_postgres(&of_file(&path), &url).await.unwrap().changed, 1);
    let apart = PostgresStore::open(&url).await.unwrap();
    let row = apart.participant(ACCOUNT, OPEN, dave).await.unwrap().unwrap();
    assert_eq!(row.identity, "da\u{fffd}ve");
}
