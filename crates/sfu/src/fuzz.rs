//! Entry points for fuzzing: what strangers' bytes reach first. Not part of the interface.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use negotiation::{Codec, CodecFormat, DtlsRole, Fingerprint, MediaKind, NegotiatedSession, Sctp, Section};

use crate::codec::{PayloadMap, starts_keyframe};
use crate::engine::{
    Bindings, ChannelHandle, Engine, EngineError, Engines, HeaderExtensions, LinkEngines, Output, Packet, Polled,
    Received, RecvHandle, Reliability, RtcEngines, SendHandle, SendPacket, SenderReport, Sent, Written,
};
use crate::feedback::reception;
use crate::feedback::sent::Sent as Record;
use crate::fixture::{check, codec, path, receive, send, video};
use crate::plane::Plane;
use crate::srtp::{Keys, Opener, Profile, Sealer};
use crate::stun::BindingRequest;
use crate::wire::extension::{self, AudioLevel};
use crate::wire::red;
use crate::wire::rtcp::{self, Rtcp, RtcpWriter};
use crate::wire::rtp::{ExtensionForm, Rtp, RtpHeader, RtpWriter};
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

/// Reads a packet of RTP, and writes what it found in both forms of extensions.
pub fn rtp(bytes: &[u8]) {
    let Some(packet) = Rtp::parse(bytes) else { return };
    assert!(packet.sources().count() <= 15);
    let _payload = packet.payload();
    let header = RtpHeader {
        payload_type: packet.payload_type(),
        marker: packet.marker(),
        sequence: packet.sequence(),
        timestamp: packet.timestamp(),
        ssrc: packet.ssrc(),
    };
    for form in [ExtensionForm::OneByte, ExtensionForm::TwoByte] {
        let mut room = vec![0xff; bytes.len()];
        let mut writer = RtpWriter::new(&mut room, &header, form).expect("room for what was read");
        let taken: Vec<_> = packet
            .extensions()
            .filter(|(id, data)| writer.extension(*id, data))
            .collect();
        let length = writer.finish();
        let written = Rtp::parse(&room[..length]).expect("what we wrote");
        assert_eq!((written.header_len(), written.ssrc()), (length, header.ssrc));
        assert!(written.extensions().eq(taken.iter().copied()));
    }
    for (_, data) in packet.extensions() {
        let values = (
            AudioLevel::parse(data),
            extension::rotation(data),
            extension::transport_sequence(data),
        );
        assert_eq!(values.0.is_some(), values.1.is_some());
        if let Some(delay) = extension::playout_delay(data) {
            assert_eq!(extension::playout_delay_bytes(delay), data[..3]);
        }
    }
}

/// Reads a compound packet, and gives what it tells to those who remember what was sent.
pub fn rtcp(bytes: &[u8]) {
    let start = Instant::now();
    let mut sent = Record::new(start);
    for _ in 0..100 {
        sent.send(1000, start);
    }
    let mut outcomes = 0;
    for packet in rtcp::packets(bytes) {
        let items = match packet {
            Rtcp::SenderReport { blocks, .. } | Rtcp::ReceiverReport { blocks, .. } => blocks
                .inspect(|block| {
                    assert!(reception::round_trip(block, 1 << 31).is_none_or(|time| time.as_secs() < 1 << 15))
                })
                .count(),
            Rtcp::SourceDescription(names) => names.inspect(|(_, name)| assert!(name.len() < 256)).count(),
            Rtcp::Bye(ssrcs) => ssrcs.count(),
            Rtcp::Nack { lost, .. } => {
                let numbers: Vec<u16> = lost.collect();
                let mut room = vec![0; 12 + 4 * numbers.len()];
                assert_eq!(RtcpWriter::new(&mut room).nack(1, 2, &numbers), numbers.len());
                numbers.len() / 17
            }
            Rtcp::Pli { .. } => 0,
            Rtcp::Fir(entries) => entries.count(),
            Rtcp::TransportWide(feedback) => {
                sent.feedback(&feedback, start, |outcome| {
                    assert!((1..=100).contains(&outcome.sequence));
                    outcomes += 1;
                });
                feedback.arrivals().count() / 14
            }
        };
        assert!(items <= bytes.len() / 2, "more than there is room for");
    }
    assert!(outcomes <= 200, "a packet is lost once, and arrives once");
}

/// Takes redundant audio apart.
pub fn red(bytes: &[u8]) {
    let blocks = red::blocks(bytes).into_iter().flatten();
    assert!(blocks.map(|block| block.data.len()).sum::<usize>() <= bytes.len());
    if let Some(payload_type) = bytes.first() {
        let primary = red::primary(bytes, payload_type & 0x7f);
        assert!(primary.is_none_or(|primary| primary.len() < bytes.len()));
    }
}

/// Opens forgeries: datagrams as they are, and sealed packets that were changed. Nothing of it is authentic, and none of it
/// keeps the true packet from being opened.
///
/// The first byte is the profile. Then come steps: what it is, how many bytes follow, and these.
pub fn srtp(bytes: &[u8]) {
    const SSRC: u32 = 7;
    let mut keys_of_this_input = material(bytes);
    let [profile, bytes @ ..] = bytes else { return };
    let profile = match profile % 3 {
        0 => Profile::AeadAes128Gcm,
        1 => Profile::AeadAes256Gcm,
        _ => Profile::Aes128CmSha1_80,
    };
    keys_of_this_input.truncate(profile.exported_bytes());
    let keys = |role| Keys::from_exported(profile, &keys_of_this_input, role).expect("enough bytes");
    let mut sealer = Sealer::new(&keys(DtlsRole::Client)).expect("keys");
    sealer.open_stream(SSRC).expect("the first");
    let mut opener = Opener::new(&keys(DtlsRole::Server)).expect("keys");
    opener.declare([SSRC], 2);
    let mut sequence = 65_500;
    let mut rest = bytes;
    while let [kind, length, behind @ ..] = rest {
        let (data, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        rest = behind;
        let is_rtp = kind % 2 == 0;
        let mut open = |packet: &[u8]| {
            let mut packet = packet.to_vec();
            let length = match is_rtp {
                true => opener.open_rtp(&mut packet).ok()?.length,
                false => opener.open_rtcp(&mut packet).ok()?,
            };
            packet.truncate(length);
            Some(packet)
        };
        if kind % 4 < 2 {
            assert_eq!(open(data), None, "nobody sealed it");
            continue;
        }
        let number = (sequence as u16).to_be_bytes();
        let head = match is_rtp {
            true => [0x80, 96, number[0], number[1], 0, 0, 0, 9, 0, 0, 0, 7],
            false => [0x80, 201, 0, 2, 0, 0, 0, 7, 1, 2, 3, 4],
        };
        let plain = [&head[..], data].concat();
        let mut sealed = plain.clone();
        sealed.resize(plain.len() + profile.rtcp_overhead(), 0);
        let length = match is_rtp {
            true => sealer.seal_rtp(&mut sealed, plain.len(), head.len(), sequence),
            false => sealer.seal_rtcp(&mut sealed, plain.len()),
        };
        sealed.truncate(length.expect("a new number"));
        // Reports have numbers of their own. A stream whose first packet comes after a rollover is opened by nobody (RFC 3711
        // section 3.3.1).
        sequence += u64::from(is_rtp);
        let mut forged = sealed.clone();
        for (byte, change) in forged.iter_mut().rev().zip(data) {
            *byte ^= change;
        }
        forged.truncate(forged.len() - usize::from(kind >> 2).min(forged.len()));
        if forged != sealed {
            assert_eq!(open(&forged), None, "it was changed");
        }
        assert_eq!(open(&sealed), Some(plain), "a forgery changed something");
        assert_eq!(open(&sealed), None, "a replay");
    }
}

/// Keying material that is another for each input: with one for all, the fuzzer learns what was sealed in one run (it watches
/// comparisons) and presents it in the next as something that nobody sealed.
fn material(input: &[u8]) -> Vec<u8> {
    let longest = Profile::AeadAes256Gcm.exported_bytes();
    let words = (0..longest.div_ceil(8)).map(|word| {
        let mut hasher = DefaultHasher::new();
        (word, input).hash(&mut hasher);
        hasher.finish().to_le_bytes()
    });
    words.flatten().collect()
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
pub fn handshake(bytes: &[u8]) {
    thread_local! {
        // Their certificates are costly and no secret here.
        static ENGINES: (RtcEngines, LinkEngines) =
            (RtcEngines::new().expect("ciphers"), LinkEngines::new().expect("ciphers"));
    }
    ENGINES.with(|(rtc, link)| {
        handshake_with(rtc, bytes);
        handshake_with(link, bytes);
    });
}

fn handshake_with<E: Engines>(engines: &E, mut bytes: &[u8]) {
    let mut now = Instant::now();
    let session = client(1);
    let mut engine = engines.create(&session, now).expect("an engine");
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
                payload: rest.to_vec().into(),
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

    fn send(&mut self, stream: SendHandle, packet: &SendPacket, _: Instant, _: &mut [u8]) -> Sent {
        assert!(
            self.sent.insert((stream, packet.sequence)),
            "a number was given out twice"
        );
        Sent::Queued
    }

    fn wants_run(&self) -> bool {
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
            rtp(&bytes);
            rtcp(&bytes);
            red(&bytes);
            srtp(&bytes);
        }
    }
}
