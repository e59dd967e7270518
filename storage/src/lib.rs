//! What a node keeps on disk: an append log of [records](shoalmq_core::record::Record).
//!
//! - [`record`] turns records into bytes and back: drawn there.
//! - [`backend`] keeps frames of records in segments: sled by default, memory for no disk at all.
//! - [`Store`] opens a backend and loads what it holds; [`journal`] is the daemon that writes to it from then on.
//! - [`fetch`] reads single jobs back from what is written.
//! - [`backup`] copies what a running journal has written.
//! - [`examine`] looks at a log, damaged or not, for the tools of an operator.
//! - [`fault`] is what can go wrong, by the decision that it calls for.
//!
//! ```text
//! start    Store::open ─► Store::load(records) ─► Store::into_backend ─► Journal::start
//! running  Journal::writer ─► push … ─► on_progress(written, synced) ─► what waited for it goes out
//! stop     push(Closed) ─► Journal::stop
//! ```
//!
//! The crate orders records and keeps them; what they mean, and which of them still count, is the core's.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use shoalmq_core::record::{Location, Record, Segment};

use crate::backend::Backend;
use crate::backend::log::Log;
use crate::backend::memory::Memory;
use crate::backend::sled::Sled;
use crate::backup::Part;
use crate::examine::{Examined, Found};
use crate::fault::Fault;

pub mod backend;
pub mod backup;
pub mod examine;
pub mod fault;
pub mod fetch;
pub mod journal;
mod load;
pub mod record;
#[cfg(test)]
mod tests;

pub use load::{Loaded, TornTail};

/// The backends to choose from: the `storage` directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StorageKind {
    /// Sled, below the data folder.
    #[default]
    Sled,
    /// Segment files of its own, below the data folder.
    Log,
    /// Nothing on disk.
    Memory,
}

impl StorageKind {
    /// Whether there is a log of this kind below the data folder. Changes nothing.
    pub fn is_in(self, dir: &Path) -> bool {
        match self {
            StorageKind::Sled => Sled::is_in(dir),
            StorageKind::Log => Log::is_in(dir),
            StorageKind::Memory => false,
        }
    }

    /// Whether a file of this name may lie in the folder of a log of this kind that holds nothing yet.
    pub fn leaves(self, name: &str) -> bool {
        match self {
            StorageKind::Sled => matches!(name, "lock" | "synced" | "new" | "retired"),
            StorageKind::Log => Log::leaves(name),
            StorageKind::Memory => false,
        }
    }

    /// The files that hold the segments below one, which are closed, in the order in which they are to be copied; then
    /// [`StorageKind::finish_copy`] follows. Something was appended to the segment `below` since.
    pub(crate) fn files(self, dir: &Path, below: Segment) -> io::Result<Vec<Part>> {
        match self {
            StorageKind::Sled => Sled::files(dir, below),
            StorageKind::Log => Log::files(dir, below),
            StorageKind::Memory => Ok(Vec::new()),
        }
    }

    /// Makes a log of the copied files: below the folder `copy`, all up to the segment `below`.
    pub(crate) fn finish_copy(self, copy: &Path, below: Segment) -> Result<(), Fault> {
        match self {
            StorageKind::Log => Log::finish_copy(copy, below),
            StorageKind::Sled | StorageKind::Memory => Ok(()),
        }
    }
}

impl fmt::Display for StorageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StorageKind::Sled => "sled",
            StorageKind::Log => "log",
            StorageKind::Memory => "memory",
        })
    }
}

/// An open log, before anything is written to it.
pub struct Store {
    backend: Box<dyn Backend>,
    path: PathBuf,
}

impl Store {
    /// Opens the log of this kind below the data folder `dir`, and makes it when there is none.
    ///
    /// Where another kind has its log it is [`Fault::Foreign`]: to start without those jobs is not for a node to decide.
    pub fn open(kind: StorageKind, dir: &Path) -> Result<Store, Fault> {
        refuse_foreign(kind, dir)?;
        Ok(match kind {
            StorageKind::Log => {
                let log = Log::open(dir)?;
                let path = log.path().to_owned();
                Store::of(Box::new(log), &path)
            }
            StorageKind::Sled => {
                let sled = Sled::open(dir)?;
                let path = sled.path().to_owned();
                Store::of(Box::new(sled), &path)
            }
            StorageKind::Memory => Store::of(Box::new(Memory::new()), dir),
        })
    }

    /// The log that a backend holds already; faults name `path`.
    pub fn of(backend: Box<dyn Backend>, path: &Path) -> Store {
        Store {
            backend,
            path: path.to_owned(),
        }
    }

    /// Visits every record in order, with its place, and tells `progress` after every frame.
    ///
    /// A record or frame at the very end may be torn, with nothing valid behind it: `torn_tail` says what then. After a
    /// fault the visits so far mean nothing. Frames are visited as they are read: what is loaded is not held in memory.
    pub fn load(
        &mut self,
        torn_tail: TornTail,
        mut visit: impl FnMut(Location, Record),
        mut progress: impl FnMut(&Loaded),
    ) -> Result<Loaded, Fault> {
        let backend = self.backend.as_mut();
        load::load(backend, &self.path, torn_tail, &mut visit, &mut progress)
    }

    /// Visits everything that can be read, and tells of what cannot, without changing anything: see [`examine`].
    ///
    /// A fault is what the engine itself stumbled over; the visits before it count.
    pub fn examine(
        &mut self,
        mut visit: impl FnMut(Segment, Found<'_>),
    ) -> Result<Examined, Fault> {
        examine::examine(self.backend.as_mut(), &mut visit)
    }

    /// The backend, for [`journal::Journal::start`]: with the segment after [`Loaded::last_segment`], or 1.
    pub fn into_backend(self) -> Box<dyn Backend> {
        self.backend
    }
}

fn refuse_foreign(wanted: StorageKind, dir: &Path) -> Result<(), Fault> {
    let (found, name) = match wanted {
        StorageKind::Sled if Log::is_in(dir) => (StorageKind::Log, "log"),
        StorageKind::Log if Sled::is_in(dir) => (StorageKind::Sled, "sled"),
        StorageKind::Sled | StorageKind::Log | StorageKind::Memory => return Ok(()),
    };
    Err(Fault::Foreign {
        path: dir.to_owned(),
        folder: dir.join(name),
        wanted,
        found,
    })
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
