//! Sockets bound to addresses of both families, and to all addresses of the machine.

use negotiation::MediaKind;
use testkit::media::Video;

use crate::world::{PATIENCE, Peer, World, both_ways, rtp};

/// The first publishes, the others watch; each sends to an address of its own, and hears nothing from any other.
fn a_call_over(bound: &str, addresses: &[&str]) {
    let mut world = World::bound(&[bound]);
    let mut peers: Vec<Peer> = addresses.iter().map(|address| world.peer_to(address)).collect();
    let streams: Vec<_> = peers.iter_mut().map(|peer| both_ways(peer, 111, 96)).collect();
    peers.iter_mut().for_each(|peer| world.apply(peer));
    let (publisher, watchers) = peers.split_first().unwrap();
    for watcher in watchers {
        world.subscribe(watcher, vec![rtp(publisher, "cam", "seen", MediaKind::Video)]);
    }
    publisher
        .client
        .send_video(&[streams[0].cam], 96, Video::new(3, 1000, 1));
    for (watcher, streams) in watchers.iter().zip(&streams[1..]) {
        let sees = watcher.client.wait(PATIENCE, |heard| heard.count(streams.seen) > 60);
        assert!(sees, "{bound}: {:?}", watcher.client.heard().counts);
    }
}

#[test]
fn all_addresses_of_ipv4() {
    a_call_over("0.0.0.0:0", &["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.2"]);
}

#[test]
fn all_addresses_of_both_families() {
    a_call_over("[::]:0", &["::1", "127.0.0.1", "127.0.0.2", "::1", "127.0.0.2"]);
}

#[test]
fn one_address_of_ipv6() {
    a_call_over("[::1]:0", &["::1", "::1"]);
}

#[test]
fn a_worker_for_each_address() {
    let mut world = World::bound(&["127.0.0.2:0", "[::1]:0"]);
    for (worker, address) in ["127.0.0.2", "::1"].into_iter().enumerate() {
        world.worker = worker;
        let (mut publisher, mut watcher) = (world.peer_to(address), world.peer_to(address));
        let (p, w) = (both_ways(&mut publisher, 111, 96), both_ways(&mut watcher, 111, 96));
        world.apply(&mut publisher);
        world.apply(&mut watcher);
        world.subscribe(&watcher, vec![rtp(&publisher, "mic", "heard", MediaKind::Audio)]);
        publisher.client.send_audio(p.mic, 111);
        assert!(watcher.client.wait(PATIENCE, |heard| heard.count(w.heard) > 20));
    }
}
