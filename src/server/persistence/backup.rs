//! BACKUP: a consistent copy of the log, made beside the service by a thread of its own.
//!
//! The log is rolled, so that all that was answered so far lies in closed segments; their files are copied, and the
//! folder gets its name only once everything is on disk and was read again.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use shoalmq_core::event::Event;
use shoalmq_core::record::Stream;
use shoalmq_storage::StorageKind;
use shoalmq_storage::backup::{Backup, BackupError, sync_folder};
use shoalmq_storage::streams::Streams;
use thiserror::Error;
use tracing::{error, info};

use super::{LogState, Space, load};
use crate::config::Config;
use crate::server::driver::{Driver, Shared};
use crate::server::identity::Identity;

/// Added to the name of the folder until the backup is complete.
const PARTIAL: &str = "partial";

/// The backup that is under way, and the last one that ended.
#[derive(Debug, Default)]
pub(crate) struct Backups {
    running: Option<Running>,
    last: Option<Ended>,
}

#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) directory: PathBuf,
    since: Instant,
    progress: Arc<Mutex<Copied>>,
}

/// How far a backup is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Copied {
    pub(crate) bytes: u64,
    pub(crate) total: u64,
}

impl Running {
    pub(crate) fn copied(&self) -> Copied {
        *self.progress.lock()
    }
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) directory: PathBuf,
    pub(crate) took: Duration,
    /// How many records were copied, or why they were not.
    pub(crate) result: Result<u64, String>,
}

impl Backups {
    pub(crate) fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    pub(crate) fn last(&self) -> Option<&Ended> {
        self.last.as_ref()
    }
}

/// Why a backup does not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoBackup {
    /// There is no log on disk.
    NoLog,
    /// One is under way.
    Running,
    /// The directory cannot be used, for this reason.
    Directory(&'static str),
}

#[derive(Debug, Error)]
enum Failed {
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error("{act} {}", path.display())]
    Io {
        act: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
}

impl Failed {
    fn io(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Failed {
        let path = path.to_owned();
        move |cause| Failed::Io { act, path, cause }
    }
}

/// What the thread works on.
struct Task {
    backup: Backup,
    /// Bytes that are to stay free on the disk of the log.
    reserve: u64,
    directory: PathBuf,
    progress: Arc<Mutex<Copied>>,
    /// What `node.conf` is to say.
    identity: String,
}

impl Driver {
    /// Begins a backup of all that was answered so far, to a directory that was found [`usable`].
    pub(crate) fn start_backup(
        &mut self,
        shared: &Arc<Shared>,
        directory: &Path,
        usable: Result<(), &'static str>,
    ) -> Result<(), NoBackup> {
        if self.backups.running.is_some() {
            return Err(NoBackup::Running);
        }
        let kind = load::kind(&self.config);
        let journal = match &self.log {
            LogState::On(journal) if kind != StorageKind::Memory => journal.clone(),
            LogState::On(_) | LogState::Off => return Err(NoBackup::NoLog),
        };
        usable.map_err(NoBackup::Directory)?;
        let below = Streams::each(|stream| journal.roll(stream));
        self.feed(Event::SegmentStarted(Stream::Jobs, below.jobs));
        self.feed(Event::SegmentStarted(Stream::Topics, below.topics));
        let backup = Backup::begin(&journal, kind, &self.config.dir, below);
        let running = Running {
            directory: directory.to_owned(),
            since: Instant::now(),
            progress: Arc::default(),
        };
        let task = Task {
            backup,
            reserve: reserve(&self.config),
            directory: directory.to_owned(),
            progress: Arc::clone(&running.progress),
            identity: self.identity.for_backup(),
        };
        info!(directory = %directory.display(), "backup starts");
        self.backups.running = Some(running);
        let sharing = Arc::clone(shared);
        let thread = thread::Builder::new()
            .name("backup".to_owned())
            .spawn(move || {
                let result = task.run();
                sharing.driver.lock().end_backup(result);
            });
        if let Err(cause) = thread {
            self.end_backup(Err(Failed::io("start a thread for", directory)(cause)));
        }
        Ok(())
    }

    fn end_backup(&mut self, result: Result<u64, Failed>) {
        let Some(running) = self.backups.running.take() else {
            return;
        };
        let (directory, took) = (running.directory, running.since.elapsed());
        let result = result.map_err(|failed| super::describe(&failed as &dyn Error));
        match &result {
            Ok(records) => {
                info!(directory = %directory.display(), records, ?took, "backup complete");
            }
            Err(reason) => error!(directory = %directory.display(), reason, "backup failed"),
        }
        self.backups.last = Some(Ended {
            directory,
            took,
            result,
        });
    }
}

/// Whether a backup can become this directory: a name that is free, or an empty folder, below one that is there.
///
/// Waits for the disk that a client named: not with the lock of the node held.
pub(crate) fn usable(directory: &Path) -> Result<(), &'static str> {
    if !directory.is_absolute() {
        return Err("not an absolute path");
    }
    let Some(parent) = directory
        .parent()
        .filter(|_| directory.file_name().is_some())
    else {
        return Err("not the name of a folder");
    };
    if !parent.is_dir() {
        return Err("the folder that it would be in does not exist");
    }
    // It is told in lines of INFO.
    if directory.to_string_lossy().contains(char::is_control) {
        return Err("its name has a control character");
    }
    match fs::read_dir(directory).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err("not empty"),
        Ok(false) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => Err("there is something that is no readable folder"),
    }
}

/// What the node keeps free on its disk; nothing where the disk does not say how large it is.
fn reserve(config: &Config) -> u64 {
    Space::of(&config.dir).map_or(0, |space| space.reserve(config))
}

impl Task {
    fn run(self) -> Result<u64, Failed> {
        let mut partial = self.directory.clone().into_os_string();
        partial.push(".");
        partial.push(PARTIAL);
        let partial = PathBuf::from(partial);
        // Left by a node that was killed amid a backup, if it is there: not ours to remove.
        fs::create_dir(&partial).map_err(Failed::io("make", &partial))?;
        let done = self.fill(&partial);
        if done.is_err()
            && let Err(error) = fs::remove_dir_all(&partial)
        {
            error!(folder = %partial.display(), %error, "what was made of a backup cannot be removed");
        }
        done
    }

    fn fill(self, partial: &Path) -> Result<u64, Failed> {
        let Task {
            backup,
            reserve,
            directory,
            progress,
            identity,
        } = self;
        let records = backup.copy(partial, reserve, &mut |bytes, total| {
            *progress.lock() = Copied { bytes, total };
        })?;
        let file = partial.join(Identity::FILE);
        File::create(&file)
            .and_then(|mut file| file.write_all(identity.as_bytes()))
            .map_err(Failed::io("write", &file))?;
        sync_folder(partial).map_err(Failed::io("sync", partial))?;
        fs::rename(partial, &directory).map_err(Failed::io("rename to", &directory))?;
        if let Some(parent) = directory.parent() {
            File::open(parent)
                .and_then(|parent| parent.sync_all())
                .map_err(Failed::io("sync", parent))?;
        }
        Ok(records)
    }
}
