//! What a descriptor or a path stands for, found with plain system calls.

use std::ffi::{CStr, CString};

use libc::{c_char, c_int};

use crate::layer::Layer;

/// A file or directory inside of the watched directory.
pub(crate) struct Found {
    /// Inode.
    pub(crate) file: u64,
    /// Path in the directory.
    pub(crate) name: Vec<u8>,
    /// Size, bytes.
    pub(crate) size: u64,
    pub(crate) is_directory: bool,
}

impl Found {
    /// Whether what is changed in it can be lost. Not if it has no name any more, nor if it is
    /// SQLite's index of its log, which is built anew.
    pub(crate) fn is_recorded(&self) -> bool {
        !self.is_directory && !self.name.ends_with(b" (deleted)") && !self.name.ends_with(b"-shm")
    }
}

/// What a descriptor stands for, if it is a file or directory inside.
pub(crate) fn of_descriptor(layer: &Layer, descriptor: c_int) -> Option<Found> {
    let status = status(descriptor)?;
    let is_directory = match status.st_mode & libc::S_IFMT {
        libc::S_IFREG => false,
        libc::S_IFDIR => true,
        _ => return None,
    };
    let path = path_of(descriptor)?;
    Some(Found {
        file: status.st_ino,
        name: layer.inside(&path)?.to_vec(),
        size: status.st_size as u64,
        is_directory,
    })
}

/// What a path stands for, if it is there and inside; a symbolic link is not followed.
pub(crate) fn of_path(layer: &Layer, at: c_int, path: &CStr) -> Option<Found> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the path ends with 0.
    let opened = unsafe { libc::syscall(libc::SYS_openat, at, path.as_ptr(), flags) } as c_int;
    if opened < 0 {
        return None;
    }
    let found = of_descriptor(layer, opened);
    close(opened);
    found
}

/// The path in the directory that a name, there or not, would have.
pub(crate) fn name_of(layer: &Layer, at: c_int, path: &CStr) -> Option<Vec<u8>> {
    let bytes = path.to_bytes();
    let (parent, base) = match bytes.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&bytes[..=slash], &bytes[slash + 1..]),
        None => (&b"."[..], bytes),
    };
    let parent = of_path(layer, at, &CString::new(parent).ok()?)?;
    let mut name = parent.name;
    if !name.is_empty() {
        name.push(b'/');
    }
    name.extend(base);
    Some(name)
}

pub(crate) fn close(descriptor: c_int) {
    // SAFETY: no memory is passed; the descriptor is the caller's own.
    unsafe { libc::syscall(libc::SYS_close, descriptor) };
}

/// What stands in a file from `offset` on, at most `length` bytes, whatever the descriptor may do.
pub(crate) fn read(descriptor: c_int, offset: u64, length: usize) -> Vec<u8> {
    // The caller's own descriptor may be for writing alone.
    let Ok(link) = CString::new(format!("/proc/self/fd/{descriptor}")) else {
        return Vec::new();
    };
    // SAFETY: the path ends with 0.
    let opened = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, link.as_ptr(), libc::O_CLOEXEC) } as c_int;
    if opened < 0 {
        return Vec::new();
    }
    let mut bytes = vec![0u8; length];
    let mut filled = 0;
    while filled < length {
        // SAFETY: the pointer and the length lie inside of `bytes`.
        let got = unsafe {
            libc::syscall(
                libc::SYS_pread64,
                opened,
                bytes[filled..].as_mut_ptr(),
                length - filled,
                offset + filled as u64,
            )
        };
        if got <= 0 {
            break;
        }
        filled += got as usize;
    }
    close(opened);
    bytes.truncate(filled);
    bytes
}

/// # Safety
/// The path ends with 0, or is null.
pub(crate) unsafe fn text<'a>(path: *const c_char) -> &'a CStr {
    if path.is_null() {
        return c"";
    }
    // SAFETY: the caller's word.
    unsafe { CStr::from_ptr(path) }
}

fn status(descriptor: c_int) -> Option<libc::stat> {
    let mut status = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `fstat` fills the structure, for which all zeroes are a value, too.
    unsafe {
        let done = libc::syscall(libc::SYS_fstat, descriptor, status.as_mut_ptr());
        (done == 0).then(|| status.assume_init())
    }
}

fn path_of(descriptor: c_int) -> Option<Vec<u8>> {
    let link = CString::new(format!("/proc/self/fd/{descriptor}")).ok()?;
    let mut path = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: the pointer and the length are those of `path`.
    let length = unsafe {
        libc::syscall(
            libc::SYS_readlinkat,
            libc::AT_FDCWD,
            link.as_ptr(),
            path.as_mut_ptr(),
            path.len(),
        )
    };
    path.truncate(usize::try_from(length).ok()?);
    Some(path)
}
