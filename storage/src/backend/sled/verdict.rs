//! What sled says when something is wrong, sorted by the decision that it calls for, and put in plain words.
//!
//! Sled keeps an error of the system as its kind and its `Debug` text, and wraps it so once more with every clone.

use std::io;
use std::path::Path;

use crate::fault::{Damage, Fault, Place};

/// Sorts what sled says by the decision that it calls for.
pub(super) fn fault(act: &'static str, path: &Path, error: sled::Error) -> Fault {
    let refused = match error {
        sled::Error::Io(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
            "a file is shorter than what it wrote".to_owned()
        }
        sled::Error::Io(cause) => return Fault::from_io(act, path, plain(cause)),
        // Its own text is for its authors: it ends in a backtrace.
        sled::Error::Corruption { .. } => "what it reads is not what it wrote".to_owned(),
        sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_) => one_line(&error.to_string()),
    };
    Fault::Corrupt {
        path: path.to_owned(),
        place: Place::Anywhere,
        damage: Damage::Engine(refused.into()),
    }
}

/// The text of a panic or an error, on one line.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same error, of the same kind, with the text that the system gave it.
fn plain(cause: io::Error) -> io::Error {
    let kind = cause.kind();
    let mut text = cause.to_string();
    while let Some(inner) = unwrapped(&text) {
        text = inner;
    }
    if text == format!("Kind({kind:?})") {
        kind.into()
    } else if cause.raw_os_error().is_some() {
        cause
    } else {
        io::Error::new(kind, one_line(&text))
    }
}

/// The text within the `Debug` text of an error, if that is what it is.
fn unwrapped(text: &str) -> Option<String> {
    let (name, fields) = text.split_once(" { ")?;
    let field = match name {
        "Os" | "Error" => "message: \"",
        "Custom" => "error: \"",
        _ => return None,
    };
    let (_, quoted) = fields.split_once(field)?;
    let mut characters = quoted.strip_suffix("\" }")?.chars();
    let mut inner = String::new();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next()? {
                'n' | 'r' | 't' => inner.push(' '),
                escaped => inner.push(escaped),
            },
            character => inner.push(character),
        }
    }
    Some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fault and its causes, as the server prints them.
    fn chained(error: sled::Error) -> String {
        let fault = fault("write job log", Path::new("/data/sled"), error);
        let causes =
            std::iter::successors(std::error::Error::source(&fault), |error| error.source());
        causes.fold(fault.to_string(), |text, cause| format!("{text}: {cause}"))
    }

    fn cloned(cause: io::Error, times: usize) -> sled::Error {
        (0..times).fold(sled::Error::Io(cause), |error, _| error.clone())
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_told_in_the_words_of_the_system() {
        for times in 1..4 {
            let error = cloned(io::Error::from_raw_os_error(28), times);
            assert_eq!(
                chained(error),
                "write job log /data/sled: the disk is full: No space left on device"
            );
        }
        let quota = fault(
            "write",
            Path::new("x"),
            cloned(io::Error::from_raw_os_error(122), 2),
        );
        assert!(quota.is_full(), "{quota:?}");
    }

    #[test]
    fn whatever_sled_wraps_is_told_in_plain_words() {
        for (cause, text) in [
            (|| io::Error::other("a \"b\" \\ c"), "a \"b\" \\ c"),
            (|| io::Error::other("it's\ntwo lines"), "it's two lines"),
            (|| io::ErrorKind::TimedOut.into(), "timed out"),
        ] as [(fn() -> io::Error, &str); 3]
        {
            for times in 1..4 {
                assert_eq!(
                    chained(cloned(cause(), times)),
                    format!("write job log /data/sled: {text}")
                );
            }
        }
        assert_eq!(
            chained(cloned(io::Error::other("untouched { x }"), 0)),
            "write job log /data/sled: untouched { x }"
        );
    }

    #[test]
    fn a_file_that_is_too_short_is_damaged_and_does_not_become_longer_by_waiting() {
        for times in 0..3 {
            let error = cloned(io::ErrorKind::UnexpectedEof.into(), times);
            let fault = fault("read job log", Path::new("x"), error);
            assert!(matches!(fault, Fault::Corrupt { .. }), "{fault:?}");
        }
    }

    #[test]
    fn files_that_sled_refuses_are_told_with_the_way_out() {
        let error = sled::Error::Corruption { at: None, bt: () };
        assert_eq!(
            chained(error),
            "read job log /data/sled: damaged at a place that the engine could not tell; restore the folder from a copy, \
             or move /data/sled away to start without what it holds: the storage engine refuses its files: what it reads is \
             not what it wrote"
        );
    }
}
