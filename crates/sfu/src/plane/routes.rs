//! Routes: what was wished, compared with what is there, whenever either changes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::Plane;
use crate::codec::PayloadMap;
use crate::engine::{Bindings, Engines, SendHandle};
use crate::forwarder::Forwarder;
use crate::keyframe::KeyframeBudget;
use crate::loudest::Standing;
use crate::track::{Track, TrackKey};
use crate::transport::SendSlot;
use crate::{Route, RouteMedia, TransportId};

impl<E: Engines> Plane<E> {
    /// Everything that a transport is to receive.
    pub(super) fn subscribe(&mut self, id: TransportId, routes: Vec<Route>, now: Instant) {
        if self.lost.contains(&id) {
            return;
        }
        let mut by_source: HashMap<TransportId, Vec<Route>> = HashMap::new();
        for route in routes {
            by_source.entry(route.source).or_default().push(route);
        }
        let before = match self.transports.get_mut(&id) {
            Some(transport) => std::mem::replace(&mut transport.routes, by_source),
            // Its first session is on its way: kept until then.
            None => self.early_routes.insert(id, by_source).unwrap_or_default(),
        };
        self.listen(id, before.keys().copied().collect());
        let sources = self.sources_of(id, before.into_keys().collect());
        for source in sources {
            self.reconcile(id, source, now);
        }
    }

    /// A transport's session changed: what it receives, and what others receive from it.
    pub(super) fn reconcile_all(&mut self, id: TransportId, now: Instant) {
        if let Some(early) = self.early_routes.remove(&id)
            && let Some(transport) = self.transports.get_mut(&id)
        {
            transport.routes = early;
        }
        for source in self.sources_of(id, BTreeSet::new()) {
            self.reconcile(id, source, now);
        }
        for listener in self.listeners.get(&id).cloned().unwrap_or_default() {
            self.reconcile(listener, id, now);
        }
    }

    /// Streams of a new session.
    pub(super) fn bind(&mut self, id: TransportId, bindings: Bindings, now: Instant) {
        self.bind_receives(id, &bindings);
        self.bind_sends(id, bindings, now);
    }

    fn bind_receives(&mut self, id: TransportId, bindings: &Bindings) {
        let Some(transport) = self.transports.get_mut(&id) else {
            return;
        };
        let before = std::mem::take(&mut transport.tracks);
        transport.receives.clear();
        for binding in &bindings.receives {
            let kept = before
                .get(&binding.track_id)
                .copied()
                .filter(|key| self.tracks.get(key).is_some_and(|track| track.matches(binding)));
            let key = kept.unwrap_or_else(|| {
                self.next_track += 1;
                TrackKey(self.next_track)
            });
            let track = self.tracks.entry(key).or_insert_with(|| Track::new(id, binding));
            track.codecs.clone_from(&binding.codecs);
            for (layer, stream) in binding.layers.iter().enumerate() {
                transport.receives.insert(*stream, (key, layer));
            }
            transport.tracks.insert(binding.track_id.clone(), key);
        }
        let kept: HashSet<TrackKey> = transport.tracks.values().copied().collect();
        for key in before.into_values().filter(|key| !kept.contains(key)) {
            self.drop_track(key);
        }
    }

    fn bind_sends(&mut self, id: TransportId, bindings: Bindings, now: Instant) {
        let Some(transport) = self.transports.get_mut(&id) else {
            return;
        };
        transport.send_ids.clear();
        let mut idle: HashSet<SendHandle> = transport.sends.keys().copied().collect();
        for binding in bindings.sends {
            idle.remove(&binding.stream);
            transport.send_ids.insert(binding.track_id.clone(), binding.stream);
            match transport.sends.get_mut(&binding.stream) {
                Some(slot) => slot.binding = binding,
                None => {
                    let map = PayloadMap::new(&[], &[]);
                    let slot = SendSlot {
                        binding,
                        forwarder: Forwarder::new(),
                        source: None,
                        map,
                        keyframes: KeyframeBudget::new(now),
                        standing: Standing::default(),
                    };
                    transport.sends.insert(slot.binding.stream, slot);
                }
            }
        }
        for stream in &idle {
            self.detach(id, *stream);
        }
        if let Some(transport) = self.transports.get_mut(&id) {
            // A stream that pauses keeps its numbers: they must not be used twice.
            transport
                .sends
                .retain(|stream, _| !idle.contains(stream) || bindings.paused.contains(stream));
        }
    }

    /// Makes the routes from one source to one subscriber true.
    pub(super) fn reconcile(&mut self, id: TransportId, source: TransportId, now: Instant) {
        self.reconcile_rtp(id, source, now);
        self.reconcile_channels(id, source);
    }

    fn reconcile_rtp(&mut self, id: TransportId, source: TransportId, now: Instant) {
        let Some(transport) = self.transports.get(&id) else {
            return;
        };
        let mut wanted: HashMap<SendHandle, TrackKey> = HashMap::new();
        if let Some(publisher) = self.transports.get(&source) {
            for route in transport.routes.get(&source).into_iter().flatten() {
                let RouteMedia::Rtp(kind) = route.media else { continue };
                let Some(key) = publisher.tracks.get(&route.source_id).copied() else {
                    continue;
                };
                let Some(stream) = transport.send_ids.get(&route.id).copied() else {
                    continue;
                };
                let fits = self.tracks.get(&key).is_some_and(|track| track.kind == kind)
                    && transport
                        .sends
                        .get(&stream)
                        .is_some_and(|slot| slot.binding.kind == kind);
                if fits {
                    wanted.insert(stream, key);
                }
            }
        }
        let obsolete = |(stream, slot): (&SendHandle, &SendSlot)| match slot.source {
            Some((from, key)) if from == source && wanted.get(stream) != Some(&key) => Some(*stream),
            _ => None,
        };
        let obsolete: Vec<SendHandle> = transport.sends.iter().filter_map(obsolete).collect();
        for stream in obsolete {
            self.detach(id, stream);
        }
        for (stream, key) in wanted {
            self.attach(id, stream, source, key, now);
        }
    }

    fn attach(&mut self, id: TransportId, stream: SendHandle, source: TransportId, key: TrackKey, now: Instant) {
        let attached = self
            .transports
            .get(&id)
            .and_then(|transport| transport.sends.get(&stream)?.source);
        if attached.is_some_and(|(_, before)| before != key) {
            self.detach(id, stream);
        }
        let Some(transport) = self.transports.get_mut(&id) else {
            return;
        };
        let Some(slot) = transport.sends.get_mut(&stream) else {
            return;
        };
        let Some(track) = self.tracks.get_mut(&key) else { return };
        slot.map = PayloadMap::new(&track.codecs, &slot.binding.codecs);
        if slot.source == Some((source, key)) {
            return;
        }
        slot.source = Some((source, key));
        slot.standing = Standing::default();
        slot.forwarder.attach();
        track.subscribers.push((id, stream));
        if transport.is_up() {
            self.demand_keyframe(key, false, now);
        }
    }

    fn detach(&mut self, id: TransportId, stream: SendHandle) {
        let Some(slot) = self
            .transports
            .get_mut(&id)
            .and_then(|transport| transport.sends.get_mut(&stream))
        else {
            return;
        };
        slot.forwarder.detach();
        if let Some((_, key)) = slot.source.take()
            && let Some(track) = self.tracks.get_mut(&key)
        {
            track.subscribers.retain(|subscriber| *subscriber != (id, stream));
        }
    }

    fn drop_track(&mut self, key: TrackKey) {
        let Some(track) = self.tracks.remove(&key) else { return };
        for (id, stream) in track.subscribers {
            if let Some(slot) = self
                .transports
                .get_mut(&id)
                .and_then(|transport| transport.sends.get_mut(&stream))
            {
                slot.forwarder.detach();
                slot.source = None;
            }
        }
    }

    /// Takes a transport out of all routes, both ways.
    pub(super) fn unlink(&mut self, id: TransportId) {
        if let Some(early) = self.early_routes.remove(&id) {
            self.unlisten(id, early.into_keys());
        }
        let Some(transport) = self.transports.get_mut(&id) else {
            return;
        };
        let routes = std::mem::take(&mut transport.routes);
        let tracks = std::mem::take(&mut transport.tracks);
        let streams: Vec<SendHandle> = transport.sends.keys().copied().collect();
        for stream in streams {
            self.detach(id, stream);
        }
        for key in tracks.into_values() {
            self.drop_track(key);
        }
        self.unlisten(id, routes.into_keys());
        for listener in self.listeners.get(&id).cloned().unwrap_or_default() {
            self.close_channels_from(listener, id);
        }
    }

    /// Brings the table of listeners up to date with a transport's routes.
    pub(super) fn listen(&mut self, id: TransportId, before: BTreeSet<TransportId>) {
        let now: BTreeSet<TransportId> = match self.transports.get(&id) {
            Some(transport) => transport.routes.keys().copied().collect(),
            None => self
                .early_routes
                .get(&id)
                .map(|routes| routes.keys().copied().collect())
                .unwrap_or_default(),
        };
        self.unlisten(id, before.difference(&now).copied());
        for source in now {
            self.listeners.entry(source).or_default().insert(id);
        }
    }

    fn unlisten(&mut self, id: TransportId, sources: impl Iterator<Item = TransportId>) {
        for source in sources {
            if let Some(listeners) = self.listeners.get_mut(&source) {
                listeners.remove(&id);
                if listeners.is_empty() {
                    self.listeners.remove(&source);
                }
            }
        }
    }

    fn sources_of(&self, id: TransportId, also: BTreeSet<TransportId>) -> BTreeSet<TransportId> {
        let routed = self
            .transports
            .get(&id)
            .into_iter()
            .flat_map(|transport| transport.routes.keys().copied());
        also.into_iter().chain(routed).collect()
    }

    /// The track of a label, for the routes of data.
    pub(super) fn data_routes(&self, id: TransportId, source: TransportId) -> Vec<(Arc<str>, Arc<str>)> {
        let Some(transport) = self.transports.get(&id) else {
            return Vec::new();
        };
        let routes = transport.routes.get(&source).into_iter().flatten();
        let data = routes.filter(|route| route.media == RouteMedia::Data);
        data.map(|route| (route.source_id.clone(), route.id.clone())).collect()
    }
}
