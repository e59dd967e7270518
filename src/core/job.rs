//! A job, and its legal moves.

use std::fmt;

use triomphe::ThinArc;

/// The opaque bytes that a job carries: one allocation, shared, so that handing it out copies nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(ThinArc<(), u8>);

impl Body {
    /// A body with these bytes, copied once.
    pub fn new(bytes: &[u8]) -> Self {
        Body(ThinArc::from_header_and_slice((), bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.slice
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// Where a job stands on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobState {
    /// Its producer still waits for copies to be confirmed.
    WaitReplicas,
    /// Delivered, delayed, or queued on another node.
    Active,
    /// Ready in its queue.
    Queued,
    /// Acknowledged, until every holder knows.
    Acked,
}
