//! The media plane as rooms see it: transports with an owner that hears of them.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sfu::{Command, Event, Sfu, SfuConfig, TransportId};
use tokio::sync::mpsc;

/// Where a room hears of its transports. Unbounded: the media plane tells of few things for each
/// transport, and transports are bounded by participants.
pub(super) type Facts = mpsc::UnboundedSender<Event>;

type Owners = Arc<Mutex<HashMap<TransportId, Facts>>>;

/// The running media plane.
pub struct Media {
    sfu: Sfu,
    owners: Owners,
    next: AtomicU64,
}

impl Media {
    /// Binds the media port and starts the workers.
    pub fn start(config: SfuConfig) -> io::Result<Self> {
        let owners = Owners::default();
        let listed = Arc::clone(&owners);
        let sfu = Sfu::start(config, move |event| {
            let transport = match &event {
                Event::Connected { transport } | Event::Interrupted { transport } | Event::Lost { transport, .. } => {
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
            next: AtomicU64::new(1),
        })
    }

    /// The address bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.sfu.local_addr()
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
        if !self.sfu.send(command) {
            tracing::error!("the media worker is gone: restart the server");
        }
    }

    /// Ends a transport; its owner hears no more of it.
    pub(super) fn close(&self, transport: TransportId) {
        lock(&self.owners).remove(&transport);
        self.send(Command::Close { transport });
    }
}

fn lock(owners: &Owners) -> std::sync::MutexGuard<'_, HashMap<TransportId, Facts>> {
    // The map is whole after each single insert, remove or get, also if a holder panicked.
    owners.lock().unwrap_or_else(PoisonError::into_inner)
}
