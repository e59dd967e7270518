//! docs/COMMANDS.md, made of the table.

use std::fmt::Write as _;

use super::{Group, Manual};
use crate::table::{self, CommandSpec, Flags};
use crate::{Failure, ParseError, ServerError};

const HEAD: &str = "\
# Commands

<!-- Made from src/command by `SHOALMQ_WRITE_DOCS=1 cargo test -p shoalmq-command commands_md`. Do not edit. -->

Command and option names are written in any case. Queue names and bodies are any bytes, also none.
A command that is answered by an error has changed nothing, and the connection stays usable.
In the syntax, `[x]` may be left out, `<x>` must be there, `|` separates choices, and `...` repeats what it follows.
";

/// The errors that are not listed at each command, and when they come.
const GENERAL: [(Failure<'static>, &str); 8] = [
    (
        Failure::Server(ServerError::UnknownCommand(b"FOO")),
        "no command has this name",
    ),
    (
        Failure::Parse(ParseError::WrongArity("addjob")),
        "too few or too many arguments",
    ),
    (
        Failure::Server(ServerError::NotAuthenticated),
        "a password is set, and AUTH has not given it",
    ),
    (
        Failure::Server(ServerError::OutOfMemory),
        "memory is full; only commands marked `denyoom`",
    ),
    (
        Failure::Server(ServerError::LogUnwritable("<reason>")),
        "the job log cannot be written; only ADDJOB, ENQUEUE and NACK",
    ),
    (
        Failure::Server(ServerError::Loading),
        "the node still reads its job log; commands not marked `loading`",
    ),
    (
        Failure::Server(ServerError::TooManyClients),
        "`maxclients` are connected; the connection closes",
    ),
    (
        Failure::Server(ServerError::Protected),
        "protected mode; the connection closes",
    ),
];

/// Renders the reference of all commands; docs/COMMANDS.md holds exactly this.
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    for group in Group::ALL {
        write_contents(&mut page, group);
    }
    page.push_str("\n## Errors that any command can meet\n\nChecked in this order; the last two are told as a client connects.\n\n");
    for (failure, when) in &GENERAL {
        put(
            &mut page,
            format_args!("- `-{}`: {when}.\n", failure.line()),
        );
    }
    for group in Group::ALL {
        put(&mut page, format_args!("\n## {}\n", title(group)));
        for spec in members(group) {
            write_command(&mut page, spec);
        }
    }
    page
}

fn write_contents(page: &mut String, group: Group) {
    let links: Vec<String> = members(group)
        .map(|spec| format!("[{}](#{})", spec.name.to_ascii_uppercase(), spec.name))
        .collect();
    put(
        page,
        format_args!("\n**{}:** {}\n", title(group), links.join(" · ")),
    );
}

fn write_command(page: &mut String, spec: &CommandSpec) {
    let manual = spec.manual;
    let name = spec.name.to_ascii_uppercase();
    put(page, format_args!("\n### {name}\n\n"));
    if manual.subcommands.is_empty() {
        put(
            page,
            format_args!("`{}`\n\n", call(&[&name, manual.syntax])),
        );
    }
    put(page, format_args!("{}\n", manual.summary));
    write_subcommands(page, &name, manual);
    put(page, format_args!("\nReply: {}\n", manual.reply));
    for note in manual.notes {
        put(page, format_args!("\n{note}\n"));
    }
    if !manual.failures.is_empty() {
        page.push_str("\nErrors:\n\n");
        for failure in manual.failures {
            put(page, format_args!("- `-{}`\n", failure.line()));
        }
    }
    let flags: Vec<&str> = spec.flags.names().collect();
    let early = if spec.flags.contains(Flags::NO_AUTH) {
        ", served before AUTH"
    } else {
        ""
    };
    put(
        page,
        format_args!(
            "\nArity {}; {}{early}; since {}.\n",
            spec.arity,
            flags.join(", "),
            manual.since
        ),
    );
}

fn write_subcommands(page: &mut String, name: &str, manual: &Manual) {
    if manual.subcommands.is_empty() {
        return;
    }
    page.push_str("\n| Subcommand | What it does |\n|---|---|\n");
    for subcommand in manual.subcommands {
        let call = call(&[name, subcommand.name, subcommand.syntax]).replace('|', "\\|");
        put(
            page,
            format_args!("| `{call}` | {} |\n", subcommand.summary),
        );
    }
}

/// A call as users write it: the table's notation with its brackets closed up.
pub fn call(parts: &[&str]) -> String {
    parts
        .join(" ")
        .trim_end()
        .replace("[ ", "[")
        .replace(" ]", "]")
        .replace("< ", "<")
        .replace(" >", ">")
        .replace(" | ", "|")
}

fn members(group: Group) -> impl Iterator<Item = &'static CommandSpec> {
    table::all()
        .iter()
        .filter(move |spec| spec.manual.group == group)
}

fn title(group: Group) -> &'static str {
    match group {
        Group::Jobs => "Jobs",
        Group::Queues => "Queues",
        Group::Topics => "Topics",
        Group::Cluster => "Cluster",
        Group::Connection => "Connection",
        Group::Server => "Server",
    }
}

fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a string takes any text");
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::{env, fs};

    use super::*;

    #[test]
    fn commands_md_is_what_the_table_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/COMMANDS.md");
        if env::var_os("SHOALMQ_WRITE_DOCS").is_some() {
            fs::create_dir_all(path.parent().expect("docs")).expect("create docs");
            fs::write(&path, markdown()).expect("write docs/COMMANDS.md");
        }
        let committed = fs::read_to_string(&path).expect("read docs/COMMANDS.md");
        assert!(
            committed == markdown(),
            "docs/COMMANDS.md is stale: run SHOALMQ_WRITE_DOCS=1 cargo test -p shoalmq-command commands_md"
        );
    }
}
