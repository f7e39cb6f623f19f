//! Sessions that change: codecs that differ, sections used again, joins and leaves.

use std::time::{Duration, Instant};

use negotiation::MediaKind;
use testkit::media::{Video, is_keyframe, opus, red, vp8};

use crate::world::{PATIENCE, World, both_ways, layer, plain, rtp};

#[test]
fn a_late_subscriber_gets_a_key_frame_without_asking() {
    let mut world = World::new();
    let (mut publisher, mut early, mut late) = (world.peer(), world.peer(), world.peer());
    let p = both_ways(&mut publisher, 111, 96);
    let (e, l) = (both_ways(&mut early, 111, 96), both_ways(&mut late, 111, 96));
    world.apply(&mut publisher);
    world.apply(&mut early);
    world.subscribe(&early, vec![rtp(&publisher, "cam", "seen", MediaKind::Video)]);
    publisher.client.send_video(&[p.cam], 96, Video::new(1, 300, 1));
    assert!(early.client.wait(PATIENCE, |heard| heard.count(e.seen) > 60));
    world.apply(&mut late);
    world.subscribe(&late, vec![rtp(&publisher, "cam", "seen", MediaKind::Video)]);
    let key = |heard: &testkit::media::Heard| heard.packets.iter().any(|packet| is_keyframe(&packet.payload));
    assert!(late.client.wait(PATIENCE, key));
    let packets = late.client.heard();
    let packets = packets.of(l.seen);
    let first_key = packets.iter().position(|packet| is_keyframe(&packet.payload)).unwrap();
    assert!(first_key < 15, "{first_key} pictures before the key frame");
    // A flood of requests is merged.
    let before = publisher.client.heard().keyframe_requests[&p.cam];
    let flood = Instant::now();
    while flood.elapsed() < Duration::from_millis(1200) {
        late.client.request_keyframe(l.seen);
        std::thread::sleep(Duration::from_millis(20));
    }
    let asked = publisher.client.heard().keyframe_requests[&p.cam] - before;
    assert!((1..=4).contains(&asked), "{asked} requests");
}

#[test]
fn red_passes_or_is_opened() {
    let mut world = World::new();
    let (mut publisher, mut with, mut without) = (world.peer(), world.peer(), world.peer());
    publisher
        .session
        .section("0", MediaKind::Audio, vec![red(63, 111), opus(111)])
        .receive("0", "mic", &[plain(10)]);
    with.session
        .section("0", MediaKind::Audio, vec![red(62, 111), opus(111)])
        .send("0", "heard", plain(20));
    without
        .session
        .section("0", MediaKind::Audio, vec![opus(109)])
        .send("0", "heard", plain(30));
    for peer in [&mut publisher, &mut with, &mut without] {
        world.apply(peer);
    }
    for peer in [&with, &without] {
        world.subscribe(peer, vec![rtp(&publisher, "mic", "heard", MediaKind::Audio)]);
    }
    publisher.client.send_red(10, 63, 111);
    assert!(with.client.wait(PATIENCE, |heard| heard.count(20) > 20));
    assert!(without.client.wait(PATIENCE, |heard| heard.count(30) > 20));
    let heard = with.client.heard();
    assert!(
        heard
            .of(20)
            .iter()
            .all(|packet| packet.payload_type == 62 && packet.payload.len() > 80)
    );
    let heard = without.client.heard();
    let packets = heard.of(30);
    assert!(
        packets
            .iter()
            .all(|packet| packet.payload_type == 109 && packet.payload.len() == 80 && packet.payload[0] == 0xf8)
    );
    assert!(packets.windows(2).all(|pair| pair[1].sequence == pair[0].sequence + 1));
}

#[test]
fn a_subscriber_without_the_codec_gets_nothing() {
    let mut world = World::new();
    let (mut publisher, mut watcher) = (world.peer(), world.peer());
    let p = both_ways(&mut publisher, 111, 96);
    let vp9 = negotiation::Codec {
        format: negotiation::CodecFormat::Vp9 { profile: 0 },
        ..vp8(98, Some(99))
    };
    watcher
        .session
        .section("0", MediaKind::Video, vec![vp9])
        .send("0", "seen", layer(20));
    world.apply(&mut publisher);
    world.apply(&mut watcher);
    world.subscribe(&watcher, vec![rtp(&publisher, "cam", "seen", MediaKind::Video)]);
    assert!(watcher.client.wait(PATIENCE, |heard| heard.connected));
    publisher.client.send_video(&[p.cam], 96, Video::new(1, 300, 1));
    let deadline = Instant::now() + PATIENCE;
    while world.sfu.stats().dropped_no_codec < 20 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(world.sfu.stats().dropped_no_codec >= 20);
    assert_eq!(watcher.client.heard().count(20), 0);
}

#[test]
fn a_section_is_used_again_for_another_track() {
    let mut world = World::new();
    let (mut publisher, mut watcher) = (world.peer(), world.peer());
    publisher
        .session
        .section("0", MediaKind::Video, vec![vp8(96, Some(97))])
        .section("1", MediaKind::Video, vec![vp8(96, Some(97))])
        .receive("0", "one", &[layer(10)])
        .receive("1", "two", &[layer(12)]);
    watcher
        .session
        .section("0", MediaKind::Video, vec![vp8(96, Some(97))])
        .send("0", "x1", layer(20));
    world.apply(&mut publisher);
    world.apply(&mut watcher);
    world.subscribe(&watcher, vec![rtp(&publisher, "one", "x1", MediaKind::Video)]);
    publisher.client.send_video(&[10], 96, Video::new(1, 300, 1));
    publisher.client.send_video(&[12], 96, Video::new(1, 700, 1));
    assert!(watcher.client.wait(PATIENCE, |heard| heard.count(20) > 20));
    watcher.session.stop("0", false, true);
    world.apply(&mut watcher);
    watcher.session.send("0", "x2", layer(30));
    world.apply(&mut watcher);
    world.subscribe(&watcher, vec![rtp(&publisher, "two", "x2", MediaKind::Video)]);
    assert!(watcher.client.wait(PATIENCE, |heard| heard.count(30) > 20));
    let heard = watcher.client.heard();
    assert!(heard.of(30).iter().all(|packet| packet.payload.len() == 700));
    assert!(heard.of(20).iter().all(|packet| packet.payload.len() == 300));
    // The same SSRC for another track goes on with its numbers.
    let last = heard.of(30).last().map(|packet| packet.sequence).unwrap();
    world.subscribe(&watcher, vec![rtp(&publisher, "one", "x2", MediaKind::Video)]);
    let other =
        |heard: &testkit::media::Heard| heard.of(30).iter().filter(|packet| packet.payload.len() == 300).count() > 20;
    assert!(watcher.client.wait(PATIENCE, other));
    let heard = watcher.client.heard();
    assert!(
        heard
            .of(30)
            .iter()
            .filter(|packet| packet.payload.len() == 300)
            .all(|packet| packet.sequence > last)
    );
}
