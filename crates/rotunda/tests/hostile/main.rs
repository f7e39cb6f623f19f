//! Strangers and participants attack a whole server in every state, and a call of two loses no frame.
//!
//! What is sent are mutations of what the SDK was recorded to send, the seeds of the fuzz targets among it, and what a
//! participant with keys makes up. The media plane by itself is attacked in `crates/sfu/tests/it/hostile.rs`.
#![allow(clippy::unwrap_used, missing_docs)]

mod attacks;
mod call;
mod keys;

use std::path::Path;

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
        let server = Server::start(Settings::ephemeral())
            .await
            .expect("a server on free ports");
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
    let call = call::Call::start(&world).await;
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
    let call = call::Call::start(&world).await;
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
