//! A receiver of callbacks that fails in every way: errors, "later", redirects, silence, connections that break half-way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::receiver::{Fields, Receiver, Shared};

/// A callback is failed so often at most, so that its waits stay short.
const FAILURES: u32 = 2;
/// Of each so many seconds the receiver is down for the last few.
const WEATHER_S: u64 = 120;
const DOWN_S: u64 = 20;

/// Its ways, and how often it used them.
pub(crate) struct Storm {
    shared: Arc<Shared>,
    url: String,
    token: &'static str,
    began: Instant,
    is_over: AtomicBool,
    state: Mutex<State>,
}

struct State {
    dice: fastrand::Rng,
    failures: BTreeMap<String, u32>,
    used: BTreeMap<&'static str, u64>,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Take,
    /// Answered so, not taken.
    Answer(&'static str, &'static str),
    /// Sent on to itself, and taken there.
    Redirect,
    Silence,
    CloseAtOnce,
    CloseInTheHead,
    /// Taken, but the sender never knows.
    TakeAndCloseInTheHead,
    /// Taken; the status counts.
    TakeAndCloseInTheBody,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Take => "taken",
            Self::Answer(status, _) => status,
            Self::Redirect => "redirected",
            Self::Silence => "no answer",
            Self::CloseAtOnce => "closed at once",
            Self::CloseInTheHead => "closed in the head of the answer",
            Self::TakeAndCloseInTheHead => "taken, then closed in the head of the answer",
            Self::TakeAndCloseInTheBody => "taken, then closed in the body of the answer",
        }
    }
}

impl Storm {
    /// Begins; the auth token is what callbacks have to be signed with.
    pub(crate) async fn start(seed: u64, token: &'static str) -> (Arc<Self>, Receiver) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/events?tenant=7", listener.local_addr().unwrap());
        let receiver = Receiver::of(url.clone());
        let storm = Arc::new(Self {
            shared: receiver.shared(),
            url,
            token,
            began: Instant::now(),
            is_over: AtomicBool::new(false),
            state: Mutex::new(State {
                dice: fastrand::Rng::with_seed(seed),
                failures: BTreeMap::new(),
                used: BTreeMap::new(),
            }),
        });
        let serving = Arc::clone(&storm);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&serving).converse(socket));
            }
        });
        (storm, receiver)
    }

    /// From now on everything is taken.
    pub(crate) fn calm(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// How often each way was used.
    pub(crate) fn used(&self) -> BTreeMap<&'static str, u64> {
        self.state.lock().unwrap().used.clone()
    }

    async fn converse(self: Arc<Self>, mut socket: TcpStream) {
        while let Some((head, body)) = read(&mut socket).await {
            let fields: Fields = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
            self.check(&head, &fields);
            let way = self.way(&head, &fields);
            *self.state.lock().unwrap().used.entry(way.name()).or_default() += 1;
            let answer = match way {
                Way::Take => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
                Way::Answer(status, header) => format!("HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\n\r\n"),
                Way::Redirect => "HTTP/1.1 307 There\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n".to_owned(),
                Way::Silence => {
                    // Until the sender has had enough.
                    let _ = socket.read_u8().await;
                    return;
                }
                Way::CloseAtOnce => return,
                Way::CloseInTheHead | Way::TakeAndCloseInTheHead => "HTTP/1.1 200 O".to_owned(),
                Way::TakeAndCloseInTheBody => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_owned(),
            };
            if matches!(way, Way::Take | Way::TakeAndCloseInTheHead | Way::TakeAndCloseInTheBody) {
                self.shared.hear(&fields);
            }
            if socket.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            let breaks = [
                Way::CloseInTheHead,
                Way::TakeAndCloseInTheHead,
                Way::TakeAndCloseInTheBody,
            ];
            if breaks.contains(&way) {
                return;
            }
        }
    }

    fn way(&self, head: &str, fields: &Fields) -> Way {
        if head.starts_with("POST /there ") || self.is_over.load(Ordering::Relaxed) {
            return Way::Take;
        }
        let is_down = self.began.elapsed().as_secs() % WEATHER_S >= WEATHER_S - DOWN_S;
        let mut state = self.state.lock().unwrap();
        let key = format!("{:?} {:?}", fields.get("RoomSid"), fields.get("SequenceNumber"));
        let failed = state.failures.get(&key).copied().unwrap_or_default();
        let way = match state.dice.u16(0..1000) {
            _ if is_down => Way::Answer("503 Service Unavailable", "Retry-After: 2\r\n"),
            0..30 => Way::Answer("500 Internal Server Error", ""),
            30..50 => Way::Answer("429 Too Many Requests", "Retry-After: 1\r\n"),
            50..70 => Way::Answer("503 Service Unavailable", "Retry-After: 2\r\n"),
            70..120 => Way::Redirect,
            120..140 => Way::CloseAtOnce,
            140..160 => Way::CloseInTheHead,
            160..180 => Way::TakeAndCloseInTheHead,
            180..200 => Way::TakeAndCloseInTheBody,
            200..203 => Way::Silence,
            _ => Way::Take,
        };
        let fails = !matches!(way, Way::Take | Way::Redirect | Way::TakeAndCloseInTheBody);
        if !fails || is_down {
            return way;
        }
        if failed >= FAILURES {
            return Way::Take;
        }
        state.failures.insert(key, failed + 1);
        way
    }

    /// The signature is that of the URL as configured, also where a redirect led.
    fn check(&self, head: &str, fields: &Fields) {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.token.as_bytes());
        let sorted: String = fields.iter().map(|(name, value)| format!("{name}{value}")).collect();
        let signature = STANDARD.encode(hmac::sign(&key, format!("{}{sorted}", self.url).as_bytes()));
        let is_signed = head.lines().any(|line| {
            let (name, value) = line.split_once(": ").unwrap_or_default();
            name.eq_ignore_ascii_case("x-twilio-signature") && value == signature
        });
        if !is_signed {
            self.shared.complain(format!("not signed: {head} {fields:?}"));
        }
    }
}

/// One request: its head and its body.
pub(crate) async fn read(socket: &mut TcpStream) -> Option<(String, String)> {
    const PATIENCE: Duration = Duration::from_secs(60);
    let mut bytes = Vec::with_capacity(2048);
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.parse::<usize>().ok())?
            });
            let length = length.unwrap_or_default();
            if bytes.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&bytes[end + 4..end + 4 + length]).into_owned();
                return Some((head, body));
            }
        }
        match tokio::time::timeout(PATIENCE, socket.read_buf(&mut bytes)).await {
            Ok(Ok(1..)) => {}
            _ => return None,
        }
    }
}
