//! `backup` and `restore`, with and without a running server.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use room::{ApiKeySid, ParticipantStatus};
use rotunda::access_token;
use rotunda::credentials::ApiKey;
use serde_json::json;
use testkit::signaling::{Client, Gone, both_tracks};

use super::process::{FREE, Running, after, faults, rotunda, run, said};

fn database(home: &Path) -> PathBuf {
    home.join(".local/share/rotunda/rotunda.db")
}

/// A running server, and how to join it.
struct Served {
    running: Running,
    signaling: String,
    key: ApiKey,
}

fn serve(home: &Path) -> Served {
    let mut running = Running::start(rotunda(home).arg("serve").args(FREE));
    let greeting = running.greeting();
    let env = said(home, &["env"]);
    let of = |name: &str| after(&env, &format!("export {name}="));
    Served {
        running,
        signaling: after(&greeting, "Signaling"),
        key: ApiKey {
            sid: of("TWILIO_API_KEY_SID").parse().unwrap(),
            account: of("TWILIO_ACCOUNT_SID").parse().unwrap(),
            secret: of("TWILIO_API_KEY_SECRET"),
        },
    }
}

impl Served {
    async fn join(&self, identity: &str) -> Client {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let token = access_token::issue(&self.key, identity, None, 3600, now.try_into().unwrap()).unwrap();
        Client::join(&self.signaling, &token, Some("daily")).await.unwrap().0
    }
}

/// Identity, status and SID of everyone in the database, oldest first.
fn participants(file: &Path) -> Vec<(String, String, String)> {
    let db = rusqlite::Connection::open(file).unwrap();
    let mut query = db
        .prepare("SELECT identity, status, 'PA' || lower(hex(sid)) FROM participants ORDER BY id")
        .unwrap();
    let rows = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    rows.map(Result::unwrap).collect()
}

async fn closed(client: &mut Client) -> Gone {
    loop {
        match client.message().await {
            Ok(_) => {}
            Err(gone) => return gone,
        }
    }
}

/// The calls that the backup knows go on in the same process; those that it does not know are told that they are over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_while_serving_resumes_who_is_in_the_backup_and_tells_the_others() {
    let home = tempfile::tempdir().unwrap();
    let served = serve(home.path());
    let mut alice = served.join("alice").await;
    let backup = home.path().join("backup.db");
    let backup_name = backup.to_str().unwrap();
    let told = said(home.path(), &["backup", backup_name]);
    assert!(
        told.starts_with(&format!("{backup_name}: ")) && told.ends_with(" bytes, checked\n"),
        "{told}"
    );
    assert_eq!(std::fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    let mut bob = served.join("bob").await;
    let before = participants(&database(home.path()));
    assert_eq!(before.len(), 2);

    let told = {
        let home = home.path().to_owned();
        let args = ["restore".to_owned(), backup_name.to_owned()];
        let restore = move || said(&home, &args.each_ref().map(String::as_str));
        tokio::task::spawn_blocking(restore).await.unwrap()
    };
    let expected =
        format!("restored {backup_name}: 1 room that was in progress goes on; what was there before is now ");
    let kept = told.strip_prefix(&expected).unwrap_or_else(|| panic!("{told}")).trim();
    assert_eq!(participants(Path::new(kept)).len(), 2, "nothing is lost");

    // Both are told to come back; the restored server, at the same address, knows one of them.
    for client in [&mut alice, &mut bob] {
        assert_eq!(closed(client).await, Gone::Closed(1012));
    }
    let resumed = Client::resume(&served.signaling, &alice.session, both_tracks(), 1, json!([])).await;
    let (_alice, synced) = resumed.unwrap();
    assert_eq!(synced["participant"]["sid"], json!(before[0].2));
    let revision = synced["subscribed"]["revision"].as_u64().unwrap();
    assert!(revision > 1 << 32, "revisions go on above those of before: {revision}");
    let unknown = Client::resume(&served.signaling, &bob.session, both_tracks(), 1, json!([])).await;
    assert_eq!(
        unknown.err().unwrap()["code"],
        53001,
        "who the backup does not know is out"
    );
    let after = participants(&database(home.path()));
    let connected = ParticipantStatus::Connected.as_str().to_owned();
    assert_eq!(after, [("alice".to_owned(), connected, before[0].2.clone())]);
    assert!(said(home.path(), &["check"]).contains("every invariant holds"));
    assert!(said(home.path(), &["status"]).contains("rooms in progress: 1"));
    assert!(served.running.terminate() < Duration::from_secs(60));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_not_whole_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let served = serve(home.path());
    let _alice = served.join("alice").await;
    let backup = home.path().join("backup.db");
    said(home.path(), &["backup", backup.to_str().unwrap()]);
    let db = rusqlite::Connection::open(&backup).unwrap();
    db.execute("UPDATE rooms SET next_seq = next_seq + 1", []).unwrap();
    drop(db);
    let restore = |file: &Path| faults(rotunda(home.path()).arg("restore").arg(file));
    let (code, sentences) = restore(&backup);
    assert_eq!((code, sentences.len()), (1, 1), "{sentences:?}");
    assert!(
        sentences[0].starts_with(&format!("{} is not whole: events-without-gaps RM", backup.display())),
        "{sentences:?}"
    );
    let garbage = home.path().join("garbage");
    std::fs::write(&garbage, "no database ".repeat(1000)).unwrap();
    let (code, sentences) = restore(&garbage);
    assert!(
        code == 1 && sentences[0].contains("cannot be restored: ") && sentences[0].contains("not a database"),
        "{sentences:?}"
    );
    let (code, sentences) = restore(&database(home.path()));
    assert!(
        code == 1 && sentences[0].ends_with("itself; name a backup of it"),
        "{sentences:?}"
    );
    // The call never noticed.
    let rows = participants(&database(home.path()));
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].1, "connected");
    let names = std::fs::read_dir(database(home.path()).parent().unwrap()).unwrap();
    let left = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(
        left.into_iter()
            .all(|name| !name.contains("copy") && !name.contains("replaced"))
    );
}

/// A database that a foreign program holds open is not replaced under it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_cannot_be_done_leaves_the_server_with_what_it_had() {
    let home = tempfile::tempdir().unwrap();
    let served = serve(home.path());
    let backup = home.path().join("backup.db");
    said(home.path(), &["backup", backup.to_str().unwrap()]);
    let mut alice = served.join("alice").await;
    let foreign = rusqlite::Connection::open(database(home.path())).unwrap();
    foreign.query_row("SELECT count(*) FROM rooms", [], |_| Ok(())).unwrap();
    let (code, sentences) = faults(rotunda(home.path()).arg("restore").arg(&backup));
    assert_eq!((code, sentences.len()), (1, 1), "{sentences:?}");
    assert!(
        sentences[0].starts_with("the database was not replaced: another process uses the database ")
            && sentences[0].ends_with("; the server goes on with what it had"),
        "{sentences:?}"
    );
    drop(foreign);
    assert_eq!(closed(&mut alice).await, Gone::Closed(1012));
    // Held until the row was read: without its socket she is reconnecting.
    let _alice = Client::resume(&served.signaling, &alice.session, both_tracks(), 1, json!([]))
        .await
        .unwrap();
    assert_eq!(participants(&database(home.path()))[0].1, "connected");
}

#[test]
fn a_restore_without_a_server_makes_the_data_directory() {
    let home = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let served = serve(home.path());
    let backup = home.path().join("backup.db");
    let args = ["backup", backup.to_str().unwrap()];
    assert!(said(home.path(), &["backup", args[1], "--no-check"]).ends_with(" bytes, not checked\n"));
    let (code, sentences) = faults(rotunda(home.path()).args(args));
    let taken = format!(
        "{} is there already; name another file, or overwrite it with --force",
        backup.display()
    );
    assert_eq!((code, sentences), (1, vec![taken]));
    assert!(run(home.path(), &["backup", args[1], "--force"]).status.success());
    served.running.terminate();

    let key = home.path().join(".local/share/rotunda/master.key");
    let mut restore = rotunda(elsewhere.path());
    restore.args(["restore", args[1]]).env("ROTUNDA_MASTER_KEY_FILE", &key);
    assert_eq!(
        String::from_utf8(restore.output().unwrap().stdout).unwrap(),
        format!("restored {}: no room was in progress\n", backup.display())
    );
    std::fs::copy(&key, elsewhere.path().join(".local/share/rotunda/master.key")).unwrap();
    assert_eq!(
        said(elsewhere.path(), &["env"]).lines().next(),
        said(home.path(), &["env"]).lines().next(),
        "the same account"
    );
    let again = serve(elsewhere.path());
    assert_eq!(again.key.sid, ApiKeySid::from_bytes(*served.key.sid.as_bytes()));

    let (code, sentences) = faults(rotunda(home.path()).args(["restore", "nowhere.db"]));
    assert!(
        code == 1 && sentences[0].ends_with("; name a file that `rotunda backup` made"),
        "{sentences:?}"
    );
    let (code, sentences) = faults(rotunda(home.path()).args(["backup", "/"]));
    assert_eq!(
        (code, sentences),
        (
            1,
            vec!["/ is a directory; name a file, such as //rotunda.db".to_owned()]
        )
    );
}
