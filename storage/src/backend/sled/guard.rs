//! Where sled may panic.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::thread;

use super::verdict::one_line;
use crate::fault::{Damage, Fault, Place};

/// The thread on which sled opens and scans; the process's panic hook leaves the panics of this name to us.
pub const OPEN_THREAD: &str = "storage-open";

pub(super) fn named() -> thread::Builder {
    thread::Builder::new().name(OPEN_THREAD.to_owned())
}

/// Does something on the thread where sled may panic.
pub(super) fn guarded<T: Send>(
    path: &Path,
    work: impl FnOnce() -> Result<T, Fault> + Send,
) -> Result<T, Fault> {
    thread::scope(|scope| {
        named()
            .spawn_scoped(scope, || caught(path, work))
            .map_err(|cause| Fault::from_io("start a thread to open", path, cause))?
            .join()
            .expect("panics are caught in there")
    })
}

pub(super) fn caught<T>(path: &Path, work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => match panic.downcast::<&'static str>() {
                Ok(text) => (*text).to_owned(),
                Err(_) => "no message".to_owned(),
            },
        };
        Err(Fault::Corrupt {
            path: path.to_owned(),
            place: Place::Anywhere,
            damage: Damage::Panic(one_line(&text)),
        })
    })
}
