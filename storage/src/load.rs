//! Reading the log at a start: frames into records, and damage told from a torn tail.

use std::path::Path;

use shoalmq_core::record::{Record, Segment};
use tracing::warn;

use crate::backend::{Backend, Sequence};
use crate::fault::{Damage, Fault, Place};
use crate::record::{Invalid, any_within, decode};

/// How much of the log was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loaded {
    /// Records visited.
    pub records: u64,
    /// Bytes of the frames read.
    pub bytes: u64,
    /// The segment of the last frame; none when there is none.
    pub last_segment: Option<Segment>,
    /// The torn record that was cut off the end, with what came after it.
    pub torn: Option<Place>,
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
        if self.invalid.is_newer() {
            let record = self.invalid;
            Fault::Newer {
                path,
                place,
                record,
            }
        } else {
            let damage = Damage::Record(self.invalid);
            Fault::Corrupt {
                path,
                place,
                damage,
            }
        }
    }
}

/// Visits every record of the log in order, and cuts a torn tail off. `path` is for the texts of faults.
pub(crate) fn load(
    backend: &mut dyn Backend,
    path: &Path,
    visit: &mut dyn FnMut(Segment, Record),
    progress: &mut dyn FnMut(&Loaded),
) -> Result<Loaded, Fault> {
    let mut loaded = Loaded::default();
    let mut torn: Option<Torn> = None;
    backend.replay(&mut |segment, sequence, frame| {
        loaded.last_segment = Some(segment);
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
                    visit(segment, record);
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
        progress(&loaded);
        Ok(())
    })?;
    if let Some(torn) = torn {
        warn!(path = %path.display(), place = %torn.place(), reason = %torn.invalid, "cut a torn record off the end of the job log");
        loaded.torn = Some(torn.place());
        backend.cut(torn.segment, torn.sequence, torn.offset)?;
    }
    Ok(loaded)
}

/// A record whose bytes are not all there may be torn, unless a whole one is behind it; one that is whole is not.
fn may_be_torn(invalid: &Invalid, behind: &[u8]) -> bool {
    match invalid {
        Invalid::Truncated | Invalid::Checksum => !any_within(behind),
        Invalid::Version(_) | Invalid::Kind(_) | Invalid::Fields(_) => false,
    }
}
