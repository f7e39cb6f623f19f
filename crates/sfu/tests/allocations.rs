//! No memory is taken for a packet, nor for one of its receivers: counted by the allocator, on the media thread.
//!
//! A binary of its own, since it has an allocator of its own.
#![allow(clippy::unwrap_used)]
#![allow(
    unsafe_code,
    reason = "an allocator cannot be written without; it only counts and passes on"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use negotiation::{DtlsRole, Layer, MediaKind};
use sfu::{Command, MediaEngine, Route, RouteMedia, Sfu, SfuConfig, TransportId};
use testkit::media::{Client, SessionBuilder, Video, vp8};

const PATIENCE: Duration = Duration::from_secs(60);

/// How many threads are counted apart.
const THREADS_MAX: usize = 256;

const SUBSCRIBERS: u64 = 6;

/// Packets that each subscriber gets before the count begins: three seconds, in which all rings and tables grow as large
/// as they will be.
const WARM_UP: u64 = 900;

/// And while it goes on.
const COUNTED: u64 = 1500;

struct Counting;

static COUNTS: [AtomicU64; THREADS_MAX] = [const { AtomicU64::new(0) }; THREADS_MAX];
static THREADS: AtomicUsize = AtomicUsize::new(0);
/// Which of them is the media thread.
static MEDIA: AtomicUsize = AtomicUsize::new(usize::MAX);

thread_local! {
    static THREAD: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn this_thread() -> usize {
    let known = THREAD.try_with(|thread| {
        if thread.get() == usize::MAX {
            thread.set(THREADS.fetch_add(1, Ordering::Relaxed).min(THREADS_MAX - 1));
        }
        thread.get()
    });
    // A thread that is ending has none any more.
    known.unwrap_or(THREADS_MAX - 1)
}

// SAFETY: every call is passed on to the system's allocator as it came; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNTS[this_thread()].fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that this call needs.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the place came from the system's allocator, with this layout.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNTS[this_thread()].fetch_add(1, Ordering::Relaxed);
        // SAFETY: the place came from the system's allocator, with this layout.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn join(sfu: &Sfu, number: u64, media: impl FnOnce(&mut SessionBuilder)) -> Client {
    let client = Client::start(sfu.workers()[0].local_addr(), &sfu.fingerprint()).unwrap();
    client.count_only();
    let mut session = SessionBuilder::new(&format!("c{number}"), client.fingerprint(), DtlsRole::Server);
    session.section("0", MediaKind::Video, vec![vp8(96, Some(97))]);
    media(&mut session);
    let session = session.build();
    let transport = TransportId(number);
    sfu.workers()[0].send(Command::Apply {
        transport,
        session: session.clone(),
    });
    client.apply(&session);
    assert!(client.wait(PATIENCE, |heard| heard.connected));
    client
}

#[test]
fn no_memory_is_taken_for_a_packet() {
    let config = SfuConfig {
        binds: vec!["127.0.0.1:0".parse().unwrap()],
        engine: MediaEngine::Own,
    };
    let sfu = Sfu::start(config, |_| MEDIA.store(this_thread(), Ordering::Relaxed)).unwrap();
    let layer = |ssrc| Layer {
        ssrc,
        rtx: Some(ssrc + 1),
    };
    let publisher = join(&sfu, 0, |session| {
        session.receive("0", "cam", &[layer(10)]);
    });
    let watchers: Vec<Client> = (1..=SUBSCRIBERS)
        .map(|number| {
            let watcher = join(&sfu, number, |session| {
                session.send("0", "seen", layer(20));
            });
            let route = Route {
                source: TransportId(0),
                source_id: "cam".into(),
                id: "seen".into(),
                media: RouteMedia::Rtp(MediaKind::Video),
            };
            sfu.workers()[0].send(Command::Subscribe {
                transport: TransportId(number),
                routes: vec![route],
            });
            watcher
        })
        .collect();
    publisher.send_video(&[10], 96, Video::new(10, 1000, 1));
    let until = |count: u64| {
        for watcher in &watchers {
            assert!(watcher.wait(PATIENCE, |heard| heard.count(20) >= count));
        }
    };
    until(WARM_UP);
    let media = &COUNTS[MEDIA.load(Ordering::Relaxed)];
    let (before, stats) = (media.load(Ordering::Relaxed), sfu.stats());
    until(WARM_UP + COUNTED);
    let (after, stats_after) = (media.load(Ordering::Relaxed), sfu.stats());
    let (taken, came) = (after - before, stats_after.packets_in - stats.packets_in);
    let forwarded = stats_after.packets_forwarded - stats.packets_forwarded;
    println!("memory was taken {taken} times for {came} packets that came and {forwarded} that went");
    assert!(forwarded >= SUBSCRIBERS * COUNTED / 2 && came >= COUNTED / 2);
    // Reports, feedback and checks, so many in a second however much is sent, take some.
    assert!(taken < came / 2, "{taken} times for {came} packets");
}
