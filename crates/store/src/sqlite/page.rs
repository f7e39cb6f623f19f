//! One page of a list by keyset: a range of one index, read from its newer or its older end.

use rusqlite::{Connection, Row, ToSql, params_from_iter};

use crate::page::{Between, Created, Edge, Scan};
use crate::{Page, PageRequest, Position, StoreError};

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

/// What keeps rows on the newer side of an edge, of parameters `?4` and `?5`. A comparison of both columns is made anew for
/// each row, one of the first column is part of the search: so where one does, there is one, and none where all pass.
fn above(low: Edge) -> &'static str {
    match low {
        Edge::OLDEST => "",
        Edge { key: u128::MAX, .. } => "AND created_us > ?4",
        _ => "AND (created_us, sid) > (?4, ?5)",
    }
}

/// What keeps rows on the older side of an edge, of parameters `?6` and `?7`.
fn below(high: Edge) -> &'static str {
    match high {
        Edge::NEWEST => "",
        Edge { key: 0, .. } => "AND created_us < ?6",
        _ => "AND (created_us, sid) < (?6, ?7)",
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
        return Ok(Page::none());
    };
    let scan = Scan::new(created, request);
    let found = list.between(db, scan.rows(), scan.limit(), scan.is_ascending(), &read)?;
    let (rows, more) = scan.arrange(found);
    let beyond = match scan.beyond(rows.first().map(&position), rows.last().map(&position)) {
        Some(between) => list.any(db, between)?,
        None => false,
    };
    Ok(scan.page(rows, more, beyond))
}

impl List<'_> {
    /// Rows between two edges: newest first, or oldest first if `ascending`.
    fn between<T>(
        &self,
        db: &Connection,
        between: Between,
        limit: usize,
        ascending: bool,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        if between.is_empty() {
            return Ok(Vec::new());
        }
        let Between { low, high } = between;
        let order = if ascending { "ASC" } else { "DESC" };
        let sql = format!(
            "SELECT {} FROM {} WHERE {} {} {} ORDER BY created_us {order}, sid {order} LIMIT ?8",
            self.columns,
            self.source,
            self.matching,
            above(low),
            below(high)
        );
        let (low_sid, high_sid, limit) = (low.sid(), high.sid(), limit as i64);
        let bounds: [&dyn ToSql; 5] = [&low.created, &low_sid, &high.created, &high_sid, &limit];
        let parameters = self.parameters.iter().chain(&bounds);
        let mut query = db.prepare_cached(&sql)?;
        let rows = query.query_map(params_from_iter(parameters), |row| read(row))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether a row is between two edges.
    fn any(&self, db: &Connection, between: Between) -> Result<bool, StoreError> {
        let probe = List {
            columns: "1",
            source: self.source,
            matching: self.matching,
            parameters: self.parameters,
        };
        Ok(!probe.between(db, between, 1, false, |_| Ok(()))?.is_empty())
    }
}
