//! A copy of a log while it is written.
//!
//! For a copy of everything so far, the caller rolls the journal first, so that everything lies in closed segments. Their
//! files are written no more, and until they are copied no segment is dropped. Then the copy is opened, and every record
//! in it read. Where a closed file is never changed in place, and both folders are on one file system, a second name is as
//! good as a copy.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shoalmq_core::record::Segment;

use crate::examine::Found;
use crate::fault::Fault;
use crate::journal::{Journal, Position};
use crate::streams::{STREAMS, Streams};
use crate::{StorageKind, Store};

#[cfg(test)]
mod tests;

/// The segments of both streams of a journal before some, none of which is dropped while this lives.
#[derive(Debug)]
pub struct Backup {
    hold: Hold,
    kind: StorageKind,
    /// The data folder.
    folder: PathBuf,
    below: Streams<Segment>,
    until: Position,
}

/// The journal drops no segment while this lives.
#[derive(Debug)]
struct Hold(Journal);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// A file that belongs into the copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Below the data folder.
    pub(crate) name: PathBuf,
    /// It is never changed in place, only removed: a second name for it will do.
    pub(crate) is_final: bool,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The log was not written, or not synced, up to the moment of the copy.
    #[error("the job log could not be synced")]
    Unsynced(#[source] Arc<Fault>),
    /// A file could not be read or written.
    #[error("copy {} to {}", from.display(), to.display())]
    Copy {
        /// Which one.
        from: PathBuf,
        /// Where its copy goes.
        to: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The disk has no room for it.
    #[error(
        "the copy takes {wanted} bytes, and {} has {free} free, of which {reserve} are to stay so; free some, or name a \
         folder on another disk", to.display()
    )]
    NoRoom {
        /// Where the copy goes.
        to: PathBuf,
        /// What it takes.
        wanted: u64,
        /// What the disk has.
        free: u64,
        /// What the node needs of that.
        reserve: u64,
    },
    /// The copy cannot be read.
    #[error("read the copy again")]
    Unreadable(#[from] Fault),
    /// The copy is not what a log has to be, here.
    #[error("the copy is damaged {0}")]
    Damaged(String),
}

impl Backup {
    /// Begins one of all that lies before the segments `below`, to which [`Journal::roll`] rolled, in the log of this kind
    /// below the data folder.
    pub fn begin(
        journal: &Journal,
        kind: StorageKind,
        folder: &Path,
        below: Streams<Segment>,
    ) -> Self {
        let until = journal.hold();
        Backup {
            hold: Hold(journal.clone()),
            kind,
            folder: folder.to_owned(),
            below,
            until,
        }
    }

    /// Copies everything to a folder that has no log, and syncs it. Leaves `reserve` bytes free on the disk of the node.
    /// Tells `progress` how many bytes of files were copied, and how many there are; returns how many records the copy
    /// holds.
    ///
    /// Waits for the disk, and for what is not written yet: not for a thread that serves clients.
    pub fn copy(
        self,
        to: &Path,
        reserve: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<u64, BackupError> {
        let Backup {
            hold,
            kind,
            folder,
            below,
            until,
        } = self;
        // It also ends a retirement that began before.
        hold.0.flush(until).map_err(BackupError::Unsynced)?;
        let failed = |from: &Path, to: &Path| {
            let (from, to) = (from.to_owned(), to.to_owned());
            move |cause| BackupError::Copy { from, to, cause }
        };
        let mut parts = Vec::new();
        for stream in STREAMS {
            let files = kind.files(&folder, stream, below[stream]);
            parts.extend(files.map_err(failed(&folder, to))?);
        }
        let shares = device(&folder).and_then(|device_of| Ok(device_of == device(to)?));
        let shares = shares.map_err(failed(&folder, to))?;
        let (mut total, mut wanted) = (0, 0);
        for Part { name, is_final } in &parts {
            let bytes = fs::metadata(folder.join(name)).map(|meta| meta.len());
            let bytes = bytes.map_err(failed(&folder, to))?;
            total += bytes;
            wanted += if *is_final && shares { 0 } else { bytes };
        }
        let free = free(to).map_err(failed(&folder, to))?;
        let reserve = if shares { reserve } else { 0 };
        if free < wanted.saturating_add(reserve) {
            let to = to.to_owned();
            return Err(BackupError::NoRoom {
                to,
                wanted,
                free,
                reserve,
            });
        }
        let mut copied = 0;
        for Part { name, is_final } in parts {
            let (from, to) = (folder.join(&name), to.join(&name));
            progress(copied, total);
            copied += copy_file(&from, &to, is_final && shares).map_err(failed(&from, &to))?;
        }
        drop(hold);
        for stream in STREAMS {
            kind.finish_copy(to, stream, below[stream])?;
        }
        let records = verify(kind, to)?;
        sync_folder(to).map_err(failed(&folder, to))?;
        progress(copied, total);
        Ok(records)
    }
}

/// Reads every record of the copy.
fn verify(kind: StorageKind, copy: &Path) -> Result<u64, BackupError> {
    let mut damaged = None;
    let mut store = Store::open(kind, copy)?;
    let examined = store.examine(|stream, _, found| {
        if let Found::Damage { place, damage } = found {
            let folder = kind.folder(stream).unwrap_or_default();
            damaged.get_or_insert_with(|| format!("in {folder}, {place}: {damage}"));
        }
    });
    let records = examined.jobs?.records + examined.topics?.records;
    match damaged {
        Some(damage) => Err(BackupError::Damaged(damage)),
        None => Ok(records),
    }
}

fn device(folder: &Path) -> io::Result<u64> {
    Ok(fs::metadata(folder)?.dev())
}

/// What this process may still use of the disk of a folder, in bytes.
fn free(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Copies a file, or gives it a second name where it may have one. Returns its bytes.
fn copy_file(from: &Path, to: &Path, links: bool) -> io::Result<u64> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    // Not every file system knows second names.
    if links && fs::hard_link(from, to).is_ok() {
        return Ok(fs::metadata(to)?.len());
    }
    fs::copy(from, to)
}

/// Syncs a folder with all files and folders below it, whether or not an engine did.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_folder(&path)?;
        } else {
            File::open(&path)?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

/// All files below `folder`, without folders, each as its path from `root` on.
pub(crate) fn files_below(root: &Path, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            files.extend(files_below(root, &name)?);
        } else {
            files.push(name);
        }
    }
    Ok(files)
}
