//! How bytes can fail to be RESP, from a client and from a server.

use thiserror::Error;

/// Why the bytes of a client are not RESP. The connection must be closed: where the next command
/// starts is unknown.
///
/// The text is what follows `-ERR Protocol error: `.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// An inline command left a quote open, or went on right after a closing one.
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
    /// No line ending within [`LINE_MAX`](super::LINE_MAX) bytes of an inline command.
    #[error("too big inline request")]
    InlineTooBig,
    /// No line ending within [`LINE_MAX`](super::LINE_MAX) bytes of `*`.
    #[error("too big mbulk count string")]
    CountTooBig,
    /// No line ending within [`LINE_MAX`](super::LINE_MAX) bytes of `$`.
    #[error("too big bulk count string")]
    LengthTooBig,
    /// The number of arguments is not one, or is above [`ARGUMENTS_MAX`](super::ARGUMENTS_MAX).
    #[error("invalid multibulk length")]
    InvalidCount,
    /// The length of an argument is not one, or is above [`BULK_MAX`](super::BULK_MAX).
    #[error("invalid bulk length")]
    InvalidLength,
    /// Something else than `$` stands where an argument must start.
    #[error("expected '$', got '{}'", printable(*.0))]
    ExpectedBulk(u8),
    /// The arguments of one command add up to more than [`COMMAND_MAX`](super::COMMAND_MAX).
    #[error("too big request")]
    CommandTooBig,
}

/// Why the bytes of a server are not a reply. The connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// A reply starts with a byte that no kind of frame starts with.
    #[error("reply of unknown type {0:#04x}")]
    UnknownType(u8),
    /// A number, length or boolean is not one.
    #[error("malformed number in a reply")]
    BadNumber,
    /// A body is not followed by CR LF, or lacks its format.
    #[error("malformed string in a reply")]
    BadString,
    /// A string or list is longer than [`BULK_MAX`](super::BULK_MAX) or
    /// [`AGGREGATE_MAX`](super::AGGREGATE_MAX).
    #[error("too long a reply")]
    TooLong,
    /// Lists are nested deeper than [`DEPTH_MAX`](super::DEPTH_MAX).
    #[error("too deeply nested a reply")]
    TooDeep,
}

/// A byte as an error line may show it.
fn printable(byte: u8) -> String {
    match byte {
        b'\r' | b'\n' => " ".to_owned(),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    }
}
