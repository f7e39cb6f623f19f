//! The lanes that write: each gathers what waits into one transaction on a connection of its own, and acknowledges
//! after COMMIT.
//!
//! A room always has the same lane, so that its writes are in order and no two transactions want the same rows. What is
//! of no room has lane 0, which waits for no row that another lane holds (`SKIP LOCKED`): so nothing waits in a circle.
//! Each write has a savepoint of its own. If the connection is lost while a COMMIT is on its way, nobody is told
//! anything until the database has said how that transaction ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::connection::{Connection, Connector};
use super::lock::Lock;
use super::outage::{self, Gauge};
use crate::{BoxFuture, Outage, StoreError, limits};

/// Does the writing inside of a transaction, or tells its caller why there is none.
pub(super) type Write =
    Box<dyn for<'a> FnOnce(Result<&'a Connection, Arc<NotCommitted>>) -> BoxFuture<'a, Option<Written>> + Send>;

/// A write that was tried, before it is known how its transaction ends.
pub(super) struct Written {
    /// What stood in its way, if it failed by that.
    outage: Option<Outage>,
    failed: bool,
    /// Tells the caller how the transaction ended.
    acknowledge: Box<dyn FnOnce(Result<(), Arc<NotCommitted>>) + Send>,
}

/// Why a commit that a write was part of did not happen.
#[derive(Debug, thiserror::Error)]
#[error("the transaction was not committed")]
pub(super) struct NotCommitted {
    outage: Option<Outage>,
    #[source]
    source: Option<StoreError>,
}

impl From<StoreError> for NotCommitted {
    fn from(source: StoreError) -> Self {
        Self {
            outage: outage::of_error(&source),
            source: Some(source),
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

#[derive(Debug, thiserror::Error)]
#[error("the store has stopped")]
struct Stopped;

/// The error of a call that finds nobody to serve it.
pub(super) fn stopped() -> StoreError {
    StoreError::backend(Stopped)
}

/// All lanes, by who sends to them.
pub(super) struct Lanes {
    /// Empty once they shall end.
    queues: Vec<mpsc::Sender<Write>>,
}

/// What a lane works with.
pub(super) struct Lane {
    writes: mpsc::Receiver<Write>,
    connector: Connector,
    connection: Option<Connection>,
    lock: Lock,
    gauge: Arc<Gauge>,
    /// Set when the store is dropped: then nothing is waited for that an outage holds up.
    closing: Arc<AtomicBool>,
}

impl Lanes {
    /// The lanes and what runs them.
    pub(super) fn new(
        connector: &Connector,
        lock: &Lock,
        gauge: &Arc<Gauge>,
        closing: &Arc<AtomicBool>,
    ) -> (Self, Vec<Lane>) {
        let (queues, lanes) = (0..limits::LANES)
            .map(|_| {
                let (queue, writes) = mpsc::channel(limits::WRITE_QUEUE);
                let lane = Lane {
                    writes,
                    connector: connector.clone(),
                    connection: None,
                    lock: lock.clone(),
                    gauge: Arc::clone(gauge),
                    closing: Arc::clone(closing),
                };
                (queue, lane)
            })
            .unzip();
        (Self { queues }, lanes)
    }

    /// Runs a write of no room.
    pub(super) fn run<T: Send + 'static>(
        &self,
        write: impl for<'a> FnOnce(&'a Connection) -> BoxFuture<'a, Result<T, StoreError>> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        self.run_in(0, write)
    }

    /// Runs a write of the room with this SID.
    pub(super) fn run_for<T: Send + 'static>(
        &self,
        room: [u8; 16],
        write: impl for<'a> FnOnce(&'a Connection) -> BoxFuture<'a, Result<T, StoreError>> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        // SIDs are random: any part of one is as good as a hash.
        let spread = room.iter().fold(0usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(usize::from(*byte))
        });
        self.run_in(1 + spread % (limits::LANES - 1), write)
    }

    /// Resolves when the write is durable, or has failed and left nothing.
    fn run_in<T: Send + 'static>(
        &self,
        lane: usize,
        write: impl for<'a> FnOnce(&'a Connection) -> BoxFuture<'a, Result<T, StoreError>> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        let queue = self.queues.get(lane).cloned();
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let job: Write = Box::new(move |db| {
                Box::pin(async move {
                    // Sending fails if nobody waits for it any more.
                    let db = match db {
                        Ok(db) => db,
                        Err(refusal) => {
                            drop(answer.send(Err(refusal.into())));
                            return None;
                        }
                    };
                    let result = write(db).await;
                    Some(Written {
                        outage: outage::in_the_way(&result),
                        failed: result.is_err(),
                        acknowledge: Box::new(move |committed| {
                            let result = committed.map_err(StoreError::from).and(result);
                            drop(answer.send(result));
                        }),
                    })
                })
            });
            queue.ok_or_else(stopped)?.send(job).await.map_err(|_| stopped())?;
            answered.await.map_err(|_| stopped())?
        })
    }

    /// Lets the lanes end once they have done what waits.
    pub(super) fn close(&mut self) {
        self.queues.clear();
    }
}

/// How a transaction ended, as far as this side knows.
enum End {
    Committed,
    NotCommitted(StoreError),
    /// The connection was lost while the COMMIT was on its way.
    InDoubt(StoreError),
}

#[derive(Debug, thiserror::Error)]
#[error("the database does not know any more how a transaction ended")]
struct Unknown;

impl Lane {
    /// Writes until the store is dropped and nothing waits any more.
    pub(super) async fn serve(mut self) {
        while let Some(first) = self.writes.recv().await {
            let number = self.gauge.begin();
            let outage = match self.ready().await {
                Ok(db) => self.write(db, first).await,
                Err(error) => self.refuse(first, error).await,
            };
            self.gauge.end(number, outage);
        }
    }

    /// A connection, taken out of its place, if this server may write.
    async fn ready(&mut self) -> Result<Connection, StoreError> {
        self.lock.check()?;
        match self.connection.take().filter(|db| !db.is_closed()) {
            Some(db) => Ok(db),
            None => self.connector.connect().await,
        }
    }

    /// The database cannot be used: whatever waits hears of it now, and not one after the other.
    async fn refuse(&mut self, first: Write, error: StoreError) -> Option<Outage> {
        let refusal = Arc::new(NotCommitted::from(error));
        let mut next = Some(first);
        while let Some(write) = next {
            write(Err(Arc::clone(&refusal))).await;
            next = self.writes.try_recv().ok();
        }
        refusal.outage
    }

    /// One transaction of the first write and those that wait behind it; what stood in its way.
    async fn write(&mut self, db: Connection, first: Write) -> Option<Outage> {
        let mut written = Vec::new();
        let end = transaction(&db, first, &mut self.writes, &mut written).await;
        let committed = self.settle(db, end).await.map_err(|error| Arc::new(error.into()));
        // A write that failed alone, say for want of space, while the rest was committed, counts too.
        let outage = match &committed {
            Err(error) => NotCommitted::outage(error),
            Ok(()) => written.iter().find_map(|write| write.outage),
        };
        for write in written {
            (write.acknowledge)(committed.clone());
        }
        outage
    }

    /// Finds out what became of a transaction, and keeps the connection if it is of further use.
    async fn settle(&mut self, db: Connection, end: End) -> Result<(), StoreError> {
        match end {
            End::Committed => {
                self.connection = Some(db);
                Ok(())
            }
            End::NotCommitted(error) => {
                // Whatever is left of it ends with the connection, if not before.
                if !db.is_closed() && db.command("ROLLBACK").await.is_ok() {
                    self.connection = Some(db);
                }
                Err(error)
            }
            End::InDoubt(error) => {
                let (number, process) = (db.number(), db.process);
                drop(db);
                match number {
                    Some(number) => self.resolve(&number, process, error).await,
                    // Nothing was written in it.
                    None => Err(error),
                }
            }
        }
    }

    /// Asks until the database says whether the transaction of this number was committed.
    async fn resolve(&mut self, number: &str, process: i32, lost: StoreError) -> Result<(), StoreError> {
        tracing::debug!(number, error = %lost, "the connection was lost in a commit: asking how it ended");
        let mut pause = limits::RECONNECT_PAUSE;
        loop {
            match self.ask(number, process).await {
                Ok(Some(true)) => return Ok(()),
                Ok(Some(false)) => return Err(lost),
                Ok(None) => {}
                Err(error) if outage::of_error(&error).is_none() => return Err(error),
                Err(_) => {}
            }
            if self.closing.load(Ordering::Relaxed) {
                return Err(lost);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(limits::RECONNECT_PAUSE_MAX);
        }
    }

    /// Whether it was committed; `None`: the process that had it is still at it, and is ended.
    async fn ask(&mut self, number: &str, process: i32) -> Result<Option<bool>, StoreError> {
        let db = match self.connection.take().filter(|db| !db.is_closed()) {
            Some(db) => db,
            None => self.connector.connect().await?,
        };
        // A server that was restored to an earlier time has not come to this number yet.
        let row = db
            .query_one(
                "SELECT CASE WHEN $1::text::xid8 >= pg_snapshot_xmax(pg_current_snapshot()) THEN 'aborted'
                     ELSE pg_xact_status($1::text::xid8) END",
                &[&number],
            )
            .await?;
        let status: Option<String> = super::row::get(&row, 0)?;
        let ended = match status.as_deref() {
            Some("committed") => Some(true),
            Some("aborted") => Some(false),
            Some(_) => {
                db.query("SELECT pg_terminate_backend($1)", &[&process]).await?;
                None
            }
            None => return Err(StoreError::backend(Unknown)),
        };
        self.connection = Some(db);
        Ok(ended)
    }
}

impl NotCommitted {
    fn outage(this: &Arc<Self>) -> Option<Outage> {
        this.outage
    }
}

async fn transaction(
    db: &Connection,
    first: Write,
    writes: &mut mpsc::Receiver<Write>,
    written: &mut Vec<Written>,
) -> End {
    db.begin();
    if writes.is_empty() {
        let Some(write) = first(Ok(db)).await else {
            return End::Committed;
        };
        let failed = write.failed;
        written.push(write);
        return match failed {
            // Its own error is what its caller hears.
            true => rolled_back(db).await,
            false => commit(db, "COMMIT").await,
        };
    }
    let mut next = Some(first);
    while let Some(write) = next {
        db.defer("SAVEPOINT one;");
        let Some(write) = write(Ok(db)).await else { break };
        let failed = write.failed;
        written.push(write);
        if !failed {
            db.defer("RELEASE one;");
        } else if let Err(error) = db.command("ROLLBACK TO one; RELEASE one;").await {
            // What it wrote must not be committed with the others: all of them fail.
            return End::NotCommitted(error);
        }
        next = match written.len() < limits::LANE_BATCH {
            true => writes.try_recv().ok(),
            false => None,
        };
    }
    commit(db, "COMMIT").await
}

async fn rolled_back(db: &Connection) -> End {
    match db.command("ROLLBACK").await {
        Ok(()) => End::Committed,
        Err(error) => End::NotCommitted(error),
    }
}

async fn commit(db: &Connection, commands: &str) -> End {
    match db.command(commands).await {
        Ok(()) => End::Committed,
        Err(error) if outage::of_error(&error) == Some(Outage::Away) => End::InDoubt(error),
        Err(error) => End::NotCommitted(error),
    }
}
