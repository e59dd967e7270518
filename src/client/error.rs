//! How a command can end without its answer.

use thiserror::Error;

use crate::connection::ConnectionError;
use crate::message::{DecodeError, EncodeError};

/// Why a command has no answer.
///
/// ```no_run
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), Box<dyn std::error::Error>> {
/// use shoalmq_client::Error;
///
/// match shoal.add("mails", "to ada").replicate(3).await {
///     Ok(receipt) => println!("{} is on {} nodes", receipt.id, receipt.copies),
///     Err(error) if error.code() == Some("NOREPL") => println!("there are too few nodes"),
///     Err(Error::Unknown) => println!("it may have been added"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Error)]
pub enum Error {
    /// The server refused it, with this text. Nothing was done.
    #[error("{0}")]
    Refused(String),
    /// It was sent, the connection broke before the answer, and it must not be sent twice: it was done, or it was not.
    #[error("the connection broke before the answer: the command was done, or it was not")]
    Unknown,
    /// No node could be reached for as long as [`Options::patience`](crate::Options::patience) says. It was not sent.
    #[error("no node could be reached: {0}")]
    Unreachable(String),
    /// All nodes that could be reached refuse this user or password. It was not sent.
    #[error("the server refuses this client: {0}")]
    Denied(String),
    /// A node answered with something else than the command is answered with.
    #[error("an answer that does not fit the command: {0}")]
    Unexpected(String),
    /// The runtime that the [`Shoal`](crate::Shoal) was made in is gone.
    #[error("the task of the connection is gone")]
    Gone,
    /// The message cannot be encoded. Nothing was sent.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The body of a job is not such a message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl Error {
    /// The first word of a refusal, such as `NOREPL` or `PAUSED`.
    pub fn code(&self) -> Option<&str> {
        match self {
            Error::Refused(text) => text.split_whitespace().next(),
            _ => None,
        }
    }
}

/// Why a link could not be made, or broke.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Another attempt may help.
    Connection(ConnectionError),
    /// Who answers refuses this user or password.
    Denied(String),
}

impl From<ConnectionError> for Broken {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Refused(text) if is_denial(&text) => Broken::Denied(text),
            other => Broken::Connection(other),
        }
    }
}

fn is_denial(text: &str) -> bool {
    [
        "WRONGPASS",
        "NOAUTH",
        "ERR AUTH",
        "ERR Client sent AUTH",
        "ERR invalid password",
    ]
    .iter()
    .any(|code| text.starts_with(code))
}
