//! Who this node is, and whose its data folder is: a lock, the node's id, how often it started, and which store its jobs
//! lie in.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use shoalmq_core::id::{NodeId, StoreId};
use thiserror::Error;
use tracing::info;

use super::clock;

const LOCK: &str = "node.lock";
/// The line of a file that was never started from.
const BACKUP: &str = "backup";

/// Why a data folder cannot be used.
#[derive(Debug, Error)]
pub(crate) enum FolderError {
    #[error("make the data folder {}: nothing can be made in {}: {source}; make the folder yourself, or name another with --dir", path.display(), parent.display())]
    Create {
        path: PathBuf,
        /// The last of its parents that is there.
        parent: PathBuf,
        source: io::Error,
    },
    #[error("the data folder {} is not writable: {source}; name another with --dir", path.display())]
    NotWritable { path: PathBuf, source: io::Error },
    #[error("the data folder {} is in use by another node; stop that one, or name another folder with --dir", path.display())]
    Locked { path: PathBuf },
    #[error("read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is damaged: it holds no `id` of 40 hex digits and `generation`; restore it, or remove it to give the node a new id", path.display())]
    Damaged { path: PathBuf },
}

/// A data folder, locked for this process while this lives.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) id: NodeId,
    /// Rises at every start.
    pub(crate) generation: u64,
    /// Which store the copies lie in that this node took.
    pub(crate) store: StoreId,
    /// The log holds that store: the next start goes on with it.
    store_is_kept: bool,
    folder: PathBuf,
    _lock: File,
}

impl Identity {
    /// What must survive: `id <40 hex>`, `generation <number>`, and `store <16 hex>` while the log holds what that store
    /// did. In a backup there is `backup` instead of the store.
    pub(crate) const FILE: &str = "node.conf";

    /// Locks the folder, made if it is not there, and reads or draws the node's id.
    pub(crate) fn take(folder: &Path) -> Result<Self, FolderError> {
        let path = || folder.to_path_buf();
        make(folder)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(LOCK));
        let lock = lock.map_err(|source| FolderError::NotWritable {
            path: path(),
            source,
        })?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| FolderError::Locked { path: path() })?;
        let file = folder.join(Identity::FILE);
        let Conf {
            id,
            generation,
            store,
        } = match fs::read_to_string(&file) {
            Ok(text) => parse(&text).ok_or(FolderError::Damaged { path: file })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Conf {
                id: NodeId::from_bytes(clock::entropy()),
                generation: 0,
                store: None,
            },
            Err(source) => return Err(FolderError::Read { path: file, source }),
        };
        let identity = Identity {
            id,
            generation: generation + 1,
            store: store.unwrap_or_else(draw_store),
            store_is_kept: store.is_some(),
            folder: path(),
            _lock: lock,
        };
        identity.save().map_err(|source| FolderError::NotWritable {
            path: path(),
            source,
        })?;
        Ok(identity)
    }

    /// Takes another id: CLUSTER RESET HARD.
    pub(crate) fn renew(&mut self) -> io::Result<NodeId> {
        let former = std::mem::replace(&mut self.id, NodeId::from_bytes(clock::entropy()));
        self.save().inspect_err(|_| self.id = former)?;
        Ok(self.id)
    }

    /// The log holds nothing, or is not used: what this store held before is gone for those who know it.
    pub(crate) fn renew_store(&mut self) {
        self.store = draw_store();
        self.store_is_kept = false;
    }

    /// The file as it belongs into a backup.
    ///
    /// Peers must not take what is restored for the store that they know, nor for an earlier start of this node.
    pub(crate) fn for_backup(&self) -> String {
        let (id, generation) = (self.id, self.generation);
        format!("id {id}\ngeneration {generation}\n{BACKUP}\n")
    }

    /// Says whether the log holds what this store holds, so that the next start goes on with it.
    pub(crate) fn keep_store(&mut self, keep: bool) -> io::Result<()> {
        let before = std::mem::replace(&mut self.store_is_kept, keep);
        self.save().inspect_err(|_| self.store_is_kept = before)
    }

    /// Replaces the file, so that a crash leaves either the old or the new one.
    fn save(&self) -> io::Result<()> {
        let temporary = self.folder.join(format!("{}.new", Identity::FILE));
        let mut file = File::create(&temporary)?;
        writeln!(file, "id {}\ngeneration {}", self.id, self.generation)?;
        if self.store_is_kept {
            writeln!(file, "store {}", self.store)?;
        }
        file.sync_all()?;
        fs::rename(&temporary, self.folder.join(Identity::FILE))?;
        File::open(&self.folder)?.sync_all()
    }
}

/// Makes the folder, and all of its parents that are missing.
fn make(folder: &Path) -> Result<(), FolderError> {
    if folder.is_dir() {
        return Ok(());
    }
    let there = |parent: &&Path| parent.exists();
    let parent = folder.ancestors().find(there).unwrap_or(folder);
    fs::create_dir_all(folder).map_err(|source| FolderError::Create {
        path: folder.to_path_buf(),
        parent: parent.to_path_buf(),
        source,
    })?;
    info!(dir = %folder.display(), "the data folder is new");
    Ok(())
}

fn draw_store() -> StoreId {
    StoreId(u64::from_le_bytes(clock::entropy()))
}

/// What the file says.
struct Conf {
    id: NodeId,
    /// Of the last start.
    generation: u64,
    store: Option<StoreId>,
}

fn parse(text: &str) -> Option<Conf> {
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
    };
    let store = match value("store") {
        Some(store) => Some(StoreId(u64::from_str_radix(store, 16).ok()?)),
        None => None,
    };
    let mut generation = value("generation")?.parse().ok()?;
    if text.lines().any(|line| line == BACKUP) {
        // The node went on after the backup, and may have been restored from it before. No count of starts reaches the
        // seconds of the clock.
        generation = clock::since_epoch().as_secs().max(generation);
    }
    Some(Conf {
        id: NodeId::parse(value("id")?.as_bytes())?,
        generation,
        store,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_id_counts_starts_and_serves_one_node() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = Identity::take(folder.path()).expect("a fresh folder");
        assert_eq!(first.generation, 1);
        assert!(matches!(
            Identity::take(folder.path()),
            Err(FolderError::Locked { .. })
        ));
        let id = first.id;
        drop(first);
        let mut second = Identity::take(folder.path()).expect("a free folder");
        assert_eq!((second.id, second.generation), (id, 2));
        let renewed = second.renew().expect("a writable folder");
        drop(second);
        assert_eq!(
            Identity::take(folder.path()).expect("a free folder").id,
            renewed
        );
        assert_ne!(renewed, id);
    }

    #[test]
    fn a_restored_folder_has_its_id_a_higher_generation_and_another_store() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut first = Identity::take(folder.path()).expect("a fresh folder");
        first.keep_store(true).expect("a writable folder");
        let backup = first.for_backup();
        let (id, store) = (first.id, first.store);
        drop(first);
        for _ in 0..3 {
            drop(Identity::take(folder.path()).expect("a free folder"));
        }
        fs::write(folder.path().join(Identity::FILE), backup).expect("a writable folder");
        let restored = Identity::take(folder.path()).expect("a free folder");
        assert_eq!(restored.id, id);
        assert!(restored.generation > 1_000_000, "{}", restored.generation);
        assert_ne!(restored.store, store);
        let generation = restored.generation;
        drop(restored);
        let again = Identity::take(folder.path()).expect("a free folder");
        assert_eq!(again.generation, generation + 1);
    }

    #[test]
    fn a_damaged_file_is_not_replaced() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join(Identity::FILE), "id 123\n").expect("a writable folder");
        assert!(matches!(
            Identity::take(folder.path()),
            Err(FolderError::Damaged { .. })
        ));
    }
}
