//! How clients come in, and their way to their room while they are there.

use std::sync::atomic::Ordering;

use protocol::signaling::PeerConnectionState;
use room::{
    AccountSid, Announced, AnnouncedTrack, ApiKeySid, ParticipantSid, Priority, RoomSid, RoomStatus, Rules, TrackKind,
    TrackSid,
};
use store::{CallbackMethod, NewRoom, RoomRow};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::socket::{Outgoing, Socket};
use super::task::{self, Command, JoinCommand, SyncCommand};
use super::{Rooms, RoomsError, limits, lock, random, session, wall};

/// The room that a client asked for.
pub(crate) struct Meant {
    pub(crate) sid: RoomSid,
    /// Its name, or the text of its SID where none was given.
    pub(crate) name: String,
}

impl From<RoomRow> for Meant {
    fn from(row: RoomRow) -> Self {
        let sid = row.new.sid;
        let name = row.new.unique_name.unwrap_or_else(|| sid.to_string());
        Self { sid, name }
    }
}

/// What a client brings when it joins.
#[derive(Clone)]
pub(crate) struct Arrival {
    pub(crate) account: AccountSid,
    /// The key of its token.
    pub(crate) key: ApiKeySid,
    pub(crate) identity: String,
    pub(crate) rules: Rules,
    pub(crate) announced: Announced,
    pub(crate) peers: Vec<PeerConnectionState>,
    pub(crate) socket: Socket,
}

/// Why a client is not in the room.
pub(crate) enum NotJoined {
    /// The room ended first.
    Over,
    /// The room's queue stays full, or the server is shutting down.
    Busy,
}

/// A socket's way to its participant's room.
#[derive(Clone)]
pub(crate) struct Attached {
    pub(crate) account: AccountSid,
    participant: ParticipantSid,
    socket: u64,
    commands: mpsc::Sender<Command>,
}

impl Rooms {
    /// Whether a client's first offer can be answered; tried before it is let in, so that no row
    /// is made for garbage.
    pub(crate) fn is_answerable(&self, peers: &[PeerConnectionState]) -> bool {
        task::is_answerable(&self.shared, peers)
    }

    /// A new socket's end of its queue, and what its room gets of it.
    pub(crate) fn socket(&self) -> (Socket, mpsc::Receiver<Outgoing>) {
        let (queue, outgoing) = mpsc::channel(limits::OUTGOING);
        let socket = Socket {
            id: self.shared.sockets.fetch_add(1, Ordering::Relaxed),
            queue,
            given_up: CancellationToken::new(),
        };
        (socket, outgoing)
    }

    /// Brings a client into a room in progress. What becomes of it is said over its socket.
    pub(crate) async fn join(&self, room: RoomSid, arrival: &Arrival) -> Result<Attached, NotJoined> {
        let Some(handle) = self.live(arrival.account, room) else {
            return Err(NotJoined::Over);
        };
        let (taken, wait) = oneshot::channel();
        let join = JoinCommand {
            participant: ParticipantSid::from_bytes(random()),
            // The room may be over before it hears of this; then another one does.
            arrival: arrival.clone(),
            taken,
        };
        let attached = Attached {
            account: arrival.account,
            participant: join.participant,
            socket: arrival.socket.id,
            commands: handle.commands.clone(),
        };
        match self.ask(&handle, Command::Join(Box::new(join))).await {
            Ok(()) if wait.await.is_ok() => return Ok(attached),
            Err(RoomsError::Busy) => return Err(NotJoined::Busy),
            _ => {}
        }
        handle.commands.closed().await;
        Err(NotJoined::Over)
    }

    /// Resumes a session on a new socket; `None` if there is no such session any more.
    pub(crate) async fn sync(
        &self,
        session: &str,
        announced: Announced,
        peers: Vec<PeerConnectionState>,
        socket: Socket,
    ) -> Option<Attached> {
        let key = session::parse(session)?;
        let handle = lock(&self.shared.live).rooms.get(&key.room).cloned()?;
        let (taken, wait) = oneshot::channel();
        let attached = Attached {
            account: handle.account,
            participant: key.participant,
            socket: socket.id,
            commands: handle.commands.clone(),
        };
        let command = SyncCommand {
            participant: key.participant,
            session: key.hash,
            key: key.key,
            announced,
            peers,
            socket,
            taken,
        };
        handle.commands.send(Command::Sync(Box::new(command))).await.ok()?;
        wait.await.ok()?;
        Some(attached)
    }

    /// The room that a name stands for, made if there is none: the `connect` of a client makes
    /// rooms ad hoc.
    pub(crate) async fn find_or_create(&self, account: AccountSid, name: Option<&str>) -> Result<Meant, RoomsError> {
        if let Some(sid) = name.and_then(|name| name.parse::<RoomSid>().ok()) {
            let row = self
                .shared
                .store
                .room(account, sid)
                .await?
                .ok_or(RoomsError::RoomNotFound)?;
            return if row.status == RoomStatus::InProgress {
                Ok(row.into())
            } else {
                Err(RoomsError::RoomNotInProgress)
            };
        }
        loop {
            if let Some(name) = name {
                if let Some(sid) = self.shared.named(account, name) {
                    let name = name.to_owned();
                    return Ok(Meant { sid, name });
                }
                // One that is not here is being made, or goes on after a fault.
                if let Some(row) = self.shared.store.room_in_progress(account, name).await? {
                    return Ok(row.into());
                }
            }
            if !self.shared.config.rooms.ad_hoc.allowed {
                return Err(RoomsError::NotMadeByJoining);
            }
            match self.create(account, self.ad_hoc_room(name)).await {
                Err(RoomsError::RoomExists) => tokio::task::yield_now().await, // another client was faster
                other => return other.map(Into::into),
            }
        }
    }

    fn ad_hoc_room(&self, name: Option<&str>) -> NewRoom {
        let rooms = &self.shared.config.rooms;
        let kind = rooms.ad_hoc.kind;
        NewRoom {
            sid: RoomSid::from_bytes(random()),
            unique_name: name.map(ToOwned::to_owned),
            kind,
            audio_only: false,
            large_room: false,
            ad_hoc: true,
            status_callback: None,
            status_callback_method: CallbackMethod::Post,
            max_participants: rooms
                .ad_hoc
                .max_participants
                .unwrap_or_else(|| rooms.participants_default(kind)),
            max_participant_duration_s: rooms.participant_duration_default_s(),
            empty_room_timeout_min: 5,
            unused_room_timeout_min: 5,
            video_codecs: rooms.ad_hoc.video_codecs.clone(),
            media_region: Some(rooms.media_region.clone()),
            at: wall(),
        }
    }
}

impl Attached {
    /// Passes on a client's update.
    pub(crate) async fn update(&self, announced: Option<Announced>, peers: Vec<PeerConnectionState>) {
        let command = Command::Update {
            participant: self.participant,
            socket: self.socket,
            announced,
            peers,
        };
        // A room that is over has said so over the socket.
        let _over = self.commands.send(command).await;
    }

    /// The socket is at its end; `left` if the client said so.
    pub(crate) async fn closed(self, left: bool) {
        let command = Command::Closed {
            participant: self.participant,
            socket: self.socket,
            left,
        };
        let _over = self.commands.send(command).await;
    }
}

/// A client's list of tracks as the room knows it; `None` if it is no valid list.
pub(crate) fn announced(participant: protocol::signaling::LocalParticipant) -> Option<Announced> {
    if participant.tracks.len() > limits::ANNOUNCED_TRACKS {
        return None;
    }
    let tracks: Option<Vec<AnnouncedTrack>> = participant
        .tracks
        .into_iter()
        .map(|track| {
            Some(AnnouncedTrack {
                kind: TrackKind::from_word(&track.kind)?,
                name: track
                    .name
                    .filter(|name| !name.is_empty())
                    .unwrap_or_else(|| track.id.clone()),
                media_id: track.id,
                enabled: track.enabled,
                priority: track
                    .priority
                    .as_deref()
                    .and_then(Priority::from_word)
                    .unwrap_or(Priority::Standard),
                has_codec: true,
                fresh: TrackSid::from_bytes(random()),
            })
        })
        .collect();
    Some(Announced {
        revision: participant.revision,
        tracks: tracks?,
    })
}
