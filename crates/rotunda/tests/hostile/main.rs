//! Strangers and participants attack a whole server in every state, and a call of two loses no frame.
//!
//! What is sent are mutations of what the SDK was recorded to send, the seeds of the fuzz targets among it, and what a
//! participant with keys makes up. The media plane by itself is attacked in `crates/sfu/tests/it/hostile.rs`.
#![allow(clippy::unwrap_used, missing_docs)]

mod attacks;
mod call;
mod keys;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use call::{Call, ROOM};
use rotunda::access_token;
use rotunda::config::Settings;
use rotunda::credentials::ApiKey;
use rotunda::server::Server;
use testkit::mutate::{Attacks, Dice, number_from_environment};

/// Rounds of all attacks, unless `HOSTILE_ROUNDS` says otherwise.
const ROUNDS: u64 = 2;

pub(crate) struct World {
    pub(crate) server: Server,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::ephemeral();
        change(&mut settings);
        let server = Server::start(settings).await.expect("a server on free ports");
        Self { server }
    }

    pub(crate) fn url(&self) -> String {
        self.server.signaling_url()
    }

    pub(crate) fn token(&self, identity: &str) -> String {
        let app = self.server.app();
        let key = app
            .credentials
            .key(self.server.owner().api_key.as_ref().unwrap().sid)
            .expect("the owner's key");
        let key = ApiKey {
            sid: key.sid,
            account: key.account,
            secret: key.secret.clone(),
        };
        let now_s = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        access_token::issue(&key, identity, None, 3600, now_s.try_into().unwrap()).expect("HS256 signs")
    }
}

/// The seeds of a fuzz target.
pub(crate) fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has seeds");
    files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_two_loses_no_frame() {
    let (mut dice, seed) = Dice::from_environment();
    let rounds = number_from_environment("HOSTILE_ROUNDS").unwrap_or(ROUNDS);
    println!("again: HOSTILE_SEED={seed} HOSTILE_ROUNDS={rounds} cargo test -p rotunda --test hostile -- --nocapture");
    let world = World::new().await;
    let call = Call::start(&world, ROOM).await;
    let mut attacks = Attacks::default();
    for _ in 0..rounds {
        attacks::sockets_before_authentication(&world, &mut dice, &mut attacks).await;
        attacks::sockets_with_a_token(&world, &mut dice, &mut attacks).await;
        attacks::a_participant(&world, &mut dice, &mut attacks).await;
        attacks::requests(&world, &mut dice, &mut attacks).await;
        attacks::datagrams(&world, &mut dice, &mut attacks).await;
        call.goes_on().await;
    }
    let frames = call.lost_nothing();
    println!("{attacks}\n{frames} frames of the call arrived, none was lost");
    call.is_the_same(&world).await;
    assert!(attacks.kinds() >= 8 && frames > 200);
}

/// What a participant's datagrams cost is its own choice: turns of the media worker that were bounded by number alone
/// lasted for seconds, and pictures of the call grew too old in them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_participant_with_keys_costs_the_call_no_frame() {
    let (mut dice, seed) = Dice::from_environment();
    println!("again: HOSTILE_SEED={seed} cargo test -p rotunda --test hostile keys -- --nocapture");
    let world = World::new().await;
    let call = Call::start(&world, ROOM).await;
    let mut attacks = Attacks::default();
    for round in 0..2 {
        keys::attack(&world, 100 + round, &mut dice, &mut attacks).await;
        call.goes_on().await;
    }
    let frames = call.lost_nothing();
    println!("{attacks}\n{frames} frames of the call arrived, none was lost");
    call.is_the_same(&world).await;
    assert!(attacks.kinds() >= 9 && frames > 200);
}

/// Strangers keep a media worker busy all the time; the call on another worker loses no frame.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_on_another_worker_loses_no_frame() {
    let free = "127.0.0.1:0".parse().unwrap();
    let world = World::with(|settings| settings.media_addrs = vec![free; 2]).await;
    let (attacked, other) = (Call::start(&world, ROOM).await, Call::start(&world, "elsewhere").await);
    assert_ne!(attacked.media_addr, other.media_addr, "each room has a worker");
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, target) = (Arc::clone(&stop), attacked.media_addr);
    let stranger = std::thread::spawn(move || {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        while !stopped.load(Ordering::Relaxed) {
            for _ in 0..64 {
                // Whether it is read is not what this is about.
                socket.send_to(&[0x80; 1200], target).ok();
            }
            // Tests beside this one want the processors, too.
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    for _ in 0..3 {
        other.goes_on().await;
    }
    let frames = other.lost_nothing();
    stop.store(true, Ordering::Relaxed);
    stranger.join().unwrap();
    let loads = world.server.app().rooms.media().stats();
    let strange: Vec<u64> = loads.iter().map(|stats| stats.dropped_unknown_address).collect();
    let at = |call: &Call| {
        world
            .server
            .media_addrs()
            .iter()
            .position(|addr| *addr == call.media_addr)
    };
    assert!(strange[at(&attacked).unwrap()] > 1000, "{strange:?}");
    assert_eq!(strange[at(&other).unwrap()], 0);
    assert!(frames > 200);
    attacked.goes_on().await;
    attacked.is_the_same(&world).await;
    other.is_the_same(&world).await;
}
