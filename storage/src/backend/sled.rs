//! The log in sled 0.34, used as an append log: it is never asked for anything but the next frame.
//!
//! ```text
//! <dir>/sled/lock                    held by the process that has the log open
//! <dir>/sled/<segment>.<number>/     a database for each segment, with sled's own files; named by its first key
//! <dir>/sled/synced                  how far it is known to be on disk
//! <dir>/sled-topics/                 the same for the stream of topics
//!
//! tree     seg%012d.%020d            segment, first number: a few values each
//! key      number u64 BE, more u8    1: the frame goes on in the next key, 0: it ends here
//! value    at most PIECE bytes of a frame
//! ```
//!
//! What keeps sled fast and honest here, each of which was measured or read in its source:
//!
//! - One value per frame, numbered keys: a fifth of the CPU of a key per job.
//! - A value above a quarter of sled's segment goes to a file of its own, which sled never syncs, and so does a leaf
//!   that is above it in sum. Frames are cut into pieces, and trees end, small enough that neither happens.
//! - A tree ends before sled would rewrite its leaf: the file takes 1.09 times the bytes of the frames, and not twice.
//! - Its file never shrinks, and what it read stays in memory: a database for each segment bounds both.
//! - On Linux its `flush` starts the writes and waits for them, but never flushes the disk's cache or the file's length:
//!   [`Backend::sync`] adds an `fdatasync` of the file.
//! - It buffers what is inserted, and after any error it refuses to work on. So the frames since the last sync are kept
//!   here; after an error the database is reopened, and they are inserted again under the same keys.
//! - It panics on damaged files: it opens and scans on a thread of its own, where panics are caught.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread;

use shoalmq_core::record::{Segment, Stream};

use self::engine::{End, Engine};
use self::folders::Folder;
use self::scan::Scanned;
use self::shelf::Shelf;
use self::synced::Synced;
use super::{Backend, Reader, Sequence, Stats, Visit, lock};
use crate::backup::{Part, files_below};
use crate::fault::{Damage, Fault, Place};

mod engine;
mod folders;
mod guard;
mod scan;
mod shelf;
mod synced;
#[cfg(test)]
mod tests;
mod verdict;

pub use guard::panic_is_caught;

/// Batches of pieces that the scan may be ahead of their visitor.
const SCAN_AHEAD: usize = 4;
/// Frames kept for the case of an error; beyond it they are synced unasked.
const KEPT_BYTES: usize = 8 << 20;

/// A log in sled.
#[derive(Debug)]
pub struct Sled {
    path: PathBuf,
    /// Oldest first. Those before the last are synced, and closed.
    folders: VecDeque<Folder>,
    /// The database of the last folder; none after an error, until it is reopened.
    engine: Option<Engine>,
    end: End,
    /// All of them in the last folder.
    kept: Vec<Kept>,
    kept_bytes: usize,
    synced: Synced,
    /// What failed of writing or syncing, for another reason than space: nobody knows what the disk holds.
    lost: Option<String>,
    /// A sync failed for lack of space: what the system took for written may not be.
    spoiled: bool,
    shelf: Arc<Shelf>,
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
    /// The folder of a stream, below the data folder.
    pub(crate) fn folder(stream: Stream) -> &'static str {
        match stream {
            Stream::Jobs => "sled",
            Stream::Topics => "sled-topics",
        }
    }

    /// Opens the log of a stream in its folder below `dir`, and makes it when there is none.
    pub fn open(dir: &Path, stream: Stream) -> Result<Self, Fault> {
        let path = dir.join(Sled::folder(stream));
        fs::create_dir_all(&path).map_err(|cause| Fault::from_io("create", &path, cause))?;
        let lock = lock::lock(&path)?;
        let (folders, engine, mut end) = guard::guarded(&path, || {
            let folders = folders::list(&path)?;
            let (mut engine, mut end) = (None, End::default());
            if let Some(last) = folders.last() {
                let opened = Engine::open(&last.path)?;
                end = opened.end(&path, last.first)?;
                engine = Some(opened);
            }
            Ok((folders, engine, end))
        })?;
        let synced = Synced::open(&path)?;
        if folders.is_empty() {
            // All of them are retired.
            end.next = synced.next.unwrap_or(end.next);
        } else if synced.next.is_some_and(|next| end.next < next) {
            let expected = Sequence(end.next);
            return Err(Fault::Corrupt {
                path,
                place: Place::Anywhere,
                damage: Damage::Lost { expected },
            });
        }
        let shelf = Arc::new(Shelf::new(&path, folders.iter()));
        if let Some(engine) = &engine {
            shelf.lend(engine.db());
        }
        Ok(Sled {
            path,
            folders: folders.into(),
            engine,
            end,
            kept: Vec::new(),
            kept_bytes: 0,
            synced,
            lost: None,
            spoiled: false,
            shelf,
            _lock: lock,
        })
    }

    /// The files of the databases of all segments below one. Sled may write to them whenever it opens them.
    pub(crate) fn files(dir: &Path, stream: Stream, below: Segment) -> io::Result<Vec<Part>> {
        let root = Path::new(Sled::folder(stream));
        let mut files = Vec::new();
        for entry in fs::read_dir(dir.join(root))? {
            let name = entry?.file_name();
            if folders::is_below(&name, below) {
                files.extend(files_below(dir, &root.join(name))?);
            }
        }
        let part = |name| Part {
            name,
            is_final: false,
        };
        Ok(files.into_iter().map(part).collect())
    }

    /// The folder that holds the log and nothing else.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a log of this stream below `dir`.
    pub(crate) fn is_in(dir: &Path, stream: Stream) -> bool {
        folders::any(&dir.join(Sled::folder(stream)))
    }

    /// Does something with the last database, and reopens it first if necessary; an error spoils the database.
    ///
    /// After one for another reason than space all syncs fail: sled has told the disk to write, and some of it is lost,
    /// though the system may read it from memory, and say that all is well when it is asked once more.
    fn with_engine<T>(
        &mut self,
        work: impl FnOnce(&mut Engine, &Path) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut engine = match self.engine.take() {
            Some(engine) => engine,
            None => self.reopen()?,
        };
        let done = work(&mut engine, &self.path).inspect_err(|fault| {
            if !fault.is_full() {
                self.lost.get_or_insert_with(|| describe(fault));
            }
        })?;
        self.engine = Some(engine);
        Ok(done)
    }

    /// What a failed sync or write makes of all later syncs.
    fn check_lost(&self) -> Result<(), Fault> {
        let Some(reason) = &self.lost else {
            return Ok(());
        };
        let cause = io::Error::other(format!("an earlier write or sync failed: {reason}"));
        Err(Fault::Io {
            act: "sync job log",
            path: self.path.clone(),
            cause,
        })
    }

    /// Lets go of the last database.
    fn close(&mut self) {
        self.shelf.close();
        self.engine = None;
    }

    fn reopen(&mut self) -> Result<Engine, Fault> {
        self.shelf.close();
        let last = self.folders.back().expect("a database was made");
        let engine = guard::guarded(&self.path, || {
            if self.spoiled {
                Engine::write_again(&last.path)?;
            }
            let mut engine = Engine::open(&last.path)?;
            let refill = |error| verdict::fault("write job log", &self.path, error);
            if self.end.unfinished.is_none() {
                // What is inserted below, too: what it finds with the same bytes, sled does not write.
                let kept = self.kept.first().map_or(self.end.next, |kept| kept.first);
                engine.remove_from(kept).map_err(refill)?;
            }
            for kept in &self.kept {
                engine
                    .insert(kept.segment, kept.first, &kept.frame)
                    .map_err(refill)?;
            }
            Ok(engine)
        });
        let engine = engine.inspect_err(|fault| {
            // Unless it cannot even be opened, as there are too many open files.
            if matches!(
                fault,
                Fault::Io {
                    act: "write job log",
                    ..
                }
            ) {
                self.lost.get_or_insert_with(|| describe(fault));
            }
        })?;
        self.spoiled = false;
        self.shelf.lend(engine.db());
        Ok(engine)
    }

    /// Makes the database of a segment, once all before it is on disk.
    fn begin(&mut self, segment: Segment) -> Result<(), Fault> {
        self.sync()?;
        if self.end.unfinished.is_some() {
            let next = self.end.next;
            self.with_engine(|engine, path| {
                let cut = |error| verdict::fault("cut job log", path, error);
                engine.remove_from(next).map_err(cut)?;
                engine.sync().map_err(cut)
            })?;
            self.end.unfinished = None;
        }
        if let Some(full) = self.folders.back_mut() {
            // Readers go on with it, however long the next one takes to be made.
            self.shelf.hand_over(|| {
                self.engine = None;
                // The first open after a close makes the file grow: not at a start, when the disk may be full.
                guard::guarded(&self.path, || Engine::open(&full.path).map(drop))
            })?;
            full.measure();
        }
        let (path, first) = (&self.path, self.end.next);
        let folder = guard::guarded(path, || Folder::create(path, segment, first))?;
        self.shelf.add(&folder);
        self.folders.push_back(folder);
        Ok(())
    }
}

impl Drop for Sled {
    fn drop(&mut self) {
        // Readers may stay for longer, with nothing to read from.
        self.shelf.close_all();
    }
}

impl Backend for Sled {
    fn append(&mut self, segment: Segment, frame: &[u8]) -> Result<Sequence, Fault> {
        if self.kept_bytes > KEPT_BYTES {
            self.sync()?;
        }
        if self
            .folders
            .back()
            .is_none_or(|last| last.segment < segment)
        {
            self.begin(segment)?;
        }
        let End {
            next: first,
            unfinished,
        } = self.end;
        let next = self.with_engine(|engine, path| {
            let write = |error| verdict::fault("write job log", path, error);
            if unfinished.is_some() {
                engine.remove_from(first).map_err(write)?;
            }
            engine.insert(segment, first, frame).map_err(write)
        })?;
        self.end = End {
            next,
            unfinished: None,
        };
        self.shelf.note(segment, next - 1, frame.len());
        self.kept_bytes += frame.len();
        self.kept.push(Kept {
            segment,
            first,
            frame: frame.to_vec(),
        });
        Ok(Sequence(next - 1))
    }

    fn sync(&mut self) -> Result<(), Fault> {
        self.check_lost()?;
        // What is not in `kept` is synced, or was cut off and has no promise to keep.
        if !self.kept.is_empty() {
            self.with_engine(|engine, path| {
                let sync = |error| verdict::fault("sync job log", path, error);
                engine.sync().map_err(sync)
            })
            .inspect_err(|fault| self.spoiled |= fault.is_full())?;
            self.synced.say(self.end.next)?;
        }
        self.kept.clear();
        self.kept_bytes = 0;
        Ok(())
    }

    fn replay(&mut self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        self.sync()?;
        // Each database is closed when it is read, the last one too: what a scan reads stays in memory until then.
        self.close();
        self.shelf.clear();
        let readable = Arc::clone(&self.shelf);
        let mut noting = |segment, last: Sequence, frame: &[u8]| {
            readable.note(segment, last.0, frame.len());
            visit(segment, last, frame)
        };
        let (sender, scanned) = mpsc::sync_channel(SCAN_AHEAD);
        let (path, folders) = (&self.path, &self.folders);
        let (read, assembled) = thread::scope(|scope| {
            let scan = move || guard::caught(path, || read_all(path, folders, &sender));
            let thread = guard::named().spawn_scoped(scope, scan);
            let assembled = scan::assemble(path, &scanned, self.end.next, &mut noting);
            // The scan ends at once when nobody takes its pieces any more.
            drop(scanned);
            let read = match thread {
                Ok(thread) => thread.join().expect("panics are caught in there"),
                Err(cause) => Err(Fault::from_io("start a thread to read", path, cause)),
            };
            (read, assembled)
        });
        self.shelf.leave();
        for folder in &mut self.folders {
            folder.measure();
        }
        assembled?;
        read
    }

    fn unfinished(&self) -> Option<(Segment, Sequence)> {
        self.end.unfinished
    }

    fn cut(&mut self, segment: Segment, last: Sequence, keep: usize) -> Result<(), Fault> {
        let (first, mut frame) = self.with_engine(|engine, path| engine.frame(path, last))?;
        self.shelf.cut(segment, first, frame.len());
        frame.truncate(keep);
        self.synced.lower(first)?;
        self.with_engine(|engine, path| {
            let cut = |error| verdict::fault("cut job log", path, error);
            engine.remove_from(first).map_err(cut)?;
            engine.sync().map_err(cut)
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
        while let Some(oldest) = self.folders.front().filter(|folder| folder.segment < below) {
            if self.folders.len() == 1 {
                (self.engine, self.kept_bytes) = (None, 0);
                self.kept.clear();
            }
            self.shelf.retire(oldest);
            oldest.remove(&self.path)?;
            self.folders.pop_front();
        }
        Ok(())
    }

    fn span(&self) -> Option<(Sequence, Sequence)> {
        let first = self.folders.front()?.first;
        let last = self.end.next - 1;
        (first <= last).then_some((Sequence(first), Sequence(last)))
    }

    fn reader(&self) -> Option<Arc<dyn Reader>> {
        Some(Arc::clone(&self.shelf) as Arc<dyn Reader>)
    }

    fn stats(&self) -> Stats {
        let sealed = self.folders.iter().rev().skip(1);
        let open = self.folders.back().map_or(0, Folder::size);
        Stats {
            disk_bytes: sealed.map(|folder| folder.bytes).sum::<u64>() + open,
            segments: self.folders.len() as u64,
        }
    }
}

/// An error with its causes, on one line.
fn describe(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Sends the pieces of all databases in order, one database at a time.
fn read_all(
    path: &Path,
    folders: &VecDeque<Folder>,
    sender: &SyncSender<Scanned>,
) -> Result<(), Fault> {
    for folder in folders {
        let begin = Scanned::Database(folder.segment, folder.first);
        // A database that panicked may do so again when it is dropped.
        let engine = ManuallyDrop::new(Engine::open(&folder.path)?);
        let listens = sender.send(begin).is_ok() && engine.scan(path, sender)?;
        drop(ManuallyDrop::into_inner(engine));
        // The reader that stopped listening knows why.
        if !listens {
            break;
        }
    }
    Ok(())
}
