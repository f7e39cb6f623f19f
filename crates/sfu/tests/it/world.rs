//! A media plane, its events, and clients with their sessions.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use negotiation::{DtlsRole, Layer, MediaKind};
use sfu::{Command, Event, MediaEngine, Route, RouteMedia, Sfu, SfuConfig, TransportId};
use testkit::media::{Client, SessionBuilder, opus, vp8};
use testkit::relay::{Conditions, Relay};

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Events(Mutex<Vec<(Instant, Event)>>, Condvar);

pub(crate) struct World {
    pub(crate) sfu: Sfu,
    /// On which worker the next peers are.
    pub(crate) worker: usize,
    events: Arc<Events>,
    next: u64,
}

/// A client and its end of the wire.
pub(crate) struct Peer {
    pub(crate) id: TransportId,
    pub(crate) worker: usize,
    pub(crate) client: Client,
    pub(crate) session: SessionBuilder,
    pub(crate) relay: Option<Relay>,
}

impl World {
    /// With one worker on an address of the loopback.
    pub(crate) fn new() -> Self {
        Self::bound(&["127.0.0.1:0"])
    }

    /// With a worker for each address.
    pub(crate) fn bound(addresses: &[&str]) -> Self {
        Self::seeing(addresses, |_| {})
    }

    /// With a worker for each address, on whose threads `see` gets each event after it was noted.
    pub(crate) fn seeing(addresses: &[&str], see: impl Fn(&Event) + Clone + Send + 'static) -> Self {
        Self::with(addresses, None, see)
    }

    /// To a receiver of more sound, the loudest so many are sent.
    pub(crate) fn crowded(loudest: usize) -> Self {
        Self::with(&["127.0.0.1:0"], NonZeroUsize::new(loudest), |_| {})
    }

    fn with(addresses: &[&str], loudest: Option<NonZeroUsize>, see: impl Fn(&Event) + Clone + Send + 'static) -> Self {
        let events = Arc::new(Events::default());
        let seen = events.clone();
        let config = SfuConfig {
            binds: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            engine: testkit::media::engine().map_or(MediaEngine::default(), |name| name.parse().unwrap()),
            loudest_audio: loudest,
            pinned: false,
        };
        let sfu = Sfu::start(config, move |event| {
            seen.0.lock().unwrap().push((Instant::now(), event.clone()));
            seen.1.notify_all();
            see(&event);
        });
        Self {
            sfu: sfu.unwrap(),
            worker: 0,
            events,
            next: 1,
        }
    }

    /// Where the next peers send to.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.sfu.workers()[self.worker].local_addr()
    }

    /// Tells the worker of the next peers.
    pub(crate) fn send(&self, command: Command) {
        assert!(self.sfu.workers()[self.worker].send(command));
    }

    /// A client without media yet; we are passive in DTLS, as with browsers.
    pub(crate) fn peer(&mut self) -> Peer {
        self.make(DtlsRole::Server, None)
    }

    pub(crate) fn peer_as(&mut self, role: DtlsRole) -> Peer {
        self.make(role, None)
    }

    pub(crate) fn peer_behind(&mut self, conditions: Conditions) -> Peer {
        let relay = Relay::start(self.local_addr(), conditions).unwrap();
        self.make(DtlsRole::Server, Some(relay))
    }

    /// A client that sends to another address of ours than the one bound.
    pub(crate) fn peer_to(&mut self, ip: &str) -> Peer {
        let server = SocketAddr::new(ip.parse().unwrap(), self.local_addr().port());
        self.make_to(DtlsRole::Server, None, server)
    }

    fn make(&mut self, role: DtlsRole, relay: Option<Relay>) -> Peer {
        let server = relay.as_ref().map_or(self.local_addr(), Relay::address);
        self.make_to(role, relay, server)
    }

    fn make_to(&mut self, role: DtlsRole, relay: Option<Relay>, server: SocketAddr) -> Peer {
        let id = TransportId(self.next);
        self.next += 1;
        let client = Client::start(server, &self.sfu.fingerprint()).unwrap();
        let session = SessionBuilder::new(&format!("p{}", id.0), client.fingerprint(), role);
        Peer {
            id,
            worker: self.worker,
            client,
            session,
            relay,
        }
    }

    /// Both ends take the peer's session as it is now.
    pub(crate) fn apply(&self, peer: &mut Peer) {
        let session = peer.session.build();
        self.sfu.workers()[peer.worker].send(Command::Apply {
            transport: peer.id,
            session: session.clone(),
        });
        peer.client.apply(&session);
    }

    pub(crate) fn subscribe(&self, peer: &Peer, routes: Vec<Route>) {
        self.sfu.workers()[peer.worker].send(Command::Subscribe {
            transport: peer.id,
            routes,
        });
    }

    pub(crate) fn events(&self) -> Vec<(Instant, Event)> {
        self.events.0.lock().unwrap().clone()
    }

    pub(crate) fn wait_event(&self, mut check: impl FnMut(&Event) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut events = self.events.0.lock().unwrap();
        loop {
            if events.iter().any(|(_, event)| check(event)) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            events = self.events.1.wait_timeout(events, left).unwrap().0;
        }
    }
}

pub(crate) fn rtp(source: &Peer, source_id: &str, id: &str, kind: MediaKind) -> Route {
    Route {
        source: source.id,
        source_id: source_id.into(),
        id: id.into(),
        media: RouteMedia::Rtp(kind),
    }
}

pub(crate) fn data(source: &Peer, label: &str, id: &str) -> Route {
    Route {
        source: source.id,
        source_id: label.into(),
        id: id.into(),
        media: RouteMedia::Data,
    }
}

pub(crate) fn layer(ssrc: u32) -> Layer {
    Layer {
        ssrc,
        rtx: Some(ssrc + 1),
    }
}

pub(crate) fn plain(ssrc: u32) -> Layer {
    Layer { ssrc, rtx: None }
}

/// SSRCs of a peer with microphone and camera who receives those of one other.
pub(crate) struct Streams {
    pub(crate) mic: u32,
    pub(crate) cam: u32,
    pub(crate) heard: u32,
    pub(crate) seen: u32,
}

/// Sections 0 and 1 both ways: microphone and camera out, `heard` and `seen` in.
pub(crate) fn both_ways(peer: &mut Peer, opus_pt: u8, vp8_pt: u8) -> Streams {
    let base = 10_000 * peer.id.0 as u32;
    let streams = Streams {
        mic: base,
        cam: base + 10,
        heard: base + 20,
        seen: base + 30,
    };
    peer.session
        .section("0", MediaKind::Audio, vec![opus(opus_pt)])
        .section("1", MediaKind::Video, vec![vp8(vp8_pt, Some(vp8_pt + 1))])
        .receive("0", "mic", &[plain(streams.mic)])
        .receive("1", "cam", &[layer(streams.cam)])
        .send("0", "heard", plain(streams.heard))
        .send("1", "seen", layer(streams.seen));
    streams
}
