//! Several workers: what befalls one does not touch the others.

use std::collections::HashSet;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use negotiation::MediaKind;
use sfu::{Command, Event, LostReason, MediaWorker, Sfu, SfuConfig, StartError};
use testkit::media::Video;

use crate::world::{PATIENCE, Peer, Streams, World, both_ways, rtp};

const TWO: [&str; 2] = ["127.0.0.1:0", "127.0.0.1:0"];

/// One who publishes sound and pictures and one who hears and sees them, on a worker.
struct Pair {
    publisher: Peer,
    watcher: Peer,
    watched: Streams,
}

impl Pair {
    fn on(world: &mut World, worker: usize) -> Self {
        world.worker = worker;
        let (mut publisher, mut watcher) = (world.peer(), world.peer());
        let published = both_ways(&mut publisher, 111, 96);
        let watched = both_ways(&mut watcher, 111, 96);
        world.apply(&mut publisher);
        world.apply(&mut watcher);
        let routes = vec![
            rtp(&publisher, "mic", "heard", MediaKind::Audio),
            rtp(&publisher, "cam", "seen", MediaKind::Video),
        ];
        world.subscribe(&watcher, routes);
        publisher.client.send_audio(published.mic, 111);
        publisher.client.send_video(&[published.cam], 96, Video::new(2, 500, 1));
        let pair = Self {
            publisher,
            watcher,
            watched,
        };
        assert!(pair.hears(20));
        pair
    }

    /// Whether so many packets more arrive on both streams.
    fn hears(&self, more: u64) -> bool {
        let count = |ssrc| self.watcher.client.heard().count(ssrc);
        let (heard, seen) = (count(self.watched.heard), count(self.watched.seen));
        self.watcher.client.wait(PATIENCE, |now| {
            now.count(self.watched.heard) >= heard + more && now.count(self.watched.seen) >= seen + more
        })
    }

    /// Every packet since `forget` that both streams had was there.
    fn lost_nothing(&self) -> bool {
        let heard = self.watcher.client.heard();
        let gapless = |ssrc| {
            let sequences: Vec<u64> = heard.of(ssrc).iter().map(|packet| packet.sequence).collect();
            !sequences.is_empty() && sequences.windows(2).all(|pair| pair[1] == pair[0] + 1)
        };
        gapless(self.watched.heard) && gapless(self.watched.seen)
    }
}

#[test]
fn each_worker_carries_its_own() {
    let mut world = World::bound(&TWO);
    let pairs = [Pair::on(&mut world, 0), Pair::on(&mut world, 1)];
    let ports: HashSet<u16> = world
        .sfu
        .workers()
        .iter()
        .map(|worker| worker.local_addr().port())
        .collect();
    assert_eq!(ports.len(), 2);
    assert!(pairs.iter().all(|pair| pair.hears(20)));
    let stats: Vec<_> = world.sfu.workers().iter().map(MediaWorker::stats).collect();
    assert!(
        stats
            .iter()
            .all(|stats| stats.transports == 2 && stats.packets_forwarded > 40)
    );
    let sum = world.sfu.stats();
    assert_eq!(sum.transports, 4);
    assert!(sum.packets_forwarded >= stats.iter().map(|stats| stats.packets_forwarded).sum());
    // Both wait for packets most of the time, and that can be read.
    assert!(stats.iter().all(|stats| stats.idle_ns > 0));
}

/// The thread of one stands still in the midst of a turn; the other forwards all.
#[test]
fn a_worker_that_is_blocked_holds_up_no_other() {
    let (reached, released) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (at, until) = (reached.clone(), released.clone());
    let armed = Arc::new(AtomicBool::new(false));
    let hold = armed.clone();
    let mut world = World::seeing(&TWO, move |event| {
        if matches!(event, Event::Connected { .. }) && hold.swap(false, Ordering::SeqCst) {
            at.wait();
            until.wait();
        }
    });
    let (blocked, other) = (Pair::on(&mut world, 0), Pair::on(&mut world, 1));
    armed.store(true, Ordering::SeqCst);
    world.worker = 0;
    let mut third = world.peer();
    both_ways(&mut third, 111, 96);
    world.apply(&mut third);
    reached.wait();
    let stood = world.sfu.workers()[0].stats();
    other.watcher.client.forget();
    assert!(other.hears(150));
    assert!(other.lost_nothing());
    assert_eq!(world.sfu.workers()[0].stats(), stood, "it stood all the time");
    released.wait();
    assert!(blocked.hears(20));
}

/// Strangers keep one busy; the other forwards all.
#[test]
fn a_worker_that_is_flooded_holds_up_no_other() {
    let mut world = World::bound(&TWO);
    let (_flooded, other) = (Pair::on(&mut world, 0), Pair::on(&mut world, 1));
    let target = world.sfu.workers()[0].local_addr();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let stranger = std::thread::spawn(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        while !stopped.load(Ordering::Relaxed) {
            for _ in 0..64 {
                // Whether it is read is not what this is about.
                socket.send_to(&[0x80; 1200], target).ok();
            }
            // Tests beside this one want the processors, too.
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    let before = world.sfu.workers()[0].stats().dropped_unknown_address;
    other.watcher.client.forget();
    assert!(other.hears(150));
    assert!(other.lost_nothing());
    let stats = world.sfu.workers().iter().map(MediaWorker::stats).collect::<Vec<_>>();
    stop.store(true, Ordering::Relaxed);
    stranger.join().unwrap();
    assert!(stats[0].dropped_unknown_address > before + 1000);
    assert_eq!(stats[1].dropped_unknown_address, 0);
}

/// A panic that no transport can be blamed for: those of this worker are told to be lost, the port goes on with fresh ones,
/// and the other worker does not notice.
#[test]
fn a_worker_that_panics_loses_its_transports_and_goes_on() {
    let armed = Arc::new(AtomicBool::new(false));
    let fuse = armed.clone();
    let mut world = World::seeing(&TWO, move |event| {
        if matches!(event, Event::Connected { .. }) && fuse.swap(false, Ordering::SeqCst) {
            panic!("as the test wants it");
        }
    });
    let (failing, other) = (Pair::on(&mut world, 0), Pair::on(&mut world, 1));
    let addr = world.sfu.workers()[0].local_addr();
    armed.store(true, Ordering::SeqCst);
    world.worker = 0;
    let mut third = world.peer();
    both_ways(&mut third, 111, 96);
    other.watcher.client.forget();
    world.apply(&mut third);
    for peer in [&failing.publisher, &failing.watcher, &third] {
        let is_lost = |event: &Event| matches!(event, Event::Lost { transport, reason: LostReason::Worker } if *transport == peer.id);
        assert!(world.wait_event(is_lost));
    }
    assert!(other.hears(60));
    assert!(other.lost_nothing());
    // As rooms do it: the lost ones are closed, and their clients get fresh ones.
    for peer in [&failing.publisher, &failing.watcher, &third] {
        world.send(Command::Close { transport: peer.id });
    }
    let again = Pair::on(&mut world, 0);
    assert!(again.hears(20));
    let worker = &world.sfu.workers()[0];
    assert!(worker.is_running() && worker.local_addr() == addr);
    assert_eq!((worker.stats().worker_failures, worker.stats().transports), (1, 2));
    assert_eq!(world.sfu.workers()[1].stats().worker_failures, 0);
    let lost = world
        .events()
        .into_iter()
        .filter(|(_, event)| matches!(event, Event::Lost { .. }));
    assert_eq!(lost.count(), 3);
}

#[test]
fn all_ports_or_none() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (taken_at, free) = (taken.local_addr().unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let free_at = free.local_addr().unwrap();
    drop(free);
    let config = SfuConfig {
        binds: vec![free_at, taken_at],
        engine: sfu::MediaEngine::Own,
        loudest_audio: None,
        pinned: false,
    };
    let error = Sfu::start(config, |_| {}).unwrap_err();
    assert!(
        matches!(error, StartError::Bind { addr, .. } if addr == taken_at),
        "{error:?}"
    );
    // Nothing was left behind.
    let began = Instant::now();
    while let Err(error) = UdpSocket::bind(free_at) {
        assert!(began.elapsed() < Duration::from_secs(5), "{error}");
    }
}
