//! TCMP and RSP messages of the browser SDK (signaling.md sections 2 to 5).
//!
//! One enum per direction and layer. What the client may leave out is optional; fields that
//! Rotunda does not use are not read.

use serde::{Deserialize, Serialize};

use crate::rules::WrittenRule;

/// A frame from the client: TCMP version 2 (signaling.md section 2.1).
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// Opens the connection, with its first message.
    Hello {
        /// Heartbeat wanted, milliseconds.
        timeout: Option<f64>,
        /// Handled like that of [`ClientFrame::Msg`], once a connection.
        body: Option<ClientMessage>,
    },
    /// A message.
    Msg {
        /// The message.
        body: ClientMessage,
    },
    /// Nothing was said for a while.
    Heartbeat,
    /// The client closes now.
    Bye,
    /// A type that later SDKs may have: ignored.
    #[serde(other)]
    Unknown,
}

/// A message from the client: RSP version 2 (signaling.md section 3).
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    /// Asks for ICE servers.
    Ice(Ice),
    /// Joins a room.
    Connect(Box<Connect>),
    /// Changes something.
    Update(Update),
    /// Resumes a session.
    Sync(Sync),
    /// Leaves.
    Disconnect {},
    /// A type that later SDKs may have: ignored.
    #[serde(other)]
    Unknown,
}

/// `ice` (signaling.md section 3.2).
#[derive(Debug, Deserialize)]
pub struct Ice {
    /// Access token.
    pub token: String,
}

/// `connect` (signaling.md section 3.3).
#[derive(Debug, Deserialize)]
pub struct Connect {
    /// Access token.
    pub token: String,
    /// Name or SID of the room.
    #[serde(default)]
    pub name: Option<String>,
    /// The client's tracks.
    pub participant: LocalParticipant,
    /// Exactly one, with an offer.
    #[serde(default)]
    pub peer_connections: Vec<PeerConnectionState>,
    /// The SDK sends `include all` or `exclude all`.
    #[serde(default)]
    pub subscribe: Option<Subscribe>,
}

/// `update` from the client (signaling.md section 3.5).
#[derive(Debug, Deserialize)]
pub struct Update {
    /// The whole list of the client's tracks.
    #[serde(default)]
    pub participant: Option<LocalParticipant>,
    /// One description or ICE state.
    #[serde(default)]
    pub peer_connections: Vec<PeerConnectionState>,
}

/// `sync` (signaling.md section 10).
#[derive(Debug, Deserialize)]
pub struct Sync {
    /// Of `connected`.
    pub session: String,
    /// The whole list of the client's tracks.
    pub participant: LocalParticipant,
    /// The client's latest local descriptions.
    #[serde(default)]
    pub peer_connections: Vec<PeerConnectionState>,
}

/// The client's tracks with their revision.
#[derive(Debug, Deserialize)]
pub struct LocalParticipant {
    /// Grows with each change.
    #[serde(default)]
    pub revision: u64,
    /// All of them.
    #[serde(default)]
    pub tracks: Vec<LocalTrack>,
}

/// One of the client's tracks.
#[derive(Debug, Deserialize)]
pub struct LocalTrack {
    /// The id its media carries.
    pub id: String,
    /// `audio`, `video` or `data`.
    pub kind: String,
    /// Its name; the SDK always gives one.
    #[serde(default)]
    pub name: Option<String>,
    /// False while muted.
    #[serde(default = "enabled_by_default")]
    pub enabled: bool,
    /// `low`, `standard` or `high`.
    #[serde(default)]
    pub priority: Option<String>,
}

fn enabled_by_default() -> bool {
    true
}

/// Initial subscribe rules.
#[derive(Debug, Deserialize)]
pub struct Subscribe {
    /// All of them; absent: include all.
    #[serde(default)]
    pub rules: Option<Vec<WrittenRule>>,
}

/// A peer connection with its news, in both directions (signaling.md sections 5.2 and 5.3).
/// The client's `ice` is not read: our side is ICE-lite.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerConnectionState {
    /// Chosen by the client, or by us with `create-offer`.
    pub id: String,
    /// What is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
}

/// A description (signaling.md section 5.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// `offer`, `answer`, `create-offer`, `close` or `pranswer`.
    #[serde(rename = "type")]
    pub kind: String,
    /// An answer has that of its offer.
    #[serde(default)]
    pub revision: u64,
    /// Of offers and answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp: Option<String>,
}

/// A frame to the client: TCMP version 2 (signaling.md section 2.2).
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The connection is open.
    Welcome {
        /// Heartbeat, milliseconds.
        #[serde(rename = "negotiatedTimeout")]
        negotiated_timeout: u64,
    },
    /// Still here.
    Heartbeat,
    /// A message.
    Msg {
        /// The message.
        body: Box<ServerMessage>,
    },
    /// Not now; only before `welcome`.
    Busy {
        /// Milliseconds until the next try; negative: never.
        #[serde(rename = "retryAfter")]
        retry_after: i64,
        /// Whether this socket stays open.
        #[serde(rename = "keepAlive")]
        keep_alive: bool,
    },
    /// The client's hello is no good; only before `welcome`.
    Bad {
        /// Why.
        reason: String,
    },
}

/// A message to the client: RSP version 2 (signaling.md section 3).
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// Answers `ice`.
    Iced {
        /// 1.
        version: u8,
        /// For the peer connection's configuration.
        ice_servers: Vec<IceServer>,
    },
    /// The client is in.
    Connected(Box<Connected>),
    /// Something changed.
    Update(Box<RoomUpdate>),
    /// The session goes on.
    Synced(Box<Synced>),
    /// The client is out, without an error but for `completed`.
    Disconnected {
        /// 2.
        version: u8,
        /// `completed` or another word.
        status: &'static str,
    },
    /// The client is out.
    Error {
        /// 2.
        version: u8,
        /// signaling.md section 11.
        code: u32,
        /// In words.
        message: String,
    },
}

/// An ICE server, as in `RTCConfiguration`.
#[derive(Debug, Clone, Serialize)]
pub struct IceServer {
    /// `turn:…` or `stun:…`
    pub urls: String,
    /// For TURN.
    pub username: String,
    /// For TURN.
    pub credential: String,
}

/// `connected` (signaling.md section 3.4).
#[derive(Debug, Serialize)]
pub struct Connected {
    /// 2.
    pub version: u8,
    /// Echoed by the client; resumes its session.
    pub session: String,
    /// The room.
    pub sid: String,
    /// The room's name.
    pub name: String,
    /// Who the client is.
    pub participant: Identified,
    /// Timeouts and regions.
    pub options: Options,
    /// The rest, as in an update but complete.
    #[serde(flatten)]
    pub state: RoomUpdateBody,
}

/// `synced` (signaling.md section 10).
#[derive(Debug, Serialize)]
pub struct Synced {
    /// 2.
    pub version: u8,
    /// Who the client is.
    pub participant: Identified,
    /// The rest, as in an update but complete.
    #[serde(flatten)]
    pub state: RoomUpdateBody,
}

/// `update` to the client (signaling.md section 3.5).
#[derive(Debug, Serialize)]
pub struct RoomUpdate {
    /// 2.
    pub version: u8,
    /// What changed.
    #[serde(flatten)]
    pub state: RoomUpdateBody,
}

/// What `connected`, `synced` and `update` share. What is absent did not change.
#[derive(Debug, Default, Serialize)]
pub struct RoomUpdateBody {
    /// Others, those that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participants: Option<Vec<RemoteParticipant>>,
    /// What became of the client's tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
    /// What the client receives, all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribed: Option<Subscribed>,
    /// Whether the room is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
    /// Channels announced: none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_signaling: Option<serde_json::Map<String, serde_json::Value>>,
    /// Descriptions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_connections: Option<Vec<PeerConnectionState>>,
}

/// A participant's SID with its identity.
#[derive(Debug, Serialize)]
pub struct Identified {
    /// `PA…`
    pub sid: String,
    /// From its token.
    pub identity: String,
}

/// `connected.options`.
#[derive(Debug, Serialize)]
pub struct Options {
    /// Seconds a lost client may come back, for signaling and media.
    pub session_timeout: u64,
    /// Shown as `localParticipant.signalingRegion`.
    pub signaling_region: String,
    /// Shown as `room.mediaRegion`.
    pub media_region: String,
    /// Vendors allowed for noise cancellation.
    pub audio_processors: Vec<String>,
}

/// Another participant (signaling.md section 4.2).
#[derive(Debug, Clone, Serialize)]
pub struct RemoteParticipant {
    /// `PA…`
    pub sid: String,
    /// From its token.
    pub identity: String,
    /// Grows with each change.
    pub revision: u64,
    /// `connected`, `reconnecting` or `disconnected`.
    pub state: &'static str,
    /// All of its tracks.
    pub tracks: Vec<RemoteTrack>,
}

/// A track of another participant.
#[derive(Debug, Clone, Serialize)]
pub struct RemoteTrack {
    /// `MT…`
    pub sid: String,
    /// Its name.
    pub name: String,
    /// `audio`, `video` or `data`.
    pub kind: &'static str,
    /// False while muted.
    pub enabled: bool,
    /// `low`, `standard` or `high`.
    pub priority: &'static str,
}

/// `published` (signaling.md section 4.1).
#[derive(Debug, Serialize)]
pub struct Published {
    /// Grows.
    pub revision: u64,
    /// Applied one by one.
    pub tracks: Vec<PublishedTrack>,
}

/// What became of one track.
#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PublishedTrack {
    /// It is published.
    Ready {
        /// The client's id.
        id: String,
        /// `MT…`
        sid: String,
    },
    /// It is refused.
    Failed {
        /// The client's id.
        id: String,
        /// Why.
        error: TrackError,
    },
}

/// `subscribed` (signaling.md section 4.3): always complete.
#[derive(Debug, Serialize)]
pub struct Subscribed {
    /// Grows.
    pub revision: u64,
    /// All of them.
    pub tracks: Vec<SubscribedTrack>,
}

/// One track that the client receives, or why it does not.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum SubscribedTrack {
    /// It comes.
    Ready {
        /// `MT…`
        sid: String,
        /// The id its media carries towards this client.
        id: String,
    },
    /// It cannot come.
    Failed {
        /// `MT…`
        sid: String,
        /// Why.
        error: TrackError,
    },
}

/// Why a track is not published or not received.
#[derive(Debug, Serialize)]
pub struct TrackError {
    /// signaling.md section 11.
    pub code: u32,
    /// In words.
    pub message: String,
}

/// `recording`.
#[derive(Debug, Serialize)]
pub struct Recording {
    /// Whether the room is recorded.
    pub is_recording: bool,
    /// Grows.
    pub revision: u64,
}
