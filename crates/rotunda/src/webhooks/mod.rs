//! Delivers status callbacks from the outbox: leased, in order within a room, at least once.
//!
//! The rows of the outbox are written by the store with the change that they tell. The deliverer is
//! woken after such a change and when the next row is due, so nothing is lost with the process.

mod clock;
mod deliver;
mod schedule;
mod sign;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use room::Timestamp;
use store::{DueCallback, Store, StoreError};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::clock::{Clock, wall};
use crate::credentials::Credentials;
use crate::limits;

/// Pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// The shortest sleep: bounds the work for a row that is due and cannot be leased yet.
const SLEEP_MIN: Duration = Duration::from_millis(20);
/// The longest sleep: bounds what a clock that was set forward can delay.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Tells the deliverer that the outbox may have something new; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Waker(Arc<Notify>);

impl Waker {
    /// Looks into the outbox soon. Many calls before that count as one.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// Starts to deliver as one of `tasks`, until `stop`. What is on its way then is finished; what is
/// cut off is delivered again by the next process.
pub fn start(
    store: Arc<dyn Store>,
    credentials: Arc<Credentials>,
    stop: CancellationToken,
    tasks: &TaskTracker,
) -> Waker {
    let waker = Waker::default();
    let deliverer = Deliverer {
        store,
        credentials,
        wake: waker.clone(),
        client: None,
        attempts: JoinSet::new(),
        clock: Arc::default(),
    };
    tasks.spawn(deliverer.run(stop));
    waker
}

struct Deliverer {
    store: Arc<dyn Store>,
    credentials: Arc<Credentials>,
    wake: Waker,
    /// Made at the first callback: most servers start without one, and reading the machine's root
    /// certificates takes its time.
    client: Option<Client>,
    attempts: JoinSet<()>,
    clock: Arc<Clock>,
}

impl Deliverer {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let pause = self.lease().await.unwrap_or_else(|error| {
                // Whoever watches the store tells of an outage, once.
                if !matches!(error, StoreError::Unavailable { .. }) {
                    tracing::error!(error = &error as &dyn std::error::Error, "the outbox could not be read");
                }
                STORE_PAUSE
            });
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.wake.0.notified() => {}
                () = tokio::time::sleep(pause) => {}
                // An attempt that ended may have made the room's next callback due.
                Some(_) = self.attempts.join_next() => {}
            }
        }
        while self.attempts.join_next().await.is_some() {}
    }

    /// Begins all attempts that are due. The time to sleep unless something happens.
    async fn lease(&mut self) -> Result<Duration, StoreError> {
        let free = limits::CALLBACKS_IN_FLIGHT_MAX.saturating_sub(self.attempts.len());
        if free == 0 {
            return Ok(SLEEP_MAX);
        }
        let now = self.clock.now();
        let lease_us = i64::try_from(limits::CALLBACK_LEASE.as_micros()).unwrap_or(i64::MAX);
        let leased_until = Timestamp(now.0.saturating_add(lease_us));
        let due = self
            .store
            .lease_callbacks(now, leased_until, u32::try_from(free).unwrap_or(u32::MAX))
            .await?;
        let all_leased = due.len() < free;
        for callback in due {
            self.attempt(callback);
        }
        if !all_leased {
            return Ok(SLEEP_MAX);
        }
        let next = self.store.next_callback().await?;
        let wait = next.map_or(SLEEP_MAX, |at| {
            Duration::from_micros(u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0))
        });
        Ok(wait.clamp(SLEEP_MIN, SLEEP_MAX))
    }

    fn attempt(&mut self, due: DueCallback) {
        let client = match self.client.clone().map_or_else(deliver::client, Ok) {
            Ok(client) => self.client.insert(client).clone(),
            Err(error) => {
                // The lease runs out, then it is tried again.
                tracing::error!(error = &error as &dyn std::error::Error, "callbacks cannot be sent");
                return;
            }
        };
        let (store, credentials) = (Arc::clone(&self.store), Arc::clone(&self.credentials));
        let clock = Arc::clone(&self.clock);
        self.attempts.spawn(async move {
            let answer = match credentials.account(due.account) {
                Some(account) => deliver::send(&client, deliver::message(&due, &account.auth_token)).await,
                None => Err("the account has no auth token".to_owned()),
            };
            let outcome = schedule::outcome(due.attempts, answer.as_ref().ok().copied(), clock.now());
            tracing::debug!(room = %due.room, event = due.event.as_str(), ?answer, ?outcome, "a callback was sent");
            if let Err(error) = store.record_callback(due.id, wall(), answer, outcome).await
                && !matches!(error, StoreError::Unavailable { .. })
            {
                tracing::error!(error = &error as &dyn std::error::Error, room = %due.room, "the end of a callback could not be stored: it will be sent again");
            }
        });
    }
}

#[cfg(test)]
mod tests;
