//! Callbacks on real sockets, out of a real outbox.

#![allow(clippy::unwrap_used)]
use std::net::SocketAddr;
use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use room::{AccountSid, Change, ParticipantSid, RoomSid, RoomType, Rules, SessionHash};
use store::{CallbackMethod, NewRoom, SqliteStore};
use tokio::sync::mpsc;

use super::*;
use crate::credentials::Account;

const ACCOUNT: AccountSid = AccountSid::from_bytes([7; 16]);
const AUTH_TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What a receiver got.
#[derive(Debug)]
struct Received {
    method: String,
    uri: String,
    signature: String,
    body: String,
}

/// A receiver that answers with the given statuses, then with 204.
async fn receiver(statuses: Vec<u16>) -> (SocketAddr, mpsc::UnboundedReceiver<Received>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let statuses = Arc::new(Mutex::new(statuses.into_iter()));
    let router = Router::new().fallback(move |request: Request| {
        let (sender, statuses) = (sender.clone(), Arc::clone(&statuses));
        async move {
            let (parts, body) = request.into_parts();
            let body: Bytes = axum::body::to_bytes(body, 10_000).await.unwrap();
            let header = |name| {
                parts
                    .headers
                    .get(name)
                    .map(|value: &axum::http::HeaderValue| value.to_str().unwrap().to_owned())
            };
            if parts.method == "POST" {
                assert_eq!(
                    header("content-type").as_deref(),
                    Some("application/x-www-form-urlencoded")
                );
            }
            sender
                .send(Received {
                    method: parts.method.to_string(),
                    uri: parts.uri.to_string(),
                    signature: header("x-twilio-signature").unwrap(),
                    body: String::from_utf8(body.to_vec()).unwrap(),
                })
                .unwrap();
            let status = StatusCode::from_u16(statuses.lock().unwrap().next().unwrap_or(204)).unwrap();
            let elsewhere = status.is_redirection().then_some([("location", "/elsewhere")]);
            (status, elsewhere, "")
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (addr, receiver)
}

/// A deliverer on a store of its own.
struct Fixture {
    store: Arc<dyn Store>,
    waker: Waker,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Fixture {
    async fn start() -> Self {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
        let account = Account {
            sid: ACCOUNT,
            auth_token: AUTH_TOKEN.to_owned(),
        };
        store.put_account(store::Account::new(ACCOUNT)).await.unwrap();
        let credentials = Arc::new(Credentials::new(vec![account], Vec::new()));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let rule = AddressRule::allowing_kinds([AddressKind::Loopback]);
        let waker = super::start(Arc::clone(&store), credentials, rule, stop.clone(), &tasks);
        Self {
            store,
            waker,
            stop,
            tasks,
        }
    }

    /// A room whose callbacks go to `url`; its creation is their first.
    async fn room(&self, number: u8, url: String, method: CallbackMethod) -> RoomSid {
        let sid = RoomSid::from_bytes([number; 16]);
        let room = NewRoom {
            sid,
            unique_name: Some(format!("room {number}")),
            kind: RoomType::Group,
            audio_only: false,
            large_room: false,
            ad_hoc: false,
            status_callback: Some(url),
            status_callback_method: method,
            max_participants: 50,
            max_participant_duration_s: 14_400,
            empty_room_timeout_min: 5,
            unused_room_timeout_min: 5,
            video_codecs: vec!["VP8".to_owned()],
            media_region: None,
            at: wall(),
        };
        self.store.create_room(ACCOUNT, room).await.unwrap();
        self.waker.wake();
        sid
    }

    async fn join(&self, room: RoomSid, number: u8) {
        let change = Change::ParticipantConnected {
            participant: ParticipantSid::from_bytes([number; 16]),
            identity: format!("guest {number}"),
            session: SessionHash([number; 32]),
            rules: Rules::everything(),
            at: wall(),
        };
        self.store.write(ACCOUNT, room, 1, vec![change]).await.unwrap();
        self.waker.wake();
    }

    /// Does not wait for what is on its way.
    fn abandon(self) {
        self.stop.cancel();
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn event(received: &Received) -> String {
    let text = if received.body.is_empty() {
        &received.uri
    } else {
        &received.body
    };
    let value = |name: &str| {
        text.split(['&', '?'])
            .find_map(|field| field.strip_prefix(name))
            .unwrap()
            .to_owned()
    };
    format!("{} {}", value("SequenceNumber="), value("StatusCallbackEvent="))
}

async fn next(receiver: &mut mpsc::UnboundedReceiver<Received>) -> Received {
    tokio::time::timeout(Duration::from_secs(20), receiver.recv())
        .await
        .expect("a callback arrives")
        .unwrap()
}

#[tokio::test]
async fn callbacks_are_signed_and_keep_their_order() {
    let (addr, mut received) = receiver(Vec::new()).await;
    let fixture = Fixture::start().await;
    let url = format!("http://{addr}/hook?tenant=7");
    let room = fixture.room(1, url.clone(), CallbackMethod::Post).await;
    for number in 1..=3 {
        fixture.join(room, number).await;
    }
    for expected in [
        "0 room-created",
        "1 participant-connected",
        "2 participant-connected",
        "3 participant-connected",
    ] {
        let callback = next(&mut received).await;
        assert_eq!(
            (
                event(&callback).as_str(),
                callback.method.as_str(),
                callback.uri.as_str()
            ),
            (expected, "POST", "/hook?tenant=7")
        );
        let fields: Vec<(String, String)> = url::form_urlencoded::parse(callback.body.as_bytes())
            .into_owned()
            .collect();
        let form: Vec<(&str, String)> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        assert_eq!(callback.signature, sign::signature(AUTH_TOKEN, &url, &form));
    }
    fixture.stop().await;
}

#[tokio::test]
async fn get_puts_the_fields_into_the_query() {
    let (addr, mut received) = receiver(Vec::new()).await;
    let fixture = Fixture::start().await;
    fixture
        .room(1, format!("http://{addr}/hook"), CallbackMethod::Get)
        .await;
    let callback = next(&mut received).await;
    assert_eq!((callback.method.as_str(), callback.body.as_str()), ("GET", ""));
    assert!(
        callback.uri.starts_with("/hook?RoomStatus=in-progress&RoomType=group&"),
        "{}",
        callback.uri
    );
    assert_eq!(
        callback.signature,
        sign::signature(AUTH_TOKEN, &format!("http://{addr}{}", callback.uri), &[])
    );
    fixture.stop().await;
}

#[tokio::test]
async fn a_failed_attempt_is_repeated_before_later_events() {
    let (addr, mut received) = receiver(vec![503]).await;
    let fixture = Fixture::start().await;
    let room = fixture
        .room(1, format!("http://{addr}/hook"), CallbackMethod::Post)
        .await;
    fixture.join(room, 1).await;
    let mut events = Vec::new();
    for _ in 0..3 {
        events.push(event(&next(&mut received).await));
    }
    assert_eq!(events, ["0 room-created", "0 room-created", "1 participant-connected"]);
    fixture.stop().await;
}

#[tokio::test]
async fn a_permanent_refusal_gives_up_and_lets_later_events_through() {
    for status in [400, 410, 304] {
        let (addr, mut received) = receiver(vec![status]).await;
        let fixture = Fixture::start().await;
        let room = fixture
            .room(1, format!("http://{addr}/hook"), CallbackMethod::Post)
            .await;
        fixture.join(room, 1).await;
        assert_eq!(event(&next(&mut received).await), "0 room-created");
        let second = next(&mut received).await;
        assert_eq!(
            (event(&second).as_str(), second.uri.as_str()),
            ("1 participant-connected", "/hook"),
            "{status}"
        );
        fixture.stop().await;
    }
}

#[tokio::test]
async fn a_dead_receiver_holds_up_its_own_room_only() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = unused.local_addr().unwrap();
    drop(unused);
    let (addr, mut received) = receiver(Vec::new()).await;
    let fixture = Fixture::start().await;
    fixture
        .room(1, format!("http://{dead}/hook"), CallbackMethod::Post)
        .await;
    let room = fixture
        .room(2, format!("http://{addr}/hook"), CallbackMethod::Post)
        .await;
    fixture.join(room, 1).await;
    assert_eq!(event(&next(&mut received).await), "0 room-created");
    assert_eq!(event(&next(&mut received).await), "1 participant-connected");
    fixture.stop().await;
}

#[tokio::test]
async fn a_hanging_receiver_with_many_rooms_holds_up_nobody_else() {
    // It takes connections and says nothing.
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = hanging.local_addr().unwrap();
    let (at_once, mut seen) = tokio::sync::watch::channel(0_usize);
    tokio::spawn(async move {
        let mut sockets = Vec::new();
        while let Ok((socket, _)) = hanging.accept().await {
            sockets.push(socket);
            at_once.send_replace(sockets.len());
        }
    });
    let (addr, mut received) = receiver(Vec::new()).await;
    let fixture = Fixture::start().await;
    for number in 0..u8::MAX {
        fixture
            .room(number, format!("http://{dead}/hook"), CallbackMethod::Post)
            .await;
    }
    // It has all places that one receiver can have.
    seen.wait_for(|sockets| *sockets >= limits::CALLBACKS_PER_RECEIVER_MAX)
        .await
        .unwrap();
    let room = fixture
        .room(u8::MAX, format!("http://{addr}/hook"), CallbackMethod::Post)
        .await;
    for number in 0..20 {
        fixture.join(room, number).await;
    }
    for number in 0..=20 {
        let callback = next(&mut received).await;
        assert!(event(&callback).starts_with(&format!("{number} ")), "{callback:?}");
    }
    fixture.abandon();
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off_and_its_status_counts() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (heard, mut received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let heard = heard.clone();
            tokio::spawn(async move {
                socket.read_u8().await.unwrap();
                heard.send(()).unwrap();
                socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                // Until the other side has had enough.
                while socket.write_all(&[b'x'; 4096]).await.is_ok() {}
            });
        }
    });
    let fixture = Fixture::start().await;
    let room = fixture
        .room(1, format!("http://{addr}/hook"), CallbackMethod::Post)
        .await;
    fixture.join(room, 1).await;
    // The second is only sent once the first is delivered.
    for _ in 0..2 {
        tokio::time::timeout(Duration::from_secs(20), received.recv())
            .await
            .expect("a callback arrives")
            .unwrap();
    }
    fixture.stop().await;
}
