//! What reads: tasks with a connection each, fed from one bounded queue.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use super::connection::{Connection, Connector, within};
use super::lane::stopped;
use super::outage::{self, Gauge};
use crate::{BoxFuture, Outage, StoreError, limits};

/// Reads, and answers its caller; what stood in its way. Without a connection it passes the error on.
type Read = Box<dyn for<'a> FnOnce(Result<&'a Connection, StoreError>) -> BoxFuture<'a, Option<Outage>> + Send>;

pub(super) struct Readers {
    /// `None` once the tasks shall end.
    queue: Option<mpsc::Sender<Read>>,
}

/// One of the tasks.
pub(super) struct Reader {
    reads: Arc<Mutex<mpsc::Receiver<Read>>>,
    connector: Connector,
    connection: Option<Connection>,
    gauge: Arc<Gauge>,
}

/// What the statements of a read see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sees {
    /// Each for itself what was committed before it: of reads of one statement.
    Each,
    /// All the same.
    Snapshot,
}

impl Readers {
    /// The queue and who serves it.
    pub(super) fn new(connector: &Connector, gauge: &Arc<Gauge>) -> (Self, Vec<Reader>) {
        let (queue, reads) = mpsc::channel(limits::READ_QUEUE);
        let reads = Arc::new(Mutex::new(reads));
        let readers = (0..limits::READERS)
            .map(|_| Reader {
                reads: Arc::clone(&reads),
                connector: connector.clone(),
                connection: None,
                gauge: Arc::clone(gauge),
            })
            .collect();
        (Self { queue: Some(queue) }, readers)
    }

    /// Runs a read; fails with [`Outage::Away`] if the database does not answer in time.
    pub(super) fn run<T: Send + 'static>(
        &self,
        sees: Sees,
        read: impl for<'a> FnOnce(&'a Connection) -> BoxFuture<'a, Result<T, StoreError>> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let job: Read = Box::new(move |db| {
                Box::pin(async move {
                    let result = match db {
                        // Nobody waits for it any more if the future was dropped.
                        Ok(_) if answer.is_closed() => return None,
                        Ok(db) => {
                            if sees == Sees::Snapshot {
                                db.begin_read("ISOLATION LEVEL REPEATABLE READ");
                            }
                            within(limits::READ_WAIT, read(db)).await
                        }
                        Err(error) => Err(error),
                    };
                    let outage = outage::in_the_way(&result);
                    drop(answer.send(result));
                    outage
                })
            });
            let queue = self.queue.as_ref().ok_or_else(stopped)?;
            queue.send(job).await.map_err(|_| stopped())?;
            answered.await.map_err(|_| stopped())?
        })
    }

    /// Lets the tasks end once they have read what waits.
    pub(super) fn close(&mut self) {
        self.queue = None;
    }
}

impl Reader {
    pub(super) async fn serve(mut self) {
        loop {
            // One task waits for the queue, the others for the lock.
            let read = self.reads.lock().await.recv().await;
            let Some(read) = read else { return };
            let db = match self.connection.take().filter(|db| !db.is_closed()) {
                Some(db) => Ok(db),
                None => self.connector.connect().await,
            };
            let outage = match db {
                Ok(db) => {
                    let outage = read(Ok(&db)).await;
                    // Its caller has the answer already. What is late must not meet the next read.
                    if outage.is_none() && db.end_read().await.is_ok() {
                        self.connection = Some(db);
                    }
                    outage
                }
                Err(error) => read(Err(error)).await,
            };
            self.gauge.read(outage);
        }
    }
}
