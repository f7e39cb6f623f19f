//! What others, or the client itself, may send and not be believed.

use std::time::Duration;

use negotiation::DtlsRole;
use testkit::media::{Order, Video};

use super::super::{Engine, Engines};
use super::world::{CAM, MIC, World, both_ways, plain, repaired};

pub(super) fn replayed_and_mutated_packets_are_ignored<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, |session| {
        both_ways(session);
        session.data();
    });
    world.connect();
    world.order(Order::Audio {
        ssrc: MIC,
        payload_type: 111,
        red_of: None,
    });
    world.order(Order::Video {
        ssrcs: vec![CAM],
        payload_type: 96,
        video: Video::new(2, 300, 1),
    });
    world.run(Duration::from_secs(1));
    // What is on its way arrives first.
    silence(&mut world, true);
    world.run(Duration::from_millis(100));
    let recorded = world.received.clone();
    let before = world.packets.len();
    assert!(before > 80);
    for (index, datagram) in recorded.iter().enumerate() {
        if datagram[0] < 4 {
            continue;
        }
        world.deliver(datagram);
        let mut mutated = datagram.clone();
        for step in 0..4 {
            let place = (index * 31 + step * 17) % mutated.len();
            mutated[place] ^= 1 << (index % 8);
            world.deliver(&mutated);
        }
        world.deliver(&datagram[..index % datagram.len()]);
    }
    assert!(world.failed.is_none(), "{:?}", world.failed);
    assert_eq!(world.packets.len(), before);
    assert_eq!((world.connected, world.closed), (1, 0));
    // And all goes on.
    silence(&mut world, false);
    world.run(Duration::from_secs(1));
    for layer in [world.layer(0), world.layer(1)] {
        let sequences = world.sequences(layer);
        assert!(sequences.len() > 80 && sequences.windows(2).all(|pair| pair[1] == pair[0] + 1));
    }
}

/// The library takes a report that comes again for a new one; ours does not.
pub(super) fn replayed_reports_are_ignored<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    world.order(Order::Audio {
        ssrc: MIC,
        payload_type: 111,
        red_of: None,
    });
    assert!(world.until(|world| world.reports.len() > 3));
    silence(&mut world, true);
    world.run(Duration::from_millis(100));
    let before = world.reports.len();
    for datagram in world.received.clone() {
        world.deliver(&datagram);
    }
    assert_eq!(world.reports.len(), before);
}

fn silence<E: Engine>(world: &mut World<E>, silent: bool) {
    for ssrc in [MIC, CAM] {
        world.order(Order::Silence { ssrc, silent });
    }
}

/// Well encrypted, of streams that the description did not name.
pub(super) fn undeclared_streams_are_told<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    let mut secret = world.session.clone();
    secret
        .receive("0", "mic", &[plain(7000)])
        .receive("1", "cam", &[repaired(7010)]);
    let secret = secret.build();
    world.client.apply(&secret, world.now, &mut world.heard);
    world.order(Order::Audio {
        ssrc: 7000,
        payload_type: 111,
        red_of: None,
    });
    assert!(world.until(|world| world.undeclared > 20));
    assert!(world.packets.is_empty() && world.failed.is_none());
}
