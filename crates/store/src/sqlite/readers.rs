//! The threads that read, each on a connection of its own, fed from one bounded queue.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::outage::{self, Gauge};
use super::writer::stopped;
use crate::{BoxFuture, StoreError, limits};

type Read = Box<dyn FnOnce(&Connection) + Send>;

pub(super) struct Readers {
    /// `None` once the threads shall end.
    queue: Option<mpsc::Sender<Read>>,
    threads: Vec<JoinHandle<()>>,
    gauge: Arc<Gauge>,
}

impl Readers {
    pub(super) fn start(connections: Vec<Connection>, gauge: Arc<Gauge>) -> Result<Self, StoreError> {
        let (queue, reads) = mpsc::channel(limits::READ_QUEUE);
        let reads = Arc::new(Mutex::new(reads));
        let mut readers = Self {
            queue: Some(queue),
            threads: Vec::new(),
            gauge,
        };
        for db in connections {
            let reads = Arc::clone(&reads);
            let thread = std::thread::Builder::new()
                .name("store-read".to_owned())
                .spawn(move || serve(&db, &reads))
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
            let queue = self.queue.as_ref().ok_or_else(stopped)?;
            queue.send(job).await.map_err(|_| stopped())?;
            answered.await.map_err(|_| stopped())?
        })
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that reads the database had panicked");
            }
        }
    }
}

fn serve(db: &Connection, reads: &Mutex<mpsc::Receiver<Read>>) {
    loop {
        // One thread waits for the queue, the others for the lock; a poisoned one has lost nothing.
        let read = reads.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        match read {
            Some(read) => read(db),
            None => return,
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
