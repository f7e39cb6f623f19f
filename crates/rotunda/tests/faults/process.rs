//! The program as a child, with its log, its REST API, and hands on its fate.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use room::{AccountSid, ApiKeySid};
use rotunda::access_token;
use rotunda::credentials::ApiKey;
use serde_json::Value;

const ACCOUNT: &str = "ACcccccccccccccccccccccccccccccccc";
const AUTH_TOKEN: &str = "cccccccccccccccccccccccccccccccc";
const KEY: &str = "SKcccccccccccccccccccccccccccccccc";
const SECRET: &str = "a-secret-for-the-fault-tests-only";
/// How long anything that is waited for may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; killed when dropped.
pub(crate) struct Server {
    pub(crate) http: String,
    pub(crate) media: String,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

/// What a server is started with.
pub(crate) struct Start {
    command: Command,
}

impl Start {
    /// `rotunda serve` on free loopback ports, with its data in this directory.
    pub(crate) fn on(data: &Path) -> Self {
        Self::with(Command::new(env!("CARGO_BIN_EXE_rotunda")), data, "127.0.0.1")
    }

    /// The same through another program, whose last argument is the server's, on this address.
    pub(crate) fn with(mut command: Command, data: &Path, address: &str) -> Self {
        command
            .arg("serve")
            .args([
                "--http-addr",
                &format!("{address}:0"),
                "--media-addr",
                &format!("{address}:0"),
                // Some faults are of its port.
                "--media-workers",
                "1",
            ])
            .arg("--data-dir")
            .arg(data)
            .env("ROTUNDA_ACCOUNT_SID", ACCOUNT)
            .env("ROTUNDA_AUTH_TOKEN", AUTH_TOKEN)
            .env("ROTUNDA_API_KEY_SID", KEY)
            .env("ROTUNDA_API_KEY_SECRET", SECRET)
            .env("ROTUNDA_CALLBACK_ALLOW", "loopback")
            .env("ROTUNDA_LOG", "info")
            .env("NO_COLOR", "1");
        Self { command }
    }

    pub(crate) fn env<'a>(mut self, vars: impl IntoIterator<Item = (&'a str, std::ffi::OsString)>) -> Self {
        self.command.envs(vars);
        self
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn run(mut self) -> Server {
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let lines = Arc::clone(&log);
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("server: {line}");
                locked(&lines).push(line);
            }
        });
        let mut greeting = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut after = |label: &str| {
            let mut lines = greeting.by_ref().map_while(Result::ok);
            let line = lines.find_map(|line| line.trim_start().strip_prefix(label).map(|rest| rest.trim().to_owned()));
            line.unwrap_or_else(|| panic!("no {label} in the greeting: {:?}", locked(&log)))
        };
        let http = after("REST").replace("/v1", "");
        let media = after("Media       UDP");
        // The rest of the greeting is read, or the server could not print it.
        std::thread::spawn(move || greeting.for_each(drop));
        Server {
            http,
            media,
            child,
            log,
        }
    }
}

impl Server {
    pub(crate) fn signaling(&self) -> String {
        format!("{}/signaling", self.http.replace("http://", "ws://"))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The lines of its log so far that hold this.
    pub(crate) fn said(&self, text: &str) -> Vec<String> {
        locked(&self.log)
            .iter()
            .filter(|line| line.contains(text))
            .cloned()
            .collect()
    }

    /// A request with the account's credentials: status, headers, body.
    pub(crate) async fn rest(
        &self,
        method: reqwest::Method,
        path: &str,
        form: &[(&str, &str)],
    ) -> (u16, reqwest::header::HeaderMap, Value) {
        let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .request(method, format!("{}{path}", self.http))
            .basic_auth(ACCOUNT, Some(AUTH_TOKEN))
            .timeout(PATIENCE);
        if !form.is_empty() {
            request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body.join("&"));
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        (
            status,
            headers,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let (status, _, body) = self.rest(reqwest::Method::GET, path, &[]).await;
        (status, body)
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let (status, _, body) = self.rest(reqwest::Method::POST, path, form).await;
        (status, body)
    }

    /// Identity and status of everyone in a room that ever was, oldest first.
    pub(crate) async fn rows(&self, room: &str) -> Vec<(String, String)> {
        let rows = self.full_rows(room).await;
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        rows.iter()
            .map(|row| (text(row, "identity"), text(row, "status")))
            .collect()
    }

    pub(crate) async fn full_rows(&self, room: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        for status in ["connected", "reconnecting", "disconnected"] {
            let path = format!("/v1/Rooms/{room}/Participants?PageSize=1000&Status={status}");
            let (code, body) = self.get(&path).await;
            assert_eq!(code, 200, "{body}");
            rows.extend(body["participants"].as_array().unwrap().iter().cloned());
        }
        rows.sort_by_key(|row| (row["date_created"].to_string(), row["sid"].to_string()));
        rows
    }

    /// Waits until the rows of a room are these.
    pub(crate) async fn settles(&self, room: &str, wanted: &[(&str, &str)]) {
        let mut wanted: Vec<_> = wanted
            .iter()
            .map(|(who, how)| ((*who).to_owned(), (*how).to_owned()))
            .collect();
        wanted.sort();
        until(&format!("the rows are {wanted:?}"), async || {
            let mut rows = self.rows(room).await;
            rows.sort();
            rows == wanted
        })
        .await;
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill")
            .args([&format!("-{name}"), &self.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the server does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The child itself, for the layer that crashes it.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended cannot be killed, which is fine.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An access token for any room.
pub(crate) fn token(identity: &str) -> String {
    token_at(identity, 0)
}

/// One made by an application whose clock is off by this many seconds.
pub(crate) fn token_at(identity: &str, off_s: i64) -> String {
    let key = ApiKey {
        sid: KEY.parse::<ApiKeySid>().unwrap(),
        account: ACCOUNT.parse::<AccountSid>().unwrap(),
        secret: SECRET.to_owned(),
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    access_token::issue(&key, identity, None, 600, now.as_secs() as i64 + off_s).unwrap()
}

/// A new directory with one for the data in it, so that there is a place beside.
pub(crate) fn directory() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    (directory, data)
}

/// Asks until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn locked(log: &Mutex<Vec<String>>) -> std::sync::MutexGuard<'_, Vec<String>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
