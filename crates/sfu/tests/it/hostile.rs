//! Strangers and a participant attack the media plane in every state, and a call of two does not lose a
//! frame.

use std::collections::{BTreeMap, BTreeSet};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use negotiation::MediaKind;
use testkit::media::{Heard, Video};
use testkit::mutate::{Attacks, Dice, number_from_environment};

use crate::world::{PATIENCE, Peer, Streams, World, both_ways, data, layer, plain, rtp};

/// Rounds of all attacks, unless `HOSTILE_ROUNDS` says otherwise.
const ROUNDS: u64 = 3;

/// Datagrams of each kind in a round.
const EACH: usize = 150;

/// Two who hear and see each other.
struct Call {
    ends: [(Peer, Streams); 2],
}

impl Call {
    fn new(world: &mut World) -> Self {
        let mut ends = [(); 2].map(|()| {
            let mut peer = world.peer();
            let streams = both_ways(&mut peer, 111, 96);
            peer.session.data();
            world.apply(&mut peer);
            (peer, streams)
        });
        let [(alice, a), (bob, b)] = &mut ends;
        for (one, other) in [(&*alice, &*bob), (&*bob, &*alice)] {
            world.subscribe(one, call_routes(other));
        }
        for (peer, streams) in [(&*alice, &*a), (&*bob, &*b)] {
            assert!(peer.client.wait(PATIENCE, |heard| heard.connected));
            peer.client.send_audio(streams.mic, 111);
            peer.client.send_video(&[streams.cam], 96, Video::new(2, 500, 1));
        }
        let call = Self { ends };
        call.goes_on();
        for (peer, _) in &call.ends {
            peer.client.forget();
        }
        call
    }

    /// Waits until a second more of everything was received at both ends.
    fn goes_on(&self) {
        for (peer, streams) in &self.ends {
            let heard = peer.client.heard();
            let (audio, video) = (heard.count(streams.heard), heard.count(streams.seen));
            let more = |now: &Heard| now.count(streams.heard) >= audio + 50 && now.count(streams.seen) >= video + 60;
            assert!(peer.client.wait(PATIENCE, more), "the call stands still");
        }
    }

    /// Every frame from the first to the last, of both kinds, at both ends; how many.
    fn lost_nothing(&self) -> usize {
        let whole = |peer: &Peer, ssrc: u32, ticks: u32| {
            let heard = peer.client.heard();
            assert!(!heard.closed && heard.failed.is_none(), "{:?}", heard.failed);
            let packets = heard.of(ssrc);
            let sequences: BTreeSet<u64> = packets.iter().map(|packet| packet.sequence).collect();
            let (first, last) = (sequences.first().unwrap(), sequences.last().unwrap());
            let missing: Vec<u64> = (*first..=*last).filter(|number| !sequences.contains(number)).collect();
            assert!(missing.is_empty(), "{ssrc} lost {missing:?} of {first} to {last}");
            // Frames follow each other at their pace: none was left out before it was numbered.
            let frames: BTreeMap<u64, u32> = packets
                .iter()
                .map(|packet| (packet.sequence, packet.timestamp))
                .collect();
            let mut stamps: Vec<u32> = frames.into_values().collect();
            stamps.dedup();
            let gap = stamps.windows(2).find(|pair| pair[1].wrapping_sub(pair[0]) != ticks);
            assert!(gap.is_none(), "{ssrc} leaps from {gap:?}");
            stamps.len()
        };
        let ends = self.ends.iter();
        ends.map(|(peer, streams)| whole(peer, streams.heard, 960) + whole(peer, streams.seen, 3000))
            .sum()
    }
}

/// Microphone and camera of somebody.
fn call_routes(source: &Peer) -> Vec<sfu::Route> {
    vec![
        rtp(source, "mic", "heard", MediaKind::Audio),
        rtp(source, "cam", "seen", MediaKind::Video),
    ]
}

/// Sends no faster than the worker reads, so that no datagram of the call is lost in the kernel.
struct Pace<'w> {
    world: &'w World,
    sent: u64,
}

impl<'w> Pace<'w> {
    fn new(world: &'w World) -> Self {
        Self { world, sent: 0 }
    }

    fn next(&mut self) {
        self.sent += 1;
        if self.sent.is_multiple_of(16) {
            let seen = self.world.sfu.stats().datagrams_in;
            let until = Instant::now() + Duration::from_millis(50);
            while self.world.sfu.stats().datagrams_in < seen + 16 && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// A third client with microphone, camera and data channels, which records what it sends.
fn third(world: &mut World, call: &Call) -> (Peer, Streams) {
    let mut peer = world.peer();
    let streams = both_ways(&mut peer, 111, 96);
    peer.session.data();
    peer.client.record(true);
    world.apply(&mut peer);
    let (alice, _) = &call.ends[0];
    world.subscribe(&peer, call_routes(alice));
    (peer, streams)
}

/// What a client sends from its first check to its media.
fn recorded(world: &mut World, call: &Call) -> Vec<Vec<u8>> {
    let (peer, streams) = third(world, call);
    assert!(peer.client.wait(PATIENCE, |heard| heard.connected));
    peer.client.send_audio(streams.mic, 111);
    peer.client.send_video(&[streams.cam], 96, Video::new(2, 500, 1));
    peer.client.open_channel("data", true, None);
    assert!(
        peer.client
            .wait(PATIENCE, |heard| heard.sent.len() > 200 && !heard.channels.is_empty())
    );
    peer.client.send_message("data", false, b"hello");
    assert!(peer.client.wait(PATIENCE, |heard| heard.sent.len() > 300));
    let sent = peer.client.heard().sent;
    world.send(sfu::Command::Close { transport: peer.id });
    // All kinds that share the port (RFC 7983).
    for kinds in [0..=3_u8, 20..=63, 128..=191] {
        assert!(sent.iter().any(|datagram| kinds.contains(&datagram[0])));
    }
    sent
}

/// Before any check: from addresses that nobody knows.
fn strangers(world: &World, recording: &[Vec<u8>], dice: &mut Dice, attacks: &mut Attacks) {
    let mut pace = Pace::new(world);
    let sockets: Vec<UdpSocket> = (0..8).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for _ in 0..EACH {
        let original = dice.choose(recording).unwrap().clone();
        let noise: Vec<u8> = (0..dice.below(1900)).map(|_| dice.any() as u8).collect();
        for (kind, datagram) in [
            ("stranger: replayed", original.clone()),
            ("stranger: mutated", dice.bytes(&original)),
            ("stranger: noise", noise),
        ] {
            let socket = dice.choose(&sockets).unwrap();
            // Longer than a datagram may be is refused by the kernel.
            if socket.send_to(&datagram, world.local_addr()).is_ok() {
                attacks.count(kind);
            }
            pace.next();
        }
    }
}

/// A participant that sends nonsense while its handshake goes on; it may fail by that.
fn handshaking(world: &mut World, call: &Call, recording: &[Vec<u8>], dice: &mut Dice, attacks: &mut Attacks) {
    let (peer, _) = third(world, call);
    let mut pace = Pace::new(world);
    for _ in 0..EACH {
        let original = dice.choose(&recording[..recording.len().min(12)]).unwrap().clone();
        peer.client.send_raw(&original);
        attacks.count("participant before DTLS: replayed");
        pace.next();
        let original = dice.choose(recording).unwrap().clone();
        peer.client.send_raw(&dice.bytes(&original));
        attacks.count("participant before DTLS: mutated");
        pace.next();
    }
    world.send(sfu::Command::Close { transport: peer.id });
}

/// A participant that is in the call: everything it may say, and what it may not.
fn connected(world: &mut World, call: &Call, dice: &mut Dice, attacks: &mut Attacks) {
    let (mut peer, streams) = third(world, call);
    assert!(peer.client.wait(PATIENCE, |heard| heard.connected));
    peer.client.send_audio(streams.mic, 111);
    peer.client.send_video(&[streams.cam], 96, Video::new(2, 500, 1));
    assert!(peer.client.wait(PATIENCE, |heard| heard.sent.len() > 150));
    let own = peer.client.heard().sent;
    channels(world, call, &peer, dice, attacks);
    // Alice has a section for it now and then; what arrives there is not of the call.
    let mut pace = Pace::new(world);
    for _ in 0..EACH {
        let original = dice.choose(&own).unwrap().clone();
        peer.client.send_raw(&original);
        attacks.count("participant: replayed");
        pace.next();
        peer.client.send_raw(&dice.bytes(&original));
        attacks.count("participant: mutated");
        pace.next();
        let mut undeclared = original;
        if undeclared.len() > 12 {
            undeclared[8..12].copy_from_slice(&(dice.any() as u32).to_be_bytes());
        }
        peer.client.send_raw(&undeclared);
        attacks.count("participant: SSRC replaced");
        pace.next();
        let payload: Vec<u8> = (0..dice.below(60)).map(|_| dice.any() as u8).collect();
        let payload_type = [96, 97, 111, dice.below(128) as u8][dice.below(4)];
        peer.client.send_payload(streams.cam, payload_type, &payload);
        attacks.count("participant: broken payload descriptor");
        peer.client.request_keyframe(streams.seen);
        peer.client.request_intra(streams.seen);
        attacks.count("participant: key frame asked for");
        pace.next();
    }
    undeclared(world, &mut peer, attacks);
    world.send(sfu::Command::Close { transport: peer.id });
}

/// Many channels and large messages on the association that carries a channel of the call.
fn channels(world: &World, call: &Call, peer: &Peer, dice: &mut Dice, attacks: &mut Attacks) {
    let mut pace = Pace::new(world);
    let (alice, _) = &call.ends[0];
    let (bob, _) = &call.ends[1];
    let id = format!("of-{}", peer.id.0);
    let mut routes = call_routes(alice);
    routes.push(data(peer, "data", &id));
    world.subscribe(bob, routes);
    peer.client.open_channel("data", true, None);
    assert!(peer.client.wait(PATIENCE, |heard| !heard.channels.is_empty()));
    let is_open = |heard: &Heard| heard.channels.iter().any(|(label, ..)| *label == id);
    assert!(bob.client.wait(PATIENCE, is_open));
    for number in 0..64 {
        let limit = Some(0).filter(|_| number % 3 == 0);
        peer.client.open_channel(&format!("c{number}"), number % 2 == 0, limit);
        attacks.count("participant: data channel");
        pace.next();
    }
    for _ in 0..4 {
        peer.client
            .send_message("data", true, &vec![7; 10_000 + dice.below(10_000)]);
        attacks.count("participant: large message");
    }
    let arrived = |heard: &Heard| heard.messages.iter().filter(|message| message.label == id).count() == 4;
    assert!(
        bob.client.wait(PATIENCE, arrived),
        "{:?} {:?}",
        bob.client
            .heard()
            .messages
            .iter()
            .map(|m| m.bytes.len())
            .collect::<Vec<_>>(),
        world.sfu.stats()
    );
}

/// Streams, well encrypted, that its description did not name.
fn undeclared(world: &World, peer: &mut Peer, attacks: &mut Attacks) {
    let dropped = world.sfu.stats().dropped_undeclared;
    let mut secret = peer.session.clone();
    secret
        .receive("0", "mic", &[plain(77_000)])
        .receive("1", "cam", &[layer(77_010)]);
    peer.client.apply(&secret.build());
    peer.client.send_audio(77_000, 111);
    peer.client.send_video(&[77_010], 96, Video::new(2, 500, 1));
    let deadline = Instant::now() + PATIENCE;
    while world.sfu.stats().dropped_undeclared < dropped + 20 {
        assert!(Instant::now() < deadline, "{:?}", world.sfu.stats());
        std::thread::sleep(Duration::from_millis(10));
    }
    for _ in 0..20 {
        attacks.count("participant: undeclared stream");
    }
}

#[test]
fn a_call_of_two_loses_no_frame() {
    let (mut dice, seed) = Dice::from_environment();
    let rounds = number_from_environment("HOSTILE_ROUNDS").unwrap_or(ROUNDS);
    println!("again: HOSTILE_SEED={seed} HOSTILE_ROUNDS={rounds} cargo test -p sfu --test it hostile -- --nocapture");
    let mut world = World::new();
    let call = Call::new(&mut world);
    let recording = recorded(&mut world, &call);
    let mut attacks = Attacks::default();
    for _ in 0..rounds {
        strangers(&world, &recording, &mut dice, &mut attacks);
        handshaking(&mut world, &call, &recording, &mut dice, &mut attacks);
        connected(&mut world, &call, &mut dice, &mut attacks);
        call.goes_on();
    }
    let frames = call.lost_nothing();
    let stats = world.sfu.stats();
    println!("{attacks}\n{frames} frames of the call arrived, none was lost\n{stats:?}");
    assert_eq!(stats.engine_failures, 0, "an engine failed, or panicked");
    assert!(stats.dropped_check > 0 && stats.dropped_unknown_address > 0 && stats.dropped_too_large > 0);
    assert!(attacks.kinds() >= 13 && frames > 200);
}

/// The publisher is asked for key frames at a bounded rate, however often viewers ask.
#[test]
fn a_flood_of_requests_for_key_frames_does_not_reach_the_publisher() {
    let mut world = World::new();
    let call = Call::new(&mut world);
    let viewers: Vec<(Peer, Streams)> = (0..3).map(|_| third(&mut world, &call)).collect();
    for (peer, streams) in &viewers {
        assert!(peer.client.wait(PATIENCE, |heard| heard.count(streams.seen) > 30));
    }
    let (alice, a) = &call.ends[0];
    let asked = || alice.client.heard().keyframe_requests.get(&a.cam).copied().unwrap_or(0);
    let (before, began) = (asked(), Instant::now());
    while began.elapsed() < Duration::from_secs(4) {
        for (peer, streams) in &viewers {
            peer.client.request_keyframe(streams.seen);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // However the time was cut: two a second at most, and no more than the viewers' budgets.
    let most = 2 * began.elapsed().as_secs() as u32 + 3;
    let asked = asked() - before;
    assert!(asked <= most, "{asked} key frames asked for in {:?}", began.elapsed());
    assert!(
        world.sfu.stats().dropped_keyframe_demands > 100,
        "{:?}",
        world.sfu.stats()
    );
    call.goes_on();
    call.lost_nothing();
}

/// Who asks for everything again and again gets what each packet pays for (two retransmissions, and some that are saved
/// up), and no more.
#[test]
fn a_flood_of_requests_for_packets_is_answered_within_its_budget() {
    const PER_PACKET: u64 = 2;
    const SAVED: u64 = 1024;
    let mut world = World::new();
    let call = Call::new(&mut world);
    let (mut loud, mut greedy) = (world.peer(), world.peer());
    let sent = both_ways(&mut loud, 111, 96);
    let taken = both_ways(&mut greedy, 111, 96);
    for peer in [&mut loud, &mut greedy] {
        world.apply(peer);
        assert!(peer.client.wait(PATIENCE, |heard| heard.connected));
    }
    world.subscribe(&greedy, vec![rtp(&loud, "cam", "seen", MediaKind::Video)]);
    loud.client.send_video(&[sent.cam], 96, Video::new(20, 300, 1));
    assert!(greedy.client.wait(PATIENCE, |heard| heard.count(taken.seen) > 100));
    // Of eight packets it reads one, of retransmissions too: the others are asked for five times each.
    greedy.client.read_one_in(8);
    let before = world.sfu.stats().packets_forwarded;
    let came = greedy.client.heard().media_datagrams;
    let highest = |heard: &Heard| heard.of(taken.seen).iter().map(|packet| packet.sequence).max();
    let first = highest(&greedy.client.heard()).unwrap();
    assert!(
        greedy
            .client
            .wait(PATIENCE, |heard| highest(heard).unwrap() > first + 4000)
    );
    let heard = greedy.client.heard();
    let (forwarded, came) = (highest(&heard).unwrap() - first, heard.media_datagrams - came);
    println!("{forwarded} packets, and {} sent again", came.saturating_sub(forwarded));
    // What was on its way at either end of the count.
    let slack = 200;
    assert!(
        came <= forwarded * (1 + PER_PACKET) + SAVED + slack,
        "{came} for {forwarded}"
    );
    assert!(
        came > forwarded + SAVED / 2,
        "the flood was none: {came} for {forwarded}"
    );
    assert!(world.sfu.stats().packets_forwarded > before);
    call.goes_on();
    call.lost_nothing();
}

/// The route of a channel that is over its bound of messages does not hold up the others.
#[test]
fn a_reader_that_is_cut_off_holds_nobody_up() {
    let mut world = World::new();
    let call = Call::new(&mut world);
    let (alice, _) = &call.ends[0];
    let (bob, _) = &call.ends[1];
    let (mut deaf, mut sender) = (
        world.peer_behind(testkit::relay::Conditions {
            lost_per_mille: 0,
            delay: Duration::from_millis(1),
            seed: 1,
        }),
        world.peer(),
    );
    for peer in [&mut deaf, &mut sender] {
        peer.session.data();
        world.apply(peer);
        assert!(peer.client.wait(PATIENCE, |heard| heard.connected));
    }
    let mut routes = call_routes(alice);
    routes.push(data(&sender, "flood", "flood"));
    world.subscribe(bob, routes);
    world.subscribe(&deaf, vec![data(&sender, "flood", "flood")]);
    sender.client.open_channel("flood", true, None);
    assert!(bob.client.wait(PATIENCE, |heard| heard.channels.len() == 1));
    assert!(deaf.client.wait(PATIENCE, |heard| heard.channels.len() == 1));
    deaf.relay.as_ref().unwrap().block(true);
    // More than any buffer towards the deaf one holds, while Bob reads all of it.
    let message = vec![1; 60_000];
    let deadline = Instant::now() + PATIENCE;
    while world.sfu.stats().dropped_messages == 0 {
        assert!(Instant::now() < deadline, "{:?}", world.sfu.stats());
        let before = world.sfu.stats().messages_forwarded;
        sender.client.send_message("flood", true, &message);
        // Until it is at the server, or did not fit into the sender's own buffer.
        let until = Instant::now() + Duration::from_millis(200);
        while world.sfu.stats().messages_forwarded == before && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    assert!(
        bob.client.wait(PATIENCE, |heard| heard.messages.len() > 10),
        "Bob reads on"
    );
    call.goes_on();
    call.lost_nothing();
}
