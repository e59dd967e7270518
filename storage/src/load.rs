//! Reading the log at a start: frames into records, and damage told from a torn tail.

use std::path::Path;

use shoalmq_core::record::{Location, Record, Segment, Stream};
use tracing::warn;

use crate::backend::{Backend, Sequence};
use crate::fault::{Damage, Fault, Place};
use crate::record::{Invalid, any_within, decode};
use crate::streams::Streams;

/// What becomes of a torn tail, which a crash can leave: `aof-load-truncated`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TornTail {
    /// It is cut off, with a warning.
    Cut,
    /// It is a [`Fault::Torn`], and stays as it is.
    Refuse,
}

/// How much of a stream was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loaded {
    /// Records visited.
    pub records: u64,
    /// Bytes of the frames read.
    pub bytes: u64,
    /// Bytes of all frames: an estimate until the end. None where the backend does not know how many there are.
    pub total_bytes: Option<u64>,
    /// The segment of the last frame; none when there is none.
    pub last_segment: Option<Segment>,
    /// The torn record or frame that was cut off the end, with what came after it.
    pub torn: Option<Place>,
}

impl Loaded {
    /// What is known of a stream before it is read.
    pub(crate) fn expecting(backend: &dyn Backend) -> Self {
        Loaded {
            total_bytes: backend.span().map(|_| backend.stats().disk_bytes),
            ..Loaded::default()
        }
    }
}

impl Streams<Loaded> {
    /// Records visited.
    pub fn records(&self) -> u64 {
        self.values().map(|loaded| loaded.records).sum()
    }

    /// Bytes of the frames read.
    pub fn bytes(&self) -> u64 {
        self.values().map(|loaded| loaded.bytes).sum()
    }

    /// Bytes of all frames, as far as they are known.
    pub fn total_bytes(&self) -> Option<u64> {
        let known = self.values().filter_map(|loaded| loaded.total_bytes);
        known.reduce(|one, other| one + other)
    }
}

/// A log to be read.
pub(crate) struct Log<'a> {
    pub(crate) backend: &'a mut dyn Backend,
    pub(crate) stream: Stream,
    /// For the texts of faults.
    pub(crate) path: &'a Path,
}

/// A record that cannot be read, and may be the torn end of the log.
struct Torn {
    segment: Segment,
    sequence: Sequence,
    offset: usize,
    invalid: Invalid,
}

impl Torn {
    fn place(&self) -> Place {
        Place::Record {
            segment: self.segment,
            sequence: self.sequence,
            offset: self.offset,
        }
    }

    fn into_fault(self, path: &Path) -> Fault {
        let path = path.to_owned();
        let place = self.place();
        let newer = self.invalid.is_newer();
        let damage = Damage::Record(self.invalid);
        if newer {
            Fault::Newer {
                path,
                place,
                damage,
            }
        } else {
            Fault::Corrupt {
                path,
                place,
                damage,
            }
        }
    }
}

/// Visits every record of a stream in order, and sees to a torn tail.
pub(crate) fn load(
    log: Log<'_>,
    torn_tail: TornTail,
    visit: &mut dyn FnMut(Location, Record),
    progress: &mut dyn FnMut(&Loaded),
) -> Result<Loaded, Fault> {
    let Log {
        backend,
        stream,
        path,
    } = log;
    let mut loaded = Loaded::default();
    let mut torn: Option<Torn> = None;
    // Bytes of the segment before the frame.
    let mut before = 0;
    let span = backend.span();
    backend.replay(&mut |segment, sequence, frame| {
        if loaded.last_segment.replace(segment) != Some(segment) {
            before = 0;
        }
        loaded.bytes += frame.len() as u64;
        if !frame.is_empty() {
            // A frame follows: what looked like a torn tail is in the middle.
            if let Some(damaged) = torn.take() {
                return Err(damaged.into_fault(path));
            }
        }
        let mut rest = frame;
        while !rest.is_empty() {
            match decode(rest) {
                Ok((record, after)) => {
                    let within = frame.len() - rest.len();
                    let offset = before + within as u64;
                    if record.stream() != stream {
                        return Err(stray(path, segment, sequence, within));
                    }
                    visit(Location::new(segment, offset), record);
                    loaded.records += 1;
                    rest = after;
                }
                Err(invalid) => {
                    let tail = may_be_torn(&invalid, &rest[1..]);
                    let found = Torn {
                        segment,
                        sequence,
                        offset: frame.len() - rest.len(),
                        invalid,
                    };
                    if !tail {
                        return Err(found.into_fault(path));
                    }
                    torn = Some(found);
                    break;
                }
            }
        }
        before += frame.len() as u64;
        loaded.total_bytes = span.map(|span| total(loaded.bytes, sequence, span));
        progress(&loaded);
        Ok(())
    })?;
    loaded.total_bytes = span.map(|_| loaded.bytes);
    loaded.torn = settle(backend, path, torn_tail, torn)?;
    Ok(loaded)
}

/// A record of the other stream lies here.
fn stray(path: &Path, segment: Segment, sequence: Sequence, offset: usize) -> Fault {
    let place = Place::Record {
        segment,
        sequence,
        offset,
    };
    Fault::Corrupt {
        path: path.to_owned(),
        place,
        damage: Damage::Stream,
    }
}

/// An estimate of the bytes of all frames, if those up to `at` take `bytes` bytes.
fn total(bytes: u64, at: Sequence, (first, last): (Sequence, Sequence)) -> u64 {
    let read = at.0.saturating_sub(first.0) + 1;
    let all = (last.0.saturating_sub(first.0) + 1).max(read);
    (u128::from(bytes) * u128::from(all) / u128::from(read)) as u64
}

/// Cuts off, or refuses, what is torn at the end; returns the place.
fn settle(
    backend: &mut dyn Backend,
    path: &Path,
    torn_tail: TornTail,
    torn: Option<Torn>,
) -> Result<Option<Place>, Fault> {
    let (place, damage, cut) = match (torn, backend.unfinished()) {
        (Some(torn), _) => {
            let cut = Some((torn.segment, torn.sequence, torn.offset));
            (torn.place(), Damage::Record(torn.invalid), cut)
        }
        // The backend takes it away itself, with the next append.
        (None, Some((segment, sequence))) => {
            let place = Place::Frame { segment, sequence };
            (place, Damage::Unfinished, None)
        }
        (None, None) => return Ok(None),
    };
    if torn_tail == TornTail::Refuse {
        let path = path.to_owned();
        return Err(Fault::Torn {
            path,
            place,
            damage,
        });
    }
    warn!(path = %path.display(), %place, reason = %damage, "cut a torn end off the job log");
    if let Some((segment, sequence, keep)) = cut {
        backend.cut(segment, sequence, keep)?;
    }
    Ok(Some(place))
}

/// A record whose bytes are not all there may be torn, unless a whole one is behind it; one that is whole is not.
fn may_be_torn(invalid: &Invalid, behind: &[u8]) -> bool {
    match invalid {
        Invalid::Truncated | Invalid::Checksum => !any_within(behind),
        Invalid::Version(_) | Invalid::Kind(_) | Invalid::Extra(_) | Invalid::Fields(_) => false,
    }
}
