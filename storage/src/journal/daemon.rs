//! The daemon: the thread that owns the backends of both streams, and does one thing after the other.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;
use shoalmq_core::record::{Segment, Stream};
use shoalmq_core::telling::WAIT_MICROS;

use super::pending::{Frame, Shared, State};
use super::{Policy, Progress};
use crate::backend::Backend;
use crate::fault::Fault;
use crate::streams::{STREAMS, Streams};

/// How long a commit waits for more records, unless somebody waits for the disk: small frames cost the most.
const LINGER: Duration = Duration::from_millis(5);
/// A commit of this many bytes does not wait for more.
const LINGER_BYTES: usize = 256 << 10;
/// The longest that a record waits for its sync under [`Policy::EverySecond`], while the disk keeps up.
const SYNC_SOON: Duration = Duration::from_secs(1);
/// The same under [`Policy::No`]: it leaves a sync half a second until a record is unsynced for longer than is promised.
const SYNC_LATE: Duration = Duration::from_millis(1500);
/// The pause after a first failure; it doubles up to `RETRY_MAX`.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// Asking a backend for its size costs system calls.
const STATS_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Daemon {
    lanes: Streams<Lane>,
    shared: Arc<Shared>,
    on_progress: Box<dyn Fn(Progress) + Send>,
    stats_at: Instant,
}

/// What the daemon has of one stream.
struct Lane {
    backend: Box<dyn Backend>,
    /// Taken from the state, and not written yet.
    writing: VecDeque<Frame>,
    /// The segment of what is written and not synced; none when there is nothing.
    unsynced: Option<Segment>,
    retries: Retries,
}

/// What the daemon does next, for one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Write(Stream),
    Sync(Stream),
    Retire(Stream, Segment),
}

impl Step {
    fn stream(self) -> Stream {
        match self {
            Step::Write(stream) | Step::Sync(stream) | Step::Retire(stream, _) => stream,
        }
    }
}

/// What to do next, or until when to wait for something to do.
enum Due {
    Now(Step),
    At(Instant),
    Never,
    /// The stop is done.
    Exit,
}

/// When the steps of a stream are tried again that failed the last time.
#[derive(Debug, Default)]
struct Retries {
    write: Option<Retry>,
    sync: Option<Retry>,
    retire: Option<Retry>,
}

#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Instant,
    pause: Duration,
}

impl Retries {
    fn of(&mut self, step: Step) -> &mut Option<Retry> {
        match step {
            Step::Write(_) => &mut self.write,
            Step::Sync(_) => &mut self.sync,
            Step::Retire(..) => &mut self.retire,
        }
    }

    /// When the next pause is over.
    fn next(&self, now: Instant) -> Option<Instant> {
        let all = [self.write, self.sync, self.retire].into_iter().flatten();
        all.map(|retry| retry.at).filter(|&at| at > now).min()
    }

    fn is_empty(&self) -> bool {
        self.write.is_none() && self.sync.is_none() && self.retire.is_none()
    }

    fn note(&mut self, step: Step, now: Instant) {
        let retry = self.of(step);
        let pause = retry.map_or(RETRY_MIN, |retry| (retry.pause * 2).min(RETRY_MAX));
        let at = now + pause;
        *retry = Some(Retry { at, pause });
    }

    fn forget(&mut self, step: Step) {
        *self.of(step) = None;
    }
}

impl Lane {
    /// A step failed not long ago. A stop waits for nothing, and tries no retirement twice.
    fn waits(&self, step: Step, state: &State, now: Instant) -> bool {
        let waits =
            |retry: Option<Retry>| retry.is_some_and(|retry| now < retry.at) && !state.stopping;
        match step {
            Step::Write(_) => waits(self.retries.write),
            Step::Sync(_) => waits(self.retries.sync),
            Step::Retire(..) => {
                let retry = self.retries.retire;
                waits(retry) || state.stopping && retry.is_some()
            }
        }
    }

    /// The next frame begins a segment, and all before it have to be on disk: a sync that fails must be seen to be one.
    fn begins(&self) -> bool {
        let next = self.writing.front().map(|frame| frame.segment);
        self.unsynced
            .zip(next)
            .is_some_and(|(unsynced, next)| unsynced < next)
    }
}

impl Daemon {
    pub(super) fn new(
        backends: Streams<Box<dyn Backend>>,
        shared: Arc<Shared>,
        on_progress: Box<dyn Fn(Progress) + Send>,
    ) -> Self {
        Daemon {
            lanes: backends.map(|backend| Lane {
                backend,
                writing: VecDeque::new(),
                unsynced: None,
                retries: Retries::default(),
            }),
            shared,
            on_progress,
            stats_at: Instant::now(),
        }
    }

    /// Works until it is told to stop; the backends are closed when this returns.
    pub(super) fn run(mut self) -> Result<(), Arc<Fault>> {
        while let Some(step) = self.next_step() {
            let done = match step {
                Step::Write(stream) => self.write(stream),
                Step::Sync(stream) => self.sync(stream),
                Step::Retire(stream, below) => self.retire(stream, below),
            };
            match done {
                Ok(()) => self.succeeded(step),
                Err(fault) => self.failed(step, fault),
            }
        }
        self.result()
    }

    /// Waits until there is something to do; none when the stop is done.
    fn next_step(&mut self) -> Option<Step> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state.lock();
        loop {
            let now = Instant::now();
            let due = self.due(&mut state, now);
            state.wake_at = match due {
                Due::Now(_) | Due::Exit => usize::MAX,
                Due::At(_) | Due::Never => self.wake_at(&state, now),
            };
            match due {
                Due::Now(step) => return Some(step),
                Due::Exit => return None,
                Due::At(at) => {
                    shared.work.wait_until(&mut state, at);
                }
                Due::Never => shared.work.wait(&mut state),
            }
        }
    }

    /// How many queued bytes are worth waking up for.
    fn wake_at(&self, state: &State, now: Instant) -> usize {
        let backs_off = |stream: Stream| self.lanes[stream].waits(Step::Write(stream), state, now);
        let stuck =
            STREAMS.map(|stream| backs_off(stream).then(|| state.lanes[stream].queued_bytes));
        if state.progress.fatal || stuck.iter().all(Option::is_some) {
            return usize::MAX;
        }
        let stuck: usize = stuck.into_iter().flatten().sum();
        let waits = STREAMS
            .into_iter()
            .any(|stream| !backs_off(stream) && !state.lanes[stream].frames.is_empty());
        stuck + if waits { LINGER_BYTES } else { 1 }
    }

    /// What comes first: a sync, since clients and the rest of the steps wait for it; then what frees space; then what
    /// takes some. A step that failed waits by itself, and lets the others pass, those of the other stream too.
    fn due(&mut self, state: &mut State, now: Instant) -> Due {
        if state.progress.fatal {
            return if state.stopping {
                Due::Exit
            } else {
                Due::Never
            };
        }
        let waits = |step: Step| self.lanes[step.stream()].waits(step, state, now);
        let syncs = STREAMS.into_iter().filter(|&stream| {
            let lane = &self.lanes[stream];
            lane.unsynced.is_some() && (lane.begins() || sync_is_due(state, stream, now))
        });
        let retires = STREAMS.into_iter().filter_map(|stream| {
            let below = state.may_retire(stream)?;
            Some(Step::Retire(stream, below))
        });
        let writes = STREAMS.into_iter().filter(|&stream| {
            let lane = &self.lanes[stream];
            !lane.writing.is_empty() && !lane.begins()
        });
        let steps = syncs
            .map(Step::Sync)
            .chain(retires)
            .chain(writes.map(Step::Write));
        if let Some(step) = steps.into_iter().find(|&step| !waits(step)) {
            return Due::Now(step);
        }
        if let Some(step) = self.take(state, now) {
            return Due::Now(step);
        }
        if state.stopping {
            return Due::Exit;
        }
        match self.next_time(state, now) {
            Some(at) => Due::At(at),
            None => Due::Never,
        }
    }

    /// Takes what is queued, if it is time to write it, of each stream of which nothing is left to be written.
    fn take(&mut self, state: &mut State, now: Instant) -> Option<Step> {
        let is_due = write_is_due(state, now);
        let mut first = None;
        for stream in STREAMS.into_iter().filter(|_| is_due) {
            let step = Step::Write(stream);
            let lane = &self.lanes[stream];
            if !lane.writing.is_empty() || lane.waits(step, state, now) {
                continue;
            }
            let (lane, queue) = (&mut self.lanes[stream], &mut state.lanes[stream]);
            mem::swap(&mut lane.writing, &mut queue.frames);
            state.queued_bytes -= mem::take(&mut queue.queued_bytes);
            queue.unwritten = lane.writing.front().map(|frame| frame.first);
            if !lane.writing.is_empty() {
                first.get_or_insert(step);
            }
        }
        first
    }

    /// Until when there is nothing to do, unless something is appended or asked for.
    fn next_time(&self, state: &State, now: Instant) -> Option<Instant> {
        let of_stream = |stream: Stream| {
            let (lane, queue) = (&self.lanes[stream], &state.lanes[stream]);
            let write_at = queue.frames.front().map(|frame| frame.first.since + LINGER);
            let writes = lane.writing.is_empty() && !lane.waits(Step::Write(stream), state, now);
            let sync_at = sync_at(state, stream);
            let syncs = !lane.waits(Step::Sync(stream), state, now);
            let times = write_at.filter(|_| writes).into_iter();
            times
                .chain(sync_at.filter(|_| syncs))
                .chain(lane.retries.next(now))
                .min()
        };
        STREAMS.into_iter().filter_map(of_stream).min()
    }

    fn write(&mut self, stream: Stream) -> Result<(), Fault> {
        let lane = &mut self.lanes[stream];
        while let Some(frame) = lane.writing.front() {
            if lane.begins() {
                break;
            }
            lane.backend.append(frame.segment, &frame.bytes)?;
            let frame = lane.writing.pop_front().expect("it was just there");
            lane.unsynced = Some(frame.segment);
            let bytes = frame.bytes.len() as u64;
            let mut state = self.shared.state.lock();
            let written = &mut state.lanes[stream];
            written.unwritten = lane.writing.front().map(|frame| frame.first);
            written.unsynced.get_or_insert(frame.first);
            written.unsynced_bytes += bytes;
            state.progress.readable[stream] = frame.until;
            state.stats.pending_bytes -= bytes;
            state.stats.written_bytes += bytes;
            state.stats.frames += 1;
            state.recycle(frame.bytes);
            state.advance();
        }
        Ok(())
    }

    fn sync(&mut self, stream: Stream) -> Result<(), Fault> {
        let began = Instant::now();
        let lane = &mut self.lanes[stream];
        lane.backend.sync()?;
        lane.unsynced = None;
        let now = Instant::now();
        let disk = (now >= self.stats_at).then(|| self.lanes.each_ref(|lane| lane.backend.stats()));
        let mut state = self.shared.state.lock();
        let synced = &mut state.lanes[stream];
        synced.unsynced = None;
        let bytes = mem::take(&mut synced.unsynced_bytes);
        state.advance();
        state.stats.synced_bytes += bytes;
        state.stats.syncs += 1;
        state.stats.sync_time += now - began;
        let micros = (now - began).as_micros() as u64;
        state.stats.sync_times.add(&WAIT_MICROS, micros);
        if let Some(disk) = disk {
            state.stats.disk = disk;
            self.stats_at = now + STATS_EVERY;
        }
        Ok(())
    }

    fn retire(&mut self, stream: Stream, below: Segment) -> Result<(), Fault> {
        self.lanes[stream].backend.retire(below)?;
        self.shared.state.lock().retired(stream, below);
        Ok(())
    }

    fn succeeded(&mut self, step: Step) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state.lock();
        self.lanes[step.stream()].retries.forget(step);
        // Only a sync proves that the disk takes writes again: some backends buffer what they append.
        let well = |lane: &Lane| lane.unsynced.is_none() && lane.retries.is_empty();
        let heals = self.lanes.values().all(well);
        let healed = heals && state.progress.fault.take().is_some();
        let worth_telling = match step {
            // Everybody waits for the sync, which is next.
            Step::Write(_) => state.policy != Policy::Always,
            Step::Sync(_) => true,
            Step::Retire(..) => false,
        };
        if healed || worth_telling {
            self.report(state);
        }
    }

    fn failed(&mut self, step: Step, fault: Fault) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state.lock();
        let (lost, frees) = match step {
            Step::Write(_) => (false, false),
            Step::Sync(_) => (!fault.is_full(), false),
            Step::Retire(..) => (false, true),
        };
        // A stop tries once: the operator will not wait for space. Segments to retire may come back at the start.
        let gives_up = state.stopping && !frees;
        state.progress.fatal = lost || gives_up;
        state.progress.fault = Some(Arc::new(fault));
        state.stats.faults += 1;
        self.lanes[step.stream()].retries.note(step, Instant::now());
        self.report(state);
    }

    fn report(&self, state: MutexGuard<'_, State>) {
        let progress = state.progress.clone();
        drop(state);
        self.shared.done.notify_all();
        (self.on_progress)(progress);
    }

    fn result(self) -> Result<(), Arc<Fault>> {
        let mut state = self.shared.state.lock();
        state.stopped = true;
        self.shared.done.notify_all();
        state.progress.fault.clone().map_or(Ok(()), Err)
    }
}

/// When the policy wants a sync of a stream; none while nothing is unsynced.
fn sync_at(state: &State, stream: Stream) -> Option<Instant> {
    let wait = match state.policy {
        Policy::Always => Duration::ZERO,
        Policy::EverySecond => SYNC_SOON,
        Policy::No => SYNC_LATE,
    };
    let unsynced = state.lanes[stream].unsynced;
    unsynced.map(|oldest| oldest.since + wait)
}

/// What is written of a stream is to be synced now.
fn sync_is_due(state: &State, stream: Stream, now: Instant) -> bool {
    let lane = &state.lanes[stream];
    let Some(oldest) = lane.unsynced else {
        return false;
    };
    let by_policy = sync_at(state, stream).is_some_and(|at| now >= at);
    let written = lane.written(state.appended);
    let wanted = oldest.position <= state.flush_to && state.flush_to <= written;
    let retiring = state.retires_with_sync(stream);
    let stopping = state.stopping && lane.frames.is_empty();
    by_policy || wanted || retiring || stopping || state.progress.fault.is_some()
}

/// What is queued is to be written now.
fn write_is_due(state: &State, now: Instant) -> bool {
    let Some(oldest) = state.queued_since() else {
        return false;
    };
    state.policy == Policy::Always
        || state.stopping
        || state.flush_to > state.progress.written
        || state.retires_later()
        || state.queued_bytes >= LINGER_BYTES
        || now >= oldest + LINGER
}
