//! A copy of a log while it is written.
//!
//! Whoever wants a copy of everything so far rolls the journal first, so that it lies in closed segments. Their files
//! are written no more, and until the copy ends no segment is dropped. In the end the copy is opened, and every record
//! in it read.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shoalmq_core::record::Segment;

use crate::examine::Found;
use crate::fault::Fault;
use crate::journal::{Journal, Position};
use crate::{StorageKind, Store};

/// The segments of a journal before one, none of which is dropped while this lives.
#[derive(Debug)]
pub struct Backup {
    journal: Journal,
    kind: StorageKind,
    /// The data folder.
    folder: PathBuf,
    below: Segment,
    until: Position,
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
    /// The copy cannot be read.
    #[error("read the copy again")]
    Unreadable(#[from] Fault),
    /// The copy is not what a log has to be, here.
    #[error("the copy is damaged {0}")]
    Damaged(String),
}

impl Backup {
    /// Begins one of all that lies before segment `below`, to which [`Journal::roll`] rolled, in the log of this kind
    /// below the data folder. Something was appended to `below` already.
    pub fn begin(journal: &Journal, kind: StorageKind, folder: &Path, below: Segment) -> Self {
        journal.hold();
        Backup {
            journal: journal.clone(),
            kind,
            folder: folder.to_owned(),
            below,
            until: journal.position(),
        }
    }

    /// Copies everything to a folder that has no log, and syncs it. Tells `progress` how many bytes of files were
    /// copied, and how many there are; returns how many records the copy holds.
    ///
    /// Waits for the disk, and for what is not written yet: not for a thread that serves clients.
    pub fn copy(&self, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<u64, BackupError> {
        // It also ends a retirement that began before.
        self.journal
            .flush(self.until)
            .map_err(BackupError::Unsynced)?;
        let failed = |from: &Path, to: &Path| {
            let (from, to) = (from.to_owned(), to.to_owned());
            move |cause| BackupError::Copy { from, to, cause }
        };
        let files = self.kind.files(&self.folder, self.below);
        let files = files.map_err(failed(&self.folder, to))?;
        let sizes = files
            .iter()
            .map(|name| Ok(fs::metadata(self.folder.join(name))?.len()));
        let total = sizes.sum::<io::Result<u64>>();
        let total = total.map_err(failed(&self.folder, to))?;
        let mut copied = 0;
        for name in files {
            let (from, to) = (self.folder.join(&name), to.join(&name));
            progress(copied, total);
            copied += copy_file(&from, &to).map_err(failed(&from, &to))?;
        }
        let records = self.verify(to)?;
        sync_folder(to).map_err(failed(&self.folder, to))?;
        progress(copied, total);
        Ok(records)
    }

    /// Reads every record of the copy.
    fn verify(&self, copy: &Path) -> Result<u64, BackupError> {
        let mut damaged = None;
        let mut store = Store::open(self.kind, copy)?;
        let examined = store.examine(|_, found| {
            if let Found::Damage { place, damage } = found {
                damaged.get_or_insert_with(|| format!("{place}: {damage}"));
            }
        })?;
        match damaged {
            Some(damage) => Err(BackupError::Damaged(damage)),
            None => Ok(examined.records),
        }
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        self.journal.release();
    }
}

fn copy_file(from: &Path, to: &Path) -> io::Result<u64> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
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

#[cfg(test)]
mod tests {
    use shoalmq_core::id::{JobId, QueueName};
    use shoalmq_core::job::Body;
    use shoalmq_core::message::Holders;
    use shoalmq_core::record::{JobRecord, Record};
    use shoalmq_core::time::Time;

    use super::*;
    use crate::TornTail;
    use crate::journal::{Options, Policy};

    const KINDS: [StorageKind; 2] = [StorageKind::Sled, StorageKind::Log];

    fn job(number: u8, bytes: usize) -> Record {
        Record::Added(Box::new(JobRecord {
            id: JobId::from_bytes([number; 24]),
            queue: QueueName::new(b"q"),
            body: Body::new(&vec![number; bytes]),
            created: 1,
            added: Time::ZERO,
            ttl: 60,
            delay: 0,
            retry: 5,
            replicate: 1,
            nacks: 0,
            additional_deliveries: 0,
            holders: Holders::from([]),
        }))
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    /// What a log holds, and a journal that goes on with it.
    fn open(kind: StorageKind, dir: &Path) -> (Vec<(Segment, Record)>, Journal) {
        let mut found = Vec::new();
        let mut store = Store::open(kind, dir).expect("the folder is free");
        let visit = |at: shoalmq_core::record::Location, record| found.push((at.segment, record));
        let loaded = store
            .load(TornTail::Cut, visit, |_| {})
            .expect("a whole log");
        let options = Options {
            policy: Policy::EverySecond,
            segment_bytes: 1000,
            after: Position(0),
        };
        let segment = loaded.last_segment.map_or(1, |last| last + 1);
        let backend = store.into_backend();
        let journal = Journal::start(backend, segment, options, Box::new(|_| {}));
        (found, journal.expect("a thread"))
    }

    /// Rolls, as a node does: the next segment begins with a record.
    fn begin(journal: &Journal, kind: StorageKind, dir: &Path) -> Backup {
        let below = journal.roll();
        journal.append(&job(250, 10));
        Backup::begin(journal, kind, dir, below)
    }

    #[test]
    fn a_copy_holds_what_lies_before_the_roll_of_this_journal_and_of_earlier_ones() {
        for kind in KINDS {
            let (dir, copy) = (folder(), folder());
            let (_, former) = open(kind, dir.path());
            former.append(&job(1, 10));
            former.append(&job(2, 3 << 20));
            former.stop().expect("the disk works");
            let (_, journal) = open(kind, dir.path());
            for number in 3..200 {
                journal.append(&job(number, 5000));
            }
            let backup = begin(&journal, kind, dir.path());
            journal.append(&job(200, 10));
            let mut shares = Vec::new();
            let count = backup
                .copy(copy.path(), &mut |copied, total| {
                    shares.push((copied, total));
                })
                .expect("the disk works");
            assert!(count >= 199, "{count}");
            assert!(shares.last().is_some_and(|(copied, total)| copied == total));
            let (found, _) = open(kind, copy.path());
            assert_eq!(found[..2], [(1, job(1, 10)), (1, job(2, 3 << 20))]);
            let numbers = (3..200).map(|number| (2, job(number, 5000)));
            assert!(found[2..199].iter().cloned().eq(numbers));
        }
    }

    #[test]
    fn segments_that_are_given_up_meanwhile_are_copied_and_then_dropped() {
        for kind in KINDS {
            let (dir, copy) = (folder(), folder());
            let (_, journal) = open(kind, dir.path());
            journal.append(&job(1, 10));
            let backup = begin(&journal, kind, dir.path());
            journal.retire(2);
            journal.append(&job(2, 10));
            journal.sync_now().expect("the disk works");
            backup
                .copy(copy.path(), &mut |_, _| {})
                .expect("it is still there");
            assert_eq!(open(kind, copy.path()).0[0], (1, job(1, 10)));
            drop(backup);
            journal.stop().expect("the disk works");
            let (found, _) = open(kind, dir.path());
            assert_eq!(found, [(2, job(250, 10)), (2, job(2, 10))]);
        }
    }
}
