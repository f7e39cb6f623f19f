//! The way of a packet, and of the requests that come back.

use std::hint::black_box;
use std::time::{Duration, Instant};

use negotiation::{CodecFormat, MediaKind};
use rustc_hash::FxHashMap;

use super::Plane;
use crate::codec::{self, Target, Vp8Header};
use crate::engine::{Engine, Engines, Packet, Payload, Pool, SendHandle, SendPacket, SenderReport, Sent};
use crate::forwarder::Arrived;
use crate::stats::Stats;
use crate::track::TrackKey;
use crate::transport::{SendSlot, Transport};
use crate::wire::red;
use crate::{TransportId, limits};

/// Receivers whose state is brought into the processor's cache together.
const TOUCHED_TOGETHER: usize = 8;

/// Packets of one track, one after the other, that go to its receivers together: what a receiver needs is then looked up, and
/// in the processor's cache, once for all of them.
#[derive(Debug, Default)]
pub(super) struct Run {
    track: Option<TrackKey>,
    /// How many receive it.
    subscribers: usize,
    packets: Vec<Pending>,
    /// Where blocks of RED are put that go alone.
    opened: Pool,
}

/// A packet that is about to be sent.
#[derive(Debug)]
struct Pending {
    arrived: Arrived,
    /// The publisher's.
    payload_type: u8,
    /// It is RED around this payload type of the publisher's.
    red_of: Option<u8>,
    arrival: Instant,
    payload: Payload,
    /// The primary block of RED, taken out once for all who need it so; `None` inside if there is none.
    opened: Option<Option<Payload>>,
    /// As it is sent, but for what differs among receivers.
    outgoing: SendPacket,
}

/// Reads what sending to these receivers will read. One waits for memory at each of some twenty places otherwise, and one after
/// the other; reads that nothing depends on are waited for together.
fn touch<'r, E: Engine>(
    transports: &FxHashMap<TransportId, Transport<E>>,
    receivers: impl Iterator<Item = &'r (TransportId, SendHandle)> + Clone,
) {
    let lines = receivers.clone().filter_map(|(id, _)| transports.get(id));
    black_box(lines.fold(0, |sum, transport| sum + u32::from(transport.is_up() ^ transport.dirty)));
    let states = receivers.filter_map(|(id, stream)| {
        let transport = transports.get(id)?;
        let forwarder = transport.sends.get(stream).map_or(0, |slot| slot.forwarder.touch());
        Some(forwarder ^ transport.engine.touch(*stream))
    });
    black_box(states.fold(0, |sum, state| sum ^ state));
}

impl Run {
    /// How many packets it will be, at the most.
    pub(super) fn len(&self) -> usize {
        self.packets.len() * self.subscribers
    }

    fn is_full(&self) -> bool {
        self.len() + self.subscribers > limits::SEND_QUEUE_MAX
    }
}

impl Pending {
    /// As one receiver gets it, and when it arrived; `None` if the receiver does not get it.
    fn address(&mut self, slot: &mut SendSlot, opened: &mut Pool, stats: &mut Stats) -> Option<(&SendPacket, Instant)> {
        if slot.standing.is_quiet {
            stats.dropped_quiet += 1;
            return None;
        }
        let (payload_type, payload) = match slot.map.target(self.payload_type) {
            Target::Same(payload_type) => (payload_type, Some(&self.payload)),
            Target::Unwrapped(payload_type) => {
                let inner = || red::primary(&self.payload, self.red_of?).map(|block| opened.lend(block));
                (payload_type, self.opened.get_or_insert_with(inner).as_ref())
            }
            Target::Missing => (0, None),
        };
        let Some(payload) = payload else {
            slot.forwarder.skip(&self.arrived);
            stats.dropped_no_codec += 1;
            return None;
        };
        let Some(rewritten) = slot.forwarder.forward(&self.arrived) else {
            stats.dropped_not_forwarded += 1;
            return None;
        };
        let outgoing = &mut self.outgoing;
        outgoing.payload_type = payload_type;
        outgoing.sequence = rewritten.sequence;
        outgoing.timestamp = rewritten.timestamp;
        outgoing.vp8 = rewritten.vp8;
        if !outgoing.payload.is(payload) {
            outgoing.payload = payload.clone();
        }
        Some((outgoing, self.arrival))
    }
}

impl<E: Engines> Plane<E> {
    /// A packet of a publisher goes to all who receive its track, with others of it that come right behind.
    pub(super) fn forward(&mut self, source: TransportId, packet: Packet) {
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
        if let (MediaKind::Audio, Some((level, _))) = (track.kind, packet.extensions.audio_level) {
            track.loudness.heard(level, packet.arrival);
        }
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
        let is_picture = track.kind == MediaKind::Video;
        let subscribers = track.subscribers.len();
        let has_others = is_picture && subscribers > 0 && self.frames.packet(track, packet.marker);
        if self.run.track != Some(key) || self.run.is_full() {
            self.send_run();
        }
        self.run.track = Some(key);
        self.run.subscribers = subscribers;
        self.run.packets.push(Pending {
            arrived,
            payload_type: packet.payload_type,
            red_of: match format {
                CodecFormat::Red { of } => Some(of),
                _ => None,
            },
            arrival: packet.arrival,
            opened: None,
            outgoing: SendPacket {
                payload_type: packet.payload_type,
                sequence: 0,
                timestamp: 0,
                marker: packet.marker,
                extensions: packet.extensions,
                captured: self.epoch + Duration::from_micros(captured_us.max(0) as u64),
                repairable: is_picture,
                rounded: has_others,
                vp8: None,
                payload: packet.payload.clone(),
            },
            payload: packet.payload,
        });
    }

    /// Sends the packets that were gathered to all who receive their track.
    pub(crate) fn send_run(&mut self) {
        let track = self.run.track.take().and_then(|key| self.tracks.get(&key));
        let (outgoing, stats) = (&mut self.outgoing, &mut self.stats);
        let Run { packets, opened, .. } = &mut self.run;
        let subscribers = track.map_or(&[][..], |track| &track.subscribers);
        for (index, (id, stream)) in subscribers.iter().enumerate() {
            if index.is_multiple_of(TOUCHED_TOGETHER) {
                touch(&self.transports, subscribers[index..].iter().take(TOUCHED_TOGETHER));
            }
            let Some(transport) = self.transports.get_mut(id).filter(|transport| transport.is_up()) else {
                continue;
            };
            let (Some(slot), Some(path)) = (transport.sends.get_mut(stream), transport.ice.selected()) else {
                continue;
            };
            let sent = transport.engine.call(|engine| {
                for packet in packets.iter_mut() {
                    let Some((packet, now)) = packet.address(slot, opened, stats) else {
                        continue;
                    };
                    let mut sent = Sent::Refused;
                    outgoing.push_with(path, |room| {
                        sent = engine.send(*stream, packet, now, room);
                        match sent {
                            Sent::Written(length) => Some(length),
                            _ => None,
                        }
                    });
                    stats.packets_forwarded += u64::from(sent != Sent::Refused);
                }
                Ok(engine.wants_run())
            });
            match sent {
                Ok(false) => {}
                Ok(true) => {
                    if !std::mem::replace(&mut transport.dirty, true) {
                        self.dirty.push(*id);
                    }
                }
                Err(error) => self.failed.push((*id, error)),
            }
        }
        packets.clear();
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
        let told = self.transports.get_mut(&id).map(|transport| {
            transport.engine.call(|engine| {
                engine.path_changed();
                Ok(())
            })
        });
        if let Some(Err(error)) = told {
            return self.failed.push((id, error));
        }
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
            self.demand_keyframe(key, false, now);
        }
        self.demand_keyframes_for(id, now);
    }

    /// A subscriber is ready to receive: the first pictures are asked for at once.
    fn demand_keyframes_for(&mut self, subscriber: TransportId, now: Instant) {
        let Some(transport) = self.transports.get_mut(&subscriber) else {
            return;
        };
        // A client that moves back and forth asks for a key frame each time, too.
        let keys: Vec<(TrackKey, bool)> = transport
            .sends
            .values_mut()
            .filter_map(|slot| {
                let (_, key) = slot.source?;
                // A joiner, who was sent nothing yet, waits as others do.
                let was_out_of_reach = slot.forwarder.layer().is_some();
                slot.keyframes.take(now).then_some((key, was_out_of_reach))
            })
            .collect();
        for (key, was_out_of_reach) in keys {
            self.demand_keyframe(key, was_out_of_reach, now);
        }
    }

    /// A track's next key frame is wanted, sooner by somebody who was out of reach when the last one came.
    pub(super) fn demand_keyframe(&mut self, key: TrackKey, was_out_of_reach: bool, now: Instant) {
        let Some(track) = self.tracks.get_mut(&key).filter(|track| track.kind == MediaKind::Video) else {
            return;
        };
        if let Some(layer) = track.layers.get_mut(track.target) {
            layer.keyframes.demand();
            if was_out_of_reach {
                layer.keyframes.hurry();
            }
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
