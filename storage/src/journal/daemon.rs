//! The daemon: the thread that owns the backend, and does one thing after the other.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;
use shoalmq_core::record::Segment;
use shoalmq_core::telling::WAIT_MICROS;

use super::pending::{Frame, Shared, State};
use super::{Policy, Progress};
use crate::backend::Backend;
use crate::fault::Fault;

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
    backend: Box<dyn Backend>,
    shared: Arc<Shared>,
    on_progress: Box<dyn Fn(Progress) + Send>,
    /// Taken from the state, and not written yet.
    writing: VecDeque<Frame>,
    /// The segment of what is written and not synced; none when there is nothing.
    unsynced: Option<Segment>,
    retries: Retries,
    stats_at: Instant,
}

/// What the daemon does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Write,
    Sync,
    Retire(Segment),
    Exit,
}

/// What to do next, or until when to wait for something to do.
enum Due {
    Now(Step),
    At(Instant),
    Never,
}

/// When the steps are tried again that failed the last time.
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
            Step::Write => &mut self.write,
            Step::Sync => &mut self.sync,
            Step::Retire(_) | Step::Exit => &mut self.retire,
        }
    }

    /// A step failed not long ago. A stop waits for nothing, and tries no retirement twice.
    fn waits(&self, step: Step, state: &State, now: Instant) -> bool {
        let waits =
            |retry: Option<Retry>| retry.is_some_and(|retry| now < retry.at) && !state.stopping;
        match step {
            Step::Write => waits(self.write),
            Step::Sync => waits(self.sync),
            Step::Retire(_) => waits(self.retire) || state.stopping && self.retire.is_some(),
            Step::Exit => false,
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

impl Daemon {
    pub(super) fn new(
        backend: Box<dyn Backend>,
        shared: Arc<Shared>,
        on_progress: Box<dyn Fn(Progress) + Send>,
    ) -> Self {
        Daemon {
            backend,
            shared,
            on_progress,
            writing: VecDeque::new(),
            unsynced: None,
            retries: Retries::default(),
            stats_at: Instant::now(),
        }
    }

    /// Works until it is told to stop; the backend is closed when this returns.
    pub(super) fn run(mut self) -> Result<(), Arc<Fault>> {
        loop {
            let step = self.next_step();
            let done = match step {
                Step::Write => self.write(),
                Step::Sync => self.sync(),
                Step::Retire(below) => self.retire(below),
                Step::Exit => return self.result(),
            };
            match done {
                Ok(()) => self.succeeded(step),
                Err(fault) => self.failed(step, fault),
            }
        }
    }

    /// Waits until there is something to do.
    fn next_step(&mut self) -> Step {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state.lock();
        loop {
            let now = Instant::now();
            let due = self.due(&mut state, now);
            let backing_off = self.retries.waits(Step::Write, &state, now);
            state.wake_at = match due {
                Due::Now(_) => usize::MAX,
                _ if backing_off || state.progress.fatal => usize::MAX,
                _ if state.frames.is_empty() => 1,
                _ => LINGER_BYTES,
            };
            match due {
                Due::Now(step) => return step,
                Due::At(at) => {
                    shared.work.wait_until(&mut state, at);
                }
                Due::Never => shared.work.wait(&mut state),
            }
        }
    }

    /// What comes first: a sync, since clients and the rest of the steps wait for it; then what frees space; then what
    /// takes some. A step that failed waits by itself, and lets the others pass.
    fn due(&mut self, state: &mut State, now: Instant) -> Due {
        if state.progress.fatal {
            return if state.stopping {
                Due::Now(Step::Exit)
            } else {
                Due::Never
            };
        }
        // A segment begins once all before it is on disk: a sync that fails must be seen to be one.
        let next = self.writing.front().map(|frame| frame.segment);
        let begins = next.is_some_and(|next| self.begins(next));
        let waits = |step| self.retries.waits(step, state, now);
        let syncs = self.unsynced.is_some() && (begins || sync_is_due(state, now));
        if syncs && !waits(Step::Sync) {
            return Due::Now(Step::Sync);
        }
        let retires = state.may_retire();
        if let Some(below) = retires.map(Step::Retire).filter(|&step| !waits(step)) {
            return Due::Now(below);
        }
        let writes = next.is_some() && !begins || next.is_none() && write_is_due(state, now);
        if writes && !waits(Step::Write) {
            if next.is_none() {
                self.take(state);
            }
            return Due::Now(Step::Write);
        }
        if state.stopping {
            return Due::Now(Step::Exit);
        }
        let write_at = state.frames.front().map(|frame| frame.since + LINGER);
        let write_at = write_at.filter(|_| next.is_none() && !waits(Step::Write));
        let sync_at = sync_at(state).filter(|_| !waits(Step::Sync));
        let times = write_at.into_iter().chain(sync_at);
        match times.chain(self.retries.next(now)).min() {
            Some(at) => Due::At(at),
            None => Due::Never,
        }
    }

    /// A frame of this segment is not written before a sync.
    fn begins(&self, segment: Segment) -> bool {
        self.unsynced.is_some_and(|unsynced| unsynced < segment)
    }

    fn take(&mut self, state: &mut State) {
        mem::swap(&mut self.writing, &mut state.frames);
        state.queued_bytes = 0;
        state.unwritten_since = self.writing.front().map(|frame| frame.since);
    }

    fn write(&mut self) -> Result<(), Fault> {
        while let Some(frame) = self.writing.front() {
            if self.begins(frame.segment) {
                break;
            }
            self.backend.append(frame.segment, &frame.bytes)?;
            let frame = self.writing.pop_front().expect("it was just there");
            self.unsynced = Some(frame.segment);
            let mut state = self.shared.state.lock();
            state.progress.written = frame.end;
            state.progress.readable = frame.until;
            state.unsynced_since.get_or_insert(frame.since);
            state.unwritten_since = self.writing.front().map(|frame| frame.since);
            let bytes = frame.bytes.len() as u64;
            state.stats.pending_bytes -= bytes;
            state.stats.written_bytes += bytes;
            state.stats.frames += 1;
            state.recycle(frame.bytes);
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Fault> {
        let began = Instant::now();
        self.backend.sync()?;
        self.unsynced = None;
        let now = Instant::now();
        let disk = (now >= self.stats_at).then(|| self.backend.stats());
        let mut state = self.shared.state.lock();
        state.progress.synced = state.progress.written;
        state.unsynced_since = None;
        state.stats.synced_bytes = state.stats.written_bytes;
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

    fn retire(&mut self, below: Segment) -> Result<(), Fault> {
        self.backend.retire(below)?;
        self.shared.state.lock().retired(below);
        Ok(())
    }

    fn succeeded(&mut self, step: Step) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state.lock();
        self.retries.forget(step);
        // Only a sync proves that the disk takes writes again: some backends buffer what they append.
        let heals = self.unsynced.is_none() && self.retries.is_empty();
        let healed = heals && state.progress.fault.take().is_some();
        let worth_telling = match step {
            // Everybody waits for the sync, which is next.
            Step::Write => state.policy != Policy::Always,
            Step::Sync => true,
            Step::Retire(_) | Step::Exit => false,
        };
        if healed || worth_telling {
            self.report(state);
        }
    }

    fn failed(&mut self, step: Step, fault: Fault) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state.lock();
        let lost = step == Step::Sync && !fault.is_full();
        // A stop tries once: the operator will not wait for space. Segments to retire may come back at the start.
        let gives_up = state.stopping && !matches!(step, Step::Retire(_));
        state.progress.fatal = lost || gives_up;
        state.progress.fault = Some(Arc::new(fault));
        state.stats.faults += 1;
        self.retries.note(step, Instant::now());
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

/// When the policy wants a sync; none while nothing is unsynced.
fn sync_at(state: &State) -> Option<Instant> {
    let wait = match state.policy {
        Policy::Always => Duration::ZERO,
        Policy::EverySecond => SYNC_SOON,
        Policy::No => SYNC_LATE,
    };
    state.unsynced_since.map(|since| since + wait)
}

/// What is written is to be synced now.
fn sync_is_due(state: &State, now: Instant) -> bool {
    let Progress {
        written,
        synced,
        ref fault,
        ..
    } = state.progress;
    let by_policy = sync_at(state).is_some_and(|at| now >= at);
    let wanted = synced < state.flush_to && state.flush_to <= written;
    let retiring = state.retires_with_sync();
    let stopping = state.stopping && state.frames.is_empty();
    by_policy || wanted || retiring || stopping || fault.is_some()
}

/// What is queued is to be written now.
fn write_is_due(state: &State, now: Instant) -> bool {
    let written = state.progress.written;
    let Some(oldest) = state.frames.front() else {
        return false;
    };
    state.policy == Policy::Always
        || state.stopping
        || state.flush_to > written
        || state.retires_later()
        || state.queued_bytes >= LINGER_BYTES
        || now >= oldest.since + LINGER
}
