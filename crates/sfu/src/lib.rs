//! What happens to a packet: transports, forwarding, data channels, batched sockets.
//!
//! Desired state goes in by [`Command`], facts come out by [`Event`]. Nothing here knows of rooms,
//! participants or signaling.

#[cfg(test)]
mod allocations;
mod backlog;
mod channels;
mod clock;
mod codec;
mod early;
mod engine;
mod feedback;
#[cfg(any(test, feature = "fuzzing"))]
mod fixture;
mod forwarder;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz;
mod gather;
mod ice;
#[cfg(feature = "measuring")]
#[doc(hidden)]
pub mod in_memory;
mod keyframe;
mod limits;
mod loudest;
#[cfg(feature = "measuring")]
#[doc(hidden)]
pub mod measure;
mod media_worker;
mod plane;
mod processors;
mod rewrite;
mod srtp;
mod stats;
mod stun;
mod track;
mod transport;
mod udp;
mod wheel;
mod wire;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::Arc;

use negotiation::{Fingerprint, MediaKind, NegotiatedSession};

#[cfg(feature = "library-engine")]
use engine::RtcEngines;
use engine::{Engines, LinkEngines};
use media_worker::WorkerSettings;
use udp::Bound;

pub use media_worker::MediaWorker;
pub use stats::Stats;

/// One client's transport: ICE, DTLS, SRTP and SCTP on one UDP port. Never used twice in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransportId(pub u64);

/// How to start the media plane.
#[derive(Debug, Clone)]
pub struct SfuConfig {
    /// Where the workers bind, one for each; port 0 takes a free one.
    pub binds: Vec<SocketAddr>,
    /// What carries the transports.
    pub engine: MediaEngine,
    /// To a receiver of more sound than this, the loudest so many are sent, and for a while those who were among them. `None`
    /// sends all.
    pub loudest_audio: Option<NonZeroUsize>,
    /// Keeps each worker's thread on a processor of its own, as far as there are as many.
    pub pinned: bool,
}

/// Which engine carries the transports: DTLS, SRTP, RTCP and data channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MediaEngine {
    /// Our own.
    #[default]
    Own,
    /// The one over a WebRTC library, to compare with.
    #[cfg(feature = "library-engine")]
    Library,
}

/// No engine of this build has that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this build has own, or own and library if it was built with the feature library-engine")]
pub struct NoSuchEngine;

impl FromStr for MediaEngine {
    type Err = NoSuchEngine;

    fn from_str(name: &str) -> Result<Self, NoSuchEngine> {
        match name {
            "own" => Ok(Self::Own),
            #[cfg(feature = "library-engine")]
            "library" => Ok(Self::Library),
            _ => Err(NoSuchEngine),
        }
    }
}

/// What a media worker is told.
#[derive(Debug, Clone)]
pub enum Command {
    /// Makes the transport if it is new, else changes it to this session. Sessions older than the
    /// last one are ignored.
    Apply {
        /// Which.
        transport: TransportId,
        /// What was agreed.
        session: Arc<NegotiatedSession>,
    },
    /// Everything that this transport is to receive, replacing what was said before. Media flows
    /// on a route when source and destination are there, in whichever order they appear.
    Subscribe {
        /// Who receives.
        transport: TransportId,
        /// All of it.
        routes: Vec<Route>,
    },
    /// Ends the transport.
    Close {
        /// Which.
        transport: TransportId,
    },
}

/// One track on its way from its publisher's transport to a subscriber's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The publisher's transport.
    pub source: TransportId,
    /// The id the track's media carries there: `negotiation::Receive::track_id`, or the label of
    /// the publisher's data channel.
    pub source_id: Arc<str>,
    /// The id it carries towards the subscriber: `negotiation::Send::track_id`, or the label of
    /// the channel that we open, with the publisher's reliability.
    pub id: Arc<str>,
    /// What it is.
    pub media: RouteMedia,
}

/// What a route carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteMedia {
    /// RTP.
    Rtp(MediaKind),
    /// A data channel.
    Data,
}

/// What a media worker tells.
#[derive(Debug, Clone)]
pub enum Event {
    /// ICE and DTLS are up, for the first time or again after [`Event::Interrupted`].
    Connected {
        /// Which.
        transport: TransportId,
    },
    /// No check of the client arrived for a while. It may come back, or restart ICE.
    Interrupted {
        /// Which.
        transport: TransportId,
    },
    /// It failed for good and is closed: the client needs a new peer connection.
    Lost {
        /// Which.
        transport: TransportId,
        /// Why.
        reason: LostReason,
    },
}

/// Why a transport was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LostReason {
    /// The DTLS handshake failed, or its certificate is not the one announced.
    Dtls,
    /// The client closed it.
    Closed,
    /// The engine failed, or panicked, on this transport.
    Engine(String),
    /// Its worker panicked, elsewhere: all transports of that worker are lost. The worker goes on without them.
    Worker,
}

/// The running media plane: one worker or several, which share nothing. Dropping it says good-bye to all clients and ends
/// the workers' threads.
#[derive(Debug)]
pub struct Sfu {
    fingerprint: Fingerprint,
    workers: Vec<MediaWorker>,
}

impl Sfu {
    /// Binds the sockets and starts the media workers. `on_event` runs on the workers and must not
    /// block.
    ///
    /// # Errors
    /// Which address cannot be had. Nothing runs then.
    pub fn start(config: SfuConfig, on_event: impl Fn(Event) + Clone + Send + 'static) -> Result<Self, StartError> {
        match config.engine {
            MediaEngine::Own => {
                let engines = LinkEngines::new().map_err(io::Error::other)?;
                Self::start_with(engines, &config, on_event)
            }
            #[cfg(feature = "library-engine")]
            MediaEngine::Library => {
                let engines = RtcEngines::new().map_err(io::Error::other)?;
                Self::start_with(engines, &config, on_event)
            }
        }
    }

    fn start_with<E: Engines + Clone>(
        engines: E,
        config: &SfuConfig,
        on_event: impl Fn(Event) + Clone + Send + 'static,
    ) -> Result<Self, StartError> {
        let bind = |addr: &SocketAddr| Bound::new(*addr).map_err(|source| StartError::Bind { addr: *addr, source });
        // All or nothing: no thread before every port is had.
        let bound = config.binds.iter().map(bind).collect::<Result<Vec<_>, _>>()?;
        if let Some(granted) = bound.first().and_then(|first| first.receive_buffer().ok())
            && granted < limits::SOCKET_BUFFER_ENOUGH_BYTES
        {
            tracing::info!(
                "media waits for this process in {} KiB a port, which a moment without a processor overflows; raise it with `sysctl net.core.rmem_max={}`",
                granted >> 10,
                limits::SOCKET_BUFFER_BYTES
            );
        }
        let processors = match config.pinned {
            true => processors::spread(bound.len()).map_err(io::Error::from)?,
            false => Vec::new(),
        };
        let start = |(number, bound)| {
            let settings = WorkerSettings {
                number,
                loudest: config.loudest_audio,
                processor: processors.get(number).copied(),
            };
            MediaWorker::start(settings, bound, engines.clone(), on_event.clone())
        };
        Ok(Self {
            fingerprint: engines.fingerprint(),
            workers: bound.into_iter().enumerate().map(start).collect::<io::Result<_>>()?,
        })
    }

    /// The workers, as many as addresses were given, in the same order. A client's transport, and those of all whom it
    /// is to hear, are on one of them.
    pub fn workers(&self) -> &[MediaWorker] {
        &self.workers
    }

    /// Hash of the certificate that all transports of this process present.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    /// What all workers counted so far, some milliseconds old.
    pub fn stats(&self) -> Stats {
        self.workers.iter().map(MediaWorker::stats).sum()
    }
}

impl Drop for Sfu {
    fn drop(&mut self) {
        // All at once; then each is waited for.
        self.workers.iter_mut().for_each(MediaWorker::end);
    }
}

/// Why there is no media plane.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be had.
    #[error("binding UDP {addr}")]
    Bind {
        /// Which.
        addr: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The certificate or the threads.
    #[error("starting the media workers")]
    Other(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::{Path, PathBuf};

    fn sources(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries
            .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
            .collect()
    }

    /// The engine can be replaced because one module knows it.
    #[test]
    fn one_module_names_the_engine() {
        let name = ["str", "0m"].concat();
        let naming = |path: &PathBuf| std::fs::read_to_string(path).unwrap().contains(&name);
        let files: Vec<PathBuf> = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
            .into_iter()
            .filter(naming)
            .collect();
        let within = |file: &PathBuf| {
            file.ends_with("engine/rtc.rs") || file.parent().is_some_and(|folder| folder.ends_with("engine/rtc"))
        };
        assert!(!files.is_empty() && files.iter().all(within), "{files:?}");
    }
}
