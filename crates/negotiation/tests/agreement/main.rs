//! Both sides always agree in the end: a model of the SDK against the peer connection, over random
//! histories with delay, glare and lost sockets.

#![allow(clippy::unwrap_used)]

mod client;
mod wire;

use std::time::Duration;

use negotiation::MediaKind::{self, Audio, Video};
use proptest::prelude::*;

use client::{Browser, Client};
use wire::Wire;

#[derive(Debug, Clone)]
enum Step {
    Publish(MediaKind),
    Unpublish(usize),
    PublishData,
    RestartIce,
    Subscribe(MediaKind),
    Unsubscribe(usize),
    ToServer,
    ToClient,
    Pass(u64),
    Disconnect,
    Resume,
}

fn kind() -> impl Strategy<Value = MediaKind> {
    prop_oneof![Just(Audio), Just(Video)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => kind().prop_map(Step::Publish),
        2 => (0..10_usize).prop_map(Step::Unpublish),
        1 => Just(Step::PublishData),
        1 => Just(Step::RestartIce),
        4 => kind().prop_map(Step::Subscribe),
        4 => (0..10_usize).prop_map(Step::Unsubscribe),
        8 => Just(Step::ToServer),
        8 => Just(Step::ToClient),
        4 => (1..600_u64).prop_map(Step::Pass),
        1 => Just(Step::Disconnect),
        2 => Just(Step::Resume),
    ]
}

fn take(wire: &mut Wire, step: Step) {
    match step {
        Step::Publish(kind) => wire.publish(kind),
        Step::Unpublish(choice) => wire.unpublish(choice),
        Step::PublishData => wire.with_client(Client::publish_data),
        Step::RestartIce => wire.with_client(Client::restart_ice),
        Step::Subscribe(kind) => wire.subscribe(kind),
        Step::Unsubscribe(choice) => wire.unsubscribe(choice),
        Step::ToServer => wire.deliver_to_server(),
        Step::ToClient => wire.deliver_to_client(),
        Step::Pass(ms) => wire.pass(Duration::from_millis(ms)),
        Step::Disconnect => wire.disconnect(),
        Step::Resume => wire.resume(),
    }
}

fn named(kinds: Vec<MediaKind>) -> Vec<(MediaKind, String)> {
    kinds
        .into_iter()
        .enumerate()
        .map(|(index, kind)| (kind, format!("first{index}")))
        .collect()
}

/// Lets everything arrive at once.
fn deliver_all(wire: &mut Wire) {
    while wire.has_mail() {
        wire.deliver_to_server();
        wire.deliver_to_client();
    }
}

#[test]
fn sections_are_recycled_over_500_joins_and_leaves() {
    let mut wire = Wire::new(Browser::Chromium, &named(vec![Audio, Video]));
    // A fixed linear congruence: the same joins and leaves in every run.
    let mut dice = 12345_u64;
    let mut present = 0_usize;
    let mut sections_at_peak = 0;
    for _ in 0..500 {
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let roll = (dice >> 33) as usize;
        if present == 0 || (present < 8 && roll.is_multiple_of(2)) {
            wire.subscribe(Audio);
            wire.subscribe(Video);
            present += 1;
        } else {
            let who = 2 * (roll / 2 % present);
            wire.unsubscribe(who);
            wire.unsubscribe(who);
            present -= 1;
        }
        deliver_all(&mut wire);
        wire.pass(Duration::from_millis((roll / 16 % 1000) as u64));
        deliver_all(&mut wire);
        sections_at_peak = wire.peak.values().sum::<usize>();
    }
    wire.settle_and_check();
    assert_eq!(wire.peak.values().copied().collect::<Vec<_>>(), [8, 8]);
    let lines = wire.last_offer.matches("\r\nm=").count();
    assert!(
        lines <= sections_at_peak + 2,
        "{lines} sections for {sections_at_peak} tracks"
    );
}

#[test]
fn fifty_joins_in_five_seconds_make_few_offers() {
    let mut wire = Wire::new(Browser::Chromium, &named(vec![Audio, Video]));
    deliver_all(&mut wire);
    wire.pass(Duration::from_secs(10));
    let before = wire.offers;
    for _ in 0..50 {
        wire.subscribe(Audio);
        wire.subscribe(Video);
        for _ in 0..10 {
            deliver_all(&mut wire);
            wire.pass(Duration::from_millis(10));
        }
    }
    wire.settle_and_check();
    let offers = wire.offers - before;
    assert!((2..=15).contains(&offers), "{offers} offers");
}

#[test]
fn a_single_join_is_offered_at_once() {
    let mut wire = Wire::new(Browser::Chromium, &[]);
    wire.subscribe(Audio);
    deliver_all(&mut wire);
    wire.pass(Duration::from_secs(1));
    let before = wire.offers;
    wire.subscribe(Audio);
    assert_eq!(wire.offers, before + 1);
    wire.settle_and_check();
}

#[test]
fn a_client_publishes_on_a_section_that_we_made() {
    let mut wire = Wire::new(Browser::Chromium, &named(vec![Video]));
    for _ in 0..3 {
        wire.subscribe(Video);
    }
    wire.settle_and_check();
    wire.publish(Video);
    wire.settle_and_check();
    let session = wire.session.as_ref().unwrap();
    let both = |section: &&negotiation::Section| section.send.is_some() && section.receive.is_some();
    assert_eq!(session.sections.iter().filter(both).count(), 2);
    assert_eq!(wire.sections[&Video], 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn both_sides_agree_in_the_end(
        browser in prop_oneof![Just(Browser::Chromium), Just(Browser::Firefox)],
        first in prop::collection::vec(kind(), 0..4),
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut wire = Wire::new(browser, &named(first));
        for step in steps {
            take(&mut wire, step);
        }
        wire.settle_and_check();
    }
}
