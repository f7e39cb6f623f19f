//! One page of a list by keyset: a range of one index, read from its newer or its older end.

use rusqlite::{Connection, Row, ToSql, params_from_iter};

use crate::{Page, PageRequest, Position, StoreError, limits};

/// A list that is ordered by `(created_us, sid)`.
pub(super) struct List<'a> {
    /// Columns of a row.
    pub(super) columns: &'a str,
    /// The table and the index that yields the list in order.
    pub(super) source: &'a str,
    /// What rows must match, of parameters `?1` to `?3`.
    pub(super) matching: &'a str,
    /// Those parameters.
    pub(super) parameters: [&'a dyn ToSql; 3],
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

/// A point between rows. Ordered as SQLite orders `(created_us, sid)`: an empty key is before every
/// SID of its microsecond, one of 17 bytes can be after.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    created: i64,
    key: Vec<u8>,
}

/// A key after every SID.
const BEYOND: [u8; 17] = [0xff; 17];

impl Edge {
    fn at(position: Position) -> Self {
        Self {
            created: position.created.0,
            key: position.sid.to_vec(),
        }
    }

    fn before(created: i64) -> Self {
        Self {
            created,
            key: Vec::new(),
        }
    }

    fn after(created: i64) -> Self {
        Self {
            created,
            key: BEYOND.to_vec(),
        }
    }

    /// What keeps rows on the newer side of it, of parameters `?4` and `?5`. A comparison of both columns is made anew for
    /// each row, one of the first column is part of the search: so where one does, there is one, and none where all pass.
    fn as_low(&self) -> &'static str {
        match (self.key.is_empty(), self.created) {
            (true, i64::MIN) => "",
            (true, _) => "AND created_us >= ?4",
            (false, _) => "AND (created_us, sid) > (?4, ?5)",
        }
    }

    /// What keeps rows on the older side of it, of parameters `?6` and `?7`.
    fn as_high(&self) -> &'static str {
        match (self.key == BEYOND, self.created) {
            (true, i64::MAX) => "",
            (true, _) => "AND created_us <= ?6",
            (false, _) => "AND (created_us, sid) < (?6, ?7)",
        }
    }

    /// Just before a row, so that the row itself is beyond.
    fn including_from_below(position: Position) -> Self {
        // The longest key that is less than a SID does not exist; of the keys of 16 bytes, the
        // one before serves, cut to fewer bytes where the last is zero.
        let mut key = position.sid.to_vec();
        while let Some(byte) = key.pop() {
            if byte > 0 {
                key.push(byte - 1);
                key.resize(17, 0xff);
                break;
            }
        }
        Self {
            created: position.created.0,
            key,
        }
    }

    /// Just after a row.
    fn including_from_above(position: Position) -> Self {
        let mut key = position.sid.to_vec();
        key.push(0);
        Self {
            created: position.created.0,
            key,
        }
    }
}

/// Reads one page. `position` tells where a row stands.
pub(super) fn page<T>(
    db: &Connection,
    list: &List<'_>,
    created: Option<Created>,
    request: PageRequest,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    position: impl Fn(&T) -> Position,
) -> Result<Page<T>, StoreError> {
    let Some(created) = created else {
        return Ok(Page {
            rows: Vec::new(),
            has_previous: false,
            has_next: false,
        });
    };
    let oldest = Edge::before(created.first);
    let newest = Edge::after(created.last);
    let size = request.size.clamp(1, limits::PAGE_SIZE_MAX) as usize;
    let (low, high) = match (request.from, request.backwards) {
        (None, false) => (oldest.clone(), newest.clone()),
        // Nothing is newer than the newest.
        (None, true) => (newest.clone(), newest.clone()),
        (Some(from), false) => (oldest.clone(), newest.clone().min(Edge::at(from))),
        (Some(from), true) => (oldest.clone().max(Edge::at(from)), newest.clone()),
    };
    let mut rows = list.between(db, &low, &high, size + 1, request.backwards, &read)?;
    let more = rows.len() > size;
    rows.truncate(size);
    if request.backwards {
        rows.reverse();
    }
    // On the other side of the page are the rows where it begins, if any match.
    let newer_than = |edge: Edge| list.any(db, &oldest.clone().max(edge), &newest);
    let older_than = |edge: Edge| list.any(db, &oldest, &newest.clone().min(edge));
    let (has_previous, has_next) = match (request.from, request.backwards) {
        (None, false) => (false, more),
        (None, true) => (false, list.any(db, &oldest, &newest)?),
        (Some(from), false) => {
            let edge = rows.first().map(|row| Edge::at(position(row)));
            let edge = edge.unwrap_or_else(|| Edge::including_from_below(from));
            (newer_than(edge)?, more)
        }
        (Some(from), true) => {
            let edge = rows.last().map(|row| Edge::at(position(row)));
            let edge = edge.unwrap_or_else(|| Edge::including_from_above(from));
            (more, older_than(edge)?)
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
    fn between<T>(
        &self,
        db: &Connection,
        low: &Edge,
        high: &Edge,
        limit: usize,
        ascending: bool,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        if low >= high {
            return Ok(Vec::new());
        }
        let order = if ascending { "ASC" } else { "DESC" };
        let sql = format!(
            "SELECT {} FROM {} WHERE {} {} {} ORDER BY created_us {order}, sid {order} LIMIT ?8",
            self.columns,
            self.source,
            self.matching,
            low.as_low(),
            high.as_high()
        );
        let limit = limit as i64;
        let bounds: [&dyn ToSql; 5] = [&low.created, &low.key, &high.created, &high.key, &limit];
        let parameters = self.parameters.iter().chain(&bounds);
        let mut query = db.prepare_cached(&sql)?;
        let rows = query.query_map(params_from_iter(parameters), |row| read(row))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether a row is strictly between two edges.
    fn any(&self, db: &Connection, low: &Edge, high: &Edge) -> Result<bool, StoreError> {
        let probe = List {
            columns: "1",
            source: self.source,
            matching: self.matching,
            parameters: self.parameters,
        };
        Ok(!probe.between(db, low, high, 1, false, |_| Ok(()))?.is_empty())
    }
}
