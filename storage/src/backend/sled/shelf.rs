//! Reading beside the appends: where in which database the bytes of a segment lie.
//!
//! Readers have a clone of the database that grows. Databases of older segments are opened when something is read from
//! them, a few at a time, because an open database keeps in memory what it read. All handles are here, so that none is
//! left when a database is reopened or removed. One thread at a time reads from a database.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use shoalmq_core::record::Segment;
use sled::{Db, IVec};

use super::engine::{Engine, Key, PIECE, trees_of};
use super::folders::Folder;
use super::{describe, guard, verdict};
use crate::backend::open::Opened;
use crate::backend::{Reader, within};
use crate::fault::{Damage, Fault, Place};

/// The number of one piece is noted for each stretch of this many bytes: 16 bytes in memory.
const NOTED_BYTES: u64 = 8 << 10;
/// The most databases of older segments that are open at a time: this many consumers at different places of the log do
/// not close each other's. Opening one takes some ten milliseconds.
const OPEN_MOST: usize = 4;

/// What readers share with the backend.
#[derive(Debug)]
pub(super) struct Shelf {
    path: PathBuf,
    databases: Mutex<Databases>,
    contents: Mutex<BTreeMap<Segment, Content>>,
}

/// All databases, by their segment.
#[derive(Debug)]
struct Databases {
    folders: BTreeMap<Segment, PathBuf>,
    growing: Option<(Segment, Arc<Database>)>,
    older: Opened<Database>,
}

/// A database that readers have open, or may open. While a thread holds the lock on its state, the state does not change.
#[derive(Debug)]
struct Database {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Who reads from it opens it.
    Closed,
    Open(Open),
    /// Lent by the backend, which learns by itself of errors.
    Lent(Open),
    /// The backend has it closed after an error, with frames that it does not hold, until the next write lends it.
    Withheld,
    /// Sled cannot open it, for this reason: to try again would take its time, and change nothing.
    Damaged(String),
    /// It is not the one to read from any more.
    Gone,
}

#[derive(Debug)]
struct Open {
    db: Db,
    /// Its trees, as of when they were last listed: by segment and first number.
    trees: BTreeMap<(Segment, u64), IVec>,
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
        let folders: Vec<_> = folders
            .map(|folder| (folder.segment, folder.path.clone()))
            .collect();
        let growing = folders.last().cloned();
        Shelf {
            path: path.to_owned(),
            databases: Mutex::new(Databases {
                folders: folders.into_iter().collect(),
                growing: growing
                    .map(|(segment, path)| (segment, Database::new(path, State::Withheld))),
                older: Opened::new(OPEN_MOST),
            }),
            contents: Mutex::default(),
        }
    }

    /// A folder that is the last one from now on.
    pub(super) fn add(&self, folder: &Folder) {
        let mut databases = self.databases.lock();
        let Folder { segment, path, .. } = folder;
        databases.folders.insert(*segment, path.clone());
        let growing = Database::new(path.clone(), State::Withheld);
        let full = databases.growing.replace((*segment, growing));
        let unused = full.and_then(|(segment, full)| databases.older.insert(segment, full));
        drop(databases);
        if let Some(unused) = unused {
            unused.put_away();
        }
    }

    /// The database of the last folder was opened.
    pub(super) fn lend(&self, db: &Db) {
        self.set_growing(State::Lent(Open::new(db.clone())));
    }

    /// The backend has closed the database of the last folder, and calls [`Shelf::close`] before it opens it.
    pub(super) fn leave(&self) {
        self.set_growing(State::Closed);
    }

    /// Waits for the read under way, and lets go of the database of the last folder.
    pub(super) fn close(&self) {
        self.set_growing(State::Withheld);
    }

    /// Lets go of the database of the last folder, which holds all of its frames, does something with its files, and
    /// leaves it to readers. Those wait meanwhile.
    pub(super) fn hand_over<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(growing) = self.growing() else {
            return work();
        };
        let mut state = growing.state.lock();
        *state = State::Closed;
        work()
    }

    fn growing(&self) -> Option<Arc<Database>> {
        let databases = self.databases.lock();
        databases
            .growing
            .as_ref()
            .map(|(_, growing)| Arc::clone(growing))
    }

    fn set_growing(&self, state: State) {
        if let Some(growing) = self.growing() {
            growing.set(state);
        }
    }

    /// Waits for the reads under way, and lets go of all databases.
    pub(super) fn close_all(&self) {
        let mut databases = self.databases.lock();
        databases.folders.clear();
        let growing = databases.growing.take().map(|(_, growing)| growing);
        let all: Vec<_> = databases.older.take().chain(growing).collect();
        drop(databases);
        for database in all {
            database.put_away();
        }
    }

    /// A folder is about to be removed.
    pub(super) fn retire(&self, folder: &Folder) {
        let mut contents = self.contents.lock();
        *contents = contents.split_off(&(folder.segment + 1));
        drop(contents);
        let mut databases = self.databases.lock();
        databases.folders.remove(&folder.segment);
        let older = databases.older.remove(folder.segment);
        let growing = databases
            .growing
            .take_if(|growing| growing.0 == folder.segment);
        drop(databases);
        if let Some(database) = older.or(growing.map(|(_, growing)| growing)) {
            database.put_away();
        }
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

    /// The last frame of the log, of `bytes` bytes, is gone; its first piece had the number `first`.
    pub(super) fn cut(&self, segment: Segment, first: u64, bytes: usize) {
        if let Some(content) = self.contents.lock().get_mut(&segment) {
            content.bytes = content.bytes.saturating_sub(bytes as u64);
            content.noted.retain(|&(_, number)| number < first);
        }
    }

    /// Forgets everything, before the log is read again.
    pub(super) fn clear(&self) {
        self.contents.lock().clear();
    }

    /// A noted piece at `offset` or before it: the bytes before it, and its number. And how many bytes there are to be
    /// read.
    fn find(
        &self,
        segment: Segment,
        offset: u64,
        least: usize,
        wanted: usize,
    ) -> Result<((u64, u64), usize), Fault> {
        let contents = self.contents.lock();
        let content = contents.get(&segment).ok_or_else(|| Fault::Retired {
            path: self.path.clone(),
            segment,
        })?;
        let after = content
            .noted
            .partition_point(|&(before, _)| before <= offset);
        let noted = after.checked_sub(1).map(|index| content.noted[index]);
        let some = within(content.bytes, offset, least, wanted);
        noted.zip(some).ok_or_else(|| self.missing(segment))
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
        loop {
            let database = self.database(segment)?;
            let mut state = database.state.lock();
            match &mut *state {
                // Since it was looked up.
                State::Gone => continue,
                State::Withheld => {
                    let cause = io::Error::other("the storage engine restarts");
                    return Err(Fault::from_io("read job log", &self.path, cause));
                }
                State::Damaged(reason) => {
                    return Err(Fault::Corrupt {
                        path: self.path.clone(),
                        place: Place::Segment { segment },
                        damage: Damage::Engine(reason.clone().into()),
                    });
                }
                State::Closed => {
                    let open = || Ok(Engine::open(&database.path)?.db().clone());
                    let db = guard::caught(&self.path, open).inspect_err(|fault| {
                        if let Fault::Corrupt { damage, .. } = fault {
                            *state = State::Damaged(describe(damage));
                        }
                    })?;
                    *state = State::Open(Open::new(db));
                }
                State::Open(_) | State::Lent(_) => {}
            }
            let (State::Open(open) | State::Lent(open)) = &mut *state else {
                unreachable!("it was opened just now, if it was not");
            };
            let done = guard::caught(&self.path, || work(open));
            if done.is_err() && matches!(&*state, State::Open(_)) {
                // Sled refuses all work after an error, and where it panicked it may do so once more.
                guard::caught(&self.path, || {
                    *state = State::Closed;
                    Ok(())
                })?;
            }
            return done;
        }
    }

    /// The database of a segment, open or not.
    fn database(&self, segment: Segment) -> Result<Arc<Database>, Fault> {
        let mut databases = self.databases.lock();
        let Some(path) = databases.folders.get(&segment).cloned() else {
            let path = self.path.clone();
            return Err(Fault::Retired { path, segment });
        };
        let growing = databases.growing.as_ref();
        if let Some((_, growing)) = growing.filter(|growing| growing.0 == segment) {
            return Ok(Arc::clone(growing));
        }
        if let Some(older) = databases.older.get(segment) {
            return Ok(older);
        }
        let older = Database::new(path, State::Closed);
        let unused = databases.older.insert(segment, Arc::clone(&older));
        drop(databases);
        if let Some(unused) = unused {
            unused.put_away();
        }
        Ok(older)
    }
}

impl Database {
    fn new(path: PathBuf, state: State) -> Arc<Self> {
        let state = Mutex::new(state);
        Arc::new(Database { path, state })
    }

    /// Waits for the read under way.
    fn set(&self, state: State) {
        let before = mem::replace(&mut *self.state.lock(), state);
        let close = || {
            drop(before);
            Ok(())
        };
        if let Err(fault) = guard::caught(&self.path, close) {
            tracing::warn!(%fault, "the storage engine could not close what was read from");
        }
    }

    /// Nobody reads from it any more.
    fn put_away(&self) {
        self.set(State::Gone);
    }
}

impl Open {
    fn new(db: Db) -> Self {
        Open {
            db,
            trees: BTreeMap::new(),
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
    fn read_some(
        &self,
        segment: Segment,
        offset: u64,
        least: usize,
        buffer: &mut [u8],
    ) -> Result<usize, Fault> {
        let ((before, number), some) = self.find(segment, offset, least, buffer.len())?;
        if some == 0 {
            return Ok(0);
        }
        let buffer = &mut buffer[..some];
        self.with_database(segment, |open| {
            let fault = |error| verdict::fault("read job log", &self.path, error);
            let skip = offset - before;
            if open.copy(segment, number, skip, buffer).map_err(fault)? == some {
                return Ok(some);
            }
            // Trees were begun since they were listed.
            open.trees = trees_of(&open.db).into_iter().collect();
            if open.copy(segment, number, skip, buffer).map_err(fault)? == some {
                return Ok(some);
            }
            Err(self.missing(segment))
        })
    }
}
