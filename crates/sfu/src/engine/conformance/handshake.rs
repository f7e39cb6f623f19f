//! How a transport begins and ends.

use std::time::Duration;

use negotiation::DtlsRole;
use testkit::media::{Identity, Order};

use super::super::{Engine, EngineError, Engines, Polled};
use super::world::{Way, World, both_ways};

pub(super) fn both_roles_connect<F: Engines>(engines: &F) {
    for role in [DtlsRole::Server, DtlsRole::Client] {
        let mut world = World::new(engines, role, both_ways);
        world.connect();
        world.run(Duration::from_secs(2));
        assert_eq!((world.connected, world.closed), (1, 0));
        assert!(world.failed.is_none() && !world.heard.closed, "{:?}", world.failed);
    }
}

pub(super) fn another_certificate_is_refused<F: Engines>(engines: &F) {
    for role in [DtlsRole::Server, DtlsRole::Client] {
        let announced = Identity::new().unwrap().fingerprint();
        let mut world = World::announcing(engines, role, Identity::new().unwrap(), announced, both_ways);
        assert!(world.until(|world| world.failed.is_some()));
        assert!(matches!(world.failed, Some(EngineError::Dtls(_))), "{:?}", world.failed);
        assert_eq!(world.connected, 0);
    }
}

pub(super) fn a_lost_flight_is_sent_again<F: Engines>(engines: &F) {
    for way in [Way::ToClient, Way::ToEngine] {
        let mut world = World::new(engines, DtlsRole::Server, both_ways);
        let mut lost = 0;
        world.fate = Box::new(move |of, datagram| {
            let hit = of == way && (20..64).contains(&datagram[0]) && lost < 2;
            lost += u32::from(hit);
            usize::from(!hit)
        });
        world.connect();
    }
}

pub(super) fn a_good_bye_ends_it_either_way<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    world.order(Order::Close);
    assert!(world.until(|world| world.closed == 1));
    let mut world = World::new(engines, DtlsRole::Server, both_ways);
    world.connect();
    world.engine.close(world.now).unwrap();
    world.drive();
    assert!(world.until(|world| world.heard.closed));
}

/// A deadline that is over at once, again and again, would keep the worker busy.
pub(super) fn timers_are_in_the_future<F: Engines>(engines: &F) {
    let mut world = World::new(engines, DtlsRole::Server, |session| {
        both_ways(session);
        session.data();
    });
    world.connect();
    world.run(Duration::from_secs(1));
    let (mut calls, end) = (0, world.now + Duration::from_secs(5));
    while world.now < end {
        world.engine.handle_timeout(world.now).unwrap();
        loop {
            if let Polled::Timeout(at) = world.engine.poll().unwrap() {
                world.now = at.max(world.now + Duration::from_millis(1));
                break;
            }
        }
        calls += 1;
    }
    assert!(calls < 500, "{calls} wake-ups in five idle seconds");
}
