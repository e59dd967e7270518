//! What is shared with the daemon: the frames that wait for it, and what it was asked to do.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use shoalmq_core::record::{Location, Record, Segment};
use shoalmq_core::telling::Histogram;

use super::{FRAME_BYTES, Options, Policy, Position, Progress, Stats};
use crate::backend;
use crate::record::encode;

/// Buffers kept for later frames.
const SPARE_BUFFERS: usize = 4;
/// Buffers that grew beyond this, by a large body, are not kept.
const SPARE_BYTES: usize = 2 * FRAME_BYTES;

pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// Wakes the daemon.
    pub(super) work: Condvar,
    /// Wakes those who wait for a sync.
    pub(super) done: Condvar,
}

pub(super) struct State {
    pub(super) policy: Policy,
    pub(super) segment: Segment,
    /// Bytes since the segment began.
    pub(super) segment_bytes: u64,
    pub(super) appended: Position,
    pub(super) frames: VecDeque<Frame>,
    /// Bytes in `frames`.
    pub(super) queued_bytes: usize,
    /// The daemon sleeps until `queued_bytes` reaches this.
    pub(super) wake_at: usize,
    spare: Vec<Vec<u8>>,
    /// Somebody waits for a sync up to here.
    pub(super) flush_to: Position,
    /// Both numbers rise. One for each order, and not only the last: each is due on its own, however many follow.
    retires: VecDeque<Retire>,
    /// A backup reads: they wait.
    pub(super) is_held: bool,
    pub(super) stopping: bool,
    pub(super) stopped: bool,
    pub(super) progress: Progress,
    /// When the oldest record was appended that the daemon took, but did not write yet.
    pub(super) unwritten_since: Option<Instant>,
    /// When the oldest record was appended that is written, but not synced.
    pub(super) unsynced_since: Option<Instant>,
    pub(super) stats: Stats,
}

pub(super) struct Frame {
    pub(super) segment: Segment,
    pub(super) bytes: Vec<u8>,
    pub(super) end: Position,
    /// Where the next record lies.
    pub(super) until: Location,
    pub(super) since: Instant,
}

/// Segments to drop, once what was appended before is synced.
#[derive(Debug, Clone, Copy)]
struct Retire {
    below: Segment,
    after: Position,
}

/// The journal, held for a batch of records; others wait until it is dropped.
pub struct Writer<'a> {
    pub(super) state: MutexGuard<'a, State>,
    pub(super) work: &'a Condvar,
}

impl Shared {
    pub(super) fn wake(&self, state: &mut State) {
        state.wake_at = usize::MAX;
        self.work.notify_one();
    }
}

impl State {
    pub(super) fn new(segment: Segment, options: Options, disk: backend::Stats) -> Self {
        let after = options.after;
        State {
            policy: options.policy,
            segment,
            segment_bytes: 0,
            appended: after,
            frames: VecDeque::new(),
            queued_bytes: 0,
            wake_at: usize::MAX,
            spare: Vec::new(),
            flush_to: after,
            retires: VecDeque::new(),
            is_held: false,
            stopping: false,
            stopped: false,
            progress: Progress {
                written: after,
                synced: after,
                readable: Location::new(segment, 0),
                fault: None,
                fatal: false,
            },
            unwritten_since: None,
            unsynced_since: None,
            stats: Stats {
                pending_bytes: 0,
                last_write_ok: true,
                written_bytes: 0,
                synced_bytes: 0,
                frames: 0,
                syncs: 0,
                sync_time: Duration::ZERO,
                sync_times: Histogram::default(),
                faults: 0,
                disk,
            },
        }
    }

    /// Segments below this one are to go, once what was appended so far is synced.
    pub(super) fn retire(&mut self, below: Segment) {
        let after = self.appended;
        if self.retires.back().is_none_or(|last| last.below < below) {
            self.retires.push_back(Retire { below, after });
        }
    }

    /// Segments below this one may go: what was appended before is synced.
    pub(super) fn may_retire(&self) -> Option<Segment> {
        self.retires_after(self.progress.synced)
    }

    /// Segments are to go as soon as what is written is synced.
    pub(super) fn retires_with_sync(&self) -> bool {
        self.retires_after(self.progress.written) > self.may_retire()
    }

    /// Segments are to go as soon as more is written.
    pub(super) fn retires_later(&self) -> bool {
        let written = self.retires_after(self.progress.written);
        !self.is_held && !self.retires.is_empty() && written.is_none()
    }

    fn retires_after(&self, position: Position) -> Option<Segment> {
        let due = self
            .retires
            .partition_point(|retire| retire.after <= position);
        let last = due.checked_sub(1).filter(|_| !self.is_held);
        last.map(|last| self.retires[last].below)
    }

    /// Segments below this one are gone.
    pub(super) fn retired(&mut self, below: Segment) {
        self.retires.retain(|retire| retire.below > below);
    }

    /// Keeps the buffer of a written frame for a later one.
    pub(super) fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFERS && buffer.capacity() <= SPARE_BYTES {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// The frame that takes the next record.
    fn frame(&mut self) -> &mut Frame {
        let fits = |frame: &Frame| frame.segment == self.segment && frame.bytes.len() < FRAME_BYTES;
        if !self.frames.back().is_some_and(fits) {
            self.frames.push_back(Frame {
                segment: self.segment,
                bytes: self.spare.pop().unwrap_or_default(),
                end: self.appended,
                until: Location::new(self.segment, self.segment_bytes),
                since: Instant::now(),
            });
        }
        self.frames
            .back_mut()
            .expect("it was just pushed, if none was there")
    }
}

impl Writer<'_> {
    /// Where the next record will lie: written in order, whatever fails meanwhile, it lies there.
    pub fn location(&self) -> Location {
        Location::new(self.state.segment, self.state.segment_bytes)
    }

    /// Appends a record, and returns its position.
    pub fn push(&mut self, record: &Record) -> Position {
        let state = &mut *self.state;
        state.appended.0 += 1;
        let end = state.appended;
        let frame = state.frame();
        frame.end = end;
        let before = frame.bytes.len();
        encode(record, &mut frame.bytes);
        let bytes = frame.bytes.len() - before;
        state.queued_bytes += bytes;
        state.segment_bytes += bytes as u64;
        let until = Location::new(state.segment, state.segment_bytes);
        if let Some(frame) = state.frames.back_mut() {
            frame.until = until;
        }
        state.stats.pending_bytes += bytes as u64;
        end
    }
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("position", &self.state.appended)
            .finish_non_exhaustive()
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if self.state.queued_bytes >= self.state.wake_at {
            self.state.wake_at = usize::MAX;
            self.work.notify_one();
        }
    }
}
