//! Server bytes to frames, for clients.
//!
//! Lists are built up as their elements arrive, so that a long reply is never read from its start
//! again; only the one element that is not complete yet stays in the caller's buffer.

use super::error::ReplyError;
use super::frame::Frame;
use super::limits::{AGGREGATE_MAX, BULK_MAX, DEPTH_MAX};
use super::number::strict_integer;

/// Elements that room is made for before the first one has arrived.
const AHEAD_MAX: usize = 64;
/// Longest line with a number on it, in bytes.
const NUMBER_LINE_MAX: usize = 32;

/// Reads one server's replies.
#[derive(Debug, Default)]
pub struct ReplyDecoder {
    /// The lists that are open, outermost first.
    open: Vec<List>,
    /// Up to where the line at the front of the input is known to have no ending.
    scanned: usize,
}

#[derive(Debug)]
struct List {
    kind: Kind,
    missing: usize,
    items: Vec<Frame>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Array,
    Set,
    Push,
    Map,
    /// Says something about the frame after it, and is left out.
    Attribute,
}

/// What one line, with its body, brought.
enum Piece {
    Whole(Frame),
    Opening(Kind, usize),
}

impl ReplyDecoder {
    /// A decoder at the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next frame, and moves `input` past all that was understood. `None` asks for more:
    /// call again with what is left of `input`, and what was received since, appended to it.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, ReplyError> {
        while let Some(piece) = self.piece(input)? {
            let whole = match piece {
                Piece::Whole(frame) => Some(frame),
                Piece::Opening(kind, 0) => kind.close(Vec::new()),
                Piece::Opening(kind, missing) => {
                    if self.open.len() >= DEPTH_MAX {
                        return Err(ReplyError::TooDeep);
                    }
                    let items = Vec::with_capacity(missing.min(AHEAD_MAX));
                    self.open.push(List {
                        kind,
                        missing,
                        items,
                    });
                    None
                }
            };
            if let Some(reply) = whole.and_then(|frame| self.place(frame)) {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// Puts a frame where it belongs. Answers the whole reply if that was all that it lacked.
    fn place(&mut self, mut frame: Frame) -> Option<Frame> {
        while let Some(mut list) = self.open.pop() {
            list.items.push(frame);
            list.missing -= 1;
            if list.missing > 0 {
                self.open.push(list);
                return None;
            }
            frame = list.kind.close(list.items)?;
        }
        Some(frame)
    }

    /// Takes one line, with its body if it announces one, off the front of `input`.
    fn piece(&mut self, input: &mut &[u8]) -> Result<Option<Piece>, ReplyError> {
        let all = *input;
        let Some(&mark) = all.first() else {
            return Ok(None);
        };
        let Some(end) = self.line_end(all, line_limit(mark)?)? else {
            return Ok(None);
        };
        let text = all.get(1..end).unwrap_or_default();
        let rest = all.get(end + 2..).unwrap_or_default();
        if let Some(kind) = Kind::from_mark(mark) {
            *input = rest;
            let Some(count) = length(text, AGGREGATE_MAX)? else {
                return Ok(Some(Piece::Whole(Frame::NilArray)));
            };
            let missing = kind.elements(count)?;
            return Ok(Some(Piece::Opening(kind, missing)));
        }
        if !matches!(mark, b'$' | b'!' | b'=') {
            *input = rest;
            return Ok(Some(Piece::Whole(scalar(mark, text)?)));
        }
        let Some(length) = length(text, BULK_MAX)? else {
            *input = rest;
            return Ok(Some(Piece::Whole(Frame::NilBulk)));
        };
        if rest.len() < length + 2 {
            // The line is short: reading it again with the rest of the body costs nothing.
            self.scanned = 0;
            return Ok(None);
        }
        let (body, after) = rest.split_at(length);
        *input = after.strip_prefix(b"\r\n").ok_or(ReplyError::BadString)?;
        Ok(Some(Piece::Whole(blob(mark, body)?)))
    }

    /// Finds the CR LF of the line at the front, without looking at any byte twice.
    fn line_end(&mut self, all: &[u8], limit: usize) -> Result<Option<usize>, ReplyError> {
        let from = self.scanned.min(all.len());
        let unseen = all.get(from..).unwrap_or_default();
        // A line is too long by its own bytes, however the reads cut it.
        let mut ends = memchr::memchr_iter(b'\r', unseen);
        if let Some(offset) = ends.find(|&at| unseen.get(at + 1) == Some(&b'\n')) {
            self.scanned = 0;
            let end = from + offset;
            return if end > limit {
                Err(ReplyError::TooLong)
            } else {
                Ok(Some(end))
            };
        }
        if all.len() > limit + 1 {
            return Err(ReplyError::TooLong);
        }
        // The CR may have come, and the LF not yet.
        self.scanned = all.len().saturating_sub(1);
        Ok(None)
    }
}

impl Kind {
    fn from_mark(mark: u8) -> Option<Kind> {
        Some(match mark {
            b'*' => Kind::Array,
            b'~' => Kind::Set,
            b'>' => Kind::Push,
            b'%' => Kind::Map,
            b'|' => Kind::Attribute,
            _ => return None,
        })
    }

    /// How many frames a list that announces `count` consists of.
    fn elements(self, count: usize) -> Result<usize, ReplyError> {
        match self {
            Kind::Array | Kind::Set | Kind::Push => Ok(count),
            Kind::Map | Kind::Attribute if count <= AGGREGATE_MAX / 2 => Ok(count * 2),
            Kind::Map | Kind::Attribute => Err(ReplyError::TooLong),
        }
    }

    fn close(self, items: Vec<Frame>) -> Option<Frame> {
        Some(match self {
            Kind::Array => Frame::Array(items),
            Kind::Set => Frame::Set(items),
            Kind::Push => Frame::Push(items),
            Kind::Map => {
                let mut pairs = Vec::with_capacity(items.len() / 2);
                let mut items = items.into_iter();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    pairs.push((key, value));
                }
                Frame::Map(pairs)
            }
            Kind::Attribute => return None,
        })
    }
}

/// Longest line that may start with `mark`.
fn line_limit(mark: u8) -> Result<usize, ReplyError> {
    match mark {
        b'+' | b'-' | b'(' => Ok(BULK_MAX),
        // Long enough for the shortest exact form of any double.
        b',' => Ok(1100),
        b':' | b'_' | b'#' | b'$' | b'!' | b'=' | b'*' | b'~' | b'>' | b'%' | b'|' => {
            Ok(NUMBER_LINE_MAX)
        }
        other => Err(ReplyError::UnknownType(other)),
    }
}

/// Reads an announced length; `None` is -1, a nil.
fn length(text: &[u8], max: usize) -> Result<Option<usize>, ReplyError> {
    let value = strict_integer(text).ok_or(ReplyError::BadNumber)?;
    if value == -1 {
        return Ok(None);
    }
    let length = usize::try_from(value).map_err(|_| ReplyError::BadNumber)?;
    if length > max {
        return Err(ReplyError::TooLong);
    }
    Ok(Some(length))
}

fn scalar(mark: u8, text: &[u8]) -> Result<Frame, ReplyError> {
    Ok(match (mark, text) {
        (b'+', _) => Frame::Simple(text.to_vec()),
        (b'-', _) => Frame::Error(text.to_vec()),
        (b':', _) => Frame::Integer(strict_integer(text).ok_or(ReplyError::BadNumber)?),
        (b'(', _) => Frame::BigNumber(text.to_vec()),
        (b'_', b"") => Frame::Null,
        (b'#', b"t") => Frame::Boolean(true),
        (b'#', b"f") => Frame::Boolean(false),
        (b',', _) => {
            let digits = std::str::from_utf8(text).map_err(|_| ReplyError::BadNumber)?;
            Frame::Double(digits.parse().map_err(|_| ReplyError::BadNumber)?)
        }
        _ => return Err(ReplyError::BadNumber),
    })
}

fn blob(mark: u8, body: &[u8]) -> Result<Frame, ReplyError> {
    Ok(match (mark, body) {
        (b'$', _) => Frame::Bulk(body.to_vec()),
        (b'!', _) => Frame::BlobError(body.to_vec()),
        (_, [a, b, c, b':', text @ ..]) => Frame::Verbatim([*a, *b, *c], text.to_vec()),
        _ => return Err(ReplyError::BadString),
    })
}

#[cfg(test)]
mod tests;
