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
use crate::fault::{Damage, Fault, Place};

/// The place of a frame is kept once in so many bytes; those in between are found by walking.
const POINT_EVERY: u64 = 16 << 10;
/// A walk reads so much at a time.
const STEP_BYTES: u64 = 20 << 10;

/// Where the frames of each segment are. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<BTreeMap<Segment, Frames>>>);

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
}

impl Places {
    /// A frame of this length was appended, with its mark at this byte.
    pub(super) fn add(&self, segment: Segment, at: u64, length: usize) {
        let mut places = self.0.lock();
        let frames = places.entry(segment).or_default();
        let offset = frames.bytes;
        let last = frames.points.last();
        if last.is_none_or(|last| offset - last.offset >= POINT_EVERY) {
            frames.points.push(Point { offset, at });
        }
        frames.bytes += length as u64;
    }

    /// So many bytes are gone from the end.
    pub(super) fn cut(&self, segment: Segment, bytes: usize) {
        if let Some(frames) = self.0.lock().get_mut(&segment) {
            frames.bytes = frames.bytes.saturating_sub(bytes as u64);
        }
    }

    pub(super) fn remove(&self, segment: Segment) {
        self.0.lock().remove(&segment);
    }
}

/// A way to read frames that were appended or replayed.
pub(super) struct Reader<D> {
    disk: D,
    path: PathBuf,
    places: Places,
}

impl<D: Disk> Reader<D> {
    pub(super) fn new(disk: D, path: PathBuf, places: Places) -> Self {
        Reader { disk, path, places }
    }

    /// Fills `buffer` with the bytes of a segment from `offset` on: its frames laid end to end, as they were appended.
    ///
    /// As [`crate::backend::Reader`] has it.
    pub(super) fn read(
        &self,
        segment: Segment,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), Fault> {
        let missing = |damage| corrupt(&self.path, Place::Segment { segment }, damage);
        let to = offset + buffer.len() as u64;
        let point = {
            let places = self.places.0.lock();
            let frames = places.get(&segment);
            let frames = frames.ok_or_else(|| Fault::Retired {
                path: self.path.clone(),
                segment,
            })?;
            let before = frames
                .points
                .partition_point(|point| point.offset <= offset);
            let within = frames.bytes >= to && before > 0;
            within.then(|| frames.points[before - 1])
        };
        let point = point.ok_or_else(|| missing(Damage::Unfinished))?;
        let path = segment::path(&self.path, segment);
        let read = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => missing(Damage::Missing),
            _ => Fault::from_io("read", &path, cause),
        };
        let file = self.disk.open(&path).map_err(read)?;
        let mut bytes = Vec::new();
        let window = Window::new(&file, STEP_BYTES, &mut bytes).map_err(read)?;
        match walk(window, point, offset, buffer) {
            Ok(true) => Ok(()),
            Ok(false) => Err(missing(Damage::Unfinished)),
            Err(cause) => Err(read(cause)),
        }
    }
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

impl<D> fmt::Debug for Reader<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
