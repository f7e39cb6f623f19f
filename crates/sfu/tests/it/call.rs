//! Two people, microphone and camera, both ways.

use negotiation::{DtlsRole, MediaKind};
use sfu::Event;
use testkit::media::{Video, is_keyframe};

use crate::world::{PATIENCE, World, both_ways, rtp};

#[test]
fn two_clients_hear_and_see_each_other() {
    let mut world = World::new();
    let mut alice = world.peer();
    let mut bob = world.peer_as(DtlsRole::Client);
    let a = both_ways(&mut alice, 111, 96);
    let b = both_ways(&mut bob, 109, 120);
    world.apply(&mut alice);
    world.apply(&mut bob);
    world.subscribe(
        &alice,
        vec![
            rtp(&bob, "mic", "heard", MediaKind::Audio),
            rtp(&bob, "cam", "seen", MediaKind::Video),
        ],
    );
    world.subscribe(
        &bob,
        vec![
            rtp(&alice, "mic", "heard", MediaKind::Audio),
            rtp(&alice, "cam", "seen", MediaKind::Video),
        ],
    );
    for (peer, streams, opus, vp8) in [(&alice, &a, 111, 96), (&bob, &b, 109, 120)] {
        peer.client.send_audio(streams.mic, opus);
        peer.client.send_video(&[streams.cam], vp8, Video::new(3, 1000, 1));
    }
    for (peer, streams, opus, vp8) in [(&alice, &a, 111, 96), (&bob, &b, 109, 120)] {
        let enough = peer.client.wait(PATIENCE, |heard| {
            heard.count(streams.heard) > 50 && heard.count(streams.seen) > 90
        });
        let heard = peer.client.heard();
        assert!(enough, "{:?} {:?} {:?}", heard.counts, heard.failed, world.sfu.stats());
        let audio = heard.of(streams.heard);
        assert!(
            audio
                .iter()
                .all(|packet| packet.payload_type == opus && packet.audio_level == Some(-30))
        );
        assert!(
            audio
                .windows(2)
                .all(|pair| pair[1].sequence == pair[0].sequence + 1 && pair[1].timestamp == pair[0].timestamp + 960)
        );
        assert!(audio[0].sequence < 1 << 15);
        let video = heard.of(streams.seen);
        assert!(
            video
                .iter()
                .all(|packet| packet.payload_type == vp8 && packet.payload.len() == 1000)
        );
        assert!(video.iter().any(|packet| is_keyframe(&packet.payload)));
        assert!(world.wait_event(|event| matches!(event, Event::Connected { transport } if *transport == peer.id)));
    }
}
