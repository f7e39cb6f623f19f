//! Packets, and the streams that carry them.

use std::collections::BTreeSet;
use std::time::Duration;

use negotiation::{DtlsRole, Extension, MediaKind, STREAMS_MAX};
use testkit::media::{Order, Video, opus, vp8};

use super::super::{Engine, Engines, HeaderExtensions, Polled, SendHandle, Sent, Vp8Ids};
use super::world::{HEARD, MIC, SEEN, World, both_ways, is_rtp_of, plain, repaired};

pub(super) fn packets_go_both_ways<F: Engines>(engines: &F) {
    for role in [DtlsRole::Server, DtlsRole::Client] {
        let mut world = World::new(engines, role, both_ways);
        world.connect();
        let bindings = &world.bindings;
        let tracks = |kind: MediaKind| bindings.receives.iter().filter(move |track| track.kind == kind);
        assert_eq!(&*tracks(MediaKind::Audio).next().unwrap().track_id, "mic");
        assert_eq!(&*tracks(MediaKind::Video).next().unwrap().track_id, "cam");
        assert_eq!(&*bindings.sends[1].track_id, "seen");
        world.order(Order::Audio {
            ssrc: MIC,
            payload_type: 111,
            red_of: None,
        });
        world.publish();
        world.run(Duration::from_secs(1));
        let (mic, cam) = (world.layer(0), world.layer(1));
        let (audio, video) = (world.sequences(mic), world.sequences(cam));
        assert!(
            audio.len() > 40 && audio.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "{audio:?}"
        );
        assert!(
            video.len() > 70 && video.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "{video:?}"
        );
        let packet = world.packets.iter().find(|packet| packet.stream == cam).unwrap();
        assert_eq!((packet.payload_type, packet.payload.len()), (96, 500));
        assert!(packet.arrival >= world.began && packet.arrival <= world.now);

        let first = world.send(world.stream(1), 96, 20);
        world.send(world.stream(0), 111, 20);
        assert!(world.until(|world| world.heard.count(SEEN) == 20 && world.heard.count(HEARD) == 20));
        let seen = world.heard.of(SEEN);
        for (packet, sequence) in seen.iter().zip(first..) {
            assert_eq!((packet.sequence, packet.timestamp), (sequence, (sequence * 900) as u32));
            assert!(packet.marker && packet.payload_type == 96 && packet.payload.len() == 600);
            assert_eq!(packet.payload[10..18], sequence.to_be_bytes());
        }
    }
}

pub(super) fn header_extensions_travel<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    world.order(Order::Audio {
        ssrc: MIC,
        payload_type: 111,
        red_of: None,
    });
    world.run(Duration::from_millis(200));
    let level = Some((-30, Some(true)));
    assert!(
        world
            .packets
            .iter()
            .all(|packet| packet.extensions.audio_level == level)
    );
    let mut packet = world.packet(111);
    packet.extensions = HeaderExtensions {
        audio_level: Some((-42, Some(false))),
        ..HeaderExtensions::default()
    };
    assert!(world.give(world.stream(0), &packet));
    world.handle_timeout();
    assert!(world.until(|world| world.heard.count(HEARD) == 1));
    assert_eq!(world.heard.of(HEARD)[0].audio_level, Some(-42));
}

pub(super) fn handles_stay_over_a_renegotiation<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    let before = world.bindings.clone();
    world.send(world.stream(1), 96, 5);
    world
        .session
        .section("2", MediaKind::Video, vec![vp8(96, Some(97))])
        .receive("2", "screen", &[repaired(500)])
        .send("2", "other", repaired(600));
    world.apply();
    assert_eq!(world.bindings.receives[..2], before.receives[..]);
    assert_eq!(world.bindings.sends[..2], before.sends[..]);
    let same = world.bindings.clone();
    world.apply();
    assert_eq!(world.bindings, same);
    let handles: BTreeSet<SendHandle> = world.bindings.sends.iter().map(|track| track.stream).collect();
    assert_eq!(handles.len(), 3);
    world.send(world.stream(1), 96, 5);
    world.send(world.stream(2), 96, 5);
    assert!(world.until(|world| world.heard.count(SEEN) == 10 && world.heard.count(600) == 5));
    world.order(Order::Video {
        ssrcs: vec![500],
        payload_type: 96,
        video: Video::new(1, 300, 1),
    });
    let screen = world.layer(2);
    assert!(world.until(|world| world.sequences(screen).len() > 20));
}

pub(super) fn a_stream_pauses_and_goes_on<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    let stream = world.stream(1);
    world.send(stream, 96, 5);
    assert!(world.until(|world| world.heard.count(SEEN) == 5));
    world.session.stop("1", false, true);
    world.apply();
    assert_eq!(world.bindings.paused, [stream]);
    assert!(world.bindings.sends.iter().all(|track| track.stream != stream));
    world.session.send("1", "seen", repaired(SEEN));
    world.apply();
    assert_eq!((world.stream(1), world.bindings.paused.len()), (stream, 0));
    world.send(stream, 96, 5);
    assert!(world.until(|world| world.heard.count(SEEN) == 10));
}

/// Sealing with it again could use a nonce twice.
pub(super) fn an_ssrc_that_was_given_up_is_not_used_again<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    world.send(world.stream(1), 96, 5);
    world.session.send("1", "seen", repaired(600));
    world.apply();
    assert_eq!(world.bindings.sends.len(), 2);
    world.session.send("1", "seen", repaired(SEEN));
    world.apply();
    assert_eq!(world.bindings.sends.len(), 1, "{:?}", world.bindings.sends);
}

pub(super) fn a_section_is_used_again_for_another_track<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    let (before, camera) = (world.stream(1), world.layer(1));
    world
        .session
        .send("1", "another", repaired(600))
        .receive("1", "screen", &[repaired(700)]);
    world.apply();
    assert_ne!(world.stream(1), before);
    assert_ne!(world.layer(1), camera);
    assert_eq!(&*world.bindings.sends[1].track_id, "another");
    assert_eq!(&*world.bindings.receives[1].track_id, "screen");
    world.send(world.stream(1), 96, 5);
    assert!(world.until(|world| world.heard.count(600) == 5));
    let packet = world.packet(96);
    assert!(!world.give(before, &packet));
    world.order(Order::Video {
        ssrcs: vec![700],
        payload_type: 96,
        video: Video::new(1, 300, 1),
    });
    let screen = world.layer(1);
    assert!(world.until(|world| world.sequences(screen).len() > 20));
}

/// Audio of the client begins at 60,000 and wraps after 5,536 packets.
pub(super) fn sequence_numbers_are_extended<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    world.order(Order::Audio {
        ssrc: MIC,
        payload_type: 111,
        red_of: None,
    });
    world.run(Duration::from_secs(120));
    let mic = world.layer(0);
    let sequences = world.sequences(mic);
    assert!(sequences.len() > 5900, "{}", sequences.len());
    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert!(sequences.last().is_some_and(|last| *last > 65_536));
}

pub(super) fn a_stream_without_ssrc_is_found_by_its_mid<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    // Only the client is told the SSRCs: another session with the same keys.
    let mut told = world.session.clone();
    world.session.receive("0", "mic", &[]);
    world.apply();
    let mic = world.layer(0);
    let told = told.build();
    world.client.apply(&told, world.now, &mut world.heard);
    world.connect();
    world.order(Order::Audio {
        ssrc: MIC,
        payload_type: 111,
        red_of: None,
    });
    assert!(world.until(|world| world.sequences(mic).len() > 20));
}

pub(super) fn vp8_ids_are_replaced_in_place<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    let mut packet = world.packet(96);
    // X; I, L, T, K; a long picture id, TL0PICIDX, TID and KEYIDX (RFC 7741 section 4.2).
    let mut payload = packet.payload.to_vec();
    payload[..6].copy_from_slice(&[0x90, 0xf0, 0x81, 0x02, 7, 0x20]);
    packet.payload = payload.clone().into();
    packet.vp8 = Some(Vp8Ids {
        picture_id: Some(0x1234),
        tl0_pic_idx: Some(9),
    });
    assert!(world.give(world.stream(1), &packet));
    world.handle_timeout();
    assert!(world.until(|world| world.heard.count(SEEN) == 1));
    payload[2..5].copy_from_slice(&[0x92, 0x34, 9]);
    assert_eq!(world.heard.of(SEEN)[0].payload, payload);
}

/// Packets whose payloads are so long, of frames that have others.
fn give_rounded<E: Engine>(world: &mut World<E>, lengths: std::ops::Range<usize>) {
    for length in lengths {
        let mut packet = world.packet(96);
        packet.payload = packet.payload[..length].into();
        packet.rounded = true;
        assert!(world.give(world.stream(1), &packet));
    }
    world.handle_timeout();
}

pub(super) fn padding_is_no_payload<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    give_rounded(&mut world, 100..120);
    assert!(world.until(|world| world.heard.count(SEEN) == 20));
    let lengths = world.heard.of(SEEN).into_iter().map(|packet| packet.payload.len());
    assert!(lengths.eq(100..120));
}

pub(super) fn packets_of_a_frame_are_made_equally_long<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    world.sent.clear();
    give_rounded(&mut world, 100..116);
    let mut lengths: Vec<usize> = world
        .sent
        .iter()
        .filter(|sent| is_rtp_of(sent, SEEN))
        .map(Vec::len)
        .collect();
    assert_eq!(lengths.len(), 16);
    lengths.dedup();
    assert!(lengths.len() <= 3, "{lengths:?}");
}

pub(super) fn a_stream_that_is_not_there_is_refused<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, |session| {
        session
            .section("0", MediaKind::Audio, vec![opus(111)])
            .send("0", "heard", plain(HEARD));
    });
    assert!(
        world.session.build().sections[0]
            .extensions
            .contains(&(4, Extension::Mid))
    );
    world.connect();
    let packet = world.packet(111);
    assert!(!world.give(SendHandle(7), &packet));
    world.send(world.stream(0), 111, 3);
    assert!(world.until(|world| world.heard.count(HEARD) == 3));
}

/// One client stays while others follow each other in a section, and is sent pictures of each; no memory is kept of those
/// who went.
pub(super) fn twenty_thousand_may_come_and_go<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    let mut ssrcs = (10_000..).step_by(STREAMS_MAX);
    let mut kept = 0;
    for thousand in 0..20 {
        let counted = allocation_counter::measure(|| {
            for ssrc in ssrcs.by_ref().take(999) {
                world.session.send("1", "other", repaired(ssrc));
                let (session, packet) = (world.session.build(), world.packet(96));
                let stream = world.engine.apply(&session, world.now).unwrap().sends[1].stream;
                let sent = world.engine.send(stream, &packet, world.now, &mut [0; 2048]);
                assert!(matches!(sent, Sent::Written(_)), "{ssrc}");
                world.engine.handle_timeout(world.now).unwrap();
                while let Polled::Output(_) = world.engine.poll().unwrap() {}
                world.now += Duration::from_millis(100);
            }
        });
        // In the first thousand buffers grow as large as they will be.
        kept += if thousand == 0 { 0 } else { counted.bytes_current };
        // The client, which remembers everybody, is there for the last of them.
        let ssrc = ssrcs.next().unwrap();
        world.session.send("1", "other", repaired(ssrc));
        world.apply();
        world.send(world.stream(1), 96, 3);
        assert!(world.until(|world| world.heard.count(ssrc) == 3), "{ssrc}");
    }
    assert!(kept < 10_000, "{kept} bytes are kept");
}
