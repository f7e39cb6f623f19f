//! `audit`: who changed what, as the program's users read it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rotunda::access_token;
use rotunda::credentials::ApiKey;
use serde_json::{Value, json};
use testkit::signaling::Client;

use super::process::{FREE, Running, after, faults, rotunda, said};

/// Sends a form with these credentials: status and body of the answer.
pub(crate) fn post(url: &str, path: &str, user: &str, password: &str, form: &str) -> (u16, Value) {
    let host = url.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(host).unwrap();
    let credentials = STANDARD.encode(format!("{user}:{password}"));
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {credentials}\r\nX-Request-Id: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{form}",
        "i".repeat(200),
        form.len()
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status, serde_json::from_str(body).unwrap())
}

fn log(home: &Path, args: &[&str]) -> Vec<Value> {
    let text = said(home, &[&["audit", "--json"], args].concat());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_changed_what_is_written_down() {
    let home = tempfile::tempdir().unwrap();
    let (code, sentences) = faults(rotunda(home.path()).arg("audit"));
    assert!(
        code == 1 && sentences[0].starts_with("there is no database "),
        "{sentences:?}"
    );
    let mut server = Running::start(rotunda(home.path()).arg("serve").args(FREE));
    let greeting = server.greeting();
    let url = after(&greeting, "REST").replace("/v1", "");
    let (sid, token) = (after(&greeting, "Account SID"), &after(&greeting, "Auth token"));
    let key = &ApiKey {
        sid: after(&greeting, "API key SID").parse().unwrap(),
        account: sid.parse().unwrap(),
        secret: after(&greeting, "API key secret"),
    };
    let by_key = |path: &str, form: &str| post(&url, path, &key.sid.to_string(), &key.secret, form);
    assert_eq!(said(home.path(), &["audit"]), "", "nobody changed anything");

    let (status, room) = post(&url, "/v1/Rooms", &sid, token, "UniqueName=daily");
    assert_eq!(status, 201);
    let room = room["sid"].as_str().unwrap().to_owned();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let access = access_token::issue(key, "alice", None, 3600, now.try_into().unwrap()).unwrap();
    let signaling = after(&greeting, "Signaling");
    let (_alice, connected) = Client::join(&signaling, &access, Some("daily")).await.unwrap();
    let alice = connected["participant"]["sid"].as_str().unwrap().to_owned();
    let participant = format!("/v1/Rooms/daily/Participants/{alice}");
    // What is refused, or is true already, changes nothing.
    assert_eq!(post(&url, "/v1/Rooms", &sid, "a wrong one", "UniqueName=other").0, 401);
    assert_eq!(by_key("/v1/Rooms", "UniqueName=daily").0, 400);
    assert_eq!(by_key("/v1/Rooms/nowhere", "Status=completed").0, 404);
    for _ in 0..2 {
        assert_eq!(by_key(&participant, "Status=disconnected").0, 202);
    }
    assert_eq!(by_key(&format!("/v1/Rooms/{room}"), "Status=completed").0, 202);
    assert_eq!(by_key(&format!("/v1/Rooms/{room}"), "Status=completed").0, 400);
    let (_, other) = by_key("/v1/Rooms", "");

    let lines = log(home.path(), &[]);
    let key_sid = key.sid.to_string();
    let expected = [
        ("create-room", &sid, json!(room), Value::Null, 201),
        ("disconnect-participant", &key_sid, json!(room), json!(alice), 202),
        ("complete-room", &key_sid, json!(room), Value::Null, 202),
        ("create-room", &key_sid, other["sid"].clone(), Value::Null, 201),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (operation, credential, room, participant, status)) in lines.iter().zip(expected) {
        assert_eq!(line["operation"], operation);
        assert_eq!(line["credential"], json!(credential));
        assert_eq!((&line["room"], &line["participant"]), (&room, &participant));
        assert_eq!((&line["status"], &line["method"]), (&json!(status), &json!("POST")));
        assert_eq!((&line["account"], &line["remote"]), (&json!(sid), &json!("127.0.0.1")));
        assert_eq!(line["request_id"], json!("i".repeat(128)));
    }
    let text = said(home.path(), &["audit"]);
    assert!(!text.contains(token) && !text.contains(&key.secret) && !text.contains("alice"));
    let table: Vec<&str> = text.lines().collect();
    assert_eq!(table.len(), 5);
    assert!(
        table[0].starts_with("TIME ") && table[3].contains(" complete-room "),
        "{text}"
    );
    assert_eq!(log(home.path(), &["--room", &room]).len(), 3);
    assert_eq!(log(home.path(), &["--since", "1h"]).len(), 4);
    assert_eq!(log(home.path(), &["--since", "2999-01-01"]).len(), 0);
    server.terminate();
    assert_eq!(log(home.path(), &[]), lines, "the next start has it all");
}
