//! The notation in which the table writes a command's arguments, and its translation into the tree that COMMAND DOCS
//! tells of.
//!
//! ```text
//! WORD     a literal, in capitals          [ x ]    x may be left out
//! name     a value                         < x >    x as one argument
//! a | b    one of both                     x ...    x, once or more
//! ```
//!
//! A word and the value after it belong together: `TTL s` is one argument with the token `TTL`.

use std::iter::Peekable;
use std::str::SplitWhitespace;

/// One argument of a command, as COMMAND DOCS describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Argument {
    /// The literal that must stand before it, or that it consists of.
    pub(super) token: Option<&'static str>,
    /// What it consists of besides.
    pub(super) shape: Shape,
    /// It may be left out.
    pub(super) optional: bool,
    /// Whether it may be given more than once.
    pub(super) repeat: Repeat,
}

/// Whether an argument may be given more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Once.
    No,
    /// What follows the token may be repeated.
    Value,
    /// It may be repeated with its token.
    Whole,
}

/// What an argument consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing but its token.
    Token,
    /// One value of this name.
    Value(&'static str),
    /// One of these.
    OneOf(Vec<Argument>),
    /// All of these, in order.
    Block(Vec<Argument>),
}

type Words = Peekable<SplitWhitespace<'static>>;

/// Reads a syntax line of the table, brackets set off by spaces.
pub(super) fn arguments(syntax: &'static str) -> Vec<Argument> {
    let mut words = syntax.split_whitespace().peekable();
    let arguments = sequence(&mut words);
    assert!(words.next().is_none(), "unbalanced brackets in {syntax}");
    arguments
}

/// The arity of a command whose name has `names` words, as COMMAND tells it: negative when more arguments may follow.
pub(super) fn arity(names: usize, syntax: &'static str) -> i64 {
    let arguments = arguments(syntax);
    let least = i64::try_from(names + least_of_all(&arguments)).expect("a syntax line is short");
    if arguments.iter().all(is_fixed) {
        least
    } else {
        -least
    }
}

fn least_of_all(arguments: &[Argument]) -> usize {
    let required = arguments.iter().filter(|argument| !argument.optional);
    required.map(least).sum()
}

/// How many words an argument takes at the least, when it is given. No bracket may be left empty.
fn least(argument: &Argument) -> usize {
    let rest = match &argument.shape {
        Shape::Token => 0,
        Shape::Value(_) => 1,
        Shape::OneOf(choices) => choices.iter().map(least).min().unwrap_or(0),
        Shape::Block(parts) => least_of_all(parts),
    };
    (usize::from(argument.token.is_some()) + rest).max(1)
}

fn is_fixed(argument: &Argument) -> bool {
    let same = match &argument.shape {
        Shape::Token | Shape::Value(_) => true,
        Shape::OneOf(choices) => choices
            .iter()
            .all(|choice| is_fixed(choice) && least(choice) == least(&choices[0])),
        Shape::Block(parts) => parts.iter().all(is_fixed),
    };
    same && !argument.optional && argument.repeat == Repeat::No
}

fn sequence(words: &mut Words) -> Vec<Argument> {
    let mut arguments: Vec<Argument> = Vec::new();
    let mut repeat = Repeat::Value;
    while let Some(word) = words.next_if(|word| !matches!(*word, "]" | ">" | "|")) {
        let argument = match word {
            "..." => {
                arguments.last_mut().expect("something to repeat").repeat = repeat;
                continue;
            }
            "[" => group(words, "]", true),
            "<" => group(words, ">", false),
            word if word.bytes().any(|byte| byte.is_ascii_lowercase()) => {
                plain(None, Shape::Value(word))
            }
            token => plain(Some(token), Shape::Token),
        };
        repeat = match word {
            "[" | "<" => Repeat::Whole,
            _ => Repeat::Value,
        };
        match arguments.last_mut() {
            Some(last) if last.shape == Shape::Token && !last.optional && !argument.optional => {
                last.shape = argument.shape;
            }
            _ => arguments.push(argument),
        }
    }
    arguments
}

/// Reads what stands between brackets, the closing one included.
fn group(words: &mut Words, close: &str, optional: bool) -> Argument {
    let mut choices = vec![one(sequence(words))];
    while words.next_if_eq(&"|").is_some() {
        choices.push(one(sequence(words)));
    }
    assert_eq!(words.next(), Some(close), "unbalanced brackets");
    let mut argument = if choices.len() == 1 {
        choices.remove(0)
    } else {
        plain(None, Shape::OneOf(choices))
    };
    argument.optional |= optional;
    argument
}

fn one(mut arguments: Vec<Argument>) -> Argument {
    if arguments.len() == 1 {
        arguments.remove(0)
    } else {
        plain(None, Shape::Block(arguments))
    }
}

fn plain(token: Option<&'static str>, shape: Shape) -> Argument {
    Argument {
        token,
        shape,
        optional: false,
        repeat: Repeat::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &'static str) -> Argument {
        plain(None, Shape::Value(name))
    }

    fn token(token: &'static str) -> Argument {
        plain(Some(token), Shape::Token)
    }

    #[test]
    fn values_options_and_repetitions_are_told_apart() {
        let optional = |argument| Argument {
            optional: true,
            ..argument
        };
        assert_eq!(
            arguments("queue [ NOHANG ] [ COUNT n ] FROM queue ..."),
            [
                value("queue"),
                optional(token("NOHANG")),
                optional(plain(Some("COUNT"), Shape::Value("n"))),
                Argument {
                    repeat: Repeat::Value,
                    ..plain(Some("FROM"), Shape::Value("queue"))
                },
            ]
        );
    }

    #[test]
    fn a_repetition_of_a_bracket_repeats_its_token() {
        let [state] = &arguments("[ STATE state ] ...")[..] else {
            panic!("one argument");
        };
        assert_eq!((state.token, state.repeat), (Some("STATE"), Repeat::Whole));
    }

    #[test]
    fn choices_and_blocks_nest() {
        let auth = plain(
            None,
            Shape::Block(vec![
                plain(Some("AUTH"), Shape::Value("user")),
                value("password"),
            ]),
        );
        let choice = plain(None, Shape::OneOf(vec![token("SOFT"), auth]));
        assert_eq!(arguments("< SOFT | AUTH user password >"), [choice]);
        assert_eq!(arguments(""), []);
    }

    #[test]
    fn the_arity_counts_what_must_be_there() {
        for (syntax, expected) in [
            ("", 2),
            ("name value", 4),
            ("< ON | OFF | SKIP >", 3),
            ("< LIB-NAME name | LIB-VER version >", 4),
            ("[ < YES | NO > ]", -2),
            ("command [ argument ... ]", -3),
            ("name ...", -3),
            ("< ip:port | [ ID id ] [ ADDR ip:port ] >", -3),
        ] {
            assert_eq!(arity(2, syntax), expected, "{syntax}");
        }
    }
}
