//! Reading back from the log what a node keeps there and not in memory: the body of one job, or a page of entries.
//!
//! What comes back is what was written, or an error: checksums are looked at, and the id of a job.

use shoalmq_core::id::JobId;
use shoalmq_core::job::Body;
use shoalmq_core::record::{Location, Record};

use crate::backend::Reader;
use crate::fault::Fault;
use crate::record::{HEADER, Invalid, decode, length_of};

mod entries;
#[cfg(test)]
mod tests;

pub use entries::entries;

/// What a record of a job holds beside its body at most: far more than the longest command brings.
const BESIDE_BODY: usize = 64 << 20;
/// What it holds beside its body almost always, so that one read brings all of it.
const BESIDE_MOSTLY: usize = 256;

/// Why a job, or an entry, did not come back.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The backend could not read.
    #[error("read back from {0}")]
    Fault(Location, #[source] Fault),
    /// What lies there is not a record, or not whole.
    #[error("what lies at {0} is damaged")]
    Damaged(Location, #[source] Invalid),
    /// What lies there is another record.
    #[error("another record lies at {0}")]
    Another(Location),
}

impl Unreadable {
    /// Reading it again may help: nothing is known to be wrong with what is on disk.
    pub fn may_pass(&self) -> bool {
        match self {
            Unreadable::Fault(_, fault) => match fault {
                Fault::Io { .. } | Fault::Denied { .. } | Fault::Full { .. } => true,
                Fault::Locked { .. }
                | Fault::Corrupt { .. }
                | Fault::Torn { .. }
                | Fault::Foreign { .. }
                | Fault::Retired { .. }
                | Fault::Newer { .. } => false,
            },
            Unreadable::Damaged(..) | Unreadable::Another(_) => false,
        }
    }
}

/// Reads the body of a job, of `length` bytes, whose record lies at `location`.
pub fn fetch(
    reader: &dyn Reader,
    location: Location,
    id: &JobId,
    length: usize,
) -> Result<Body, Unreadable> {
    let Location { segment, offset } = location;
    let read = |offset: usize, least: usize, buffer: &mut [u8]| {
        let read = reader.read_some(segment, offset as u64, least, buffer);
        read.map_err(|fault| Unreadable::Fault(location, fault))
    };
    let start = offset as usize;
    let mut bytes = vec![0; HEADER + length + BESIDE_MOSTLY];
    let there = read(start, HEADER, &mut bytes)?;
    let payload = length_of(&bytes);
    // Before room is made for it.
    if payload < length || payload > length + BESIDE_BODY {
        return Err(Unreadable::Damaged(location, Invalid::Checksum));
    }
    bytes.resize(HEADER + payload, 0);
    if let Some(missing) = bytes.get_mut(there..).filter(|rest| !rest.is_empty()) {
        read(start + there, missing.len(), missing)?;
    }
    match decode(&bytes) {
        Ok((Record::Added(job), _)) if job.id == *id && job.body.len() == length => Ok(job.body),
        Ok(_) => Err(Unreadable::Another(location)),
        Err(invalid) => Err(Unreadable::Damaged(location, invalid)),
    }
}
