//! The thread that writes: it gathers what waits into one transaction and acknowledges after COMMIT.
//!
//! Each write has a savepoint of its own, so that one that fails leaves nothing and the others stand.

use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Checkpoints;
use crate::{BoxFuture, StoreError, limits};

/// Does the writing inside of a transaction; what it returns tells the caller, once it is known how
/// the transaction ended.
type Write = Box<dyn FnOnce(&Connection) -> Acknowledge + Send>;
type Acknowledge = Box<dyn FnOnce(Result<(), Arc<NotCommitted>>)>;

/// Why a commit that a write was part of did not happen.
#[derive(Debug, thiserror::Error)]
#[error("the transaction was not committed")]
struct NotCommitted(#[source] Option<rusqlite::Error>);

#[derive(Debug, thiserror::Error)]
#[error("the store has stopped")]
struct Stopped;

/// The error of a call that finds no thread to serve it.
pub(super) fn stopped() -> StoreError {
    StoreError::backend(Stopped)
}

pub(super) struct Writer {
    /// `None` once the thread shall end.
    queue: Option<mpsc::Sender<Write>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(db: Connection) -> Result<Self, StoreError> {
        let (queue, writes) = mpsc::channel(limits::WRITE_QUEUE);
        let thread = std::thread::Builder::new()
            .name("store-write".to_owned())
            .spawn(move || serve(&db, writes))
            .map_err(StoreError::backend)?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Runs a write; resolves when it is durable, or has failed and left nothing.
    pub(super) fn run<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let job: Write = Box::new(move |db| {
                let result = in_savepoint(db, write);
                Box::new(move |committed| {
                    let result = committed.map_err(StoreError::from).and(result);
                    // Fails if nobody waits for it any more.
                    drop(answer.send(result));
                })
            });
            let queue = self.queue.as_ref().ok_or_else(stopped)?;
            queue.send(job).await.map_err(|_| stopped())?;
            answered.await.map_err(|_| stopped())?
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the database had panicked");
        }
    }
}

impl From<Arc<NotCommitted>> for StoreError {
    fn from(source: Arc<NotCommitted>) -> Self {
        Self::Backend(Box::new(source))
    }
}

fn serve(db: &Connection, mut writes: mpsc::Receiver<Write>) {
    let mut checkpoints = Checkpoints::default();
    while let Some(first) = writes.blocking_recv() {
        let mut acknowledgements = Vec::new();
        let committed = commit(db, first, &mut writes, &mut acknowledgements).map_err(|error| {
            // A failed BEGIN or a transaction that SQLite gave up by itself has nothing to undo.
            if !db.is_autocommit()
                && let Err(error) = db.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "a transaction could not be rolled back");
            }
            Arc::new(error)
        });
        for acknowledge in acknowledgements {
            acknowledge(committed.clone());
        }
        checkpoints.after_commit(db);
    }
}

/// One transaction of the first write and those that wait behind it.
fn commit(
    db: &Connection,
    first: Write,
    writes: &mut mpsc::Receiver<Write>,
    acknowledgements: &mut Vec<Acknowledge>,
) -> Result<(), NotCommitted> {
    let failed = |error| NotCommitted(Some(error));
    let begun = execute(db, "BEGIN IMMEDIATE");
    // Also when BEGIN failed: without a transaction it fails too, and its caller hears of it.
    acknowledgements.push(first(db));
    begun.map_err(failed)?;
    while !db.is_autocommit() && acknowledgements.len() < limits::BATCH {
        let Ok(write) = writes.try_recv() else { break };
        acknowledgements.push(write(db));
    }
    if db.is_autocommit() {
        // A full disk or an I/O error ends the whole transaction inside of one write.
        return Err(NotCommitted(None));
    }
    execute(db, "COMMIT").map_err(failed)
}

fn in_savepoint<T>(db: &Connection, write: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
    if db.is_autocommit() {
        return Err(StoreError::backend(NotCommitted(None)));
    }
    execute(db, "SAVEPOINT one")?;
    let result = write(db);
    if db.is_autocommit() {
        return result;
    }
    let undone = match result {
        Ok(_) => Ok(()),
        Err(_) => execute(db, "ROLLBACK TO one"),
    };
    if let Err(error) = undone.and_then(|()| execute(db, "RELEASE one")) {
        // What it wrote must not be committed with the others: all of them fail.
        execute(db, "ROLLBACK")?;
        return Err(error.into());
    }
    result
}

fn execute(db: &Connection, sql: &str) -> Result<(), rusqlite::Error> {
    db.prepare_cached(sql)?.execute([]).map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn writer() -> Writer {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "PRAGMA foreign_keys = ON;
             CREATE TABLE rows (id INTEGER PRIMARY KEY,
                 parent INTEGER REFERENCES rows (id) DEFERRABLE INITIALLY DEFERRED);",
        )
        .unwrap();
        Writer::start(db).unwrap()
    }

    fn insert(id: i64, parent: Option<i64>) -> impl FnOnce(&Connection) -> Result<(), StoreError> {
        move |db| {
            db.prepare_cached("INSERT INTO rows (id, parent) VALUES (?1, ?2)")?
                .execute((id, parent))?;
            Ok(())
        }
    }

    async fn ids(writer: &Writer) -> Vec<i64> {
        let read = writer.run(|db| {
            let mut query = db.prepare("SELECT id FROM rows ORDER BY id")?;
            let ids = query.query_map([], |row| row.get(0))?;
            Ok(ids.collect::<Result<_, _>>()?)
        });
        read.await.unwrap()
    }

    /// Runs three writes in one transaction: the first waits until the others are queued.
    async fn together(
        writer: &Writer,
        second: impl FnOnce(&Connection) -> Result<(), StoreError> + Send + 'static,
    ) -> [Result<(), StoreError>; 3] {
        let (go, wait) = channel();
        let first = writer.run(move |db| {
            wait.recv().unwrap();
            insert(1, None)(db)
        });
        let second = writer.run(second);
        let third = writer.run(insert(3, None));
        let release = async { go.send(()).unwrap() };
        // Polled in this order: all three are queued before the first goes on.
        let (first, second, third, ()) = tokio::join!(biased; first, second, third, release);
        [first, second, third]
    }

    #[tokio::test]
    async fn a_write_that_fails_half_way_fails_alone() {
        let writer = writer();
        let results = together(&writer, |db| {
            insert(2, None)(db)?;
            insert(2, None)(db)
        })
        .await;
        assert_eq!(results.map(|result| result.is_ok()), [true, false, true]);
        assert_eq!(ids(&writer).await, [1, 3]);
    }

    #[tokio::test]
    async fn a_commit_that_fails_is_acknowledged_to_nobody() {
        let writer = writer();
        let results = together(&writer, insert(2, Some(77))).await;
        assert_eq!(results.map(|result| result.is_ok()), [false; 3]);
        writer.run(insert(4, None)).await.unwrap();
        assert_eq!(ids(&writer).await, [4]);
    }

    #[tokio::test]
    async fn a_transaction_that_ended_inside_of_a_write_fails_for_all_in_it() {
        let writer = writer();
        let results = together(&writer, |db| {
            // As SQLite does by itself when the disk is full.
            db.execute_batch("ROLLBACK")?;
            Err(StoreError::refused("the disk is full"))
        })
        .await;
        // The first was lost with it and says so; the third had not begun and has the next one.
        assert_eq!(results.map(|result| result.is_ok()), [false, false, true]);
        assert_eq!(ids(&writer).await, [3]);
    }

    #[tokio::test]
    async fn a_write_that_panics_is_an_error_for_its_caller_and_all_after() {
        let writer = writer();
        let panicked = writer.run(|_| -> Result<(), StoreError> { panic!("a bug") });
        assert!(panicked.await.is_err());
        assert!(writer.run(insert(4, None)).await.is_err());
    }
}
