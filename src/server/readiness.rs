//! Whether the node should get clients. It never needs other nodes: one alone serves. A node without memory for new jobs
//! serves as long as others keep them.

use std::time::{Duration, Instant};

use shoalmq_core::node::MemoryLevel;
use tracing::{info, warn};

use super::driver::Driver;

impl Driver {
    /// Why it should get none; empty when it is ready.
    pub(crate) fn not_ready(&self) -> Vec<&'static str> {
        let reasons = [
            (self.loading.is_some(), "loading"),
            (self.node.is_leaving(), "leaving"),
            (self.is_closed || self.node.is_about_to_stop(), "draining"),
            (self.health.is_failing(), "the job log cannot be written"),
            (self.health.is_short(), "the disk is full"),
            (
                self.node.refuses_adds() || self.node.memory_level() >= MemoryLevel::Evict,
                "memory is short",
            ),
        ];
        let hold = reasons.into_iter().filter(|(holds, _)| *holds);
        hold.map(|(_, reason)| reason).collect()
    }
}

/// The log says that adds are taken again once none was refused for this long: at the edge of the limit, each job that goes
/// makes room for the next.
const CALM: Duration = Duration::from_secs(5);

/// What the log says of adds that are refused for lack of memory.
#[derive(Debug, Default)]
pub(crate) struct RefusedAdds {
    /// When adds were last refused; `None` once the log says that they are taken again.
    last: Option<Instant>,
}

impl RefusedAdds {
    /// Takes note of whether all adds are refused now, and tells the log what is news.
    pub(crate) fn note(&mut self, now: Instant, refused: bool) {
        match self.news(now, refused) {
            Some(true) => warn!(
                "memory is short: all adds are refused until jobs are acknowledged or maxmemory is raised"
            ),
            Some(false) => info!("memory is no longer short: adds are taken again"),
            None => {}
        }
    }

    fn news(&mut self, now: Instant, refused: bool) -> Option<bool> {
        if refused {
            let is_news = self.last.replace(now).is_none();
            return is_news.then_some(true);
        }
        let calm = self.last.is_some_and(|last| now - last >= CALM);
        calm.then(|| {
            self.last = None;
            false
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_once_that_adds_are_refused_and_once_that_it_is_over() {
        let start = Instant::now();
        let mut adds = RefusedAdds::default();
        let mut news = |secs, refused| adds.news(start + Duration::from_secs(secs), refused);
        assert_eq!(news(0, false), None);
        assert_eq!(news(1, true), Some(true));
        assert_eq!(news(2, true), None);
        // A single job makes room for another one.
        assert_eq!(news(3, false), None);
        assert_eq!(news(4, true), None);
        assert_eq!(news(8, false), None);
        assert_eq!(news(9, false), Some(false));
        assert_eq!(news(20, false), None);
        assert_eq!(news(21, true), Some(true));
    }
}
