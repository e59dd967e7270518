//! The only reader of time and of entropy.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shoalmq_core::time::{Now, Time, WallTime};

/// Reads the machine's clocks for the core.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    base: Time,
}

impl Clock {
    /// A clock whose timeline is at `base` now.
    pub(crate) fn starting_at(base: Time) -> Self {
        Clock {
            started: Instant::now(),
            base,
        }
    }

    /// What both clocks say.
    pub(crate) fn now(&self) -> Now {
        Now {
            time: self.base + self.started.elapsed(),
            wall: wall(),
        }
    }

    /// When the timeline comes to `time`; none when that is further off than a process lives.
    pub(crate) fn instant(&self, time: Time) -> Option<Instant> {
        self.started.checked_add(time.since(self.base))
    }
}

/// The wall clock in milliseconds; 1970 if it is set before that.
pub(crate) fn wall() -> WallTime {
    WallTime(u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX))
}

/// The wall clock, since 1970.
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// `N` bytes from the system's generator.
pub(crate) fn entropy<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system's generator works once the system is up");
    bytes
}
