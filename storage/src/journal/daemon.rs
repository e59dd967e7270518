//! The daemon: the thread that owns the backend, and does one thing after the other.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;
use shoalmq_core::record::Segment;
use shoalmq_core::tally::WAIT_MICROS;

use super::pending::{Frame, Shared, State};
use super::{Policy, Progress};
use crate::backend::Backend;
use crate::fault::Fault;

/// Unless somebody waits for the disk, a commit waits so long for more records: small frames cost the most.
const LINGER: Duration = Duration::from_millis(5);
/// A commit of so many bytes waits for no more.
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
    retry: Option<Retry>,
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

#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Instant,
    pause: Duration,
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
            retry: None,
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
            let due = match self.retry {
                Some(retry) if !state.stopping && now < retry.at => Due::At(retry.at),
                _ => self.due(&mut state, now),
            };
            let backing_off = self.retry.is_some_and(|retry| now < retry.at);
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

    fn due(&mut self, state: &mut State, now: Instant) -> Due {
        if state.progress.fatal {
            return if state.stopping {
                Due::Now(Step::Exit)
            } else {
                Due::Never
            };
        }
        if let Some(next) = self.writing.front() {
            // A segment begins once all before it is on disk: a sync that fails must be seen to be one.
            let begins = self.unsynced.is_some_and(|segment| segment < next.segment);
            return Due::Now(if begins { Step::Sync } else { Step::Write });
        }
        if self.unsynced.is_some() && sync_is_due(state, now) {
            return Due::Now(Step::Sync);
        }
        if let Some(below) = state.may_retire() {
            return Due::Now(Step::Retire(below));
        }
        if write_is_due(state, now) {
            self.take(state);
            return Due::Now(Step::Write);
        }
        if state.stopping {
            return Due::Now(Step::Exit);
        }
        let write_at = state.frames.front().map(|frame| frame.since + LINGER);
        match write_at.into_iter().chain(sync_at(state)).min() {
            Some(at) => Due::At(at),
            None => Due::Never,
        }
    }

    fn take(&mut self, state: &mut State) {
        mem::swap(&mut self.writing, &mut state.frames);
        state.queued_bytes = 0;
        state.unwritten_since = self.writing.front().map(|frame| frame.since);
    }

    fn write(&mut self) -> Result<(), Fault> {
        while let Some(frame) = self.writing.front() {
            if self.unsynced.is_some_and(|segment| segment < frame.segment) {
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
        // Only a sync proves that the disk takes writes again: some backends buffer what they append.
        let healed = self.unsynced.is_none() && state.progress.fault.take().is_some();
        if healed {
            self.retry = None;
        }
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
        let fatal = step == Step::Sync && !fault.is_full();
        // A stop tries once: whoever stops the node will not wait for space.
        state.progress.fatal = fatal || state.stopping;
        state.progress.fault = Some(Arc::new(fault));
        state.stats.faults += 1;
        let pause = match self.retry {
            Some(retry) => (retry.pause * 2).min(RETRY_MAX),
            None => RETRY_MIN,
        };
        self.retry = Some(Retry {
            at: Instant::now() + pause,
            pause,
        });
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
    let retiring = state.may_retire().is_some();
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
