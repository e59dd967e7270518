//! COMMAND: what the table knows of commands, for clients and for the hints of redis-cli.

use std::iter;

use super::admin::Admin;
use super::args::is;
use super::manual::{Group, Subcommand};
use super::syntax::{self, Argument, Repeat, Shape};
use super::table::{self, CommandSpec};
use super::{ParseError, Parsed, Request};
use shoalmq_resp::{Protocol, encode};

/// COMMAND and its subcommands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commands<'a> {
    /// COMMAND alone: a row for every command.
    All,
    /// COUNT: how many there are.
    Count,
    /// LIST: their names, and those of their subcommands.
    List,
    /// INFO: a row for each of these names, or for every command when none is named.
    Info(Vec<&'a [u8]>),
    /// DOCS: what these commands do, or all of them when none is named.
    Docs(Vec<&'a [u8]>),
}

/// `COMMAND [COUNT | LIST | INFO [name ...] | DOCS [name ...] | GETKEYS command [argument ...]]`: rows, a number, names, or
/// documentation.
///
/// Refused: GETKEYS, always, for no command has keys; with the reasons that Redis gives.
pub(super) fn command<'a>(args: &[&'a [u8]]) -> Parsed<'a> {
    let commands = match *args {
        [] => Commands::All,
        [word] if is(word, "COUNT") => Commands::Count,
        [word] if is(word, "LIST") => Commands::List,
        [word, ref names @ ..] if is(word, "INFO") => Commands::Info(names.to_vec()),
        [word, ref names @ ..] if is(word, "DOCS") => Commands::Docs(names.to_vec()),
        [word, name, ..] if is(word, "GETKEYS") => {
            return Err(match table::lookup(name) {
                Some(_) => ParseError::NoKeys,
                None => ParseError::KeysOfUnknown,
            });
        }
        [word, ..] => return Err(ParseError::CommandUsage(word)),
    };
    Ok(Request::Admin(Admin::Commands(commands)))
}

/// Appends the answer to COMMAND.
pub fn encode(commands: &Commands<'_>, protocol: Protocol, out: &mut Vec<u8>) {
    match commands {
        Commands::All => rows(out, protocol, &Entry::all()),
        Commands::Info(names) if names.is_empty() => rows(out, protocol, &Entry::all()),
        Commands::Count => {
            encode::integer(
                out,
                i64::try_from(table::COUNT).expect("the table is small"),
            );
        }
        Commands::List => {
            let entries = Entry::all();
            let with_children = entries
                .iter()
                .flat_map(|entry| iter::once(*entry).chain(entry.children()));
            let names: Vec<String> = with_children.map(Entry::name).collect();
            encode::array(out, names.len());
            for name in names {
                text(out, &name);
            }
        }
        Commands::Info(names) => {
            encode::array(out, names.len());
            for name in names {
                match Entry::find(name) {
                    Some(entry) => row(out, protocol, entry),
                    None => encode::nil_bulk(out, protocol),
                }
            }
        }
        Commands::Docs(names) if names.is_empty() => docs(out, protocol, &Entry::all()),
        Commands::Docs(names) => {
            let known: Vec<_> = names.iter().filter_map(|name| Entry::find(name)).collect();
            docs(out, protocol, &known);
        }
    }
}

/// A command, or a subcommand of it.
#[derive(Clone, Copy)]
struct Entry {
    spec: &'static CommandSpec,
    subcommand: Option<&'static Subcommand>,
}

impl Entry {
    fn of(spec: &'static CommandSpec) -> Self {
        Self {
            spec,
            subcommand: None,
        }
    }

    fn all() -> Vec<Self> {
        table::all().iter().map(Self::of).collect()
    }

    /// Finds `command`, or `command|subcommand`, in any case.
    fn find(name: &[u8]) -> Option<Self> {
        let Some(bar) = name.iter().position(|&byte| byte == b'|') else {
            return table::lookup(name).map(Self::of);
        };
        let mut children = Self::of(table::lookup(&name[..bar])?).children();
        children.find(|child| child.name().as_bytes().eq_ignore_ascii_case(name))
    }

    fn children(self) -> impl Iterator<Item = Self> {
        let subcommands = match self.subcommand {
            None => self.spec.manual.subcommands,
            Some(_) => &[],
        };
        subcommands.iter().map(move |subcommand| Self {
            subcommand: Some(subcommand),
            ..self
        })
    }

    /// Its name in full. redis-cli takes what follows the bar, and relies on there being one.
    fn name(self) -> String {
        let name = self.spec.name;
        match self.subcommand {
            None => name.to_owned(),
            Some(subcommand) => format!("{name}|{}", subcommand.name.to_ascii_lowercase()),
        }
    }

    fn arity(self) -> i64 {
        match self.subcommand {
            None => self.spec.arity.into(),
            Some(subcommand) => syntax::arity(2, subcommand.syntax),
        }
    }

    fn summary(self) -> &'static str {
        let manual = self.spec.manual;
        self.subcommand.map_or(manual.summary, |sub| sub.summary)
    }

    /// Its arguments. Those of a command with subcommands are told at each subcommand.
    fn arguments(self) -> Vec<Argument> {
        match self.subcommand {
            None if !self.spec.manual.subcommands.is_empty() => Vec::new(),
            None => syntax::arguments(self.spec.manual.syntax),
            Some(subcommand) => syntax::arguments(subcommand.syntax),
        }
    }
}

fn rows(out: &mut Vec<u8>, protocol: Protocol, entries: &[Entry]) {
    encode::array(out, entries.len());
    for entry in entries {
        row(out, protocol, *entry);
    }
}

/// The ten elements of Redis 7: name, arity, flags, first key, last key and step, ACL categories, tips, key specifications,
/// subcommands. No command of ours has keys or tips, and a subcommand has the flags of its command.
fn row(out: &mut Vec<u8>, protocol: Protocol, entry: Entry) {
    let Entry { spec, .. } = entry;
    encode::array(out, 10);
    text(out, &entry.name());
    encode::integer(out, entry.arity());
    words(out, protocol, &spec.flags.names().collect::<Vec<_>>());
    for _ in 0..3 {
        encode::integer(out, 0);
    }
    let connection = (spec.manual.group == Group::Connection).then_some("@connection");
    let categories: Vec<_> = spec.flags.categories().chain(connection).collect();
    words(out, protocol, &categories);
    encode::set(out, protocol, 0);
    encode::set(out, protocol, 0);
    let children: Vec<Entry> = entry.children().collect();
    if children.is_empty() {
        // As Redis does it: a set when there are none, and an array otherwise.
        encode::set(out, protocol, 0);
    } else {
        rows(out, protocol, &children);
    }
}

fn docs(out: &mut Vec<u8>, protocol: Protocol, entries: &[Entry]) {
    encode::map(out, protocol, entries.len());
    for entry in entries {
        text(out, &entry.name());
        doc(out, protocol, *entry);
    }
}

fn doc(out: &mut Vec<u8>, protocol: Protocol, entry: Entry) {
    let arguments_of = entry.arguments();
    let children: Vec<Entry> = entry.children().collect();
    let pairs = 3 + usize::from(!arguments_of.is_empty()) + usize::from(!children.is_empty());
    encode::map(out, protocol, pairs);
    pair(out, "summary", entry.summary());
    pair(out, "since", entry.spec.manual.since);
    pair(out, "group", entry.spec.manual.group.name());
    if !arguments_of.is_empty() {
        text(out, "arguments");
        arguments(out, protocol, &arguments_of);
    }
    if !children.is_empty() {
        text(out, "subcommands");
        docs(out, protocol, &children);
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
            words(out, protocol, &flags);
        }
        if !parts.is_empty() {
            text(out, "arguments");
            arguments(out, protocol, parts);
        }
    }
}

/// A set of simple strings.
fn words(out: &mut Vec<u8>, protocol: Protocol, words: &[&str]) {
    encode::set(out, protocol, words.len());
    for word in words {
        encode::simple(out, word.as_bytes());
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
