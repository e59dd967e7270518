//! The log in sled 0.34, used as an append log: it is never asked for anything but the next frame.
//!
//! ```text
//! <dir>/sled/lock          held by the process that has the log open
//! <dir>/sled/{db,conf,…}   sled's own files
//!
//! tree     seg%012d        one per segment, dropped whole
//! key      number u64 BE, more u8      1: the frame goes on in the next key, 0: it ends here
//! value    at most PIECE bytes of a frame
//! ```
//!
//! What keeps sled fast and honest here, each of which was measured or read in its source:
//!
//! - One value per frame, numbered keys: a fifth of the CPU of a key per job.
//! - A value above a quarter of sled's segment goes to a file of its own, which sled never syncs, and so does a leaf of up
//!   to 17 values that is above it in sum. Frames are cut into pieces small enough that neither happens.
//! - On Linux its `flush` starts the writes and waits for them, but never flushes the disk's cache or the file's length:
//!   [`Backend::sync`] adds an `fdatasync` of the file.
//! - It buffers what is inserted, and after any error it refuses to work on. So the frames since the last sync are kept
//!   here; after an error the database is opened anew, and they are inserted again under the same keys.
//! - It panics on damaged files: it opens and scans on a thread of its own, where panics are caught.

use std::fs::{self, File};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use shoalmq_core::record::Segment;

use self::engine::{End, Engine};
use super::{Backend, Sequence, Stats, Visit, lock};
use crate::fault::Fault;

mod engine;
mod guard;
mod scan;
#[cfg(test)]
mod tests;
mod verdict;

pub use guard::OPEN_THREAD;

/// Batches of pieces that the scan may be ahead of their visitor.
const SCAN_AHEAD: usize = 4;
/// Frames kept for the case of an error; beyond it they are synced unasked.
const KEPT_BYTES: usize = 8 << 20;
/// A scan leaves about as much in memory as it read, whatever the cache's size; from here on a fresh start gets rid of it.
const REOPEN_BYTES: u64 = 16 << 20;

/// A log in sled.
#[derive(Debug)]
pub struct Sled {
    /// None after an error, until it is opened anew.
    engine: Option<Engine>,
    path: PathBuf,
    end: End,
    kept: Vec<Kept>,
    kept_bytes: usize,
    /// Dropped last, after the engine.
    _lock: File,
}

/// A frame that is appended, but not synced.
#[derive(Debug)]
struct Kept {
    segment: Segment,
    first: u64,
    frame: Vec<u8>,
}

impl Sled {
    /// Opens the log in the folder `sled` below `dir`, and makes it when there is none.
    pub fn open(dir: &Path) -> Result<Self, Fault> {
        let path = dir.join("sled");
        fs::create_dir_all(&path).map_err(|cause| Fault::from_io("create", &path, cause))?;
        let lock = lock::lock(&path)?;
        let (engine, end) = guard::guarded(&path, || {
            let engine = Engine::open(&path)?;
            let end = engine.end(&path)?;
            Ok((engine, end))
        })?;
        Ok(Sled {
            engine: Some(engine),
            path,
            end,
            kept: Vec::new(),
            kept_bytes: 0,
            _lock: lock,
        })
    }

    /// The folder that holds the log and nothing else.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a log below `dir`.
    pub(crate) fn is_in(dir: &Path) -> bool {
        dir.join("sled").join("db").exists()
    }

    /// Does something with the database, opened anew first if it has to be; an error spoils the database.
    fn with_engine<T>(
        &mut self,
        act: &'static str,
        work: impl FnOnce(&mut Engine) -> ::sled::Result<T>,
    ) -> Result<T, Fault> {
        let mut engine = match self.engine.take() {
            Some(engine) => engine,
            None => self.reopen()?,
        };
        let done = work(&mut engine).map_err(|error| verdict::fault(act, &self.path, error))?;
        self.engine = Some(engine);
        Ok(done)
    }

    fn reopen(&self) -> Result<Engine, Fault> {
        guard::guarded(&self.path, || {
            let mut engine = Engine::open(&self.path)?;
            let refill = |error| verdict::fault("write job log", &self.path, error);
            if self.end.unfinished.is_none() {
                engine.remove_from(self.end.next).map_err(refill)?;
            }
            for kept in &self.kept {
                engine
                    .insert(kept.segment, kept.first, &kept.frame)
                    .map_err(refill)?;
            }
            Ok(engine)
        })
    }
}

impl Backend for Sled {
    fn append(&mut self, segment: Segment, frame: &[u8]) -> Result<Sequence, Fault> {
        if self.kept_bytes > KEPT_BYTES {
            self.sync()?;
        }
        let End {
            next: first,
            unfinished,
        } = self.end;
        let next = self.with_engine("write job log", |engine| {
            if unfinished.is_some() {
                engine.remove_from(first)?;
            }
            engine.insert(segment, first, frame)
        })?;
        self.end = End {
            next,
            unfinished: None,
        };
        self.kept_bytes += frame.len();
        self.kept.push(Kept {
            segment,
            first,
            frame: frame.to_vec(),
        });
        Ok(Sequence(next - 1))
    }

    fn sync(&mut self) -> Result<(), Fault> {
        self.with_engine("sync job log", Engine::sync)?;
        self.kept.clear();
        self.kept_bytes = 0;
        Ok(())
    }

    fn replay(&mut self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        let engine = match self.engine.take() {
            Some(engine) => engine,
            None => self.reopen()?,
        };
        let (sender, pieces) = mpsc::sync_channel(SCAN_AHEAD);
        let (path, end) = (&self.path, self.end.next);
        let (scanned, visited) = thread::scope(|scope| {
            let engine = &engine;
            let scan = move || guard::caught(path, || engine.scan(path, &sender));
            let thread = guard::named().spawn_scoped(scope, scan);
            let visited = scan::assemble(path, &pieces, end, visit);
            // The scan ends at once when nobody takes its pieces any more.
            drop(pieces);
            let scanned = match thread {
                Ok(thread) => thread.join().expect("panics are caught in there"),
                Err(cause) => Err(Fault::from_io("start a thread to read", path, cause)),
            };
            (scanned, visited)
        });
        if let Err(Fault::Corrupt { .. }) = &scanned {
            // A database that panicked may do so again when it is dropped.
            mem::forget(engine);
            return visited.map(drop).and(scanned);
        }
        self.engine = Some(engine);
        let bytes = visited?;
        scanned?;
        if bytes > REOPEN_BYTES {
            self.engine = None;
            self.engine = Some(self.reopen()?);
        }
        Ok(())
    }

    fn unfinished(&self) -> Option<(Segment, Sequence)> {
        self.end.unfinished
    }

    fn cut(&mut self, segment: Segment, last: Sequence, keep: usize) -> Result<(), Fault> {
        let (first, frame) = self.with_engine("cut job log", |engine| {
            let (first, mut frame) = engine.frame(segment, last)?;
            frame.truncate(keep);
            engine.remove_from(first)?;
            Ok((first, frame))
        })?;
        self.end = End {
            next: first,
            unfinished: None,
        };
        if keep > 0 {
            self.append(segment, &frame)?;
        }
        self.sync()
    }

    fn retire(&mut self, below: Segment) -> Result<(), Fault> {
        self.with_engine("retire segments of job log", |engine| engine.retire(below))?;
        self.kept.retain(|kept| kept.segment >= below);
        Ok(())
    }

    fn stats(&self) -> Stats {
        self.engine.as_ref().map(Engine::stats).unwrap_or_default()
    }
}
