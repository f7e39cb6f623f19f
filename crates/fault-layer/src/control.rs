//! The page of numbers that a harness and a preloaded process share: which faults there are now, and
//! what was seen. Compiled into the library and into the harness.

/// Environment: the directory that the layer watches, as an absolute path without symbolic links.
pub(crate) const DIRECTORY: &str = "FAULT_LAYER_DIRECTORY";
/// Environment: the directory of the control page and the journal, on the same file system.
pub(crate) const STATE: &str = "FAULT_LAYER_STATE";
/// The control page, in the state directory.
pub(crate) const CONTROL: &str = "control";
/// The journal, in the state directory. What is not there is not recorded.
pub(crate) const JOURNAL: &str = "journal";
/// Length of the control page, bytes.
pub(crate) const PAGE: usize = 4096;

/// The numbers on the page: 8 bytes each, in the machine's order.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "each side uses its part")]
pub(crate) enum Slot {
    /// Not 0: a file that would grow, or be made, fails with `ENOSPC`.
    DiskFull,
    /// Not 0: what every write fails with.
    WriteError,
    /// Not 0: what every sync fails with.
    SyncError,
    /// Not 0: what every read fails with.
    ReadError,
    /// Milliseconds that each sync takes longer.
    SyncDelay,
    /// Seconds, signed, by which the calendar's clock is off.
    ClockStep,
    /// Not 0: syncs succeed and save nothing.
    SyncLies,
    /// Counted: writes, truncations and changes of names in the directory.
    Changes,
    /// Counted: syncs in the directory.
    Syncs,
    /// Counted: looks at the calendar's clock.
    ClockReads,
}

impl Slot {
    /// Offset on the page, bytes.
    pub(crate) const fn offset(self) -> usize {
        self as usize * 8
    }
}
