//! The same script for both engines: what comes out at the seam is compared.
//!
//! The library's engine is the oracle. Keys differ, so that the traces are the same before they are sealed and the same
//! datagrams of them are lost, doubled and mutated: which ones follows from stream and number.
//!
//! Differences that are allowed, and so left out of what is compared:
//! - when a packet comes out, and in which order with those of other streams: who asks for lost packets sooner or more often
//!   gets them sooner;
//! - packets that come in late by another way: so many of those that a lossy script loses for good may differ as there are
//!   among its last ones;
//! - how many datagrams either sends, since reports and feedback are timed differently;
//! - packets whose payload is empty: the library takes them for probes and drops them, ours passes them on, so that receivers
//!   find no gap where the publisher had none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use negotiation::{DtlsRole, MediaKind};
use testkit::media::{Order, Video, opus, red, vp8};
use testkit::mutate::Dice;

use super::super::rtc::rtp_identity;
use super::super::{Delivery, Engine, Engines, HeaderExtensions, LinkEngines, Reliability, RtcEngines, Written};
use super::world::{CAM, HEARD, MIC, SEEN, Way, World, both_ways, plain};

/// A stream on which the client sends what makes no sense.
const ODD: u32 = 800;

/// What a script made an engine and its client say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Transcript {
    /// By track and number.
    packets: BTreeMap<(String, u64), Arrived>,
    /// Streams that the publisher's reports were told of.
    reported: BTreeSet<String>,
    keyframes_wanted: usize,
    /// Key frames that the client was asked for.
    keyframes_asked: BTreeMap<u32, u32>,
    undeclared: bool,
    channels: BTreeSet<(String, bool, String)>,
    messages: Vec<(String, bool, Vec<u8>)>,
    /// What the client received of each stream, by number.
    received: BTreeMap<(u32, u64), Received>,
    client_messages: BTreeSet<(String, bool, Vec<u8>)>,
    closed_channels: usize,
    closed: u32,
}

/// Payload type, timestamp, marker, audio level, payload.
type Received = (u8, u32, bool, Option<i8>, Vec<u8>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Arrived {
    payload_type: u8,
    /// Of the odd stream it is that of the moment.
    timestamp: Option<u32>,
    marker: bool,
    extensions: HeaderExtensions,
    payload: Vec<u8>,
}

/// Which of the client's and the engine's datagrams are lost, doubled or mutated.
#[derive(Debug, Clone, Copy)]
struct Wire {
    seed: u64,
    lost_in_64: u64,
    doubled_in_64: u64,
    mutated_in_64: u64,
}

impl Wire {
    /// A number for a datagram of media that is the same with both engines; none for all others.
    fn throw(self, datagram: &[u8]) -> Option<u64> {
        let (ssrc, sequence) = rtp_identity(datagram)?;
        // Neither those that a stream begins with nor its last ones: both engines have seen the same then.
        let is_amid = match ssrc {
            MIC => (60_030..60_080).contains(&sequence),
            CAM => (1030..1070).contains(&sequence),
            _ => true,
        };
        if !is_amid {
            return None;
        }
        let mut dice = Dice::new(self.seed ^ u64::from(ssrc) << 16 ^ u64::from(sequence));
        dice.any();
        Some(dice.any() % 64)
    }
}

/// Everything that both sides can do, as the dice say.
fn transcript<F: Engines>(engines: &F, seed: u64, wire: Wire) -> Transcript {
    let mut world = World::new(engines, DtlsRole::Server, |session| {
        both_ways(session);
        session.section("0", MediaKind::Audio, vec![red(63, 111), opus(111)]);
        session.receive("0", "mic", &[plain(MIC)]);
        session.send("0", "heard", plain(HEARD));
        session
            .section("2", MediaKind::Video, vec![vp8(96, Some(97))])
            .receive("2", "odd", &[plain(ODD)]);
        session.data();
    });
    world.connect();
    let mut lost_again: BTreeSet<(u32, u16)> = BTreeSet::new();
    world.fate = Box::new(move |way, datagram| {
        let Some(throw) = wire.throw(datagram) else { return 1 };
        if throw < wire.lost_in_64 && way == Way::ToEngine {
            // A repetition of a lost packet on its own stream arrives.
            let identity = rtp_identity(datagram).unwrap();
            return usize::from(!lost_again.insert(identity));
        }
        if throw >= 64 - wire.doubled_in_64 { 2 } else { 1 }
    });
    let mut dice = Dice::new(seed);
    world.order(Order::Audio {
        ssrc: MIC,
        payload_type: 63,
        red_of: Some(111),
    });
    world.order(Order::Video {
        ssrcs: vec![CAM],
        payload_type: 96,
        video: Video::new(1 + dice.below(4), 200 + dice.below(900), 1),
    });
    world.order(Order::Video {
        ssrcs: vec![ODD],
        payload_type: 96,
        video: Video::new(1, 100, 1),
    });
    world.order(Order::Silence {
        ssrc: ODD,
        silent: true,
    });
    let ours = world.engine.open_channel(
        "ours",
        Reliability {
            ordered: dice.below(2) == 0,
            limit: Delivery::Reliable,
            protocol: "p".into(),
        },
    );
    world.handle_timeout();
    world.order(Order::OpenChannel {
        label: "theirs".into(),
        ordered: true,
        retransmits: None,
    });
    let open = |world: &mut World<F::Engine>| world.channels.len() == 2 && world.heard.channels.len() == 2;
    assert!(world.until(open));
    for round in 0..60 {
        let now = world.now;
        for (index, payload_type) in [(0, 111), (1, 96)] {
            let mut packet = world.packet(payload_type);
            packet.extensions = HeaderExtensions {
                audio_level: (index == 0).then(|| (-(dice.below(127) as i8), Some(dice.below(2) == 0))),
                rotation: (index == 1 && round % 7 == 0).then(|| dice.below(4) as u8),
                playout_delay: None,
            };
            packet.marker = dice.below(2) == 0;
            let mut payload = packet.payload.to_vec();
            payload.truncate(20 + dice.below(500));
            packet.payload = payload.into();
            assert!(world.give(world.stream(index), &packet));
        }
        world.handle_timeout();
        match dice.below(8) {
            0 => world.order(Order::Payload {
                ssrc: ODD,
                payload_type: [96, 96, 111, dice.below(60) as u8][dice.below(4)],
                payload: (0..1 + dice.below(80)).map(|_| dice.any() as u8).collect(),
            }),
            1 => world.order(Order::Send {
                label: "theirs".into(),
                binary: dice.below(2) == 0,
                bytes: (0..dice.below(3000)).map(|_| dice.any() as u8).collect(),
            }),
            2 => {
                let message: Vec<u8> = (0..dice.below(3000)).map(|_| dice.any() as u8).collect();
                assert_eq!(world.engine.write_channel(ours, true, &message), Written::Accepted);
                world.handle_timeout();
            }
            3 => {
                let recorded: Vec<Vec<u8>> = world.received.iter().rev().take(20).cloned().collect();
                for datagram in &recorded {
                    // Dice of its own: how many there are is not the same with both.
                    if let Some((_, sequence)) = rtp_identity(datagram)
                        && wire.throw(datagram).is_some_and(|throw| throw < wire.mutated_in_64)
                    {
                        let mut dice = Dice::new(u64::from(sequence));
                        let mut mutated = datagram.clone();
                        let place = 12 + dice.below(mutated.len() - 12);
                        mutated[place] ^= 1 << dice.below(8);
                        world.deliver(&mutated);
                    }
                }
            }
            _ => {}
        }
        world.run(now + Duration::from_millis(20) - world.now);
    }
    world.fate = Box::new(|_, _| 1);
    world.run(Duration::from_secs(2));
    let video = world.layer(1);
    world.order(Order::RequestKeyframe { ssrc: SEEN });
    world.order(Order::RequestIntra { ssrc: SEEN });
    world.engine.request_keyframe(video);
    world.handle_timeout();
    world.run(Duration::from_millis(500));
    let mut secret = world.session.clone();
    secret.receive("0", "mic", &[plain(7000)]);
    let secret = secret.build();
    world.client.apply(&secret, world.now, &mut world.heard);
    world.order(Order::Audio {
        ssrc: 7000,
        payload_type: 111,
        red_of: None,
    });
    world.run(Duration::from_millis(500));
    world.order(Order::CloseChannel { label: "theirs".into() });
    world.run(Duration::from_secs(1));
    world.order(Order::Close);
    world.run(Duration::from_secs(1));
    assert!(world.failed.is_none(), "{:?}", world.failed);
    write_down(&world)
}

fn write_down<E: Engine>(world: &World<E>) -> Transcript {
    let track = |stream| {
        let of_stream = |track: &&super::super::ReceiveBinding| track.layers.contains(&stream);
        world
            .bindings
            .receives
            .iter()
            .find(of_stream)
            .unwrap()
            .track_id
            .to_string()
    };
    // What comes after the script began to ask for key frames comes at moments that differ.
    let last = |track: &str| match track {
        "mic" => 60_130,
        "cam" => 1090,
        _ => u64::MAX,
    };
    let packets = world.packets.iter().filter(|packet| !packet.payload.is_empty());
    let packets = packets.filter(|packet| packet.sequence < last(&track(packet.stream)));
    let label = |channel| {
        world
            .channels
            .iter()
            .find(|(open, ..)| *open == channel)
            .unwrap()
            .1
            .clone()
    };
    Transcript {
        packets: packets
            .map(|packet| {
                let arrived = Arrived {
                    payload_type: packet.payload_type,
                    timestamp: Some(packet.timestamp).filter(|_| track(packet.stream) != "odd"),
                    marker: packet.marker,
                    extensions: packet.extensions,
                    payload: packet.payload.to_vec(),
                };
                ((track(packet.stream), packet.sequence), arrived)
            })
            .collect(),
        reported: world.reports.iter().map(|report| track(report.stream)).collect(),
        keyframes_wanted: world.keyframes_wanted.len(),
        keyframes_asked: world.heard.keyframe_requests.clone().into_iter().collect(),
        undeclared: world.undeclared > 0,
        channels: world
            .channels
            .iter()
            .map(|(_, label, how)| (label.clone(), how.ordered, how.protocol.clone()))
            .collect(),
        messages: world
            .messages
            .iter()
            .map(|(channel, binary, message)| (label(*channel), *binary, message.clone()))
            .collect(),
        received: world
            .heard
            .packets
            .iter()
            .map(|packet| {
                let said = (
                    packet.payload_type,
                    packet.timestamp,
                    packet.marker,
                    packet.audio_level,
                    packet.payload.clone(),
                );
                ((packet.ssrc, packet.sequence), said)
            })
            .collect(),
        client_messages: world
            .heard
            .messages
            .iter()
            .map(|message| (message.label.clone(), message.binary, message.bytes.clone()))
            .collect(),
        closed_channels: world.closed_channels.len(),
        closed: world.closed,
    }
}

/// What differs, in short; nothing if both are the same.
fn differences(ours: &Transcript, oracle: &Transcript) -> Vec<String> {
    let mut found = Vec::new();
    map_differences("packet", &ours.packets, &oracle.packets, &mut found);
    map_differences("received", &ours.received, &oracle.received, &mut found);
    let mut compare = |what: &str, ours: &dyn Debug, oracle: &dyn Debug| {
        let (ours, oracle) = (format!("{ours:?}"), format!("{oracle:?}"));
        if ours != oracle {
            found.push(format!("{what}: {ours:.120} for {oracle:.120}"));
        }
    };
    compare("reported", &ours.reported, &oracle.reported);
    compare("wanted", &ours.keyframes_wanted, &oracle.keyframes_wanted);
    compare("asked", &ours.keyframes_asked, &oracle.keyframes_asked);
    compare("undeclared", &ours.undeclared, &oracle.undeclared);
    compare("channels", &ours.channels, &oracle.channels);
    compare("messages", &ours.messages, &oracle.messages);
    compare("client's messages", &ours.client_messages, &oracle.client_messages);
    compare("closed channels", &ours.closed_channels, &oracle.closed_channels);
    compare("closed", &ours.closed, &oracle.closed);
    found.truncate(12);
    found
}

fn map_differences<K: Ord + Debug, V: PartialEq + Debug>(
    what: &str,
    ours: &BTreeMap<K, V>,
    oracle: &BTreeMap<K, V>,
    found: &mut Vec<String>,
) {
    let keys: BTreeSet<&K> = ours.keys().chain(oracle.keys()).collect();
    for key in keys {
        if ours.get(key) != oracle.get(key) {
            let (ours, oracle) = (format!("{:?}", ours.get(key)), format!("{:?}", oracle.get(key)));
            found.push(format!("{what} {key:?}: {ours:.120} for {oracle:.120}"));
        }
    }
}

fn both(seed: u64, wire: Wire) -> (Transcript, Transcript) {
    (
        transcript(&RtcEngines::new().unwrap(), seed, wire),
        transcript(&LinkEngines::new().unwrap(), seed, wire),
    )
}

#[test]
fn both_engines_say_the_same() {
    for seed in 1..=4 {
        let wire = Wire {
            seed,
            lost_in_64: 0,
            doubled_in_64: 4,
            mutated_in_64: 32,
        };
        let (oracle, ours) = both(seed, wire);
        assert!(oracle.packets.len() > 150 && oracle.received.len() > 100 && oracle.messages.len() > 1);
        let found = differences(&ours, &oracle);
        assert!(found.is_empty(), "seed {seed}: {found:#?}");
    }
}

#[test]
fn both_engines_repair_the_same() {
    for seed in 1..=4 {
        let wire = Wire {
            seed,
            lost_in_64: 5,
            doubled_in_64: 4,
            mutated_in_64: 8,
        };
        let (oracle, ours) = both(seed, wire);
        assert!(oracle.packets.len() > 150);
        let found = differences(&ours, &oracle);
        assert!(found.is_empty(), "seed {seed}: {found:#?}");
    }
}
