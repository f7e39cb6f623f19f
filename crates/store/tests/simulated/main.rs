//! A hundred thousand random steps of rooms over a real database, without sockets and in simulated
//! time: all that is acknowledged is recorded and held against itself.
#![allow(clippy::unwrap_used, missing_docs)]

mod place;
mod reading;
mod simulation;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use testkit::history::{Clock, History, check};

use self::simulation::Simulation;

/// Each on a database of its own, half of them with a calendar that is set back and forth.
const EPISODES: u64 = 20;
const STEPS: u64 = 5_000;

#[test]
fn a_hundred_thousand_steps_contradict_nothing() {
    let seed = std::env::var("TRUTH_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
    let next = AtomicU64::new(0);
    let facts = AtomicUsize::new(0);
    let episodes = || {
        loop {
            let episode = next.fetch_add(1, Ordering::Relaxed);
            if episode >= EPISODES {
                return;
            }
            let history = episode_of(seed.wrapping_add(episode), |_| ());
            facts.fetch_add(history.facts.len(), Ordering::Relaxed);
            let found: Vec<String> = check(&history).iter().map(ToString::to_string).collect();
            assert!(
                found.is_empty(),
                "{found:#?}\nagain: TRUTH_SEED={seed} cargo test -p store --test simulated a_hundred_thousand"
            );
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(episodes);
        scope.spawn(episodes);
    });
    let facts = facts.into_inner();
    println!("{facts} facts");
    assert!(
        facts as u64 > EPISODES * STEPS / 2,
        "the steps were busy: {facts} facts"
    );
}

fn episode_of(seed: u64, change: impl FnOnce(&mut Simulation)) -> History {
    let clock = if seed.is_multiple_of(2) {
        Clock::Steady
    } else {
        Clock::Stepped
    };
    let mut simulation = Simulation::new(seed, clock);
    change(&mut simulation);
    for _ in 0..STEPS {
        simulation.step();
    }
    simulation.settle()
}

/// What the rooms decide and what the store does are both needed: either one alone is found out.
#[test]
fn a_store_that_confirms_too_early_is_found() {
    let found = check(&episode_of(4, |simulation| simulation.confirms_early = true));
    assert!(!found.is_empty());
}

#[test]
fn a_reader_that_lags_behind_is_found() {
    let found = check(&episode_of(6, |simulation| simulation.reads_late = true));
    assert!(!found.is_empty());
}
