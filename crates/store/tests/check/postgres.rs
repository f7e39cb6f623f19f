//! The check of a PostgreSQL database.

use store::{CheckProgress, DatabaseUrl, Findings, PostgresStore, SqliteStore, Store, StoreError};
use testkit::postgres::PostgresServer;

use crate::broken::BROKEN;
use crate::story::{ACCOUNT, OPEN, join, leave, story};

/// Takes away all that prevents broken rows.
const NOTHING_PREVENTED: &str = "DO $$ DECLARE c record; BEGIN
     FOR c IN SELECT conrelid::regclass AS of, conname FROM pg_constraint
         WHERE contype IN ('c', 'f') AND connamespace = current_schema()::regnamespace LOOP
         EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.of, c.conname);
     END LOOP; END $$;";

/// Name and URL of a database with the story in it, which no server has open.
async fn told() -> (String, DatabaseUrl) {
    let database = PostgresServer::shared().database();
    let url: DatabaseUrl = database.parse().unwrap();
    story(&PostgresStore::open(&url).await.unwrap()).await;
    let name = database.rsplit('/').next().unwrap().split('?').next().unwrap();
    (name.to_owned(), url)
}

async fn check(url: &DatabaseUrl) -> Findings {
    PostgresStore::check_database(url, &mut |_| ()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_invariant_that_is_broken_is_named_with_its_row_in_postgres() {
    let not_valid: (&str, &str, &str, &[&str]) = (
        "integrity",
        "ALTER TABLE attempts ADD CONSTRAINT never CHECK (status > 999) NOT VALID",
        "attempts never",
        &[],
    );
    let server = PostgresServer::shared();
    let (told, url) = told().await;
    assert_eq!(check(&url).await.violations, []);
    // The check's own connection may be there for a moment more.
    while server.sql(
        "postgres",
        &format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{told}'"),
    ) != "0"
    {}
    for (invariant, sql, row, also) in BROKEN.iter().chain(&[not_valid]) {
        let name = server.copy_of(&told);
        let url = url.with_database(&name);
        server.sql(&name, NOTHING_PREVENTED);
        server.sql(&name, sql);
        let found = check(&url).await.violations;
        let named = found.iter().filter(|violation| violation.invariant == *invariant);
        let named: Vec<&str> = named.map(|violation| &*violation.row).collect();
        assert_eq!(named, [*row], "{invariant}: {found:#?}");
        for other in found.iter().filter(|other| other.invariant != *invariant) {
            assert!(also.contains(&other.invariant), "{invariant}: {found:#?}");
        }
    }
    for invariant in SqliteStore::invariants() {
        let name = invariant.name;
        assert!(
            name == "integrity" || BROKEN.iter().any(|(broken, ..)| *broken == name),
            "nothing breaks {name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_wrote_to_postgres_is_whole_also_while_it_writes() {
    let (_, url) = told().await;
    let mut told = Vec::new();
    let findings = PostgresStore::check_database(&url, &mut |progress| told.push(progress))
        .await
        .unwrap();
    assert_eq!(findings.violations, []);
    assert_eq!((findings.rooms, findings.participants, findings.events), (2, 3, 11));
    let rooms = |done| CheckProgress::Rooms { done, of: 2 };
    assert_eq!(told, [CheckProgress::Pages, rooms(0), rooms(2)]);

    let store = PostgresStore::open(&url).await.unwrap();
    let checking = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let checks = async {
            let mut all = Vec::new();
            for _ in 0..20 {
                all.push(check(&url).await);
            }
            all
        };
        runtime.unwrap().block_on(checks)
    });
    let mut number = 0u32;
    while !checking.is_finished() {
        number += 1;
        let mut sid = [0x40; 16];
        sid[..4].copy_from_slice(&number.to_be_bytes());
        let sid = room::ParticipantSid::from_bytes(sid);
        let batch = vec![join(sid, "dave", 30), leave(sid, 33)];
        store.write(ACCOUNT, OPEN, 1, batch).await.unwrap();
    }
    let all = checking.join().unwrap();
    assert!(all.iter().all(|findings| findings.violations.is_empty()), "{all:#?}");
    assert!(all.windows(2).all(|two| two[0].participants <= two[1].participants));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_another_version_is_not_checked() {
    let (name, url) = told().await;
    let server = PostgresServer::shared();
    for (sql, is_newer) in [
        ("DELETE FROM rotunda_schema WHERE version > 1", false),
        ("INSERT INTO rotunda_schema VALUES (99)", true),
    ] {
        server.sql(&name, sql);
        match PostgresStore::check_database(&url, &mut |_| ()).await {
            Err(StoreError::NewerSchema { .. }) => assert!(is_newer),
            Err(StoreError::OlderSchema { .. }) => assert!(!is_newer),
            other => panic!("{other:?}"),
        }
    }
}
