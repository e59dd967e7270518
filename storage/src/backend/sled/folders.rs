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
use crate::fault::{Damage, Fault, Place};

/// A database that is being made.
const NEW: &str = "new";
/// A database that is being removed.
const RETIRED: &str = "retired";
/// The database of all segments that earlier versions wrote; its files lay beside the lock.
const OLD: &str = "old";
/// Sled's files, as far as their names are fixed.
const SLED_FILES: [&str; 3] = ["conf", "blobs", "db"];
const SLED_SNAPSHOT: &str = "snap.";

/// A database.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// Its segment; the last one, if there are several.
    pub(super) last: Segment,
    /// How many segments it has.
    pub(super) segments: u64,
    /// The number of its first piece; none when that is not known.
    pub(super) first: Option<u64>,
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
            last: segment,
            segments: 1,
            first: Some(first),
            bytes,
        }
    }

    /// The database of an earlier version.
    fn old(path: PathBuf) -> Result<Self, Fault> {
        let segments = Engine::open(&path)?.segments();
        let bytes = bytes_in(&path);
        Ok(Folder {
            path,
            last: segments.last().copied().unwrap_or(0),
            segments: segments.len() as u64,
            first: None,
            bytes,
        })
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

/// Whether a folder of this name is the database of segments below one.
pub(super) fn is_below(name: &OsStr, below: Segment) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let segment = name
        .split_once('.')
        .and_then(|(segment, _)| segment.parse().ok());
    segment.is_some_and(|segment: Segment| segment < below) || name == OLD
}

/// Whether there is a database below `root`. Changes nothing.
pub(super) fn any(root: &Path) -> bool {
    let Ok(entries) = fs::read_dir(root) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_str();
        matches!(name, Some("db" | OLD)) || name.is_some_and(|name| named(name).is_some())
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
    adopt(root)?;
    let mut folders = Vec::new();
    for path in entries(root)? {
        let name = path.file_name().and_then(|name| name.to_str());
        match name.and_then(named) {
            Some((segment, first)) => folders.push(Folder::named(path, segment, first)),
            None if name == Some(OLD) => folders.push(Folder::old(path)?),
            None => {}
        }
    }
    // Segments rise with the numbers of their pieces, and those of an earlier version came before.
    folders.sort_unstable_by_key(|folder| folder.first);
    Ok(folders)
}

/// Moves the files of an earlier version into a folder of their own. A crash leaves the rest for the next start.
fn adopt(root: &Path) -> Result<(), Fault> {
    let is_sled = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| SLED_FILES.contains(&name) || name.starts_with(SLED_SNAPSHOT))
    };
    let files: Vec<PathBuf> = entries(root)?.into_iter().filter(is_sled).collect();
    if files.is_empty() {
        return Ok(());
    }
    let old = root.join(OLD);
    fs::create_dir_all(&old).map_err(|cause| Fault::from_io("create", &old, cause))?;
    for file in files {
        let to = old.join(file.file_name().expect("an entry has a name"));
        if to.exists() {
            // An earlier version began a log of its own beside this one.
            return Err(Fault::Corrupt {
                path: root.to_owned(),
                place: Place::Anywhere,
                damage: Damage::Mixed,
            });
        }
        rename(&file, &to)?;
    }
    sync(&old)?;
    sync(root)
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
