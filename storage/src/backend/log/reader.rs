//! Reading what was appended, from any thread, beside the appends.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use shoalmq_core::record::Segment;

use super::disk::{Disk, DiskFile};
use super::format::{MARK_BYTES, Mark};
use super::scan::Window;
use super::segment::{self, corrupt};
use crate::backend::open::Opened;
use crate::backend::within;
use crate::fault::{Damage, Fault, Place};

/// The place of one frame is kept for each stretch of this many bytes; the reader walks to those in between.
const POINT_EVERY: u64 = 16 << 10;
/// What a walk reads beyond the bytes that are wanted, for the commit marks in between.
const MARKS_BYTES: u64 = 1 << 10;
/// The most that a walk reads at a time.
const STEP_MOST: u64 = 256 << 10;
/// The most files open for reading at a time. The server counts on it when it sets its limit of open files.
pub const OPEN_MOST: usize = 32;

/// Where the frames of each segment are, and which files are open. Clones are the same one.
pub(super) struct Places<F>(Arc<Mutex<Segments<F>>>);

struct Segments<F> {
    frames: BTreeMap<Segment, Frames>,
    /// Of segments with frames only.
    open: Opened<F>,
}

/// The frames of a segment.
#[derive(Default)]
struct Frames {
    points: Vec<Point>,
    /// What all frames hold.
    bytes: u64,
}

/// A frame.
#[derive(Clone, Copy)]
struct Point {
    /// The bytes of the frames before it.
    offset: u64,
    /// The byte in the file at which its commit mark begins.
    at: u64,
    length: u64,
}

impl<F> Clone for Places<F> {
    fn clone(&self) -> Self {
        Places(Arc::clone(&self.0))
    }
}

impl<F> Default for Places<F> {
    fn default() -> Self {
        Places(Arc::new(Mutex::new(Segments {
            frames: BTreeMap::new(),
            open: Opened::new(OPEN_MOST),
        })))
    }
}

impl<F> Places<F> {
    /// A frame of this length was appended, with its mark at this byte.
    pub(super) fn add(&self, segment: Segment, at: u64, length: usize) {
        let mut segments = self.0.lock();
        let frames = segments.frames.entry(segment).or_default();
        let (offset, length) = (frames.bytes, length as u64);
        let last = frames.points.last();
        if last.is_none_or(|last| offset - last.offset >= POINT_EVERY) {
            frames.points.push(Point { offset, at, length });
        }
        frames.bytes += length;
    }

    /// The last `bytes` bytes of the last frame are gone, and another file has taken the place of the former one.
    pub(super) fn cut(&self, segment: Segment, bytes: usize) {
        let mut segments = self.0.lock();
        segments.open.remove(segment);
        let Some(frames) = segments.frames.get_mut(&segment) else {
            return;
        };
        frames.bytes = frames.bytes.saturating_sub(bytes as u64);
        if let Some(last) = frames.points.last_mut() {
            last.length = last.length.min(frames.bytes.saturating_sub(last.offset));
        }
    }

    /// A segment has no file, or a new one.
    pub(super) fn remove(&self, segment: Segment) {
        let mut segments = self.0.lock();
        segments.open.remove(segment);
        segments.frames.remove(&segment);
    }
}

/// A way to read frames that were appended or replayed.
pub(super) struct Reader<D: Disk> {
    disk: D,
    path: PathBuf,
    places: Places<D::File>,
}

impl<D: Disk> Reader<D> {
    pub(super) fn new(disk: D, path: PathBuf, places: Places<D::File>) -> Self {
        Reader { disk, path, places }
    }

    /// Fills `buffer` with the bytes of a segment from `offset` on: its frames laid end to end, as they were appended.
    ///
    /// As [`crate::backend::Reader::read_some`] has it.
    pub(super) fn read(
        &self,
        segment: Segment,
        offset: u64,
        least: usize,
        buffer: &mut [u8],
    ) -> Result<usize, Fault> {
        let missing = |damage| corrupt(&self.path, Place::Segment { segment }, damage);
        let (point, some, file) = {
            let mut segments = self.places.0.lock();
            let frames = segments.frames.get(&segment);
            let frames = frames.ok_or_else(|| Fault::Retired {
                path: self.path.clone(),
                segment,
            })?;
            let before = frames
                .points
                .partition_point(|point| point.offset <= offset);
            let point = before.checked_sub(1).map(|index| frames.points[index]);
            let some = within(frames.bytes, offset, least, buffer.len());
            (point, some, segments.open.get(segment))
        };
        let (Some(point), Some(some)) = (point, some) else {
            return Err(missing(Damage::Unfinished));
        };
        let buffer = &mut buffer[..some];
        let path = segment::path(&self.path, segment);
        let read = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => missing(Damage::Missing),
            io::ErrorKind::UnexpectedEof => missing(Damage::Unfinished),
            _ => Fault::from_io("read", &path, cause),
        };
        let file = match file {
            Some(file) => file,
            None => self.open(segment).map_err(read)?,
        };
        match copy(file.as_ref(), point, offset, buffer) {
            Ok(true) => Ok(some),
            Ok(false) => Err(missing(Damage::Unfinished)),
            Err(cause) => Err(read(cause)),
        }
    }

    /// Opens the file of a segment, and keeps it open if the segment is there still.
    fn open(&self, segment: Segment) -> io::Result<Arc<D::File>> {
        let path = segment::path(&self.path, segment);
        let file = Arc::new(self.disk.open(&path)?);
        let mut segments = self.places.0.lock();
        let unused = if segments.frames.contains_key(&segment) {
            segments.open.insert(segment, Arc::clone(&file))
        } else {
            None
        };
        // A file may take a while to close: nobody is to wait for that.
        drop(segments);
        drop(unused);
        Ok(file)
    }
}

/// Copies the bytes from `offset` on, at once if they lie in the frame that is known; false when a mark does not fit.
fn copy<F: DiskFile>(file: &F, from: Point, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
    let skip = offset - from.offset;
    if skip + buffer.len() as u64 <= from.length {
        file.read(buffer, from.at + MARK_BYTES as u64 + skip)?;
        return Ok(true);
    }
    let mut bytes = Vec::new();
    let step = (skip + buffer.len() as u64 + MARKS_BYTES).min(STEP_MOST);
    let window = Window::new(file, step, &mut bytes)?;
    walk(window, from, offset, buffer)
}

/// Copies the bytes from `offset` on, walking from frame to frame; false when a mark does not fit.
fn walk<F: DiskFile>(
    mut window: Window<'_, F>,
    from: Point,
    offset: u64,
    buffer: &mut [u8],
) -> io::Result<bool> {
    let Point {
        offset: mut before,
        mut at,
        ..
    } = from;
    let mut filled = 0;
    while filled < buffer.len() {
        let bytes = window.bytes(at, MARK_BYTES as u64)?;
        let Some(mark) = bytes.and_then(<[u8]>::first_chunk).and_then(Mark::read) else {
            return Ok(false);
        };
        let length = u64::from(mark.length);
        let skip = offset + filled as u64 - before;
        if skip < length {
            let count = (length - skip).min((buffer.len() - filled) as u64);
            let start = at + MARK_BYTES as u64 + skip;
            let Some(bytes) = window.bytes(start, count)? else {
                return Ok(false);
            };
            buffer[filled..filled + bytes.len()].copy_from_slice(bytes);
            filled += bytes.len();
        }
        at += MARK_BYTES as u64 + length;
        before += length;
    }
    Ok(true)
}

impl<D: Disk> fmt::Debug for Reader<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
