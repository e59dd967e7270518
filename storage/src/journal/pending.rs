//! What is shared with the daemon: the frames that wait for it, and what it was asked to do.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use shoalmq_core::record::{Location, Record, Segment, Stream};
use shoalmq_core::telling::Histogram;

use super::{FRAME_BYTES, Options, Policy, Position, Progress, Stats};
use crate::backend;
use crate::record::encode;
use crate::streams::Streams;

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
    pub(super) appended: Position,
    pub(super) lanes: Streams<Lane>,
    /// Bytes in the frames of both lanes.
    pub(super) queued_bytes: usize,
    /// The daemon sleeps until `queued_bytes` reaches this.
    pub(super) wake_at: usize,
    spare: Vec<Vec<u8>>,
    /// Somebody wants a sync up to here.
    pub(super) flush_to: Position,
    /// A backup reads: no segment is dropped.
    pub(super) is_held: bool,
    pub(super) stopping: bool,
    pub(super) stopped: bool,
    pub(super) progress: Progress,
    pub(super) stats: Stats,
}

/// What the state knows of one stream.
pub(super) struct Lane {
    pub(super) segment: Segment,
    /// Bytes since the segment began.
    pub(super) segment_bytes: u64,
    /// There was no frame yet, now or at an earlier start.
    is_empty: bool,
    /// Not taken by the daemon yet.
    pub(super) frames: VecDeque<Frame>,
    /// Bytes in `frames`.
    pub(super) queued_bytes: usize,
    /// The oldest record that the daemon took, but did not write yet.
    pub(super) unwritten: Option<Waiting>,
    /// The oldest record that is written, but not synced.
    pub(super) unsynced: Option<Waiting>,
    /// Bytes that are written, but not synced.
    pub(super) unsynced_bytes: u64,
    /// Both numbers rise. One for each order, and not only the last: each is due on its own, however many follow.
    retires: VecDeque<Retire>,
}

/// A record that waits for the disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) position: Position,
    pub(super) since: Instant,
}

pub(super) struct Frame {
    pub(super) segment: Segment,
    pub(super) bytes: Vec<u8>,
    /// Its first record.
    pub(super) first: Waiting,
    /// Where the next record lies.
    pub(super) until: Location,
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
    pub(super) fn new(
        segments: Streams<Segment>,
        options: Options,
        disk: Streams<backend::Stats>,
    ) -> Self {
        let after = options.after;
        State {
            policy: options.policy,
            appended: after,
            lanes: Streams::each(|stream| Lane {
                segment: segments[stream],
                segment_bytes: 0,
                is_empty: disk[stream].segments == 0,
                frames: VecDeque::new(),
                queued_bytes: 0,
                unwritten: None,
                unsynced: None,
                unsynced_bytes: 0,
                retires: VecDeque::new(),
            }),
            queued_bytes: 0,
            wake_at: usize::MAX,
            spare: Vec::new(),
            flush_to: after,
            is_held: false,
            stopping: false,
            stopped: false,
            progress: Progress {
                written: after,
                synced: after,
                readable: segments.map(|segment| Location::new(segment, 0)),
                fault: None,
                fatal: false,
            },
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

    /// The next segment of a stream begins.
    pub(super) fn roll(&mut self, stream: Stream) -> Segment {
        let lane = &mut self.lanes[stream];
        lane.segment += 1;
        lane.segment_bytes = 0;
        lane.segment
    }

    /// Makes sure that the backend has the current segment of a stream, if any: so all before it are closed.
    pub(super) fn begin(&mut self, stream: Stream) {
        let lane = &self.lanes[stream];
        if lane.segment_bytes == 0 && !lane.is_empty {
            // The frame stays empty, and has a position, so that somebody can wait for it.
            self.appended.0 += 1;
            let position = self.appended;
            self.frame(stream, position);
        }
    }

    /// Segments of a stream below this one are to go, once what was appended so far is synced.
    pub(super) fn retire(&mut self, stream: Stream, below: Segment) {
        let after = self.appended;
        let retires = &mut self.lanes[stream].retires;
        if retires.back().is_none_or(|last| last.below < below) {
            retires.push_back(Retire { below, after });
        }
    }

    /// Segments of a stream below this one may go: what was appended before is synced.
    ///
    /// What was appended to the other stream counts as well, but not while the disk refuses anything: what frees space
    /// does not wait for what takes some.
    pub(super) fn may_retire(&self, stream: Stream) -> Option<Segment> {
        let lane = &self.lanes[stream];
        let synced = match self.progress.fault {
            None => self.progress.synced,
            Some(_) => lane.synced(self.appended),
        };
        let due = lane
            .retires
            .partition_point(|retire| retire.after <= synced);
        let last = due.checked_sub(1).filter(|_| !self.is_held);
        last.map(|last| lane.retires[last].below)
    }

    /// Segments are to go as soon as what is written of a stream is synced.
    pub(super) fn retires_with_sync(&self, stream: Stream) -> bool {
        let lane = &self.lanes[stream];
        let Some(unsynced) = lane.unsynced.filter(|_| !self.is_held) else {
            return false;
        };
        let written = lane.written(self.appended);
        let mut retires = self.lanes.values().flat_map(|lane| &lane.retires);
        retires.any(|retire| unsynced.position <= retire.after && retire.after <= written)
    }

    /// Segments are to go as soon as more is written.
    pub(super) fn retires_later(&self) -> bool {
        let mut next = self.lanes.values().filter_map(|lane| lane.retires.front());
        !self.is_held && next.any(|retire| retire.after > self.progress.written)
    }

    /// Segments of a stream below this one are gone.
    pub(super) fn retired(&mut self, stream: Stream, below: Segment) {
        let retires = &mut self.lanes[stream].retires;
        retires.retain(|retire| retire.below > below);
    }

    /// Something was written or synced.
    pub(super) fn advance(&mut self) {
        let appended = self.appended;
        let least = |of: fn(&Lane, Position) -> Position| {
            let positions = self.lanes.values().map(|lane| of(lane, appended));
            positions.min().expect("there are two streams")
        };
        self.progress.written = least(Lane::written);
        self.progress.synced = least(Lane::synced);
    }

    /// Since when the oldest record waits that is not on disk.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        let waiting = self.lanes.values().filter_map(Lane::oldest_unsynced);
        waiting.map(|oldest| oldest.since).min()
    }

    /// Since when the oldest record waits that the daemon did not take.
    pub(super) fn queued_since(&self) -> Option<Instant> {
        let queued = self.lanes.values().filter_map(|lane| lane.frames.front());
        queued.map(|frame| frame.first.since).min()
    }

    /// Keeps the buffer of a written frame for a later one.
    pub(super) fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFERS && buffer.capacity() <= SPARE_BYTES {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// The frame that takes a record of this stream, at this position.
    fn frame(&mut self, stream: Stream, position: Position) -> &mut Frame {
        let lane = &mut self.lanes[stream];
        lane.is_empty = false;
        let segment = lane.segment;
        let fits = |frame: &Frame| frame.segment == segment && frame.bytes.len() < FRAME_BYTES;
        if !lane.frames.back().is_some_and(fits) {
            lane.frames.push_back(Frame {
                segment,
                bytes: self.spare.pop().unwrap_or_default(),
                first: Waiting {
                    position,
                    since: Instant::now(),
                },
                until: Location::new(segment, lane.segment_bytes),
            });
        }
        lane.frames
            .back_mut()
            .expect("it was just pushed, if none was there")
    }
}

impl Lane {
    /// All of its records up to here are written.
    pub(super) fn written(&self, appended: Position) -> Position {
        let queued = || self.frames.front().map(|frame| frame.first);
        before(self.unwritten.or_else(queued), appended)
    }

    /// All of its records up to here are synced.
    pub(super) fn synced(&self, appended: Position) -> Position {
        before(self.oldest_unsynced(), appended)
    }

    fn oldest_unsynced(&self) -> Option<Waiting> {
        let queued = || self.frames.front().map(|frame| frame.first);
        self.unsynced.or(self.unwritten).or_else(queued)
    }
}

/// The position before the oldest record that waits, or the last one when none does.
fn before(oldest: Option<Waiting>, appended: Position) -> Position {
    oldest.map_or(appended, |oldest| Position(oldest.position.0 - 1))
}

impl Writer<'_> {
    /// Where the next record of this stream will lie: written in order, whatever fails meanwhile, it lies there.
    pub fn location(&self, stream: Stream) -> Location {
        let lane = &self.state.lanes[stream];
        Location::new(lane.segment, lane.segment_bytes)
    }

    /// Appends a record to its stream, and returns its position.
    pub fn push(&mut self, record: &Record) -> Position {
        let state = &mut *self.state;
        state.appended.0 += 1;
        let (stream, position) = (record.stream(), state.appended);
        let frame = state.frame(stream, position);
        let before = frame.bytes.len();
        encode(record, &mut frame.bytes);
        let bytes = frame.bytes.len() - before;
        let lane = &mut state.lanes[stream];
        lane.segment_bytes += bytes as u64;
        let until = Location::new(lane.segment, lane.segment_bytes);
        if let Some(frame) = lane.frames.back_mut() {
            frame.until = until;
        }
        lane.queued_bytes += bytes;
        state.queued_bytes += bytes;
        state.stats.pending_bytes += bytes as u64;
        position
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
