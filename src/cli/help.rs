//! What the prompt knows of commands: completion, hints and the `help` command.

use std::fmt::Write;

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use crate::command::manual;
use shoalmq_command::suggestion::closest;

/// `help` fits a terminal of this many columns.
const WIDTH: usize = 80;
/// Under this heading stand the commands that never reach a node.
const PROMPT: &str = "prompt";

/// One command, or one subcommand, as the prompt explains it.
#[derive(Debug, Clone)]
pub struct CommandHelp {
    name: String,
    syntax: String,
    summary: String,
    /// The heading that it is listed under; `None` for a subcommand.
    group: Option<&'static str>,
    /// What else to know: a paragraph each.
    details: Vec<String>,
}

impl CommandHelp {
    /// `name` is a command, or a command and its subcommand (`CLUSTER MEET`), in any case; `syntax`
    /// its arguments alone, options in brackets: `queue count [WITHCOUNTERS] [COUNT n]`.
    pub fn new(name: &str, syntax: &str, summary: &str) -> Self {
        CommandHelp {
            name: name.to_ascii_uppercase(),
            syntax: syntax.to_owned(),
            summary: plain(summary),
            group: None,
            details: Vec::new(),
        }
    }

    /// Lists it under a heading, with all that there is to know of it.
    fn in_full(self, group: &'static str, details: Vec<String>) -> Self {
        CommandHelp {
            group: Some(group),
            details,
            ..self
        }
    }
}

/// Help on every command of the table, and on its subcommands.
pub fn of_all_commands() -> Vec<CommandHelp> {
    let rows = crate::command::table::all().iter().flat_map(|spec| {
        let manual = spec.manual;
        let subcommands = manual.subcommands.iter().map(|subcommand| {
            let name = format!("{} {}", spec.name, subcommand.name);
            let syntax = manual::call(&[subcommand.syntax]);
            CommandHelp::new(&name, &syntax, subcommand.summary)
        });
        let reply = format!("Reply: {}", manual.reply);
        let details = std::iter::once(reply.as_str()).chain(manual.notes.iter().copied());
        let command = CommandHelp::new(spec.name, &manual::call(&[manual.syntax]), manual.summary)
            .in_full(manual.group.name(), details.map(plain).collect());
        std::iter::once(command).chain(subcommands)
    });
    rows.collect()
}

/// A text of the manual without the marks of Markdown.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

/// All commands that the prompt helps with.
#[derive(Debug)]
pub(super) struct Catalogue {
    /// By name, so that subcommands follow their command.
    commands: Vec<CommandHelp>,
}

impl Catalogue {
    pub(super) fn new(mut commands: Vec<CommandHelp>) -> Self {
        for (name, syntax, summary) in [
            ("HELP", "[command]", "Explain a command, or list them all."),
            ("EXIT", "", "Leave the prompt."),
            ("CLEAR", "", "Clear the screen."),
        ] {
            let own = CommandHelp::new(name, syntax, summary);
            commands.push(own.in_full(PROMPT, Vec::new()));
        }
        commands.sort_by(|a, b| a.name.cmp(&b.name));
        Catalogue { commands }
    }

    /// The text that `help` answers; `about` is what was asked for, empty for everything.
    pub(super) fn help(&self, about: &str) -> String {
        let name = about.trim().to_ascii_uppercase();
        // CLUSTER is a command too, and the only one of its group.
        let is_command = self.commands.iter().any(|command| command.name == name);
        let group = self.groups().find(|group| name.eq_ignore_ascii_case(group));
        let mut out = match group {
            _ if name.is_empty() => self.overview(),
            Some(group) if !is_command => self.group(group),
            _ => self.explain(&name),
        };
        out.truncate(out.trim_end().len());
        out
    }

    /// The headings, in the order of the manual.
    fn groups(&self) -> impl Iterator<Item = &'static str> {
        let named = manual::Group::ALL.map(manual::Group::name);
        let used = |name: &&str| self.commands.iter().any(|c| c.group == Some(*name));
        named.into_iter().chain([PROMPT]).filter(used)
    }

    fn members(&self, group: &'static str) -> impl Iterator<Item = &CommandHelp> {
        let commands = self.commands.iter();
        commands.filter(move |command| command.group == Some(group))
    }

    /// The names of all commands, under their headings.
    fn overview(&self) -> String {
        let mut out = String::new();
        for group in self.groups() {
            let names: Vec<&str> = self.members(group).map(|c| c.name.as_str()).collect();
            wrap(&mut out, &format!("{group:<12}"), 12, &names.join(" "));
        }
        out.push('\n');
        wrap(
            &mut out,
            "",
            0,
            "help jobs says what the commands of a group do, help ADDJOB explains one and its options.",
        );
        wrap(
            &mut out,
            "",
            0,
            "Tab completes, Ctrl-C gives up a command, Ctrl-D leaves.",
        );
        out
    }

    /// What each command of a group does.
    fn group(&self, group: &'static str) -> String {
        let width = self.members(group).map(|c| c.name.len()).max().unwrap_or(0) + 2;
        let mut out = String::new();
        for CommandHelp { name, summary, .. } in self.members(group) {
            wrap(&mut out, &format!("{name:<width$}"), width, summary);
        }
        out
    }

    /// All there is to know of a command with its subcommands, or of one of these.
    fn explain(&self, about: &str) -> String {
        let asked = |command: &&CommandHelp| {
            let rest = command.name.strip_prefix(about);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        let mut out = String::new();
        for command in self.commands.iter().filter(asked) {
            wrap(
                &mut out,
                "",
                4,
                &format!("{} {}", command.name, command.syntax),
            );
            wrap(&mut out, "  ", 2, &command.summary);
            for paragraph in &command.details {
                out.push('\n');
                wrap(&mut out, "  ", 2, paragraph);
            }
            if !command.details.is_empty() {
                out.push('\n');
            }
        }
        if out.is_empty() {
            let names = self.commands.iter().map(|command| command.name.as_str());
            let meant = closest(about.as_bytes(), names);
            let hint = meant.map_or_else(String::new, |name| format!(": did you mean {name}?"));
            return format!("No such command: {about}{hint}");
        }
        out
    }

    /// What may still be typed after `line`, to be shown dimly behind it.
    fn hint(&self, line: &str) -> Option<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (command, name_words) = self.find(&words)?;
        let complete = line.ends_with(char::is_whitespace);
        // A word under way has its own hint: itself. Behind it the rest may stand.
        let typed = words.get(name_words..).unwrap_or_default();
        let mut missing: Vec<&str> = groups(&command.syntax);
        let required = missing
            .iter()
            .take_while(|group| !group.starts_with('['))
            .count();
        missing.drain(..typed.len().min(required));
        missing.retain(|group| {
            let option = group
                .trim_matches(['[', ']'])
                .split(' ')
                .next()
                .unwrap_or_default();
            let repeats = group.contains("...");
            repeats || !typed.iter().any(|word| word.eq_ignore_ascii_case(option))
        });
        if missing.is_empty() {
            return None;
        }
        let space = if complete { "" } else { " " };
        Some(format!("{space}{}", missing.join(" ")))
    }

    /// The command that `words` start with, subcommand preferred, and how many words its name has.
    fn find(&self, words: &[&str]) -> Option<(&CommandHelp, usize)> {
        let named = |count: usize| {
            let name = words.get(..count)?.join(" ").to_ascii_uppercase();
            let command = self.commands.iter().find(|command| command.name == name)?;
            Some((command, count))
        };
        named(2).or_else(|| named(1))
    }

    /// What the word that ends `line` may become: where it starts, and the candidates.
    fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let start = line.rfind(char::is_whitespace).map_or(0, |space| space + 1);
        let (before, prefix) = line.split_at(start);
        let prefix = prefix.to_ascii_uppercase();
        let mut words: Vec<&str> = before.split_whitespace().collect();
        if words
            .first()
            .is_some_and(|word| word.eq_ignore_ascii_case("help"))
        {
            words.remove(0);
        }
        let mut parent = words.join(" ").to_ascii_uppercase();
        if !parent.is_empty() {
            parent.push(' ');
        }
        let mut found: Vec<String> = self
            .commands
            .iter()
            .filter_map(|command| command.name.strip_prefix(&parent))
            .filter_map(|rest| rest.split(' ').next())
            .map(str::to_owned)
            .collect();
        if let Some((command, _)) = self.find(&words) {
            found.extend(keywords(&command.syntax));
        }
        found.retain(|candidate| candidate.starts_with(&prefix));
        found.dedup();
        (start, found)
    }
}

/// Appends a paragraph that begins with `head`; its further lines are indented by `indent` columns.
fn wrap(out: &mut String, head: &str, indent: usize, text: &str) {
    out.push_str(head);
    let mut column = head.len();
    let mut is_first = true;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !is_first && column + 1 + length > WIDTH {
            write!(out, "\n{:indent$}", "").expect("a String takes any text");
            column = indent;
            is_first = true;
        }
        if !is_first {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
        is_first = false;
    }
    out.push('\n');
}

/// The arguments of a syntax, each bracketed group as one.
fn groups(syntax: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut start = 0;
    for (at, character) in syntax.char_indices().chain([(syntax.len(), ' ')]) {
        match character {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 || at == syntax.len() => {
                found.extend(syntax.get(start..at).filter(|group| !group.is_empty()));
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

/// The words of a syntax that are typed as they stand.
fn keywords(syntax: &str) -> impl Iterator<Item = String> {
    syntax
        .split(|character: char| !(character.is_ascii_alphanumeric() || character == '-'))
        .filter(|word| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c == '-'))
        .map(str::to_owned)
}

impl Completer for Catalogue {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.complete(line.get(..pos).unwrap_or(line)))
    }
}

impl Hinter for Catalogue {
    type Hint = Arguments;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<Arguments> {
        if pos < line.len() {
            return None;
        }
        self.hint(line).map(Arguments)
    }
}

/// A hint that is only looked at: placeholders are nothing to complete to.
#[derive(Debug)]
pub(super) struct Arguments(String);

impl rustyline::hint::Hint for Arguments {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Highlighter for Catalogue {
    fn highlight_hint<'h>(&self, hint: &'h str) -> std::borrow::Cow<'h, str> {
        format!("\x1b[90m{hint}\x1b[0m").into()
    }
}

impl Validator for Catalogue {}

impl Helper for Catalogue {}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Catalogue {
        let add = "queue body ms-timeout [REPLICATE n] [RETRY s] [ASYNC]";
        Catalogue::new(vec![
            CommandHelp::new("addjob", add, "Make a job."),
            CommandHelp::new("ackjob", "[id ...]", "Done with jobs."),
            CommandHelp::new("cluster", "subcommand [argument ...]", "Nodes."),
            CommandHelp::new("cluster meet", "ip port", "Join a node."),
            CommandHelp::new("cluster myid", "", "Tell the id."),
        ])
    }

    #[test]
    fn a_hint_is_what_may_still_be_typed() {
        let hint = |line: &str| catalogue().hint(line).unwrap_or_default();
        assert_eq!(
            hint("addjob"),
            " queue body ms-timeout [REPLICATE n] [RETRY s] [ASYNC]"
        );
        assert_eq!(
            hint("ADDJOB q b "),
            "ms-timeout [REPLICATE n] [RETRY s] [ASYNC]"
        );
        assert_eq!(hint("ADDJOB q b 0 retry 5"), " [REPLICATE n] [ASYNC]");
        assert_eq!(hint("ACKJOB D-1 D-2 "), "[id ...]");
        assert_eq!(hint("CLUSTER MEET "), "ip port");
        assert_eq!(hint("cluster meet a b"), "");
        assert_eq!(hint("nosuch "), "");
        assert_eq!(hint(""), "");
    }

    #[test]
    fn names_subcommands_and_options_are_completed() {
        let complete = |line: &str| catalogue().complete(line);
        assert_eq!(complete("a"), (0, vec!["ACKJOB".into(), "ADDJOB".into()]));
        assert_eq!(
            complete("CLUSTER m"),
            (8, vec!["MEET".into(), "MYID".into()])
        );
        assert_eq!(complete("cl"), (0, vec!["CLEAR".into(), "CLUSTER".into()]));
        assert_eq!(complete("help ack"), (5, vec!["ACKJOB".into()]));
        assert_eq!(
            complete("ADDJOB q b 0 re"),
            (13, vec!["REPLICATE".into(), "RETRY".into()])
        );
        assert_eq!(complete("ADDJOB žluť re").0, "ADDJOB žluť ".len());
        assert_eq!(complete("nosuch x").1, Vec::<String>::new());
    }

    fn of_the_table() -> Catalogue {
        Catalogue::new(of_all_commands())
    }

    #[test]
    fn help_lists_all_on_one_screen() {
        let all = of_the_table().help("");
        assert!(all.lines().count() <= 22, "{all}");
        assert!(all.lines().all(|line| line.len() <= WIDTH), "{all}");
        for spec in crate::command::table::all() {
            let name = spec.name.to_ascii_uppercase();
            assert!(all.split_whitespace().any(|word| word == name), "{name}");
        }
        let jobs = of_the_table().help("Jobs");
        assert!(jobs.contains("ADDJOB   Adds a job to a queue.\n"), "{jobs}");
    }

    #[test]
    fn help_explains_every_option() {
        let catalogue = of_the_table();
        let mut unexplained = Vec::new();
        for spec in crate::command::table::all() {
            let text = catalogue.help(spec.name);
            assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
            let (_, explained) = text.split_once("\n  ").expect("a summary");
            let explains = |option: &&str| {
                let mut words = explained.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
                words.any(|word| word.eq_ignore_ascii_case(option))
            };
            let options = manual::words(spec.manual.syntax);
            unexplained.extend(
                options
                    .filter(|option| !explains(option))
                    .map(|option| (spec.name, option)),
            );
        }
        assert_eq!(unexplained, []);
    }

    #[test]
    fn help_explains_a_command_or_a_subcommand() {
        let catalogue = catalogue();
        assert_eq!(
            catalogue.help("cluster meet"),
            "CLUSTER MEET ip port\n  Join a node."
        );
        let family = catalogue.help("cluster");
        assert!(family.contains("subcommand") && family.contains("CLUSTER MYID"));
        assert_eq!(catalogue.help("foo"), "No such command: FOO");
        assert_eq!(
            catalogue.help("adjob"),
            "No such command: ADJOB: did you mean ADDJOB?"
        );
    }

    #[test]
    fn an_option_that_is_typed_leaves_the_hint() {
        let hint = of_the_table()
            .hint("ADDJOB q b 0 RETRY 5 ASYNC")
            .unwrap_or_default();
        assert_eq!(
            hint,
            " [REPLICATE n] [DELAY s] [TTL s] [MAXLEN n] [PRIORITY n] [MAXDELIVER n] [DEAD queue] [BACKOFF base max] [DEDUP key [WINDOW s]] [KEEP s] [META name value] ... [RECEIPT]"
        );
    }
}
