//! What users read about each command: COMMAND DOCS and docs/COMMANDS.md are made of it.
//!
//! Error lines are not repeated here: an entry names the [`Failure`]s, and `error` has their texts.

mod cluster;
mod connection;
mod jobs;
mod queues;
mod render;
mod server;
mod topics;

use super::Failure;

pub use render::{call, markdown};

pub(super) use cluster::CLUSTER;
pub(super) use connection::*;
pub(super) use jobs::*;
pub(super) use queues::*;
pub(super) use server::*;
pub(super) use topics::*;

/// All that users read about a command, besides its name, arity and flags.
#[derive(Debug)]
pub struct Manual {
    /// Which commands it is listed with.
    pub group: Group,
    /// The version that first had it.
    pub since: &'static str,
    /// Its arguments, in the notation of `syntax`.
    pub syntax: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// What it answers when all is well.
    pub reply: &'static str,
    /// The errors of its own; those that any command can meet are described once.
    pub failures: &'static [Failure<'static>],
    /// What else to know.
    pub notes: &'static [&'static str],
    /// Its subcommands, each with arguments of its own.
    pub subcommands: &'static [Subcommand],
}

impl Manual {
    /// Every word that is written as it stands, after the name of the command.
    pub(super) fn words(&self) -> impl Iterator<Item = &'static str> {
        let subcommands = self.subcommands.iter();
        let of_subcommands = subcommands.flat_map(|sub| [sub.name, sub.syntax]);
        let syntaxes = std::iter::once(self.syntax).chain(of_subcommands);
        syntaxes.flat_map(words)
    }
}

/// The words of a syntax that are written as they stand.
pub fn words(syntax: &'static str) -> impl Iterator<Item = &'static str> {
    let literal = |word: &&str| {
        word.len() > 1
            && word
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'-')
    };
    syntax.split_whitespace().filter(literal)
}

/// One subcommand of a command.
#[derive(Debug)]
pub struct Subcommand {
    /// Its name, in capitals.
    pub name: &'static str,
    /// Its arguments, in the notation of `syntax`.
    pub syntax: &'static str,
    /// What it does and answers, in a sentence.
    pub summary: &'static str,
}

/// Which commands belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Adding, fetching and acknowledging jobs.
    Jobs,
    /// Looking at queues and pausing them.
    Queues,
    /// Publishing to channels, and reading them.
    Topics,
    /// Nodes and their cluster.
    Cluster,
    /// One client's connection.
    Connection,
    /// The server as a whole.
    Server,
}

impl Group {
    /// Every group, in the order in which they are documented.
    pub const ALL: [Group; 6] = [
        Group::Jobs,
        Group::Queues,
        Group::Topics,
        Group::Cluster,
        Group::Connection,
        Group::Server,
    ];

    /// Its name in COMMAND DOCS.
    pub fn name(self) -> &'static str {
        match self {
            Group::Jobs => "jobs",
            Group::Queues => "queues",
            Group::Topics => "topics",
            Group::Cluster => "cluster",
            Group::Connection => "connection",
            Group::Server => "server",
        }
    }
}

/// The version of all that was there from the start.
const FIRST: &str = "0.1.0";

/// An entry that says no more than it must; the others spell out what they add to it.
const fn entry(
    group: Group,
    syntax: &'static str,
    summary: &'static str,
    reply: &'static str,
) -> Manual {
    Manual {
        group,
        since: FIRST,
        syntax,
        summary,
        reply,
        failures: &[],
        notes: &[],
        subcommands: &[],
    }
}

const fn sub(name: &'static str, syntax: &'static str, summary: &'static str) -> Subcommand {
    Subcommand {
        name,
        syntax,
        summary,
    }
}
