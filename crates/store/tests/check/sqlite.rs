//! The check of a file.

use std::path::Path;

use room::ParticipantSid;
use rusqlite::Connection;
use store::{CallbackOutcome, CheckProgress, Expiry, Findings, Outage, SqliteStore, Store, StoreError};

use crate::broken::BROKEN;
use crate::story::{ACCOUNT, OPEN, at, join, leave, story};

/// What only a file has: two indexes in one place.
const TORN: (&str, &str, &str, &[&str]) = (
    "integrity",
    "PRAGMA writable_schema = ON;
     UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'rooms_ended')
     WHERE name = 'rooms_ended_with_events';",
    "database",
    &["integrity"],
);

/// A store in this file, with the story.
async fn told(path: &Path) -> SqliteStore {
    let store = SqliteStore::open(path).unwrap();
    story(&store).await;
    store
}

fn check(path: &Path) -> Findings {
    SqliteStore::check_file(path, &mut |_| ()).unwrap()
}

/// Breaks an invariant by hand: it is named, with this row. What else is named is no more than `also`.
async fn breaks(invariant: &str, sql: &str, row: &str, also: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    drop(told(&path).await);
    assert_eq!(check(&path).violations, []);
    let db = Connection::open(&path).unwrap();
    db.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;")
        .unwrap();
    db.execute_batch(sql).unwrap();
    drop(db);
    let found = check(&path).violations;
    let named: Vec<&str> = found
        .iter()
        .filter(|violation| violation.invariant == invariant)
        .map(|violation| &*violation.row)
        .collect();
    assert_eq!(named, [row], "{invariant}: {found:#?}");
    let others = found.iter().map(|violation| violation.invariant);
    for other in others.filter(|other| *other != invariant) {
        assert!(also.contains(&other), "{invariant} broken, {other} named: {found:#?}");
    }
}

#[tokio::test]
async fn each_invariant_that_is_broken_is_named_with_its_row() {
    for (invariant, sql, row, also) in BROKEN.iter().chain(&[TORN]) {
        breaks(invariant, sql, row, also).await;
    }
    for invariant in SqliteStore::invariants() {
        let name = invariant.name;
        assert!(
            name == TORN.0 || BROKEN.iter().any(|(broken, ..)| *broken == name),
            "nothing breaks {name}"
        );
    }
}

#[tokio::test]
async fn what_the_store_wrote_is_whole_also_while_it_writes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let store = told(&path).await;
    let findings = check(&path);
    assert_eq!(findings.violations, []);
    assert_eq!((findings.rooms, findings.participants, findings.events), (2, 3, 11));

    let checking = std::thread::spawn({
        let path = path.clone();
        move || (0..20).map(|_| check(&path)).collect::<Vec<_>>()
    });
    let mut number = 0u32;
    while !checking.is_finished() {
        number += 1;
        let mut sid = [0x40; 16];
        sid[..4].copy_from_slice(&number.to_be_bytes());
        let sid = ParticipantSid::from_bytes(sid);
        let batch = vec![join(sid, "dave", 30), leave(sid, 33)];
        store.write(ACCOUNT, OPEN, 1, batch).await.unwrap();
    }
    let all = checking.join().unwrap();
    assert!(all.iter().all(|findings| findings.violations.is_empty()), "{all:#?}");
    assert!(all.windows(2).all(|two| two[0].participants <= two[1].participants));
}

#[tokio::test]
async fn a_check_changes_nothing_and_tells_how_far_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    drop(told(&path).await);
    let before = std::fs::read(&path).unwrap();
    let mut told = Vec::new();
    SqliteStore::check_file(&path, &mut |progress| told.push(progress)).unwrap();
    let rooms = |done| CheckProgress::Rooms { done, of: 2 };
    assert_eq!(told, [CheckProgress::Pages, rooms(0), rooms(2)]);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn what_cannot_be_checked_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let missing = SqliteStore::check_file(&path, &mut |_| ());
    assert!(matches!(missing, Err(StoreError::Backend(_))), "{missing:?}");
    assert!(!path.exists());
    drop(told(&path).await);
    let known = SqliteStore::open(&path).map(drop);
    known.unwrap();
    for (version, newer) in [(1, false), (999, true)] {
        let db = Connection::open(&path).unwrap();
        db.pragma_update(None, "user_version", version).unwrap();
        drop(db);
        match SqliteStore::check_file(&path, &mut |_| ()) {
            Err(StoreError::NewerSchema { .. }) => assert!(newer),
            Err(StoreError::OlderSchema { .. }) => assert!(!newer),
            other => panic!("{other:?}"),
        }
    }
    std::fs::write(&path, "no database, just a long enough text. ".repeat(100)).unwrap();
    let garbage = SqliteStore::check_file(&path, &mut |_| ());
    let is_damaged = |error: &StoreError| {
        matches!(
            error,
            StoreError::Unavailable {
                outage: Outage::Damaged,
                ..
            }
        )
    };
    assert!(garbage.as_ref().is_err_and(is_damaged), "{garbage:?}");
}

/// The table of the manual names all of them.
#[test]
fn the_manual_has_every_invariant() {
    let manual = include_str!("../../../../docs/operations.md");
    for invariant in SqliteStore::invariants() {
        let line = format!("| `{}` | {} |", invariant.name, invariant.holds);
        assert!(manual.contains(&line), "docs/operations.md lacks: {line}");
    }
}

#[tokio::test]
async fn a_database_is_whole_between_any_two_steps_of_forgetting() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rotunda.db");
    let store = told(&path).await;
    loop {
        let due = store.lease_callbacks(at(30), at(40), 10).await.unwrap();
        for callback in &due {
            let given_up = store.record_callback(callback.id, at(31), Ok(410), CallbackOutcome::GivenUp);
            given_up.await.unwrap();
        }
        if due.is_empty() {
            break;
        }
    }
    for before in [
        Expiry {
            callbacks: Some(at(20)),
            ..Expiry::default()
        },
        Expiry {
            events: Some(at(20)),
            ..Expiry::default()
        },
        Expiry {
            rooms: Some(at(20)),
            ..Expiry::default()
        },
    ] {
        let mut calls = 0;
        while store.forget(before, 1).await.unwrap().more {
            assert_eq!(check(&path).violations, []);
            calls += 1;
        }
        assert!(calls > 1, "{before:?}");
    }
    assert_eq!(check(&path).rooms, 1);
}
