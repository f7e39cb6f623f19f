//! The functions that take the place of the C library's.

use std::ffi::CStr;

use libc::{c_char, c_int, c_long, c_uint, iovec, mode_t, off_t, size_t, ssize_t, timespec, timeval};

use crate::control::Slot;
use crate::files::{self, Found};
use crate::journal::Record;
use crate::layer::{Layer, layer};

/// Sets `errno`, and -1.
fn failed(error: c_int) -> c_long {
    // SAFETY: the address of this thread's own `errno`.
    unsafe { *libc::__errno_location() = error };
    -1
}

fn fault(layer: &Layer, slot: Slot) -> Option<c_int> {
    c_int::try_from(layer.slot(slot)).ok().filter(|error| *error != 0)
}

// Writing.

/// Writes bytes at an offset, or where the descriptor stands.
unsafe fn write_bytes(descriptor: c_int, bytes: &[u8], offset: Option<off_t>) -> c_long {
    let plain = || match offset {
        // SAFETY: the pointer and the length are those of `bytes`.
        None => unsafe { libc::syscall(libc::SYS_write, descriptor, bytes.as_ptr(), bytes.len()) },
        // SAFETY: as before.
        Some(offset) => unsafe { libc::syscall(libc::SYS_pwrite64, descriptor, bytes.as_ptr(), bytes.len(), offset) },
    };
    let Some((layer, found)) = watched(descriptor) else {
        return plain();
    };
    let at = offset.map_or_else(|| position(descriptor, found.size), |offset| offset as u64);
    if let Some(error) = fault(layer, Slot::WriteError) {
        return failed(error);
    }
    if layer.slot(Slot::DiskFull) != 0 && at + bytes.len() as u64 > found.size {
        return failed(libc::ENOSPC);
    }
    let record = found.is_recorded().then(|| Record::Write {
        file: found.file,
        offset: at,
        size_before: found.size,
        old: files::read(descriptor, at, bytes.len()),
        new: bytes.to_vec(),
    });
    layer.recorded(record, plain)
}

fn watched(descriptor: c_int) -> Option<(&'static Layer, Found)> {
    let layer = layer()?;
    let found = files::of_descriptor(layer, descriptor)?;
    (!found.is_directory).then_some((layer, found))
}

/// Where a write without an offset goes.
fn position(descriptor: c_int, size: u64) -> u64 {
    // SAFETY: no memory is passed.
    let (flags, at) = unsafe {
        (
            libc::syscall(libc::SYS_fcntl, descriptor, libc::F_GETFL),
            libc::syscall(libc::SYS_lseek, descriptor, 0, libc::SEEK_CUR),
        )
    };
    if flags & c_long::from(libc::O_APPEND) != 0 {
        size
    } else {
        at.max(0) as u64
    }
}

/// # Safety
/// The pieces are readable.
unsafe fn gathered(pieces: *const iovec, count: c_int) -> Vec<u8> {
    let mut bytes = Vec::new();
    for index in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: the caller's word.
        unsafe {
            let piece = &*pieces.add(index);
            if piece.iov_len > 0 {
                bytes.extend_from_slice(std::slice::from_raw_parts(piece.iov_base.cast::<u8>(), piece.iov_len));
            }
        }
    }
    bytes
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(descriptor: c_int, buffer: *const u8, length: size_t) -> ssize_t {
    if length == 0 || watched(descriptor).is_none() {
        // SAFETY: passed on as it came.
        return unsafe { libc::syscall(libc::SYS_write, descriptor, buffer, length) as ssize_t };
    }
    // SAFETY: by the contract of `write`.
    unsafe { write_bytes(descriptor, std::slice::from_raw_parts(buffer, length), None) as ssize_t }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(descriptor: c_int, buffer: *const u8, length: size_t, offset: off_t) -> ssize_t {
    if length == 0 {
        return 0;
    }
    // SAFETY: by the contract of `pwrite`.
    unsafe { write_bytes(descriptor, std::slice::from_raw_parts(buffer, length), Some(offset)) as ssize_t }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(descriptor: c_int, buffer: *const u8, length: size_t, offset: off_t) -> ssize_t {
    // SAFETY: the same function on 64-bit machines.
    unsafe { pwrite64(descriptor, buffer, length, offset) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(descriptor: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
    if watched(descriptor).is_none() {
        // SAFETY: passed on as it came.
        return unsafe { libc::syscall(libc::SYS_writev, descriptor, pieces, count) as ssize_t };
    }
    // SAFETY: by the contract of `writev`.
    unsafe { write_bytes(descriptor, &gathered(pieces, count), None) as ssize_t }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev64(descriptor: c_int, pieces: *const iovec, count: c_int, offset: off_t) -> ssize_t {
    // SAFETY: by the contract of `pwritev`.
    unsafe { write_bytes(descriptor, &gathered(pieces, count), Some(offset)) as ssize_t }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev(descriptor: c_int, pieces: *const iovec, count: c_int, offset: off_t) -> ssize_t {
    // SAFETY: the same function on 64-bit machines.
    unsafe { pwritev64(descriptor, pieces, count, offset) }
}

/// Copies inside of the kernel are not seen: callers fall back to reading and writing.
#[unsafe(no_mangle)]
unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_offset: *mut off_t,
    to: c_int,
    to_offset: *mut off_t,
    length: size_t,
    flags: c_uint,
) -> ssize_t {
    if watched(to).is_some() {
        return failed(libc::ENOSYS) as ssize_t;
    }
    // SAFETY: passed on as it came.
    unsafe {
        libc::syscall(
            libc::SYS_copy_file_range,
            from,
            from_offset,
            to,
            to_offset,
            length,
            flags,
        ) as ssize_t
    }
}

/// As [`copy_file_range`].
#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile64(to: c_int, from: c_int, offset: *mut off_t, length: size_t) -> ssize_t {
    if watched(to).is_some() {
        return failed(libc::EINVAL) as ssize_t;
    }
    // SAFETY: passed on as it came.
    unsafe { libc::syscall(libc::SYS_sendfile, to, from, offset, length) as ssize_t }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile(to: c_int, from: c_int, offset: *mut off_t, length: size_t) -> ssize_t {
    // SAFETY: the same function on 64-bit machines.
    unsafe { sendfile64(to, from, offset, length) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(descriptor: c_int, size: off_t) -> c_int {
    // SAFETY: no memory is passed.
    let plain = || unsafe { libc::syscall(libc::SYS_ftruncate, descriptor, size) };
    let Some((layer, found)) = watched(descriptor) else {
        return plain() as c_int;
    };
    if let Some(error) = fault(layer, Slot::WriteError) {
        return failed(error) as c_int;
    }
    let new_size = size.max(0) as u64;
    let record = found.is_recorded().then(|| Record::Truncate {
        file: found.file,
        size_before: found.size,
        size: new_size,
        old: files::read(descriptor, new_size, found.size.saturating_sub(new_size) as usize),
    });
    layer.recorded(record, plain) as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate(descriptor: c_int, size: off_t) -> c_int {
    // SAFETY: the same function on 64-bit machines.
    unsafe { ftruncate64(descriptor, size) }
}

// Names.

/// Opens, and records what opening changes: a new name, or a size of 0.
unsafe fn open_recorded(at: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let plain = |flags: c_int| -> c_int {
        // SAFETY: passed on as it came.
        unsafe { libc::syscall(libc::SYS_openat, at, path, flags, mode) as c_int }
    };
    let changes = flags & (libc::O_CREAT | libc::O_TRUNC) != 0 && flags & libc::O_TMPFILE != libc::O_TMPFILE;
    let Some(layer) = layer().filter(|_| changes) else {
        return plain(flags);
    };
    // SAFETY: by the contract of `open`.
    let name = unsafe { files::text(path) };
    let was_there = exists(at, name);
    if !was_there && layer.slot(Slot::DiskFull) != 0 && files::name_of(layer, at, name).is_some() {
        return failed(libc::ENOSPC) as c_int;
    }
    let opened = plain(flags & !libc::O_TRUNC);
    if opened < 0 {
        return opened;
    }
    if was_there {
        if flags & libc::O_TRUNC != 0 {
            // SAFETY: no memory is passed.
            unsafe { ftruncate64(opened, 0) };
        }
    } else if let Some(found) = files::of_descriptor(layer, opened).filter(Found::is_recorded) {
        let (file, name) = (found.file, found.name);
        layer.recorded(Some(Record::Create { file, name }), || 0);
    }
    opened
}

fn exists(at: c_int, path: &CStr) -> bool {
    // SAFETY: the path ends with 0.
    unsafe { libc::syscall(libc::SYS_faccessat, at, path.as_ptr(), libc::F_OK) == 0 }
}

// The C functions take `mode` as a variable argument, which arrives where a third one does.

#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: by the contract of `open`.
    unsafe { open_recorded(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: by the contract of `open`.
    unsafe { open_recorded(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat(at: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: by the contract of `openat`.
    unsafe { open_recorded(at, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat64(at: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: by the contract of `openat`.
    unsafe { open_recorded(at, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlinkat(at: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: passed on as it came.
    let plain = || unsafe { libc::syscall(libc::SYS_unlinkat, at, path, flags) };
    // SAFETY: by the contract of `unlinkat`.
    let found = layer().and_then(|layer| Some((layer, files::of_path(layer, at, unsafe { files::text(path) })?)));
    let Some((layer, found)) = found.filter(|(_, found)| found.is_recorded()) else {
        return plain() as c_int;
    };
    // SAFETY: by the contract of `unlinkat`.
    keep(layer, at, unsafe { files::text(path) }, found.file);
    let (file, name) = (found.file, found.name);
    layer.recorded(Some(Record::Unlink { file, name }), plain) as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: by the contract of `unlink`.
    unsafe { unlinkat(libc::AT_FDCWD, path, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn renameat2(
    from_at: c_int,
    from: *const c_char,
    to_at: c_int,
    to: *const c_char,
    flags: c_uint,
) -> c_int {
    // SAFETY: passed on as it came.
    let plain = || unsafe { libc::syscall(libc::SYS_renameat2, from_at, from, to_at, to, flags) };
    // SAFETY: by the contract of `rename`.
    let (from_text, to_text) = unsafe { (files::text(from), files::text(to)) };
    let moved = layer().and_then(|layer| {
        let found = files::of_path(layer, from_at, from_text).filter(Found::is_recorded)?;
        Some((layer, found, files::name_of(layer, to_at, to_text)?))
    });
    let Some((layer, found, to_name)) = moved else {
        return plain() as c_int;
    };
    let replaced = files::of_path(layer, to_at, to_text).map_or(0, |replaced| replaced.file);
    if replaced != 0 {
        keep(layer, to_at, to_text, replaced);
    }
    let record = Record::Rename {
        file: found.file,
        replaced,
        from: found.name,
        to: to_name,
    };
    layer.recorded(Some(record), plain) as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn renameat(from_at: c_int, from: *const c_char, to_at: c_int, to: *const c_char) -> c_int {
    // SAFETY: by the contract of `renameat`.
    unsafe { renameat2(from_at, from, to_at, to, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: by the contract of `rename`.
    unsafe { renameat2(libc::AT_FDCWD, from, libc::AT_FDCWD, to, 0) }
}

/// Gives a file that is about to lose its name another one, for the harness.
fn keep(layer: &Layer, at: c_int, path: &CStr, file: u64) {
    let kept = layer.kept(file);
    // SAFETY: both paths end with 0. It fails if it was kept before, which is as good.
    unsafe { libc::syscall(libc::SYS_linkat, at, path.as_ptr(), libc::AT_FDCWD, kept.as_ptr(), 0) };
}

// Syncing.

unsafe fn sync(call: c_long, descriptor: c_int) -> c_int {
    // SAFETY: no memory is passed.
    let plain = || unsafe { libc::syscall(call, descriptor) as c_int };
    let found = layer().and_then(|layer| Some((layer, files::of_descriptor(layer, descriptor)?)));
    let Some((layer, found)) = found else {
        return plain();
    };
    layer.count(Slot::Syncs);
    let before = layer.mark();
    pause(layer.slot(Slot::SyncDelay));
    if let Some(error) = fault(layer, Slot::SyncError) {
        layer.note(&Record::SyncFailed {
            file: found.file,
            before,
        });
        return failed(error) as c_int;
    }
    if layer.slot(Slot::SyncLies) != 0 {
        return 0;
    }
    let done = plain();
    if done == 0 {
        layer.note(&match found.is_directory {
            true => Record::SyncedDirectory {
                before,
                name: found.name,
            },
            false => Record::Synced {
                file: found.file,
                before,
            },
        });
    }
    done
}

fn pause(time_ms: u64) {
    if time_ms == 0 {
        return;
    }
    let time = timespec {
        tv_sec: (time_ms / 1000) as libc::time_t,
        tv_nsec: (time_ms % 1000 * 1_000_000) as c_long,
    };
    // SAFETY: `time` is read, nothing is written.
    unsafe { libc::syscall(libc::SYS_nanosleep, &raw const time, 0usize) };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(descriptor: c_int) -> c_int {
    // SAFETY: by the contract of `fsync`.
    unsafe { sync(libc::SYS_fsync, descriptor) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    // SAFETY: by the contract of `fdatasync`.
    unsafe { sync(libc::SYS_fdatasync, descriptor) }
}

// Reading, which can only fail.

fn read_fault(descriptor: c_int) -> Option<c_int> {
    let error = fault(layer()?, Slot::ReadError)?;
    watched(descriptor).map(|_| error)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn read(descriptor: c_int, buffer: *mut u8, length: size_t) -> ssize_t {
    if let Some(error) = read_fault(descriptor) {
        return failed(error) as ssize_t;
    }
    // SAFETY: passed on as it came.
    unsafe { libc::syscall(libc::SYS_read, descriptor, buffer, length) as ssize_t }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pread64(descriptor: c_int, buffer: *mut u8, length: size_t, offset: off_t) -> ssize_t {
    if let Some(error) = read_fault(descriptor) {
        return failed(error) as ssize_t;
    }
    // SAFETY: passed on as it came.
    unsafe { libc::syscall(libc::SYS_pread64, descriptor, buffer, length, offset) as ssize_t }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pread(descriptor: c_int, buffer: *mut u8, length: size_t, offset: off_t) -> ssize_t {
    // SAFETY: the same function on 64-bit machines.
    unsafe { pread64(descriptor, buffer, length, offset) }
}

// The calendar's clock.

fn step_s() -> i64 {
    layer().map_or(0, |layer| {
        layer.count(Slot::ClockReads);
        layer.clock_step_s()
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut timespec) -> c_int {
    // SAFETY: by the contract of `clock_gettime`.
    unsafe {
        let done = libc::syscall(libc::SYS_clock_gettime, clock, time) as c_int;
        if done == 0 && (clock == libc::CLOCK_REALTIME || clock == libc::CLOCK_REALTIME_COARSE) {
            (*time).tv_sec += step_s();
        }
        done
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn gettimeofday(time: *mut timeval, zone: *mut libc::c_void) -> c_int {
    // SAFETY: by the contract of `gettimeofday`; either may be null.
    unsafe {
        let done = libc::syscall(libc::SYS_gettimeofday, time, zone) as c_int;
        if done == 0 && !time.is_null() {
            (*time).tv_sec += step_s();
        }
        done
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn time(time: *mut libc::time_t) -> libc::time_t {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is ours; `time` may be null, else it is the caller's.
    unsafe {
        clock_gettime(libc::CLOCK_REALTIME, &raw mut now);
        if !time.is_null() {
            *time = now.tv_sec;
        }
    }
    now.tv_sec
}
