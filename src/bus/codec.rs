//! Frames: what is said on a link once both ends have proven themselves.
//!
//! ```text
//! frame    length   u32 LE    bytes that follow; at most [`FRAME_MAX`]
//!          payload            postcard: kind, then the fields of that kind
//!
//! payload  kind     varint    0 ping, 1 pong, 2 node, 3 forget; what the core says: 4 state, 5 replicate job,
//!                             6 got job, 7 missing, 8 holders, 9 enqueue, 10 will queue, 11 queued, 12 working,
//!                             13 set ack, 14 got ack, 15 delete job, 16 need jobs, 17 your jobs, 18 settings, 19 ask,
//!                             20 answer, 21 ask for queues, 22 queues, 23 settings digest; of topics: 24 greeting,
//!                             25 counted, 26 haves, 27 follows, 28 records, 29 pull, 30 pulled, 31 close, 32 closed,
//!                             33 how far, 34 so far; 35 moved, 36 watch, 37 fates; of keys: 38 claim,
//!                             39 granted, 40 release, 41 look, 42 found, 43 added; 44 ask about a job,
//!                             45 what is known of it
//!          fields             numbers as varints, bytes behind their length; a job id is 24 bytes, a list of nodes
//!                             their ids of 20 bytes, one behind the other
//! ```
//!
//! The kinds and their fields never change, and what a kind holds gains no variants. What is added later about one job,
//! or about a node, is an extra (see [`shoalmq_core::extras`]); anything else gets a new kind, which an older node skips
//! ([`Frame::Unknown`]). So a cluster can be upgraded node by node. The version of
//! the handshake changes only when that is not enough.
//!
//! What comes from the network is checked against the bytes that are really there before room is made for it.

use postcard::ser_flavors::Flavor;
use shoalmq_core::id::JobId;
use shoalmq_core::message::Message;

use self::job::JobCopy;
pub use self::notice::{NodeState, Notice};
use self::payload::Payload;
use shoalmq_resp::COMMAND_MAX;

mod explaining;
mod fates;
#[cfg(test)]
mod golden;
mod job;
mod keys;
mod notice;
mod payload;
mod queues;
mod settings;
#[cfg(test)]
mod tests;
mod topic;
mod view;

/// The longest frame: the largest job that a client can add, with all that travels beside it.
pub const FRAME_MAX: usize = COMMAND_MAX + (1 << 16);
/// Jobs that travel together are parted into frames of about this size, so that one frame is never too long.
const BATCH_BYTES: usize = 1 << 20;
const LENGTH: usize = 4;
/// Kinds of this version are below this.
const KINDS: u32 = 48;

/// What one frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Something for the core.
    Message(Message),
    /// Something of the link itself.
    Notice(Notice),
    /// A newer node says what this one does not understand: skipped.
    Unknown(u32),
}

/// Why bytes are not a frame. The link they came over is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Longer than any frame.
    #[error("a frame of {0} bytes is longer than any")]
    TooLong(usize),
    /// Its fields make no sense.
    #[error("the fields of a frame make no sense")]
    Fields(#[source] postcard::Error),
}

/// It does not fit a frame, and was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of {0} bytes is longer than a frame can be")]
pub struct TooLong(pub usize);

/// Appends a message. Jobs that travel together may become several frames.
pub fn encode(message: &Message, out: &mut Vec<u8>) -> Result<(), TooLong> {
    match message {
        Message::YourJobs(jobs) => {
            let mut rest = &jobs[..];
            while !rest.is_empty() {
                let (batch, after) = rest.split_at(job::batch_length(rest));
                append(
                    &Payload::YourJobs(batch.iter().map(JobCopy::of).collect()),
                    out,
                )?;
                rest = after;
            }
            Ok(())
        }
        _ => append(&Payload::of_message(message), out),
    }
}

/// Appends what the link itself has to say.
pub fn encode_notice(notice: &Notice, out: &mut Vec<u8>) -> Result<(), TooLong> {
    append(&Payload::of_notice(notice), out)
}

fn append(payload: &Payload<'_>, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    postcard::serialize_with_flavor(payload, Append(out)).expect("a vector takes anything");
    let length = out.len() - start - LENGTH;
    if length > FRAME_MAX {
        out.truncate(start);
        return Err(TooLong(length));
    }
    out[start..start + LENGTH].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(())
}

/// Reads the frame at the start of `bytes`, and returns it with its length; none while it is not whole.
pub fn decode(bytes: &[u8]) -> Result<Option<(Frame, usize)>, Invalid> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length > FRAME_MAX {
        return Err(Invalid::TooLong(length));
    }
    let Some(payload) = rest.get(..length) else {
        return Ok(None);
    };
    Ok(Some((decode_payload(payload)?, LENGTH + length)))
}

fn decode_payload(payload: &[u8]) -> Result<Frame, Invalid> {
    let (kind, _) = postcard::take_from_bytes::<u32>(payload).map_err(Invalid::Fields)?;
    if kind >= KINDS {
        return Ok(Frame::Unknown(kind));
    }
    let (fields, left) =
        postcard::take_from_bytes::<Payload<'_>>(payload).map_err(Invalid::Fields)?;
    if !left.is_empty() {
        return Err(bad());
    }
    fields.into_frame()
}

fn bad() -> Invalid {
    Invalid::Fields(postcard::Error::DeserializeBadEncoding)
}

fn job_id(bytes: &[u8]) -> Result<JobId, Invalid> {
    bytes.try_into().map(JobId::from_bytes).map_err(|_| bad())
}

/// Writes behind what is there already; postcard's own vector flavour goes byte by byte.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
