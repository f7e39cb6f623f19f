//! `export` and `import`: a whole installation from SQLite to PostgreSQL and back, as its users do it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rotunda::access_token;
use rotunda::credentials::ApiKey;
use serde_json::{Value, json};
use testkit::postgres::{PostgresServer, Sync};
use testkit::signaling::{Client, both_tracks};

use super::audit::post;
use super::process::{FREE, Running, after, faults, rotunda};

/// The name that every server is asked by, so that answers are the same wherever it is.
const HOST: &str = "video.example.com";

/// Takes callbacks, or answers 500 (at `/gone` 410), as it is told; keeps room and number of those that it took.
#[derive(Clone)]
struct Receiver {
    port: u16,
    status: Arc<Mutex<u16>>,
    taken: Arc<Mutex<Vec<(String, u64)>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            port: listener.local_addr().unwrap().port(),
            status: Arc::new(Mutex::new(500)),
            taken: Arc::default(),
        };
        let served = receiver.clone();
        std::thread::spawn(move || listener.incoming().for_each(|socket| served.answer(socket.unwrap())));
        receiver
    }

    fn answer(&self, mut socket: TcpStream) {
        let mut text = String::new();
        let mut chunk = [0; 4096];
        let length = |text: &str| {
            let (head, body) = text.split_once("\r\n\r\n")?;
            let head = head.to_lowercase();
            let (_, rest) = head.split_once("content-length: ")?;
            let length: usize = rest.lines().next()?.parse().ok()?;
            Some(length <= body.len())
        };
        while length(&text) != Some(true) {
            match socket.read(&mut chunk) {
                // The server was stopped in the middle of it.
                Ok(0) | Err(_) => return,
                Ok(len) => text += std::str::from_utf8(&chunk[..len]).unwrap(),
            }
        }
        let body = text.split_once("\r\n\r\n").unwrap().1;
        let field = |name: &str| {
            body.split('&')
                .find_map(|field| field.strip_prefix(name))
                .unwrap()
                .to_owned()
        };
        let told = (field("RoomSid="), field("SequenceNumber=").parse().unwrap());
        let status = match *self.status.lock().unwrap() {
            500 if text.starts_with("POST /gone ") => 410,
            status => status,
        };
        if status == 204 {
            self.taken.lock().unwrap().push(told);
        }
        write!(
            socket,
            "HTTP/1.1 {status} So\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .ok();
    }

    fn answers(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    /// The numbers of a room's callbacks, as they came.
    fn of(&self, room: &str) -> Vec<u64> {
        let taken = self.taken.lock().unwrap();
        taken
            .iter()
            .filter(|(of, _)| of == room)
            .map(|(_, number)| *number)
            .collect()
    }
}

/// A server on the data directory of this home, with this database if one is named.
struct Served {
    running: Running,
    local: String,
    signaling: String,
    key: ApiKey,
    auth_token: String,
}

fn with<'a>(command: &'a mut Command, database: Option<&str>) -> &'a mut Command {
    command
        .envs(database.map(|url| ("ROTUNDA_DATABASE_URL", url)))
        .env("ROTUNDA_CALLBACK_ALLOW", "loopback")
}

fn serve(home: &Path, database: Option<&str>) -> Served {
    let mut command = rotunda(home);
    with(&mut command, database).arg("serve").args(FREE);
    let mut running = Running::start(&mut command);
    let greeting = running.greeting();
    let env = by(home, database, &["env"]);
    let of = |name: &str| after(&env, &format!("export {name}="));
    Served {
        running,
        signaling: after(&greeting, "Signaling"),
        local: after(&greeting, "REST").replace("/v1", ""),
        key: ApiKey {
            sid: of("TWILIO_API_KEY_SID").parse().unwrap(),
            account: of("TWILIO_ACCOUNT_SID").parse().unwrap(),
            secret: of("TWILIO_API_KEY_SECRET"),
        },
        auth_token: of("TWILIO_AUTH_TOKEN"),
    }
}

/// What a command says that succeeds.
fn by(home: &Path, database: Option<&str>, args: &[&str]) -> String {
    let output = with(&mut rotunda(home), database).args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

impl Served {
    fn post(&self, path: &str, form: &str) -> Value {
        let (status, body) = post(&self.local, path, &self.key.account.to_string(), &self.auth_token, form);
        assert!(status < 300, "{path}: {status} {body}");
        body
    }

    /// The body of an answer, to the byte.
    fn get(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(self.local.strip_prefix("http://").unwrap()).unwrap();
        let credentials = STANDARD.encode(format!("{}:{}", self.key.account, self.auth_token));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Basic {credentials}\r\nConnection: close\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    async fn join(&self, identity: &str, room: &str) -> (Client, String) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let token = access_token::issue(&self.key, identity, None, 3600, now.try_into().unwrap()).unwrap();
        let (client, connected) = Client::join(&self.signaling, &token, Some(room)).await.unwrap();
        let sid = connected["participant"]["sid"].as_str().unwrap().to_owned();
        (client, sid)
    }

    /// Every list there is about these rooms and people, to the byte, and pages by tokens that were given before.
    fn lists(&self, rooms: &[String], people: &[(String, String)], tokens: &[String]) -> Vec<String> {
        let mut paths = vec![
            "/v1/Rooms?Status=in-progress".to_owned(),
            "/v1/Rooms?Status=completed".to_owned(),
        ];
        for room in rooms {
            paths.push(format!("/v1/Rooms/{room}"));
            for status in ["connected", "disconnected", "reconnecting"] {
                paths.push(format!("/v1/Rooms/{room}/Participants?Status={status}"));
            }
        }
        for (room, participant) in people {
            let path = format!("/v1/Rooms/{room}/Participants/{participant}");
            paths.push(path.clone());
            paths.push(format!("{path}/PublishedTracks"));
            paths.push(format!("{path}/SubscribeRules"));
        }
        paths.extend(tokens.iter().cloned());
        paths.iter().map(|path| self.get(path)).collect()
    }
}

fn next_page(list: &str) -> String {
    let body: Value = serde_json::from_str(list).unwrap();
    let url = body["meta"]["next_page_url"]
        .as_str()
        .unwrap_or_else(|| panic!("{list}"));
    url.strip_prefix(&format!("http://{HOST}")).unwrap().to_owned()
}

/// Waits until it is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waits = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(60), waits).await.is_ok(),
        "{what}"
    );
}

/// Rooms with callbacks that are due, waiting and given up; people who are there and who left; rules, tracks, accounts, keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_moves_to_postgres_and_back() {
    let (home, receiver) = (tempfile::tempdir().unwrap(), Receiver::start());
    let home = home.path();
    let served = serve(home, None);
    let mut rooms = Vec::new();
    for name in ["one", "two", "three"] {
        let path = if name == "two" { "gone" } else { "hook" };
        let callback = format!("StatusCallback=http://127.0.0.1:{}/{path}", receiver.port);
        let room = served.post("/v1/Rooms", &format!("UniqueName={name}&{callback}"));
        rooms.push(room["sid"].as_str().unwrap().to_owned());
    }
    until("one is given up", || {
        by(home, None, &["callbacks", "list"]).contains("given-up")
    })
    .await;
    let (mut alice, alice_sid) = served.join("alice", "one").await;
    alice.announce(both_tracks()).await;
    let (bob, bob_sid) = served.join("bob", "one").await;
    bob.leave().await;
    served.join("dave", "one").await.0.leave().await;
    let (_carol, carol_sid) = served.join("carol", "two").await;
    let people = [
        (rooms[0].clone(), alice_sid.clone()),
        (rooms[0].clone(), bob_sid),
        (rooms[1].clone(), carol_sid),
    ];
    let rules = r#"Rules=[{"type":"include","kind":"audio","publisher":"bob"}]"#;
    served.post(
        &format!("/v1/Rooms/{}/Participants/{alice_sid}/SubscribeRules", rooms[0]),
        rules,
    );
    served.post(&format!("/v1/Rooms/{}", rooms[2]), "Status=completed");
    by(home, None, &["accounts", "create", "--name", "Clinic"]);
    by(
        home,
        None,
        &[
            "keys",
            "create",
            "--account",
            &served.key.account.to_string(),
            "--name",
            "kiosk",
        ],
    );
    until("alice's tracks are there", || {
        let tracks = served.get(&format!("/v1/Rooms/one/Participants/{alice_sid}/PublishedTracks"));
        tracks.contains("\"kind\":\"audio\"") && tracks.contains("\"kind\":\"video\"")
    })
    .await;
    let tokens = [
        next_page(&served.get("/v1/Rooms?Status=in-progress&PageSize=1")),
        next_page(&served.get("/v1/Rooms/one/Participants?Status=disconnected&PageSize=1")),
    ];
    served.running.terminate();
    // Who was there is reconnecting now; the lists of a server that only looks are those before it moves.
    let key = served.key.clone();
    let archive = home.join("installation.jsonl");
    let archive_name = archive.to_str().unwrap();
    let told = by(home, None, &["export", archive_name]);
    assert!(
        told.starts_with(&format!("{archive_name}: ")) && told.ends_with(" bytes\n"),
        "{told}"
    );
    let first = std::fs::read(&archive).unwrap();
    assert_eq!(std::fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
    for secret in [&served.auth_token, &key.secret] {
        assert!(
            !String::from_utf8_lossy(&first).contains(secret.as_str()),
            "a secret in the open"
        );
    }
    assert!(
        by(home, None, &["export", "-"]).into_bytes() == first,
        "to standard output, the same"
    );
    let (code, sentences) = faults(rotunda(home).args(["export", archive_name]));
    assert!(
        code == 1 && sentences[0].ends_with("or overwrite it with --force"),
        "{sentences:?}"
    );

    // There, and back before anybody serves: the same bytes.
    let database = PostgresServer::shared().database();
    let there = Some(database.as_str());
    let told = by(home, there, &["import", archive_name]);
    assert!(
        told.starts_with(&format!("imported {archive_name}: "))
            && told.contains(" rows, all compared, every invariant holds; "),
        "{told}"
    );
    let back = home.join("back.jsonl");
    by(home, there, &["export", back.to_str().unwrap()]);
    assert!(std::fs::read(&back).unwrap() == first);
    let other = home.join("other");
    std::fs::create_dir(&other).unwrap();
    let other_name = other.to_str().unwrap();
    let (code, sentences) = faults(rotunda(home).args(["import", back.to_str().unwrap(), "--data-dir", other_name]));
    assert!(
        code == 3 && sentences[0].contains("there is no master key"),
        "{sentences:?}"
    );
    std::fs::copy(home.join(".local/share/rotunda/master.key"), other.join("master.key")).unwrap();
    by(
        home,
        None,
        &["import", back.to_str().unwrap(), "--data-dir", other_name],
    );
    assert!(by(home, None, &["export", "-", "--data-dir", other_name]).into_bytes() == first);
    assert!(by(home, None, &["check", "--data-dir", other_name]).contains("every invariant holds (3 rooms, "));

    // Lists of both, byte for byte; with nobody to take callbacks, so that nothing moves.
    receiver.answers(500);
    let here = serve(home, None);
    let before = here.lists(&rooms, &people, &tokens);
    here.running.terminate();
    let moved = serve(home, there);
    let lists = moved.lists(&rooms, &people, &tokens);
    // What the start itself writes: since when who was there is reconnecting.
    let without_times = |lists: &[String]| -> Vec<Value> {
        let strip = |text: &String| {
            let mut value: Value = serde_json::from_str(text).unwrap();
            forget_reconnecting(&mut value);
            value
        };
        lists.iter().map(strip).collect()
    };
    assert_eq!(without_times(&lists), without_times(&before));
    assert!(lists.iter().any(|list| list.contains("\"reconnecting\"")));
    assert_eq!(moved.key.secret, key.secret);
    for command in [["accounts", "list"], ["keys", "list"]] {
        assert_eq!(by(home, there, &command), by(home, None, &command));
    }
    assert_eq!(by(home, there, &["audit"]), by(home, None, &["audit"]));

    // Alice comes back as who she was, and her room's callbacks arrive in their order without a gap.
    let session = alice.session.clone();
    let (alice, _) = Client::resume(&moved.signaling, &session, both_tracks(), 1, json!([]))
        .await
        .unwrap();
    receiver.answers(204);
    by(home, there, &["callbacks", "redeliver", "--all"]);
    alice.leave().await;
    for room in &rooms[..2] {
        moved.post(&format!("/v1/Rooms/{room}"), "Status=completed");
    }
    let waits = || {
        let list = |state| by(home, there, &["callbacks", "list", "--state", state]);
        list("due").is_empty() && list("waiting").is_empty()
    };
    until("all callbacks are delivered", waits).await;
    for room in [&rooms[0], &rooms[2]] {
        let numbers = receiver.of(room);
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>(), "{room}");
        assert!(numbers.len() >= 2);
    }
    let mut numbers = receiver.of(&rooms[1]);
    numbers.sort_unstable();
    assert_eq!(
        numbers,
        (0..numbers.len() as u64).collect::<Vec<_>>(),
        "what was given up was asked for again"
    );
    let lists = moved.lists(&rooms, &people, &tokens);
    moved.running.terminate();

    // And home again, with what happened there: nothing of it changes at a start any more.
    let last = home.join("last.jsonl");
    by(home, there, &["export", last.to_str().unwrap()]);
    let own = home.join("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::copy(home.join(".local/share/rotunda/master.key"), own.join("master.key")).unwrap();
    by(
        home,
        None,
        &["import", last.to_str().unwrap(), "--data-dir", own.to_str().unwrap()],
    );
    std::fs::rename(home.join(".local/share/rotunda"), home.join("before")).unwrap();
    std::fs::rename(&own, home.join(".local/share/rotunda")).unwrap();
    let again = serve(home, None);
    assert_eq!(again.lists(&rooms, &people, &tokens), lists);
    again.running.terminate();
    let told = by(home, there, &["check"]);
    assert!(told.contains("every invariant holds (3 rooms, "), "{told}");
}

/// Takes the time of the last change from who is reconnecting.
fn forget_reconnecting(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("status") == Some(&json!("reconnecting")) {
                fields.remove("date_updated");
            }
            fields.values_mut().for_each(forget_reconnecting);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_reconnecting),
        _ => {}
    }
}

#[test]
fn what_cannot_be_imported_is_told_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let database = PostgresServer::shared().database();
    let there = Some(database.as_str());
    let (code, sentences) = faults(rotunda(home).args(["export", "-"]));
    assert!(
        code == 1 && sentences[0].starts_with("there is no database "),
        "{sentences:?}"
    );
    serve(home, None).running.terminate();
    let archive = home.join("a.jsonl");
    by(home, None, &["export", archive.to_str().unwrap()]);
    let whole = std::fs::read_to_string(&archive).unwrap();
    let refused = |content: &str, database: Option<&str>| {
        std::fs::write(&archive, content).unwrap();
        let mut command = rotunda(home);
        let data = home.join("fresh");
        with(&mut command, database)
            .args(["import", archive.to_str().unwrap(), "--data-dir"])
            .arg(&data);
        let (code, sentences) = faults(&mut command);
        assert_eq!((code, sentences.len()), (1, 1), "{sentences:?}");
        let prefix = format!("nothing was imported from {}: ", archive.display());
        assert!(!data.join("rotunda.db").exists());
        sentences[0]
            .strip_prefix(&prefix)
            .unwrap_or_else(|| panic!("{sentences:?}"))
            .to_owned()
    };
    for there in [there, None] {
        let said = refused(&whole[..whole.len() - 2], there);
        assert!(
            said.starts_with("it is cut short: line ") && said.ends_with("; export anew, or copy the file again"),
            "{said}"
        );
        let said = refused(&whole.replace("\"page_token\"", "\"page_tokem\""), there);
        assert!(
            said.starts_with("it is damaged: line ") && said.contains("its SHA-256 is another"),
            "{said}"
        );
        let said = refused(&whole.replace("\"rotunda_export\":1", "\"rotunda_export\":7"), there);
        assert!(
            said.starts_with("it has version 7 of the format, this program knows up to 1: use the program"),
            "{said}"
        );
        let said = refused("no export, just a text\n", there);
        assert_eq!(
            said,
            "it is no export of Rotunda; name a file that `rotunda export` made"
        );
    }
    // Into what is not empty.
    std::fs::write(&archive, &whole).unwrap();
    let (code, sentences) = faults(rotunda(home).args(["import", archive.to_str().unwrap()]));
    assert!(
        code == 1 && sentences[0].starts_with("there is a database "),
        "{sentences:?}"
    );
    by(home, there, &["import", archive.to_str().unwrap()]);
    let (_, sentences) = faults(with(&mut rotunda(home), there).args(["import", archive.to_str().unwrap()]));
    assert!(
        sentences[0].contains("the database has rows already, in accounts"),
        "{sentences:?}"
    );
    let served = serve(home, there);
    let (_, sentences) = faults(with(&mut rotunda(home), there).args(["import", archive.to_str().unwrap()]));
    assert!(
        sentences[0].contains("another server uses the database"),
        "{sentences:?}"
    );
    served.running.terminate();
    let missing = home.join("missing");
    let (_, sentences) = faults(rotunda(home).args(["import", missing.to_str().unwrap()]));
    assert!(
        sentences[0].contains("cannot be read") && sentences[0].contains("No such file"),
        "{sentences:?}"
    );
}

/// Killed in the middle, an import leaves an empty database: whoever serves it begins anew, and nobody sees a part.
#[test]
fn an_import_that_was_killed_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let server = PostgresServer::start(Sync::Disk);
    let database = server.database();
    let there = Some(database.as_str());
    serve(home, None).running.terminate();
    let whole = by(home, None, &["export", "-"]);
    for database in [there, None] {
        let fresh = home.join("fresh");
        let mut command = rotunda(home);
        with(&mut command, database)
            .args(["import", "-", "--data-dir"])
            .arg(&fresh);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        // All but the last line: it has written all rows that it can have, and waits.
        let most = whole.trim_end().rfind('\n').unwrap();
        child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(&whole.as_bytes()[..=most])
            .unwrap();
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rotunda' AND state = 'idle in transaction'
             AND backend_xid IS NOT NULL";
        while database.is_some() && server.sql("postgres", waits) == "0" {}
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!fresh.join("rotunda.db").exists());
    }
    // Once the database has noticed that its client is gone.
    let gone = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rotunda'";
    while server.sql("postgres", gone) != "0" {}
    let name = database.rsplit('/').next().unwrap().split('?').next().unwrap();
    assert_eq!(server.sql(name, "SELECT count(*) FROM api_keys"), "0");
    std::fs::write(home.join("a.jsonl"), &whole).unwrap();
    by(home, there, &["import", home.join("a.jsonl").to_str().unwrap()]);
    assert_eq!(server.sql(name, "SELECT count(*) FROM api_keys"), "1");
}
