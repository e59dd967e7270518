//! Jobs that come again at once after they failed: a job without a backoff would be tried thousands of times a second.

use std::collections::HashMap;
use std::time::Duration;

use crate::id::JobId;

/// A job that comes back sooner has no backoff: the shortest is 1 s, of which a fifth may be missing.
const SOON: Duration = Duration::from_millis(800);
/// The longest wait that is given to it.
const WAIT_MAX: Duration = Duration::from_mins(10);
/// Failures that are remembered before those of long ago are forgotten.
const KEPT: usize = 4096;

/// The jobs that failed here lately.
#[derive(Debug, Default)]
pub(super) struct Failures {
    at: HashMap<JobId, Duration>,
}

impl Failures {
    /// A job failed, at its `deliveries`th hand-out. Returns how long it is to wait, if it has shown that nothing else makes it wait: 1 s,
    /// and twice as long each time.
    pub(super) fn note(&mut self, now: Duration, id: JobId, deliveries: u64) -> Option<Duration> {
        if self.at.len() >= KEPT {
            self.at.retain(|_, at| now.saturating_sub(*at) < SOON);
        }
        let before = self.at.insert(id, now);
        let is_soon = before.is_some_and(|at| now.saturating_sub(at) < SOON);
        let doublings = u32::try_from(deliveries.saturating_sub(2)).unwrap_or(u32::MAX);
        let seconds = 1_u64.checked_shl(doublings.min(32)).unwrap_or(u64::MAX);
        is_soon.then(|| Duration::from_secs(seconds).min(WAIT_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_at_once_is_made_to_wait_longer_each_time() {
        let id = JobId::parse(b"D-653fed9c-XFfImzy4lot7Rzfuw/IAAAAB-05a1").expect("an id");
        let mut failures = Failures::default();
        let second = Duration::from_secs(1);
        assert_eq!(failures.note(second, id, 1), None, "nothing is known of it");
        let soon = second + Duration::from_millis(1);
        assert_eq!(failures.note(soon, id, 2), Some(second));
        assert_eq!(failures.note(soon + second, id, 3), None, "it waited");
        let soon = soon + second;
        assert_eq!(failures.note(soon, id, 4), Some(4 * second));
        assert_eq!(failures.note(soon, id, 60), Some(WAIT_MAX));
    }
}
