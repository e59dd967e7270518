//! The databases of a log: a folder for each segment, so that a segment that retires gives its room back.
//!
//! Sled's file never shrinks, and what it once read stays in memory until the database is closed. So every segment
//! begins a database of its own, and a retired one is removed whole. A folder gets its name once it is on disk, and
//! loses it before it is removed: one that has a name is whole.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use shoalmq_core::record::Segment;

use super::engine::Engine;
use crate::fault::Fault;

/// A database that is being made.
const NEW: &str = "new";
/// A database that is being removed.
const RETIRED: &str = "retired";

/// The database of a segment.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) segment: Segment,
    /// The number of its first piece.
    pub(super) first: u64,
    /// What its files take, as of when it was opened or became full.
    pub(super) bytes: u64,
}

impl Folder {
    /// Makes the database of a segment whose first piece has this number. It is on disk, and closed, when this returns.
    pub(super) fn create(root: &Path, segment: Segment, first: u64) -> Result<Self, Fault> {
        let new = root.join(NEW);
        remove(&new)?;
        // Sled makes its files; what it does not sync of them, we do.
        let engine = Engine::open(&new)?;
        drop(engine);
        for entry in entries(&new)? {
            sync(&entry)?;
        }
        sync(&new)?;
        let path = root.join(format!("{segment:012}.{first:020}"));
        rename(&new, &path)?;
        sync(root)?;
        Ok(Folder::named(path, segment, first))
    }

    fn named(path: PathBuf, segment: Segment, first: u64) -> Self {
        let bytes = bytes_in(&path);
        Folder {
            path,
            segment,
            first,
            bytes,
        }
    }

    /// Removes it. A crash may bring it back until this returns, but not a part of it.
    pub(super) fn remove(&self, root: &Path) -> Result<(), Fault> {
        let retired = root.join(RETIRED);
        remove(&retired)?;
        rename(&self.path, &retired)?;
        sync(root)?;
        remove(&retired)
    }

    /// What its files take now.
    pub(super) fn size(&self) -> u64 {
        bytes_in(&self.path)
    }

    pub(super) fn measure(&mut self) {
        self.bytes = self.size();
    }
}

/// Whether a folder of this name is the database of a segment below this one.
pub(super) fn is_below(name: &OsStr, below: Segment) -> bool {
    let named = name.to_str().and_then(named);
    named.is_some_and(|(segment, _)| segment < below)
}

/// Whether there is a database below `root`. Changes nothing.
pub(super) fn any(root: &Path) -> bool {
    let Ok(entries) = fs::read_dir(root) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        name.to_str().and_then(named).is_some()
    })
}

/// The segment and the first number that the name of a database tells.
fn named(name: &str) -> Option<(Segment, u64)> {
    let (segment, first) = name.split_once('.')?;
    Some((segment.parse().ok()?, first.parse().ok()?))
}

/// The databases below `root`, oldest first, without what a crash left half made or half removed.
pub(super) fn list(root: &Path) -> Result<Vec<Folder>, Fault> {
    remove(&root.join(NEW))?;
    remove(&root.join(RETIRED))?;
    let mut folders = Vec::new();
    for path in entries(root)? {
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some((segment, first)) = name.and_then(named) {
            folders.push(Folder::named(path, segment, first));
        }
    }
    // Segments rise with the numbers of their pieces.
    folders.sort_unstable_by_key(|folder| folder.first);
    Ok(folders)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    let read = |cause| Fault::from_io("read", folder, cause);
    let entries = fs::read_dir(folder).map_err(read)?;
    entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(read))
        .collect()
}

fn rename(from: &Path, to: &Path) -> Result<(), Fault> {
    fs::rename(from, to).map_err(|cause| Fault::from_io("rename", from, cause))
}

fn remove(folder: &Path) -> Result<(), Fault> {
    match fs::remove_dir_all(folder) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(Fault::from_io("remove", folder, cause))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn sync(path: &Path) -> Result<(), Fault> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|cause| Fault::from_io("sync", path, cause))
}

/// What the files of a folder take; 0 for what cannot be looked at.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().filter_map(|entry| {
        let meta = entry.metadata().ok()?;
        Some(if meta.is_dir() {
            bytes_in(&entry.path())
        } else {
            meta.len()
        })
    });
    sizes.sum()
}
