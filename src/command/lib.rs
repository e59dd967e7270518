//! Arguments to the core's nouns, and replies to bytes: every command's row, parser, reply and errors. Pure.
//!
//! The way of a command: [`table::resolve`] finds its row by the name and checks the number of arguments; the server
//! checks what the row's flags ask for (password, memory, disk, loading); the row's parser makes a [`Request`];
//! the core, or the server itself, answers. A command that is refused on the way has changed nothing.

pub mod admin;
mod args;
pub mod client;
mod cluster;
mod config;
mod connection;
pub mod error;
pub mod introspect;
mod job;
pub mod manual;
pub mod queue;
pub mod reply;
pub mod suggestion;
mod syntax;
pub mod table;
#[cfg(test)]
mod tests;
mod topic;

use shoalmq_core::command::Command;

pub use admin::Admin;
pub use error::{Failure, ParseError, ServerError};
pub use table::{CommandIndex, CommandSpec, Flags, lookup, resolve};
pub use topic::TopicError;

/// Stands in place of a secret, as in Redis.
pub const REDACTED: &[u8] = b"(redacted)";

/// A command whose arguments are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<'a> {
    /// For the core.
    Core(Command<'a>),
    /// For the server itself; the core never hears of it.
    Admin(Admin<'a>),
}

/// What a parser answers.
pub type Parsed<'a> = Result<Request<'a>, ParseError<'a>>;

/// Reads the arguments of one command, its name left out.
///
/// Any number of arguments is safe to give; the row's arity says which numbers can succeed.
pub type Parser = for<'a> fn(&[&'a [u8]]) -> Parsed<'a>;
