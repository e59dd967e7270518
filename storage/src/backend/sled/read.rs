//! Reading single records beside the appends: where in sled the bytes of a segment lie.
//!
//! Readers use clones of the database and of its trees, all of which lie here, so that none is left when the database
//! has to be opened anew, and that no read meets a tree that is being dropped.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, RwLock};
use shoalmq_core::record::Segment;
use sled::{Db, Tree};

use super::engine::{Key, PIECE, tree_name};
use super::{guard, verdict};
use crate::backend::Reader;
use crate::fault::{Damage, Fault, Place};

/// The number of a piece is noted so often: 16 bytes in memory for so many on disk.
const NOTED_BYTES: u64 = 8 << 10;

/// What readers share with the backend.
#[derive(Debug)]
pub(super) struct Shelf {
    path: PathBuf,
    open: RwLock<Option<Open>>,
    contents: Mutex<BTreeMap<Segment, Content>>,
}

#[derive(Debug)]
struct Open {
    db: Db,
    trees: BTreeMap<Segment, Tree>,
}

/// What is known of a segment.
#[derive(Debug, Default)]
struct Content {
    bytes: u64,
    /// Bytes before a piece, and its number; both rise.
    noted: Vec<(u64, u64)>,
}

impl Shelf {
    pub(super) fn new(path: &Path) -> Self {
        Shelf {
            path: path.to_owned(),
            open: RwLock::new(None),
            contents: Mutex::default(),
        }
    }

    pub(super) fn open(&self, db: &Db) {
        *self.open.write() = Some(Open {
            db: db.clone(),
            trees: BTreeMap::new(),
        });
    }

    /// Waits for the reads under way, and lets go of the database.
    pub(super) fn close(&self) {
        *self.open.write() = None;
    }

    /// The next piece of a segment has this number and so many bytes.
    pub(super) fn note(&self, segment: Segment, number: u64, bytes: usize) {
        self.contents
            .lock()
            .entry(segment)
            .or_default()
            .note(number, bytes);
    }

    /// The same of all pieces of a frame.
    pub(super) fn note_frame(&self, segment: Segment, first: u64, bytes: usize) {
        let mut contents = self.contents.lock();
        let content = contents.entry(segment).or_default();
        let mut rest = bytes;
        for number in first..first + bytes.div_ceil(PIECE).max(1) as u64 {
            let piece = rest.min(PIECE);
            content.note(number, piece);
            rest -= piece;
        }
    }

    /// The last frame of the log, of so many bytes, is gone; its first piece had this number.
    pub(super) fn cut(&self, segment: Segment, first: u64, bytes: usize) {
        if let Some(content) = self.contents.lock().get_mut(&segment) {
            content.bytes -= bytes as u64;
            content.noted.retain(|&(_, number)| number < first);
        }
    }

    /// Nothing below this segment is read any more.
    pub(super) fn retire(&self, below: Segment) {
        if let Some(open) = &mut *self.open.write() {
            open.trees = open.trees.split_off(&below);
        }
        let mut contents = self.contents.lock();
        *contents = contents.split_off(&below);
    }

    /// A noted piece at `offset` or before it: the bytes before it, and its number.
    fn find(&self, segment: Segment, offset: u64) -> Result<(u64, u64), Fault> {
        let contents = self.contents.lock();
        let content = contents.get(&segment).ok_or_else(|| Fault::Retired {
            path: self.path.clone(),
            segment,
        })?;
        let after = content
            .noted
            .partition_point(|&(before, _)| before <= offset);
        let noted = after.checked_sub(1).map(|index| content.noted[index]);
        noted.ok_or_else(|| self.missing(segment))
    }

    fn missing(&self, segment: Segment) -> Fault {
        Fault::Corrupt {
            path: self.path.clone(),
            place: Place::Segment { segment },
            damage: Damage::Unfinished,
        }
    }

    /// Does something with the tree of a segment, which is not dropped meanwhile.
    fn with_tree<T>(
        &self,
        segment: Segment,
        work: impl FnOnce(&Tree) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let open = self.open.read();
        if let Some(tree) = open.as_ref().and_then(|open| open.trees.get(&segment)) {
            return work(tree);
        }
        drop(open);
        let mut open = self.open.write();
        let Some(Open { db, trees }) = &mut *open else {
            // After an error, until the next write opens it.
            let cause = io::Error::other("the storage engine starts anew");
            return Err(Fault::from_io("read job log", &self.path, cause));
        };
        if !self.contents.lock().contains_key(&segment) {
            let path = self.path.clone();
            return Err(Fault::Retired { path, segment });
        }
        let tree = db
            .open_tree(tree_name(segment))
            .map_err(|error| verdict::fault("read job log", &self.path, error))?;
        work(trees.entry(segment).or_insert(tree))
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
        let (mut before, number) = self.find(segment, offset)?;
        let from = Key {
            number,
            more: false,
        };
        guard::caught(&self.path, || {
            self.with_tree(segment, |tree| {
                let mut filled = 0;
                for piece in tree.range(from.bytes()..).values() {
                    let piece =
                        piece.map_err(|error| verdict::fault("read job log", &self.path, error))?;
                    let skipped = (offset + filled as u64 - before).min(piece.len() as u64);
                    before += piece.len() as u64;
                    let found = &piece[skipped as usize..];
                    let length = found.len().min(buffer.len() - filled);
                    buffer[filled..filled + length].copy_from_slice(&found[..length]);
                    filled += length;
                    if filled == buffer.len() {
                        return Ok(());
                    }
                }
                Err(self.missing(segment))
            })
        })
    }
}
