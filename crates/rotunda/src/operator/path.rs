//! The address of the socket, also in directories whose path is longer than a socket's address may be.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Bytes of a path that every system takes as a socket's address; Linux would take 107 (unix(7)).
const ADDRESS_BYTES: usize = 100;

/// A path to something in a directory that fits into a socket's address as long as this lives.
pub(super) struct ShortPath {
    path: PathBuf,
    /// What `/proc/self/fd` refers to.
    _directory: Option<File>,
}

impl ShortPath {
    /// # Errors
    /// The directory's path is long, and it cannot be opened.
    pub(super) fn new(directory: &Path, name: &str) -> io::Result<Self> {
        let path = directory.join(name);
        if path.as_os_str().len() <= ADDRESS_BYTES {
            return Ok(Self { path, _directory: None });
        }
        let directory = File::open(directory)?;
        Ok(Self {
            path: Path::new("/proc/self/fd")
                .join(directory.as_raw_fd().to_string())
                .join(name),
            _directory: Some(directory),
        })
    }

    pub(super) fn as_path(&self) -> &Path {
        &self.path
    }
}
