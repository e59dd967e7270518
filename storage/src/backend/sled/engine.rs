//! An open sled database, and the keys under which it holds the pieces of frames.

use std::fs::{File, TryLockError};
use std::mem;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use shoalmq_core::record::Segment;
use sled::{Config, Db, IVec, Mode, Tree};

use super::scan::{Piece, Scanned};
use super::verdict::fault;
use crate::backend::Sequence;
use crate::fault::{Damage, Fault, Place};

/// Sled's cache: it is read only at the start, so more of it changes nothing that was measured.
const CACHE_BYTES: u64 = 32 << 20;
/// The unit in which sled writes and cleans its file.
const SLED_SEGMENT: usize = 512 << 10;
/// The largest value.
pub(super) const PIECE: usize = 7 << 10;
/// A tree takes no more values once it has this many values and they make up this many bytes.
///
/// The tenth value makes sled rewrite the whole leaf, and the seventeenth both halves of it: what it wrote before stays
/// in the file, which then takes twice the bytes of the values. A tree costs as much as some 40 bytes for each tree
/// before it, so small values go on in the same tree.
const TREE_VALUES: usize = 9;
const TREE_BYTES: usize = 32 << 10;
/// Keys, lengths and headers of a leaf, generously.
const LEAF_OVERHEAD: usize = 2 << 10;
const _: () = assert!(TREE_BYTES + TREE_VALUES * PIECE + LEAF_OVERHEAD < SLED_SEGMENT / 4);
/// How many pauses the threads of a database that was just dropped get to let go of its file.
const RELEASE_TRIES: u32 = 200;
const RELEASE_PAUSE: Duration = Duration::from_millis(10);
/// The scan hands over this many bytes, or this many pieces, at a time.
const SCAN_BYTES: usize = 256 << 10;
const SCAN_PIECES: usize = 512;
const PREFIX: &str = "seg";

/// An open database.
#[derive(Debug)]
pub(super) struct Engine {
    growing: Option<Growing>,
    db: Db,
    pub(super) file: File,
}

/// The tree that takes the next value.
#[derive(Debug)]
struct Growing {
    segment: Segment,
    tree: Tree,
    values: usize,
    bytes: usize,
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

impl Default for End {
    /// That of an empty log.
    fn default() -> Self {
        End {
            next: 1,
            unfinished: None,
        }
    }
}

impl Engine {
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
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
        Ok(Engine {
            growing: None,
            db,
            file,
        })
    }

    /// The trees in the order of what they hold, each with its segment.
    fn trees(&self) -> Vec<(Segment, IVec)> {
        let trees = trees_of(&self.db).into_iter();
        trees.map(|((segment, _), name)| (segment, name)).collect()
    }

    /// The database, for those who read beside the appends.
    pub(super) fn db(&self) -> &Db {
        &self.db
    }

    /// Inserts the pieces of a frame, and returns the number after them.
    pub(super) fn insert(
        &mut self,
        segment: Segment,
        first: u64,
        frame: &[u8],
    ) -> sled::Result<u64> {
        let pieces = frame.len().div_ceil(PIECE).max(1) as u64;
        let mut rest = frame;
        for piece in 1..=pieces {
            let (value, after) = rest.split_at(rest.len().min(PIECE));
            let key = Key {
                number: first + piece - 1,
                more: piece < pieces,
            };
            let growing = self.growing(segment, key.number)?;
            growing.tree.insert(key.bytes(), value)?;
            growing.values += 1;
            growing.bytes += value.len();
            rest = after;
        }
        Ok(first + pieces)
    }

    /// The tree that takes the piece of this number.
    fn growing(&mut self, segment: Segment, number: u64) -> sled::Result<&mut Growing> {
        let takes = |growing: &Growing| {
            let full = growing.values >= TREE_VALUES && growing.bytes >= TREE_BYTES;
            growing.segment == segment && !full
        };
        let growing = match self.growing.take().filter(takes) {
            Some(growing) => growing,
            None => Growing {
                segment,
                tree: self
                    .db
                    .open_tree(format!("{PREFIX}{segment:012}.{number:020}"))?,
                values: 0,
                bytes: 0,
            },
        };
        Ok(self.growing.insert(growing))
    }

    /// Removes the keys from this number on.
    pub(super) fn remove_from(&mut self, number: u64) -> sled::Result<()> {
        let from = Key {
            number,
            more: false,
        };
        self.growing = None;
        for (_, name) in self.trees().into_iter().rev() {
            let tree = self.db.open_tree(name)?;
            for key in tree.range(from.bytes()..).keys() {
                tree.remove(key?)?;
            }
        }
        Ok(())
    }

    /// The bytes of the last frame, and the number of its first piece.
    pub(super) fn frame(&self, path: &Path, last: Sequence) -> Result<(u64, Vec<u8>), Fault> {
        let read = |error| fault("read job log", path, error);
        let (mut first, mut pieces) = (last.0, Vec::new());
        'frame: for (segment, name) in self.trees().into_iter().rev() {
            let tree = self.db.open_tree(name).map_err(read)?;
            for entry in tree.iter().rev() {
                let (key, value) = entry.map_err(read)?;
                let key = Key::read(segment, &key, path)?;
                if key.number > last.0 {
                    continue;
                }
                if key.number < last.0 && !key.more {
                    break 'frame;
                }
                first = key.number;
                pieces.push(value);
            }
        }
        let bytes = pieces.iter().rev().flat_map(|piece| piece.iter());
        Ok((first, bytes.copied().collect()))
    }

    /// The number of the key after the last whole frame, and where a frame begins behind it that a crash cut off.
    /// Without a whole frame, the next one has the number `first`.
    pub(super) fn end(&self, path: &Path, first: u64) -> Result<End, Fault> {
        let open = |error| fault("open job log", path, error);
        let mut unfinished = None;
        for (segment, name) in self.trees().into_iter().rev() {
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
        let next = first;
        Ok(End { next, unfinished })
    }

    /// Writes the file of a database that is closed once more, as it is: after a sync that failed the system takes for
    /// written what may not be on disk.
    pub(super) fn write_again(path: &Path) -> Result<(), Fault> {
        let path = path.join("db");
        let written = || {
            let file = File::options().read(true).write(true).open(&path)?;
            let (mut at, length) = (0, file.metadata()?.len());
            let mut buffer = vec![0; SLED_SEGMENT];
            while at < length {
                let count = (length - at).min(SLED_SEGMENT as u64) as usize;
                file.read_exact_at(&mut buffer[..count], at)?;
                file.write_all_at(&buffer[..count], at)?;
                at += count as u64;
            }
            Ok(())
        };
        written().map_err(|cause| Fault::from_io("write job log", &path, cause))
    }

    pub(super) fn sync(&mut self) -> sled::Result<()> {
        self.db.flush()?;
        Ok(self.file.sync_data()?)
    }

    /// Sends every piece in order, many at a time. Returns whether anybody still takes them.
    pub(super) fn scan(&self, path: &Path, pieces: &SyncSender<Scanned>) -> Result<bool, Fault> {
        let read = |error| fault("read job log", path, error);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for (segment, name) in self.trees() {
            let tree = self.db.open_tree(name).map_err(read)?;
            for entry in &tree {
                let (key, value) = entry.map_err(read)?;
                let key = Key::read(segment, &key, path)?;
                bytes += value.len();
                batch.push(Piece {
                    segment,
                    key,
                    value,
                });
                if bytes > SCAN_BYTES || batch.len() >= SCAN_PIECES {
                    bytes = 0;
                    if pieces.send(Scanned::Pieces(mem::take(&mut batch))).is_err() {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(pieces.send(Scanned::Pieces(batch)).is_ok())
    }
}

impl Key {
    pub(super) fn bytes(self) -> [u8; 9] {
        let mut bytes = [u8::from(self.more); 9];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    /// The number that a key tells, when it is one.
    pub(super) fn number(bytes: &[u8]) -> Option<u64> {
        bytes
            .first_chunk()
            .map(|number| u64::from_be_bytes(*number))
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

/// The trees of a database in the order of what they hold: each with its segment and the number of its first piece.
pub(super) fn trees_of(db: &Db) -> Vec<((Segment, u64), IVec)> {
    let names = db.tree_names().into_iter();
    let mut trees: Vec<_> = names
        .filter_map(|name| Some((content_of(&name)?, name)))
        .collect();
    trees.sort_unstable_by_key(|tree| tree.0);
    trees
}

/// The segment that a tree holds, and from which number on, when it is one of ours.
fn content_of(tree: &[u8]) -> Option<(Segment, u64)> {
    let name = std::str::from_utf8(tree).ok()?;
    let (segment, first) = name.strip_prefix(PREFIX)?.split_once('.')?;
    Some((segment.parse().ok()?, first.parse().ok()?))
}
