//! Time as the core knows it: given with every event, never read.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment on this node's own timeline, in milliseconds.
///
/// It is monotonic, and goes on across restarts: the shell starts it at the last mark in the log plus the wall
/// time that passed since, so deadlines can be stored as they are, and no jump of the wall clock moves one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Time(u64);

impl Time {
    /// The start of the timeline.
    pub const ZERO: Time = Time(0);
    /// Later than any moment that comes.
    pub const NEVER: Time = Time(u64::MAX);

    /// The moment this many milliseconds after the start of the timeline.
    pub const fn from_millis(millis: u64) -> Self {
        Time(millis)
    }

    /// Milliseconds since the start of the timeline.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment `secs` seconds later.
    #[must_use]
    pub const fn after_secs(self, secs: u32) -> Self {
        Time(self.0.saturating_add(secs as u64 * 1000))
    }

    /// How long ago `earlier` was; zero when it is still to come.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, by: Duration) -> Time {
        Time(
            self.0
                .saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, by: Duration) -> Time {
        Time(
            self.0
                .saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

/// The wall clock, in milliseconds since 1970 (UTC): for creation times, and to measure a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct WallTime(pub u64);

/// What the clocks say at one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The node's own timeline: every deadline.
    pub time: Time,
    /// The wall clock: creation times only.
    pub wall: WallTime,
}
