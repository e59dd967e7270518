//! A copy of a log while it is written: of all segments that are closed at one moment.
//!
//! Whoever wants a copy of everything so far rolls the journal first. The copy is read beside the appends, record by
//! record, each checked, and written as a log of its own. Until it ends, no segment is dropped.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shoalmq_core::record::Segment;

use crate::backend::Backend;
use crate::fault::{Damage, Fault, Place};
use crate::journal::{Journal, Position};
use crate::record::{Invalid, decode};

/// So much is read, and appended to the copy, at a time.
const CHUNK: u64 = 256 << 10;

/// The closed segments of a journal, none of which is dropped while this lives.
#[derive(Debug)]
pub struct Backup {
    journal: Journal,
    segments: Vec<(Segment, u64)>,
    until: Position,
    path: PathBuf,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The log was not written, or not synced, up to the moment of the copy.
    #[error("the job log could not be synced")]
    Unsynced(#[source] Arc<Fault>),
    /// The log could not be read, or the copy not be written.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Backup {
    /// Begins one of all segments before the present one. Faults of reading name `path`.
    pub fn begin(journal: &Journal, path: &Path) -> Self {
        let (segments, until) = journal.hold();
        Backup {
            journal: journal.clone(),
            segments,
            until,
            path: path.to_owned(),
        }
    }

    /// How many bytes of frames there are to copy.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Copies everything into an empty log, and syncs it. Tells `progress` how many more bytes are copied; returns how
    /// many records.
    ///
    /// Waits for the disk, and for what is not written yet: not for a thread that serves clients.
    pub fn copy(
        &self,
        target: &mut dyn Backend,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64, BackupError> {
        self.journal
            .flush(self.until)
            .map_err(BackupError::Unsynced)?;
        let mut records = 0;
        for &(segment, length) in &self.segments {
            records += self.copy_segment(segment, length, target, progress)?;
        }
        target.sync()?;
        Ok(records)
    }

    fn copy_segment(
        &self,
        segment: Segment,
        length: u64,
        target: &mut dyn Backend,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64, Fault> {
        let reader = self.journal.reader();
        let (mut buffer, mut offset, mut records) = (Vec::new(), 0, 0);
        while offset < length {
            let held = buffer.len();
            let step = CHUNK.min(length - offset);
            buffer.resize(held + step as usize, 0);
            reader.read(segment, offset, &mut buffer[held..])?;
            offset += step;
            let (whole, count) =
                whole_records(&buffer, offset == length).map_err(|invalid| Fault::Corrupt {
                    path: self.path.clone(),
                    place: Place::Segment { segment },
                    damage: Damage::Record(invalid),
                })?;
            if whole > 0 {
                target.append(segment, &buffer[..whole])?;
                buffer.drain(..whole);
            }
            records += count;
            progress(step);
        }
        Ok(records)
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        self.journal.release();
    }
}

/// The bytes and the number of the records that are there whole; at the end of a segment that is all of them.
fn whole_records(bytes: &[u8], is_all: bool) -> Result<(usize, u64), Invalid> {
    let (mut rest, mut count) = (bytes, 0);
    while !rest.is_empty() {
        match decode(rest) {
            Ok((_, after)) => rest = after,
            Err(Invalid::Truncated) if !is_all => break,
            Err(invalid) => return Err(invalid),
        }
        count += 1;
    }
    Ok((bytes.len() - rest.len(), count))
}

/// Syncs a folder with all files and folders below it, whether or not an engine did.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_folder(&path)?;
        } else {
            File::open(&path)?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use shoalmq_core::id::{JobId, QueueName};
    use shoalmq_core::job::Body;
    use shoalmq_core::message::Holders;
    use shoalmq_core::record::{JobRecord, Record};
    use shoalmq_core::time::Time;

    use super::*;
    use crate::backend::memory::Memory;
    use crate::journal::{Options, Policy};
    use crate::{Store, TornTail};

    fn job(number: u8, bytes: usize) -> Record {
        Record::Added(Box::new(JobRecord {
            id: JobId::from_bytes([number; 24]),
            queue: QueueName::new(b"q"),
            body: Body::new(&vec![number; bytes]),
            created: 1,
            added: Time::ZERO,
            ttl: 60,
            delay: 0,
            retry: 5,
            replicate: 1,
            nacks: 0,
            additional_deliveries: 0,
            holders: Holders::from([]),
        }))
    }

    fn start(memory: &Memory, segment: Segment) -> Journal {
        let options = Options {
            policy: Policy::EverySecond,
            segment_bytes: 1000,
            after: Position(0),
        };
        Journal::start(Box::new(memory.clone()), segment, options, Box::new(|_| {}))
            .expect("a thread")
    }

    fn records(memory: &Memory) -> (Vec<(Segment, Record)>, Store) {
        let mut found = Vec::new();
        let mut store = Store::of(Box::new(memory.clone()), Path::new("here"));
        store
            .load(
                TornTail::Refuse,
                |segment, record| found.push((segment, record)),
                |_| {},
            )
            .expect("the log is whole");
        (found, store)
    }

    #[test]
    fn a_copy_holds_what_lies_before_the_roll_of_this_journal_and_of_earlier_ones() {
        let memory = Memory::new();
        let former = start(&memory, 1);
        former.append(&job(1, 10));
        // Larger than what is read at a time.
        former.append(&job(2, 3 * CHUNK as usize));
        former.stop().expect("memory has no faults");
        let (_, store) = records(&memory);
        let journal = start(&memory, 2);
        journal.note_earlier(store.lengths());
        for number in 3..200 {
            journal.append(&job(number, 5000));
        }
        journal.roll();
        let backup = Backup::begin(&journal, Path::new("here"));
        journal.append(&job(200, 10));
        let (mut copy, mut copied) = (Memory::new(), 0);
        let count = backup
            .copy(&mut copy, &mut |bytes| copied += bytes)
            .expect("memory has no faults");
        assert_eq!((count, copied), (199, backup.bytes()));
        let (found, _) = records(&copy);
        assert_eq!(
            found[..2],
            [(1, job(1, 10)), (1, job(2, 3 * CHUNK as usize))]
        );
        let numbers = (3..200).map(|number| (2, job(number, 5000)));
        assert!(found[2..].iter().cloned().eq(numbers));
    }

    #[test]
    fn segments_that_are_given_up_meanwhile_are_copied_and_then_dropped() {
        let memory = Memory::new();
        let journal = start(&memory, 1);
        journal.append(&job(1, 10));
        journal.roll();
        let backup = Backup::begin(&journal, Path::new("here"));
        journal.append(&job(2, 10));
        journal.retire(2);
        journal.sync_now().expect("memory has no faults");
        let mut copy = Memory::new();
        backup
            .copy(&mut copy, &mut |_| {})
            .expect("it is still there");
        assert_eq!(records(&copy).0, [(1, job(1, 10))]);
        drop(backup);
        journal.stop().expect("memory has no faults");
        assert_eq!(records(&memory).0, [(2, job(2, 10))]);
    }

    #[test]
    fn damage_is_not_copied() {
        let mut memory = Memory::new();
        let mut frame = Vec::new();
        crate::record::encode(&job(1, 100), &mut frame);
        frame[50] ^= 1;
        memory.append(1, &frame).expect("memory has no faults");
        let journal = start(&memory, 2);
        journal.note_earlier([(1, frame.len() as u64)].into());
        let backup = Backup::begin(&journal, Path::new("here"));
        let fault = backup.copy(&mut Memory::new(), &mut |_| {});
        assert!(
            matches!(fault, Err(BackupError::Fault(Fault::Corrupt { .. }))),
            "{fault:?}"
        );
    }
}
