//! One media worker as those above hold it: its thread, its port, and the way to tell it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

use crate::engine::Engines;
use crate::gather::Patience;
use crate::plane::Plane;
use crate::stats::SharedStats;
use crate::udp::{Bound, Socket};
use crate::worker::{Wake, Worker};
use crate::{Command, Event, Stats, processors};

/// A thread with a UDP port and transports of its own. Dropping it says good-bye to their clients and ends the thread.
pub struct MediaWorker {
    local: SocketAddr,
    /// Unbounded, since only this process puts in: as many as its rooms decide, and a decision must
    /// not be lost. `None` only while it is dropped.
    commands: Option<mpsc::Sender<Command>>,
    wake: Arc<Wake>,
    stats: Arc<SharedStats>,
    thread: Option<JoinHandle<()>>,
}

/// How a worker is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkerSettings {
    /// Counted from 0.
    pub(crate) number: usize,
    /// As [`SfuConfig::loudest_audio`](crate::SfuConfig::loudest_audio).
    pub(crate) loudest: Option<NonZeroUsize>,
    /// The processor that the thread is kept on.
    pub(crate) processor: Option<usize>,
}

impl MediaWorker {
    /// Starts the thread.
    pub(crate) fn start<E: Engines>(
        settings: WorkerSettings,
        bound: Bound,
        engines: E,
        on_event: impl Fn(Event) + Send + 'static,
    ) -> io::Result<Self> {
        let local = bound.local_addr();
        let wake = Arc::new(Wake::new()?);
        let stats = Arc::new(SharedStats::default());
        let (sender, commands) = mpsc::channel();
        let plane = Plane::new(engines, on_event, Instant::now()).with_loudest(settings.loudest);
        let (worker_wake, worker_stats) = (wake.clone(), stats.clone());
        let run = move || {
            if let Some(processor) = settings.processor
                && let Err(errno) = processors::pin(processor)
            {
                tracing::warn!(%errno, processor, "a media thread cannot be kept on a processor, and goes on without");
            }
            Worker {
                socket: Socket::new(bound),
                plane,
                commands,
                wake: worker_wake,
                stats: worker_stats,
                under_way: None,
                patience: Patience::default(),
            }
            .run()
        };
        let thread = std::thread::Builder::new()
            .name(format!("media-{}", settings.number))
            .spawn(run)?;
        Ok(Self {
            local,
            commands: Some(sender),
            wake,
            stats,
            thread: Some(thread),
        })
    }

    /// The address bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Tells the worker. Never blocks; false if it is gone.
    pub fn send(&self, command: Command) -> bool {
        let sent = self
            .commands
            .as_ref()
            .is_some_and(|commands| commands.send(command).is_ok());
        self.wake.wake();
        sent
    }

    /// Whether it lives. It only ends early by a fault of ours.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// What it counted so far, some milliseconds old.
    pub fn stats(&self) -> Stats {
        self.stats.read()
    }

    /// From now on it is about to end.
    pub(crate) fn end(&mut self) {
        self.commands = None;
        self.wake.wake();
    }
}

impl Drop for MediaWorker {
    fn drop(&mut self) {
        self.end();
        let ended = self.thread.take().map(JoinHandle::join);
        if let Some(Err(_)) = ended {
            tracing::error!(local = %self.local, "a media worker panicked");
        }
    }
}

impl fmt::Debug for MediaWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaWorker")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}
