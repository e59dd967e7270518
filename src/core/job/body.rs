//! The opaque bytes that a job carries, in memory or in the log.

use std::fmt;

use triomphe::ThinArc;

use crate::record::{Location, Segment};
use crate::telling::sizes;

/// The opaque bytes that a job carries: one allocation, shared, so that handing it out copies nothing. When memory is
/// short, the bytes are only in the log. Then the body says where, and the shell reads them before it needs them.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(Held);

#[derive(Clone, PartialEq, Eq)]
enum Held {
    Memory(ThinArc<(), u8>),
    /// In the record that lies there.
    Spilled {
        segment: Segment,
        offset: u32,
        length: u32,
    },
    Lost,
}

impl Body {
    /// A body with these bytes, copied once.
    pub fn new(bytes: &[u8]) -> Self {
        Body(Held::Memory(ThinArc::from_header_and_slice((), bytes)))
    }

    /// A body of `length` bytes that is only in the log, in the record at `at`.
    pub(crate) fn spilled(at: Location, length: u32) -> Self {
        let Location { segment, offset } = at;
        Body(Held::Spilled {
            segment,
            offset,
            length,
        })
    }

    /// A body that cannot be read.
    pub(crate) fn lost() -> Self {
        Body(Held::Lost)
    }

    /// Its bytes.
    ///
    /// # Panics
    /// When they are not in memory.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Held::Memory(bytes) => &bytes.slice,
            Held::Spilled { .. } | Held::Lost => panic!("{self:?} was not read"),
        }
    }

    /// How many bytes it has, wherever they are.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks for empty ones")]
    pub fn len(&self) -> usize {
        match &self.0 {
            Held::Memory(bytes) => bytes.slice.len(),
            Held::Spilled { length, .. } => *length as usize,
            Held::Lost => 0,
        }
    }

    /// Bytes of memory that it takes beside its job.
    pub(crate) fn memory(&self) -> usize {
        match &self.0 {
            Held::Memory(bytes) => sizes::allocated(sizes::BODY_BYTES + bytes.slice.len()),
            Held::Spilled { .. } | Held::Lost => 0,
        }
    }

    /// Where the record lies that holds its bytes, when they are not in memory.
    pub fn spilled_to(&self) -> Option<Location> {
        match self.0 {
            Held::Spilled {
                segment, offset, ..
            } => Some(Location { segment, offset }),
            Held::Memory(_) | Held::Lost => None,
        }
    }

    /// Its bytes are in memory.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self.0, Held::Memory(_))
    }

    /// Its bytes could not be read.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self.0, Held::Lost)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Held::Memory(bytes) => write!(f, "\"{}\"", bytes.slice.escape_ascii()),
            Held::Spilled {
                segment,
                offset,
                length,
            } => write!(f, "{length} bytes at {segment}:{offset}"),
            Held::Lost => f.write_str("lost"),
        }
    }
}
