//! The threads that read, each on a connection of its own, fed from one bounded queue.
//!
//! Short reads are most of what a server does, so handing one over must cost little: a thread is only woken if one sleeps,
//! and one that is done takes the next without sleeping.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::outage::{self, Gauge};
use super::writer::stopped;
use crate::{BoxFuture, StoreError, limits};

type Read = Box<dyn FnOnce(&Connection) + Send>;

pub(super) struct Readers {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
    gauge: Arc<Gauge>,
}

/// Reads that wait, each with its place.
struct Queue {
    places: Arc<Semaphore>,
    state: Mutex<State>,
    more: Condvar,
}

struct State {
    reads: VecDeque<(Read, OwnedSemaphorePermit)>,
    /// Threads that sleep.
    asleep: usize,
    /// Threads that serve. Without any, reads fail.
    serving: usize,
    /// The threads shall end, once nothing waits.
    closing: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No holder leaves it half changed, so a panic does not either.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False if nobody would serve it.
    fn push(&self, read: Read, place: OwnedSemaphorePermit) -> bool {
        let mut state = self.lock();
        if state.serving == 0 {
            return false;
        }
        state.reads.push_back((read, place));
        let wake = state.asleep > 0;
        drop(state);
        if wake {
            self.more.notify_one();
        }
        true
    }

    /// The next read; `None` at the end.
    fn next(&self) -> Option<Read> {
        let mut state = self.lock();
        loop {
            if let Some((read, _place)) = state.reads.pop_front() {
                return Some(read);
            }
            if state.closing {
                return None;
            }
            state.asleep += 1;
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.asleep -= 1;
        }
    }
}

impl Readers {
    pub(super) fn start(connections: Vec<Connection>, gauge: Arc<Gauge>) -> Result<Self, StoreError> {
        let state = State {
            reads: VecDeque::new(),
            asleep: 0,
            serving: 0,
            closing: false,
        };
        let queue = Queue {
            places: Arc::new(Semaphore::new(limits::READ_QUEUE)),
            state: Mutex::new(state),
            more: Condvar::new(),
        };
        let mut readers = Self {
            queue: Arc::new(queue),
            threads: Vec::new(),
            gauge,
        };
        for db in connections {
            let serving = Serving::begin(&readers.queue);
            let thread = std::thread::Builder::new()
                .name("store-read".to_owned())
                .spawn(move || serving.run(&db))
                .map_err(StoreError::backend)?;
            readers.threads.push(thread);
        }
        Ok(readers)
    }

    /// Runs a read, all of it on one snapshot.
    pub(super) fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let gauge = Arc::clone(&self.gauge);
            let job: Read = Box::new(move |db| {
                // Nobody waits for it any more if the future was dropped.
                if !answer.is_closed() {
                    let result = on_snapshot(db, read);
                    gauge.read(outage::in_the_way(&result));
                    drop(answer.send(result));
                }
            });
            let places = Arc::clone(&self.queue.places);
            let place = places.acquire_owned().await.map_err(|_| stopped())?;
            if !self.queue.push(job, place) {
                return Err(stopped());
            }
            answered.await.map_err(|_| stopped())?
        })
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.lock().closing = true;
        self.queue.more.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that reads the database had panicked");
            }
        }
    }
}

/// A thread that takes reads from the queue, until it ends, in whatever way.
struct Serving(Arc<Queue>);

impl Serving {
    fn begin(queue: &Arc<Queue>) -> Self {
        queue.lock().serving += 1;
        Self(Arc::clone(queue))
    }

    fn run(self, db: &Connection) {
        while let Some(read) = self.0.next() {
            read(db);
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.serving -= 1;
        if state.serving == 0 {
            // Whoever waits hears that its read is gone.
            let abandoned = std::mem::take(&mut state.reads);
            drop(state);
            drop(abandoned);
        }
    }
}

/// A transaction that only reads: all statements see the same. Rolled back by SQLite if `read` panics,
/// as the thread and its connection end then.
fn on_snapshot<T>(db: &Connection, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
    db.prepare_cached("BEGIN")?.execute([])?;
    let result = read(db);
    let ended = db.prepare_cached("COMMIT").and_then(|mut end| end.execute([]));
    if !db.is_autocommit() {
        // Else the next read would see what this one saw.
        db.execute_batch("ROLLBACK")?;
    }
    ended?;
    result
}
