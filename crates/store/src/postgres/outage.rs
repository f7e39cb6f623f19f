//! Which of PostgreSQL's errors stand in the way of every call, and how the store works at the moment.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_postgres::error::SqlState;

use crate::{Condition, Outage, StoreError};

/// What stands in the way, if the error is of that kind; else something is wrong with the call, and
/// trying again does not help.
pub(super) fn of(error: &tokio_postgres::Error) -> Option<Outage> {
    let Some(state) = error.code() else {
        // Without a word of the server: the connection failed, or what came over it made no sense.
        return (error.is_closed() || is_io(error)).then_some(Outage::Away);
    };
    of_state(state)
}

fn of_state(state: &SqlState) -> Option<Outage> {
    let code = state.code();
    match *state {
        SqlState::DISK_FULL => return Some(Outage::DiskFull),
        SqlState::IO_ERROR => return Some(Outage::DiskFails),
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => return Some(Outage::Damaged),
        SqlState::LOCK_NOT_AVAILABLE | SqlState::QUERY_CANCELED => return Some(Outage::Locked),
        // A standby: what was the primary is another server now.
        SqlState::READ_ONLY_SQL_TRANSACTION | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => {
            return Some(Outage::Away);
        }
        _ => {}
    }
    match code.get(..2)? {
        // Connection, login and database: while a server runs, an operator is at them.
        "08" | "28" | "3D" | "57" => Some(Outage::Away),
        "53" => Some(Outage::NoResources),
        // Deadlock, serialization.
        "40" => Some(Outage::Locked),
        _ => None,
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.is::<std::io::Error>() {
            return true;
        }
        source = cause.source();
    }
    // Its own kinds without a source: a timeout, a host that cannot be found.
    error.to_string().contains("connect")
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(source: tokio_postgres::Error) -> Self {
        match of(&source) {
            Some(outage) => Self::Unavailable {
                outage,
                source: Box::new(source),
            },
            None => Self::backend(source),
        }
    }
}

/// The name of the constraint that a statement violated.
pub(super) fn violated(error: &StoreError) -> Option<&str> {
    let StoreError::Backend(source) = error else {
        return None;
    };
    let error = source.downcast_ref::<tokio_postgres::Error>()?.as_db_error()?;
    (*error.code() == SqlState::UNIQUE_VIOLATION).then_some(())?;
    error.constraint()
}

/// How the store works, told by its lanes and readers to whoever asks.
#[derive(Debug, Default)]
pub(super) struct Gauge(Mutex<Readings>);

#[derive(Debug, Default)]
struct Readings {
    /// Transactions begun.
    begun: u64,
    /// Those under way, by number.
    under_way: BTreeMap<u64, ()>,
    writing: Option<Outage>,
    reading: Option<Outage>,
    /// Somebody else owns the database.
    lost: bool,
}

impl Gauge {
    /// A transaction began; its number.
    pub(super) fn begin(&self) -> u64 {
        let mut readings = self.readings();
        readings.begun += 1;
        let number = readings.begun;
        readings.under_way.insert(number, ());
        number
    }

    /// The transaction ended, with this in its way if it failed.
    pub(super) fn end(&self, number: u64, outage: Option<Outage>) {
        let mut readings = self.readings();
        readings.under_way.remove(&number);
        readings.writing = outage;
    }

    /// A read ended, with this in its way if it failed.
    pub(super) fn read(&self, outage: Option<Outage>) {
        self.readings().reading = outage;
    }

    /// Another server took the database; for ever.
    pub(super) fn lost(&self) {
        self.readings().lost = true;
    }

    pub(super) fn is_lost(&self) -> bool {
        self.readings().lost
    }

    /// Of several transactions under way, the oldest is told.
    pub(super) fn condition(&self) -> Condition {
        let readings = self.readings();
        let oldest = readings.under_way.keys().next().copied();
        Condition {
            transaction: oldest.unwrap_or(readings.begun),
            is_writing: oldest.is_some(),
            outage: match readings.lost {
                true => Some(Outage::TakenOver),
                false => readings.writing.or(readings.reading),
            },
        }
    }

    fn readings(&self) -> MutexGuard<'_, Readings> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stood in the way, if an error says so.
pub(super) fn of_error(error: &StoreError) -> Option<Outage> {
    match error {
        StoreError::Unavailable { outage, .. } => Some(*outage),
        _ => None,
    }
}

/// What stood in the way, if a result says so.
pub(super) fn in_the_way<T>(result: &Result<T, StoreError>) -> Option<Outage> {
    result.as_ref().err().and_then(of_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for (code, outage) in [
            ("53100", Some(Outage::DiskFull)),
            ("58030", Some(Outage::DiskFails)),
            ("53300", Some(Outage::NoResources)),
            ("53200", Some(Outage::NoResources)),
            ("55P03", Some(Outage::Locked)),
            ("57014", Some(Outage::Locked)),
            ("40P01", Some(Outage::Locked)),
            ("57P01", Some(Outage::Away)),
            ("57P03", Some(Outage::Away)),
            ("08006", Some(Outage::Away)),
            ("25006", Some(Outage::Away)),
            ("3D000", Some(Outage::Away)),
            ("XX001", Some(Outage::Damaged)),
            ("23505", None),
            ("42P01", None),
            ("22021", None),
        ] {
            assert_eq!(of_state(&SqlState::from_code(code)), outage, "{code}");
        }
    }

    #[test]
    fn the_oldest_transaction_is_told_and_the_last_end_is_kept() {
        let gauge = Gauge::default();
        let (one, two) = (gauge.begin(), gauge.begin());
        assert_eq!(
            (gauge.condition().transaction, gauge.condition().is_writing),
            (one, true)
        );
        gauge.end(one, Some(Outage::Away));
        assert_eq!(gauge.condition().transaction, two);
        assert_eq!(gauge.condition().outage, Some(Outage::Away));
        gauge.end(two, None);
        assert_eq!(
            gauge.condition(),
            Condition {
                transaction: 2,
                is_writing: false,
                outage: None
            }
        );
        gauge.lost();
        gauge.read(None);
        assert_eq!(gauge.condition().outage, Some(Outage::TakenOver));
    }
}
