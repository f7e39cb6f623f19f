//! Callbacks to a receiver that fails in every way, while rooms run and the server is killed: every event arrives, in
//! the order of its room, once or more, signed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use testkit::history::Touches;

use crate::kills::{ACCOUNT, AUTH_TOKEN, broken_invariants, key, port, start};
use crate::random::seed;
use crate::scenario::{faults, settle, work_in};
use crate::storm::Storm;
use crate::world::World;

/// How much is done.
struct Plan {
    rooms: usize,
    workers: u64,
    kills: u32,
    /// Between the beginning, the kills and the end.
    stretch: Duration,
    /// For what is left in the end.
    patience: Duration,
}

async fn passes(plan: Plan, seed: u64, again: &str) {
    println!("seed {seed}");
    let mut dice = Rng::with_seed(seed);
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let port = port(&mut dice);
    let (storm, receiver) = Storm::start(seed, AUTH_TOKEN).await;
    let user = (ACCOUNT.to_owned(), AUTH_TOKEN.to_owned());
    let http = format!("http://127.0.0.1:{port}");
    let world = Arc::new(World::new(http, user, key(), receiver.url.clone()));
    receiver.tells(&world);
    let none: [(&str, &str); 0] = [];
    let mut child = start(&data, port, none).await;
    let rooms: Arc<[String]> = (0..plan.rooms).map(|number| format!("room{number}")).collect();
    for room in &*rooms {
        world.create(room).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..plan.workers)
        .map(|worker| {
            let (world, rooms, stop) = (Arc::clone(&world), Arc::clone(&rooms), Arc::clone(&stop));
            tokio::spawn(work_in(rooms, world, seed ^ worker, u64::MAX, stop))
        })
        .collect();
    tokio::time::sleep(plan.stretch).await;
    for _ in 0..plan.kills {
        let death = world.recorder.begins(Touches::Everything);
        world.set_up(false);
        child.kill().unwrap();
        child.wait().unwrap();
        world.recorder.dead();
        child = start(&data, port, none).await;
        world.recorder.over(death);
        world.set_up(true);
        tokio::time::sleep(plan.stretch).await;
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    storm.calm();
    let history = settle(&world, &receiver, plan.patience).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let mut faults = faults(&world, &history);
    faults.extend(broken_invariants(&data));
    println!(
        "{} rooms, {} kills: {} facts, {} deeds; requests: {:?}",
        plan.rooms,
        plan.kills,
        history.facts.len(),
        history.deeds.len(),
        storm.used()
    );
    assert!(faults.is_empty(), "{faults:#?}\nagain: {again}");
    assert!(storm.used().len() > 4, "the receiver failed in many ways");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stormy_receiver_and_kills_lose_no_callback() {
    let seed = seed();
    let plan = Plan {
        rooms: 8,
        workers: 4,
        kills: 2,
        stretch: Duration::from_secs(3),
        patience: Duration::from_secs(180),
    };
    let again = format!("TRUTH_SEED={seed} cargo test -p rotunda --test truth a_stormy");
    passes(plan, seed, &again).await;
}

/// `scripts/soak callbacks [MINUTES] [SEED]`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes as long as it is told to: scripts/soak callbacks"]
async fn soak() {
    let seed = seed();
    let minutes = std::env::var("CALLBACK_MINUTES").map_or(10.0, |minutes| minutes.parse().unwrap());
    let plan = Plan {
        rooms: 200,
        workers: 16,
        kills: 5,
        stretch: Duration::from_secs_f64(minutes * 60.0 / 6.0),
        // Who failed for the fifth time at the end is tried again after up to 12.5 minutes.
        patience: Duration::from_secs(15 * 60),
    };
    passes(plan, seed, &format!("scripts/soak callbacks {minutes} {seed}")).await;
}
