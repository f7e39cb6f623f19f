//! Many who speak at once: whose sound a receiver is sent.

use negotiation::MediaKind;
use testkit::media::opus;

use crate::world::{PATIENCE, Peer, World, plain, rtp};

/// Somebody with a microphone, which says that it is so loud.
fn speaker(world: &mut World, level: i8) -> Peer {
    let mut peer = world.peer();
    let mic = mic(&peer);
    peer.session
        .section("0", MediaKind::Audio, vec![opus(111)])
        .receive("0", "mic", &[plain(mic)]);
    world.apply(&mut peer);
    peer.client.send_audio(mic, 111);
    peer.client.level(mic, level);
    peer
}

fn mic(peer: &Peer) -> u32 {
    10_000 + peer.id.0 as u32
}

/// The stream by which a listener hears the speaker of this number.
fn stream(number: usize) -> u32 {
    50_000 + number as u32
}

/// Somebody who hears all of these.
fn listener(world: &mut World, speakers: &[Peer]) -> Peer {
    let mut peer = world.peer();
    let mut routes = Vec::new();
    for (number, speaker) in speakers.iter().enumerate() {
        let (mid, heard) = (number.to_string(), format!("heard{number}"));
        peer.session
            .section(&mid, MediaKind::Audio, vec![opus(111)])
            .send(&mid, &heard, plain(stream(number)));
        routes.push(rtp(speaker, "mic", &heard, MediaKind::Audio));
    }
    world.apply(&mut peer);
    world.subscribe(&peer, routes);
    peer
}

#[test]
fn in_a_crowd_the_loudest_are_heard() {
    let mut world = World::crowded(2);
    let speakers = [-30, -35, -70, -80].map(|level| speaker(&mut world, level));
    let listener = listener(&mut world, &speakers);
    let heard = &listener.client;
    // More of the third than it can have got while it was not chosen yet whom to send would be hundreds behind the others.
    let waits = |number: usize| move |heard: &testkit::media::Heard| heard.count(stream(number)) > 300;
    assert!(heard.wait(PATIENCE, waits(0)) && heard.wait(PATIENCE, waits(1)));
    let now = heard.heard();
    assert!(
        now.count(stream(2)) < 250 && now.count(stream(3)) < 250,
        "{:?}",
        now.counts
    );
    assert!(world.sfu.stats().dropped_quiet > 100);

    // The last begins to speak, and is heard beside those who spoke.
    let before = now.count(stream(3));
    speakers[3].client.level(mic(&speakers[3]), -20);
    assert!(heard.wait(PATIENCE, |heard| heard.count(stream(3)) > before + 200));
    // Then one of those who spoke is not among the loudest any more.
    let held = heard.heard().count(stream(1));
    assert!(heard.wait(PATIENCE, |heard| heard.count(stream(3)) > before + 500));
    let now = heard.heard();
    assert!(now.count(stream(1)) < held + 200, "{:?}", now.counts);

    // Until it speaks up. Numbers went on without a gap, so that nothing counts as lost, and its time went on as well.
    let held = now.count(stream(1));
    speakers[1].client.level(mic(&speakers[1]), -10);
    assert!(heard.wait(PATIENCE, |heard| heard.count(stream(1)) > held + 50));
    let now = heard.heard();
    for number in 0..4 {
        let packets = now.of(stream(number));
        assert!(packets.windows(2).all(|pair| pair[1].sequence == pair[0].sequence + 1));
    }
    let pauses = now.of(stream(1));
    let longest = pauses.windows(2).map(|pair| {
        let ticks = f64::from(pair[1].timestamp.wrapping_sub(pair[0].timestamp)) / 48_000.0;
        let waited = (pair[1].at - pair[0].at).as_secs_f64();
        (ticks, waited)
    });
    let (ticks, waited) = longest.max_by(|one, other| one.0.total_cmp(&other.0)).unwrap();
    assert!(
        ticks > 1.0 && (ticks - waited).abs() < 1.0,
        "{ticks} s by the clock of the sound, {waited} s passed"
    );
}

#[test]
fn a_receiver_of_no_more_than_so_many_is_sent_all_of_them_however_quiet() {
    let mut world = World::crowded(2);
    let crowd = [-30, -35, -40, -120].map(|level| speaker(&mut world, level));
    let everything = listener(&mut world, &crowd);
    let interpreted = listener(&mut world, &crowd[2..]);
    for number in 0..2 {
        assert!(
            interpreted
                .client
                .wait(PATIENCE, |heard| heard.count(stream(number)) > 300)
        );
    }
    assert!(everything.client.wait(PATIENCE, |heard| heard.count(stream(0)) > 100));
    assert!(interpreted.client.heard().counts.len() == 2);
}
