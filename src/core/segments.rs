//! What each segment of the log holds: one without a live record may go, oldest first.
//!
//! Oldest first, because the record that says that a job is gone must outlive the one that brought it.

use std::collections::VecDeque;

use crate::record::Segment;

/// All segments that are not given up. Those below the oldest are gone, or were never written.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    oldest: Segment,
    kept: VecDeque<Content>,
}

/// What one segment holds.
#[derive(Debug, Clone, Copy, Default)]
struct Content {
    /// Records of jobs that are here, and are recorded nowhere later.
    live: u64,
    /// About how many bytes all of its records take.
    bytes: u64,
}

impl Segments {
    /// The segment that records go to now; 0 before the first.
    pub(crate) fn current(&self) -> Segment {
        self.oldest + (self.kept.len() as Segment).saturating_sub(1)
    }

    /// No live record lies below it.
    pub(crate) fn oldest(&self) -> Segment {
        self.oldest
    }

    /// Records go to `segment` from now on.
    pub(crate) fn start(&mut self, segment: Segment) {
        if self.kept.is_empty() {
            self.oldest = segment;
        }
        assert!(segment >= self.current(), "segments rise");
        while self.kept.is_empty() || self.current() < segment {
            self.kept.push_back(Content::default());
        }
    }

    /// Begins anew: what lies in earlier segments counts no more.
    pub(crate) fn restart(&mut self, segment: Segment) {
        assert!(segment > self.current(), "segments rise");
        (self.oldest, self.kept) = (segment, VecDeque::from([Content::default()]));
    }

    /// No record is live any more.
    pub(crate) fn clear(&mut self) {
        for content in &mut self.kept {
            content.live = 0;
        }
    }

    pub(crate) fn add(&mut self, segment: Segment) {
        if let Some(content) = self.content(segment) {
            content.live += 1;
        }
    }

    pub(crate) fn remove(&mut self, segment: Segment) {
        if let Some(content) = self.content(segment) {
            let live = content.live.checked_sub(1);
            content.live = live.expect("a live record was counted");
        }
    }

    /// A record of about so many bytes was written to the current segment.
    pub(crate) fn grow(&mut self, bytes: u64) {
        if let Some(content) = self.kept.back_mut() {
            content.bytes += bytes;
        }
    }

    /// Gives up the oldest segments without live records. Returns the oldest that stays, if any was given up.
    pub(crate) fn retire(&mut self) -> Option<Segment> {
        let before = self.oldest;
        while self.kept.len() > 1 && self.kept.front().is_some_and(|content| content.live == 0) {
            self.kept.pop_front();
            self.oldest += 1;
        }
        (self.oldest > before).then_some(self.oldest)
    }

    fn content(&mut self, segment: Segment) -> Option<&mut Content> {
        self.kept
            .get_mut(segment.checked_sub(self.oldest)? as usize)
    }

    /// Live records in all segments.
    pub(crate) fn live(&self) -> u64 {
        self.kept.iter().map(|content| content.live).sum()
    }

    /// About how many bytes all records of all segments take, dead ones included.
    pub(crate) fn bytes(&self) -> u64 {
        self.kept.iter().map(|content| content.bytes).sum()
    }
}
