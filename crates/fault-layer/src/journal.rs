//! The journal of a preloaded process: what it changed in its directory and what it synced, so that
//! a harness can take back what a power failure would have lost. Compiled into the library and into
//! the harness.

/// One change, or one sync, in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// Bytes written. Recorded before they are.
    Write {
        /// Inode.
        file: u64,
        /// Where.
        offset: u64,
        /// Size of the file before.
        size_before: u64,
        /// What stood there before; shorter than `new` if the file ended there.
        old: Vec<u8>,
        /// What is written.
        new: Vec<u8>,
    },
    /// A new size. Recorded before it is set.
    Truncate {
        /// Inode.
        file: u64,
        /// Size before.
        size_before: u64,
        /// Size after.
        size: u64,
        /// What is cut off.
        old: Vec<u8>,
    },
    /// A new, empty file. Recorded after it is made: until then it may be there or not.
    Create {
        /// Inode.
        file: u64,
        /// Path in the directory.
        name: Vec<u8>,
    },
    /// A name removed. Recorded before it is.
    Unlink {
        /// Inode.
        file: u64,
        /// Path in the directory.
        name: Vec<u8>,
    },
    /// A name moved. Recorded before it is.
    Rename {
        /// Inode.
        file: u64,
        /// Inode that had the new name before; 0 if none.
        replaced: u64,
        /// Path in the directory before.
        from: Vec<u8>,
        /// Path in the directory after.
        to: Vec<u8>,
    },
    /// All records of this file that begin before this offset of the journal are on the disk.
    Synced {
        /// Inode.
        file: u64,
        /// Offset in the journal.
        before: u64,
    },
    /// All names in this directory changed before this offset of the journal are on the disk.
    SyncedDirectory {
        /// Offset in the journal.
        before: u64,
        /// Path in the directory; empty for itself.
        name: Vec<u8>,
    },
    /// A sync of this file failed: what it should have brought to the disk is lost at a power
    /// failure whatever is synced later, as with Linux, which marks the pages as clean.
    SyncFailed {
        /// Inode.
        file: u64,
        /// Offset in the journal.
        before: u64,
    },
}

/// Length of a record besides its two texts: their lengths, the kind, three numbers.
const HEAD: usize = 4 + 4 + 1 + 24;

impl Record {
    /// The record's bytes, with their length in front.
    #[allow(dead_code, reason = "the library writes and the harness reads")]
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (kind, numbers, first, second): (u8, [u64; 3], &[u8], &[u8]) = match self {
            Self::Write {
                file,
                offset,
                size_before,
                old,
                new,
            } => (1, [*file, *offset, *size_before], old, new),
            Self::Truncate {
                file,
                size_before,
                size,
                old,
            } => (2, [*file, *size_before, *size], old, &[]),
            Self::Create { file, name } => (3, [*file, 0, 0], name, &[]),
            Self::Unlink { file, name } => (4, [*file, 0, 0], name, &[]),
            Self::Rename {
                file,
                replaced,
                from,
                to,
            } => (5, [*file, *replaced, 0], from, to),
            Self::Synced { file, before } => (6, [*file, *before, 0], &[], &[]),
            Self::SyncedDirectory { before, name } => (7, [*before, 0, 0], name, &[]),
            Self::SyncFailed { file, before } => (8, [*file, *before, 0], &[], &[]),
        };
        let mut bytes = Vec::with_capacity(HEAD + first.len() + second.len());
        bytes.extend((first.len() as u32).to_le_bytes());
        bytes.extend((second.len() as u32).to_le_bytes());
        bytes.push(kind);
        for number in numbers {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(first);
        bytes.extend(second);
        bytes
    }

    /// The first record of these bytes and its length; `None` at the end, which a kill may have
    /// left in the middle of a record: then what it tells of was not begun.
    #[allow(dead_code, reason = "the library writes and the harness reads")]
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let length = |at: usize| -> Option<usize> {
            let four = bytes.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_le_bytes(four) as usize)
        };
        let number = |index: usize| -> Option<u64> {
            let at = 9 + 8 * index;
            Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
        };
        let (first, second) = (HEAD + length(0)?, HEAD + length(0)? + length(4)?);
        let (a, b) = (bytes.get(HEAD..first)?.to_vec(), bytes.get(first..second)?.to_vec());
        let (x, y, z) = (number(0)?, number(1)?, number(2)?);
        let record = match bytes.get(8)? {
            1 => Self::Write {
                file: x,
                offset: y,
                size_before: z,
                old: a,
                new: b,
            },
            2 => Self::Truncate {
                file: x,
                size_before: y,
                size: z,
                old: a,
            },
            3 => Self::Create { file: x, name: a },
            4 => Self::Unlink { file: x, name: a },
            5 => Self::Rename {
                file: x,
                replaced: y,
                from: a,
                to: b,
            },
            6 => Self::Synced { file: x, before: y },
            7 => Self::SyncedDirectory { before: x, name: a },
            8 => Self::SyncFailed { file: x, before: y },
            _ => return None,
        };
        Some((record, second))
    }
}
