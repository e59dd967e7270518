//! Where sled may panic.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::thread;

use super::verdict::one_line;
use crate::fault::{Damage, Fault, Place};

thread_local! {
    /// Whether what this thread does at the moment is allowed to panic.
    static CATCHES: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread, at this moment, becomes a [`Fault`]: what the panic hook of a process asks that takes
/// every other panic for a bug.
pub fn panic_is_caught() -> bool {
    CATCHES.get()
}

pub(super) fn named() -> thread::Builder {
    thread::Builder::new().name("storage-open".to_owned())
}

/// Does something on a thread of its own, where sled may panic.
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

/// Does something on this thread, where sled may panic.
pub(super) fn caught<T>(path: &Path, work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    let before = CATCHES.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    CATCHES.set(before);
    done.unwrap_or_else(|panic| {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_on_the_thread_that_asked_for_it_and_while_it_did() {
        assert!(!panic_is_caught());
        let inner = caught(Path::new("x"), || {
            caught(Path::new("x"), || Ok(()))?;
            assert!(panic_is_caught());
            let other = thread::spawn(panic_is_caught).join();
            Ok(other.expect("it does not panic"))
        });
        assert!(matches!(inner, Ok(false)), "{inner:?}");
        assert!(!panic_is_caught());
        let fault = caught::<()>(Path::new("x"), || panic!("two\nlines"));
        assert!(
            matches!(&fault, Err(Fault::Corrupt { damage: Damage::Panic(text), .. }) if text == "two lines"),
            "{fault:?}"
        );
        assert!(!panic_is_caught());
    }
}
