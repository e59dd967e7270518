//! The commands, typed. Each is a builder that is sent when it is awaited.

mod adding;
mod explaining;
mod giving_back;
mod taking;
mod waiting;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use shoalmq_resp::Frame;

use crate::error::Error;

pub use adding::{Add, Receipt};
pub use explaining::{Explanation, Shown};
pub(crate) use explaining::{explanation, shown};
pub use giving_back::Nack;
pub use taking::{DeadLetter, Delivery, Get, Meta};
pub(crate) use taking::{bytes, deliveries, take};
#[cfg(feature = "testing")]
pub(crate) use waiting::endings;
pub use waiting::{Ending, Wait};

pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A time in whole seconds, rounded up: none is cut short.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// The count that a command is answered with.
pub(crate) fn count(frame: &Frame) -> Result<u64, Error> {
    let count = frame
        .as_integer()
        .and_then(|count| u64::try_from(count).ok());
    count.ok_or_else(|| unexpected(frame))
}

/// The value of a name in a flat map.
fn of<'a>(map: &'a [Frame], name: &str) -> Option<&'a Frame> {
    let pairs = map.as_chunks::<2>().0;
    let found = pairs.iter().find(|[key, _]| key.as_str() == Some(name));
    found.map(|[_, value]| value)
}

pub(crate) fn unexpected(frame: &Frame) -> Error {
    Error::Unexpected(format!("{frame:.200?}"))
}
