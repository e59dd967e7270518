//! Client bytes to commands: one pass, no copy, no allocation per command.
//!
//! [`Decoder::decode`] takes the whole read buffer and notes, for every complete command, where its
//! arguments lie; [`Decoder::args`] then lends them as slices. The caller drops what was consumed and
//! appends what the socket brings. A half-received command is remembered relative to the start of the
//! unconsumed rest, so a body of 100 MB that comes in small reads is never looked at again.
//!
//! Only inline commands are copied, into a buffer of the decoder's own, because quotes and escapes
//! change their bytes.

use super::error::ProtocolError;
use super::inline::Words;
use super::limits::{ARGUMENTS_MAX, BATCH_BYTES, BATCH_COMMANDS, BULK_MAX, COMMAND_MAX, LINE_MAX};
use super::number::{short_number, strict_integer};

// Offsets are kept as `u32`. Arguments under 1000 bytes are not held against `COMMAND_MAX` one by one:
// all that a command may have of them stay below it, so a command ends before twice the limit.
const _: () = assert!(ARGUMENTS_MAX * 1010 < COMMAND_MAX);
const _: () = assert!(BATCH_BYTES + 2 * COMMAND_MAX + LINE_MAX < u32::MAX as usize);

/// Room that is kept between batches; what a rare huge command needed beyond it is given back.
const KEPT_SPANS: usize = 16 << 10;
const KEPT_TEXT: usize = 64 << 10;

/// Why a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The buffer holds no further complete command: read more.
    Starved,
    /// The batch is as large as it may be: decode again before reading.
    Full,
    /// What follows the batch is not RESP: answer the commands, then this, then close.
    Broken(ProtocolError),
}

/// What one call of [`Decoder::decode`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// Number of complete commands; may be 0 with any status.
    pub commands: usize,
    /// Bytes at the front of the buffer to drop once the commands are done with.
    pub consumed: usize,
    /// Why it stopped there.
    pub status: Status,
}

/// Reads one client's commands.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Arguments of the batch's commands, then those of the half-received command.
    spans: Vec<Span>,
    /// How many of `spans` belong to the batch.
    complete: usize,
    commands: Vec<Arguments>,
    /// The unquoted words of the batch's inline commands.
    text: Vec<u8>,
    pending: Pending,
    wanted: usize,
    broken: Option<ProtocolError>,
}

/// Where an argument lies.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
}

/// The arguments of one command of the batch: a range of `Decoder::spans`.
#[derive(Debug, Clone, Copy)]
struct Arguments {
    first: u32,
    end: u32,
    source: Source,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    ReadBuffer,
    InlineText,
}

/// How far a half-received command got; offsets count from its first byte.
#[derive(Debug, Clone, Copy, Default)]
struct Pending {
    /// Where decoding goes on.
    position: usize,
    /// Up to where the current line is known to have no ending.
    scanned: usize,
    /// Arguments still to come; 0 while their number is not known.
    arguments: usize,
    /// Length of the argument that starts at `position`, once known.
    length: Option<usize>,
}

impl Decoder {
    /// A decoder at the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Finds the complete commands at the front of `buf`, and forgets those found before.
    ///
    /// `buf` must start where the former call's `consumed` ended. Once broken, a decoder stays so.
    pub fn decode(&mut self, buf: &[u8]) -> Decoded {
        self.forget_batch();
        let mut start = 0;
        let status = loop {
            if let Some(error) = self.broken {
                break Status::Broken(error);
            }
            let Some(&first) = buf.get(start) else {
                break Status::Starved;
            };
            if self.commands.len() >= BATCH_COMMANDS || start >= BATCH_BYTES {
                break Status::Full;
            }
            let end = match first {
                b'*' => self.multibulk(buf, start),
                _ => self.inline(buf, start),
            };
            match end {
                Ok(Some(end)) => start = end,
                Ok(None) => break Status::Starved,
                Err(error) => {
                    self.broken = Some(error);
                    self.spans.truncate(self.complete);
                    self.pending = Pending::default();
                }
            }
        };
        self.suspend(start, buf.len() - start);
        Decoded {
            commands: self.commands.len(),
            consumed: start,
            status,
        }
    }

    /// Puts the arguments of the batch's command `index` into `args`, its name first, in place of
    /// what `args` held. There is always at least one.
    ///
    /// `buf` must be what [`decode`](Self::decode) was given; an `index` past the batch gives none.
    pub fn args<'a>(&'a self, index: usize, buf: &'a [u8], args: &mut Vec<&'a [u8]>) {
        args.clear();
        let Some(command) = self.commands.get(index) else {
            return;
        };
        let source = match command.source {
            Source::ReadBuffer => buf,
            Source::InlineText => &self.text,
        };
        let spans = self.spans.get(command.first as usize..command.end as usize);
        args.extend(spans.unwrap_or_default().iter().map(|span| {
            let start = span.start as usize;
            source
                .get(start..start + span.length as usize)
                .unwrap_or_default()
        }));
    }

    /// How many more bytes it is worth making room for: what the half-received argument still lacks,
    /// but never more than what has arrived of its command, so that a mere promise costs no memory.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// Reads on in the command that starts at `start`; answers where it ends, if it does.
    fn multibulk(&mut self, buf: &[u8], start: usize) -> Result<Option<usize>, ProtocolError> {
        let mut at = start + self.pending.position;
        let mut arguments = self.pending.arguments;
        if arguments == 0 {
            let Some((count, next)) = self.argument_count(buf, start)? else {
                return Ok(None);
            };
            if count == 0 {
                self.finish(Source::ReadBuffer);
                return Ok(Some(next));
            }
            (arguments, at) = (count, next);
        }
        let mut length = self.pending.length;
        while arguments > 0 {
            if length.is_none() {
                (at, arguments) = self.usual_arguments(buf, at, arguments);
                if arguments == 0 {
                    break;
                }
            }
            let bulk = match length.take() {
                Some(bulk) => bulk,
                None => match self.bulk_length(buf, start, at)? {
                    Some((bulk, next)) => {
                        at = next;
                        bulk
                    }
                    None => break,
                },
            };
            // The two bytes after the body are awaited, but any two will do, as in Disque.
            if buf.len() - at < bulk + 2 {
                length = Some(bulk);
                break;
            }
            self.spans.push(Span {
                start: at as u32,
                length: bulk as u32,
            });
            at += bulk + 2;
            arguments -= 1;
        }
        if arguments == 0 {
            self.finish(Source::ReadBuffer);
            return Ok(Some(at));
        }
        self.pending = Pending {
            position: at - start,
            arguments,
            length,
            ..self.pending
        };
        Ok(None)
    }

    /// Reads the `*` line at `start`: the number of arguments, and where the first one starts.
    fn argument_count(
        &mut self,
        buf: &[u8],
        start: usize,
    ) -> Result<Option<(usize, usize)>, ProtocolError> {
        let Some((count, next)) = self.number(buf, start, start, ProtocolError::CountTooBig)?
        else {
            return Ok(None);
        };
        // A negative count is as good as none.
        let count = usize::try_from(count.ok_or(ProtocolError::InvalidCount)?).unwrap_or(0);
        if count > ARGUMENTS_MAX {
            return Err(ProtocolError::InvalidCount);
        }
        Ok(Some((count, next)))
    }

    /// Takes short complete arguments as long as they come: nearly all of all traffic.
    #[inline]
    fn usual_arguments(
        &mut self,
        buf: &[u8],
        mut at: usize,
        mut arguments: usize,
    ) -> (usize, usize) {
        while arguments > 0
            && let Some((length, start)) = short_number(buf, b'$', at)
            && buf.len() - start >= length as usize + 2
        {
            self.spans.push(Span {
                start: start as u32,
                length,
            });
            at = start + length as usize + 2;
            arguments -= 1;
        }
        (at, arguments)
    }

    /// Reads the `$` line at `at`: the length, and where the body starts.
    fn bulk_length(
        &mut self,
        buf: &[u8],
        start: usize,
        at: usize,
    ) -> Result<Option<(usize, usize)>, ProtocolError> {
        match buf.get(at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(&other) => return Err(ProtocolError::ExpectedBulk(other)),
        }
        let Some((length, next)) = self.number(buf, start, at, ProtocolError::LengthTooBig)? else {
            return Ok(None);
        };
        let length = length
            .and_then(|length| usize::try_from(length).ok())
            .filter(|length| *length <= BULK_MAX)
            .ok_or(ProtocolError::InvalidLength)?;
        if next - start + length + 2 > COMMAND_MAX {
            return Err(ProtocolError::CommandTooBig);
        }
        Ok(Some((length, next)))
    }

    /// Reads the line at `at`: one mark, a number (`None` if it is not one), CR, any byte.
    #[inline]
    fn number(
        &mut self,
        buf: &[u8],
        start: usize,
        at: usize,
        too_big: ProtocolError,
    ) -> Result<Option<(Option<i64>, usize)>, ProtocolError> {
        if let Some((value, next)) = short_number(buf, b'*', at) {
            return Ok(Some((Some(i64::from(value)), next)));
        }
        let Some(end) = self.line_end(buf, start, at, b'\r', too_big)? else {
            return Ok(None);
        };
        if end + 2 > buf.len() {
            return Ok(None);
        }
        let digits = buf.get(at + 1..end).unwrap_or_default();
        Ok(Some((strict_integer(digits), end + 2)))
    }

    /// Finds the `ending` of the line that starts at `at`, without looking at any byte twice.
    ///
    /// A line is too long by its own bytes, however the reads cut it.
    fn line_end(
        &mut self,
        buf: &[u8],
        start: usize,
        at: usize,
        ending: u8,
        too_big: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let from = at.max(start + self.pending.scanned);
        let to = buf.len().min(at + LINE_MAX + 1);
        let found = memchr::memchr(ending, buf.get(from..to).unwrap_or_default());
        match found {
            Some(offset) => {
                self.pending.scanned = from + offset - start;
                Ok(Some(from + offset))
            }
            None if buf.len() - at > LINE_MAX => Err(too_big),
            None => {
                self.pending.scanned = to - start;
                Ok(None)
            }
        }
    }

    /// Reads the inline command that starts at `start`; answers where the next command starts.
    fn inline(&mut self, buf: &[u8], start: usize) -> Result<Option<usize>, ProtocolError> {
        let Some(end) = self.line_end(buf, start, start, b'\n', ProtocolError::InlineTooBig)?
        else {
            return Ok(None);
        };
        let line = buf.get(start..end).unwrap_or_default();
        let mut words = Words::new(line.strip_suffix(b"\r").unwrap_or(line));
        loop {
            let from = self.text.len();
            let more = words.next_into(&mut self.text);
            if !more.map_err(|_| ProtocolError::UnbalancedQuotes)? {
                break;
            }
            // Disque drops empty words, so `PING ""` is a plain PING.
            let length = self.text.len() - from;
            if length > 0 {
                self.spans.push(Span {
                    start: from as u32,
                    length: length as u32,
                });
            }
        }
        self.finish(Source::InlineText);
        Ok(Some(end + 1))
    }

    /// Makes the arguments noted since the last command one more command of the batch, if any.
    fn finish(&mut self, source: Source) {
        if self.spans.len() > self.complete {
            self.commands.push(Arguments {
                first: self.complete as u32,
                end: self.spans.len() as u32,
                source,
            });
            self.complete = self.spans.len();
        }
        self.pending = Pending::default();
    }

    /// Counts the half-received command's offsets from its own start, which the caller moves to the
    /// front of the buffer. Costs nothing in the calls after the one that saw its first byte.
    fn suspend(&mut self, start: usize, arrived: usize) {
        if start > 0 {
            for span in self.spans.iter_mut().skip(self.complete) {
                span.start -= start as u32;
            }
        }
        self.wanted = self.pending.length.map_or(0, |length| {
            (self.pending.position + length + 2 - arrived).min(arrived)
        });
    }

    fn forget_batch(&mut self) {
        self.spans.drain(..self.complete);
        self.complete = 0;
        self.commands.clear();
        self.text.clear();
        if self.spans.is_empty() && self.spans.capacity() > KEPT_SPANS {
            self.spans.shrink_to(KEPT_SPANS);
        }
        if self.text.capacity() > KEPT_TEXT {
            self.text.shrink_to(KEPT_TEXT);
        }
    }
}

#[cfg(test)]
mod tests;
