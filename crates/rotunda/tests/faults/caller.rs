//! A participant with real media: joins over signaling, sends sound every 20 ms, counts what it hears.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, Frequency, MediaKind, MediaTime, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use testkit::signaling::{Client, Gone, connect, track};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::process::until;

const FRAME: Duration = Duration::from_millis(20);
const HEARTBEAT: Duration = Duration::from_secs(3);
/// Silence after which ICE is restarted, as the SDK does.
const SILENCE: Duration = Duration::from_secs(5);
/// What the page's SDK shows of its microphone.
const MICROPHONE: &str = "sound";

/// A running participant; it is gone without a word when this is dropped.
pub(crate) struct Caller {
    pub(crate) sid: String,
    state: Arc<State>,
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    heard: AtomicU64,
    is_gone: AtomicBool,
}

enum Order {
    /// Mutes or unmutes.
    Enable(bool),
    Leave,
}

impl Caller {
    /// Joins with one track of sound; fails with the server's refusal.
    pub(crate) async fn join(url: &str, token: &str, room: &str) -> Result<Self, Value> {
        Self::join_from(url, token, room, Ipv4Addr::LOCALHOST.into()).await
    }

    /// Joins with its media at this address of this machine.
    pub(crate) async fn join_from(url: &str, token: &str, room: &str, at: IpAddr) -> Result<Self, Value> {
        let socket = UdpSocket::bind((at, 0)).await.unwrap();
        let local = socket.local_addr().unwrap();
        let (peer, offer) = Peer::offering("pc".to_owned(), local);
        let hello = connect(
            token,
            Some(room),
            json!([track(MICROPHONE, "audio", "microphone")]),
            Some(&offer),
        );
        let mut signaling = Client::hello(url, Some(hello)).await;
        let connected = match signaling.message().await {
            Ok(message) if message["type"] == "connected" => message,
            Ok(refusal) => return Err(refusal),
            Err(gone) => return Err(format!("{gone:?}").into()),
        };
        signaling.session = connected["session"].as_str().unwrap().to_owned();
        let state = Arc::<State>::default();
        let (orders, taken) = mpsc::unbounded_channel();
        let mut run = Run {
            signaling,
            socket,
            local,
            peer,
            state: Arc::clone(&state),
            next_frame: Instant::now(),
            next_heartbeat: Instant::now() + HEARTBEAT,
            next_restart: Instant::now() + SILENCE,
            revision: 1,
            rtp_time: 0,
        };
        run.told(&connected).await;
        Ok(Self {
            sid: connected["participant"]["sid"].as_str().unwrap().to_owned(),
            state,
            orders,
            task: tokio::spawn(run.run(taken)),
        })
    }

    /// Packets of others that it decrypted.
    pub(crate) fn heard(&self) -> u64 {
        self.state.heard.load(Ordering::Relaxed)
    }

    /// Whether the server has ended its socket.
    pub(crate) fn is_gone(&self) -> bool {
        self.state.is_gone.load(Ordering::Relaxed)
    }

    /// Waits until it hears a second of sound more.
    pub(crate) async fn hears(&self) {
        let from = self.heard();
        until("a second of sound arrives", async || self.heard() >= from + 50).await;
    }

    pub(crate) fn enable(&self, enabled: bool) {
        self.orders.send(Order::Enable(enabled)).unwrap();
    }

    /// Leaves as the SDK does.
    pub(crate) async fn leave(mut self) {
        self.orders.send(Order::Leave).unwrap();
        (&mut self.task).await.unwrap();
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Both callers hear each other for a second.
pub(crate) async fn both_hear(one: &Caller, other: &Caller) {
    tokio::join!(one.hears(), other.hears());
}

/// A peer connection that offered itself.
struct Peer {
    id: String,
    rtc: Rtc,
    mid: Mid,
    pending: Option<SdpPendingOffer>,
}

impl Peer {
    fn offering(id: String, local: SocketAddr) -> (Self, String) {
        let mut rtc = RtcConfig::new().build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, "udp").unwrap());
        let mut changes = rtc.sdp_api();
        let (stream, track) = (Some("stream".to_owned()), Some(MICROPHONE.to_owned()));
        let mid = changes.add_media(MediaKind::Audio, Direction::SendRecv, stream, track, None);
        let (offer, pending) = changes.apply().unwrap();
        let peer = Self {
            id,
            rtc,
            mid,
            pending: Some(pending),
        };
        (peer, offer.to_sdp_string())
    }
}

struct Run {
    signaling: Client,
    socket: UdpSocket,
    local: SocketAddr,
    peer: Peer,
    state: Arc<State>,
    next_frame: Instant,
    next_heartbeat: Instant,
    /// Moved on by each datagram.
    next_restart: Instant,
    /// The highest so far, of either side.
    revision: u64,
    rtp_time: u64,
}

impl Run {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut buffer = vec![0; 2048];
        loop {
            let deadline = self.send_all().await.min(self.next_frame).min(self.next_heartbeat);
            tokio::select! {
                Ok((length, from)) = self.socket.recv_from(&mut buffer) => self.receive(from, &buffer[..length]),
                message = self.signaling.message() => match message {
                    Ok(message) => self.told(&message).await,
                    Err(Gone::Silent) => {}
                    Err(_) => break,
                },
                order = orders.recv() => match order {
                    Some(Order::Enable(enabled)) => {
                        let mut track = track(MICROPHONE, "audio", "microphone");
                        track["enabled"] = enabled.into();
                        self.signaling.announce(json!([track])).await;
                    }
                    Some(Order::Leave) => return self.signaling.leave().await,
                    // Dropped, and not yet aborted: gone without a word.
                    None => return,
                },
                () = tokio::time::sleep_until(deadline.into()) => self.due().await,
            }
        }
        self.state.is_gone.store(true, Ordering::Relaxed);
    }

    /// Sends what the engine has to say; when it wants to be asked again.
    async fn send_all(&mut self) -> Instant {
        loop {
            match self.peer.rtc.poll_output() {
                Ok(Output::Timeout(at)) => return at,
                Ok(Output::Transmit(packet)) => {
                    // A path that is away loses packets, as networks do.
                    self.socket.send_to(&packet.contents, packet.destination).await.ok();
                }
                Ok(Output::Event(Event::MediaData(_))) => {
                    self.state.heard.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Output::Event(_)) => {}
                // The server replaces what has failed.
                Err(_) => return Instant::now() + HEARTBEAT,
            }
        }
    }

    fn receive(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.next_restart = Instant::now() + SILENCE;
        if let Ok(receive) = Receive::new(Protocol::Udp, from, self.local, datagram) {
            self.peer.rtc.handle_input(Input::Receive(Instant::now(), receive)).ok();
        }
    }

    async fn due(&mut self) {
        let now = Instant::now();
        self.peer.rtc.handle_input(Input::Timeout(now)).ok();
        if now >= self.next_heartbeat {
            self.next_heartbeat = now + HEARTBEAT;
            self.signaling.send(json!({ "type": "heartbeat" })).await;
        }
        if now >= self.next_restart {
            self.next_restart = now + SILENCE;
            self.restart_ice().await;
        }
        if now >= self.next_frame {
            self.next_frame += FRAME;
            self.rtp_time += 960;
            if let Some(writer) = self.peer.rtc.writer(self.peer.mid) {
                let opus = writer
                    .payload_params()
                    .find(|params| params.spec().codec == Codec::Opus);
                let pt = opus.map(|params| params.pt());
                let time = MediaTime::new(self.rtp_time, Frequency::FORTY_EIGHT_KHZ);
                if let Some(pt) = pt {
                    writer.write(pt, now, time, vec![0xf8; 40]).ok();
                }
            }
        }
    }

    /// Takes the descriptions in a message.
    async fn told(&mut self, message: &Value) {
        for state in message["peer_connections"].as_array().into_iter().flatten() {
            let id = state["id"].as_str().unwrap_or_default();
            let description = &state["description"];
            let revision = &description["revision"];
            self.revision = self.revision.max(revision.as_u64().unwrap_or(0));
            let sdp = description["sdp"].as_str().unwrap_or_default();
            match description["type"].as_str() {
                Some("create-offer") => {
                    let (peer, offer) = Peer::offering(id.to_owned(), self.local);
                    self.peer = peer;
                    self.describe("offer", revision, &offer).await;
                }
                Some("answer") if id == self.peer.id => {
                    if let Some(pending) = self.peer.pending.take() {
                        let answer = SdpAnswer::from_sdp_string(sdp).unwrap();
                        // One that was overtaken by a later offer is of no use.
                        self.peer.rtc.sdp_api().accept_answer(pending, answer).ok();
                    }
                }
                Some("offer") if id == self.peer.id => {
                    let offer = SdpOffer::from_sdp_string(sdp).unwrap();
                    let answer = self.peer.rtc.sdp_api().accept_offer(offer).unwrap();
                    self.describe("answer", revision, &answer.to_sdp_string()).await;
                }
                _ => {}
            }
        }
    }

    async fn restart_ice(&mut self) {
        let mut changes = self.peer.rtc.sdp_api();
        changes.ice_restart(true);
        if let Some((offer, pending)) = changes.apply() {
            self.peer.pending = Some(pending);
            let revision = (self.revision + 1).into();
            self.describe("offer", &revision, &offer.to_sdp_string()).await;
        }
    }

    async fn describe(&mut self, kind: &str, revision: &Value, sdp: &str) {
        self.revision = self.revision.max(revision.as_u64().unwrap_or(0));
        let session = self.signaling.session.clone();
        let description = json!({ "type": kind, "revision": revision, "sdp": sdp });
        let states = json!([{ "id": self.peer.id, "description": description }]);
        self.signaling
            .say(json!({ "type": "update", "version": 2, "session": session, "peer_connections": states }))
            .await;
    }
}
