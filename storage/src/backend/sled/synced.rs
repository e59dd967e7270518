//! How far the log was synced, in a file of its own: sled drops a damaged end of its files without a word.
//!
//! ```text
//! <dir>/sled/synced    number after the last synced piece u64 LE, crc32c of it u32 LE
//! ```
//!
//! It is written after each sync, and not synced itself. So it is right when the process is killed, and may be as old as
//! the system leaves a page unwritten (30 s on Linux) when power is lost; it never says more than is true.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tracing::warn;

use crate::fault::Fault;

const BYTES: usize = 12;

/// The file.
#[derive(Debug)]
pub(super) struct Synced {
    file: File,
    path: PathBuf,
    /// What it says.
    pub(super) next: Option<u64>,
}

impl Synced {
    pub(super) fn open(root: &Path) -> Result<Self, Fault> {
        let path = root.join("synced");
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let opened = options.open(&path).and_then(|file| {
            let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(BYTES)];
            file.read_exact_at(&mut bytes, 0)?;
            Ok((file, bytes))
        });
        let (file, bytes) = opened.map_err(|cause| Fault::from_io("open", &path, cause))?;
        let next = read(&bytes);
        if next.is_none() && !bytes.is_empty() {
            warn!(path = %path.display(), "damaged: a lost end of the job log would not be noticed at this start");
        }
        Ok(Synced { file, path, next })
    }

    /// Says that the pieces below `next` are synced.
    pub(super) fn say(&mut self, next: u64) -> Result<(), Fault> {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&next.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..8]);
        bytes[8..].copy_from_slice(&checksum.to_le_bytes());
        let written = self.file.write_all_at(&bytes, 0);
        written.map_err(|cause| Fault::from_io("write", &self.path, cause))?;
        self.next = Some(next);
        Ok(())
    }

    /// Takes back what is about to be cut off, for good.
    pub(super) fn lower(&mut self, next: u64) -> Result<(), Fault> {
        self.say(next)?;
        let synced = self.file.sync_all();
        synced.map_err(|cause| Fault::from_io("sync", &self.path, cause))
    }
}

fn read(bytes: &[u8]) -> Option<u64> {
    let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
    let (next, checksum) = bytes.split_first_chunk::<8>()?;
    let fits = crc32c::crc32c(next).to_le_bytes() == checksum;
    fits.then(|| u64::from_le_bytes(*next))
}
