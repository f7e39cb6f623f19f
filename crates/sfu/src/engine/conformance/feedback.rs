//! What both sides tell each other about the media: RTCP.

use std::time::{Duration, SystemTime};

use negotiation::DtlsRole;
use testkit::media::{Order, Video};

use super::super::{Engine, Engines};
use super::world::{CAM, HEARD, MIC, SEEN, Way, World, both_ways};

pub(super) fn key_frames_are_asked_for_both_ways<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    let (seen, cam) = (world.stream(1), world.layer(1));
    world.send(seen, 96, 5);
    world.order(Order::RequestKeyframe { ssrc: SEEN });
    assert!(world.until(|world| world.keyframes_wanted == [seen]));
    world.order(Order::RequestIntra { ssrc: SEEN });
    assert!(world.until(|world| world.keyframes_wanted == [seen, seen]));
    world.order(Order::Video {
        ssrcs: vec![CAM],
        payload_type: 96,
        video: Video::new(1, 300, 1),
    });
    assert!(world.until(|world| world.sequences(cam).len() > 10));
    world.engine.request_keyframe(cam);
    world.handle_timeout();
    assert!(world.until(|world| world.heard.keyframe_requests.get(&CAM) == Some(&1)));
}

/// The client reports twice a second for each stream.
pub(super) fn the_publishers_clock_arrives<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    world.order(Order::Audio {
        ssrc: MIC,
        payload_type: 111,
        red_of: None,
    });
    world.order(Order::Video {
        ssrcs: vec![CAM],
        payload_type: 96,
        video: Video::new(1, 300, 1),
    });
    world.run(Duration::from_secs(5));
    for (stream, rate) in [(world.layer(0), 48_000.0), (world.layer(1), 90_000.0)] {
        let reports: Vec<_> = world.reports.iter().filter(|report| report.stream == stream).collect();
        assert!(reports.len() >= 4, "{reports:?}");
        let (first, last) = (reports[0], reports[reports.len() - 1]);
        let clock_s = (last.sender_clock_us - first.sender_clock_us) as f64 / 1e6;
        let media_s = f64::from(last.timestamp.wrapping_sub(first.timestamp)) / rate;
        assert!(clock_s > 1.0 && (clock_s - media_s).abs() < 0.02, "{clock_s} {media_s}");
        assert!(last.arrival <= world.now && last.arrival > first.arrival);
    }
}

/// Two streams captured at the same moments, one of which is sent late, are told to belong together.
pub(super) fn sender_reports_keep_the_capture_times<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    let (heard, seen) = (world.stream(0), world.stream(1));
    world.run(Duration::from_secs(1));
    let start = world.now;
    let late = Duration::from_millis(120);
    for frame in 0..200_u32 {
        let captured = start + frame * Duration::from_millis(20);
        let mut audio = world.packet(111);
        (audio.captured, audio.timestamp, audio.repairable) = (captured, 960 * frame, false);
        world.now = world.now.max(captured);
        assert!(world.give(heard, &audio));
        if let Some(shown) = frame.checked_sub(6) {
            let mut video = world.packet(96);
            (video.captured, video.timestamp) = (captured - late, 500_000 + 1800 * shown);
            assert!(world.give(seen, &video));
        }
        world.handle_timeout();
        world.run(Duration::from_millis(19));
    }
    let last = |ssrc: u32| {
        let mut of_stream = world.heard.sender_reports.iter().filter(|(of, ..)| *of == ssrc);
        assert!(of_stream.clone().count() >= 3, "{ssrc}");
        *of_stream.next_back().unwrap()
    };
    let ((_, audio_clock, audio), (_, video_clock, video)) = (last(HEARD), last(SEEN));
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let audio_began = since(audio_clock) - f64::from(audio) / 48_000.0;
    let video_began = since(video_clock) - f64::from(video - 500_000) / 90_000.0;
    let skew = audio_began - video_began;
    assert!(skew.abs() < 0.005, "they are told to be {skew} s apart");
    let now = since(SystemTime::now());
    assert!((audio_began - now).abs() < 60.0, "the clock is the time of day");
}

pub(super) fn publishers_get_reports_and_transport_feedback<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    world.publish();
    let cam = world.layer(1);
    assert!(world.until(|world| world.sequences(cam).len() > 100));
    world.run(Duration::from_secs(3));
    let told = world.heard.feedback[&CAM].clone();
    assert!(
        told.reports >= 3 && told.fraction_lost == 0 && told.names_report,
        "{told:?}"
    );
    assert!(
        world.heard.transport_feedback >= 20,
        "{}",
        world.heard.transport_feedback
    );
    // Loss is told, too.
    let mut count = 0;
    world.fate = Box::new(move |way, datagram| {
        count += 1;
        usize::from(way == Way::ToClient || !(128..192).contains(&datagram[0]) || count % 4 != 0)
    });
    world.run(Duration::from_secs(3));
    assert!(
        world.heard.feedback[&CAM].fraction_lost >= 10,
        "{:?}",
        world.heard.feedback
    );
}
