//! RESP, the protocol of Redis and Disque: bytes to commands and back, and nothing else.
//!
//! Pure: no sockets, no clock, no knowledge of any command. A server reads commands with [`Decoder`]
//! and writes replies with the functions of [`encode`]; a client writes with [`encode::command`] and
//! reads with [`ReplyDecoder`], which yields [`Frame`]s. Nothing that arrives makes this code panic,
//! allocate ahead of what was received, or look at a byte twice.

mod decode;
pub mod encode;
mod error;
mod frame;
mod inline;
mod limits;
mod number;
mod reply;

pub use decode::{Decoded, Decoder, Status};
pub use error::{ProtocolError, ReplyError};
pub use frame::Frame;
pub use inline::{UnbalancedQuotes, Words};
pub use limits::{
    AGGREGATE_MAX, ARGUMENTS_MAX, BATCH_BYTES, BATCH_COMMANDS, BULK_MAX, COMMAND_MAX, DEPTH_MAX,
    LINE_MAX,
};
pub use number::strict_integer;
pub use reply::ReplyDecoder;

/// The version of RESP that a connection speaks. Every connection starts with RESP2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What Disque speaks.
    #[default]
    Resp2,
    /// Asked for by `HELLO 3`: one nil, maps and sets.
    Resp3,
}

/// The example of README.md.
#[cfg(doctest)]
#[doc = include_str!("README.md")]
struct Readme;
