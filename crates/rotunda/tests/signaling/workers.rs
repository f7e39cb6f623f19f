//! Several media workers: each room is on one of them, and says so.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use rotunda::config::Settings;
use serde_json::Value;

use crate::world::World;

fn two_workers(settings: &mut Settings) {
    settings.media_addrs = vec![SocketAddr::from(([127, 0, 0, 1], 0)); 2];
}

/// The ports of the candidates in the answer to who joins.
fn ports(connected: &Value) -> BTreeSet<u16> {
    let sdp = connected["peer_connections"][0]["description"]["sdp"].as_str().unwrap();
    let candidates = sdp.lines().filter(|line| line.starts_with("a=candidate:"));
    candidates
        .map(|line| line.split(' ').nth(5).unwrap().parse().unwrap())
        .collect()
}

#[tokio::test]
async fn rooms_are_spread_and_each_is_in_one_place() {
    let world = World::with(two_workers).await;
    let bound: Vec<u16> = world.server.media_addrs().iter().map(SocketAddr::port).collect();
    let mut clients = Vec::new();
    let mut ports_of_rooms = Vec::new();
    for room in ["one", "two", "three", "four"] {
        let (alice, of_alice) = world.join("alice", room).await;
        let (bob, of_bob) = world.join("bob", room).await;
        let ports = ports(&of_alice);
        assert_eq!(ports.len(), 1, "one worker's port: {ports:?}");
        assert_eq!(ports, self::ports(&of_bob), "both are in the same place");
        ports_of_rooms.extend(ports);
        clients.push((alice, bob));
    }
    let of = |port| ports_of_rooms.iter().filter(|of| **of == port).count();
    assert_eq!((of(bound[0]), of(bound[1])), (2, 2), "{ports_of_rooms:?} of {bound:?}");
    let loads = || world.server.app().rooms.media().loads();
    assert!(
        loads().iter().all(|load| (load.rooms, load.transports) == (2, 4)),
        "{:?}",
        loads()
    );

    // What ends on a worker makes room there.
    let account = world.key().account;
    for room in ["two", "four"] {
        let sid = world.room(room).await.new.sid;
        world.server.app().rooms.complete(account, sid).await.unwrap();
    }
    let is_gone = || {
        loads()
            .iter()
            .map(|load| (load.rooms, load.transports))
            .eq([(2, 4), (0, 0)])
    };
    for _ in 0..400 {
        if is_gone() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(is_gone(), "{:?}", loads());
    let (_carol, connected) = world.join("carol", "five").await;
    assert_eq!(ports(&connected), BTreeSet::from([bound[1]]));
}

#[tokio::test]
async fn a_restored_room_is_placed_anew() {
    let directory = tempfile::tempdir().unwrap();
    let start = || async {
        World::with(|settings| {
            two_workers(settings);
            settings.data = rotunda::config::Data::Directory(directory.path().to_owned());
            settings.database = testkit::postgres::wanted_in(directory.path()).map(|url| url.parse().expect("a URL"));
        })
        .await
    };
    let world = start().await;
    let mut clients = Vec::new();
    for room in ["large", "small", "smaller"] {
        let size = if room == "large" { 3 } else { 1 };
        for number in 0..size {
            clients.push(world.join(&format!("somebody{number}"), room).await);
        }
    }
    let rooms = |world: &World| {
        world
            .server
            .app()
            .rooms
            .media()
            .loads()
            .iter()
            .map(|load| load.rooms)
            .collect::<Vec<_>>()
    };
    assert_eq!(rooms(&world).iter().sum::<usize>(), 3);
    world.server.shutdown().await;
    drop(clients);
    let world = start().await;
    assert_eq!(
        rooms(&world),
        [1, 2],
        "the large one first, the others where nobody is awaited"
    );
    world.server.shutdown().await;
}
