//! The media plane without its sockets and clock: transports, tracks, and what goes where.
//!
//! One turn of the worker is: datagrams in by [`Plane::handle_datagram`], commands in by
//! [`Plane::handle_command`], then [`Plane::finish_turn`], then what is in [`Plane::outgoing`] out.
//! Subscribers' engines are run once a turn, however many packets the turn brought them.
//!
//! A turn forwards so many packets and no more; the media beyond waits in a bounded [`Backlog`], and all else is handled
//! as it arrives. Without that a burst that fills a second would hold up the socket for as long, checks would be lost
//! in its buffer, and what makes up for the loss would be more than the burst.

mod data;
mod routes;
mod rtp;
mod sound;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use negotiation::NegotiatedSession;
use rustc_hash::FxHashMap;

use self::rtp::Run;
use crate::backlog::{Backlog, Strain};
use crate::channels::Channels;
use crate::clock::PublisherClock;
use crate::early::EarlyHellos;
use crate::engine::{Engine, EngineError, Engines, Output, Polled, Received, SendHandle};
use crate::ice::{IceLite, Path};
use crate::keyframe::KeyframePace;
use crate::limits;
use crate::loudest::Candidate;
use crate::stats::Stats;
use crate::stun::BindingRequest;
use crate::track::{OpenFrames, Track, TrackKey};
use crate::transport::{Allowance, Guarded, Phase, Transport, guard, sound};
use crate::udp::{Flushed, Outbox};
use crate::wheel::Wheel;
use crate::wire::Kind;
use crate::{Command, Event, LostReason, Route, TransportId};

/// How often what has no timer of its own is looked at: layers, silence, old addresses.
const TICK: Duration = Duration::from_millis(100);

/// The shortest wait between two calls of an engine that wants to be called at once.
const ENGINE_REST: Duration = Duration::from_millis(1);

/// All transports of a worker.
pub(crate) struct Plane<E: Engines> {
    engines: E,
    on_event: Box<dyn Fn(Event) + Send>,
    epoch: Instant,
    /// Its keys, and those of tracks, are numbers of ours.
    transports: FxHashMap<TransportId, Transport<E::Engine>>,
    /// Lost, and not closed yet by those above: sessions that are still on their way are ignored.
    lost: HashSet<TransportId>,
    /// Routes of transports whose first session has not come yet.
    early_routes: HashMap<TransportId, HashMap<TransportId, Vec<Route>>>,
    tracks: FxHashMap<TrackKey, Track>,
    next_track: u64,
    /// Who has routes from a source.
    listeners: HashMap<TransportId, BTreeSet<TransportId>>,
    by_address: HashMap<std::net::SocketAddr, TransportId>,
    by_ufrag: HashMap<String, TransportId>,
    timers: Wheel,
    next_tick: Instant,
    /// To how many tracks of sound each receiver is bounded, and when it is chosen next which.
    loudest: Option<NonZeroUsize>,
    next_choice: Instant,
    candidates: Vec<Candidate<SendHandle>>,
    handshakes: VecDeque<(TransportId, Vec<u8>)>,
    early_hellos: EarlyHellos,
    backlog: Backlog,
    strain: Strain,
    keyframe_pace: KeyframePace,
    /// The packets in and forwarded up to the beginning of this turn.
    turn_began_at: u64,
    /// Frames of which something waits to be sent and the end has not come.
    frames: OpenFrames,
    /// Packets that are about to be sent.
    run: Run,
    dirty: Vec<TransportId>,
    failed: Vec<(TransportId, EngineError)>,
    /// To be sent by the worker.
    pub(crate) outgoing: Outbox,
    /// Counted by the worker too.
    pub(crate) stats: Stats,
}

impl<E: Engines> Plane<E> {
    pub(crate) fn new(engines: E, on_event: impl Fn(Event) + Send + 'static, now: Instant) -> Self {
        Self {
            loudest: None,
            next_choice: now,
            candidates: Vec::new(),
            engines,
            on_event: Box::new(on_event),
            epoch: now,
            transports: FxHashMap::default(),
            lost: HashSet::new(),
            early_routes: HashMap::new(),
            tracks: FxHashMap::default(),
            next_track: 0,
            listeners: HashMap::new(),
            by_address: HashMap::new(),
            by_ufrag: HashMap::new(),
            timers: Wheel::new(now),
            next_tick: now + TICK,
            handshakes: VecDeque::new(),
            early_hellos: EarlyHellos::default(),
            backlog: Backlog::default(),
            strain: Strain::default(),
            keyframe_pace: KeyframePace::default(),
            turn_began_at: 0,
            frames: OpenFrames::default(),
            run: Run::default(),
            dirty: Vec::new(),
            failed: Vec::new(),
            outgoing: Outbox::default(),
            stats: Stats::default(),
        }
    }

    /// Bounds the sound that each receiver is sent to so many tracks, the loudest.
    pub(crate) fn with_loudest(mut self, most: Option<NonZeroUsize>) -> Self {
        self.loudest = most;
        self
    }

    /// After a panic in the midst of a turn nothing that is known of transports can be relied on: all are lost, with the one
    /// that a command was about, and those above are told. What was counted stays.
    pub(crate) fn begin_anew(self, under_way: Option<TransportId>, now: Instant) -> Self {
        let mut plane = Self::new(self.engines, |_| {}, now);
        plane.on_event = self.on_event;
        plane.loudest = self.loudest;
        plane.stats = self.stats;
        plane.stats.worker_failures += 1;
        plane.lost = self.lost;
        let transports: BTreeSet<TransportId> = self.transports.keys().copied().chain(under_way).collect();
        let torn = (self.transports, self.tracks);
        // What is torn may panic once more when it is dropped.
        let dropped = guard(move || {
            drop(torn);
            Ok(())
        });
        if let Err(error) = dropped {
            tracing::warn!(%error, "transports failed while they were dropped");
        }
        // Those whose first session is on its way have lost nothing yet.
        let waiting = self.early_routes.into_iter();
        for (id, routes) in waiting.filter(|(id, _)| !transports.contains(id)) {
            plane.early_routes.insert(id, routes);
            plane.listen(id, BTreeSet::new());
        }
        for transport in transports {
            plane.lost.insert(transport);
            let reason = LostReason::Worker;
            (plane.on_event)(Event::Lost { transport, reason });
        }
        plane
    }

    /// What those above want.
    pub(crate) fn handle_command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Apply { transport, session } => self.apply(transport, session, now),
            Command::Subscribe { transport, routes } => self.subscribe(transport, routes, now),
            Command::Close { transport } => self.close(transport, now),
        }
    }

    /// A datagram arrived.
    pub(crate) fn handle_datagram(&mut self, path: Path, datagram: &[u8], now: Instant) {
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += datagram.len() as u64;
        if datagram.len() > limits::DATAGRAM_BYTES_MAX {
            self.stats.dropped_too_large += 1;
            return;
        }
        match Kind::of(datagram) {
            Some(Kind::Stun) => self.handle_check(path, datagram, now),
            Some(Kind::Dtls) => self.handle_dtls(path, datagram, now),
            Some(kind @ (Kind::Rtp | Kind::Rtcp)) => self.handle_media(path, kind, datagram, now),
            None => self.stats.dropped_unknown_address += 1,
        }
    }

    /// Whether datagrams wait: the worker must not sleep then.
    pub(crate) fn has_backlog(&self) -> bool {
        !self.handshakes.is_empty() || !self.backlog.is_empty()
    }

    /// Whether of some frame the beginning waits to be sent and the end has not come.
    pub(crate) fn has_open_frames(&self) -> bool {
        self.frames.open > 0
    }

    /// How many packets came that continue a frame of which something waited to be sent.
    pub(crate) fn frames_continued(&self) -> u64 {
        self.frames.continued
    }

    /// What was in [`Plane::outgoing`] was sent.
    pub(crate) fn handle_flushed(&mut self, flushed: Flushed) {
        self.stats.datagrams_out += flushed.datagrams;
        self.stats.messages_out += flushed.messages;
        self.stats.bytes_out += flushed.bytes;
        self.stats.dropped_send += flushed.refused;
        self.frames.flushed();
    }

    /// When the next turn has to be, at the latest.
    pub(crate) fn next_deadline(&self) -> Instant {
        self.timers
            .next_at()
            .map_or(self.next_tick, |at| self.next_tick.min(at))
    }

    /// Runs what is due and everything that this turn touched.
    pub(crate) fn finish_turn(&mut self, now: Instant) {
        self.run_handshakes(now);
        self.run_timers(now);
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            self.tick(now);
        }
        self.run_backlog(now);
        self.send_run();
        self.choose_sound(now);
        self.run_dirty(now);
        self.turn_began_at = self.packets();
        self.stats.transports = self.transports.len() as u64;
    }

    /// Good-byes to all.
    pub(crate) fn close_all(&mut self, now: Instant) {
        let all: Vec<_> = self.transports.keys().copied().collect();
        for transport in all {
            self.close(transport, now);
        }
    }

    fn apply(&mut self, id: TransportId, session: Arc<NegotiatedSession>, now: Instant) {
        if self.lost.contains(&id) {
            return;
        }
        if !self.transports.contains_key(&id) && !self.make(id, &session, now) {
            return;
        }
        let Some(transport) = self.transports.get_mut(&id) else {
            return;
        };
        let newer = session.number > transport.session.number || transport.session.number == 0;
        let first = Arc::ptr_eq(&transport.session, &session);
        if !first && !newer {
            return;
        }
        transport.session = session.clone();
        transport.sound = sound(&session);
        if let Some(void) = transport.ice.set_credentials(&session.local_ice) {
            self.by_ufrag.remove(&void);
        }
        for ufrag in transport.ice.ufrags() {
            self.by_ufrag.insert(ufrag.to_owned(), id);
        }
        match transport.engine.call(|engine| engine.apply(&session, now)) {
            Ok(bindings) => {
                self.bind(id, bindings, now);
                self.drive(id, now);
                self.reconcile_all(id, now);
            }
            Err(error) => self.lose(id, error),
        }
    }

    fn make(&mut self, id: TransportId, session: &Arc<NegotiatedSession>, now: Instant) -> bool {
        self.make_room_for_handshake();
        let engine = match guard(|| self.engines.create(session, now)) {
            Ok(engine) => Guarded::new(engine),
            Err(error) => {
                self.lose(id, error);
                return false;
            }
        };
        let transport = Transport {
            engine,
            ice: IceLite::new(session.local_ice.clone()),
            session: session.clone(),
            phase: Phase::Waiting,
            made: now,
            receives: FxHashMap::default(),
            tracks: HashMap::new(),
            clock: PublisherClock::default(),
            sends: FxHashMap::default(),
            send_ids: HashMap::new(),
            routes: HashMap::new(),
            channels: Channels::default(),
            deadline: None,
            timer: None,
            last_heard: None,
            sound: 0,
            allowance: Allowance::default(),
            waiting_handshakes: 0,
            dirty: false,
            has_quiet: false,
        };
        self.transports.insert(id, transport);
        true
    }

    /// At the bound the oldest transport that never connected goes.
    fn make_room_for_handshake(&mut self) {
        let waiting = self.transports.iter().filter(|(_, transport)| !transport.is_up());
        if waiting.clone().count() < limits::HANDSHAKES_MAX {
            return;
        }
        if let Some((oldest, _)) = waiting.min_by_key(|(_, transport)| transport.made) {
            let oldest = *oldest;
            self.lose(
                oldest,
                EngineError::Failed("too many transports are not connected".into()),
            );
        }
    }

    fn handle_check(&mut self, path: Path, datagram: &[u8], now: Instant) {
        let Some(request) = BindingRequest::parse(datagram) else {
            self.stats.dropped_check += 1;
            return;
        };
        let found = self.by_ufrag.get(request.local_ufrag()).copied();
        // An address that another client is using is not given away: who can write under a false
        // address would cut that client off with a check of its own.
        let holder = self
            .by_address
            .get(&path.remote)
            .filter(|holder| Some(**holder) != found);
        if holder
            .and_then(|holder| self.transports.get(holder))
            .is_some_and(|other| other.ice.holds(path.remote, now))
        {
            self.stats.dropped_check += 1;
            return;
        }
        let Some((id, transport)) = found.and_then(|id| Some((id, self.transports.get_mut(&id)?))) else {
            self.stats.dropped_check += 1;
            return;
        };
        let (selected, was_dark) = (transport.ice.selected(), transport.was_dark(now));
        let Some(checked) = transport.ice.handle_check(&request, path, now) else {
            self.stats.dropped_check += 1;
            return;
        };
        self.outgoing.push(path, &checked.response);
        if !checked.valid {
            return;
        }
        self.by_address.insert(path.remote, id);
        for address in transport.ice.expire(now) {
            if self.by_address.get(&address) == Some(&id) {
                self.by_address.remove(&address);
            }
        }
        let phase = transport.phase;
        let is_new_path = selected != transport.ice.selected() || checked.retired.is_some() || was_dark;
        if let Some(ufrag) = checked.retired {
            self.by_ufrag.remove(&ufrag);
        }
        self.take_early_hello(id, path, now);
        match phase {
            Phase::Waiting => self.start(id, now),
            Phase::Interrupted => self.set_connected(id, is_new_path, now),
            Phase::Connected if is_new_path => self.path_changed(id, now),
            Phase::Handshaking { .. } | Phase::Connected => {}
        }
    }

    fn start(&mut self, id: TransportId, now: Instant) {
        let Some(transport) = self.transports.get_mut(&id) else {
            return;
        };
        transport.phase = Phase::Handshaking { since: now };
        match transport.engine.call(|engine| engine.start(now)) {
            Ok(()) => self.drive(id, now),
            Err(error) => self.lose(id, error),
        }
    }

    fn handle_dtls(&mut self, path: Path, datagram: &[u8], now: Instant) {
        let Some(id) = self.by_address.get(&path.remote).copied() else {
            self.stats.dropped_unknown_address += 1;
            return self.early_hellos.keep(path.remote, datagram, now);
        };
        if self.transports.get(&id).is_some_and(Transport::is_up) {
            self.receive_allowed(id, datagram, now);
        } else {
            self.queue_handshake(id, datagram);
        }
    }

    /// A ClientHello that overtook the check of its address is handled now.
    fn take_early_hello(&mut self, id: TransportId, path: Path, now: Instant) {
        if self.early_hellos.is_empty() || self.transports.get(&id).is_none_or(Transport::is_up) {
            return;
        }
        if let Some(datagram) = self.early_hellos.take(path.remote, now) {
            self.queue_handshake(id, &datagram);
        }
    }

    fn queue_handshake(&mut self, id: TransportId, datagram: &[u8]) {
        let Some(transport) = self.transports.get_mut(&id) else {
            return;
        };
        if transport.waiting_handshakes >= limits::HANDSHAKE_DATAGRAMS_PER_TRANSPORT
            || self.handshakes.len() >= limits::HANDSHAKE_QUEUE_MAX
        {
            self.stats.dropped_handshake += 1;
            return;
        }
        transport.waiting_handshakes += 1;
        self.handshakes.push_back((id, datagram.to_vec()));
    }

    fn handle_media(&mut self, path: Path, kind: Kind, datagram: &[u8], now: Instant) {
        let Some(id) = self.by_address.get(&path.remote).copied() else {
            self.stats.dropped_unknown_address += 1;
            return;
        };
        if kind == Kind::Rtcp || (self.backlog.is_empty() && !self.is_turn_full()) {
            return self.receive_allowed(id, datagram, now);
        }
        if self.allows(id, datagram, now)
            && let Some(transport) = self.transports.get(&id)
        {
            self.backlog.push(id, datagram, transport.is_sound(datagram), now);
        }
    }

    /// A datagram of a client, unless it has sent more than it may.
    fn receive_allowed(&mut self, id: TransportId, datagram: &[u8], now: Instant) {
        if self.allows(id, datagram, now) {
            self.receive(id, datagram, now);
        }
    }

    /// Media may come back before the next check does, and after an outage too short for the client to change its path.
    fn notice_return(&mut self, id: TransportId, now: Instant) {
        let is_back = |transport: &Transport<_>| transport.is_up() && transport.is_silent_for(limits::OUTAGE, now);
        if self.transports.get(&id).is_some_and(is_back) {
            self.path_changed(id, now);
        }
    }

    /// Whether a client may send this; counts as having been sent, and the client as heard.
    fn allows(&mut self, id: TransportId, datagram: &[u8], now: Instant) -> bool {
        self.notice_return(id, now);
        let within = |transport: &mut Transport<E::Engine>| {
            transport.last_heard = Some(now);
            transport.allowance.take(datagram)
        };
        let allowed = self.transports.get_mut(&id).is_some_and(within);
        self.stats.dropped_flood += u64::from(!allowed);
        allowed
    }

    fn packets(&self) -> u64 {
        self.stats.packets_in + self.stats.packets_forwarded + self.run.len() as u64
    }

    fn is_turn_full(&self) -> bool {
        self.packets() - self.turn_began_at >= limits::PACKETS_PER_TURN
    }

    /// Media that waited, as much as there is room for in this turn.
    fn run_backlog(&mut self, now: Instant) {
        while !self.is_turn_full()
            && let Some(waiting) = self.backlog.pop(now)
        {
            self.receive(waiting.transport, &waiting.datagram, now);
        }
        let dropped = self.backlog.take_dropped();
        self.stats.dropped_behind += dropped;
        self.strain.turn_ended(!self.backlog.is_empty(), dropped > 0, now);
    }

    fn receive(&mut self, id: TransportId, datagram: &[u8], now: Instant) {
        let Some(transport) = self.transports.get_mut(&id) else {
            return;
        };
        match transport.engine.call(|engine| engine.receive(datagram, now)) {
            Ok(Received::Taken) => self.drive(id, now),
            Ok(Received::Undeclared) => self.stats.dropped_undeclared += 1,
            Err(error) => self.lose(id, error),
        }
    }

    /// Polls an engine until it has nothing more to say.
    fn drive(&mut self, id: TransportId, now: Instant) {
        loop {
            let Some(transport) = self.transports.get_mut(&id) else {
                return;
            };
            match transport.engine.call(Engine::poll) {
                Ok(Polled::Output(output)) => self.handle_output(id, output, now),
                Ok(Polled::Timeout(at)) => {
                    self.set_deadline(id, at.max(now + ENGINE_REST));
                    return;
                }
                Err(error) => return self.lose(id, error),
            }
        }
    }

    fn handle_output(&mut self, id: TransportId, output: Output, now: Instant) {
        match output {
            Output::Transmit(bytes) => self.transmit(id, bytes),
            Output::Packet(packet) => self.forward(id, packet),
            Output::SenderReport(report) => self.handle_sender_report(id, &report),
            Output::KeyframeWanted(stream) => self.handle_keyframe_wanted(id, stream, now),
            Output::Connected => self.set_connected(id, true, now),
            Output::ChannelOpen {
                channel,
                label,
                reliability,
            } => self.handle_channel_open(id, channel, &label, reliability, now),
            Output::ChannelMessage {
                channel,
                binary,
                message,
            } => self.forward_message(id, channel, binary, &message),
            Output::ChannelClosed(channel) => self.handle_channel_closed(id, channel, now),
            Output::ChannelWritable(channel) => self.drain_channel(id, channel),
            Output::Closed => self.end_by_client(id, now),
        }
    }

    fn transmit(&mut self, id: TransportId, bytes: Vec<u8>) {
        let path = self.transports.get(&id).and_then(|transport| transport.ice.selected());
        if let Some(path) = path {
            self.outgoing.push(path, &bytes);
        }
    }

    fn set_connected(&mut self, id: TransportId, is_new_path: bool, now: Instant) {
        let Some(transport) = self.transports.get_mut(&id) else {
            return;
        };
        transport.phase = Phase::Connected;
        (self.on_event)(Event::Connected { transport: id });
        if is_new_path {
            self.path_changed(id, now);
        }
    }

    /// The client said good-bye: our own is sent, then the transport is gone.
    fn end_by_client(&mut self, id: TransportId, now: Instant) {
        self.say_goodbye(id, now);
        self.remove(id);
        self.lost.insert(id);
        (self.on_event)(Event::Lost {
            transport: id,
            reason: LostReason::Closed,
        });
    }

    fn close(&mut self, id: TransportId, now: Instant) {
        self.lost.remove(&id);
        self.say_goodbye(id, now);
        self.remove(id);
    }

    fn say_goodbye(&mut self, id: TransportId, now: Instant) {
        let Some(transport) = self.transports.get_mut(&id) else {
            return;
        };
        let path = transport.ice.selected();
        let outgoing = &mut self.outgoing;
        let said = transport.engine.call(|engine| {
            engine.close(now)?;
            while let Polled::Output(output) = engine.poll()? {
                if let (Output::Transmit(bytes), Some(path)) = (output, path) {
                    outgoing.push(path, &bytes);
                }
            }
            Ok(())
        });
        if let Err(error) = said {
            tracing::debug!(?id, %error, "closed without a good-bye");
        }
    }

    fn lose(&mut self, id: TransportId, error: EngineError) {
        self.remove(id);
        self.lost.insert(id);
        let reason = match error {
            EngineError::Dtls(reason) => {
                tracing::info!(?id, reason, "lost a transport to DTLS");
                LostReason::Dtls
            }
            EngineError::Failed(reason) => {
                self.stats.engine_failures += 1;
                tracing::warn!(?id, reason, "lost a transport to its engine");
                LostReason::Engine(reason)
            }
        };
        (self.on_event)(Event::Lost { transport: id, reason });
    }

    /// Forgets all about a transport.
    fn remove(&mut self, id: TransportId) {
        self.unlink(id);
        let Some(transport) = self.transports.remove(&id) else {
            return;
        };
        for address in transport.ice.remotes() {
            if self.by_address.get(&address) == Some(&id) {
                self.by_address.remove(&address);
            }
        }
        for ufrag in transport.ice.ufrags() {
            if self.by_ufrag.get(ufrag) == Some(&id) {
                self.by_ufrag.remove(ufrag);
            }
        }
        if let Some(timer) = transport.timer {
            self.timers.take_out(timer);
        }
        self.handshakes.retain(|(waiting, _)| *waiting != id);
        // An engine that panicked may panic once more when it is dropped.
        let dropped = guard(move || {
            drop(transport);
            Ok(())
        });
        if let Err(error) = dropped {
            tracing::warn!(?id, %error, "an engine failed while it was dropped");
        }
    }

    fn run_handshakes(&mut self, now: Instant) {
        for _ in 0..limits::HANDSHAKE_DATAGRAMS_PER_TURN {
            let Some((id, datagram)) = self.handshakes.pop_front() else {
                return;
            };
            if let Some(transport) = self.transports.get_mut(&id) {
                transport.waiting_handshakes = transport.waiting_handshakes.saturating_sub(1);
            }
            self.receive(id, &datagram, now);
        }
    }

    fn run_timers(&mut self, now: Instant) {
        while let Some(id) = self.timers.pop(now) {
            let Some(transport) = self.transports.get_mut(&id) else {
                continue;
            };
            transport.timer = None;
            match transport.deadline {
                Some(deadline) if deadline > now => self.set_deadline(id, deadline),
                _ => self.run_engine(id, now),
            }
        }
    }

    fn run_engine(&mut self, id: TransportId, now: Instant) {
        let Some(transport) = self.transports.get_mut(&id) else {
            return;
        };
        match transport.engine.call(|engine| engine.handle_timeout(now)) {
            Ok(()) => self.drive(id, now),
            Err(error) => self.lose(id, error),
        }
    }

    /// Timers are only ever moved forward; one that fires early is set again.
    fn set_deadline(&mut self, id: TransportId, at: Instant) {
        let Some(transport) = self.transports.get_mut(&id) else {
            return;
        };
        transport.deadline = Some(at);
        match transport.timer {
            Some(timer) if !self.timers.is_before(at, timer) => {}
            before => {
                if let Some(timer) = before {
                    self.timers.take_out(timer);
                }
                transport.timer = Some(self.timers.set(id, at));
            }
        }
    }

    fn mark_dirty(&mut self, id: TransportId) {
        if let Some(transport) = self.transports.get_mut(&id)
            && !std::mem::replace(&mut transport.dirty, true)
        {
            self.dirty.push(id);
        }
    }

    /// Running one engine may touch others: a key-frame request, a message.
    fn run_dirty(&mut self, now: Instant) {
        loop {
            for (id, error) in std::mem::take(&mut self.failed) {
                if self.transports.contains_key(&id) {
                    self.lose(id, error);
                }
            }
            let Some(id) = self.dirty.pop() else { return };
            if let Some(transport) = self.transports.get_mut(&id) {
                transport.dirty = false;
                self.run_engine(id, now);
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        self.tick_transports(now);
        self.tick_tracks(now);
    }

    fn tick_transports(&mut self, now: Instant) {
        let mut interrupted = Vec::new();
        let mut late = Vec::new();
        for (id, transport) in &mut self.transports {
            transport.allowance = Allowance::default();
            for address in transport.ice.expire(now) {
                if self.by_address.get(&address) == Some(id) {
                    self.by_address.remove(&address);
                }
            }
            match transport.phase {
                Phase::Connected => {
                    let silence = transport.ice.last_check().map(|at| now.saturating_duration_since(at));
                    if silence.is_some_and(|silence| silence > limits::INTERRUPTED_AFTER) {
                        transport.phase = Phase::Interrupted;
                        interrupted.push(*id);
                    }
                }
                Phase::Handshaking { since } if now.saturating_duration_since(since) > limits::HANDSHAKE_TIME_MAX => {
                    late.push(*id)
                }
                _ => {}
            }
        }
        for transport in interrupted {
            (self.on_event)(Event::Interrupted { transport });
        }
        for id in late {
            self.lose(id, EngineError::Dtls("the handshake took too long".into()));
        }
    }

    fn us_since_epoch(&self, at: Instant) -> i64 {
        at.saturating_duration_since(self.epoch).as_micros() as i64
    }
}
