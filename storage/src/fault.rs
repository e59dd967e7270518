//! What can go wrong with the log: one variant per decision that a caller can take.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use shoalmq_core::record::Segment;

use crate::StorageKind;
use crate::backend::Sequence;
use crate::record::Invalid;

/// The disk, or what is on it, misbehaved.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The folder belongs to another process: stop, and say so.
    #[error("open job log {}: another process has it open", .path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The permissions, or a read-only file system, forbid it: an operator has to act.
    #[error("{act} {}: not permitted", .path.display())]
    Denied {
        /// What was tried.
        act: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// No space, or no quota, is left: works again once there is.
    #[error("{act} {}: the disk is full", .path.display())]
    Full {
        /// What was tried.
        act: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The system refused for any other reason.
    #[error("{act} {}", .path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// What was written once is there no more, or is not what was written: restore it, or set the folder aside.
    #[error(
        "read job log {path}: damaged {place}; restore the folder from a copy, or move {path} away to start without what it holds",
        path = .path.display()
    )]
    Corrupt {
        /// The folder.
        path: PathBuf,
        /// Where in the log.
        place: Place,
        /// What is wrong there.
        #[source]
        damage: Damage,
    },
    /// The log breaks off in its last record or frame, and is not to be cut there unasked: an operator has to decide.
    #[error("read job log {}: torn at its end, {place}; set aof-load-truncated yes to cut it off", .path.display())]
    Torn {
        /// The folder.
        path: PathBuf,
        /// Where in the log.
        place: Place,
        /// What is wrong there.
        #[source]
        damage: Damage,
    },
    /// A reader came too late: the segment was dropped.
    #[error("read job log {}: segment {segment} is retired", .path.display())]
    Retired {
        /// The folder.
        path: PathBuf,
        /// Which segment.
        segment: Segment,
    },
    /// A newer node wrote it: run that version.
    #[error("read job log {}: a newer version wrote what is {place}; run the newer version", .path.display())]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Where in the log.
        place: Place,
        /// How this node knows.
        #[source]
        damage: Damage,
    },
    /// Another backend keeps its log in the data folder: start with that one, or convert it.
    #[error(
        "open job log {path}: storage is {wanted}, but the folder holds a log of storage {found}; start with storage {found}, \
         or convert it first: shoalmq storage convert; if its jobs are not wanted, move {folders} away",
        path = .path.display(),
        folders = list(.folders)
    )]
    Foreign {
        /// The data folder.
        path: PathBuf,
        /// The folders of the other backend's log.
        folders: Vec<PathBuf>,
        /// The backend that is to be opened.
        wanted: StorageKind,
        /// The backend that has a log there.
        found: StorageKind,
    },
}

impl Fault {
    /// Sorts what the system said by the decision that it calls for.
    pub fn from_io(act: &'static str, path: &Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Fault::Full { act, path, cause }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Fault::Denied { act, path, cause }
            }
            _ => Fault::Io { act, path, cause },
        }
    }

    /// Space or quota ran out, so that the same act succeeds once there is some.
    pub fn is_full(&self) -> bool {
        matches!(self, Fault::Full { .. })
    }
}

fn list(folders: &[PathBuf]) -> String {
    let names: Vec<_> = folders
        .iter()
        .map(|folder| folder.display().to_string())
        .collect();
    names.join(" and ")
}

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The engine could not say.
    Anywhere,
    /// Somewhere in this segment.
    Segment {
        /// Which one.
        segment: Segment,
    },
    /// In the file of a segment.
    File {
        /// Which one.
        segment: Segment,
        /// The byte in the file.
        offset: u64,
    },
    /// At this frame.
    Frame {
        /// Its segment.
        segment: Segment,
        /// Which frame.
        sequence: Sequence,
    },
    /// At this record.
    Record {
        /// Its segment.
        segment: Segment,
        /// Its frame.
        sequence: Sequence,
        /// The bytes before it in the frame.
        offset: usize,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Anywhere => f.write_str("at a place that the engine could not tell"),
            Place::Segment { segment } => write!(f, "in segment {segment}"),
            Place::File { segment, offset } => {
                write!(f, "in file {segment:012}.log at byte {offset}")
            }
            Place::Frame { segment, sequence } => {
                write!(f, "in segment {segment} at frame {sequence}")
            }
            Place::Record {
                segment,
                sequence,
                offset,
            } => write!(
                f,
                "in segment {segment} at byte {offset} of frame {sequence}"
            ),
        }
    }
}

/// What is wrong at a damaged place.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The bytes are not a record, and valid ones follow.
    #[error(transparent)]
    Record(#[from] Invalid),
    /// The frame was not written to its end.
    #[error("the frame is cut off")]
    Unfinished,
    /// What was written as a frame, and synced, is no frame any more.
    #[error("frame {sequence} is not what was written")]
    Frame {
        /// Which one.
        sequence: Sequence,
    },
    /// The log ends before a frame that was synced.
    #[error("the log ends before frame {expected}, and was synced beyond it")]
    Lost {
        /// The first frame that is missing.
        expected: Sequence,
    },
    /// The beginning of the file is not what was written.
    #[error("the head of the file is not what was written")]
    Head,
    /// The file has a layout that this node does not know.
    #[error("the file has version {found}, this node reads version {known}")]
    Version {
        /// Its version.
        found: u32,
        /// The one that this node knows.
        known: u32,
    },
    /// The file is not there.
    #[error("the file is missing")]
    Missing,
    /// Frames are missing before the place.
    #[error("frames are missing: {expected} should come next")]
    Gap {
        /// The frame that should be there.
        expected: Sequence,
    },
    /// The record belongs to the other stream of the log.
    #[error("the record belongs into the other folder of the log")]
    Stream,
    /// There is a key that this node would never write.
    #[error("a key is not the number of a frame")]
    Key,
    /// The engine refuses its own files.
    #[error("the storage engine refuses its files")]
    Engine(#[source] Box<dyn Error + Send + Sync>),
    /// The engine panicked on its own files, with this message.
    #[error("the storage engine gave up on its files: {0}")]
    Panic(String),
}
