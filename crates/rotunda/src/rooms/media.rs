//! The media plane as rooms see it: each room has a place on a worker, where its transports are, with an owner that hears
//! of them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sfu::{Command, Event, MediaWorker, Sfu, SfuConfig, TransportId};
use tokio::sync::mpsc;

use super::limits;
use super::paths::{Paths, Told};
use super::placement::{Placement, Sample, WorkerLoad};

/// Where a room hears of its transports. Unbounded: the media plane tells of few things for each
/// transport, and transports are bounded by participants.
pub(super) type Facts = mpsc::UnboundedSender<Event>;

/// The running media plane.
pub struct Media {
    plane: Arc<MediaPlane>,
    /// What the workers tell, all of them: they put in without waiting for anybody. Unbounded as [`Facts`] are.
    told: tokio::sync::Mutex<mpsc::UnboundedReceiver<Event>>,
}

/// What all places share.
struct MediaPlane {
    sfu: Sfu,
    /// What participants on each worker are told.
    candidates: Vec<Arc<[SocketAddr]>>,
    owners: Mutex<HashMap<TransportId, Owner>>,
    /// By worker: the way to one port may be blocked, and open to another.
    paths: Mutex<Vec<Paths>>,
    placement: Mutex<Placement>,
    next: AtomicU64,
}

struct Owner {
    facts: Facts,
    worker: usize,
}

/// A room's place on a worker. Its load is gone when this is dropped.
pub(super) struct Place {
    plane: Arc<MediaPlane>,
    worker: usize,
}

impl Media {
    /// Binds the media ports and starts the workers. `candidates` says what participants on a worker are told, given its
    /// number and the address bound.
    ///
    /// # Errors
    /// As [`Sfu::start`].
    pub fn start(
        config: SfuConfig,
        candidates: impl Fn(usize, SocketAddr) -> Vec<SocketAddr>,
    ) -> Result<Self, sfu::StartError> {
        let (tell, told) = mpsc::unbounded_channel();
        // Nobody listens any more only while the server stops.
        let sfu = Sfu::start(config, move |event| drop(tell.send(event)))?;
        let of_worker = |(number, worker): (usize, &MediaWorker)| candidates(number, worker.local_addr()).into();
        let workers = sfu.workers();
        let plane = MediaPlane {
            candidates: workers.iter().enumerate().map(of_worker).collect(),
            owners: Mutex::default(),
            paths: Mutex::new(workers.iter().map(|_| Paths::default()).collect()),
            placement: Mutex::new(Placement::new(workers.len())),
            next: AtomicU64::new(1),
            sfu,
        };
        Ok(Self {
            plane: Arc::new(plane),
            told: tokio::sync::Mutex::new(told),
        })
    }

    /// The addresses bound, one for each worker.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.plane.sfu.workers().iter().map(MediaWorker::local_addr).collect()
    }

    /// What each worker carries.
    pub fn loads(&self) -> Vec<WorkerLoad> {
        lock(&self.plane.placement).loads()
    }

    /// What each worker counted.
    pub fn stats(&self) -> Vec<sfu::Stats> {
        self.plane.sfu.workers().iter().map(MediaWorker::stats).collect()
    }

    /// For ever: passes on what the workers tell, measures how busy they are, and tells an operator when media arrives from
    /// nobody at a port, and when it does again.
    pub(super) async fn run(&self) {
        let mut told = self.told.lock().await;
        let mut look = tokio::time::interval(limits::SILENCE_WATCH_INTERVAL);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(event) = told.recv() => self.plane.pass_on(event, Instant::now()),
                _ = look.tick() => self.plane.look(Instant::now()),
            }
        }
    }

    /// Whether all of the media plane works.
    pub(super) fn is_running(&self) -> bool {
        self.plane.sfu.workers().iter().all(MediaWorker::is_running)
    }

    /// A place for a room in which so many participants are awaited, where there is least to do.
    pub(super) fn place(&self, awaited: usize) -> Place {
        let samples = self.plane.samples();
        let worker = lock(&self.plane.placement).place(awaited, &samples, Instant::now());
        Place {
            plane: Arc::clone(&self.plane),
            worker,
        }
    }

    /// Hash of the certificate of all transports.
    pub(super) fn fingerprint(&self) -> negotiation::Fingerprint {
        self.plane.sfu.fingerprint()
    }
}

impl MediaPlane {
    fn pass_on(&self, event: Event, now: Instant) {
        let transport = match &event {
            Event::Connected { transport } | Event::Interrupted { transport } | Event::Lost { transport, .. } => {
                *transport
            }
        };
        let owners = lock(&self.owners);
        // An owner that is gone has closed its transports, or is about to.
        let Some(owner) = owners.get(&transport) else { return };
        if let Some(paths) = lock(&self.paths).get_mut(owner.worker) {
            match &event {
                Event::Connected { .. } => paths.up(transport),
                Event::Interrupted { .. } => paths.down(transport, now),
                Event::Lost { .. } => paths.gone(transport),
            }
        }
        drop(owner.facts.send(event));
    }

    fn look(&self, now: Instant) {
        lock(&self.placement).observe(&self.samples(), now);
        let told: Vec<Option<Told>> = lock(&self.paths).iter_mut().map(|paths| paths.observe(now)).collect();
        for (worker, told) in self.sfu.workers().iter().zip(told) {
            match told {
                Some(Told::Silence(connections)) => tracing::error!(
                    connections,
                    "no media arrives from anybody at UDP {}: is the port blocked, or the network away? Signaling and the API go on",
                    worker.local_addr()
                ),
                Some(Told::Heard(after)) => tracing::warn!(
                    "media arrives again at UDP {}, after {:.0} s",
                    worker.local_addr(),
                    after.as_secs_f64()
                ),
                None => {}
            }
        }
    }

    fn samples(&self) -> Vec<Sample> {
        let sample = |worker: &MediaWorker| Sample {
            idle: Duration::from_nanos(worker.stats().idle_ns),
            is_running: worker.is_running(),
        };
        self.sfu.workers().iter().map(sample).collect()
    }
}

impl Place {
    /// Where media can reach the room's transports.
    pub(super) fn candidates(&self) -> Arc<[SocketAddr]> {
        self.plane.candidates.get(self.worker).cloned().unwrap_or_default()
    }

    /// Hash of the certificate of all transports.
    pub(super) fn fingerprint(&self) -> negotiation::Fingerprint {
        self.plane.sfu.fingerprint()
    }

    /// A name for a transport to be, whose facts go to `facts`.
    pub(super) fn open(&self, facts: Facts) -> TransportId {
        let transport = TransportId(self.plane.next.fetch_add(1, Ordering::Relaxed));
        let worker = self.worker;
        lock(&self.plane.owners).insert(transport, Owner { facts, worker });
        lock(&self.plane.placement).transport_opened(worker);
        transport
    }

    /// Tells the room's worker.
    pub(super) fn send(&self, command: Command) {
        if let Command::Apply { transport, .. } = &command
            && let Some(paths) = lock(&self.plane.paths).get_mut(self.worker)
        {
            paths.awaited(*transport, Instant::now());
        }
        let worker = self.plane.sfu.workers().get(self.worker);
        if !worker.is_some_and(|worker| worker.send(command)) {
            tracing::error!(worker = self.worker, "a media worker is gone: restart the server");
        }
    }

    /// Ends a transport; its owner hears no more of it.
    pub(super) fn close(&self, transport: TransportId) {
        if lock(&self.plane.owners).remove(&transport).is_some() {
            lock(&self.plane.placement).transport_closed(self.worker);
        }
        if let Some(paths) = lock(&self.plane.paths).get_mut(self.worker) {
            paths.gone(transport);
        }
        self.send(Command::Close { transport });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.plane.placement).leave(self.worker);
    }
}

fn lock<T>(state: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Each is whole after each single step, also if a holder panicked.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
