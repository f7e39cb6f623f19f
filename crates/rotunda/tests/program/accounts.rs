//! `accounts` and `keys`: made, rotated, revoked while the server runs and while it does not; the master key.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use room::{AccountSid, ApiKeySid};
use rotunda::access_token;
use rotunda::credentials::ApiKey;
use serde_json::{Value, json};
use testkit::signaling::{Client, Gone, both_tracks};

use super::process::{FREE, Running, after, faults, rotunda, said};

/// A server on the data directory of this home.
struct Served {
    running: Running,
    url: String,
    signaling: String,
}

fn serve(home: &Path) -> Served {
    let mut running = Running::start(rotunda(home).arg("serve").args(FREE));
    let greeting = running.greeting();
    Served {
        running,
        url: after(&greeting, "REST").replace("/v1", ""),
        signaling: after(&greeting, "Signaling"),
    }
}

impl Served {
    /// Status and code of an answer to these credentials; code 0 if it is none of an error.
    fn asked_by(&self, user: &str, password: &str) -> (u64, u64) {
        let host = self.url.strip_prefix("http://").unwrap();
        let mut socket = TcpStream::connect(host).unwrap();
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        let request = format!(
            "GET /v1/Rooms HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {credentials}\r\nConnection: close\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body["code"].as_u64().unwrap_or_default())
    }

    async fn join(&self, key: &ApiKey, identity: &str) -> Result<Client, Value> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let token = access_token::issue(key, identity, None, 3600, now.try_into().unwrap()).unwrap();
        let joined = Client::join(&self.signaling, &token, Some("daily")).await;
        joined.map(|(client, _)| client)
    }
}

/// What a command says with --json.
fn json(home: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&said(home, &[args, &["--json"]].concat())).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn key_of(made: &Value) -> ApiKey {
    ApiKey {
        sid: text(&made["api_key_sid"]).parse::<ApiKeySid>().unwrap(),
        account: text(&made["account_sid"]).parse::<AccountSid>().unwrap(),
        secret: text(&made["secret"]).to_owned(),
    }
}

fn directory(home: &Path) -> PathBuf {
    home.join(".local/share/rotunda")
}

/// The code that a refused client was told.
fn code(refused: Result<Client, Value>) -> u64 {
    match refused {
        Ok(_) => panic!("let in"),
        Err(answer) => answer["code"].as_u64().unwrap_or_else(|| panic!("{answer}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_and_keys_change_while_the_server_runs() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let server = serve(home);
    let account = json(home, &["accounts", "create", "--name", "Clinic"]);
    let (sid, token) = (text(&account["account_sid"]), text(&account["auth_token"]));
    assert_eq!(server.asked_by(sid, token), (200, 0), "at once");
    let made = json(home, &["keys", "create", "--account", sid, "--name", "Kiosk"]);
    let (key, spare) = (
        key_of(&made),
        key_of(&json(home, &["keys", "create", "--account", sid])),
    );
    assert_eq!(server.asked_by(&key.sid.to_string(), &key.secret), (200, 0));
    let mut alice = server.join(&key, "alice").await.unwrap();
    let mut bob = server.join(&spare, "bob").await.unwrap();

    // Rotation: both secrets, then the new one alone.
    let sk = key.sid.to_string();
    let rotated = key_of(&json(home, &["keys", "rotate", &sk, "--overlap", "24h"]));
    for secret in [&key.secret, &rotated.secret] {
        assert_eq!(server.asked_by(&sk, secret), (200, 0));
    }
    server.join(&key, "carol").await.unwrap();
    server.join(&rotated, "dave").await.unwrap();
    let list = said(home, &["keys", "list", "--account", sid]);
    assert!(list.contains("2, older until 20"), "{list}");
    let rotated = key_of(&json(home, &["keys", "rotate", &sk, "--overlap", "0s"]));
    assert_eq!(server.asked_by(&sk, &key.secret), (401, 20003));
    assert_eq!(code(server.join(&key, "erin").await), 20107);
    let frank = server.join(&rotated, "frank").await.unwrap();
    let fresh = json(home, &["accounts", "rotate", sid, "--overlap", "0s"]);
    assert_eq!(server.asked_by(sid, token), (401, 20003));
    let token = text(&fresh["auth_token"]);
    assert_eq!(server.asked_by(sid, token), (200, 0));

    // Revoked: who is there stays, but comes back no more; then all of the key's sessions end, and no others.
    let told = said(home, &["keys", "revoke", &sk]);
    assert!(
        told.starts_with(&format!("{sk} is revoked.\n")) && told.contains("--end-sessions"),
        "{told}"
    );
    assert_eq!(server.asked_by(&sk, &rotated.secret), (401, 20003));
    assert_eq!(code(server.join(&rotated, "grace").await), 20103);
    let session = frank.session.clone();
    frank.cut();
    let resumed = Client::resume(&server.signaling, &session, both_tracks(), 1, json!([])).await;
    assert_eq!(code(resumed.map(|(client, _)| client)), 20103);
    let ended = json(home, &["keys", "revoke", &sk, "--end-sessions"]);
    assert!(ended["sessions_ended"].as_u64().unwrap() >= 3, "{ended}");
    alice.dismissal().await.unwrap();
    let session = bob.session.clone();

    // Suspended and resumed.
    said(home, &["accounts", "suspend", sid]);
    assert_eq!(server.asked_by(sid, token), (403, 20403));
    assert_eq!(server.asked_by(sid, "wrong"), (401, 20003));
    assert_eq!(server.asked_by(&spare.sid.to_string(), &spare.secret), (403, 20403));
    assert_eq!(code(server.join(&spare, "heidi").await), 20103);
    said(home, &["accounts", "resume", sid]);
    assert_eq!(server.asked_by(sid, token), (200, 0));
    let ended = json(home, &["accounts", "suspend", sid, "--end-sessions"]);
    assert_eq!(ended["sessions_ended"], 1, "Bob alone was left");
    bob.dismissal().await.unwrap();
    let resumed = Client::resume(&server.signaling, &session, both_tracks(), 1, json!([])).await;
    assert_eq!(code(resumed.map(|(client, _)| client)), 20103);

    // Nothing of it is secret, and all of it is written down.
    let lists = said(home, &["accounts", "list"]) + &said(home, &["keys", "list"]) + &said(home, &["audit"]);
    for secret in [token, &key.secret, &rotated.secret, &spare.secret] {
        assert!(!lists.contains(secret));
    }
    assert!(
        lists.contains("Clinic") && lists.contains("Kiosk") && lists.contains("suspended"),
        "{lists}"
    );
    let suspended = lists.lines().find(|line| line.contains(" suspend-account ")).unwrap();
    assert!(suspended.contains(sid), "it says whose: {suspended}");
    let log = said(home, &["audit", "--json"]);
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let operations: Vec<&str> = lines.iter().map(|line| text(&line["operation"])).collect();
    let expected = [
        "create-account",
        "create-key",
        "create-key",
        "rotate-key",
        "rotate-key",
        "rotate-auth-token",
        "revoke-key",
        "suspend-account",
        "resume-account",
        "suspend-account",
    ];
    assert_eq!(operations, expected);
    assert!(
        lines
            .iter()
            .all(|line| line["credential"] == "operator" && line["account"] == sid)
    );
    assert_eq!(lines[6]["api_key"], json!(sk));
    server.running.terminate();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_and_keys_change_while_no_server_runs() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let missing = faults(rotunda(home).args(["accounts", "create"]));
    assert!(
        missing.0 == 1 && missing.1[0].starts_with("there is no database "),
        "{missing:?}"
    );
    let server = serve(home);
    let key = key_of(&json(home, &["keys", "create"]));
    let alice = server.join(&key, "alice").await.unwrap();
    server.running.terminate();
    let session = alice.session.clone();
    alice.cut();
    let account = json(home, &["accounts", "create"]);
    let (sid, token) = (text(&account["account_sid"]), text(&account["auth_token"]));
    let several = faults(rotunda(home).args(["keys", "create"]));
    assert!(
        several.0 == 2 && several.1[0].contains("several accounts"),
        "{several:?}"
    );
    let rotated = json(home, &["accounts", "rotate", sid]);
    assert!(rotated["older_until_s"].is_i64(), "{rotated}");
    let sk = key.sid.to_string();
    let told = said(home, &["keys", "revoke", &sk, "--end-sessions"]);
    assert!(told.contains("0 participants"), "{told}");
    let nobody = faults(rotunda(home).args(["keys", "revoke", "SK00000000000000000000000000000000"]));
    assert!(
        nobody.0 == 1 && nobody.1[0].contains("`rotunda keys list`"),
        "{nobody:?}"
    );
    let wrong = faults(rotunda(home).args(["keys", "revoke", "nonsense"]));
    assert_eq!(wrong.0, 2, "{wrong:?}");
    let server = serve(home);
    assert_eq!(
        server.asked_by(sid, token),
        (200, 0),
        "the older one is valid for a day"
    );
    assert_eq!(server.asked_by(sid, text(&rotated["auth_token"])), (200, 0));
    assert_eq!(server.asked_by(&sk, &key.secret), (401, 20003));
    let resumed = Client::resume(&server.signaling, &session, both_tracks(), 1, json!([])).await;
    assert_eq!(
        code(resumed.map(|(client, _)| client)),
        20103,
        "a new process knows whose session it is"
    );
    server.running.terminate();
}

/// All bytes of the files in a directory.
fn all_bytes(directory: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.is_file())
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

const OLD_ACCOUNT: &str = "AC01010101010101010101010101010101";
const OLD_TOKEN: &str = "an-auth-token-from-before-seals-were";
const OLD_KEY: &str = "SK02020202020202020202020202020202";
const OLD_SECRET: &str = "a-key-secret-from-before-seals-were";

/// A database as the program made it before it sealed secrets, with a log that a crash left.
fn old_database(directory: &Path) {
    std::fs::create_dir_all(directory).unwrap();
    let path = directory.join("rotunda.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    for step in [
        include_str!("../../../store/src/migrations/0001_initial.sql"),
        include_str!("../../../store/src/migrations/0002_housekeeping.sql"),
    ] {
        db.execute_batch(step).unwrap();
    }
    db.pragma_update(None, "user_version", 2).unwrap();
    db.execute_batch(&format!(
        "INSERT INTO accounts (sid) VALUES (x'{}'); INSERT INTO api_keys (sid, account_id) SELECT x'{}', id FROM accounts
             WHERE sid = x'{0}';
         INSERT INTO account_secrets SELECT id, '{OLD_TOKEN}' FROM accounts WHERE sid = x'{0}';
         INSERT INTO api_key_secrets SELECT id, 'the secret before the last one' FROM api_keys;
         UPDATE api_key_secrets SET secret = '{OLD_SECRET}';",
        &OLD_ACCOUNT[2..],
        &OLD_KEY[2..]
    ))
    .unwrap();
    // As a killed process leaves them: the log is not moved into the database.
    for suffix in ["", "-wal"] {
        let from = format!("{}{suffix}", path.display());
        std::fs::copy(&from, format!("{from}.kept")).unwrap();
    }
    drop(db);
    for suffix in ["", "-wal"] {
        let to = format!("{}{suffix}", path.display());
        std::fs::rename(format!("{to}.kept"), &to).unwrap();
    }
}

#[test]
fn plain_secrets_of_an_older_version_are_sealed_and_nothing_of_them_is_left() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let data = directory(home);
    old_database(&data);
    for secret in [OLD_TOKEN, OLD_SECRET] {
        assert!(contains(&all_bytes(&data), secret), "they are there before");
    }
    let old = faults(rotunda(home).arg("env"));
    assert!(
        old.0 == 1 && old.1[0].contains("`rotunda serve` brings it up to date"),
        "{old:?}"
    );
    let server = serve(home);
    for _ in 0..2 {
        let bytes = all_bytes(&data);
        for secret in [OLD_TOKEN, OLD_SECRET] {
            assert!(!contains(&bytes, secret), "{secret} is in the files, while it runs");
        }
        assert_eq!(server.asked_by(OLD_ACCOUNT, OLD_TOKEN), (200, 0));
        assert_eq!(server.asked_by(OLD_KEY, OLD_SECRET), (200, 0));
    }
    server.running.terminate();
    let env = said(home, &["env"]);
    assert!(env.contains(OLD_TOKEN) && env.contains(OLD_SECRET), "{env}");
    let backup = home.join("backup.db");
    said(home, &["backup", backup.to_str().unwrap()]);
    for bytes in [all_bytes(&data), std::fs::read(&backup).unwrap()] {
        assert!(!contains(&bytes, OLD_TOKEN) && !contains(&bytes, OLD_SECRET));
    }
    assert!(said(home, &["token", "--identity", "alice"]).starts_with("ey"));
    assert!(said(home, &["check"]).contains("every invariant holds"));
}

#[test]
fn a_master_key_that_is_missing_or_wrong_is_told_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    serve(home).running.terminate();
    let data = directory(home);
    let backup = home.join("backup.db");
    let backup = backup.to_str().unwrap();
    said(home, &["backup", backup]);
    let file = data.join("master.key");
    let key = std::fs::read_to_string(&file).unwrap();
    let elsewhere = home.join("kept.key");
    std::fs::rename(&file, &elsewhere).unwrap();
    let commands: [&[&str]; 4] = [
        &["serve"],
        &["env"],
        &["token", "--identity", "alice"],
        &["accounts", "create"],
    ];
    let told = |change: &dyn Fn(&mut std::process::Command), expected: &str| {
        for args in commands {
            let mut command = rotunda(home);
            command.args(args);
            if args == ["serve"] {
                command.args(FREE).args(["--log", "off"]);
            }
            change(&mut command);
            let (code, sentences) = faults(&mut command);
            assert_eq!(code, 3, "{args:?}: {sentences:?}");
            assert!(sentences[0].contains(expected), "{args:?}: {sentences:?}");
            assert!(sentences[0].contains("ROTUNDA_MASTER_KEY_FILE"), "{sentences:?}");
        }
    };
    told(&|_| (), "there is no master key");
    assert!(!file.exists(), "none is made for a database that is sealed");
    let other = "00".repeat(32);
    told(
        &|command| {
            command.env("ROTUNDA_MASTER_KEY", &other);
        },
        "the master key is not the one of this database",
    );
    let malformed = faults(rotunda(home).arg("env").env("ROTUNDA_MASTER_KEY", "short"));
    assert!(
        malformed.0 == 2 && malformed.1[0].contains("openssl rand -hex 32"),
        "{malformed:?}"
    );
    assert!(
        said(home, &["check"]).contains("every invariant holds"),
        "which needs no key"
    );

    // By the environment and by a file.
    let mut by_environment = rotunda(home);
    by_environment.arg("env").env("ROTUNDA_MASTER_KEY", key.trim());
    assert!(by_environment.output().unwrap().status.success());
    let by_file = ["env", "--master-key-file", elsewhere.to_str().unwrap()];
    assert!(said(home, &by_file).contains("TWILIO_AUTH_TOKEN="));

    // Restoring to another machine needs the key too.
    let fresh = tempfile::tempdir().unwrap();
    let (code, sentences) = faults(rotunda(fresh.path()).args(["restore", backup]));
    assert!(
        code == 1 && sentences[0].contains("there is no master key"),
        "{sentences:?}"
    );
    std::fs::copy(&elsewhere, directory(fresh.path()).join("master.key")).unwrap();
    said(fresh.path(), &["restore", backup]);
    assert_eq!(said(fresh.path(), &["env"]), said(home, &by_file));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_another_installation_is_not_restored_under_a_server() {
    let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    serve(other.path()).running.terminate();
    let backup = other.path().join("backup.db");
    said(other.path(), &["backup", backup.to_str().unwrap()]);
    let server = serve(home.path());
    let key = key_of(&json(home.path(), &["keys", "create"]));
    let mut alice = server.join(&key, "alice").await.unwrap();
    let (code, sentences) = faults(rotunda(home.path()).args(["restore", backup.to_str().unwrap()]));
    assert!(
        code == 1 && sentences[0].contains("not the one of this database"),
        "{sentences:?}"
    );
    // The call goes on as if nothing had been asked.
    server.join(&key, "bob").await.unwrap();
    alice.sees("bob").await.unwrap();
    server.running.terminate();
    assert_eq!(alice.ends().await, Gone::Closed(1012));
}
