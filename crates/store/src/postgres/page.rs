//! One page of a list by keyset: a range of one index, read from its newer or its older end.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::connection::Connection;
use super::row::Sid;
use crate::page::{Between, Created, Scan};
use crate::{Page, PageRequest, Position, StoreError};

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
        return Ok(Page::none());
    };
    let scan = Scan::new(created, request);
    let found = list.between(db, scan.rows(), scan.limit(), scan.is_ascending()).await?;
    let (rows, more) = scan.arrange(found);
    let rows = rows.iter().map(read).collect::<Result<Vec<T>, _>>()?;
    let beyond = match scan.beyond(rows.first().map(&position), rows.last().map(&position)) {
        Some(between) => list.any(db, between).await?,
        None => false,
    };
    Ok(scan.page(rows, more, beyond))
}

impl List<'_> {
    /// Rows between two edges: newest first, or oldest first if `ascending`.
    async fn between(
        &self,
        db: &Connection,
        between: Between,
        limit: usize,
        ascending: bool,
    ) -> Result<Vec<Row>, StoreError> {
        if between.is_empty() {
            return Ok(Vec::new());
        }
        let Between { low, high } = between;
        let order = if ascending { "ASC" } else { "DESC" };
        let sql = format!(
            "SELECT {} FROM {} WHERE {} \
             AND (created_us, sid) > ($1, $2) AND (created_us, sid) < ($3, $4) \
             ORDER BY created_us {order}, sid {order} LIMIT $5",
            self.columns, self.source, self.matching
        );
        let (low_sid, high_sid, limit) = (Sid(low.sid()), Sid(high.sid()), limit as i64);
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&low.created, &low_sid, &high.created, &high_sid, &limit];
        parameters.extend(self.parameters);
        db.query(&sql, &parameters).await
    }

    /// Whether a row is between two edges.
    async fn any(&self, db: &Connection, between: Between) -> Result<bool, StoreError> {
        let probe = List {
            columns: "1",
            source: self.source,
            matching: self.matching,
            parameters: self.parameters,
        };
        Ok(!probe.between(db, between, 1, false).await?.is_empty())
    }
}
