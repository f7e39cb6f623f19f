//! What keeps a second server off a database: an advisory lock that one session holds as long as the store lives.
//!
//! If that session is lost, nothing is written until another one of this store holds the lock. If somebody else holds
//! it by then, this store has lost the database for ever; what it still tried to write to rooms would be fenced off by
//! their epochs, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::connection::{Connection, Connector};
use super::outage::Gauge;
use super::row;
use crate::{Outage, StoreError, limits};

/// The lock's number, in each database for itself: "rotunda".
const KEY: i64 = 0x0072_6f74_756e_6461;

/// Who holds the lock of this database: process and when that process began, which together are not used again.
const HOLDER: &str =
    "SELECT l.pid, a.backend_start::text FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
         AND l.classid = ($1::bigint >> 32)::oid AND l.objid = ($1::bigint & 4294967295)::oid";

/// What the lanes ask before they write; cheap to clone.
#[derive(Clone)]
pub(super) struct Lock {
    held: Arc<AtomicBool>,
    gauge: Arc<Gauge>,
}

#[derive(Debug, thiserror::Error)]
#[error("this server's own session is lost")]
struct SessionLost;

impl Lock {
    pub(super) fn new(gauge: &Arc<Gauge>) -> Self {
        Self {
            held: Arc::default(),
            gauge: Arc::clone(gauge),
        }
    }

    /// Whether this server may write.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let outage = match (self.gauge.is_lost(), self.held.load(Ordering::Acquire)) {
            (true, _) => Outage::TakenOver,
            (false, false) => Outage::Away,
            (false, true) => return Ok(()),
        };
        Err(StoreError::Unavailable {
            outage,
            source: Box::new(SessionLost),
        })
    }

    /// This server has taken the lock.
    pub(super) fn held(&self) {
        self.set_held(true);
    }

    fn set_held(&self, held: bool) {
        self.held.store(held, Ordering::Release);
    }
}

/// The session that holds the lock.
pub(super) struct Session {
    pub(super) db: Connection,
    began: String,
}

impl Session {
    /// Takes the lock; `None`: somebody else has it.
    pub(super) async fn take(db: Connection) -> Result<Option<Self>, StoreError> {
        let taken = db.query_one("SELECT pg_try_advisory_lock($1)", &[&KEY]).await?;
        if !row::get::<bool>(&taken, 0)? {
            return Ok(None);
        }
        let began = db
            .query_one(
                "SELECT backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()",
                &[],
            )
            .await?;
        Ok(Some(Self {
            began: row::get(&began, 0)?,
            db,
        }))
    }

    /// Ends the session. Were it only dropped, the next who wants the lock would be refused until the database has noticed. Where
    /// it cannot be said, the database notices.
    pub(super) async fn give_back(self) {
        self.db.query("SELECT pg_advisory_unlock($1)", &[&KEY]).await.ok();
    }

    /// Holds the lock for as long as the store lives, with another session if this one is lost.
    pub(super) async fn keep(mut self, connector: &Connector, lock: &Lock, end: &Notify) {
        loop {
            tokio::select! {
                () = self.db.closed() => {}
                () = end.notified() => {
                    self.give_back().await;
                    return;
                }
            }
            lock.set_held(false);
            tracing::debug!("the session that holds the lock on the database is lost");
            self = tokio::select! {
                session = self.successor(connector) => match session {
                    Some(session) => session,
                    None => {
                        lock.gauge.lost();
                        return;
                    }
                },
                () = end.notified() => return,
            };
            lock.set_held(true);
        }
    }

    /// Takes the lock anew, however long the database is away; `None`: another server has it.
    async fn successor(&self, connector: &Connector) -> Option<Self> {
        let mut pause = limits::RECONNECT_PAUSE;
        loop {
            match self.retake(connector).await {
                Ok(Retaken::Held(session)) => return Some(*session),
                Ok(Retaken::Ghost) => pause = limits::RECONNECT_PAUSE,
                Ok(Retaken::Other) => return None,
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "the lock is not there yet"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(limits::RECONNECT_PAUSE_MAX);
        }
    }

    async fn retake(&self, connector: &Connector) -> Result<Retaken, StoreError> {
        let db = connector.connect().await?;
        let (process, began) = (self.db.process, &self.began);
        let holder = db.query_opt(HOLDER, &[&KEY]).await?;
        let Some(holder) = holder else {
            let taken = Self::take(db).await?.map(Box::new);
            return Ok(taken.map_or(Retaken::Other, Retaken::Held));
        };
        if (row::get::<i32>(&holder, 0)?, row::get::<&str>(&holder, 1)?) != (process, began.as_str()) {
            return Ok(Retaken::Other);
        }
        // Our own session of before, which the server does not know to be gone.
        db.query("SELECT pg_terminate_backend($1)", &[&process]).await?;
        Ok(Retaken::Ghost)
    }
}

enum Retaken {
    Held(Box<Session>),
    Ghost,
    Other,
}
