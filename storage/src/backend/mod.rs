//! What keeps the log: one trait, shaped like a log, and its implementations.
//!
//! A backend knows frames, not records. A *frame* is what one group commit writes, and it belongs to one *segment*,
//! the unit in which old frames are dropped.

use std::fmt;
use std::sync::Arc;

use shoalmq_core::record::Segment;

use crate::fault::Fault;

mod lock;
pub mod log;
pub mod memory;
mod open;
pub mod sled;

/// The number of a frame: rises from frame to frame, across segments and restarts, though not always by one. A log
/// without a frame may start over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How much a backend holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Bytes on disk (in memory for the backend that has no disk), dead ones included; 0 when it cannot tell.
    pub disk_bytes: u64,
    /// Segments that hold a frame.
    pub segments: u64,
}

/// What is visited by a replay: a frame, with its segment and number. A fault that it returns ends the replay.
pub type Visit<'a> = dyn FnMut(Segment, Sequence, &[u8]) -> Result<(), Fault> + 'a;

/// A log of frames: the contract of a backend, which `tests/conformance.rs` holds all of them to.
///
/// **Order.** Frames keep the order of their appends, within a segment and across them. One thread at a time uses a
/// backend, and calls wait for the disk.
///
/// **Sync.** What was appended and retired before a [`Backend::sync`] that succeeded survives a loss of power.
///
/// **After a crash** a replay visits all frames that were synced, and of those after them a part from the front: when one
/// is there, all before it are, each of them whole and as it was appended. When only the process ends it is the
/// same, as a backend may buffer frames; `log` does not, and has them all. What was retired is gone, or may come back if no
/// sync followed. A frame whose append did not return may be there.
///
/// **Damage.** What was synced and cannot be read as it was written is [`Fault::Corrupt`], with the place if it is known,
/// at the open or at the replay; never is a frame visited that was not appended so, nor one left out in between. As
/// far as the backend can tell, the same goes for frames that are missing at the end; what it cannot tell, it documents.
/// An end that was never synced is [`Backend::unfinished`] instead: it is no damage.
///
/// **Faults.** [`Fault::Full`]: works again once there is space. [`Fault::Locked`], [`Fault::Denied`], [`Fault::Newer`]:
/// for an operator. [`Fault::Io`]: the disk. After a fault the backend is still to be used: a later call tries again,
/// with a fresh start if its engine needs one. Only a sync that failed for another reason than space is final.
pub trait Backend: Send {
    /// Appends a frame, which may be empty, to a segment that is not below the one appended to last.
    ///
    /// Once this returns, the frame is lost only with the process or the machine: should a later fault make the engine
    /// start afresh, the backend sees to it that the frame is still there. After a fault the frame is not there, and
    /// the same one is to be appended again before any other.
    fn append(&mut self, segment: Segment, frame: &[u8]) -> Result<Sequence, Fault>;

    /// Returns when all that was appended and retired survives a loss of power.
    ///
    /// [`Fault::Full`] says that some of it could not be written yet: a later sync tries that again. After any other
    /// fault nobody knows what the disk holds of the frames since the last sync, and the node has to stop.
    fn sync(&mut self) -> Result<(), Fault>;

    /// Visits every frame in order, from the oldest.
    ///
    /// Comes before the first append. Frames that are known to be missing in between, and files that the engine cannot
    /// read, are [`Fault::Corrupt`]; what is inside of a frame the backend does not judge.
    fn replay(&mut self, visit: &mut Visit<'_>) -> Result<(), Fault>;

    /// The place of a frame at the end that was not written whole, when the backend knows of one.
    ///
    /// A replay does not visit it, and it stays until the first append or cut takes it away.
    fn unfinished(&self) -> Option<(Segment, Sequence)> {
        None
    }

    /// Cuts the last frame of the log to its first `keep` bytes, or takes it away when that is 0, and syncs.
    fn cut(&mut self, segment: Segment, last: Sequence, keep: usize) -> Result<(), Fault>;

    /// Drops all segments below this one, whole. A crash before the next sync may bring them back.
    fn retire(&mut self, below: Segment) -> Result<(), Fault>;

    /// The numbers that the frames of a replay go from and to, when they are known before: for telling how far it is.
    fn span(&self) -> Option<(Sequence, Sequence)> {
        None
    }

    /// How much there is.
    fn stats(&self) -> Stats;

    /// The way to read what was appended or replayed, from any thread, for as long as the backend lives; none when it
    /// reads nothing but whole logs.
    fn reader(&self) -> Option<Arc<dyn Reader>> {
        None
    }
}

/// Reads what was appended, from any thread, beside the appends.
pub trait Reader: fmt::Debug + Send + Sync {
    /// Fills `buffer` with the bytes of a segment from `offset` on: its frames laid end to end, as they were appended.
    /// Where the segment ends sooner, with what there is, but at least `least` bytes. Returns how many.
    ///
    /// A segment that a retire has dropped is [`Fault::Retired`]; bytes that were never appended, or are there no more,
    /// are [`Fault::Corrupt`]. After any other fault the same read may succeed later. Whether the bytes are those that
    /// were written is for the caller to check.
    fn read_some(
        &self,
        segment: Segment,
        offset: u64,
        least: usize,
        buffer: &mut [u8],
    ) -> Result<usize, Fault>;

    /// Fills all of `buffer`: see [`Reader::read_some`].
    fn read(&self, segment: Segment, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        self.read_some(segment, offset, buffer.len(), buffer)
            .map(drop)
    }
}

/// How many bytes a read gets of a segment that has `bytes`: none when that is fewer than `least`.
fn within(bytes: u64, offset: u64, least: usize, wanted: usize) -> Option<usize> {
    let there = bytes.checked_sub(offset)?;
    let some = usize::try_from(there).map_or(wanted, |there| there.min(wanted));
    (some >= least).then_some(some)
}
