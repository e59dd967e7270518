//! What the prompt knows of commands: completion, hints and the `help` command.

use std::fmt::Write;

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

/// One command, or one subcommand, as the prompt explains it.
#[derive(Debug, Clone)]
pub struct CommandHelp {
    name: String,
    syntax: String,
    summary: String,
}

impl CommandHelp {
    /// `name` is a command, or a command and its subcommand (`CLUSTER MEET`), in any case; `syntax`
    /// its arguments alone, options in brackets: `queue count [WITHCOUNTERS] [COUNT n]`.
    pub fn new(name: &str, syntax: &str, summary: &str) -> Self {
        CommandHelp {
            name: name.to_ascii_uppercase(),
            syntax: syntax.to_owned(),
            summary: summary.to_owned(),
        }
    }
}

/// Help on every command of the table, and on its subcommands.
pub fn of_all_commands() -> Vec<CommandHelp> {
    let rows = crate::command::table::all().iter().flat_map(|spec| {
        let manual = spec.manual;
        let subcommands = manual.subcommands.iter().map(|subcommand| {
            let name = format!("{} {}", spec.name, subcommand.name);
            CommandHelp::new(&name, subcommand.syntax, subcommand.summary)
        });
        std::iter::once(CommandHelp::new(spec.name, manual.syntax, manual.summary))
            .chain(subcommands)
    });
    rows.collect()
}

/// All commands that the prompt helps with.
#[derive(Debug)]
pub(super) struct Catalogue {
    /// By name, so that subcommands follow their command.
    commands: Vec<CommandHelp>,
}

impl Catalogue {
    pub(super) fn new(mut commands: Vec<CommandHelp>) -> Self {
        for name in ["HELP", "QUIT", "EXIT", "CLEAR"] {
            let (syntax, summary) = match name {
                "HELP" => ("[command]", "Explain a command, or list them all."),
                "CLEAR" => ("", "Clear the screen."),
                _ => ("", "Leave the prompt."),
            };
            if !commands.iter().any(|command| command.name == name) {
                commands.push(CommandHelp::new(name, syntax, summary));
            }
        }
        commands.sort_by(|a, b| a.name.cmp(&b.name));
        Catalogue { commands }
    }

    /// The text that `help` answers; `about` is what was asked for, empty for everything.
    pub(super) fn help(&self, about: &str) -> String {
        let about = about.to_ascii_uppercase();
        let mut out = String::new();
        let asked = |command: &&CommandHelp| {
            let rest = command.name.strip_prefix(&about);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        if about.is_empty() {
            let width = self
                .commands
                .iter()
                .map(|c| c.name.len())
                .max()
                .unwrap_or(0);
            for CommandHelp { name, summary, .. } in &self.commands {
                writeln!(out, "{name:<width$}  {summary}").expect("a String takes any text");
            }
            out.push_str("\nhelp COMMAND shows its arguments; Tab completes, Ctrl-D leaves.");
            return out;
        }
        for command in self.commands.iter().filter(asked) {
            let CommandHelp {
                name,
                syntax,
                summary,
            } = command;
            writeln!(out, "{name} {syntax}\n  {summary}").expect("a String takes any text");
        }
        if out.is_empty() {
            return format!("No such command: {about}");
        }
        out.truncate(out.trim_end().len());
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

    #[test]
    fn help_lists_all_or_explains_one() {
        let catalogue = catalogue();
        let all = catalogue.help("");
        assert!(all.contains("ADDJOB        Make a job.\n"));
        assert!(all.contains("QUIT          Leave the prompt.\n"));
        assert_eq!(
            catalogue.help("cluster meet"),
            "CLUSTER MEET ip port\n  Join a node."
        );
        let family = catalogue.help("cluster");
        assert!(family.contains("subcommand") && family.contains("CLUSTER MYID"));
        assert_eq!(catalogue.help("clus"), "No such command: CLUS");
    }
}
