//! Operators' commands on a PostgreSQL database, with a server and without.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::postgres::PostgresServer;

use super::audit::post;
use super::process::{FREE, Running, after, faults, rotunda};

/// A home and a database, which the commands are told of by `--database-url`.
struct Installation {
    home: tempfile::TempDir,
    url: String,
}

impl Installation {
    fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            url: PostgresServer::shared().database(),
        }
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = rotunda(self.home());
        command.args(args).args(["--database-url", &self.url]);
        command
    }

    fn said(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Vec<Value> {
        let text = self.said(&[args, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn faults(&self, args: &[&str]) -> (i32, Vec<String>) {
        faults(&mut self.command(args))
    }

    fn sql(&self, sql: &str) -> String {
        let name = self.url.rsplit('/').next().unwrap().split('?').next().unwrap();
        PostgresServer::shared().sql(name, sql)
    }

    fn serve(&self) -> (Running, String) {
        let mut command = self.command(&["serve"]);
        let mut server = Running::start(command.args(FREE).env("ROTUNDA_CALLBACK_ALLOW", "loopback"));
        let url = after(&server.greeting(), "REST").replace("/v1", "");
        (server, url)
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name}: {value}"))
}

#[test]
fn operators_commands_work_on_postgres_with_a_server_and_without() {
    let here = Installation::new();
    // Before anything is there.
    let (code, sentences) = here.faults(&["accounts", "list"]);
    assert!(
        code == 1 && sentences[0].contains("`rotunda serve` brings it up to date"),
        "{sentences:?}"
    );
    let migrated = here.said(&["migrate"]);
    assert!(
        migrated.contains(": the schema was brought from version 0 to "),
        "{migrated}"
    );
    assert!(here.said(&["migrate"]).contains(": the schema is of version "));
    assert!(
        here.said(&["check"])
            .ends_with(": every invariant holds (0 rooms, 0 participants, 0 events)\n")
    );

    let (server, url) = here.serve();
    let account = here.json(&["accounts", "create", "--name", "Clinic"]).remove(0);
    let (sid, token) = (
        text(&account, "account_sid").to_owned(),
        text(&account, "auth_token").to_owned(),
    );
    let asks = |token: &str| post(&url, "/v1/Rooms", &sid, token, "").0;
    assert_eq!(asks(&token), 201, "at once");
    let key = here
        .json(&["keys", "create", "--account", &sid, "--name", "kiosk"])
        .remove(0);
    let key = text(&key, "api_key_sid").to_owned();
    let fresh = here.json(&["accounts", "rotate", &sid, "--overlap", "0s"]).remove(0);
    assert_eq!(asks(&token), 401);
    let token = text(&fresh, "auth_token").to_owned();
    here.said(&["keys", "revoke", &key]);
    here.said(&["accounts", "suspend", &sid]);
    assert_eq!(asks(&token), 403);
    here.said(&["accounts", "resume", &sid]);
    assert_eq!(asks(&token), 201);
    // A receiver that nobody is.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let form = format!("UniqueName=daily&StatusCallback=http://{closed}/hook");
    let (status, room) = post(&url, "/v1/Rooms", &sid, &token, &form);
    assert_eq!(status, 201);
    let room = text(&room, "sid").to_owned();
    let callback = loop {
        let rows = here.json(&["callbacks", "list", "--room", &room]);
        if rows[0]["attempts"].as_u64().unwrap() > 0 {
            break rows[0]["callback"].to_string();
        }
    };
    assert!(here.said(&["callbacks", "show", &callback]).contains("refused"));
    assert_eq!(
        here.said(&["callbacks", "redeliver", &callback]),
        "callbacks to be delivered again: 1\n"
    );
    assert!(here.said(&["status"]).contains(" serves http://127.0.0.1:"));
    assert!(
        here.said(&["check"])
            .contains(": every invariant holds (3 rooms, 0 participants, 3 events)")
    );
    assert!(here.said(&["env"]).contains("export TWILIO_API_KEY_SECRET="));
    let (code, sentences) = here.faults(&["migrate"]);
    assert!(
        code == 1 && sentences[0].contains("another server uses the database"),
        "{sentences:?}"
    );
    let drained = here.said(&["drain", "--end-rooms", "--wait", "0s"]);
    assert!(!drained.is_empty());
    drop(server);

    // Without one.
    let (code, sentences) = here.faults(&["status"]);
    assert!(
        code == 1 && sentences[0].starts_with("no server runs on "),
        "{sentences:?}"
    );
    here.said(&["keys", "create", "--account", &sid, "--name", "spare"]);
    assert!(here.said(&["keys", "list", "--account", &sid]).contains("spare"));
    assert_eq!(
        here.said(&["callbacks", "redeliver", &callback]),
        "callbacks to be delivered again: 1; the next start of the server delivers them\n"
    );
    let operations: Vec<String> = here
        .json(&["audit"])
        .iter()
        .map(|line| text(line, "operation").to_owned())
        .collect();
    for wanted in [
        "create-account",
        "create-key",
        "rotate-auth-token",
        "revoke-key",
        "suspend-account",
        "resume-account",
    ] {
        assert!(
            operations.iter().any(|operation| operation == wanted),
            "{wanted}: {operations:?}"
        );
    }
    assert_eq!(
        operations
            .iter()
            .filter(|operation| *operation == "redeliver-callbacks")
            .count(),
        2
    );
    assert!(here.said(&["audit", "--room", &room]).contains("create-room"));
    here.sql("UPDATE rooms SET epoch = 0");
    let broken = here.command(&["check"]).output().unwrap();
    let (told, said) = (
        String::from_utf8(broken.stdout).unwrap(),
        String::from_utf8(broken.stderr).unwrap(),
    );
    assert_eq!(
        (broken.status.code(), told.matches("its epoch is 0").count()),
        (Some(1), 3),
        "{told}"
    );
    assert!(
        said.contains("breaks its invariants, 3 found; save it with pg_dump"),
        "{said}"
    );
}

#[test]
fn commands_about_files_say_what_to_use_instead() {
    let here = Installation::new();
    let file = here.home().join("backup.db");
    std::fs::write(&file, "").unwrap();
    for command in ["backup", "restore"] {
        let (code, sentences) = here.faults(&[command, file.to_str().unwrap()]);
        assert!(
            code == 1 && sentences[0].contains("pg_dump") && sentences[0].contains("rotunda export"),
            "{sentences:?}"
        );
    }
    let (code, sentences) = faults(rotunda(here.home()).arg("migrate"));
    assert!(
        code == 2 && sentences[0].contains("name a PostgreSQL database"),
        "{sentences:?}"
    );
}

#[test]
fn a_password_is_not_taken_from_the_command_line_but_from_a_file() {
    let here = Installation::new();
    here.said(&["migrate"]);
    let secret = here.url.replace("postgres@", "postgres:hush@");
    let (code, sentences) = faults(rotunda(here.home()).args(["accounts", "list", "--database-url", &secret]));
    assert!(
        code == 2 && sentences[0].contains("--database-url-file") && !sentences[0].contains("hush"),
        "{sentences:?}"
    );
    let file = here.home().join("url");
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    let listed = rotunda(here.home())
        .args(["accounts", "list", "--database-url-file"])
        .arg(&file)
        .status()
        .unwrap();
    assert!(listed.success());
}
