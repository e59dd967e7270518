//! How many live records each segment of the log holds: a segment without any may go, oldest first.
//!
//! Oldest first, because the record that says that a job is gone must outlive the one that brought it.

use std::collections::VecDeque;

use crate::record::Segment;

/// Live records per segment. Segments below the oldest are gone, or were never written.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    oldest: Segment,
    live: VecDeque<u64>,
}

impl Segments {
    /// The segment that records go to now; 0 before the first.
    pub(crate) fn current(&self) -> Segment {
        self.oldest + (self.live.len() as Segment).saturating_sub(1)
    }

    /// No live record lies below it.
    pub(crate) fn oldest(&self) -> Segment {
        self.oldest
    }

    /// Records go to `segment` from now on.
    pub(crate) fn start(&mut self, segment: Segment) {
        if self.live.is_empty() {
            self.oldest = segment;
        }
        assert!(segment >= self.current(), "segments rise");
        while self.live.is_empty() || self.current() < segment {
            self.live.push_back(0);
        }
    }

    /// Begins anew: what lies in earlier segments counts no more.
    pub(crate) fn restart(&mut self, segment: Segment) {
        assert!(segment > self.current(), "segments rise");
        (self.oldest, self.live) = (segment, VecDeque::from([0]));
    }

    /// No record is live any more.
    pub(crate) fn clear(&mut self) {
        self.live.iter_mut().for_each(|live| *live = 0);
    }

    pub(crate) fn add(&mut self, segment: Segment) {
        if let Some(live) = self.live_of(segment) {
            *live += 1;
        }
    }

    pub(crate) fn remove(&mut self, segment: Segment) {
        if let Some(live) = self.live_of(segment) {
            *live = live.checked_sub(1).expect("a live record was counted");
        }
    }

    /// Gives up the oldest segments without live records. Returns the oldest that stays, if any was given up.
    pub(crate) fn retire(&mut self) -> Option<Segment> {
        let before = self.oldest;
        while self.live.len() > 1 && self.live.front() == Some(&0) {
            self.live.pop_front();
            self.oldest += 1;
        }
        (self.oldest > before).then_some(self.oldest)
    }

    fn live_of(&mut self, segment: Segment) -> Option<&mut u64> {
        self.live
            .get_mut(segment.checked_sub(self.oldest)? as usize)
    }

    /// Live records in all segments.
    pub(crate) fn total(&self) -> u64 {
        self.live.iter().sum()
    }
}
