//! EXPLAIN and SHOW: what is known of a job, in the cluster and at one node.

use shoalmq_resp::Frame;

use super::{bytes, of, unexpected};
use crate::error::Error;
use bytes::Bytes;

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

/// What one node knows of a job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Shown {
    /// The queue that it is in, or was in when it was handed out.
    pub queue: Bytes,
    /// `wait-repl`, `active`, `queued`, `acked` and so on, at this node.
    pub state: String,
    /// What its producer sent.
    pub body: Bytes,
    /// All that SHOW tells: names, each with its value.
    pub all: Frame,
}

pub(crate) fn shown(frame: Frame) -> Result<Option<Shown>, Error> {
    if frame.is_nil() {
        return Ok(None);
    }
    let value = |name| of(frame.as_array()?, name);
    let text = |name| bytes(value(name)?.clone()).ok();
    let state = value("state").and_then(Frame::as_str).map(str::to_owned);
    match (text("queue"), state, text("body")) {
        (Some(queue), Some(state), Some(body)) => Ok(Some(Shown {
            queue,
            state,
            body,
            all: frame,
        })),
        _ => Err(unexpected(&frame)),
    }
}
