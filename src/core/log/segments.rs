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
    /// Of all segments that are kept.
    total: Content,
    /// About how many bytes were ever written.
    written: u64,
}

/// What one segment holds.
#[derive(Debug, Clone, Copy, Default)]
struct Content {
    /// Records of jobs that are here, and are recorded nowhere later.
    live: u64,
    /// About how many bytes those take.
    live_bytes: u64,
    /// About how many bytes all of its records take.
    bytes: u64,
}

impl Content {
    fn dead_bytes(&self) -> u64 {
        self.bytes.saturating_sub(self.live_bytes)
    }
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
    pub(super) fn start(&mut self, segment: Segment) {
        if self.kept.is_empty() {
            self.oldest = segment;
        }
        assert!(segment >= self.current(), "segments rise");
        while self.kept.is_empty() || self.current() < segment {
            self.kept.push_back(Content::default());
        }
    }

    /// Starts over: what lies in earlier segments counts no more.
    pub(super) fn restart(&mut self, segment: Segment) {
        assert!(segment > self.current(), "segments rise");
        *self = Segments {
            oldest: segment,
            kept: VecDeque::from([Content::default()]),
            total: Content::default(),
            written: self.written,
        };
    }

    /// No record is live any more.
    pub(crate) fn clear(&mut self) {
        for content in self.kept.iter_mut().chain([&mut self.total]) {
            (content.live, content.live_bytes) = (0, 0);
        }
    }

    /// A record of about `bytes` bytes in `segment` is the newest of its job.
    pub(crate) fn add(&mut self, segment: Segment, bytes: u64) {
        self.count(segment, |content| {
            content.live += 1;
            content.live_bytes += bytes;
        });
    }

    /// The reverse, for as many bytes.
    pub(crate) fn remove(&mut self, segment: Segment, bytes: u64) {
        self.count(segment, |content| {
            let live = content.live.checked_sub(1);
            content.live = live.expect("a live record was counted");
            let live = content.live_bytes.checked_sub(bytes);
            content.live_bytes = live.expect("its bytes were counted");
        });
    }

    /// `bytes` bytes of a live record are needed no more.
    pub(crate) fn shrink(&mut self, segment: Segment, bytes: u64) {
        self.count(segment, |content| {
            let live = content.live_bytes.checked_sub(bytes);
            content.live_bytes = live.expect("its bytes were counted");
        });
    }

    /// A live record has `bytes` bytes more than was counted.
    pub(crate) fn enlarge(&mut self, segment: Segment, bytes: u64) {
        self.count(segment, |content| content.live_bytes += bytes);
    }

    /// A record of about `bytes` bytes was written to the current segment.
    pub(crate) fn grow(&mut self, bytes: u64) {
        if let Some(content) = self.kept.back_mut() {
            content.bytes += bytes;
            self.total.bytes += bytes;
            self.written += bytes;
        }
    }

    /// The first segment that may stay when the log must shrink by `bytes` bytes, oldest segments first; none when there
    /// is only the current segment, which always stays.
    ///
    /// The live records of the segments that go take at most `room` bytes, unless there is only one such segment: they are
    /// written again before any of the segments goes. So these segments may hold nothing dead yet, and the dead records
    /// may come later in line.
    pub(super) fn shrunk_by(&self, bytes: u64, room: u64) -> Option<Segment> {
        let (mut freed, mut copied) = (0, 0);
        let mut below = self.oldest;
        for content in self.kept.iter().take(self.kept.len().saturating_sub(1)) {
            copied += content.live_bytes;
            if freed >= bytes || below > self.oldest && copied > room {
                break;
            }
            freed += content.dead_bytes();
            below += 1;
        }
        (below > self.oldest).then_some(below)
    }

    /// Gives up the oldest segments without live records. Returns the oldest that stays, if any was given up.
    pub(crate) fn retire(&mut self) -> Option<Segment> {
        let before = self.oldest;
        while self.kept.len() > 1 && self.kept.front().is_some_and(|content| content.live == 0) {
            if let Some(given_up) = self.kept.pop_front() {
                self.total.bytes -= given_up.bytes;
            }
            self.oldest += 1;
        }
        (self.oldest > before).then_some(self.oldest)
    }

    fn count(&mut self, segment: Segment, change: impl Fn(&mut Content)) {
        let index = segment.checked_sub(self.oldest);
        if let Some(content) = index.and_then(|index| self.kept.get_mut(index as usize)) {
            change(content);
            change(&mut self.total);
        }
    }

    /// Live records in all segments.
    pub(super) fn live(&self) -> u64 {
        self.total.live
    }

    /// About how many bytes those take.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.total.live_bytes
    }

    /// About how many bytes a pass over all but the current segment would free.
    pub(crate) fn dead_bytes(&self) -> u64 {
        let current = self.kept.back().map_or(0, Content::dead_bytes);
        self.total.dead_bytes().saturating_sub(current)
    }

    /// About how many bytes were written since the node began to read its log.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// About how many bytes all records of all segments take, dead ones included.
    pub(crate) fn bytes(&self) -> u64 {
        self.total.bytes
    }
}
