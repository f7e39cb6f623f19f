//! Watches whether the store can be used: says once when it cannot, once when it can again, and is
//! what is asked before new work is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use store::{Condition, Outage, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits;

/// Handle on the watch; cheap to clone.
#[derive(Clone)]
pub struct StoreWatch {
    store: Arc<dyn Store>,
    stalls: Arc<AtomicBool>,
    /// Cancelled when the database is another server's.
    lost: CancellationToken,
}

impl StoreWatch {
    /// Begins to watch as one of `tasks`, until `stop`.
    pub fn start(store: Arc<dyn Store>, stop: CancellationToken, tasks: &TaskTracker) -> Self {
        let watch = Self {
            store,
            stalls: Arc::default(),
            lost: CancellationToken::new(),
        };
        tasks.spawn(stop.run_until_cancelled_owned(watch.clone().run()));
        watch
    }

    /// Whether new work can be taken: the last write and the last read succeeded, and none takes for
    /// ever.
    pub fn is_fit(&self) -> bool {
        self.store.condition().outage.is_none() && !self.stalls.load(Ordering::Relaxed)
    }

    /// Resolves when another server has taken over the database.
    pub async fn database_lost(&self) {
        self.lost.cancelled().await;
    }

    async fn run(self) {
        let mut observer = Observer::default();
        let mut probe: Option<JoinHandle<()>> = None;
        loop {
            let condition = self.store.condition();
            let told = observer.observe(condition, Instant::now());
            self.stalls
                .store(observer.seen == Some(Trouble::Stalled), Ordering::Relaxed);
            match told {
                Some(Told::Begun(trouble)) => trouble.log(),
                Some(Told::Ended(after)) => {
                    tracing::warn!("the database works again, after {:.0} s", after.as_secs_f64());
                }
                None => {}
            }
            if condition.outage == Some(Outage::TakenOver) {
                self.lost.cancel();
            }
            // Rooms may have nothing to write: then this is what finds that it works again.
            if condition.outage.is_some() && probe.as_ref().is_none_or(JoinHandle::is_finished) {
                let store = Arc::clone(&self.store);
                probe = Some(tokio::spawn(async move {
                    // What it finds is in the store's condition.
                    store.check().await.ok();
                }));
            }
            tokio::time::sleep(limits::STORE_WATCH_INTERVAL).await;
        }
    }
}

/// What is wrong, from bad to worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// Writes take long.
    Slow,
    /// A write does not end.
    Stalled,
    /// Writes or reads fail.
    Failing(Outage),
}

impl Trouble {
    fn log(self) {
        match self {
            Self::Slow => tracing::warn!(
                "the disk of the database is slow: a write takes over {} s; joins and changes wait for it, media does not",
                limits::STORE_SLOW.as_secs()
            ),
            Self::Stalled => tracing::error!(
                "the disk of the database stalls: a write has taken over {} s; calls go on, changes wait, new rooms and joins are refused",
                limits::STORE_STALLED.as_secs()
            ),
            Self::Failing(Outage::Damaged) => tracing::error!(
                "the database is damaged: stop the server and restore a backup; calls go on until then, changes wait, new rooms and joins are refused"
            ),
            Self::Failing(Outage::TakenOver) => tracing::error!(
                "another server has taken over the database: nothing is written any more, and this server ends"
            ),
            Self::Failing(outage) => {
                tracing::error!("{outage}; calls go on, changes wait, new rooms and joins are refused");
            }
        }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Slow => 0,
            Self::Stalled => 1,
            Self::Failing(_) => 2,
        }
    }
}

/// What is worth a line.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Begun(Trouble),
    /// After this time.
    Ended(Duration),
}

/// Makes few words of many looks.
#[derive(Debug, Default)]
struct Observer {
    /// The transaction that was under way at the last look, and since when.
    writing: Option<(u64, Instant)>,
    /// At the last look.
    seen: Option<Trouble>,
    /// The worst that was said and is not over, since when, and when it was last seen.
    said: Option<(Trouble, Instant, Instant)>,
}

impl Observer {
    fn observe(&mut self, condition: Condition, now: Instant) -> Option<Told> {
        let trouble = self.trouble(condition, now);
        self.seen = trouble;
        match (trouble, &mut self.said) {
            (None, None) => None,
            (Some(trouble), None) => {
                self.said = Some((trouble, now, now));
                Some(Told::Begun(trouble))
            }
            (Some(trouble), Some((said, _, last))) => {
                *last = now;
                let is_worse = trouble.rank() > said.rank();
                is_worse.then(|| {
                    *said = trouble;
                    Told::Begun(trouble)
                })
            }
            (None, Some((_, since, last))) => {
                // A fault that comes and goes is one fault.
                if now.duration_since(*last) < limits::STORE_QUIET {
                    return None;
                }
                let after = last.duration_since(*since);
                self.said = None;
                Some(Told::Ended(after))
            }
        }
    }

    fn trouble(&mut self, condition: Condition, now: Instant) -> Option<Trouble> {
        self.writing = match self.writing {
            _ if !condition.is_writing => None,
            Some((number, since)) if number == condition.transaction => Some((number, since)),
            _ => Some((condition.transaction, now)),
        };
        if let Some(outage) = condition.outage {
            return Some(Trouble::Failing(outage));
        }
        let (_, since) = self.writing?;
        let age = now.duration_since(since);
        if age >= limits::STORE_STALLED {
            Some(Trouble::Stalled)
        } else if age >= limits::STORE_SLOW {
            Some(Trouble::Slow)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Condition = Condition {
        transaction: 1,
        is_writing: false,
        outage: Some(Outage::DiskFull),
    };
    const WELL: Condition = Condition {
        transaction: 1,
        is_writing: false,
        outage: None,
    };

    fn writing(transaction: u64) -> Condition {
        Condition {
            transaction,
            is_writing: true,
            outage: None,
        }
    }

    /// What is told at looks at these times, in milliseconds.
    fn told(looks: &[(u64, Condition)]) -> Vec<(u64, Told)> {
        let start = Instant::now();
        let mut observer = Observer::default();
        let at = |ms: u64| start + Duration::from_millis(ms);
        looks
            .iter()
            .filter_map(|(ms, condition)| Some((*ms, observer.observe(*condition, at(*ms))?)))
            .collect()
    }

    #[test]
    fn a_fault_that_comes_and_goes_is_told_once() {
        let full = Trouble::Failing(Outage::DiskFull);
        let looks = [
            (0, WELL),
            (200, FULL),
            (400, FULL),
            (600, WELL),
            (800, FULL),
            (1000, WELL),
            (2000, WELL),
            (5000, WELL),
            (9000, WELL),
            (9200, FULL),
        ];
        assert_eq!(
            told(&looks),
            [
                (200, Told::Begun(full)),
                (5000, Told::Ended(Duration::from_millis(600))),
                (9200, Told::Begun(full))
            ]
        );
    }

    #[test]
    fn a_write_that_does_not_end_is_slow_and_then_stalled() {
        let looks = [
            (0, writing(7)),
            (900, writing(7)),
            (1000, writing(7)),
            (4900, writing(7)),
            (5000, writing(7)),
            (20_000, WELL),
        ];
        assert_eq!(
            told(&looks),
            [
                (1000, Told::Begun(Trouble::Slow)),
                (5000, Told::Begun(Trouble::Stalled)),
                (20_000, Told::Ended(Duration::from_secs(4)))
            ]
        );
    }

    #[test]
    fn many_quick_writes_are_no_trouble() {
        let looks: Vec<_> = (0..100).map(|number| (number * 200, writing(number))).collect();
        assert_eq!(told(&looks), []);
    }

    #[test]
    fn a_fault_is_told_over_a_slow_disk_and_not_the_reverse() {
        let looks = [
            (0, writing(7)),
            (1000, writing(7)),
            (1200, FULL),
            (1400, writing(8)),
            (2600, writing(8)),
        ];
        assert_eq!(
            told(&looks),
            [
                (1000, Told::Begun(Trouble::Slow)),
                (1200, Told::Begun(Trouble::Failing(Outage::DiskFull)))
            ]
        );
    }
}
