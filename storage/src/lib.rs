//! What a node keeps on disk: an append log of [records](shoalmq_core::record::Record), in two [streams].
//!
//! Each stream has a backend of its own, with its own segments, so that topics keep no segment of jobs from being dropped.
//! One daemon writes both, and their records share one count of positions.
//!
//! - [`record`] turns records into bytes and back: drawn there.
//! - [`backend`] keeps frames of records in segments: sled by default, memory for no disk at all.
//! - [`Store`] opens a backend and loads what it holds; [`journal`] is the daemon that writes to it from then on.
//! - [`fetch`] reads single jobs, and pages of entries, back from what is written.
//! - [`backup`] copies what a running journal has written.
//! - [`examine`] looks at a log, damaged or not, for the tools of an operator.
//! - [`fault`] is what can go wrong, by the decision that it calls for.
//!
//! ```text
//! start    Store::open ─► Store::load(records) ─► Store::into_backends ─► Journal::start
//! running  Journal::writer ─► push … ─► on_progress(written, synced) ─► what waited for it goes out
//! stop     push(Closed) ─► Journal::stop
//! ```
//!
//! The crate orders records and keeps them; what they mean, and which of them still count, is the core's.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use shoalmq_core::record::{Location, Record, Segment, Stream};

use crate::backend::Backend;
use crate::backend::log::Log;
use crate::backend::memory::Memory;
use crate::backend::sled::Sled;
use crate::backup::Part;
use crate::examine::{Examined, Found};
use crate::fault::Fault;
use crate::streams::{STREAMS, Streams};

pub mod backend;
pub mod backup;
pub mod examine;
pub mod fault;
pub mod fetch;
pub mod journal;
mod load;
pub mod record;
pub mod streams;
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
    /// The folder of a stream, below the data folder; none where nothing is on disk.
    pub fn folder(self, stream: Stream) -> Option<&'static str> {
        match self {
            StorageKind::Sled => Some(Sled::folder(stream)),
            StorageKind::Log => Some(Log::folder(stream)),
            StorageKind::Memory => None,
        }
    }

    /// Whether there is a log of this kind below the data folder, of whatever stream. Changes nothing.
    pub fn is_in(self, dir: &Path) -> bool {
        STREAMS
            .into_iter()
            .any(|stream| self.has_stream(dir, stream))
    }

    /// Whether there is the log of this stream below the data folder. Changes nothing.
    pub fn has_stream(self, dir: &Path, stream: Stream) -> bool {
        match self {
            StorageKind::Sled => Sled::is_in(dir, stream),
            StorageKind::Log => Log::is_in(dir, stream),
            StorageKind::Memory => false,
        }
    }

    /// Opens the log of one stream, and makes it when there is none.
    fn open(self, dir: &Path, stream: Stream) -> Result<Opened, Fault> {
        let (backend, path): (Box<dyn Backend>, _) = match self {
            StorageKind::Sled => {
                let sled = Sled::open(dir, stream)?;
                let path = sled.path().to_owned();
                (Box::new(sled), path)
            }
            StorageKind::Log => {
                let log = Log::open(dir, stream)?;
                let path = log.path().to_owned();
                (Box::new(log), path)
            }
            StorageKind::Memory => (Box::new(Memory::new()), dir.to_owned()),
        };
        Ok(Opened { backend, path })
    }

    /// Whether a file of this name may lie in the folder of a log of this kind that holds nothing yet.
    pub fn leaves(self, name: &str) -> bool {
        match self {
            StorageKind::Sled => matches!(name, "lock" | "synced" | "new" | "retired"),
            StorageKind::Log => Log::leaves(name),
            StorageKind::Memory => false,
        }
    }

    /// The files that hold the segments of a stream below one, which are closed, in the order in which they are to be
    /// copied; then [`StorageKind::finish_copy`] follows. Something was appended to the segment `below` since, unless the
    /// stream is empty.
    pub(crate) fn files(self, dir: &Path, stream: Stream, below: Segment) -> io::Result<Vec<Part>> {
        match self {
            StorageKind::Sled => Sled::files(dir, stream, below),
            StorageKind::Log => Log::files(dir, stream, below),
            StorageKind::Memory => Ok(Vec::new()),
        }
    }

    /// Makes a log of the copied files: below the folder `copy`, all up to the segment `below`.
    pub(crate) fn finish_copy(
        self,
        copy: &Path,
        stream: Stream,
        below: Segment,
    ) -> Result<(), Fault> {
        match self {
            StorageKind::Log => Log::finish_copy(copy, stream, below),
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
#[derive(Debug)]
pub struct Store {
    streams: Streams<Opened>,
}

/// The log of one stream.
struct Opened {
    backend: Box<dyn Backend>,
    /// What faults name.
    path: PathBuf,
}

impl Store {
    /// Opens the log of this kind below the data folder `dir`, both of its streams, and makes what is not there.
    ///
    /// Where another kind has its log it is [`Fault::Foreign`]: to start without those jobs is not for a node to decide.
    pub fn open(kind: StorageKind, dir: &Path) -> Result<Store, Fault> {
        refuse_foreign(kind, dir)?;
        Ok(Store {
            streams: Streams {
                jobs: kind.open(dir, Stream::Jobs)?,
                topics: kind.open(dir, Stream::Topics)?,
            },
        })
    }

    /// The log that backends hold already; faults name `path`.
    pub fn of(backends: Streams<Box<dyn Backend>>, path: &Path) -> Store {
        let opened = |backend| Opened {
            backend,
            path: path.to_owned(),
        };
        Store {
            streams: backends.map(opened),
        }
    }

    /// Visits every record in order, first those of jobs, then those of topics, each with its place in its stream. Tells
    /// `progress` after every frame.
    ///
    /// A record or frame at the very end of a stream may be torn, with nothing valid behind it: `torn_tail` says what
    /// then. After a fault the visits so far mean nothing. Frames are visited as they are read: what is loaded is not held
    /// in memory.
    pub fn load(
        &mut self,
        torn_tail: TornTail,
        mut visit: impl FnMut(Location, Record),
        mut progress: impl FnMut(&Streams<Loaded>),
    ) -> Result<Streams<Loaded>, Fault> {
        let mut loaded = self
            .streams
            .each_ref(|opened| Loaded::expecting(&*opened.backend));
        for stream in STREAMS {
            let Opened { backend, path } = &mut self.streams[stream];
            let log = load::Log {
                backend: backend.as_mut(),
                stream,
                path,
            };
            let read = load::load(log, torn_tail, &mut visit, &mut |so_far| {
                loaded[stream] = *so_far;
                progress(&loaded);
            })?;
            loaded[stream] = read;
        }
        Ok(loaded)
    }

    /// Visits everything that can be read, and tells of what cannot, without changing anything: see [`examine`].
    ///
    /// A fault is what the engine of a stream itself stumbled over; the visits before it count.
    pub fn examine(
        &mut self,
        mut visit: impl FnMut(Stream, Segment, Found<'_>),
    ) -> Streams<Result<Examined, Fault>> {
        Streams::each(|stream| {
            let backend = self.streams[stream].backend.as_mut();
            examine::examine(backend, stream, &mut visit)
        })
    }

    /// The same for the log below a data folder, where one stream may be such that it cannot even be opened. Makes nothing
    /// of a stream that is not there.
    pub fn examine_in(
        kind: StorageKind,
        dir: &Path,
        mut visit: impl FnMut(Stream, Segment, Found<'_>),
    ) -> Streams<Result<Examined, Fault>> {
        Streams::each(|stream| {
            if !kind.has_stream(dir, stream) {
                return Ok(Examined::default());
            }
            let mut opened = kind.open(dir, stream)?;
            examine::examine(opened.backend.as_mut(), stream, &mut visit)
        })
    }

    /// The backends, for [`journal::Journal::start`]: each with the segment after its [`Loaded::last_segment`], or 1.
    pub fn into_backends(self) -> Streams<Box<dyn Backend>> {
        self.streams.map(|opened| opened.backend)
    }
}

fn refuse_foreign(wanted: StorageKind, dir: &Path) -> Result<(), Fault> {
    let found = match wanted {
        StorageKind::Sled => StorageKind::Log,
        StorageKind::Log => StorageKind::Sled,
        StorageKind::Memory => return Ok(()),
    };
    let folders: Vec<_> = STREAMS
        .into_iter()
        .filter(|&stream| found.has_stream(dir, stream))
        .filter_map(|stream| found.folder(stream))
        .map(|name| dir.join(name))
        .collect();
    if folders.is_empty() {
        return Ok(());
    }
    Err(Fault::Foreign {
        path: dir.to_owned(),
        folders,
        wanted,
        found,
    })
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
