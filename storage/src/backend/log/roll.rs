//! From one segment's file to the next.

use shoalmq_core::record::Segment;

use super::disk::{Disk, DiskFile};
use super::format::{End, FRAMES_AT, Head};
use super::segment::{self, Current};
use super::{Engine, open};
use crate::fault::Fault;

impl<D: Disk> Engine<D> {
    /// The newest file is that of this segment from now on. What is in the one before is on disk then.
    pub(super) fn roll(&mut self, segment: Segment) -> Result<(), Fault> {
        self.close()?;
        let newest = self.current.as_ref().map(|current| &current.head);
        // A crash left it without a frame, and the segments that it skipped are used after all.
        let skipped = newest.filter(|head| head.segment > segment).copied();
        if let Some(skipped) = skipped {
            let Head {
                segment: newest,
                first,
                ..
            } = skipped;
            assert!(first == self.next, "segment {segment} after {newest}");
        }
        let current = if self.segments.contains_key(&segment) {
            self.reopen(segment)?
        } else {
            self.create(segment)?
        };
        self.remove_behind(segment)?;
        self.segments.insert(segment, current.reserved);
        let before = self.current.replace(current);
        if let Some(mut before) = before.filter(|_| skipped.is_none()) {
            before.head.next = Some(segment);
            let failed = self.failed("write job log", before.head.segment);
            let told = before.write_head().and_then(|()| before.file.sync());
            told.map_err(failed)?;
        }
        Ok(())
    }

    fn create(&mut self, segment: Segment) -> Result<Current<D::File>, Fault> {
        let end = End {
            next: self.next,
            at: FRAMES_AT,
        };
        let head = Head {
            segment,
            first: self.next,
            synced: end,
            oldest: self.oldest().map_or(segment, |oldest| segment.min(oldest)),
            next: None,
        };
        let file = segment::create(&self.disk, &self.path, &head)?;
        self.removed = false;
        Current::new(file, head, end, false).map_err(self.failed("create", segment))
    }

    /// Goes on with the file of a segment that others follow, all without a frame.
    fn reopen(&self, segment: Segment) -> Result<Current<D::File>, Fault> {
        let failed = self.failed("open", segment);
        let file = self.disk.open(&self.file(segment)).map_err(&failed)?;
        let mut head = segment::read_head(&file, &self.path, segment)?;
        head.next = None;
        head.oldest = self.oldest().unwrap_or(segment);
        let (end, torn) = open::find_end(&file, &head, &self.path)?;
        let current = Current::new(file, head, end, torn).map_err(&failed)?;
        let told = current.write_head().and_then(|()| current.file.sync());
        told.map_err(failed)?;
        Ok(current)
    }

    pub(super) fn oldest(&self) -> Option<Segment> {
        self.segments.keys().next().copied()
    }

    /// Syncs the newest file, and gives back the space behind its last frame.
    fn close(&mut self) -> Result<(), Fault> {
        self.sync_current()?;
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let segment = current.head.segment;
        let trimmed = current.trim();
        self.segments.insert(segment, current.reserved);
        trimmed.map_err(self.failed("write job log", segment))
    }
}
