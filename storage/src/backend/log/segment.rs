//! The file of a segment: its name, its head, and the one that is written to.

use std::io;
use std::path::{Path, PathBuf};

use shoalmq_core::record::Segment;

use super::disk::{Disk, DiskFile};
use super::format::{BadHead, End, FRAMES_AT, HEAD_BYTES, Head, MARK_BYTES, Mark, VERSION};
use super::scan::Scan;
use crate::fault::{Damage, Fault, Place};

/// A file takes space in steps of this many bytes: growing the file costs a sync more than a longer write does.
const RESERVE_BYTES: u64 = if cfg!(test) { 8 << 10 } else { 1 << 20 };
/// A buffer that grew beyond this, by a large frame, is not kept.
const SPARE_BYTES: usize = 4 << 20;
const SUFFIX: &str = ".log";
/// Of a file that is being made: its head is not on disk yet.
pub(super) const UNFINISHED: &str = ".new";

/// The file that frames are appended to.
#[derive(Debug)]
pub(super) struct Current<F> {
    pub(super) file: F,
    pub(super) head: Head,
    pub(super) end: End,
    /// The length of the file.
    pub(super) reserved: u64,
    /// Behind the end is what a crash left of frames that were not synced.
    pub(super) torn: bool,
    /// A sync failed for lack of space, and its frames have to be written again.
    spoiled: bool,
}

impl<F: DiskFile> Current<F> {
    pub(super) fn new(file: F, head: Head, end: End, torn: bool) -> io::Result<Self> {
        Ok(Current {
            reserved: file.len()?,
            file,
            head,
            end,
            torn,
            spoiled: false,
        })
    }

    /// Writes a frame behind the last one.
    pub(super) fn append(&mut self, frame: &[u8], buffer: &mut Vec<u8>) -> io::Result<()> {
        if self.torn {
            self.trim()?;
        }
        let to = self.end.at + (MARK_BYTES + frame.len()) as u64;
        self.reserve(to)?;
        buffer.clear();
        buffer.extend_from_slice(&Mark::of(self.end.next, frame).bytes());
        buffer.extend_from_slice(frame);
        self.file.write(buffer, self.end.at)?;
        buffer.shrink_to(SPARE_BYTES);
        self.end = End {
            next: self.end.next + 1,
            at: to,
        };
        Ok(())
    }

    fn reserve(&mut self, to: u64) -> io::Result<()> {
        if to <= self.reserved {
            return Ok(());
        }
        let ahead = to.next_multiple_of(RESERVE_BYTES);
        // The last of the space is for what is there to be written.
        let reserved = self.file.reserve(self.reserved, ahead).map(|()| ahead);
        self.reserved = reserved.or_else(|_| self.file.reserve(self.reserved, to).map(|()| to))?;
        Ok(())
    }

    /// Cuts off what is behind the last frame, and syncs.
    pub(super) fn trim(&mut self) -> io::Result<()> {
        self.file.cut(self.end.at)?;
        self.reserved = self.end.at;
        self.torn = false;
        Ok(())
    }

    pub(super) fn is_synced(&self) -> bool {
        self.head.synced == self.end
    }

    /// Syncs the frames, and says so in the head, which the next sync brings to disk.
    ///
    /// After [`SyncError::Unknown`] nobody knows what the disk holds.
    pub(super) fn sync(&mut self) -> Result<(), SyncError> {
        if self.spoiled {
            self.rewrite()?;
            self.spoiled = false;
        }
        if let Err(cause) = self.file.sync() {
            self.spoiled = true;
            return Err(SyncError::of(cause));
        }
        // All is on disk: to say so later is no harm.
        let before = self.head.synced;
        self.head.synced = self.end;
        self.write_head().map_err(|cause| {
            self.head.synced = before;
            SyncError::of(cause)
        })
    }

    /// Writes the head as it is in memory now.
    pub(super) fn write_head(&self) -> io::Result<()> {
        self.file.write(&self.head.bytes(), 0)
    }

    /// Writes the frames since the last sync once more: the system takes them for written when a sync has failed.
    fn rewrite(&mut self) -> Result<(), SyncError> {
        let mut buffer = Vec::new();
        let scan = Scan::new(&self.file, self.head.synced, &mut buffer);
        let mut scan = scan.map_err(SyncError::Unknown)?;
        while scan.end() != self.end {
            let End { next, at } = scan.end();
            let Some(frame) = scan.frame().map_err(SyncError::Unknown)? else {
                let cause = io::Error::other("frames that were not synced are lost");
                return Err(SyncError::Unknown(cause));
            };
            let mut bytes = Mark::of(next, frame).bytes().to_vec();
            bytes.extend_from_slice(frame);
            self.file.write(&bytes, at).map_err(SyncError::of)?;
        }
        Ok(())
    }
}

/// How a sync failed.
#[derive(Debug)]
pub(super) enum SyncError {
    /// For lack of space: the next one tries again.
    Full(io::Error),
    /// In a way that leaves open what the disk holds.
    Unknown(io::Error),
}

impl SyncError {
    fn of(cause: io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SyncError::Full(cause),
            _ => SyncError::Unknown(cause),
        }
    }
}

/// Makes the file of a segment, durable with its name, in place of one that is there.
pub(super) fn create<D: Disk>(disk: &D, folder: &Path, head: &Head) -> Result<D::File, Fault> {
    let path = path(folder, head.segment);
    let unfinished = unfinished(folder, head.segment);
    let made = || {
        let file = disk.create(&unfinished)?;
        let mut bytes = head.bytes().to_vec();
        bytes.resize(FRAMES_AT as usize, 0);
        file.write(&bytes, 0)?;
        file.sync()?;
        disk.rename(&unfinished, &path)?;
        disk.sync_folder(folder)?;
        Ok(file)
    };
    made().map_err(|cause| Fault::from_io("create", &path, cause))
}

/// Reads the head of a segment's file.
pub(super) fn read_head<F: DiskFile>(
    file: &F,
    folder: &Path,
    segment: Segment,
) -> Result<Head, Fault> {
    let read = |cause| Fault::from_io("read", &path(folder, segment), cause);
    let place = Place::File { segment, offset: 0 };
    let damaged = |damage| corrupt(folder, place, damage);
    let mut bytes = [0; HEAD_BYTES];
    if file.len().map_err(read)? < FRAMES_AT {
        return Err(damaged(Damage::Head));
    }
    file.read(&mut bytes, 0).map_err(read)?;
    match Head::read(&bytes) {
        Ok(head) if head.segment == segment => Ok(head),
        Ok(_) | Err(BadHead::Damaged) => Err(damaged(Damage::Head)),
        Err(BadHead::Version(found)) => Err(Fault::Newer {
            path: folder.to_owned(),
            place,
            damage: Damage::Version {
                found,
                known: VERSION,
            },
        }),
    }
}

pub(super) fn corrupt(folder: &Path, place: Place, damage: Damage) -> Fault {
    Fault::Corrupt {
        path: folder.to_owned(),
        place,
        damage,
    }
}

pub(super) fn path(folder: &Path, segment: Segment) -> PathBuf {
    folder.join(format!("{segment:012}{SUFFIX}"))
}

/// The file that takes the place of a segment's once it is on disk.
pub(super) fn unfinished(folder: &Path, segment: Segment) -> PathBuf {
    folder.join(format!("{segment:012}{UNFINISHED}"))
}

/// The segment whose file has this name.
pub(super) fn named(name: &str) -> Option<Segment> {
    let number = name.strip_suffix(SUFFIX)?.parse().ok()?;
    (name == format!("{number:012}{SUFFIX}")).then_some(number)
}
