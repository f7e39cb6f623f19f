//! What would be on the disk after a power failure, out of what is there and the journal of how it
//! came to be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Lost;
use super::journal::Record;

/// What a disk writes at once.
const SECTOR: usize = 512;

/// A record and where in the journal it begins.
pub(super) type Recorded = (u64, Record);

/// The records of a journal, but for one at its end that is not whole.
pub(super) fn records(journal: &[u8]) -> Vec<Recorded> {
    let mut records = Vec::new();
    let mut at = 0;
    while let Some((record, length)) = Record::decode(&journal[at..]) {
        records.push((at as u64, record));
        at += length;
    }
    records
}

/// The files that a journal tells of: their names and what is in them.
pub(super) struct Disk {
    names: BTreeMap<Vec<u8>, u64>,
    files: BTreeMap<u64, Vec<u8>>,
    /// All names that there were or may be: those without a file are removed.
    mentioned: BTreeSet<Vec<u8>>,
}

impl Disk {
    pub(super) fn load(directory: &Path, state: &Path, records: &[Recorded]) -> Self {
        let mut disk = Self {
            names: BTreeMap::new(),
            files: BTreeMap::new(),
            mentioned: BTreeSet::new(),
        };
        let told_of: BTreeSet<u64> = records.iter().flat_map(|(_, record)| files_of(record)).collect();
        for path in files_below(directory) {
            let file = fs::metadata(&path).expect("a file that was just listed").ino();
            if told_of.contains(&file) {
                disk.names.insert(name_in(directory, &path), file);
                disk.files.insert(file, fs::read(&path).expect("a file of the test"));
            }
        }
        // Files without a name have one in the layer's own directory.
        for file in told_of {
            if let Ok(content) = fs::read(state.join(format!("unlinked-{file}"))) {
                disk.files.entry(file).or_insert(content);
            }
        }
        disk.mentioned = records.iter().flat_map(|(_, record)| names_of(record)).collect();
        disk.mentioned.extend(disk.names.keys().cloned());
        disk
    }

    /// Goes back to the beginning of the journal, then forward again with what was synced and, by
    /// the seed, some of the rest.
    pub(super) fn lose_unsynced(&mut self, records: &[Recorded], seed: Option<u64>) -> Lost {
        let fates = fates(records, seed);
        for (_, record) in records.iter().rev() {
            self.undo(record);
        }
        let mut dice = fastrand::Rng::with_seed(seed.unwrap_or(0));
        let mut dropped = 0;
        for ((_, record), fate) in records.iter().zip(&fates) {
            let keeps = match fate {
                Fate::Synced => self.redo(record, |_| true),
                Fate::Unsynced if seed.is_none() => false,
                // Whole writes come and go, and some are torn.
                Fate::Unsynced => match dice.u8(0..4) {
                    0 => false,
                    1 => self.redo(record, |_| true),
                    _ => self.redo(record, |_| dice.bool()),
                },
            };
            dropped += usize::from(!keeps);
        }
        Lost {
            unsynced: fates.iter().filter(|fate| matches!(fate, Fate::Unsynced)).count(),
            dropped,
        }
    }

    pub(super) fn save(&self, directory: &Path) {
        for name in &self.mentioned {
            let path = directory.join(path_of(name));
            match self.names.get(name).and_then(|file| self.files.get(file)) {
                // Not if it is the same already: most of a big database is.
                Some(content) if fs::read(&path).is_ok_and(|there| there == *content) => {}
                Some(content) => fs::write(&path, content).expect("a file of the test can be written"),
                None => drop(fs::remove_file(&path)),
            }
        }
    }

    fn undo(&mut self, record: &Record) {
        match record {
            Record::Write {
                file,
                offset,
                size_before,
                old,
                ..
            } => {
                if let Some(content) = self.files.get_mut(file) {
                    put(content, *offset, old);
                    content.resize(*size_before as usize, 0);
                }
            }
            Record::Truncate {
                file,
                size_before,
                size,
                old,
            } => {
                if let Some(content) = self.files.get_mut(file) {
                    content.resize((*size).min(*size_before) as usize, 0);
                    content.extend(old);
                }
            }
            Record::Create { name, .. } => drop(self.names.remove(name)),
            Record::Unlink { file, name } => drop(self.names.insert(name.clone(), *file)),
            Record::Rename {
                file,
                replaced,
                from,
                to,
            } => {
                self.names.remove(to);
                if *replaced != 0 {
                    self.names.insert(to.clone(), *replaced);
                }
                self.names.insert(from.clone(), *file);
            }
            Record::Synced { .. } | Record::SyncedDirectory { .. } | Record::SyncFailed { .. } => {}
        }
    }

    /// Makes the change again, of a write only the sectors that `keeps`. Whether all of it was.
    fn redo(&mut self, record: &Record, mut keeps: impl FnMut(usize) -> bool) -> bool {
        let mut whole = true;
        match record {
            Record::Write { file, offset, new, .. } => {
                let content = self.files.entry(*file).or_default();
                let mut at = 0;
                while at < new.len() {
                    let sector = SECTOR - (*offset as usize + at) % SECTOR;
                    let end = new.len().min(at + sector);
                    if keeps(at) {
                        put(content, *offset + at as u64, &new[at..end]);
                    } else {
                        whole = false;
                    }
                    at = end;
                }
            }
            Record::Truncate { file, size, .. } => {
                self.files.entry(*file).or_default().resize(*size as usize, 0);
            }
            Record::Create { file, name } => {
                self.files.entry(*file).or_default();
                self.names.insert(name.clone(), *file);
            }
            Record::Unlink { name, .. } => drop(self.names.remove(name)),
            Record::Rename { file, from, to, .. } => {
                self.names.remove(from);
                self.names.insert(to.clone(), *file);
            }
            Record::Synced { .. } | Record::SyncedDirectory { .. } | Record::SyncFailed { .. } => {}
        }
        whole
    }
}

enum Fate {
    Synced,
    Unsynced,
}

/// Which records were on the disk: of each file those before its last sync, but for those whose
/// sync failed; of names those before the last sync of their directory. With a seed, changes of
/// names go to the disk by themselves, in their order, up to a random one.
fn fates(records: &[Recorded], seed: Option<u64>) -> Vec<Fate> {
    let mut synced: BTreeMap<u64, u64> = BTreeMap::new();
    let mut directories: BTreeMap<&[u8], u64> = BTreeMap::new();
    let mut failed: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    for (_, record) in records {
        match record {
            Record::Synced { file, before } => {
                let bound = synced.entry(*file).or_default();
                *bound = (*bound).max(*before);
            }
            Record::SyncedDirectory { before, name } => {
                let bound = directories.entry(name).or_default();
                *bound = (*bound).max(*before);
            }
            Record::SyncFailed { file, before } => {
                let from = synced.get(file).copied().unwrap_or(0);
                failed.entry(*file).or_default().push((from, *before));
            }
            _ => {}
        }
    }
    let names_kept = seed.map_or(0, |seed| {
        let changes = records
            .iter()
            .filter(|(_, record)| !names_of(record).is_empty())
            .count();
        fastrand::Rng::with_seed(seed ^ 0x6e61_6d65).usize(0..=changes)
    });
    let mut names_seen = 0;
    let fate = |(at, record): &Recorded| {
        let is_synced = match record {
            Record::Write { file, .. } | Record::Truncate { file, .. } => {
                let is_lost = failed
                    .get(file)
                    .is_some_and(|lost| lost.iter().any(|(from, to)| (from..to).contains(&at)));
                !is_lost && synced.get(file).is_some_and(|before| at < before)
            }
            Record::Create { name, .. } | Record::Unlink { name, .. } | Record::Rename { to: name, .. } => {
                names_seen += 1;
                let parent = name
                    .iter()
                    .rposition(|byte| *byte == b'/')
                    .map_or(&[][..], |slash| &name[..slash]);
                names_seen <= names_kept || directories.get(parent).is_some_and(|before| at < before)
            }
            Record::Synced { .. } | Record::SyncedDirectory { .. } | Record::SyncFailed { .. } => true,
        };
        if is_synced { Fate::Synced } else { Fate::Unsynced }
    };
    records.iter().map(fate).collect()
}

fn put(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (from, to) = (offset as usize, offset as usize + bytes.len());
    if content.len() < to {
        content.resize(to, 0);
    }
    content[from..to].copy_from_slice(bytes);
}

fn files_of(record: &Record) -> Vec<u64> {
    match record {
        Record::Write { file, .. }
        | Record::Truncate { file, .. }
        | Record::Create { file, .. }
        | Record::Unlink { file, .. } => vec![*file],
        Record::Rename { file, replaced, .. } => vec![*file, *replaced],
        Record::Synced { .. } | Record::SyncedDirectory { .. } | Record::SyncFailed { .. } => Vec::new(),
    }
}

fn names_of(record: &Record) -> Vec<Vec<u8>> {
    match record {
        Record::Create { name, .. } | Record::Unlink { name, .. } => vec![name.clone()],
        Record::Rename { from, to, .. } => vec![from.clone(), to.clone()],
        _ => Vec::new(),
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory of the test") {
        let entry = entry.expect("an entry");
        let kind = entry.file_type().expect("its kind");
        if kind.is_dir() {
            files.extend(files_below(&entry.path()));
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    files
}

fn name_in(directory: &Path, path: &Path) -> Vec<u8> {
    let inside = path.strip_prefix(directory).expect("it was found there");
    inside.as_os_str().as_encoded_bytes().to_vec()
}

fn path_of(name: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(name))
}
