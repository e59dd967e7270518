//! The backend without a disk: for tests, and for a node that is told to keep nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use shoalmq_core::record::Segment;

use super::{Backend, Reader, Sequence, Stats, Visit};
use crate::fault::{Damage, Fault, Place};

/// Frames in memory. A clone shares them, as one that is opened after a restart would.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    frames: BTreeMap<(Segment, Sequence), Vec<u8>>,
    bytes: u64,
    last: u64,
}

impl Memory {
    /// An empty log.
    pub fn new() -> Self {
        Memory::default()
    }
}

impl Backend for Memory {
    fn append(&mut self, segment: Segment, frame: &[u8]) -> Result<Sequence, Fault> {
        let mut contents = self.0.lock();
        contents.last += 1;
        let sequence = Sequence(contents.last);
        contents.bytes += frame.len() as u64;
        contents.frames.insert((segment, sequence), frame.to_vec());
        Ok(sequence)
    }

    fn sync(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn replay(&mut self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        let contents = self.0.lock();
        for (&(segment, sequence), frame) in &contents.frames {
            visit(segment, sequence, frame)?;
        }
        Ok(())
    }

    fn cut(&mut self, segment: Segment, last: Sequence, keep: usize) -> Result<(), Fault> {
        let mut contents = self.0.lock();
        let mut frame = contents.frames.remove(&(segment, last)).unwrap_or_default();
        contents.bytes -= frame.len() as u64;
        if keep > 0 {
            frame.truncate(keep);
            contents.bytes += frame.len() as u64;
            contents.frames.insert((segment, last), frame);
        }
        Ok(())
    }

    fn retire(&mut self, below: Segment) -> Result<(), Fault> {
        let mut contents = self.0.lock();
        contents.frames = contents.frames.split_off(&(below, Sequence(0)));
        contents.bytes = contents
            .frames
            .values()
            .map(|frame| frame.len() as u64)
            .sum();
        Ok(())
    }

    fn stats(&self) -> Stats {
        let contents = self.0.lock();
        let mut segments: Vec<Segment> = contents.frames.keys().map(|key| key.0).collect();
        segments.dedup();
        Stats {
            disk_bytes: contents.bytes,
            segments: segments.len() as u64,
        }
    }

    fn reader(&self) -> Option<Arc<dyn Reader>> {
        Some(Arc::new(self.clone()))
    }
}

impl Reader for Memory {
    fn read_some(
        &self,
        segment: Segment,
        offset: u64,
        least: usize,
        buffer: &mut [u8],
    ) -> Result<usize, Fault> {
        let path = PathBuf::from("memory");
        let contents = self.0.lock();
        let mut frames = contents
            .frames
            .range((segment, Sequence(0))..)
            .take_while(|(key, _)| key.0 == segment)
            .peekable();
        if frames.peek().is_none() {
            return Err(Fault::Retired { path, segment });
        }
        let bytes = frames.flat_map(|(_, frame)| frame);
        let bytes = bytes.skip(usize::try_from(offset).unwrap_or(usize::MAX));
        let mut filled = 0;
        for (place, byte) in buffer.iter_mut().zip(bytes) {
            *place = *byte;
            filled += 1;
        }
        if filled < least {
            return Err(Fault::Corrupt {
                path,
                place: Place::Segment { segment },
                damage: Damage::Unfinished,
            });
        }
        Ok(filled)
    }
}
