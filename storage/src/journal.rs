//! The journal: records go in from the thread that owns the node, and a daemon of its own writes them, many at a time.
//!
//! ```text
//! push ─► frame being filled ─► daemon: append ─► sync, by policy ─► on_progress(written, synced)
//! ```
//!
//! What queued up while the daemon was busy is the next group commit: one frame of each [stream](crate::streams), cut at
//! [`FRAME_BYTES`] and where a segment ends. The records of both streams have one count of positions: what is said of a
//! position goes for all records of either up to there. A failed write keeps its records, in order, and is tried again until it succeeds. A failed sync, other
//! than for lack of space, ends all writing: nobody knows then what the disk holds.
//!
//! This is the one place of the crate that reads a clock, for its own pauses only.

use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use shoalmq_core::record::{Location, Record, Segment, Stream};
use shoalmq_core::telling::{Histogram, WAIT_MICROS};

use crate::backend::{self, Backend, Reader};
use crate::fault::Fault;
use crate::streams::{STREAMS, Streams};

use self::daemon::Daemon;
use self::pending::{Lane, Shared, State};

mod daemon;
mod pending;
#[cfg(test)]
mod tests;

pub use self::pending::Writer;
pub use shoalmq_core::log::Position;

/// A frame takes no more records once it has this many bytes.
pub const FRAME_BYTES: usize = 1 << 20;

/// When the disk is made to hold what was appended: `appendfsync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// After every group commit.
    Always,
    /// Once a second, when there is anything.
    EverySecond,
    /// As rarely as the promise allows that nothing stays off the disk for longer than two seconds.
    No,
}

/// How a journal starts.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// When to sync; [`Journal::set_policy`] changes it.
    pub policy: Policy,
    /// A segment of either stream is full when it has this many bytes.
    pub segment_bytes: u64,
    /// Where positions go on: those of a journal before this one, all of which count as synced, stay below its own.
    pub after: Position,
}

/// How far the daemon is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The backends have all records up to here.
    pub written: Position,
    /// What lies before this place of a stream can be read.
    pub readable: Streams<Location>,
    /// All records up to here survive a loss of power.
    pub synced: Position,
    /// What keeps the daemon from going on; none once a write and a sync succeeded again.
    pub fault: Option<Arc<Fault>>,
    /// The fault is a failed sync, or came at the stop: the daemon writes no more, and the process has to stop.
    pub fatal: bool,
}

/// How full a journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// The segment of a stream has its bytes: time for [`Journal::roll`].
    pub segment_is_full: Streams<bool>,
    /// Bytes appended that the backend does not have yet.
    pub pending_bytes: u64,
    /// What lies before this place of a stream can be read.
    pub readable: Streams<Location>,
}

/// What a journal did and has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Bytes appended that the backend does not have yet.
    pub pending_bytes: u64,
    /// Nothing is wrong: the last write, and the last sync, succeeded.
    pub last_write_ok: bool,
    /// Bytes that the backend took since the start.
    pub written_bytes: u64,
    /// Of those, the bytes that survive a loss of power.
    pub synced_bytes: u64,
    /// Frames that the backend took since the start.
    pub frames: u64,
    /// Syncs that succeeded since the start.
    pub syncs: u64,
    /// The time that they took together.
    pub sync_time: Duration,
    /// How long each took, in microseconds, by [`WAIT_MICROS`].
    pub sync_times: Histogram<{ WAIT_MICROS.len() }>,
    /// Writes and syncs that failed since the start.
    pub faults: u64,
    /// What the backend of each stream holds, as of the last sync, or up to a second older.
    pub disk: Streams<backend::Stats>,
}

impl Stats {
    /// What both streams take on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.disk.values().map(|disk| disk.disk_bytes).sum()
    }
}

/// The way into the log. Clones are handles of the same journal; dropping the last one stops it.
#[derive(Clone)]
pub struct Journal(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    readers: Streams<Option<Arc<dyn Reader>>>,
    daemon: Mutex<Option<JoinHandle<Stopped>>>,
    segment_bytes: u64,
}

/// How the daemon ended: with everything on disk, or with what kept it from there.
type Stopped = Result<(), Arc<Fault>>;

impl Journal {
    /// Starts the daemon on backends that were replayed, with the first records of each stream going to its segment.
    ///
    /// The daemon calls `on_progress` after each commit (under [`Policy::Always`] once it is synced), after each sync,
    /// and when a fault begins or ends.
    pub fn start(
        backends: Streams<Box<dyn Backend>>,
        segments: Streams<Segment>,
        options: Options,
        on_progress: Box<dyn Fn(Progress) + Send>,
    ) -> Result<Journal, std::io::Error> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(
                segments,
                options,
                backends.each_ref(|backend| backend.stats()),
            )),
            work: Condvar::new(),
            done: Condvar::new(),
        });
        let readers = backends.each_ref(|backend| backend.reader());
        let daemon = Daemon::new(backends, Arc::clone(&shared), on_progress);
        let daemon = thread::Builder::new()
            .name("storage".to_owned())
            .spawn(move || daemon.run())?;
        Ok(Journal(Arc::new(Handle {
            shared,
            readers,
            daemon: Mutex::new(Some(daemon)),
            segment_bytes: options.segment_bytes,
        })))
    }

    /// Appends one record; for more than one, [`Journal::writer`] locks once.
    pub fn append(&self, record: &Record) -> Position {
        self.writer().push(record)
    }

    /// The journal, for a batch of records.
    pub fn writer(&self) -> Writer<'_> {
        let shared = &self.0.shared;
        Writer {
            state: shared.state.lock(),
            work: &shared.work,
        }
    }

    /// The position of the last record.
    pub fn position(&self) -> Position {
        self.state().appended
    }

    /// The way to read what is written of a stream, if its backend has one.
    pub fn reader(&self, stream: Stream) -> Option<Arc<dyn Reader>> {
        self.0.readers[stream].clone()
    }

    /// How far the daemon is.
    pub fn progress(&self) -> Progress {
        self.state().progress.clone()
    }

    /// What the appending side looks at all the time.
    pub fn load(&self) -> Load {
        let state = self.state();
        let is_full = |lane: &Lane| lane.segment_bytes >= self.0.segment_bytes;
        Load {
            segment_is_full: state.lanes.each_ref(is_full),
            pending_bytes: state.stats.pending_bytes,
            readable: state.progress.readable,
        }
    }

    /// Begins the next segment of a stream, and returns it: all records of the stream from now on belong to it.
    pub fn roll(&self, stream: Stream) -> Segment {
        self.state().roll(stream)
    }

    /// Drops all segments of a stream below this one, after what was appended so far is synced. Does not wait for it.
    pub fn retire(&self, stream: Stream, below: Segment) {
        let mut state = self.state();
        state.retire(stream, below);
        self.0.shared.wake(&mut state);
    }

    /// Drops no segment until [`Journal::release`], from the end of what the daemon is doing on. Once the position that it
    /// returns is synced, all segments before the current ones are closed.
    pub(crate) fn hold(&self) -> Position {
        let mut state = self.state();
        assert!(!state.is_held, "one backup at a time");
        state.is_held = true;
        for stream in STREAMS {
            state.begin(stream);
        }
        self.0.shared.wake(&mut state);
        state.appended
    }

    /// Segments are dropped again, with those that were given up meanwhile.
    pub(crate) fn release(&self) {
        let mut state = self.state();
        state.is_held = false;
        self.0.shared.wake(&mut state);
    }

    /// Changes when the daemon syncs.
    pub fn set_policy(&self, policy: Policy) {
        let mut state = self.state();
        state.policy = policy;
        self.0.shared.wake(&mut state);
    }

    /// Waits until all that was appended so far is synced, whatever the policy.
    pub fn sync_now(&self) -> Result<(), Arc<Fault>> {
        self.flush(self.position())
    }

    /// Has a position synced soon, whatever the policy. Does not wait for it.
    pub fn sync_soon(&self, position: Position) {
        let mut state = self.state();
        self.0.want_sync(&mut state, position);
    }

    /// Waits until a position is synced, whatever the policy.
    ///
    /// Returns a fault as soon as there is one; the records are still tried again, unless it is fatal.
    pub fn flush(&self, position: Position) -> Result<(), Arc<Fault>> {
        let shared = &self.0.shared;
        let mut state = self.state();
        self.0.want_sync(&mut state, position);
        loop {
            if state.progress.synced >= position {
                return Ok(());
            }
            if let Some(fault) = &state.progress.fault {
                return Err(Arc::clone(fault));
            }
            assert!(!state.stopped, "flush of {position:?} after the stop");
            shared.done.wait(&mut state);
        }
    }

    /// Since when the oldest record waits that is not on disk, whatever the policy; none when nothing waits.
    pub fn waiting_since(&self) -> Option<Instant> {
        self.state().waiting_since()
    }

    /// What the journal did and has to do.
    pub fn stats(&self) -> Stats {
        let state = self.state();
        Stats {
            last_write_ok: state.progress.fault.is_none(),
            ..state.stats
        }
    }

    /// Writes and syncs everything, and closes the backend. Returns what kept it from doing so.
    ///
    /// A write that fails now is not tried again. What is appended later is not written, and its position never comes.
    /// A second stop returns at once.
    pub fn stop(&self) -> Result<(), Arc<Fault>> {
        self.0.stop()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.shared.state.lock()
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("position", &self.position())
            .field("progress", &self.progress())
            .finish_non_exhaustive()
    }
}

impl Handle {
    fn want_sync(&self, state: &mut State, position: Position) {
        assert!(
            position <= state.appended,
            "a sync of {position:?}, which was never appended"
        );
        state.flush_to = state.flush_to.max(position);
        self.shared.wake(state);
    }

    fn stop(&self) -> Result<(), Arc<Fault>> {
        let mut daemon = self.daemon.lock();
        {
            let mut state = self.shared.state.lock();
            state.stopping = true;
            self.shared.wake(&mut state);
        }
        match daemon.take() {
            Some(daemon) => daemon.join().expect("a panic ends the process"),
            None => Ok(()),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(fault) = self.stop() {
            tracing::warn!(%fault, "the journal was closed with records that are not on disk");
        }
    }
}
