//! A file layer with faults under a server: it loses what was not synced when the server is killed,
//! and fails on demand. The harness of the preloaded library `fault-layer`.
//!
//! ```no_run
//! # use std::process::Command;
//! # use std::time::Duration;
//! # use testkit::fault_layer::{FaultLayer, Faults};
//! # let directory = std::path::Path::new("data");
//! let layer = FaultLayer::new(directory);
//! let mut server = Command::new("rotunda").arg("serve").envs(layer.env()).spawn()?;
//! layer.set(Faults { disk_full: true, ..Faults::default() });
//! layer.set(Faults { sync_delay: Duration::from_secs(2), ..Faults::default() });
//! layer.set(Faults::default()); // all is well again
//! layer.crash(&mut server, Some(7)); // killed; some of what was not synced is gone
//! # Ok::<(), std::io::Error>(())
//! ```

// Compiled here too, since the library itself must not be linked: it would take the place of this
// process' own functions.
#[path = "../../../fault-layer/src/control.rs"]
mod control;
mod disk;
#[path = "../../../fault-layer/src/journal.rs"]
mod journal;

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use tempfile::TempDir;

use self::control::Slot;
use self::disk::Disk;

/// The layer under one data directory. It goes on from one process to the next.
pub struct FaultLayer {
    directory: PathBuf,
    state: TempDir,
    control: File,
}

/// What is wrong with the machine; all of it together. The default: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Files that would grow, and new ones, fail with `ENOSPC`. What is there can be overwritten.
    pub disk_full: bool,
    /// Every write and truncation fails with `EIO`.
    pub write_error: bool,
    /// Every sync fails with `EIO`. What it should have synced is lost at the next crash, whatever
    /// is synced later: Linux marks it as clean.
    pub sync_error: bool,
    /// Syncs succeed and save nothing, as on a disk that ignores them: the next crash takes all.
    pub sync_lies: bool,
    /// Every read of a file fails with `EIO`.
    pub read_error: bool,
    /// Each sync takes this much longer, whole milliseconds.
    pub sync_delay: Duration,
    /// The calendar's clock is off by this many seconds. The monotonic one is as it is.
    pub clock_step_s: i64,
}

/// What passed through the layer since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Writes, truncations and changes of names in the directory.
    pub changes: u64,
    /// Syncs in the directory.
    pub syncs: u64,
    /// Looks at the calendar's clock.
    pub clock_reads: u64,
}

/// What a crash took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// Changes that were not synced.
    pub unsynced: usize,
    /// Of those, how many are gone, in part or whole.
    pub dropped: usize,
}

impl FaultLayer {
    /// A layer under the files in this directory, which is made if it is not there. Directories in it
    /// are not followed when they are made or removed, only the files in them.
    ///
    /// # Panics
    /// If the directory, or one for the layer's own files beside it, cannot be made, or the library
    /// was not built.
    pub fn new(directory: &Path) -> Self {
        std::fs::create_dir_all(directory).expect("the directory can be made");
        let directory = directory.canonicalize().expect("it is there");
        let beside = directory.parent().expect("a directory that is not the root");
        let state = tempfile::Builder::new()
            .prefix("fault-layer-")
            .tempdir_in(beside)
            .expect("a directory beside it can be made");
        let control = OpenOptions::new()
            .create_new(true)
            .read(true)
            .write(true)
            .open(state.path().join(control::CONTROL))
            .expect("a new file");
        control.set_len(control::PAGE as u64).expect("a page of zeroes");
        File::create_new(state.path().join(control::JOURNAL)).expect("a new file");
        assert!(
            library().exists(),
            "the library is built with this crate: {library:?}",
            library = library()
        );
        Self {
            directory,
            state,
            control,
        }
    }

    /// From now on, before a process is started, nothing is recorded: for long runs with faults and
    /// without crashes, in which the journal would grow for ever.
    pub fn without_journal(self) -> Self {
        std::fs::remove_file(self.journal()).expect("it was made");
        self
    }

    /// What the server's process has to have in its environment.
    pub fn env(&self) -> [(&'static str, OsString); 3] {
        [
            ("LD_PRELOAD", library().into()),
            (control::DIRECTORY, self.directory.clone().into()),
            (control::STATE, self.state.path().into()),
        ]
    }

    /// What is wrong from now on; the process need not be running.
    pub fn set(&self, faults: Faults) {
        let errno = |wrong: bool, errno: i32| if wrong { u64::from(errno.unsigned_abs()) } else { 0 };
        let milliseconds = u64::try_from(faults.sync_delay.as_millis()).expect("less than an age");
        for (slot, value) in [
            (Slot::DiskFull, u64::from(faults.disk_full)),
            (Slot::WriteError, errno(faults.write_error, EIO)),
            (Slot::SyncError, errno(faults.sync_error, EIO)),
            (Slot::SyncLies, u64::from(faults.sync_lies)),
            (Slot::ReadError, errno(faults.read_error, EIO)),
            (Slot::SyncDelay, milliseconds),
            (Slot::ClockStep, faults.clock_step_s.cast_unsigned()),
        ] {
            let place = slot.offset() as u64;
            self.control
                .write_all_at(&value.to_ne_bytes(), place)
                .expect("the page is there");
        }
    }

    /// What passed so far.
    pub fn counts(&self) -> Counts {
        let count = |slot: Slot| {
            let mut bytes = [0; 8];
            let place = slot.offset() as u64;
            self.control
                .read_exact_at(&mut bytes, place)
                .expect("the page is there");
            u64::from_ne_bytes(bytes)
        };
        Counts {
            changes: count(Slot::Changes),
            syncs: count(Slot::Syncs),
            clock_reads: count(Slot::ClockReads),
        }
    }

    /// Kills the process and takes away what it had not synced: all of it, or, with a seed, a random
    /// part of it in sectors of 512 bytes, as a disk does that reorders and tears writes.
    ///
    /// # Panics
    /// If the process cannot be killed, or as [`Self::power_failure`].
    pub fn crash(&self, child: &mut Child, seed: Option<u64>) -> Lost {
        child.kill().expect("a child can be killed");
        child.wait().expect("a killed child ends");
        self.power_failure(seed)
    }

    /// As [`Self::crash`], of processes that have ended.
    ///
    /// # Panics
    /// If the files cannot be read and written.
    pub fn power_failure(&self, seed: Option<u64>) -> Lost {
        let journal = std::fs::read(self.journal()).expect("the layer has a journal");
        let records = disk::records(&journal);
        let mut disk = Disk::load(&self.directory, self.state.path(), &records);
        let lost = disk.lose_unsynced(&records, seed);
        disk.save(&self.directory);
        self.forget();
        lost
    }

    /// Forgets what was recorded: what is in the directory now counts as synced.
    ///
    /// # Panics
    /// If the layer's own files cannot be changed.
    pub fn forget(&self) {
        for entry in std::fs::read_dir(self.state.path()).expect("the layer's own directory") {
            let entry = entry.expect("an entry");
            if entry.file_name() != control::CONTROL {
                std::fs::remove_file(entry.path()).expect("a file of ours");
            }
        }
        File::create_new(self.journal()).expect("a new file");
    }

    fn journal(&self) -> PathBuf {
        self.state.path().join(control::JOURNAL)
    }
}

/// `EIO` of Linux.
const EIO: i32 = 5;

/// Cargo puts the library beside the test programs.
fn library() -> PathBuf {
    let program = std::env::current_exe().expect("a program has a path");
    let beside = program.parent().expect("it is in a directory");
    let path = beside.join("libfault_layer.so");
    // An example or the server itself stands one directory higher.
    if path.exists() {
        path
    } else {
        beside.join("deps/libfault_layer.so")
    }
}
