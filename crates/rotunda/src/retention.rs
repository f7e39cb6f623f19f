//! Forgets rooms, events and callbacks that are older than they are kept: an hour after the other, a few rows at a time.

use std::sync::Arc;
use std::time::Duration;

use room::Timestamp;
use store::{Expiry, Forgotten, Store, StoreError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits;
use crate::rooms::wall;

/// How long what is over is kept; `None`: for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// Rooms, with all that is theirs, after their end.
    pub rooms: Option<Duration>,
    /// Events of rooms, after the room's end.
    pub events: Option<Duration>,
    /// Callbacks with their attempts, after they were delivered or given up.
    pub callbacks: Option<Duration>,
    /// Lines of the audit log.
    pub audit: Option<Duration>,
}

impl Keep {
    /// What is too old at a time.
    fn expiry(&self, now: Timestamp) -> Expiry {
        let before = |keep: Option<Duration>| {
            let keep_us = i64::try_from(keep?.as_micros()).unwrap_or(i64::MAX);
            Some(Timestamp(now.0.saturating_sub(keep_us)))
        };
        Expiry {
            rooms: before(self.rooms),
            events: before(self.events),
            callbacks: before(self.callbacks),
            audit: before(self.audit),
        }
    }
}

/// Starts to forget, now and every [`limits::FORGET_INTERVAL`], as one of `tasks` until `stop`. Nothing is started where
/// everything is kept.
pub fn start(store: Arc<dyn Store>, keep: Keep, stop: CancellationToken, tasks: &TaskTracker) {
    if keep == Keep::default() {
        return;
    }
    tasks.spawn(async move {
        let mut hours = tokio::time::interval(limits::FORGET_INTERVAL);
        let runs = async {
            loop {
                hours.tick().await;
                run(&*store, keep.expiry(wall())).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = runs => {}
        }
    });
}

/// One run, told in one line.
async fn run(store: &dyn Store, before: Expiry) {
    let mut all = Forgotten::default();
    let result = forget(store, before, &mut all).await;
    if all != Forgotten::default() {
        tracing::info!(
            rooms = all.rooms,
            participants = all.participants,
            tracks = all.tracks,
            events = all.events,
            callbacks = all.callbacks,
            audit = all.audit,
            "forgot what is older than it is kept"
        );
    }
    if let Err(error) = result {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "what is older than it is kept could not be forgotten: tried again in an hour"
        );
    }
}

async fn forget(store: &dyn Store, before: Expiry, all: &mut Forgotten) -> Result<(), StoreError> {
    loop {
        let some = store.forget(before, limits::FORGET_ROWS).await?;
        *all += some;
        if !some.more {
            return Ok(());
        }
        // Calls come first: they have the writer for most of the time.
        tokio::time::sleep(limits::FORGET_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_ever_is_never_too_old() {
        let now = Timestamp(10_000_000);
        assert_eq!(Keep::default().expiry(now), Expiry::default());
        let keep = Keep {
            rooms: Some(Duration::from_secs(4)),
            events: Some(Duration::MAX),
            callbacks: None,
            audit: None,
        };
        let expected = Expiry {
            rooms: Some(Timestamp(6_000_000)),
            events: Some(Timestamp(10_000_000 - i64::MAX)),
            callbacks: None,
            audit: None,
        };
        assert_eq!(keep.expiry(now), expected);
    }
}
