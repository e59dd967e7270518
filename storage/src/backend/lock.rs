//! The lock of a folder: one process at a time has a log open.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::fault::Fault;

/// Takes the lock of the folder, which ends with the process at the latest.
pub(super) fn lock(path: &Path) -> Result<File, Fault> {
    let file = path.join("lock");
    let lock = File::create(&file).map_err(|cause| Fault::from_io("open", &file, cause))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Fault::Locked {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(cause)) => Err(Fault::from_io("lock", &file, cause)),
    }
}
