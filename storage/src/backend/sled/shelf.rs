//! Reading beside the appends: where in which database the bytes of a segment lie.
//!
//! Of the database that grows readers have a clone; those of older segments are opened when something is read from
//! them, a few at a time, as an open database keeps in memory what it read. All of it lies here, so that no handle is
//! left when a database has to be opened anew or is removed. One thread reads at a time.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use shoalmq_core::record::Segment;
use sled::{Db, IVec};

use super::engine::{Engine, Key, PIECE, trees_of};
use super::folders::Folder;
use super::{guard, verdict};
use crate::backend::Reader;
use crate::fault::{Damage, Fault, Place};

/// The number of a piece is noted so often: 16 bytes in memory for so many on disk.
const NOTED_BYTES: u64 = 8 << 10;
/// So many databases of older segments are open at a time: as many consumers at different places of the log do not
/// close each other's. To open one takes some ten milliseconds.
const OPEN_MOST: usize = 4;

/// What readers share with the backend.
#[derive(Debug)]
pub(super) struct Shelf {
    path: PathBuf,
    databases: Mutex<Databases>,
    contents: Mutex<BTreeMap<Segment, Content>>,
}

/// All databases, by their last segment.
#[derive(Debug, Default)]
struct Databases {
    folders: BTreeMap<Segment, PathBuf>,
    open: BTreeMap<Segment, Open>,
    /// That of the folder that grows is lent by the backend.
    growing: Option<Segment>,
    /// The backend does without it for now: readers may open it.
    left: bool,
    reads: u64,
}

#[derive(Debug)]
struct Open {
    db: Db,
    /// Its trees, as of when they were last listed: by segment and first number.
    trees: BTreeMap<(Segment, u64), IVec>,
    /// The read that used it last.
    used: u64,
}

/// What is known of a segment.
#[derive(Debug, Default)]
struct Content {
    bytes: u64,
    /// Bytes before a piece, and its number; both rise.
    noted: Vec<(u64, u64)>,
}

impl Shelf {
    pub(super) fn new<'a>(path: &Path, folders: impl Iterator<Item = &'a Folder>) -> Self {
        let shelf = Shelf {
            path: path.to_owned(),
            databases: Mutex::default(),
            contents: Mutex::default(),
        };
        for folder in folders {
            shelf.add(folder);
        }
        shelf
    }

    /// A folder that is the last one from now on.
    pub(super) fn add(&self, folder: &Folder) {
        let mut databases = self.databases.lock();
        databases.growing = Some(folder.last);
        databases.folders.insert(folder.last, folder.path.clone());
    }

    /// The database of the last folder was opened.
    pub(super) fn lend(&self, db: &Db) {
        let mut databases = self.databases.lock();
        if let Some(last) = databases.growing {
            databases.open.insert(last, Open::new(db.clone()));
        }
    }

    /// The backend has closed the database of the last folder, and calls [`Shelf::close`] before it opens it.
    pub(super) fn leave(&self) {
        self.databases.lock().left = true;
    }

    /// Waits for the read under way, and lets go of the database of the last folder.
    pub(super) fn close(&self) {
        let mut databases = self.databases.lock();
        databases.left = false;
        if let Some(last) = databases.growing {
            databases.open.remove(&last);
        }
    }

    /// Waits for the read under way, and lets go of all databases.
    pub(super) fn close_all(&self) {
        let mut databases = self.databases.lock();
        databases.open.clear();
        databases.folders.clear();
    }

    /// A folder is about to be removed.
    pub(super) fn retire(&self, folder: &Folder) {
        let mut contents = self.contents.lock();
        *contents = contents.split_off(&(folder.last + 1));
        drop(contents);
        let mut databases = self.databases.lock();
        databases.folders.remove(&folder.last);
        databases.open.remove(&folder.last);
    }

    /// A frame whose last piece has this number is in the log.
    pub(super) fn note(&self, segment: Segment, last: u64, bytes: usize) {
        let mut contents = self.contents.lock();
        let content = contents.entry(segment).or_default();
        let mut rest = bytes;
        let pieces = bytes.div_ceil(PIECE).max(1) as u64;
        for number in last + 1 - pieces..=last {
            let piece = rest.min(PIECE);
            content.note(number, piece);
            rest -= piece;
        }
    }

    /// The last frame of the log, of so many bytes, is gone; its first piece had this number.
    pub(super) fn cut(&self, segment: Segment, first: u64, bytes: usize) {
        if let Some(content) = self.contents.lock().get_mut(&segment) {
            content.bytes = content.bytes.saturating_sub(bytes as u64);
            content.noted.retain(|&(_, number)| number < first);
        }
    }

    /// All is read anew.
    pub(super) fn clear(&self) {
        self.contents.lock().clear();
    }

    /// A noted piece at `offset` or before it: the bytes before it, and its number.
    fn find(&self, segment: Segment, offset: u64, length: usize) -> Result<(u64, u64), Fault> {
        let contents = self.contents.lock();
        let content = contents.get(&segment).ok_or_else(|| Fault::Retired {
            path: self.path.clone(),
            segment,
        })?;
        let after = content
            .noted
            .partition_point(|&(before, _)| before <= offset);
        let noted = after.checked_sub(1).map(|index| content.noted[index]);
        let there = offset.checked_add(length as u64);
        let there = there.is_some_and(|end| end <= content.bytes);
        noted.filter(|_| there).ok_or_else(|| self.missing(segment))
    }

    fn missing(&self, segment: Segment) -> Fault {
        Fault::Corrupt {
            path: self.path.clone(),
            place: Place::Segment { segment },
            damage: Damage::Unfinished,
        }
    }

    /// Does something with the database of a segment, which is neither closed nor removed meanwhile.
    fn with_database<T>(
        &self,
        segment: Segment,
        work: impl FnOnce(&mut Open) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut databases = self.databases.lock();
        let folder = databases.folders.range(segment..).next();
        let Some((&last, path)) = folder else {
            let path = self.path.clone();
            return Err(Fault::Retired { path, segment });
        };
        if !databases.open.contains_key(&last) {
            if databases.growing == Some(last) && !databases.left {
                // After an error, until the next write opens it.
                let cause = io::Error::other("the storage engine starts anew");
                return Err(Fault::from_io("read job log", &self.path, cause));
            }
            let db = guard::caught(&self.path, || Ok(Engine::open(path)?.db().clone()))?;
            databases.make_room();
            databases.open.insert(last, Open::new(db));
        }
        databases.reads += 1;
        let used = databases.reads;
        let is_growing = databases.growing == Some(last);
        let open = databases.open.get_mut(&last).expect("it was opened");
        open.used = used;
        let done = guard::caught(&self.path, || work(open));
        // Sled refuses all work after an error.
        if done.is_err() && !is_growing {
            databases.open.remove(&last);
        }
        done
    }
}

impl Databases {
    /// Closes the database that was not read from for longest, if there are many.
    fn make_room(&mut self) {
        let growing = self.growing;
        let older = || self.open.iter().filter(|open| Some(*open.0) != growing);
        if older().count() >= OPEN_MOST {
            let oldest = older().min_by_key(|open| open.1.used).map(|open| *open.0);
            oldest.map(|last| self.open.remove(&last));
        }
    }
}

impl Open {
    fn new(db: Db) -> Self {
        Open {
            db,
            trees: BTreeMap::new(),
            used: 0,
        }
    }

    /// Copies what a segment holds from the piece `number` on, but for the first `skip` bytes. Returns how many bytes
    /// there were.
    fn copy(
        &mut self,
        segment: Segment,
        number: u64,
        mut skip: u64,
        buffer: &mut [u8],
    ) -> sled::Result<usize> {
        let begins = |trees: &BTreeMap<_, _>| {
            let before = trees.range((segment, 0)..=(segment, number));
            before.map(|tree| *tree.0).next_back()
        };
        let mut filled = 0;
        let Some(first) = begins(&self.trees) else {
            return Ok(0);
        };
        let mut next = Key {
            number,
            more: false,
        };
        for (_, name) in self.trees.range(first..(segment + 1, 0)) {
            for piece in self.db.open_tree(name)?.range(next.bytes()..) {
                let (key, value) = piece?;
                if Key::number(&key) != Some(next.number) {
                    return Ok(filled);
                }
                next.number += 1;
                let start = skip.min(value.len() as u64);
                skip -= start;
                let found = &value[start as usize..];
                let length = found.len().min(buffer.len() - filled);
                buffer[filled..filled + length].copy_from_slice(&found[..length]);
                filled += length;
                if filled == buffer.len() {
                    return Ok(filled);
                }
            }
        }
        Ok(filled)
    }
}

impl Content {
    fn note(&mut self, number: u64, bytes: usize) {
        let due = self
            .noted
            .last()
            .is_none_or(|&(before, _)| self.bytes - before >= NOTED_BYTES);
        if due {
            self.noted.push((self.bytes, number));
        }
        self.bytes += bytes as u64;
    }
}

impl Reader for Shelf {
    fn read(&self, segment: Segment, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        let (before, number) = self.find(segment, offset, buffer.len())?;
        if buffer.is_empty() {
            return Ok(());
        }
        self.with_database(segment, |open| {
            let fault = |error| verdict::fault("read job log", &self.path, error);
            let skip = offset - before;
            if open.copy(segment, number, skip, buffer).map_err(fault)? == buffer.len() {
                return Ok(());
            }
            // Trees were begun since they were listed.
            open.trees = trees_of(&open.db).into_iter().collect();
            if open.copy(segment, number, skip, buffer).map_err(fault)? == buffer.len() {
                return Ok(());
            }
            Err(self.missing(segment))
        })
    }
}
