//! EXPLAIN: why a job is not being delivered.

use shoalmq_resp::Frame;

use super::{of, unexpected};
use crate::error::Error;

/// What the cluster knows of a job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// `queued`, `active`, `delayed`, `dead`, or how it ended.
    pub state: String,
    /// One sentence: why it is not being delivered, what happens next and when.
    pub why: String,
    /// All that EXPLAIN tells: its copies, who holds it, its events.
    pub all: Frame,
}

pub(crate) fn explanation(frame: Frame) -> Result<Option<Explanation>, Error> {
    if frame.is_nil() {
        return Ok(None);
    }
    let text = |name| Some(of(frame.as_array()?, name)?.as_str()?.to_owned());
    match (text("state"), text("why")) {
        (Some(state), Some(why)) => Ok(Some(Explanation {
            state,
            why,
            all: frame,
        })),
        _ => Err(unexpected(&frame)),
    }
}
