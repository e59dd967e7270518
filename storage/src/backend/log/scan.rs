//! Reading the frames of a segment file, one after the other.

use std::io;

use super::disk::DiskFile;
use super::format::{End, MARK_BYTES, Mark};

/// Bytes that are read at a time.
const WINDOW_BYTES: u64 = 1 << 20;

/// A walk over the frames of a file.
pub(super) struct Scan<'a, F> {
    window: Window<'a, F>,
    end: End,
}

impl<'a, F: DiskFile> Scan<'a, F> {
    /// Starts where a frame ends, or at the first one.
    pub(super) fn new(file: &'a F, from: End, buffer: &'a mut Vec<u8>) -> io::Result<Self> {
        let window = Window::new(file, WINDOW_BYTES, buffer)?;
        Ok(Scan { window, end: from })
    }

    /// The next frame, if it is there whole.
    pub(super) fn frame(&mut self) -> io::Result<Option<&[u8]>> {
        let at = self.end.at;
        let Some(bytes) = self.window.bytes(at, MARK_BYTES as u64)? else {
            return Ok(None);
        };
        let mark = bytes.first_chunk().and_then(Mark::read);
        let Some(mark) = mark.filter(|mark| mark.sequence == self.end.next) else {
            return Ok(None);
        };
        let from = at + MARK_BYTES as u64;
        let Some(frame) = self.window.bytes(from, u64::from(mark.length))? else {
            return Ok(None);
        };
        if crc32c::crc32c(frame) != mark.checksum {
            return Ok(None);
        }
        self.end = End {
            next: mark.sequence + 1,
            at: from + u64::from(mark.length),
        };
        Ok(Some(frame))
    }

    /// Where the frames end that were read.
    pub(super) fn end(&self) -> End {
        self.end
    }

    /// There is nothing but zeros from here to the end of the file.
    pub(super) fn rest_is_blank(&mut self) -> io::Result<bool> {
        let mut at = self.end.at;
        while at < self.window.len {
            let count = WINDOW_BYTES.min(self.window.len - at);
            let bytes = self.window.bytes(at, count)?.unwrap_or_default();
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += count;
        }
        Ok(true)
    }
}

/// A part of a file in memory, moved along as it is asked for.
pub(super) struct Window<'a, F> {
    file: &'a F,
    len: u64,
    step: u64,
    from: u64,
    buffer: &'a mut Vec<u8>,
}

impl<'a, F: DiskFile> Window<'a, F> {
    /// A window that reads at least `step` bytes at a time, as far as there are any.
    pub(super) fn new(file: &'a F, step: u64, buffer: &'a mut Vec<u8>) -> io::Result<Self> {
        buffer.clear();
        Ok(Window {
            file,
            len: file.len()?,
            step,
            from: 0,
            buffer,
        })
    }

    /// These bytes of the file; none when it ends before them.
    pub(super) fn bytes(&mut self, at: u64, count: u64) -> io::Result<Option<&[u8]>> {
        let Some(to) = at.checked_add(count).filter(|to| *to <= self.len) else {
            return Ok(None);
        };
        if at < self.from || to > self.from + self.buffer.len() as u64 {
            let read = count.max(self.step).min(self.len - at);
            self.buffer.resize(index(read), 0);
            self.from = at;
            self.file.read(self.buffer, at)?;
        }
        let start = index(at - self.from);
        Ok(Some(&self.buffer[start..start + index(count)]))
    }
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("what is read at once fits into memory")
}
