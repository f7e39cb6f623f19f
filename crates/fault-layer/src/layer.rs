//! What the hooks share: the control page, the journal, and the watched directory.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use libc::{c_int, c_long};

use crate::control::{self, Slot};
use crate::journal::Record;

/// The layer of this process.
pub(crate) struct Layer {
    /// The watched directory, with a slash at its end.
    directory: Vec<u8>,
    state: Vec<u8>,
    /// Of [`control::PAGE`] bytes, mapped for the life of the process.
    page: usize,
    /// The descriptor of the journal. Held over the change itself, so that the journal's order is
    /// the order of the changes.
    journal: Mutex<Option<c_int>>,
}

/// The layer; `None` in a process that was not set up for one.
pub(crate) fn layer() -> Option<&'static Layer> {
    static LAYER: OnceLock<Option<Layer>> = OnceLock::new();
    LAYER.get_or_init(Layer::open).as_ref()
}

impl Layer {
    fn open() -> Option<Self> {
        let mut directory = environment(control::DIRECTORY)?;
        directory.push(b'/');
        let state = environment(control::STATE)?;
        let page_file = open(&join(&state, control::CONTROL), libc::O_RDWR)?;
        // SAFETY: a fresh mapping of a file that the harness made with this length.
        let page = unsafe {
            libc::syscall(
                libc::SYS_mmap,
                0usize,
                control::PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                page_file,
                0usize,
            )
        };
        let journal = open(&join(&state, control::JOURNAL), libc::O_RDWR | libc::O_APPEND);
        (page > 0).then(|| Self {
            directory,
            state,
            page: page as usize,
            journal: Mutex::new(journal),
        })
    }

    /// A number that the harness set.
    pub(crate) fn slot(&self, slot: Slot) -> u64 {
        self.cell(slot).load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, slot: Slot) {
        self.cell(slot).fetch_add(1, Ordering::Relaxed);
    }

    /// Seconds by which the calendar's clock is off.
    pub(crate) fn clock_step_s(&self) -> i64 {
        // SAFETY: as `cell`; the number is signed.
        let cell = unsafe { &*((self.page + Slot::ClockStep.offset()) as *const AtomicI64) };
        cell.load(Ordering::Relaxed)
    }

    fn cell(&self, slot: Slot) -> &AtomicU64 {
        // SAFETY: inside of the page, aligned to 8, mapped for ever, and only used as an atomic.
        unsafe { &*((self.page + slot.offset()) as *const AtomicU64) }
    }

    /// The path inside of the directory, empty for itself; `None` if it is elsewhere.
    pub(crate) fn inside<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        if path == &self.directory[..self.directory.len() - 1] {
            return Some(&[]);
        }
        path.strip_prefix(&self.directory[..])
    }

    /// Makes a change and records it before or, with what it gave, after.
    pub(crate) fn recorded(&self, record: Option<Record>, change: impl FnOnce() -> c_long) -> c_long {
        self.count(Slot::Changes);
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(journal), Some(record)) = (*journal, record) {
            append(journal, &record);
        }
        change()
    }

    /// Records what has happened.
    pub(crate) fn note(&self, record: &Record) {
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(journal) = *journal {
            append(journal, record);
        }
    }

    /// The end of the journal: all that was recorded so far lies before it.
    pub(crate) fn mark(&self) -> u64 {
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.map_or(0, |journal| {
            // SAFETY: no memory is passed.
            unsafe { libc::syscall(libc::SYS_lseek, journal, 0, libc::SEEK_END) as u64 }
        })
    }

    /// Where a file that loses its last name stays for the harness.
    pub(crate) fn kept(&self, file: u64) -> CString {
        join(&self.state, &format!("unlinked-{file}"))
    }
}

fn append(journal: c_int, record: &Record) {
    let bytes = record.encode();
    // SAFETY: the pointer and the length are those of `bytes`.
    let written = unsafe { libc::syscall(libc::SYS_write, journal, bytes.as_ptr(), bytes.len()) };
    if written != bytes.len() as c_long {
        // Without its journal the layer would claim that nothing was lost.
        std::process::abort();
    }
}

fn environment(name: &str) -> Option<Vec<u8>> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name ends with 0; the answer is copied before anything can change it.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: a value in the environment ends with 0.
    Some(unsafe { CStr::from_ptr(value) }.to_bytes().to_vec())
}

fn join(directory: &[u8], name: &str) -> CString {
    let path = std::path::Path::new(OsStr::from_bytes(directory)).join(name);
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

fn open(path: &CStr, flags: c_int) -> Option<c_int> {
    // SAFETY: the path ends with 0.
    let opened = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags | libc::O_CLOEXEC) };
    (opened >= 0).then_some(opened as c_int)
}
