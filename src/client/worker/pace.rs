//! How many jobs are taken ahead.

use std::time::Duration;

use tokio::time::Instant;

/// No job is taken much earlier than this before its turn: others could do it meanwhile.
const WINDOW: Duration = Duration::from_millis(20);
/// The most jobs that are taken ahead.
const AHEAD_MAX: usize = 4096;

/// How fast jobs end, and so how many are worth taking ahead: as many as ended within one window.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    ended: usize,
    ahead: usize,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Pace {
            since: now,
            ended: 0,
            ahead: 0,
        }
    }

    /// Jobs ended.
    pub(super) fn note(&mut self, now: Instant, jobs: usize) {
        self.ended += jobs;
        let windows = now.duration_since(self.since).as_millis() / WINDOW.as_millis();
        if windows > 0 {
            self.ahead = (self.ended / windows as usize).min(AHEAD_MAX);
            (self.since, self.ended) = (now, 0);
        }
    }

    /// How many jobs to hold beside those that are worked on.
    pub(super) fn ahead(&self) -> usize {
        self.ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_taken_ahead_as_end_in_a_window() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        for millis in 1..=20 {
            pace.note(begin + Duration::from_millis(millis), 5);
        }
        assert_eq!(pace.ahead(), 100);
        pace.note(begin + Duration::from_millis(1020), 1);
        assert_eq!(pace.ahead(), 0, "one a second: none is taken ahead");
    }
}
