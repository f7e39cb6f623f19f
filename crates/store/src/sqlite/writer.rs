//! The thread that writes: it gathers what waits into one transaction and acknowledges after COMMIT.
//!
//! Each write has a savepoint of its own, so that one that fails leaves nothing and the others stand.

use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Checkpoints;
use super::outage::{self, Gauge};
use crate::{BoxFuture, Outage, StoreError, limits};

/// Does the writing inside of a transaction.
type Write = Box<dyn FnOnce(&Connection) -> Written + Send>;

/// Works outside of any transaction.
type Alone = Box<dyn FnOnce(&Connection) + Send>;

/// What the thread is asked.
enum Job {
    /// Shares a transaction with others.
    Write(Write),
    /// Is done alone, after all that was asked before.
    Alone(Alone),
}

/// A write that was tried, before it is known how its transaction ends.
struct Written {
    /// What stood in its way, if it failed by that.
    outage: Option<Outage>,
    /// Tells the caller how the transaction ended.
    acknowledge: Box<dyn FnOnce(Result<(), Arc<NotCommitted>>)>,
}

/// Why a commit that a write was part of did not happen.
#[derive(Debug, thiserror::Error)]
#[error("the transaction was not committed")]
struct NotCommitted {
    outage: Option<Outage>,
    source: Option<rusqlite::Error>,
}

impl NotCommitted {
    /// The transaction is gone already, by what was in the way of one of its writes.
    fn ended_early(outage: Option<Outage>) -> Self {
        Self { outage, source: None }
    }
}

impl From<rusqlite::Error> for NotCommitted {
    fn from(source: rusqlite::Error) -> Self {
        Self {
            outage: outage::of(&source),
            source: Some(source),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the store has stopped")]
struct Stopped;

/// The error of a call that finds no thread to serve it.
pub(super) fn stopped() -> StoreError {
    StoreError::backend(Stopped)
}

pub(super) struct Writer {
    /// `None` once the thread shall end.
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(db: Connection, gauge: Arc<Gauge>) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(limits::WRITE_QUEUE);
        let thread = std::thread::Builder::new()
            .name("store-write".to_owned())
            .spawn(move || serve(&db, jobs, &gauge))
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
                let outage = outage::in_the_way(&result);
                let acknowledge = Box::new(move |committed: Result<(), Arc<NotCommitted>>| {
                    let result = committed.map_err(StoreError::from).and(result);
                    // Fails if nobody waits for it any more.
                    drop(answer.send(result));
                });
                Written { outage, acknowledge }
            });
            self.send(Job::Write(job)).await?;
            answered.await.map_err(|_| stopped())?
        })
    }

    /// Does something outside of transactions, after the writes that wait.
    pub(super) fn between_writes<T: Send + 'static>(
        &self,
        work: fn(&Connection) -> Result<T, rusqlite::Error>,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            // Sending fails if nobody waits for it any more.
            let job = Box::new(move |db: &Connection| drop(answer.send(work(db))));
            self.send(Job::Alone(job)).await?;
            Ok(answered.await.map_err(|_| stopped())??)
        })
    }

    async fn send(&self, job: Job) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(job).await.map_err(|_| stopped())
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
        match source.outage {
            Some(outage) => Self::Unavailable {
                outage,
                source: Box::new(source),
            },
            None => Self::Backend(Box::new(source)),
        }
    }
}

fn serve(db: &Connection, mut jobs: mpsc::Receiver<Job>, gauge: &Gauge) {
    let mut checkpoints = Checkpoints::default();
    // Came while a transaction was gathered; it is done after that.
    let mut alone: Option<Alone> = None;
    while let Some(job) = alone.take().map(Job::Alone).or_else(|| jobs.blocking_recv()) {
        let first = match job {
            Job::Write(first) => first,
            Job::Alone(work) => {
                work(db);
                continue;
            }
        };
        gauge.begin();
        let mut written = Vec::new();
        let committed = commit(db, first, &mut jobs, &mut alone, &mut written).map_err(|error| {
            // A failed BEGIN or a transaction that SQLite gave up by itself has nothing to undo.
            if !db.is_autocommit()
                && let Err(error) = db.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "a transaction could not be rolled back");
            }
            Arc::new(error)
        });
        // A write that failed alone, say for want of space, while the rest was committed, counts too.
        let outage = match &committed {
            Err(error) => error.outage,
            Ok(()) => written.iter().find_map(|write| write.outage),
        };
        gauge.end(outage);
        for write in written {
            (write.acknowledge)(committed.clone());
        }
        checkpoints.after_commit(db);
    }
}

/// One transaction of the first write and those that wait behind it.
fn commit(
    db: &Connection,
    first: Write,
    jobs: &mut mpsc::Receiver<Job>,
    alone: &mut Option<Alone>,
    written: &mut Vec<Written>,
) -> Result<(), NotCommitted> {
    let begun = execute(db, "BEGIN IMMEDIATE");
    // Also when BEGIN failed: without a transaction it fails too, and its caller hears of it.
    written.push(first(db));
    begun?;
    while !db.is_autocommit() && written.len() < limits::BATCH {
        match jobs.try_recv() {
            Ok(Job::Write(write)) => written.push(write(db)),
            Ok(Job::Alone(work)) => {
                *alone = Some(work);
                break;
            }
            Err(_) => break,
        }
    }
    if db.is_autocommit() {
        // A full disk or an I/O error ends the whole transaction inside of one write.
        return Err(NotCommitted::ended_early(written.iter().find_map(|write| write.outage)));
    }
    Ok(execute(db, "COMMIT")?)
}

fn in_savepoint<T>(db: &Connection, write: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
    if db.is_autocommit() {
        return Err(StoreError::backend(NotCommitted::ended_early(None)));
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
        writer_with(Arc::default())
    }

    fn writer_with(gauge: Arc<Gauge>) -> Writer {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "PRAGMA foreign_keys = ON;
             CREATE TABLE rows (id INTEGER PRIMARY KEY,
                 parent INTEGER REFERENCES rows (id) DEFERRABLE INITIALLY DEFERRED);",
        )
        .unwrap();
        Writer::start(db, gauge).unwrap()
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
    async fn a_full_disk_is_told_as_such_to_all_it_hits_and_passes() {
        let gauge = Arc::<Gauge>::default();
        let writer = writer_with(Arc::clone(&gauge));
        let grow = |bytes: i64| {
            move |db: &Connection| -> Result<(), StoreError> {
                db.execute("INSERT INTO blobs VALUES (zeroblob(?1))", [bytes])?;
                Ok(())
            }
        };
        let pages = writer.run(|db| {
            db.execute_batch("CREATE TABLE blobs (blob BLOB)")?;
            Ok(db.query_row("PRAGMA max_page_count = 20", [], |row| row.get::<_, i64>(0))?)
        });
        assert_eq!(pages.await.unwrap(), 20);
        let full = writer.run(grow(1 << 20)).await;
        assert!(
            matches!(
                full,
                Err(StoreError::Unavailable {
                    outage: Outage::DiskFull,
                    ..
                })
            ),
            "{full:?}"
        );
        assert_eq!(gauge.condition().outage, Some(Outage::DiskFull));
        writer.run(insert(1, None)).await.unwrap();
        assert_eq!(gauge.condition().outage, None);
        assert_eq!(ids(&writer).await, [1]);
    }

    #[tokio::test]
    async fn a_write_that_panics_is_an_error_for_its_caller_and_all_after() {
        let writer = writer();
        let panicked = writer.run(|_| -> Result<(), StoreError> { panic!("a bug") });
        assert!(panicked.await.is_err());
        assert!(writer.run(insert(4, None)).await.is_err());
    }
}
