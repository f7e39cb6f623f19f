//! A real server with real sockets in this process.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rotunda::config::Settings;
use rotunda::credentials::ApiKey;
use rotunda::server::Server;
use testkit::history::History;

use crate::receiver::Receiver;
use crate::scenario::{SETTLED_WITHIN, faults, rehearsed, settle, work};
use crate::world::{Meddler, World};

/// Who acts at the same time.
const WORKERS: u64 = 4;

/// The seed of a run: out of the environment, else a new one.
pub(crate) fn seed() -> u64 {
    std::env::var("TRUTH_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap())
}

/// What a server said while this many random things were done, and nothing was wrong with the machine.
pub(crate) async fn run(
    seed: u64,
    steps: u64,
    meddler: Option<Meddler>,
    swallows: Option<u64>,
) -> (Arc<World>, History) {
    let receiver = Receiver::start(seed, swallows).await;
    let mut settings = Settings::ephemeral();
    settings.database = testkit::postgres::wanted().map(|url| url.parse().unwrap());
    settings.session_timeout = Duration::from_secs(5);
    let server = Server::start(settings).await.unwrap();
    let owner = server.owner();
    let key = server
        .app()
        .credentials
        .key(owner.api_key.as_ref().unwrap().sid)
        .unwrap();
    let key = ApiKey {
        sid: key.sid,
        account: key.account,
        secret: key.secret.clone(),
    };
    let user = (key.sid.to_string(), key.secret.clone());
    let world = World::new(server.local_url(), user, key, receiver.url.clone());
    *world.meddler.lock().unwrap() = meddler;
    let world = Arc::new(world);
    receiver.tells(&world);
    let stop = Arc::new(AtomicBool::new(false));
    let workers = (0..WORKERS).map(|worker| {
        tokio::spawn(work(
            Arc::clone(&world),
            seed ^ worker,
            steps / WORKERS,
            Arc::clone(&stop),
        ))
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    rehearsed(&world).await;
    // Who lies to the end would never let everybody go.
    world.meddler.lock().unwrap().take();
    let history = settle(&world, &receiver, SETTLED_WITHIN).await;
    server.shutdown().await;
    (world, history)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_random_steps_contradict_nothing() {
    let seed = seed();
    let (world, history) = run(seed, 1000, None, None).await;
    let faults = faults(&world, &history);
    println!("{} facts, {} deeds", history.facts.len(), history.deeds.len());
    assert!(history.facts.len() > 1000, "the scenario was busy");
    assert!(
        faults.is_empty(),
        "{faults:#?}\nagain: TRUTH_SEED={seed} cargo test -p rotunda --test truth a_thousand"
    );
}
