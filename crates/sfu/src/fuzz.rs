//! Entry points for fuzzing: what strangers' bytes reach first. Not part of the interface.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use negotiation::{Codec, CodecFormat, Fingerprint, MediaKind, NegotiatedSession, Sctp, Section};

use crate::codec::{PayloadMap, starts_keyframe};
use crate::engine::{
    Bindings, ChannelHandle, Engine, EngineError, Engines, HeaderExtensions, Output, Packet, Polled, Received,
    RecvHandle, Reliability, RtcEngines, SendHandle, SendPacket, SenderReport, Written,
};
use crate::fixture::{check, codec, path, receive, send, video};
use crate::plane::Plane;
use crate::stun::BindingRequest;
use crate::wire::red;
use crate::{Command, Route, RouteMedia, TransportId, fixture};

/// Reads a check, verifies it and answers.
pub fn stun(bytes: &[u8]) {
    let Some(request) = BindingRequest::parse(bytes) else {
        return;
    };
    let source = SocketAddr::from(([192, 0, 2, 1], 1));
    let _authentic = request.is_authentic("password");
    assert!(request.success(source, "password").len() > 20);
    assert!(request.role_conflict("password").len() > 20);
    assert!(request.local_ufrag().len() <= bytes.len());
}

/// Reads a payload as each codec would.
pub fn payload(bytes: &[u8]) {
    let [first, second, payload @ ..] = bytes else { return };
    let formats = [
        CodecFormat::Opus { inband_fec: true },
        CodecFormat::Vp8,
        CodecFormat::Vp9 { profile: 0 },
        CodecFormat::Av1 { profile: 0 },
        CodecFormat::H264 {
            packetization_mode: 1,
            profile_level_id: 0x42_e01f,
        },
        CodecFormat::Red { of: *first },
    ];
    for format in &formats {
        starts_keyframe(format, payload);
    }
    if let Some(primary) = red::primary(payload, *first) {
        assert!(primary.len() < payload.len());
    }
    let publisher: Vec<Codec> = (0..)
        .zip(formats)
        .map(|(index, format)| codec(second.wrapping_add(index), format))
        .collect();
    let map = PayloadMap::new(&publisher, &[codec(*first, CodecFormat::Vp8)]);
    for number in payload {
        map.target(*number);
    }
}

/// Drives a plane of two clients who see each other, and a stranger, with datagrams.
///
/// The bytes are steps: who (4 for a check of the first, 5 for one of the second), the milliseconds that
/// pass, how many bytes follow, and these.
pub fn datagrams(mut bytes: &[u8]) {
    let mut now = Instant::now();
    let mut plane = Plane::new(Scripts, |_| {}, now);
    for id in 1..=2 {
        let transport = TransportId(id);
        plane.handle_command(
            Command::Apply {
                transport,
                session: client(id),
            },
            now,
        );
        let route = |id: &str, media| Route {
            source: TransportId(3 - transport.0),
            source_id: "cam".into(),
            id: id.into(),
            media,
        };
        let routes = vec![
            route("seen", RouteMedia::Rtp(MediaKind::Video)),
            route("said", RouteMedia::Data),
        ];
        plane.handle_command(Command::Subscribe { transport, routes }, now);
    }
    while let [who, passed_ms, length, rest @ ..] = bytes {
        let (datagram, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        bytes = rest;
        now += Duration::from_millis(u64::from(*passed_ms));
        match who {
            4 | 5 => {
                let id = u64::from(who - 3);
                plane.handle_datagram(path(id), &check(id), now);
            }
            _ => plane.handle_datagram(path(u64::from(who % 4)), datagram, now),
        }
        while plane.has_backlog() {
            plane.finish_turn(now);
        }
        plane.finish_turn(now);
        plane.outgoing.clear();
    }
    assert_eq!(plane.stats.engine_failures, 0, "a panic");
}

/// Gives a new engine the datagrams of a client that has passed a check and sent no valid hello.
///
/// The bytes are datagrams, each with its length before it.
pub fn handshake(mut bytes: &[u8]) {
    thread_local! {
        // Its certificate is costly and no secret here.
        static ENGINES: RtcEngines = RtcEngines::new().expect("ciphers");
    }
    let mut now = Instant::now();
    let session = client(1);
    let engine = ENGINES.with(|engines| engines.create(&session, now));
    let mut engine = engine.expect("an engine");
    engine.apply(&session, now).expect("a session");
    engine.start(now).expect("a handshake");
    while let [length, rest @ ..] = bytes {
        let (datagram, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        bytes = rest;
        now += Duration::from_millis(20);
        let received = engine.receive(datagram, now).and_then(|_| {
            engine.handle_timeout(now)?;
            while let Polled::Output(output) = engine.poll()? {
                assert!(
                    !matches!(output, Output::Connected | Output::Packet(_)),
                    "nobody has keys"
                );
            }
            Ok(())
        });
        if received.is_err() {
            return;
        }
    }
}

/// A client with a camera of three layers, sound in two formats and data channels.
fn client(id: u64) -> Arc<NegotiatedSession> {
    let section = Section {
        codecs: vec![
            codec(96, CodecFormat::Vp8),
            codec(111, CodecFormat::Opus { inband_fec: true }),
            codec(63, CodecFormat::Red { of: 111 }),
        ],
        receive: receive("cam", 1..=3),
        send: send("seen", 100),
        ..video("0")
    };
    let sctp = Some(Sctp {
        mid: "data".into(),
        max_message_size: 0,
    });
    Arc::new(NegotiatedSession {
        sctp,
        ..fixture::session(id, 1, vec![section])
    })
}

/// Engines that take what a datagram says for what an engine would find in it.
struct Scripts;

struct Script {
    now: Instant,
    outputs: Vec<Output>,
    sent: HashSet<(SendHandle, u64)>,
    channels: u32,
}

impl Engines for Scripts {
    type Engine = Script;

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint([0; 32])
    }

    fn create(&self, _: &NegotiatedSession, now: Instant) -> Result<Script, EngineError> {
        Ok(Script {
            now,
            outputs: Vec::new(),
            sent: HashSet::new(),
            channels: 100,
        })
    }
}

impl Engine for Script {
    fn apply(&mut self, session: &Arc<NegotiatedSession>, _: Instant) -> Result<Bindings, EngineError> {
        Ok(fixture::bindings(session))
    }

    fn start(&mut self, _: Instant) -> Result<(), EngineError> {
        self.outputs.push(Output::Connected);
        Ok(())
    }

    /// Byte 1 is what it is, the rest its fields.
    fn receive(&mut self, datagram: &[u8], now: Instant) -> Result<Received, EngineError> {
        self.now = now;
        let [_, kind, a, b, c, d, rest @ ..] = datagram else {
            return Ok(Received::Taken);
        };
        let number = u32::from_be_bytes([*a, *b, *c, *d]);
        let stream = RecvHandle(1 + u32::from(kind >> 6));
        let channel = ChannelHandle(u32::from(*a));
        self.outputs.push(match kind % 8 {
            0 => Output::SenderReport(SenderReport {
                stream,
                sender_clock_us: i64::from(number) << (d % 32),
                timestamp: number,
                arrival: now,
            }),
            1 => Output::KeyframeWanted(SendHandle(100)),
            2 => Output::ChannelOpen {
                channel,
                label: if b % 2 == 0 { "cam".into() } else { b.to_string() },
                reliability: Reliability {
                    ordered: true,
                    limit: crate::engine::Delivery::Retransmits(u16::from(*c)),
                    protocol: String::new(),
                },
            },
            3 => Output::ChannelMessage {
                channel,
                binary: true,
                message: rest.to_vec(),
            },
            4 => Output::ChannelClosed(channel),
            _ => Output::Packet(Packet {
                stream,
                payload_type: *d & 0x7f,
                sequence: u64::from(number),
                timestamp: number.rotate_left(u32::from(*d)),
                marker: c % 2 == 0,
                extensions: HeaderExtensions::default(),
                arrival: now,
                payload: Arc::from(rest),
            }),
        });
        Ok(Received::Taken)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), EngineError> {
        self.now = now;
        Ok(())
    }

    fn poll(&mut self) -> Result<Polled, EngineError> {
        Ok(match self.outputs.is_empty() {
            true => Polled::Timeout(self.now + Duration::from_secs(3600)),
            false => Polled::Output(self.outputs.remove(0)),
        })
    }

    fn send(&mut self, stream: SendHandle, packet: SendPacket) -> bool {
        assert!(
            self.sent.insert((stream, packet.sequence)),
            "a number was given out twice"
        );
        true
    }

    fn request_keyframe(&mut self, _: RecvHandle) {}

    fn open_channel(&mut self, _: &str, _: Reliability) -> ChannelHandle {
        self.channels += 1;
        ChannelHandle(self.channels)
    }

    fn write_channel(&mut self, _: ChannelHandle, _: bool, message: &[u8]) -> Written {
        match message.first() {
            Some(0) => Written::Full,
            Some(1) => Written::Closed,
            _ => Written::Accepted,
        }
    }

    fn close_channel(&mut self, _: ChannelHandle) {}

    fn close(&mut self, _: Instant) -> Result<(), EngineError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The targets themselves do not fail on what they are seeded with.
    #[test]
    fn targets_take_anything_short() {
        for length in 0..64 {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 37) as u8).collect();
            stun(&bytes);
            payload(&bytes);
            datagrams(&bytes);
            handshake(&bytes);
        }
    }
}
