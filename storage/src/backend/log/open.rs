//! Opening the log: which files belong to it, and where it ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use shoalmq_core::record::Segment;

use super::Engine;
use super::disk::{Disk, DiskFile};
use super::format::{End, FRAMES_AT, Head};
use super::reader::Places;
use super::scan::Scan;
use super::segment::{self, Current, UNFINISHED, corrupt};
use crate::backend::Sequence;
use crate::fault::{Damage, Fault, Place};

impl<D: Disk> Engine<D> {
    /// Opens the log in a folder that is there, and finds its end.
    pub(super) fn open(disk: D, path: PathBuf, lock: Option<File>) -> Result<Self, Fault> {
        let mut engine = Engine {
            disk,
            path,
            segments: BTreeMap::new(),
            current: None,
            next: 1,
            removed: false,
            lost: false,
            places: Places::default(),
            buffer: Vec::new(),
            _lock: lock,
        };
        engine.list()?;
        let Some((&newest, _)) = engine.segments.last_key_value() else {
            return Ok(engine);
        };
        let failed = engine.failed("open", newest);
        let file = engine.disk.open(&engine.file(newest)).map_err(&failed)?;
        let head = segment::read_head(&file, &engine.path, newest)?;
        engine.check_ends(&head)?;
        let (end, torn) = find_end(&file, &head, &engine.path)?;
        engine.next = end.next;
        let current = Current::new(file, head, end, torn).map_err(failed)?;
        engine.current = Some(current);
        if engine.segments.range(..head.oldest).next().is_some() {
            // What a crash brought back, or did not let go; the head that says so may not be on disk yet.
            if let Some(current) = &engine.current {
                let synced = current.file.sync();
                synced.map_err(engine.failed("sync job log", newest))?;
            }
            engine.remove_below(head.oldest)?;
            engine.sync_folder()?;
        }
        Ok(engine)
    }

    /// Finds the files of segments, and removes those that were not finished.
    fn list(&mut self) -> Result<(), Fault> {
        let read = |cause| Fault::from_io("read", &self.path, cause);
        let names = self.disk.names(&self.path).map_err(read)?;
        for name in names.iter().filter_map(|name| name.to_str()) {
            let file = self.path.join(name);
            if name.ends_with(UNFINISHED) {
                let removed = self.disk.remove(&file);
                removed.map_err(|cause| Fault::from_io("remove", &file, cause))?;
            } else if let Some(segment) = segment::named(name) {
                let opened = self.disk.open(&file).and_then(|file| file.len());
                let bytes = opened.map_err(|cause| Fault::from_io("open", &file, cause))?;
                self.segments.insert(segment, bytes);
            }
        }
        Ok(())
    }

    /// The first and the last file are those that the newest head speaks of.
    fn check_ends(&self, head: &Head) -> Result<(), Fault> {
        let oldest = self.segments.range(head.oldest..).next();
        let lost = match (head.next, oldest) {
            (Some(next), _) => next,
            (None, Some((&oldest, _))) if oldest > head.oldest => head.oldest,
            // None: all of them are retired.
            (None, Some(_) | None) => return Ok(()),
        };
        let place = Place::File {
            segment: lost,
            offset: 0,
        };
        Err(corrupt(&self.path, place, Damage::Missing))
    }

    /// Removes the files of the segments below this one.
    pub(super) fn remove_below(&mut self, below: Segment) -> Result<(), Fault> {
        let dead = self.segments.range(..below);
        self.remove_all(dead.map(|(dead, _)| *dead).collect())?;
        let newest = self.current.as_ref().map(|current| current.head.segment);
        if newest.is_some_and(|newest| newest < below) {
            self.current = None;
        }
        Ok(())
    }

    /// Removes the files above this one, which hold no frame, for good.
    pub(super) fn remove_behind(&mut self, segment: Segment) -> Result<(), Fault> {
        let behind = self.segments.range(segment + 1..);
        let behind: Vec<Segment> = behind.map(|(behind, _)| *behind).collect();
        if behind.is_empty() {
            return Ok(());
        }
        self.remove_all(behind)?;
        self.sync_folder()
    }

    fn remove_all(&mut self, segments: Vec<Segment>) -> Result<(), Fault> {
        let newest = self.segments.keys().next_back().copied();
        for segment in segments {
            if Some(segment) == newest {
                // It says what becomes of the others, so it goes last.
                self.sync_folder()?;
            }
            self.remove(segment)?;
        }
        Ok(())
    }
}

/// Where the frames of the newest file end, and whether anything is behind them.
pub(super) fn find_end<F: DiskFile>(
    file: &F,
    head: &Head,
    path: &Path,
) -> Result<(End, bool), Fault> {
    let segment = head.segment;
    let read = |cause| Fault::from_io("read", &segment::path(path, segment), cause);
    let from = End {
        next: head.first,
        at: FRAMES_AT,
    };
    let mut buffer = Vec::new();
    let mut scan = Scan::new(file, from, &mut buffer).map_err(read)?;
    while scan.frame().map_err(read)?.is_some() {}
    let end = scan.end();
    if end.next < head.synced.next {
        let place = Place::File {
            segment,
            offset: end.at,
        };
        let sequence = Sequence(end.next);
        return Err(corrupt(path, place, Damage::Frame { sequence }));
    }
    let torn = !scan.rest_is_blank().map_err(read)?;
    Ok((end, torn))
}
