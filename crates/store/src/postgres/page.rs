//! One page of a list by keyset: a range of one index, read from its newer or its older end.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::connection::Connection;
use super::row::Sid;
use crate::{Page, PageRequest, Position, StoreError, limits};

/// A list that is ordered by `(created_us, sid)`.
pub(super) struct List<'a> {
    /// Columns of a row.
    pub(super) columns: &'a str,
    /// The table, or what stands for it.
    pub(super) source: &'a str,
    /// What rows must match, of parameters from `$6` on.
    pub(super) matching: &'a str,
    /// Those parameters.
    pub(super) parameters: &'a [&'a (dyn ToSql + Sync)],
}

/// Bounds on `created`, in microseconds, both inclusive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Created {
    first: i64,
    last: i64,
}

impl Created {
    /// Those whose whole second is at least `from_s` and less than `before_s`; `None` if there can
    /// be none.
    pub(super) fn seconds(from_s: Option<i128>, before_s: Option<i64>) -> Option<Self> {
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
struct Edge {
    created: i64,
    key: u128,
}

/// Before and after all rows: no row has such a time.
const OLDEST: Edge = Edge {
    created: i64::MIN,
    key: 0,
};
const NEWEST: Edge = Edge {
    created: i64::MAX,
    key: u128::MAX,
};

impl Edge {
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
            None => self.created.checked_sub(1).map_or(OLDEST, |created| Self {
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
                .map_or(NEWEST, |created| Self { created, key: 0 }),
        }
    }

    fn sid(self) -> Sid {
        Sid(self.key.to_be_bytes())
    }
}

/// Reads one page. `position` tells where a row stands.
pub(super) async fn page<T>(
    db: &Connection,
    list: &List<'_>,
    created: Option<Created>,
    request: PageRequest,
    read: impl Fn(&Row) -> Result<T, StoreError>,
    position: impl Fn(&T) -> Position,
) -> Result<Page<T>, StoreError> {
    let Some(created) = created else {
        return Ok(Page {
            rows: Vec::new(),
            has_previous: false,
            has_next: false,
        });
    };
    let oldest = Edge {
        created: created.first,
        key: 0,
    }
    .older();
    let newest = Edge {
        created: created.last,
        key: u128::MAX,
    }
    .newer();
    let size = request.size.clamp(1, limits::PAGE_SIZE_MAX) as usize;
    let (low, high) = match (request.from, request.backwards) {
        (None, false) => (oldest, newest),
        // Nothing is newer than the newest.
        (None, true) => (newest, newest),
        (Some(from), false) => (oldest, newest.min(Edge::at(from))),
        (Some(from), true) => (oldest.max(Edge::at(from)), newest),
    };
    let found = list.between(db, low, high, size + 1, request.backwards).await?;
    let more = found.len() > size;
    let mut rows = found.iter().take(size).map(read).collect::<Result<Vec<T>, _>>()?;
    if request.backwards {
        rows.reverse();
    }
    // On the other side of the page are the rows where it begins, if any match.
    let (has_previous, has_next) = match (request.from, request.backwards) {
        (None, false) => (false, more),
        (None, true) => (false, list.any(db, oldest, newest).await?),
        (Some(from), false) => {
            let edge = rows.first().map(|row| Edge::at(position(row)));
            let edge = edge.unwrap_or_else(|| Edge::at(from).older());
            (list.any(db, oldest.max(edge), newest).await?, more)
        }
        (Some(from), true) => {
            let edge = rows.last().map(|row| Edge::at(position(row)));
            let edge = edge.unwrap_or_else(|| Edge::at(from).newer());
            (more, list.any(db, oldest, newest.min(edge)).await?)
        }
    };
    Ok(Page {
        rows,
        has_previous,
        has_next,
    })
}

impl List<'_> {
    /// Rows strictly between two edges: newest first, or oldest first if `ascending`.
    async fn between(
        &self,
        db: &Connection,
        low: Edge,
        high: Edge,
        limit: usize,
        ascending: bool,
    ) -> Result<Vec<Row>, StoreError> {
        if low >= high {
            return Ok(Vec::new());
        }
        let order = if ascending { "ASC" } else { "DESC" };
        let sql = self.sql(order);
        let (low_sid, high_sid, limit) = (low.sid(), high.sid(), limit as i64);
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&low.created, &low_sid, &high.created, &high_sid, &limit];
        parameters.extend(self.parameters);
        db.query(&sql, &parameters).await
    }

    fn sql(&self, order: &str) -> String {
        format!(
            "SELECT {} FROM {} WHERE {} \
             AND (created_us, sid) > ($1, $2) AND (created_us, sid) < ($3, $4) \
             ORDER BY created_us {order}, sid {order} LIMIT $5",
            self.columns, self.source, self.matching
        )
    }

    /// Whether a row is strictly between two edges.
    async fn any(&self, db: &Connection, low: Edge, high: Edge) -> Result<bool, StoreError> {
        let probe = List {
            columns: "1",
            source: self.source,
            matching: self.matching,
            parameters: self.parameters,
        };
        Ok(!probe.between(db, low, high, 1, false).await?.is_empty())
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
        assert_eq!(OLDEST.older(), OLDEST);
        assert_eq!(NEWEST.newer(), NEWEST);
    }
}
