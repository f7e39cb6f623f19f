//! The media plane as rooms see it: transports with an owner that hears of them.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sfu::{Command, Event, Sfu, SfuConfig, TransportId};
use tokio::sync::mpsc;

use super::limits;
use super::paths::{Paths, Told};

/// Where a room hears of its transports. Unbounded: the media plane tells of few things for each
/// transport, and transports are bounded by participants.
pub(super) type Facts = mpsc::UnboundedSender<Event>;

type Owners = Arc<Mutex<HashMap<TransportId, Facts>>>;

/// The running media plane.
pub struct Media {
    sfu: Sfu,
    owners: Owners,
    paths: Arc<Mutex<Paths>>,
    next: AtomicU64,
}

impl Media {
    /// Binds the media port and starts the workers.
    pub fn start(config: SfuConfig) -> io::Result<Self> {
        let owners = Owners::default();
        let paths = Arc::<Mutex<Paths>>::default();
        let (listed, watched) = (Arc::clone(&owners), Arc::clone(&paths));
        let sfu = Sfu::start(config, move |event| {
            let transport = match &event {
                Event::Connected { transport } => {
                    lock(&watched).up(*transport);
                    *transport
                }
                Event::Interrupted { transport } => {
                    lock(&watched).down(*transport, Instant::now());
                    *transport
                }
                Event::Lost { transport, .. } => {
                    lock(&watched).gone(*transport);
                    *transport
                }
            };
            if let Some(facts) = lock(&listed).get(&transport) {
                // An owner that is gone has closed its transports, or is about to.
                drop(facts.send(event));
            }
        })?;
        Ok(Self {
            sfu,
            owners,
            paths,
            next: AtomicU64::new(1),
        })
    }

    /// The address bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.sfu.local_addr()
    }

    /// Tells an operator, for ever, when media arrives from nobody, and when it does again.
    pub(super) async fn watch(&self) {
        loop {
            tokio::time::sleep(limits::SILENCE_WATCH_INTERVAL).await;
            let told = lock(&self.paths).observe(Instant::now());
            match told {
                Some(Told::Silence(connections)) => tracing::error!(
                    connections,
                    "no media arrives from anybody at UDP {}: is the port blocked, or the network away? Signaling and the API go on",
                    self.local_addr()
                ),
                Some(Told::Heard(after)) => tracing::warn!("media arrives again, after {:.0} s", after.as_secs_f64()),
                None => {}
            }
        }
    }

    /// Whether the media plane works.
    pub(super) fn is_running(&self) -> bool {
        self.sfu.is_running()
    }

    /// Hash of the certificate of all transports.
    pub(super) fn fingerprint(&self) -> negotiation::Fingerprint {
        self.sfu.fingerprint()
    }

    /// A name for a transport to be, whose facts go to `owner`.
    pub(super) fn open(&self, owner: Facts) -> TransportId {
        let transport = TransportId(self.next.fetch_add(1, Ordering::Relaxed));
        lock(&self.owners).insert(transport, owner);
        transport
    }

    /// Tells the media plane.
    pub(super) fn send(&self, command: Command) {
        if let Command::Apply { transport, .. } = &command {
            lock(&self.paths).awaited(*transport, Instant::now());
        }
        if !self.sfu.send(command) {
            tracing::error!("the media worker is gone: restart the server");
        }
    }

    /// Ends a transport; its owner hears no more of it.
    pub(super) fn close(&self, transport: TransportId) {
        lock(&self.owners).remove(&transport);
        lock(&self.paths).gone(transport);
        self.send(Command::Close { transport });
    }
}

fn lock<T>(map: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Both maps are whole after each single insert, remove or get, also if a holder panicked.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}
