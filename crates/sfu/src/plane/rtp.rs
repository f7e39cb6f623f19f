//! The way of a packet, and of the requests that come back.

use std::time::{Duration, Instant};

use negotiation::{CodecFormat, MediaKind};

use super::Plane;
use crate::TransportId;
use crate::codec::{self, Target, Vp8Header};
use crate::engine::{Engine, Engines, Packet, Payload, SendHandle, SendPacket, SenderReport, Sent};
use crate::forwarder::Arrived;
use crate::track::TrackKey;
use crate::wire::red;

impl<E: Engines> Plane<E> {
    /// A packet of a publisher goes to all who receive its track.
    pub(super) fn forward(&mut self, source: TransportId, packet: &Packet) {
        self.stats.packets_in += 1;
        let arrival_us = self.us_since_epoch(packet.arrival);
        let Some(publisher) = self.transports.get(&source) else {
            return;
        };
        let Some((key, layer)) = publisher.receives.get(&packet.stream).copied() else {
            return;
        };
        let Some(track) = self.tracks.get_mut(&key) else { return };
        let Some(codec) = track.codec(packet.payload_type) else {
            self.stats.dropped_no_codec += 1;
            return;
        };
        let (format, clock_rate) = (codec.format.clone(), codec.clock_rate);
        let starts_keyframe = codec::starts_keyframe(&format, &packet.payload);
        track.heard(layer, packet.arrival);
        let stream = &mut track.layers[layer];
        if starts_keyframe {
            stream.keyframes.arrived();
        }
        let captured_us = stream
            .clock
            .captured_us(packet.timestamp, clock_rate, arrival_us, &publisher.clock);
        let arrived = Arrived {
            layer,
            target: track.target,
            layers: track.layers.len(),
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            clock_rate,
            captured_us,
            starts_keyframe,
            vp8: if format == CodecFormat::Vp8 {
                Vp8Header::parse(&packet.payload)
            } else {
                None
            },
        };
        let captured = self.epoch + Duration::from_micros(captured_us.max(0) as u64);
        self.fan_out(key, packet, &arrived, captured);
    }

    fn fan_out(&mut self, key: TrackKey, packet: &Packet, arrived: &Arrived, captured: Instant) {
        let Some(track) = self.tracks.get(&key) else { return };
        let now = packet.arrival;
        let mut outgoing = SendPacket {
            payload_type: packet.payload_type,
            sequence: 0,
            timestamp: 0,
            marker: packet.marker,
            extensions: packet.extensions,
            captured,
            repairable: track.kind == MediaKind::Video,
            vp8: None,
            payload: packet.payload.clone(),
        };
        // RED is opened once, for all who need it opened.
        let mut opened: Option<Option<Payload>> = None;
        for (id, stream) in &track.subscribers {
            let Some(transport) = self.transports.get_mut(id).filter(|transport| transport.is_up()) else {
                continue;
            };
            let Some(slot) = transport.sends.get_mut(stream) else {
                continue;
            };
            let (payload_type, payload) = match slot.map.target(packet.payload_type) {
                Target::Same(payload_type) => (payload_type, Some(&packet.payload)),
                Target::Unwrapped(payload_type) => {
                    let inner = || match track.codec(packet.payload_type).map(|codec| &codec.format) {
                        Some(CodecFormat::Red { of }) => red::primary(&packet.payload, *of).map(Payload::from),
                        _ => None,
                    };
                    (payload_type, opened.get_or_insert_with(inner).as_ref())
                }
                Target::Missing => (0, None),
            };
            let Some(payload) = payload else {
                slot.forwarder.skip(arrived);
                self.stats.dropped_no_codec += 1;
                continue;
            };
            let Some(rewritten) = slot.forwarder.forward(arrived) else {
                self.stats.dropped_not_forwarded += 1;
                continue;
            };
            outgoing.payload_type = payload_type;
            outgoing.sequence = rewritten.sequence;
            outgoing.timestamp = rewritten.timestamp;
            outgoing.vp8 = rewritten.vp8;
            if !outgoing.payload.is(payload) {
                outgoing.payload = payload.clone();
            }
            let Some(path) = transport.ice.selected() else {
                continue;
            };
            let (mut sent, mut wants_run) = (Ok(Sent::Refused), false);
            self.outgoing.push_with(path, |room| {
                sent = transport.engine.call(|engine| {
                    let sent = engine.send(*stream, &outgoing, now, room);
                    wants_run = engine.wants_run();
                    Ok(sent)
                });
                match sent {
                    Ok(Sent::Written(length)) => Some(length),
                    _ => None,
                }
            });
            match sent {
                Ok(sent) => self.stats.packets_forwarded += u64::from(sent != Sent::Refused),
                Err(error) => self.failed.push((*id, error)),
            }
            if wants_run && !std::mem::replace(&mut transport.dirty, true) {
                self.dirty.push(*id);
            }
        }
    }

    pub(super) fn handle_sender_report(&mut self, source: TransportId, report: &SenderReport) {
        let arrival_us = self.us_since_epoch(report.arrival);
        let Some(publisher) = self.transports.get_mut(&source) else {
            return;
        };
        publisher.clock.report(report.sender_clock_us, arrival_us);
        let Some((key, layer)) = publisher.receives.get(&report.stream).copied() else {
            return;
        };
        if let Some(track) = self.tracks.get_mut(&key) {
            track.layers[layer]
                .clock
                .report(report.timestamp, report.sender_clock_us);
        }
    }

    /// A subscriber's decoder needs a key frame of what it is sent.
    pub(super) fn handle_keyframe_wanted(&mut self, subscriber: TransportId, stream: SendHandle, now: Instant) {
        let Some(slot) = self
            .transports
            .get_mut(&subscriber)
            .and_then(|transport| transport.sends.get_mut(&stream))
        else {
            return;
        };
        let Some((_, key)) = slot.source else { return };
        if !slot.keyframes.take(now) {
            self.stats.dropped_keyframe_demands += 1;
            return;
        }
        let current = slot.forwarder.layer();
        if let Some(track) = self.tracks.get_mut(&key) {
            let layer = current.unwrap_or(track.target);
            if let Some(layer) = track.layers.get_mut(layer) {
                layer.keyframes.demand();
            }
        }
        self.ask_for_keyframes(key, now);
    }

    /// A transport is reached on a new path, or again: what it receives needs key frames, and so
    /// does what it sends, since packets and requests were lost on the old path.
    pub(super) fn path_changed(&mut self, id: TransportId, now: Instant) {
        let mut published = Vec::new();
        let is_behind = self.strain.is_behind(now);
        for (key, track) in &mut self.tracks {
            if track.owner == id && !track.subscribers.is_empty() {
                if !is_behind {
                    track.layers.iter_mut().for_each(|layer| layer.keyframes.path_changed());
                }
                published.push(*key);
            }
        }
        for key in published {
            self.demand_keyframe(key, now);
        }
        self.demand_keyframes_for(id, now);
    }

    /// A subscriber is ready to receive: the first pictures are asked for at once.
    fn demand_keyframes_for(&mut self, subscriber: TransportId, now: Instant) {
        let Some(transport) = self.transports.get_mut(&subscriber) else {
            return;
        };
        // A client that moves back and forth asks for a key frame each time, too.
        let keys: Vec<TrackKey> = transport
            .sends
            .values_mut()
            .filter_map(|slot| {
                let (_, key) = slot.source?;
                slot.keyframes.take(now).then_some(key)
            })
            .collect();
        for key in keys {
            self.demand_keyframe(key, now);
        }
    }

    pub(super) fn demand_keyframe(&mut self, key: TrackKey, now: Instant) {
        let Some(track) = self.tracks.get_mut(&key).filter(|track| track.kind == MediaKind::Video) else {
            return;
        };
        if let Some(layer) = track.layers.get_mut(track.target) {
            layer.keyframes.demand();
        }
        self.ask_for_keyframes(key, now);
    }

    /// Sends the requests of a track that are due; while the worker is behind, one of any track at a time.
    fn ask_for_keyframes(&mut self, key: TrackKey, now: Instant) {
        let Some(track) = self.tracks.get_mut(&key) else { return };
        let owner = track.owner;
        let Some(publisher) = self.transports.get_mut(&owner).filter(|publisher| publisher.is_up()) else {
            return;
        };
        let mut asked = false;
        let is_behind = self.strain.is_behind(now);
        let subscribers = track.subscribers.len();
        for layer in &mut track.layers {
            let may = !is_behind || self.keyframe_pace.may(now);
            if !may || !layer.keyframes.take_due(is_behind, now) {
                continue;
            }
            if is_behind {
                self.keyframe_pace.asked(subscribers, now);
            }
            asked = true;
            self.stats.keyframe_requests += 1;
            let stream = layer.stream;
            let result = publisher.engine.call(|engine| {
                engine.request_keyframe(stream);
                Ok(())
            });
            if let Err(error) = result {
                self.failed.push((owner, error));
            }
        }
        if asked {
            self.mark_dirty(owner);
        }
    }

    pub(super) fn tick_tracks(&mut self, now: Instant) {
        let mut due = Vec::new();
        for (key, track) in &mut self.tracks {
            if track.kind != MediaKind::Video || track.subscribers.is_empty() {
                continue;
            }
            track.choose_target(now);
            let target = track.target;
            for (id, stream) in &track.subscribers {
                let Some(transport) = self.transports.get(id).filter(|transport| transport.is_up()) else {
                    continue;
                };
                let awaited = transport
                    .sends
                    .get(stream)
                    .and_then(|slot| slot.forwarder.awaits_keyframe(target));
                if let Some(layer) = awaited.and_then(|layer| track.layers.get_mut(layer)) {
                    layer.keyframes.remind();
                }
            }
            // Those that were asked for longest ago come first, while there is time for a few only.
            due.extend(track.keyframe_wanted_since().map(|asked| (asked, *key)));
        }
        due.sort_unstable();
        for (_, key) in due {
            self.ask_for_keyframes(key, now);
        }
    }
}
