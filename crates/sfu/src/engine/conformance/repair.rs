//! What is lost, and comes again.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use negotiation::{DtlsRole, MediaKind};
use testkit::media::{Order, vp8};
use testkit::mutate::Dice;

use super::super::rtc::rtp_identity;
use super::super::{Engine, Engines};
use super::world::{CAM, SEEN, Way, World, both_ways, is_rtp_of, plain, repaired};

/// Loses every tenth datagram of a stream, the first time.
fn lossy<E: Engine>(world: &mut World<E>, way: Way, ssrc: u32) {
    let mut seen = 0;
    world.fate = Box::new(move |of, datagram| {
        if of != way || !is_rtp_of(datagram, ssrc) {
            return 1;
        }
        seen += 1;
        usize::from(seen % 10 != 5)
    });
}

pub(super) fn a_lost_packet_comes_again_on_rtx<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    world.send(world.stream(1), 96, 3);
    lossy(&mut world, Way::ToClient, SEEN);
    let first = world.send(world.stream(1), 96, 200);
    assert!(world.until(|world| world.heard.count(SEEN) >= 202));
    let heard: BTreeSet<u64> = world.heard.of(SEEN).iter().map(|packet| packet.sequence).collect();
    assert!(
        (first..first + 199).all(|sequence| heard.contains(&sequence)),
        "{heard:?}"
    );
    for packet in world.heard.of(SEEN) {
        assert_eq!(packet.payload[10..18], packet.sequence.to_be_bytes());
    }
    // On its own stream, with numbers of its own, each once.
    let repairs = world.sent.iter().filter(|datagram| is_rtp_of(datagram, SEEN + 1));
    let numbers: Vec<u16> = repairs.filter_map(|datagram| Some(rtp_identity(datagram)?.1)).collect();
    let distinct: BTreeSet<u16> = numbers.iter().copied().collect();
    assert!(numbers.len() >= 20 && distinct.len() == numbers.len(), "{numbers:?}");
}

/// A second sealing of the same number with other bytes would use a nonce twice.
pub(super) fn without_rtx_the_same_bytes_come_again<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, |session| {
        session
            .section("1", MediaKind::Video, vec![vp8(96, None)])
            .send("1", "seen", plain(SEEN));
    });
    world.connect();
    world.send(world.stream(0), 96, 3);
    lossy(&mut world, Way::ToClient, SEEN);
    let first = world.send(world.stream(0), 96, 200);
    assert!(world.until(|world| world.heard.count(SEEN) >= 202));
    let heard: BTreeSet<u64> = world.heard.of(SEEN).iter().map(|packet| packet.sequence).collect();
    assert!(
        (first..first + 199).all(|sequence| heard.contains(&sequence)),
        "{heard:?}"
    );
    let mut bytes: HashMap<u16, &[u8]> = HashMap::new();
    let mut again = 0;
    for datagram in world.sent.iter().filter(|datagram| is_rtp_of(datagram, SEEN)) {
        let (_, sequence) = rtp_identity(datagram).unwrap();
        if let Some(before) = bytes.insert(sequence, datagram) {
            assert_eq!(before, &datagram[..]);
            again += 1;
        }
    }
    assert!(again >= 20, "{again}");
}

pub(super) fn a_packet_lost_on_the_way_in_is_asked_for<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    world.publish();
    let cam = world.layer(1);
    assert!(world.until(|world| world.sequences(cam).len() > 30));
    lossy(&mut world, Way::ToEngine, CAM);
    world.run(Duration::from_secs(3));
    let sequences = world.sequences(cam);
    let heard: BTreeSet<u64> = sequences.iter().copied().collect();
    let (first, last) = (sequences[0], *heard.last().unwrap());
    assert_eq!(heard.len(), sequences.len(), "a packet came twice");
    // The last ones may still be on their way.
    let missing: Vec<u64> = (first..last - 20)
        .filter(|sequence| !heard.contains(sequence))
        .collect();
    assert!(
        missing.is_empty() && last > first + 200,
        "{missing:?} of {first} to {last}"
    );
    let repaired: Vec<&[u8]> = world
        .packets
        .iter()
        .filter(|packet| packet.stream == cam && packet.payload_type != 96)
        .map(|packet| &packet.payload[..])
        .collect();
    assert!(repaired.is_empty(), "a retransmission is told as what it repairs");
    assert!(world.packets.iter().all(|packet| packet.payload.len() == 500));
}

/// Who reads one in eight and asks for the rest again and again gets some, and no more.
pub(super) fn retransmissions_are_bounded<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, |session| {
        session
            .section("1", MediaKind::Video, vec![vp8(96, Some(97))])
            .send("1", "seen", repaired(SEEN));
    });
    world.connect();
    world.send(world.stream(0), 96, 3);
    world.order(Order::ReadOneIn(8));
    world.sent.clear();
    let stream = world.stream(0);
    for _ in 0..500 {
        for _ in 0..10 {
            let packet = world.packet(96);
            assert!(world.give(stream, &packet));
        }
        world.handle_timeout();
        world.run(Duration::from_millis(10));
    }
    let count = |ssrc| world.sent.iter().filter(|datagram| is_rtp_of(datagram, ssrc)).count();
    let (sent, again) = (count(SEEN), count(SEEN + 1));
    assert_eq!(sent, 5000);
    assert!((1000..=2 * sent + 1024).contains(&again), "{again}");
}

/// With a twentieth of everything lost each way, and 10 ms for an answer, hardly a packet is late by more than a few.
pub(super) fn losses_are_repaired_soon<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    let mut dice = Dice::new(1);
    world.fate = Box::new(move |_, datagram| usize::from(datagram[0] < 128 || dice.below(20) != 0));
    world.publish();
    let (cam, seen) = (world.layer(1), world.stream(1));
    let mut sent = Vec::new();
    for _ in 0..1500 {
        let packet = world.packet(96);
        sent.push((packet.sequence, world.now));
        assert!(world.give(seen, &packet));
        world.run(Duration::from_millis(10));
    }
    world.run(Duration::from_secs(1));
    // The publisher's frames are 3000 ticks apart.
    let base = world.packets[0].clone();
    let came = world
        .packets
        .iter()
        .filter(|packet| packet.stream == cam)
        .map(|packet| {
            let ticks = packet.timestamp.wrapping_sub(base.timestamp);
            let due = base.arrival + Duration::from_nanos(u64::from(ticks) * 1_000_000_000 / 90_000);
            packet.arrival.saturating_duration_since(due)
        });
    let went = world.heard.of(SEEN).into_iter().map(|packet| {
        let (_, at) = sent.iter().find(|(sequence, _)| *sequence == packet.sequence).unwrap();
        packet.at.saturating_duration_since(*at)
    });
    for (way, mut late) in [("in", came.collect::<Vec<_>>()), ("out", went.collect())] {
        late.sort_unstable();
        let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize];
        println!(
            "{way}: {} packets, 96 % {:?}, 99 % {:?}, 99.9 % {:?}, all {:?}",
            late.len(),
            at(0.96),
            at(0.99),
            at(0.999),
            at(1.0)
        );
        assert!(late.len() >= 1490 && at(0.99) < Duration::from_millis(120), "{way}");
    }
}

/// After an outage a key frame comes. What was lost in it would be shown late, and browsers then show late for seconds what
/// follows, too.
pub(super) fn nothing_is_repaired_over_a_change_of_the_path<F: Engines>(engines: &F) {
    for changes in [false, true] {
        let mut world = World::new(engines, DtlsRole::Server, both_ways);
        world.connect();
        world.publish();
        let (cam, seen) = (world.layer(1), world.stream(1));
        assert!(world.until(|world| world.sequences(cam).len() > 30));
        world.send(seen, 96, 30);
        world.run(Duration::from_millis(200));
        world.fate = Box::new(|_, datagram| usize::from(!is_rtp_of(datagram, CAM) && !is_rtp_of(datagram, SEEN)));
        let lost = world.send(seen, 96, 10);
        world.run(Duration::from_millis(500));
        let before = *world.sequences(cam).last().unwrap();
        if changes {
            world.engine.path_changed();
        }
        world.fate = Box::new(|_, _| 1);
        let next = world.send(seen, 96, 10);
        world.run(Duration::from_secs(1));
        let after: BTreeSet<u64> = world
            .sequences(cam)
            .into_iter()
            .filter(|sequence| *sequence > before)
            .collect();
        let again = world
            .heard
            .of(SEEN)
            .iter()
            .filter(|packet| (lost..next).contains(&packet.sequence))
            .count();
        let gap = after.first().unwrap() - before;
        assert!(after.len() > 20);
        match changes {
            // The control.
            false => assert!(gap == 1 && again == 10, "{gap}, {again}"),
            true => assert!(gap > 10 && again == 0, "{gap}, {again}"),
        }
    }
}
