//! A server with rows in it, and a client that sends exactly the bytes it is told to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use room::{AccountSid, ApiKeySid, Change, ParticipantSid, RoomSid, RoomType, Rules, SessionHash, Timestamp};
use rotunda::access_token;
use rotunda::app::App;
use rotunda::config::{PresetAccount, PresetApiKey, Settings};
use rotunda::credentials::ApiKey;
use rotunda::server::Server;
use serde_json::Value;
use store::{Account, CallbackMethod, NewRoom, Store};
use testkit::contract;
use testkit::signaling::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// `ACaaaa…`, as in the seed.
pub const ACCOUNT: AccountSid = AccountSid::from_bytes([0xaa; 16]);
/// Another account, whose rows nobody here may see.
pub const OTHERS: AccountSid = AccountSid::from_bytes([0xbb; 16]);
pub const AUTH_TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub const KEY: ApiKeySid = ApiKeySid::from_bytes([0xaa; 16]);
pub const SECRET: &str = "fedcba9876543210fedcba9876543210";

/// 2017-07-30T20:00:00Z.
pub const START_S: i64 = 1_501_444_800;

pub fn at(seconds: i64) -> Timestamp {
    Timestamp((START_S + seconds) * 1_000_000)
}

pub fn room_sid(number: u128) -> RoomSid {
    RoomSid::from_bytes(number.to_be_bytes())
}

pub fn participant_sid(number: u128) -> ParticipantSid {
    ParticipantSid::from_bytes(number.to_be_bytes())
}

/// A server with an account and a key.
pub struct World {
    pub server: Server,
    next: AtomicU64,
}

/// An answer, held against the contract when it came.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Status and code of an error.
    pub fn error(&self) -> (u16, u64) {
        (self.status, self.json()["code"].as_u64().unwrap())
    }

    pub fn meta(&self, name: &str) -> Value {
        self.json()["meta"][name].clone()
    }

    /// A member of each row of a page.
    pub fn column(&self, name: &str) -> Vec<String> {
        assert_eq!(self.status, 200, "{}", self.text);
        let json = self.json();
        let rows = json[json["meta"]["key"].as_str().unwrap()].as_array().unwrap();
        rows.iter().map(|row| row[name].as_str().unwrap().to_owned()).collect()
    }
}

impl World {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::ephemeral();
        settings.account = Some(PresetAccount {
            sid: ACCOUNT,
            auth_token: AUTH_TOKEN.to_owned(),
        });
        settings.api_key = Some(PresetApiKey {
            sid: KEY,
            secret: SECRET.to_owned(),
        });
        settings.database = testkit::postgres::wanted().map(|url| url.parse().unwrap());
        change(&mut settings);
        let server = Server::start(settings).await.unwrap();
        Self {
            server,
            next: AtomicU64::new(1),
        }
    }

    pub fn app(&self) -> &App {
        self.server.app()
    }

    pub fn store(&self) -> &dyn Store {
        &*self.app().store
    }

    /// Scheme, host and port in the URLs of answers.
    pub fn base(&self) -> String {
        format!("http://{}", self.server.http_addr())
    }

    fn fresh(&self) -> u128 {
        u128::from(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Sends a request with these header lines and this body, nothing added but `Host`, length and
    /// `Connection: close`.
    pub async fn raw(&self, method: &str, target: &str, headers: &[String], body: &[u8]) -> Answer {
        let answer = self.raw_unchecked(method, target, headers, body).await;
        if !answer.text.is_empty() && method != "HEAD" {
            let faults = contract::check(answer.status, &answer.json());
            assert!(faults.is_empty(), "{method} {target}: {faults:#?}\n{}", answer.text);
        }
        answer
    }

    /// The same for answers that are no resource.
    pub async fn raw_unchecked(&self, method: &str, target: &str, headers: &[String], body: &[u8]) -> Answer {
        let mut socket = TcpStream::connect(self.server.http_addr()).await.unwrap();
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.server.http_addr());
        for header in headers {
            request.push_str(&format!("{header}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()));
        socket.write_all(request.as_bytes()).await.unwrap();
        // The server may answer and close before it has read all of a body that is too long.
        socket.write_all(body).await.ok();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await.ok();
        parse(&String::from_utf8(bytes).unwrap())
    }

    pub async fn get(&self, target: &str) -> Answer {
        let target = target.strip_prefix(&self.base()).unwrap_or(target);
        self.raw("GET", target, &[authorization()], b"").await
    }

    pub async fn post(&self, target: &str, form: &str) -> Answer {
        let content_type = "Content-Type: application/x-www-form-urlencoded".to_owned();
        self.raw("POST", target, &[authorization(), content_type], form.as_bytes())
            .await
    }

    /// Makes another account with a room of this name in progress; its SID.
    pub async fn foreign_room(&self, name: Option<&str>) -> RoomSid {
        let account = Account::new(OTHERS);
        self.store().put_account(account).await.unwrap();
        let room = new_room(room_sid(0xf000_0000 + self.fresh()), name, 0);
        self.store().create_room(OTHERS, room).await.unwrap().new.sid
    }

    /// Puts a room in progress into the store, created this many seconds after [`START_S`].
    pub async fn room(&self, name: Option<&str>, created_s: i64) -> RoomSid {
        let room = new_room(room_sid(0x4000_0000 + self.fresh()), name, created_s);
        self.store().create_room(ACCOUNT, room).await.unwrap().new.sid
    }

    /// A scripted client in a live room of that name, with both of its tracks; its `connected` message.
    pub async fn client(&self, identity: &str, room: &str) -> (Client, Value) {
        let joined = Client::join(&self.server.signaling_url(), &self.token(identity), Some(room)).await;
        joined.unwrap()
    }

    /// An access token for any room.
    pub fn token(&self, identity: &str) -> String {
        let key = ApiKey {
            sid: KEY,
            account: ACCOUNT,
            secret: SECRET.to_owned(),
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        access_token::issue(&key, identity, None, 3600, now.as_secs().try_into().unwrap()).unwrap()
    }

    pub async fn write(&self, room: RoomSid, changes: Vec<Change>) {
        self.store().write(ACCOUNT, room, 1, changes).await.unwrap();
    }

    /// Puts a connected participant into a room of the store.
    pub async fn join(&self, room: RoomSid, identity: &str, at_s: i64) -> ParticipantSid {
        let participant = participant_sid(0x5000_0000 + self.fresh());
        self.write(room, vec![connected(participant, identity, at(at_s))]).await;
        participant
    }

    pub async fn leave(&self, room: RoomSid, participant: ParticipantSid, at_s: i64, duration_s: u64) {
        let at = at(at_s);
        self.write(
            room,
            vec![Change::ParticipantDisconnected {
                participant,
                at,
                duration_s,
            }],
        )
        .await;
    }

    pub async fn lose(&self, room: RoomSid, participant: ParticipantSid, at_s: i64) {
        self.write(
            room,
            vec![Change::ParticipantReconnecting {
                participant,
                at: at(at_s),
            }],
        )
        .await;
    }

    /// Completes a room that is empty.
    pub async fn complete(&self, room: RoomSid, at_s: i64) {
        self.write(
            room,
            vec![Change::RoomCompleted {
                at: at(at_s),
                duration_s: 60,
            }],
        )
        .await;
    }
}

pub fn connected(participant: ParticipantSid, identity: &str, at: Timestamp) -> Change {
    Change::ParticipantConnected {
        participant,
        identity: identity.to_owned(),
        session: SessionHash([7; 32]),
        rules: Rules::everything(),
        at,
    }
}

pub fn new_room(sid: RoomSid, name: Option<&str>, created_s: i64) -> NewRoom {
    NewRoom {
        sid,
        unique_name: name.map(str::to_owned),
        kind: RoomType::Group,
        audio_only: false,
        large_room: false,
        ad_hoc: false,
        status_callback: None,
        status_callback_method: CallbackMethod::Post,
        max_participants: 50,
        max_participant_duration_s: 14_400,
        empty_room_timeout_min: 5,
        unused_room_timeout_min: 5,
        video_codecs: vec!["VP8".to_owned(), "H264".to_owned()],
        media_region: Some("us1".to_owned()),
        at: at(created_s),
    }
}

pub fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

pub fn authorization() -> String {
    basic(&ACCOUNT.to_string(), AUTH_TOKEN)
}

fn parse(text: &str) -> Answer {
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no HTTP answer: {text:?}"));
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap()
        .parse()
        .unwrap();
    let mut headers = BTreeMap::new();
    for (name, value) in lines.map(|line| line.split_once(':').unwrap()) {
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Answer {
        status,
        headers,
        text: body.to_owned(),
    }
}
