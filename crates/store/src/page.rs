//! Pages of lists that are newest first, by keyset: the work does not depend on how far it is in.

use room::Timestamp;

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
