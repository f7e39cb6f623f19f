//! The life of one signaling socket: hello, authentication, a room, goodbye.

use std::ops::ControlFlow;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use protocol::signaling::{ClientFrame, ClientMessage, Connect, Ice, ServerFrame, ServerMessage, Sync};
use store::StoreError;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::{limits, load};
use crate::access_token::{self, AccessToken, TokenError};
use crate::app::App;
use crate::door::SocketPlaces;
use crate::rooms::session;
use crate::rooms::socket::{Outgoing, Socket};
use crate::rooms::wire::{busy, error};
use crate::rooms::{Arrival, Attached, NotJoined, RoomsError, announced, initial_rules};

/// Longest heartbeat we agree to; the SDK asks for it.
const HEARTBEAT_MAX_MS: u64 = 5_000;
/// Shortest: the SDK sends its own 200 ms before it is due (signaling.md section 2.3).
const HEARTBEAT_MIN_MS: u64 = 1_000;

/// How far a socket is. After `Welcomed` the client is authenticated by each message's token.
enum Stage {
    /// No hello yet.
    Opened,
    /// It may ask for ICE servers, join or resume.
    Welcomed,
    /// It is in a room.
    InRoom(Attached),
    /// It was told to go.
    Leaving,
}

struct Connection {
    app: App,
    stream: WebSocket,
    socket: Socket,
    places: SocketPlaces,
    stage: Stage,
    heartbeat: Duration,
    /// When the client counts as gone.
    deadline: Instant,
}

type Flow = ControlFlow<()>;

/// Serves a socket until it is closed.
pub(super) async fn serve(stream: WebSocket, app: App, places: SocketPlaces) {
    let (socket, outgoing) = app.rooms.socket();
    let connection = Connection {
        app,
        stream,
        socket,
        places,
        stage: Stage::Opened,
        heartbeat: Duration::from_millis(HEARTBEAT_MAX_MS),
        deadline: Instant::now() + limits::HELLO_WAIT,
    };
    connection.run(outgoing).await;
}

impl Connection {
    async fn run(mut self, mut outgoing: mpsc::Receiver<Outgoing>) {
        let closing = self.app.rooms.closing();
        let given_up = self.socket.given_up.clone();
        let mut beat = Instant::now() + self.heartbeat;
        let mut left = false;
        loop {
            let flow = tokio::select! {
                biased;
                Some(outgoing) = outgoing.recv() => {
                    beat = Instant::now() + self.heartbeat;
                    self.pass_on(outgoing).await
                }
                received = self.stream.recv() => match received {
                    Some(Ok(Message::Text(text))) => {
                        let was_opened = matches!(self.stage, Stage::Opened);
                        let flow = self.hear(&text).await;
                        if was_opened {
                            beat = Instant::now() + self.heartbeat;
                        }
                        flow
                    }
                    Some(Ok(Message::Close(frame))) => {
                        left = frame.is_some_and(|frame| frame.code == 1000);
                        Flow::Break(())
                    }
                    Some(Ok(Message::Binary(_))) => self.refuse(error(53004, "Client sent an invalid signaling message")).await,
                    Some(Ok(_)) => Flow::Continue(()),
                    Some(Err(_)) | None => Flow::Break(()),
                },
                () = tokio::time::sleep_until(beat), if !matches!(self.stage, Stage::Opened) => {
                    beat = Instant::now() + self.heartbeat;
                    self.send(&ServerFrame::Heartbeat).await
                }
                () = given_up.cancelled() => {
                    self.close(4000).await;
                    Flow::Break(())
                }
                () = tokio::time::sleep_until(self.deadline) => {
                    self.close(if matches!(self.stage, Stage::Leaving) { 1000 } else { 4008 }).await;
                    Flow::Break(())
                }
                // A room closes the sockets of its participants by itself, when that is written.
                () = closing.cancelled(), if !matches!(self.stage, Stage::InRoom(_)) => {
                    self.close(1012).await;
                    Flow::Break(())
                }
            };
            if flow.is_break() {
                break;
            }
        }
        if let Stage::InRoom(attached) = self.stage {
            attached.closed(left).await;
        }
    }

    async fn hear(&mut self, text: &str) -> Flow {
        let frame = match serde_json::from_str::<ClientFrame>(text) {
            Ok(frame) => frame,
            Err(fault) if matches!(self.stage, Stage::Opened) => {
                return self
                    .send(&ServerFrame::Bad {
                        reason: format!("the message is not valid: {fault}"),
                    })
                    .await;
            }
            Err(fault) => {
                tracing::debug!(%fault, "a client's message is not valid");
                return self
                    .refuse(error(53004, "Client sent an invalid signaling message"))
                    .await;
            }
        };
        self.still_there();
        match (frame, &self.stage) {
            (_, Stage::Leaving) => Flow::Continue(()),
            (ClientFrame::Hello { timeout, body }, Stage::Opened) => self.welcome(timeout, body).await,
            // A repeated hello: the welcome was on its way.
            (ClientFrame::Hello { .. }, _) | (ClientFrame::Heartbeat | ClientFrame::Bye | ClientFrame::Unknown, _) => {
                Flow::Continue(())
            }
            (ClientFrame::Msg { body }, Stage::Welcomed | Stage::InRoom(_)) => self.message(body, None).await,
            (ClientFrame::Msg { .. }, Stage::Opened) => {
                self.send(&ServerFrame::Bad {
                    reason: "say hello first".to_owned(),
                })
                .await
            }
        }
    }

    /// The client counts as gone after this much more silence.
    fn still_there(&mut self) {
        if matches!(self.stage, Stage::InRoom(_)) {
            self.deadline = Instant::now() + limits::MISSED_HEARTBEATS * self.heartbeat;
        }
    }

    async fn welcome(&mut self, requested_ms: Option<f64>, body: Option<ClientMessage>) -> Flow {
        let verified = match load::busy_for(&self.app, body.as_ref()) {
            Ok(verified) => verified,
            Err(retry_after) => {
                return self
                    .send(&ServerFrame::Busy {
                        retry_after,
                        keep_alive: false,
                    })
                    .await;
            }
        };
        // `as` saturates; not-a-number is 0.
        let requested_ms = requested_ms.map_or(HEARTBEAT_MAX_MS, |requested| requested as u64);
        let negotiated_timeout = requested_ms.clamp(HEARTBEAT_MIN_MS, HEARTBEAT_MAX_MS);
        self.heartbeat = Duration::from_millis(negotiated_timeout);
        self.stage = Stage::Welcomed;
        self.deadline = Instant::now() + limits::JOIN_WAIT;
        self.send(&ServerFrame::Welcome { negotiated_timeout }).await?;
        match body {
            Some(body) => self.message(body, verified).await,
            None => Flow::Continue(()),
        }
    }

    /// `verified` is the message's token, if that was verified just now.
    async fn message(&mut self, message: ClientMessage, verified: Option<AccessToken>) -> Flow {
        match (message, &self.stage) {
            (ClientMessage::Ice(ice), Stage::Welcomed) => self.ice(&ice, verified).await,
            (ClientMessage::Connect(connect), Stage::Welcomed) => self.connect(*connect, verified).await,
            (ClientMessage::Sync(sync), Stage::Welcomed) => self.sync(sync).await,
            (ClientMessage::Update(update), Stage::InRoom(attached)) => {
                let list = match update.participant.map(announced) {
                    Some(None) => {
                        return self
                            .refuse(error(53004, "Client sent an invalid signaling message"))
                            .await;
                    }
                    Some(list) => list,
                    None => None,
                };
                attached.update(list, update.peer_connections).await;
                Flow::Continue(())
            }
            (ClientMessage::Disconnect {}, Stage::InRoom(_)) => {
                let stage = self.leaving();
                if let Stage::InRoom(attached) = stage {
                    attached.closed(true).await;
                }
                Flow::Continue(())
            }
            (ClientMessage::Disconnect {}, _) => {
                self.leaving();
                Flow::Continue(())
            }
            // What came too late or twice; the SDK does neither.
            _ => Flow::Continue(()),
        }
    }

    async fn ice(&mut self, ice: &Ice, verified: Option<AccessToken>) -> Flow {
        match self.admit(&ice.token, verified) {
            Ok(_) => {
                self.say(ServerMessage::Iced {
                    version: 1,
                    ice_servers: Vec::new(),
                })
                .await
            }
            Err(refusal) => self.refuse(refusal).await,
        }
    }

    async fn connect(&mut self, connect: Connect, verified: Option<AccessToken>) -> Flow {
        let invalid = || error(53004, "Client sent an invalid signaling message");
        let token = match self.admit(&connect.token, verified) {
            Ok(token) => token,
            Err(refusal) => return self.refuse(refusal).await,
        };
        let name = connect
            .name
            .filter(|name| !name.is_empty())
            .or_else(|| token.room.clone());
        if let Some(refusal) = name.as_deref().and_then(name_fault) {
            return self.refuse(refusal).await;
        }
        let Some(list) = announced(connect.participant) else {
            return self.refuse(invalid()).await;
        };
        let Some(rules) = initial_rules(connect.subscribe) else {
            return self.refuse(invalid()).await;
        };
        let arrival = Arrival {
            account: token.account,
            key: token.key,
            identity: token.identity.clone(),
            rules,
            announced: list,
            peers: connect.peer_connections,
            socket: self.socket.clone(),
        };
        if !self.app.rooms.is_answerable(&arrival.peers) {
            return self
                .refuse(error(53403, "Server is unable to apply a remote media description"))
                .await;
        }
        if !load::may_join(&self.app, token.account).await {
            return self.refuse(busy()).await;
        }
        match enter(&self.app, &token, name.as_deref(), &arrival).await {
            // Revoked while it was on its way, and maybe after those with the key were looked for.
            Ok(attached) if !self.app.credentials.permits(token.key) => {
                attached.closed(true).await;
                self.refuse(not_permitted()).await
            }
            Ok(attached) => self.enter(attached),
            Err(refusal) => self.refuse(refusal).await,
        }
    }

    fn enter(&mut self, attached: Attached) -> Flow {
        self.places.entered();
        self.stage = Stage::InRoom(attached);
        self.still_there();
        Flow::Continue(())
    }

    async fn sync(&mut self, sync: Sync) -> Flow {
        let Some(list) = announced(sync.participant) else {
            return self
                .refuse(error(53004, "Client sent an invalid signaling message"))
                .await;
        };
        let key = session::parse(&sync.session).and_then(|session| session.key);
        let is_permitted = |app: &App| key.is_none_or(|key| app.credentials.permits(key));
        if !is_permitted(&self.app) {
            return self.refuse(not_permitted()).await;
        }
        let resumed = self
            .app
            .rooms
            .sync(&sync.session, list, sync.peer_connections, self.socket.clone())
            .await;
        match resumed {
            Some(attached) if !is_permitted(&self.app) => {
                attached.closed(true).await;
                self.refuse(not_permitted()).await
            }
            Some(attached) => {
                // Counted where there is room, and let in all the same: who resumes was counted
                // before, and the socket that was lost may not have ended yet.
                self.app
                    .door
                    .admit(&mut self.places, attached.account, Instant::now().into_std());
                self.enter(attached)
            }
            None => self.refuse(error(53001, "Signaling connection disconnected")).await,
        }
    }

    /// Verifies a token, unless it is already, and counts the socket for its account.
    fn admit(&mut self, token: &str, verified: Option<AccessToken>) -> Result<AccessToken, ServerMessage> {
        let verify = || {
            let now_s = crate::rooms::wall().seconds();
            access_token::verify(token, &self.app.credentials, now_s)
                .map_err(|fault| error(fault.code(), &fault.to_string()))
        };
        let token = verified.map_or_else(verify, Ok)?;
        let now = Instant::now().into_std();
        if self.app.door.admit(&mut self.places, token.account, now) {
            Ok(token)
        } else {
            Err(error(53206, "The Participant concurrency quota was exceeded"))
        }
    }

    async fn pass_on(&mut self, outgoing: Outgoing) -> Flow {
        match outgoing {
            Outgoing::Message(message) => self.say(message).await,
            Outgoing::Farewell(message) => {
                self.leaving();
                match message {
                    Some(message) => self.say(message).await,
                    None => Flow::Continue(()),
                }
            }
            Outgoing::Close(code) => {
                self.leaving();
                self.close(code).await;
                Flow::Break(())
            }
        }
    }

    /// Tells the client that it is out, and waits for its goodbye.
    async fn refuse(&mut self, message: ServerMessage) -> Flow {
        if let Stage::InRoom(attached) = self.leaving() {
            attached.closed(true).await;
        }
        self.say(message).await
    }

    /// From now on only the goodbye is waited for. The stage before.
    fn leaving(&mut self) -> Stage {
        self.deadline = Instant::now() + limits::FAREWELL_WAIT;
        std::mem::replace(&mut self.stage, Stage::Leaving)
    }

    async fn say(&mut self, message: ServerMessage) -> Flow {
        self.send(&ServerFrame::Msg {
            body: Box::new(message),
        })
        .await
    }

    async fn send(&mut self, frame: &ServerFrame) -> Flow {
        let text = match serde_json::to_string(frame) {
            Ok(text) => text,
            Err(fault) => {
                tracing::error!(%fault, "a message could not be written");
                return Flow::Break(());
            }
        };
        match timeout(limits::SEND_WAIT, self.stream.send(Message::Text(text.into()))).await {
            Ok(Ok(())) => Flow::Continue(()),
            Ok(Err(_)) | Err(_) => Flow::Break(()),
        }
    }

    async fn close(&mut self, code: u16) {
        let frame = CloseFrame {
            code,
            reason: "".into(),
        };
        // The socket may be gone: then it is closed.
        let _closed = timeout(limits::SEND_WAIT, self.stream.send(Message::Close(Some(frame)))).await;
        let _drained = timeout(Duration::from_secs(1), async {
            while let Some(Ok(_)) = self.stream.recv().await {}
        })
        .await;
    }
}

/// Finds or makes the room and goes in. A room found by name may end on the way: then the name
/// stands for the next one.
async fn enter(
    app: &App,
    token: &AccessToken,
    name: Option<&str>,
    arrival: &Arrival,
) -> Result<Attached, ServerMessage> {
    const TRIES: usize = 8;
    // Before a room is made for a name that the token does not allow.
    if let (Some(granted), Some(wanted)) = (token.room.as_deref(), name)
        && granted != wanted
        && granted.parse::<room::RoomSid>().is_err()
        && wanted.parse::<room::RoomSid>().is_err()
    {
        return Err(not_granted());
    }
    // A token for one room, by SID, does not make another by name.
    let lookup = match (token.room.as_deref(), name) {
        (Some(granted), Some(wanted)) if granted != wanted && granted.parse::<room::RoomSid>().is_ok() => Some(granted),
        _ => name,
    };
    for _ in 0..TRIES {
        let meant = app
            .rooms
            .find_or_create(arrival.account, lookup)
            .await
            .map_err(room_refusal)?;
        let is_meant = name.is_none_or(|name| name == meant.name || name == meant.sid.to_string());
        if !is_meant || !token.permits(&meant.name, meant.sid) {
            return Err(not_granted());
        }
        match app.rooms.join(meant.sid, arrival).await {
            Ok(attached) => return Ok(attached),
            Err(NotJoined::Over) => {}
            Err(NotJoined::Busy) => return Err(room_refusal(RoomsError::Busy)),
        }
    }
    Err(error(53104, "Unable to connect to Room"))
}

/// The key that the client came with is revoked, or its account suspended.
fn not_permitted() -> ServerMessage {
    let fault = TokenError::Issuer;
    error(fault.code(), &fault.to_string())
}

fn not_granted() -> ServerMessage {
    error(20106, "Invalid Access Token grants")
}

fn name_fault(name: &str) -> Option<ServerMessage> {
    if name.chars().count() > 128 {
        Some(error(53101, "Room name is too long"))
    } else if name.contains('\0') {
        Some(error(53102, "Room name contains invalid characters"))
    } else {
        None
    }
}

fn room_refusal(fault: RoomsError) -> ServerMessage {
    match fault {
        RoomsError::RoomNotFound => error(53106, "Room not found"),
        RoomsError::RoomNotInProgress => error(53118, "Room completed"),
        RoomsError::NotMadeByJoining => error(53103, "Unable to create Room"),
        RoomsError::Busy | RoomsError::Store(StoreError::Unavailable { .. }) => busy(),
        RoomsError::RoomExists | RoomsError::ParticipantNotFound => error(53104, "Unable to connect to Room"),
        RoomsError::Store(fault) => {
            tracing::error!(%fault, "a room could not be read or made");
            error(53103, "Unable to create Room")
        }
    }
}
