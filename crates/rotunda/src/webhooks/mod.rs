//! Delivers status callbacks from the outbox: leased, in order within a room, at least once.
//!
//! The rows of the outbox are written by the store with the change that they tell. The deliverer is
//! woken after such a change and when the next row is due, so nothing is lost with the process. What
//! is kept in memory is what is on its way.

mod address;
mod clock;
mod deliver;
mod lookups;
mod places;
mod redeliver;
mod resolver;
mod schedule;
mod sign;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use room::{EventKind, RoomSid, Timestamp};
use store::{CallbackLease, CallbackOutcome, DueCallback, EndedAttempt, Store, StoreError};
use tokio::sync::Notify;
use tokio::task::{self, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::address::{AddressKind, AddressRule};
use self::clock::{Clock, wall};
use self::deliver::{Answer, Sender};
use self::places::{Ailing, Kept, places_of_one};
pub use self::redeliver::{Again, redeliver, sentence};
use self::schedule::Moment;
use crate::credentials::Credentials;
use crate::door::Notice;
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

/// Starts to deliver as one of `tasks`, to where the rule allows, until `stop`. What is on its way then is finished; what
/// is cut off is delivered again by the next process.
pub fn start(
    store: Arc<dyn Store>,
    credentials: Arc<Credentials>,
    rule: AddressRule,
    stop: CancellationToken,
    tasks: &TaskTracker,
) -> Waker {
    let waker = Waker::default();
    let deliverer = Deliverer {
        store,
        credentials,
        rule: Arc::new(rule),
        wake: waker.clone(),
        sender: None,
        attempts: JoinSet::new(),
        under_way: HashMap::new(),
        ended: Vec::new(),
        after: String::new(),
        kept: Kept::default(),
        ailing: Ailing::default(),
        given_up: Notice::default(),
        clock: Arc::default(),
    };
    tasks.spawn(deliverer.run(stop));
    waker
}

struct Deliverer {
    store: Arc<dyn Store>,
    credentials: Arc<Credentials>,
    rule: Arc<AddressRule>,
    wake: Waker,
    /// Made at the first callback: most servers start without one, and reading the machine's root
    /// certificates takes its time.
    sender: Option<Sender>,
    attempts: JoinSet<Ended>,
    /// The callback and its receiver, by the task of the attempt.
    under_way: HashMap<task::Id, (i64, String)>,
    /// What ended and is not in the store yet; at most as many as may be on their way.
    ended: Vec<Ended>,
    /// The receiver that had its turn last.
    after: String,
    kept: Kept,
    ailing: Ailing,
    given_up: Notice,
    clock: Arc<Clock>,
}

/// An attempt that ended, with what is told if it was the last.
struct Ended {
    attempt: EndedAttempt,
    room: RoomSid,
    event: EventKind,
    sequence: u64,
    receiver: String,
    attempts: u32,
}

impl Deliverer {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let free = limits::CALLBACKS_IN_FLIGHT_MAX.saturating_sub(self.attempts.len() + self.ended.len());
            let pause = self.exchange(free).await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.wake.0.notified() => {}
                () = tokio::time::sleep(pause) => {}
                // An attempt that ended may have made the room's next callback due.
                Some(ended) = self.attempts.join_next_with_id() => self.note(ended),
            }
            self.note_others();
        }
        // Each end is stored as it comes: the process may be cut off before the last.
        while let Some(ended) = self.attempts.join_next_with_id().await {
            self.note(ended);
            self.note_others();
            self.exchange(0).await;
        }
        if !self.ended.is_empty() {
            self.exchange(0).await;
        }
    }

    fn note_others(&mut self) {
        while let Some(ended) = self.attempts.try_join_next_with_id() {
            self.note(ended);
        }
    }

    fn note(&mut self, ended: Result<(task::Id, Ended), task::JoinError>) {
        match ended {
            Ok((task, ended)) => {
                self.under_way.remove(&task);
                self.ailing.note(&ended.receiver, ended.attempt.answer.is_ok());
                self.ended.push(ended);
            }
            Err(error) => {
                // Its lease runs out.
                self.under_way.remove(&error.id());
                tracing::error!(%error, "an attempt to deliver a callback broke off");
            }
        }
    }

    /// Stores what ended and begins the attempts that are due, `free` at most. The time to sleep unless something happens.
    async fn exchange(&mut self, free: usize) -> Duration {
        if free == 0 && self.ended.is_empty() {
            return SLEEP_MAX;
        }
        match self.try_exchange(free).await {
            Ok(pause) => pause,
            Err(error) => {
                // Whoever watches the store tells of an outage, once.
                if !matches!(error, StoreError::Unavailable { .. }) {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the outbox could not be read or written"
                    );
                }
                STORE_PAUSE
            }
        }
    }

    async fn try_exchange(&mut self, free: usize) -> Result<Duration, StoreError> {
        let count = self.ended.len().min(limits::CALLBACKS_AT_ONCE);
        let ended = self.ended[..count].iter().map(|ended| ended.attempt.clone()).collect();
        let lease = self.lease(free);
        let (now, limit) = (lease.now, lease.limit as usize);
        let leased = self.store.exchange_callbacks(ended, lease).await?;
        for ended in self.ended.drain(..count).collect::<Vec<_>>() {
            self.tell(&ended);
        }
        self.after = leased.after;
        let found = leased.due.len();
        for callback in leased.due {
            self.attempt(callback);
        }
        Ok(if !self.ended.is_empty() || (found > 0 && found >= limit) {
            Duration::ZERO
        } else if leased.is_partial {
            SLEEP_MIN
        } else {
            let wait = leased.next.map_or(SLEEP_MAX, |at| {
                Duration::from_micros(u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0))
            });
            wait.clamp(SLEEP_MIN, SLEEP_MAX)
        })
    }

    fn lease(&self, free: usize) -> CallbackLease {
        let now = self.clock.now();
        let lease_us = i64::try_from(limits::CALLBACK_LEASE.as_micros()).unwrap_or(i64::MAX);
        let per_receiver = places_of_one(free);
        let mut taken: HashMap<&str, usize> = HashMap::new();
        for (_, receiver) in self.under_way.values() {
            *taken.entry(receiver).or_default() += 1;
        }
        for receiver in self.ailing.names() {
            *taken.entry(receiver).or_default() +=
                per_receiver.saturating_sub(limits::CALLBACKS_PER_AILING_RECEIVER_MAX);
        }
        CallbackLease {
            now,
            until: Timestamp(now.0.saturating_add(lease_us)),
            limit: number(free.min(limits::CALLBACKS_AT_ONCE)),
            per_receiver: number(per_receiver),
            taken: taken
                .into_iter()
                .map(|(name, count)| (name.to_owned(), number(count)))
                .collect(),
            after: self.after.clone(),
        }
    }

    fn attempt(&mut self, due: DueCallback) {
        // A clock that was set forward ends leases early.
        if self.under_way.values().any(|(id, _)| *id == due.id) {
            return;
        }
        let make = || Sender::new(Arc::clone(&self.rule), resolver::system());
        let sender = match self.sender.clone().map_or_else(make, Ok) {
            Ok(sender) => self.sender.insert(sender).clone(),
            Err(error) => {
                // The lease runs out, then it is tried again.
                tracing::error!(error = &error as &dyn std::error::Error, "callbacks cannot be sent");
                return;
            }
        };
        let keeps = self.kept.keeps(&due.receiver, Instant::now());
        let (id, receiver) = (due.id, due.receiver.clone());
        let credentials = Arc::clone(&self.credentials);
        let clock = Arc::clone(&self.clock);
        let task = self.attempts.spawn(async move {
            let answer = match credentials.account(due.account) {
                Some(account) => {
                    let message = deliver::message(&due, &account.auth_token);
                    sender.send(due.account, message, keeps).await
                }
                None => Answer::Failed("the account has no auth token".to_owned()),
            };
            ended(due, answer, &clock)
        });
        self.under_way.insert(task.id(), (id, receiver));
    }

    /// Says so if it was given up, with what to do.
    fn tell(&self, ended: &Ended) {
        if ended.attempt.outcome != CallbackOutcome::GivenUp {
            return;
        }
        let Some(given_up) = self.given_up.count("given up", Instant::now()) else {
            return;
        };
        let Ended { attempt, receiver, .. } = ended;
        let why = match &attempt.answer {
            Ok(status) => format!("HTTP {status}"),
            Err(error) => error.clone(),
        };
        tracing::error!(
            room = %ended.room, event = ended.event.as_str(), sequence = ended.sequence, receiver, attempts = ended.attempts, given_up,
            "a callback was given up: {why}; see `rotunda callbacks show {id}`, and once the receiver is well deliver it \
             again with `rotunda callbacks redeliver {id}`, or all with `rotunda callbacks redeliver --receiver {receiver}`",
            id = attempt.id,
        );
    }
}

fn ended(due: DueCallback, answer: Answer, clock: &Clock) -> Ended {
    let moment = Moment {
        now: clock.now(),
        calendar: SystemTime::now(),
        jitter: f64::from(u32::from_ne_bytes(crate::rooms::random())) / f64::from(u32::MAX),
    };
    let outcome = schedule::outcome(due.attempts, &answer, moment);
    tracing::debug!(room = %due.room, event = due.event.as_str(), ?answer, ?outcome, "a callback was sent");
    Ended {
        attempt: EndedAttempt {
            id: due.id,
            at: wall(),
            answer: match answer {
                Answer::Status { status, .. } => Ok(status),
                Answer::Failed(error) | Answer::Impossible(error) => Err(error),
            },
            outcome,
        },
        room: due.room,
        event: due.event,
        sequence: due.sequence,
        receiver: due.receiver,
        attempts: due.attempts + 1,
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod ssrf_tests;
#[cfg(test)]
mod tests;
