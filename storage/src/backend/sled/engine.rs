//! An open sled database, and the keys under which it holds the pieces of frames.

use std::fs::{File, TryLockError};
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use shoalmq_core::record::Segment;
use sled::{Config, Db, IVec, Mode, Tree};

use super::read::Shelf;
use super::scan::Piece;
use super::verdict::fault;
use crate::backend::{Sequence, Stats};
use crate::fault::{Damage, Fault, Place};

/// Sled's cache: it is read only at the start, so more of it changes nothing that was measured.
const CACHE_BYTES: u64 = 32 << 20;
/// The unit in which sled writes and cleans its file.
const SLED_SEGMENT: usize = 512 << 10;
/// The largest value.
pub(super) const PIECE: usize = 7 << 10;
/// Values in a leaf just before it splits.
const LEAF_VALUES: usize = 17;
/// Keys, lengths and headers, generously.
const LEAF_OVERHEAD: usize = 2 << 10;
const _: () = assert!(PIECE * LEAF_VALUES + LEAF_OVERHEAD < SLED_SEGMENT / 4);
/// The threads of a database that was just dropped are given so many pauses to let go of its file.
const RELEASE_TRIES: u32 = 200;
const RELEASE_PAUSE: Duration = Duration::from_millis(10);
/// The scan hands over so many bytes, or so many pieces, at a time.
const SCAN_BYTES: usize = 256 << 10;
const SCAN_PIECES: usize = 512;
const PREFIX: &str = "seg";

/// An open database.
#[derive(Debug)]
pub(super) struct Engine {
    current: Option<(Segment, Tree)>,
    db: Db,
    file: File,
    shelf: Arc<Shelf>,
}

/// Where the log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// The number of the next key.
    pub(super) next: u64,
    /// A frame from there on that a crash cut off: the next insert has to remove it first.
    pub(super) unfinished: Option<(Segment, Sequence)>,
}

/// The key of a piece: its number, and whether its frame goes on in the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) number: u64,
    pub(super) more: bool,
}

impl Engine {
    pub(super) fn open(path: &Path, shelf: &Arc<Shelf>) -> Result<Self, Fault> {
        let config = Config::new()
            .path(path)
            .mode(Mode::HighThroughput)
            .cache_capacity(CACHE_BYTES)
            .segment_size(SLED_SEGMENT)
            .flush_every_ms(None);
        await_release(path);
        let db = config
            .open()
            .map_err(|error| fault("open job log", path, error))?;
        let file = path.join("db");
        let file = File::open(&file).map_err(|cause| Fault::from_io("open", &file, cause))?;
        shelf.open(&db);
        Ok(Engine {
            current: None,
            db,
            file,
            shelf: Arc::clone(shelf),
        })
    }

    /// The segments, oldest first, with the names of their trees.
    fn segments(&self) -> Vec<(Segment, IVec)> {
        let mut segments: Vec<_> = self
            .db
            .tree_names()
            .into_iter()
            .filter_map(|name| Some((segment_of(&name)?, name)))
            .collect();
        segments.sort_unstable_by_key(|(segment, _)| *segment);
        segments
    }

    /// Inserts the pieces of a frame, and returns the number after them.
    pub(super) fn insert(
        &mut self,
        segment: Segment,
        first: u64,
        frame: &[u8],
    ) -> sled::Result<u64> {
        let tree = match &self.current {
            Some((current, tree)) if *current == segment => tree,
            _ => {
                let tree = self.db.open_tree(tree_name(segment))?;
                &self.current.insert((segment, tree)).1
            }
        };
        let pieces = frame.len().div_ceil(PIECE).max(1) as u64;
        let mut rest = frame;
        for piece in 1..=pieces {
            let (value, after) = rest.split_at(rest.len().min(PIECE));
            let key = Key {
                number: first + piece - 1,
                more: piece < pieces,
            };
            tree.insert(key.bytes(), value)?;
            rest = after;
        }
        Ok(first + pieces)
    }

    /// Removes the keys from this number on.
    pub(super) fn remove_from(&mut self, number: u64) -> sled::Result<()> {
        let from = Key {
            number,
            more: false,
        };
        for (_, name) in self.segments().into_iter().rev() {
            let tree = self.db.open_tree(name)?;
            for key in tree.range(from.bytes()..).keys() {
                tree.remove(key?)?;
            }
        }
        Ok(())
    }

    /// The bytes of a frame, and the number of its first piece.
    pub(super) fn frame(&self, segment: Segment, last: Sequence) -> sled::Result<(u64, Vec<u8>)> {
        let tree = self.db.open_tree(tree_name(segment))?;
        let key = |number, more| Key { number, more }.bytes();
        let mut first = last.0;
        while first > 0 && tree.contains_key(key(first - 1, true))? {
            first -= 1;
        }
        let mut bytes = Vec::new();
        for value in tree.range(key(first, false)..=key(last.0, true)).values() {
            bytes.extend_from_slice(&value?);
        }
        Ok((first, bytes))
    }

    /// The number of the first key; 1 when there is none.
    pub(super) fn first(&self, path: &Path) -> Result<u64, Fault> {
        let open = |error| fault("open job log", path, error);
        for (segment, name) in self.segments() {
            let tree = self.db.open_tree(name).map_err(open)?;
            if let Some((key, _)) = tree.first().map_err(open)? {
                return Ok(Key::read(segment, &key, path)?.number);
            }
        }
        Ok(1)
    }

    /// The number of the key after the last whole frame, and where a frame begins behind it that a crash cut off.
    pub(super) fn end(&self, path: &Path) -> Result<End, Fault> {
        let open = |error| fault("open job log", path, error);
        let mut unfinished = None;
        for (segment, name) in self.segments().into_iter().rev() {
            let tree = self.db.open_tree(name).map_err(open)?;
            for bytes in tree.iter().keys().rev() {
                let key = Key::read(segment, &bytes.map_err(open)?, path)?;
                if !key.more {
                    let next = key.number + 1;
                    return Ok(End { next, unfinished });
                }
                unfinished = Some((segment, Sequence(key.number)));
            }
        }
        let next = 1;
        Ok(End { next, unfinished })
    }

    pub(super) fn sync(&mut self) -> sled::Result<()> {
        self.db.flush()?;
        Ok(self.file.sync_data()?)
    }

    /// Drops the segments below this one.
    pub(super) fn retire(&mut self, below: Segment) -> sled::Result<()> {
        if self.current.as_ref().is_some_and(|open| open.0 < below) {
            self.current = None;
        }
        for (segment, name) in self.segments() {
            if segment < below {
                self.db.drop_tree(name)?;
            }
        }
        Ok(())
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            disk_bytes: self.db.size_on_disk().unwrap_or(0),
            segments: self.segments().len() as u64,
        }
    }

    /// Sends every piece in order, many at a time; ends early when nobody takes them.
    pub(super) fn scan(&self, path: &Path, pieces: &SyncSender<Vec<Piece>>) -> Result<(), Fault> {
        let read = |error| fault("read job log", path, error);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for (segment, name) in self.segments() {
            let tree = self.db.open_tree(name).map_err(read)?;
            for entry in &tree {
                let (key, value) = entry.map_err(read)?;
                // Only what is accessed often makes sled look at the bounds of its cache.
                tree.contains_key(&key).map_err(read)?;
                let key = Key::read(segment, &key, path)?;
                bytes += value.len();
                batch.push(Piece {
                    segment,
                    key,
                    value,
                });
                if bytes > SCAN_BYTES || batch.len() >= SCAN_PIECES {
                    bytes = 0;
                    if pieces.send(mem::take(&mut batch)).is_err() {
                        return Ok(());
                    }
                }
            }
        }
        // Whoever stopped listening knows why.
        let _ = pieces.send(batch);
        Ok(())
    }
}

impl Drop for Engine {
    /// Only without readers is the file free to be opened anew.
    fn drop(&mut self) {
        self.shelf.close();
    }
}

impl Key {
    pub(super) fn bytes(self) -> [u8; 9] {
        let mut bytes = [u8::from(self.more); 9];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    fn read(segment: Segment, bytes: &[u8], path: &Path) -> Result<Self, Fault> {
        let (number, more) = match bytes.split_first_chunk() {
            Some((number, [0])) => (u64::from_be_bytes(*number), false),
            Some((number, [1])) => (u64::from_be_bytes(*number), true),
            _ => {
                return Err(Fault::Corrupt {
                    path: path.to_owned(),
                    place: Place::Segment { segment },
                    damage: Damage::Key,
                });
            }
        };
        Ok(Key { number, more })
    }
}

/// Waits for a database that this process dropped just now: we hold the lock of the folder, so nobody else has it open.
fn await_release(path: &Path) {
    for _ in 0..RELEASE_TRIES {
        match File::open(path.join("db")).map(|file| file.try_lock()) {
            Ok(Err(TryLockError::WouldBlock)) => thread::sleep(RELEASE_PAUSE),
            // Free, or not there yet; what else is wrong with it, sled will say.
            Ok(Ok(()) | Err(TryLockError::Error(_))) | Err(_) => return,
        }
    }
}

/// The name of the tree that holds a segment.
pub(super) fn tree_name(segment: Segment) -> String {
    format!("{PREFIX}{segment:012}")
}

/// The segment that a tree holds, when it is one of ours.
fn segment_of(tree: &[u8]) -> Option<Segment> {
    let name = std::str::from_utf8(tree).ok()?;
    name.strip_prefix(PREFIX)?.parse().ok()
}
