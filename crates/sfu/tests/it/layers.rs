//! Simulcast: one layer goes to a subscriber, and switches are seamless.

use std::time::Duration;

use negotiation::MediaKind;
use testkit::media::{Video, is_keyframe, vp8};

use crate::world::{PATIENCE, World, layer, rtp};

const LAYERS: [u32; 3] = [100, 200, 300];

#[test]
fn the_highest_living_layer_is_sent_and_numbers_go_on() {
    let mut world = World::new();
    let mut publisher = world.peer();
    let mut watcher = world.peer();
    publisher
        .session
        .section("0", MediaKind::Video, vec![vp8(96, Some(97))])
        .receive("0", "cam", &LAYERS.map(layer));
    watcher
        .session
        .section("0", MediaKind::Video, vec![vp8(96, Some(97))])
        .send("0", "seen", layer(900));
    world.apply(&mut publisher);
    world.apply(&mut watcher);
    world.subscribe(&watcher, vec![rtp(&publisher, "cam", "seen", MediaKind::Video)]);
    publisher.client.send_video(&LAYERS, 96, Video::new(2, 400, 0));
    // The generator gives layer n timestamps from 100 000 · n; only the first shows through.
    assert!(watcher.client.wait(PATIENCE, |heard| heard.count(900) > 60));
    publisher.client.silence(LAYERS[2], true);
    std::thread::sleep(Duration::from_millis(2500));
    publisher.client.silence(LAYERS[2], false);
    std::thread::sleep(Duration::from_millis(1500));
    let before = watcher.client.heard().count(900);
    assert!(watcher.client.wait(PATIENCE, |heard| heard.count(900) > before + 30));

    let heard = watcher.client.heard();
    let mut packets = heard.of(900);
    packets.sort_by_key(|packet| packet.sequence);
    assert!(is_keyframe(&packets[0].payload));
    assert!(
        packets.windows(2).all(|pair| pair[1].sequence == pair[0].sequence + 1),
        "no gap at a switch"
    );
    let picture = |payload: &[u8]| u16::from_be_bytes([payload[2] & 0x7f, payload[3]]);
    for pair in packets.windows(2) {
        let step = picture(&pair[1].payload).wrapping_sub(picture(&pair[0].payload)) & 0x7fff;
        assert!(step <= 1, "picture ids step by {step}");
        let ticks = pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32;
        assert!((0..180_000).contains(&ticks), "timestamps step by {ticks}");
    }
    let keys = packets.iter().filter(|packet| is_keyframe(&packet.payload)).count();
    assert!(
        (3..=6).contains(&keys),
        "{keys} key frames for a start and two switches"
    );
    let requests = publisher.client.heard().keyframe_requests;
    assert!(
        requests.get(&LAYERS[2]).is_some_and(|count| *count <= 6),
        "{requests:?}"
    );
}
