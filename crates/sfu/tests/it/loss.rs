//! Bad networks.

use std::time::Duration;

use negotiation::MediaKind;
use testkit::media::{Video, vp8};
use testkit::relay::Conditions;

use crate::world::{PATIENCE, Peer, World, layer, plain, rtp};

const BAD: Conditions = Conditions {
    lost_per_mille: 50,
    delay: Duration::from_millis(10),
    seed: 7,
};

/// Video over 5 % loss to whoever watches; how much of what was sent arrives in the end.
fn delivered(world: &mut World, publisher: &mut Peer, watcher: &mut Peer) -> f64 {
    let (cam, seen) = (10, 20);
    publisher
        .session
        .section("0", MediaKind::Video, vec![vp8(96, Some(97))])
        .receive("0", "cam", &[layer(10)]);
    world.apply(publisher);
    world.apply(watcher);
    world.subscribe(watcher, vec![rtp(publisher, "cam", "seen", MediaKind::Video)]);
    assert!(publisher.client.wait(PATIENCE, |heard| heard.connected));
    assert!(watcher.client.wait(PATIENCE, |heard| heard.connected));
    publisher.client.send_video(&[cam], 96, Video::new(3, 600, 1));
    assert!(
        watcher.client.wait(PATIENCE, |heard| heard.count(seen) > 600),
        "{:?}",
        watcher.client.heard().counts
    );
    std::thread::sleep(Duration::from_millis(500));
    let heard = watcher.client.heard();
    let mut numbers: Vec<u64> = heard.of(seen).iter().map(|packet| packet.sequence).collect();
    numbers.sort_unstable();
    let count = numbers.len();
    numbers.dedup();
    assert_eq!(numbers.len(), count, "a packet came twice");
    // The last ones may still be on their way.
    let (first, last) = (numbers[0], numbers[count - 1] - 30);
    let arrived = numbers.iter().filter(|number| **number <= last).count();
    arrived as f64 / (last - first + 1) as f64
}

#[test]
fn retransmissions_repair_both_legs() {
    let mut world = World::new();
    let (mut publisher, mut watcher) = (world.peer_behind(BAD), world.peer_behind(Conditions { seed: 8, ..BAD }));
    watcher
        .session
        .section("0", MediaKind::Video, vec![vp8(96, Some(97))])
        .send("0", "seen", layer(20));
    let share = delivered(&mut world, &mut publisher, &mut watcher);
    assert!(share > 0.99, "{share}");
}

#[test]
fn clients_without_rtx_get_the_same_bytes_again() {
    let mut world = World::new();
    let (mut publisher, mut watcher) = (world.peer(), world.peer_behind(Conditions { seed: 9, ..BAD }));
    watcher
        .session
        .section("0", MediaKind::Video, vec![vp8(120, None)])
        .send("0", "seen", plain(20));
    let share = delivered(&mut world, &mut publisher, &mut watcher);
    assert!(share > 0.99, "{share}");
}

#[test]
fn reports_go_both_ways_and_keep_the_publishers_clock() {
    let mut world = World::new();
    let (mut publisher, mut watcher) = (world.peer(), world.peer());
    let p = crate::world::both_ways(&mut publisher, 111, 96);
    let w = crate::world::both_ways(&mut watcher, 111, 96);
    world.apply(&mut publisher);
    world.apply(&mut watcher);
    world.subscribe(
        &watcher,
        vec![
            rtp(&publisher, "mic", "heard", MediaKind::Audio),
            rtp(&publisher, "cam", "seen", MediaKind::Video),
        ],
    );
    publisher.client.send_audio(p.mic, 111);
    publisher.client.send_video(&[p.cam], 96, Video::new(1, 300, 1));
    let reports =
        |heard: &testkit::media::Heard, ssrc: u32| heard.sender_reports.iter().filter(|(s, ..)| *s == ssrc).count();
    assert!(watcher.client.wait(PATIENCE, |heard| reports(heard, w.heard) >= 5
        && reports(heard, w.seen) >= 5));
    // The generators start both streams together: at equal clocks, equal media time.
    let reports = watcher.client.heard().sender_reports;
    let last = |ssrc: u32| reports.iter().rev().find(|(s, ..)| *s == ssrc).copied().unwrap();
    let ((_, audio_clock, audio), (_, video_clock, video)) = (last(w.heard), last(w.seen));
    let audio_at = f64::from(audio.wrapping_sub(960)) / 48_000.0;
    let video_at = f64::from(video.wrapping_sub(100_000)) / 90_000.0;
    let clocks = audio_clock
        .duration_since(video_clock)
        .map_or_else(|e| -e.duration().as_secs_f64(), |d| d.as_secs_f64());
    let skew = audio_at - video_at - clocks;
    assert!(skew.abs() < 0.04, "streams are {skew} s apart");
}
