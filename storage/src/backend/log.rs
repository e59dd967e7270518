//! The log in files of its own: a file per segment, frame behind frame.
//!
//! ```text
//! <dir>/log/lock               held by the process that has the log open
//! <dir>/log/000000000001.log   a segment; .new while its head is not on disk
//! <dir>/log-topics/            the same for the stream of topics
//!
//! file    head      52 bytes        rewritten in place after each sync; it never leaves the first sector
//!         zeros     to byte 512
//!         frames    mark, frame, mark, frame, …
//!         zeros     space taken ahead, in the newest file
//!
//! head    magic     8 bytes         "shoallog"
//!         version   u32 LE          1
//!         segment   u32 LE          as in the name
//!         first     u64 LE          number of the first frame
//!         synced    u64 LE, u64 LE  number after the last synced frame, byte where it ends
//!         oldest    u32 LE          segments below are retired; this one is there
//!         next      u32 LE          the file after this one; 0 while there is none
//!         checksum  u32 LE          crc32c of the above
//!
//! mark    length    u32 LE          bytes of the frame
//!         number    u64 LE          one more than that of the frame before, across files
//!         checksum  u32 LE          crc32c of the frame
//!         checksum  u32 LE          crc32c of the above
//! ```
//!
//! A frame is there if its mark and its bytes fit: so it is there whole or not at all, though a loss of power leaves any
//! part of what was not synced, and leaves out any other. The head tells apart the two ways in which a frame may not fit:
//! before `synced` it was on disk and is damaged, which is a fault; behind, it was never promised, and is cut off with all
//! that follows. The head itself is not synced on its own: should it be older than the last sync when power is lost, it
//! says less than it could, but nothing false. (What may vanish unnoticed is thus what was synced last, when power
//! is lost and the disk then damages just that.)
//!
//! A file's head and name are on disk before its first frame, and everything of a file is before the next file is made.
//! The newest head says which segments are retired before their files are removed, so those that come back are known.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shoalmq_core::record::{Segment, Stream};

use self::disk::{Disk, DiskFile, Native};
use self::format::{End, FRAMES_AT, Head};
use self::reader::{Places, Reader};
use self::scan::Scan;
use self::segment::{Current, SyncError, corrupt};
use super::{Backend, Sequence, Stats, Visit, lock};
use crate::backup::Part;
use crate::fault::{Damage, Fault, Place};

mod disk;
mod format;
mod open;
mod reader;
mod roll;
mod scan;
mod segment;
#[cfg(test)]
mod tests;

pub use reader::OPEN_MOST;

/// A log in files of its own.
pub struct Log(Engine<Native>);

impl Log {
    /// The folder of a stream, below the data folder.
    pub(crate) fn folder(stream: Stream) -> &'static str {
        match stream {
            Stream::Jobs => "log",
            Stream::Topics => "log-topics",
        }
    }

    /// Opens the log of a stream in its folder below `dir`, and makes it when there is none.
    pub fn open(dir: &Path, stream: Stream) -> Result<Self, Fault> {
        let path = dir.join(Log::folder(stream));
        let made = fs::create_dir_all(&path).and_then(|()| Native.sync_folder(dir));
        made.map_err(|cause| Fault::from_io("create", &path, cause))?;
        let lock = lock::lock(&path)?;
        Ok(Log(Engine::open(Native, path, Some(lock))?))
    }

    /// The files of all segments below one, and before them that of the segment after: it is the next one of the last of
    /// these, which has to be there. It is copied as a crash might leave it.
    pub(crate) fn files(dir: &Path, stream: Stream, below: Segment) -> io::Result<Vec<Part>> {
        let folder = Path::new(Log::folder(stream));
        let mut segments = Vec::new();
        for entry in fs::read_dir(dir.join(folder))? {
            let name = entry?.file_name();
            segments.extend(name.to_str().and_then(segment::named));
        }
        segments.sort_unstable();
        let newest = segments.iter().copied().find(|&segment| segment >= below);
        let closed = segments.iter().copied().filter(|&segment| segment < below);
        let part = |segment, is_final| Part {
            name: segment::path(folder, segment),
            is_final,
        };
        let newest = newest.map(|segment| part(segment, false));
        Ok(newest
            .into_iter()
            .chain(closed.map(|segment| part(segment, true)))
            .collect())
    }

    /// Makes a log of the copied files: nothing follows the newest, though something did when it was copied.
    pub(crate) fn finish_copy(copy: &Path, stream: Stream, below: Segment) -> Result<(), Fault> {
        let folder = copy.join(Log::folder(stream));
        // A stream that never had a record has nothing to copy.
        if !folder.exists() {
            return Ok(());
        }
        let path = segment::path(&folder, below);
        let failed = |cause| Fault::from_io("write", &path, cause);
        let file = Native.open(&path).map_err(failed)?;
        let mut head = segment::read_head(&file, &folder, below)?;
        head.next = None;
        file.write(&head.bytes(), 0).map_err(failed)
    }

    /// The folder that holds the log and nothing else.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Whether a file of this name may lie in a folder without a segment.
    pub(crate) fn leaves(name: &str) -> bool {
        name == "lock" || name.ends_with(segment::UNFINISHED)
    }

    /// Whether there is a log of this stream below `dir`.
    pub(crate) fn is_in(dir: &Path, stream: Stream) -> bool {
        let Ok(entries) = fs::read_dir(dir.join(Log::folder(stream))) else {
            return false;
        };
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            name.to_str().and_then(segment::named).is_some()
        })
    }
}

/// Reads what was appended, from any thread, beside the appends.
#[derive(Debug)]
struct LogReader(Reader<Native>);

impl super::Reader for LogReader {
    fn read_some(
        &self,
        segment: Segment,
        offset: u64,
        least: usize,
        buffer: &mut [u8],
    ) -> Result<usize, Fault> {
        self.0.read(segment, offset, least, buffer)
    }
}

/// A log on a file system.
struct Engine<D: Disk> {
    disk: D,
    path: PathBuf,
    /// The segments that have a file, with its bytes.
    segments: BTreeMap<Segment, u64>,
    /// The newest of them.
    current: Option<Current<D::File>>,
    /// The number of the next frame.
    next: u64,
    /// A name is gone, and the folder is not synced.
    removed: bool,
    /// A sync failed: nobody knows what the disk holds.
    lost: bool,
    places: Places<D::File>,
    buffer: Vec<u8>,
    _lock: Option<File>,
}

impl<D: Disk> Engine<D> {
    fn reader(&self) -> Reader<D> {
        Reader::new(self.disk.clone(), self.path.clone(), self.places.clone())
    }

    fn file(&self, segment: Segment) -> PathBuf {
        segment::path(&self.path, segment)
    }

    /// Turns what the system said of the file of a segment into a fault.
    fn failed(&self, act: &'static str, segment: Segment) -> impl Fn(io::Error) -> Fault + use<D> {
        let path = self.file(segment);
        move |cause| Fault::from_io(act, &path, cause)
    }

    /// Syncs the newest file.
    fn sync_current(&mut self) -> Result<(), Fault> {
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let path = segment::path(&self.path, current.head.segment);
        let sync = "sync job log";
        if self.lost {
            let cause = io::Error::other("an earlier sync failed");
            let path = path.clone();
            return Err(Fault::Io {
                act: sync,
                path,
                cause,
            });
        }
        if current.is_synced() {
            return Ok(());
        }
        match current.sync() {
            Ok(()) => Ok(()),
            Err(SyncError::Full(cause)) => Err(Fault::from_io(sync, &path, cause)),
            Err(SyncError::Unknown(cause)) => {
                self.lost = true;
                // Not by its kind: even for lack of space it cannot be tried again.
                Err(Fault::Io {
                    act: sync,
                    path,
                    cause,
                })
            }
        }
    }

    fn sync_folder(&mut self) -> Result<(), Fault> {
        let synced = self.disk.sync_folder(&self.path);
        synced.map_err(|cause| Fault::from_io("sync job log", &self.path, cause))?;
        self.removed = false;
        Ok(())
    }

    /// Makes the newest head say, on disk, that the segments below `oldest` are retired.
    fn tell_oldest(&mut self, oldest: Segment) -> Result<(), Fault> {
        // What a failed sync loses must not count as synced, so frames first.
        self.sync_current()?;
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        current.head.oldest = oldest;
        let told = current.write_head().and_then(|()| current.file.sync());
        let segment = current.head.segment;
        told.map_err(self.failed("retire segments of job log", segment))
    }

    /// The number of the first frame of a segment.
    fn first_of(&self, segment: Segment) -> Result<u64, Fault> {
        let read = self.failed("read", segment);
        let file = self.disk.open(&self.file(segment)).map_err(read)?;
        Ok(segment::read_head(&file, &self.path, segment)?.first)
    }

    fn remove(&mut self, segment: Segment) -> Result<(), Fault> {
        match self.disk.remove(&self.file(segment)) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(self.failed("remove", segment)(cause));
            }
            _ => {}
        }
        self.segments.remove(&segment);
        self.places.remove(segment);
        self.removed = true;
        Ok(())
    }

    /// Visits the frames of a segment's file from `from` on, up to where they have to end.
    fn replay_file(
        &self,
        segment: Segment,
        until: Until,
        buffer: &mut Vec<u8>,
        visit: &mut Visit<'_>,
    ) -> Result<u64, Fault> {
        let read = self.failed("read", segment);
        let file = self.disk.open(&self.file(segment)).map_err(&read)?;
        let head = segment::read_head(&file, &self.path, segment)?;
        if until.first.is_some_and(|first| first != head.first) {
            let expected = Sequence(until.first.unwrap_or_default());
            let place = Place::File { segment, offset: 0 };
            return Err(corrupt(&self.path, place, Damage::Gap { expected }));
        }
        let from = End {
            next: head.first,
            at: FRAMES_AT,
        };
        self.places.remove(segment);
        let mut scan = Scan::new(&file, from, buffer).map_err(&read)?;
        let mut sequence = head.first;
        while sequence != until.next {
            let offset = scan.end().at;
            let Some(frame) = scan.frame().map_err(&read)? else {
                let place = Place::File { segment, offset };
                let sequence = Sequence(sequence);
                return Err(corrupt(&self.path, place, Damage::Frame { sequence }));
            };
            self.places.add(segment, offset, frame.len());
            visit(segment, Sequence(sequence), frame)?;
            sequence += 1;
        }
        Ok(sequence)
    }
}

/// Which frames the file of a segment has to hold.
#[derive(Debug, Clone, Copy)]
struct Until {
    /// Their first number, if it is known.
    first: Option<u64>,
    /// The number after the last.
    next: u64,
}

impl<D: Disk> Backend for Engine<D> {
    fn append(&mut self, segment: Segment, frame: &[u8]) -> Result<Sequence, Fault> {
        let newest = self.current.as_ref().map(|current| current.head.segment);
        if newest != Some(segment) {
            self.roll(segment)?;
        }
        let current = self.current.as_mut().expect("there is a newest file now");
        let at = current.end.at;
        if let Err(cause) = current.append(frame, &mut self.buffer) {
            return Err(self.failed("write job log", segment)(cause));
        }
        self.next = current.end.next;
        self.segments.insert(segment, current.reserved);
        self.places.add(segment, at, frame.len());
        Ok(Sequence(self.next - 1))
    }

    fn sync(&mut self) -> Result<(), Fault> {
        self.sync_current()?;
        if self.removed {
            self.sync_folder()?;
        }
        Ok(())
    }

    fn replay(&mut self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        let mut buffer = Vec::new();
        let mut first = None;
        let mut segments = self.segments.keys().copied().peekable();
        while let Some(segment) = segments.next() {
            let next = match segments.peek() {
                Some(after) => self.first_of(*after)?,
                None => self.next,
            };
            let until = Until { first, next };
            first = Some(self.replay_file(segment, until, &mut buffer, visit)?);
        }
        Ok(())
    }

    fn unfinished(&self) -> Option<(Segment, Sequence)> {
        let current = self.current.as_ref().filter(|current| current.torn)?;
        Some((current.head.segment, Sequence(self.next)))
    }

    fn cut(&mut self, segment: Segment, last: Sequence, keep: usize) -> Result<(), Fault> {
        self.sync_current()?;
        let failed = self.failed("cut job log", segment);
        // In place it could not be undone by a crash, so it is done in another file.
        let old = self.disk.open(&self.file(segment)).map_err(&failed)?;
        let mut head = segment::read_head(&old, &self.path, segment)?;
        let from = End {
            next: head.first,
            at: FRAMES_AT,
        };
        head = Head {
            synced: from,
            oldest: self
                .segments
                .keys()
                .next()
                .map_or(segment, |oldest| *oldest),
            next: None,
            ..head
        };
        let unfinished = segment::unfinished(&self.path, segment);
        let new = self.disk.create(&unfinished).map_err(&failed)?;
        let mut current = Current::new(new, head, from, false).map_err(&failed)?;
        let mut buffer = Vec::new();
        let mut scan = Scan::new(&old, from, &mut buffer).map_err(&failed)?;
        while current.end.next < last.0 {
            let frame = scan.frame().map_err(&failed)?.unwrap_or_default();
            current.append(frame, &mut self.buffer).map_err(&failed)?;
        }
        let frame = scan.frame().map_err(&failed)?.unwrap_or_default();
        if keep > 0 {
            let kept = &frame[..keep.min(frame.len())];
            current.append(kept, &mut self.buffer).map_err(&failed)?;
        }
        let gone = frame.len().saturating_sub(keep);
        current.head.synced = current.end;
        let written = current.write_head().and_then(|()| current.trim());
        written.map_err(&failed)?;
        let renamed = self.disk.rename(&unfinished, &self.file(segment));
        renamed.map_err(&failed)?;
        self.sync_folder()?;
        self.next = current.end.next;
        self.segments.insert(segment, current.reserved);
        self.current = Some(current);
        self.places.cut(segment, gone);
        self.remove_behind(segment)
    }

    fn retire(&mut self, below: Segment) -> Result<(), Fault> {
        if self.segments.range(..below).next().is_none() {
            return Ok(());
        }
        let oldest = self.segments.range(below..).next();
        let oldest = oldest.map_or(below, |(oldest, _)| *oldest);
        self.tell_oldest(oldest)?;
        self.remove_below(oldest)
    }

    fn stats(&self) -> Stats {
        Stats {
            disk_bytes: self.segments.values().sum(),
            segments: self.segments.len() as u64,
        }
    }
}

impl Backend for Log {
    fn append(&mut self, segment: Segment, frame: &[u8]) -> Result<Sequence, Fault> {
        self.0.append(segment, frame)
    }

    fn sync(&mut self) -> Result<(), Fault> {
        self.0.sync()
    }

    fn replay(&mut self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        self.0.replay(visit)
    }

    fn unfinished(&self) -> Option<(Segment, Sequence)> {
        self.0.unfinished()
    }

    fn cut(&mut self, segment: Segment, last: Sequence, keep: usize) -> Result<(), Fault> {
        self.0.cut(segment, last, keep)
    }

    fn retire(&mut self, below: Segment) -> Result<(), Fault> {
        self.0.retire(below)
    }

    fn span(&self) -> Option<(Sequence, Sequence)> {
        let first = self.0.first_of(self.0.oldest()?).ok()?;
        let last = self.0.next.checked_sub(1)?;
        (first <= last).then_some((Sequence(first), Sequence(last)))
    }

    fn stats(&self) -> Stats {
        self.0.stats()
    }

    fn reader(&self) -> Option<Arc<dyn super::Reader>> {
        Some(Arc::new(LogReader(self.0.reader())))
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}
