//! Pages of lists that are newest first, by keyset: the work does not depend on how far it is in.

use room::Timestamp;

use crate::limits;

/// Where a page begins: after this row in the direction of the scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// `created` of the row.
    pub created: Timestamp,
    /// The 16 bytes of its SID.
    pub sid: [u8; 16],
}

/// One page of a list that is newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Rows at most, 1 to 1000 ([`crate::limits::PAGE_SIZE_MAX`]); else the nearest of these.
    pub size: u32,
    /// Where to begin; `None`: at the newest row, before which (`backwards`) there is none.
    pub from: Option<Position>,
    /// False: rows after `from` (older). True: the rows just before `from` (newer), still given
    /// newest first.
    pub backwards: bool,
}

/// A page of rows, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// At most `size` rows.
    pub rows: Vec<T>,
    /// Whether there are newer rows before the first.
    pub has_previous: bool,
    /// Whether there are older rows after the last.
    pub has_next: bool,
}

/// Bounds on `created`, in microseconds, both inclusive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Created {
    first: i64,
    last: i64,
}

impl Created {
    /// Those whose whole second is at least `from_s` and less than `before_s`; `None` if there can
    /// be none.
    pub(crate) fn seconds(from_s: Option<i128>, before_s: Option<i64>) -> Option<Self> {
        const MICROS: i128 = 1_000_000;
        let first = from_s.map_or(i128::from(i64::MIN), |s| s * MICROS);
        let last = before_s.map_or(i128::from(i64::MAX), |s| i128::from(s) * MICROS - 1);
        if first > i128::from(i64::MAX) || last < i128::from(i64::MIN) {
            return None;
        }
        Some(Self {
            first: i64::try_from(first).unwrap_or(i64::MIN),
            last: i64::try_from(last).unwrap_or(i64::MAX),
        })
    }
}

/// A point of the order `(created_us, sid)`, at which a row may stand; ranges are strictly between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) created: i64,
    /// The 16 bytes of a SID, the first of them the highest.
    pub(crate) key: u128,
}

impl Edge {
    /// Before all rows: none has such a time.
    pub(crate) const OLDEST: Self = Self {
        created: i64::MIN,
        key: 0,
    };
    /// After all rows.
    pub(crate) const NEWEST: Self = Self {
        created: i64::MAX,
        key: u128::MAX,
    };

    fn at(position: Position) -> Self {
        Self {
            created: position.created.0,
            key: u128::from_be_bytes(position.sid),
        }
    }

    /// The next point towards the older ones.
    fn older(self) -> Self {
        match self.key.checked_sub(1) {
            Some(key) => Self { key, ..self },
            None => self.created.checked_sub(1).map_or(Self::OLDEST, |created| Self {
                created,
                key: u128::MAX,
            }),
        }
    }

    /// The next point towards the newer ones.
    fn newer(self) -> Self {
        match self.key.checked_add(1) {
            Some(key) => Self { key, ..self },
            None => self
                .created
                .checked_add(1)
                .map_or(Self::NEWEST, |created| Self { created, key: 0 }),
        }
    }

    /// The SID that it is at.
    pub(crate) fn sid(self) -> [u8; 16] {
        self.key.to_be_bytes()
    }
}

/// The rows strictly between two edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Between {
    pub(crate) low: Edge,
    pub(crate) high: Edge,
}

impl Between {
    /// Whether no row can be there.
    pub(crate) fn is_empty(self) -> bool {
        self.low >= self.high
    }
}

/// A page before it is read: which rows it may have, and what has to be asked to know what is beside it.
pub(crate) struct Scan {
    request: PageRequest,
    all: Between,
}

impl Scan {
    /// Of rows with such times.
    pub(crate) fn new(created: Created, request: PageRequest) -> Self {
        let first = Edge {
            created: created.first,
            key: 0,
        };
        let last = Edge {
            created: created.last,
            key: u128::MAX,
        };
        Self {
            request,
            all: Between {
                low: first.older(),
                high: last.newer(),
            },
        }
    }

    /// Rows to ask for: one more than the page has tells that there are more.
    pub(crate) fn limit(&self) -> usize {
        self.request.size.clamp(1, limits::PAGE_SIZE_MAX) as usize + 1
    }

    /// Whether rows are read from the older end of [`Scan::rows`].
    pub(crate) fn is_ascending(&self) -> bool {
        self.request.backwards
    }

    /// Where its rows are.
    pub(crate) fn rows(&self) -> Between {
        let Between { low, high } = self.all;
        match (self.request.from, self.request.backwards) {
            (None, false) => self.all,
            // Nothing is newer than the newest.
            (None, true) => Between { low: high, high },
            (Some(from), false) => Between {
                low,
                high: high.min(Edge::at(from)),
            },
            (Some(from), true) => Between {
                low: low.max(Edge::at(from)),
                high,
            },
        }
    }

    /// The rows of the page, newest first, of those that were found; whether there are more.
    pub(crate) fn arrange<T>(&self, mut found: Vec<T>) -> (Vec<T>, bool) {
        let size = self.limit() - 1;
        let more = found.len() > size;
        found.truncate(size);
        if self.request.backwards {
            found.reverse();
        }
        (found, more)
    }

    /// Where the rows on the other side of the page are, if that is to be asked: `newest` and `oldest` are its own.
    pub(crate) fn beyond(&self, newest: Option<Position>, oldest: Option<Position>) -> Option<Between> {
        let Between { low, high } = self.all;
        match (self.request.from, self.request.backwards) {
            (None, false) => None,
            (None, true) => Some(self.all),
            // Without rows the page is where it was to begin, whose own row is on the other side.
            (Some(from), false) => Some(Between {
                low: low.max(newest.map_or_else(|| Edge::at(from).older(), Edge::at)),
                high,
            }),
            (Some(from), true) => Some(Between {
                low,
                high: high.min(oldest.map_or_else(|| Edge::at(from).newer(), Edge::at)),
            }),
        }
    }

    /// The page: with more rows in the direction of the scan or not, and with rows beyond it or not.
    pub(crate) fn page<T>(&self, rows: Vec<T>, more: bool, beyond: bool) -> Page<T> {
        let (has_previous, has_next) = match (self.request.from, self.request.backwards) {
            (None, false) => (false, more),
            (None, true) => (false, beyond),
            (Some(_), false) => (beyond, more),
            (Some(_), true) => (more, beyond),
        };
        Page {
            rows,
            has_previous,
            has_next,
        }
    }
}

impl<T> Page<T> {
    /// No rows, and none beside it.
    pub(crate) fn none() -> Self {
        Self {
            rows: Vec::new(),
            has_previous: false,
            has_next: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_step_over_the_ends_of_keys_and_times() {
        let edge = |created, key| Edge { created, key };
        assert_eq!(edge(5, 1).older(), edge(5, 0));
        assert_eq!(edge(5, 0).older(), edge(4, u128::MAX));
        assert_eq!(edge(5, u128::MAX).newer(), edge(6, 0));
        assert_eq!(Edge::OLDEST.older(), Edge::OLDEST);
        assert_eq!(Edge::NEWEST.newer(), Edge::NEWEST);
    }
}
