//! The data folder of a stopped node: which log it holds, and keeping nodes away from it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use shoalmq_storage::streams::{STREAMS, Streams};
use tempfile::TempDir;

use super::{Disk, ReadArgs, ToolError, progress};

/// What a node locks while it runs on its folder.
const LOCK: &str = "node.lock";
/// What a backend locks in its own folder.
const ENGINE_LOCK: &str = "lock";

/// A data folder that no node can use while this lives.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    _locks: Vec<File>,
}

impl Folder {
    /// Keeps nodes away, and makes nothing: for reading. Others may read at the same time.
    pub(super) fn to_read(path: &Path) -> Result<Self, ToolError> {
        let mut locks = Vec::new();
        let streams = Disk::ALL.map(|disk| STREAMS.map(|stream| disk.folder(stream)));
        let names = streams.iter().flatten();
        let names: Vec<_> = names
            .map(|name| Path::new(name).join(ENGINE_LOCK))
            .collect();
        for name in [PathBuf::from(LOCK)].iter().chain(&names) {
            let file = path.join(name);
            match File::open(&file) {
                Ok(lock) => locks.push(locked(path, lock, FlockOperation::NonBlockingLockShared)?),
                // A copy that nobody has started a node on.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(ToolError::io("open", &file)(error)),
            }
        }
        Ok(Folder {
            path: path.to_owned(),
            _locks: locks,
        })
    }

    /// Keeps everybody away.
    pub(super) fn to_write(path: &Path) -> Result<Self, ToolError> {
        // A folder without a log gets no lock file.
        drop(Folder::to_read(path)?);
        logs(path)?;
        let file = path.join(LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&file)
            .map_err(ToolError::io("open", &file))?;
        let lock = locked(path, lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Folder {
            path: path.to_owned(),
            _locks: vec![lock],
        })
    }

    /// The logs in it: at least one.
    pub(super) fn logs(&self) -> Result<Vec<Disk>, ToolError> {
        logs(&self.path)
    }

    /// The only log in it.
    fn log(&self) -> Result<Disk, ToolError> {
        match self.logs()?[..] {
            [disk] => Ok(disk),
            ref many => {
                let names: Vec<_> = many.iter().map(|disk| disk.name()).collect();
                Err(ToolError::ManyLogs {
                    names: names.join(", "),
                    dir: self.path.clone(),
                })
            }
        }
    }
}

fn locked(path: &Path, lock: File, how: FlockOperation) -> Result<File, ToolError> {
    match flock(&lock, how) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(ToolError::Locked(path.to_owned())),
        Err(error) => Err(ToolError::io("lock", path)(error.into())),
    }
}

fn logs(path: &Path) -> Result<Vec<Disk>, ToolError> {
    let there: Vec<_> = Disk::ALL
        .into_iter()
        .filter(|disk| disk.kind().is_in(path))
        .collect();
    if there.is_empty() {
        return Err(ToolError::NoLog(path.to_owned()));
    }
    Ok(there)
}

/// A log that is read from a copy of its files: engines write to what they open, if only to repair it.
pub(super) struct ReadOnly {
    pub(super) disk: Disk,
    /// Where each stream of the log itself is.
    pub(super) paths: Streams<PathBuf>,
    /// The size of the files of each.
    pub(super) bytes: Streams<u64>,
    copy: TempDir,
    _folder: Folder,
}

impl ReadOnly {
    /// Copies the log of a data folder.
    pub(super) fn copied(args: &ReadArgs) -> Result<Self, ToolError> {
        let folder = Folder::to_read(&args.dir)?;
        let disk = folder.log()?;
        let paths = Streams::each(|stream| args.dir.join(disk.folder(stream)));
        let copy = match &args.scratch {
            Some(scratch) => tempfile::Builder::new()
                .prefix("shoalmq-")
                .tempdir_in(scratch),
            None => tempfile::Builder::new().prefix("shoalmq-").tempdir(),
        };
        let place = args.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let copy = copy.map_err(ToolError::io("make a folder in", &place))?;
        let files = Streams {
            jobs: files_below(&paths.jobs)?,
            topics: files_below(&paths.topics)?,
        };
        let bytes = files.each_ref(|files| files.iter().map(|file| file.bytes).sum());
        let bar = progress::bytes("copy", bytes.values().sum());
        let files = files.iter();
        for (stream, file) in
            files.flat_map(|(stream, all)| all.iter().map(move |one| (stream, one)))
        {
            let (from, to) = (
                paths[stream].join(&file.name),
                copy.path().join(disk.folder(stream)).join(&file.name),
            );
            let parent = to.parent().unwrap_or(copy.path());
            fs::create_dir_all(parent).map_err(ToolError::io("make", parent))?;
            fs::copy(&from, &to).map_err(ToolError::io(
                "copy to the folder given by --scratch, or $TMPDIR,",
                &from,
            ))?;
            bar.inc(file.bytes);
        }
        bar.finish_and_clear();
        Ok(ReadOnly {
            disk,
            paths,
            bytes,
            copy,
            _folder: folder,
        })
    }

    /// The data folder that holds the copy.
    pub(super) fn copy(&self) -> &Path {
        self.copy.path()
    }
}

struct LogFile {
    /// Below the folder of the log.
    name: PathBuf,
    bytes: u64,
}

/// None where there is no such folder.
fn files_below(folder: &Path) -> Result<Vec<LogFile>, ToolError> {
    let mut files = Vec::new();
    let mut folders = Vec::new();
    if folder.exists() {
        folders.push(PathBuf::new());
    }
    while let Some(name) = folders.pop() {
        let path = folder.join(&name);
        let read = ToolError::io("read", &path);
        let entries = fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        for entry in entries.map_err(read)? {
            let name = name.join(entry.file_name());
            let meta = entry
                .metadata()
                .map_err(ToolError::io("read", &entry.path()))?;
            if meta.is_dir() {
                folders.push(name);
            } else {
                let bytes = meta.len();
                files.push(LogFile { name, bytes });
            }
        }
    }
    Ok(files)
}
