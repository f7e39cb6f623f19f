//! Addresses that move, restarts of ICE, strangers, and ends.

use std::time::{Duration, Instant};

use negotiation::MediaKind;
use sfu::{Command, Event, LostReason};
use testkit::media::Video;
use testkit::relay::Conditions;

use crate::world::{PATIENCE, Peer, Streams, World, both_ways, rtp};

/// A publisher, and a subscriber behind a relay that sees video.
fn watching(world: &mut World) -> (Peer, Peer, Streams) {
    let mut publisher = world.peer();
    let mut watcher = world.peer_behind(Conditions {
        lost_per_mille: 0,
        delay: Duration::from_millis(5),
        seed: 1,
    });
    let p = both_ways(&mut publisher, 111, 96);
    let w = both_ways(&mut watcher, 111, 96);
    world.apply(&mut publisher);
    world.apply(&mut watcher);
    world.subscribe(&watcher, vec![rtp(&publisher, "cam", "seen", MediaKind::Video)]);
    publisher.client.send_video(&[p.cam], 96, Video::new(2, 500, 1));
    assert!(watcher.client.wait(PATIENCE, |heard| heard.count(w.seen) > 30));
    (publisher, watcher, w)
}

#[test]
fn media_follows_a_new_address_within_a_second_of_its_first_check() {
    let mut world = World::new();
    let (_publisher, watcher, w) = watching(&mut world);
    let relay = watcher.relay.as_ref().unwrap();
    relay.rebind(world.local_addr()).unwrap();
    watcher.client.forget();
    // What the server sends to the old address is gone; the relay passes what comes to the new one.
    // The client's next check may take some seconds; media must be there right after it.
    let moved = relay.moved_at(PATIENCE).expect("a datagram from the new address");
    let checked = relay.check_at(PATIENCE).expect("a check from the new address");
    assert!(watcher.client.wait(PATIENCE, |heard| heard.count(w.seen) > 10));
    let first = watcher.client.heard().of(w.seen)[0].at;
    assert!(
        first < checked + Duration::from_secs(1),
        "{:?} after the check, {:?} after the move",
        first - checked,
        first - moved
    );
}

#[test]
fn a_restart_of_ice_keeps_everything_but_the_path() {
    let mut world = World::new();
    let (_publisher, mut watcher, w) = watching(&mut world);
    let before = watcher
        .client
        .heard()
        .of(w.seen)
        .last()
        .map(|packet| packet.sequence)
        .unwrap();
    watcher.relay.as_ref().unwrap().rebind(world.local_addr()).unwrap();
    watcher.client.forget();
    watcher.session.restart_ice();
    let started = Instant::now();
    world.apply(&mut watcher);
    assert!(watcher.client.wait(PATIENCE, |heard| heard.count(w.seen) > 10));
    let checked = watcher
        .relay
        .as_ref()
        .unwrap()
        .check_at(PATIENCE)
        .expect("a check from the new address");
    let packet = watcher.client.heard().of(w.seen)[0].clone();
    assert!(
        packet.at < checked + Duration::from_secs(1),
        "{:?} after the check, {:?} in all",
        packet.at - checked,
        packet.at - started
    );
    assert!(packet.sequence > before);
    assert!(
        !world
            .events()
            .iter()
            .any(|(_, event)| matches!(event, Event::Lost { .. }))
    );
    let connected =
        |event: &&(Instant, Event)| matches!(event.1, Event::Connected { transport } if transport == watcher.id);
    assert_eq!(
        world.events().iter().filter(connected).count(),
        1,
        "the same association"
    );
}

#[test]
fn silence_is_an_interruption_and_the_client_may_come_back() {
    let mut world = World::new();
    let (_publisher, watcher, w) = watching(&mut world);
    watcher.relay.as_ref().unwrap().block(true);
    let interrupted = |event: &Event| matches!(event, Event::Interrupted { transport } if *transport == watcher.id);
    assert!(world.wait_event(interrupted));
    watcher.relay.as_ref().unwrap().block(false);
    watcher.client.forget();
    assert!(watcher.client.wait(PATIENCE, |heard| heard.count(w.seen) > 10));
    let connected =
        |event: &&(Instant, Event)| matches!(event.1, Event::Connected { transport } if transport == watcher.id);
    let back = || world.events().iter().filter(connected).count() == 2;
    let deadline = Instant::now() + PATIENCE;
    while !back() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(back());
}

#[test]
fn strangers_get_no_answer() {
    let world = World::new();
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    // A DTLS record, an RTP packet, a check of nobody's ufrag, and noise.
    let check = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[0; 12]].concat();
    for datagram in [
        &[22, 254, 253, 0, 0][..],
        &[0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1],
        &check,
        &[99; 40],
        &[22; 1999],
    ] {
        stranger.send_to(datagram, world.local_addr()).unwrap();
    }
    assert!(stranger.recv_from(&mut [0; 100]).is_err());
    let stats = world.sfu.stats();
    assert_eq!(
        (
            stats.dropped_unknown_address,
            stats.dropped_check,
            stats.dropped_too_large
        ),
        (3, 1, 1)
    );
    assert_eq!(stats.datagrams_out, 0);
}

#[test]
fn a_wrong_certificate_is_refused() {
    let mut world = World::new();
    let mut peer = world.peer();
    peer.session = testkit::media::SessionBuilder::new(
        "wrong",
        negotiation::Fingerprint([7; 32]),
        negotiation::DtlsRole::Server,
    );
    both_ways(&mut peer, 111, 96);
    world.apply(&mut peer);
    let lost = |event: &Event| {
        matches!(
            event,
            Event::Lost {
                reason: LostReason::Dtls,
                ..
            }
        )
    };
    assert!(world.wait_event(lost));
    assert!(
        !world
            .events()
            .iter()
            .any(|(_, event)| matches!(event, Event::Connected { .. }))
    );
}

#[test]
fn either_side_may_say_goodbye() {
    let mut world = World::new();
    let (publisher, watcher, _) = watching(&mut world);
    publisher.client.close();
    let lost = |event: &Event| matches!(event, Event::Lost { transport, reason: LostReason::Closed } if *transport == publisher.id);
    assert!(world.wait_event(lost));
    world.send(Command::Close { transport: watcher.id });
    assert!(watcher.client.wait(PATIENCE, |heard| heard.closed));
    let deadline = Instant::now() + PATIENCE;
    while world.sfu.stats().transports > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(world.sfu.stats().transports, 0);
    let events = world.events();
    assert!(
        !events
            .iter()
            .any(|(_, event)| matches!(event, Event::Lost { transport, .. } if *transport == watcher.id))
    );
}
