//! COMMAND: what the table knows of commands, for clients and for the hints of redis-cli.

use std::iter;

use super::admin::Admin;
use super::args::is;
use super::manual::Subcommand;
use super::syntax::{self, Argument, Repeat, Shape};
use super::table::{self, CommandSpec};
use super::{ParseError, Parsed, Request};
use crate::resp::{Protocol, encode};

/// COMMAND and its subcommands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commands<'a> {
    /// COMMAND alone: a row for every command.
    All,
    /// COUNT: how many there are.
    Count,
    /// LIST: their names.
    List,
    /// INFO: a row for each of these names.
    Info(Vec<&'a [u8]>),
    /// DOCS: what these commands do, or all of them when none is named.
    Docs(Vec<&'a [u8]>),
}

/// `COMMAND [COUNT | LIST | INFO [name ...] | DOCS [name ...]]`: rows, a number, names, or documentation.
pub(super) fn command<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let commands = match *args {
        [] => Commands::All,
        [word] if is(word, "COUNT") => Commands::Count,
        [word] if is(word, "LIST") => Commands::List,
        [word, ref names @ ..] if is(word, "INFO") => Commands::Info(names.to_vec()),
        [word, ref names @ ..] if is(word, "DOCS") => Commands::Docs(names.to_vec()),
        [word, ..] => return Err(ParseError::CommandUsage(word)),
    };
    Ok(Request::Admin(Admin::Commands(commands)))
}

/// Appends the answer to COMMAND.
pub fn encode(commands: &Commands<'_>, protocol: Protocol, out: &mut Vec<u8>) {
    match commands {
        Commands::All => {
            encode::array(out, table::COUNT);
            for spec in table::all() {
                row(out, spec);
            }
        }
        Commands::Count => {
            encode::integer(
                out,
                i64::try_from(table::COUNT).expect("the table is small"),
            );
        }
        Commands::List => {
            encode::array(out, table::COUNT);
            for spec in table::all() {
                text(out, spec.name);
            }
        }
        Commands::Info(names) => {
            encode::array(out, names.len());
            for name in names {
                match table::lookup(name) {
                    Some(spec) => row(out, spec),
                    None => encode::nil_bulk(out, protocol),
                }
            }
        }
        Commands::Docs(names) if names.is_empty() => {
            docs(out, protocol, &table::all().iter().collect::<Vec<_>>());
        }
        Commands::Docs(names) => {
            let known: Vec<_> = names
                .iter()
                .filter_map(|name| table::lookup(name))
                .collect();
            docs(out, protocol, &known);
        }
    }
}

/// Name, arity, flags, and the positions of keys, which no command of ours has.
fn row(out: &mut Vec<u8>, spec: &CommandSpec) {
    encode::array(out, 6);
    text(out, spec.name);
    encode::integer(out, spec.arity.into());
    encode::array(out, spec.flags.names().count());
    for flag in spec.flags.names() {
        encode::simple(out, flag.as_bytes());
    }
    for _ in 0..3 {
        encode::integer(out, 0);
    }
}

fn docs(out: &mut Vec<u8>, protocol: Protocol, specs: &[&CommandSpec]) {
    encode::map(out, protocol, specs.len());
    for spec in specs {
        text(out, spec.name);
        let manual = spec.manual;
        let parent = Entry {
            summary: manual.summary,
            since: manual.since,
            group: manual.group.name(),
            syntax: manual.syntax,
        };
        entry(out, protocol, &parent, spec.name, manual.subcommands);
    }
}

/// What COMMAND DOCS tells of a command, or of a subcommand.
struct Entry {
    summary: &'static str,
    since: &'static str,
    group: &'static str,
    syntax: &'static str,
}

fn entry(
    out: &mut Vec<u8>,
    protocol: Protocol,
    entry_of: &Entry,
    name: &str,
    subcommands: &[Subcommand],
) {
    // The arguments of a command with subcommands are those of its subcommands.
    let arguments_of = if subcommands.is_empty() {
        syntax::arguments(entry_of.syntax)
    } else {
        Vec::new()
    };
    let pairs = 3 + usize::from(!arguments_of.is_empty()) + usize::from(!subcommands.is_empty());
    encode::map(out, protocol, pairs);
    pair(out, "summary", entry_of.summary);
    pair(out, "since", entry_of.since);
    pair(out, "group", entry_of.group);
    if !arguments_of.is_empty() {
        text(out, "arguments");
        arguments(out, protocol, &arguments_of);
    }
    if !subcommands.is_empty() {
        text(out, "subcommands");
        encode::map(out, protocol, subcommands.len());
        for subcommand in subcommands {
            // redis-cli takes what follows the bar, and relies on there being one.
            let full_name = format!("{name}|{}", subcommand.name.to_ascii_lowercase());
            text(out, &full_name);
            let child = Entry {
                summary: subcommand.summary,
                syntax: subcommand.syntax,
                ..*entry_of
            };
            entry(out, protocol, &child, &full_name, &[]);
        }
    }
}

fn arguments(out: &mut Vec<u8>, protocol: Protocol, list: &[Argument]) {
    encode::array(out, list.len());
    for argument in list {
        let (kind, name, parts): (_, _, &[Argument]) = match &argument.shape {
            Shape::Token => ("pure-token", argument.token.unwrap_or_default(), &[]),
            Shape::Value(name) => ("string", *name, &[]),
            Shape::OneOf(parts) => ("oneof", "choice", parts),
            Shape::Block(parts) => ("block", "block", parts),
        };
        let flags: Vec<&str> = iter::empty()
            .chain(argument.optional.then_some("optional"))
            .chain((argument.repeat != Repeat::No).then_some("multiple"))
            .chain((argument.repeat == Repeat::Whole).then_some("multiple_token"))
            .collect();
        let pairs = 3
            + usize::from(argument.token.is_some())
            + usize::from(!flags.is_empty())
            + usize::from(!parts.is_empty());
        encode::map(out, protocol, pairs);
        let name = name.to_ascii_lowercase();
        pair(out, "name", &name);
        pair(out, "type", kind);
        pair(out, "display_text", &name);
        if let Some(token) = argument.token {
            pair(out, "token", token);
        }
        if !flags.is_empty() {
            text(out, "flags");
            encode::array(out, flags.len());
            for flag in flags {
                encode::simple(out, flag.as_bytes());
            }
        }
        if !parts.is_empty() {
            text(out, "arguments");
            arguments(out, protocol, parts);
        }
    }
}

fn pair(out: &mut Vec<u8>, key: &str, value: &str) {
    text(out, key);
    text(out, value);
}

fn text(out: &mut Vec<u8>, text: &str) {
    encode::bulk(out, text.as_bytes());
}

#[cfg(test)]
mod tests;
