//! The table for people: `shoalmq server --help`, and a commented configuration file.

use super::directive::{Change, Directive, Group, Standing};
use super::table::{Config, DIRECTIVES};
use super::units::{digits, shown_size};
use super::value::Allowed;
use super::words;
use std::fmt::Write as _;

const WIDTH: usize = 100;

/// Every directive with its default and its bounds, wrapped at 100 columns.
pub fn help() -> String {
    let mut text = String::from(
        "Run a node.\n\nUsage: shoalmq server [CONF] [--directive value]...\n\n  CONF is a configuration file; `-` reads \
         standard input.\n  -p PORT is short for --port PORT.\n\nDIRECTIVES\n",
    );
    wrap(
        &mut text,
        "  ",
        "Each can stand in the file as `directive value`, in the environment as SHOALMQ_DIRECTIVE (with _ \
         for -), or here as --directive value or --directive=value; each source overrides the one before. \
         In the file, `include PATH` reads another file.",
    );
    for group in Group::ALL {
        let _ = writeln!(text, "\n{}:", group.title());
        for row in rows(group) {
            let _ = writeln!(text, "\n  --{}", row.name);
            wrap(&mut text, "      ", row.help.trim());
            wrap(&mut text, "      ", &row.details());
        }
    }
    text
}

/// A configuration file in which every directive stands, explained, at its default, as a comment.
pub fn example() -> String {
    let mut text = String::new();
    wrap(
        &mut text,
        "# ",
        "Configuration of a ShoalMQ node: shoalmq server shoalmq.conf",
    );
    text.push_str("#\n");
    wrap(
        &mut text,
        "# ",
        "A line is a directive and its values; a value with blanks stands in quotes. What stands here as a \
         comment is the default. SHOALMQ_<DIRECTIVE> in the environment overrides the file, a flag overrides \
         both. `include PATH` reads another file at its place. Sizes take k, m, g (powers of 1000) and kb, \
         mb, gb (of 1024), times take us, ms, s, m, h, d.",
    );
    for group in Group::ALL
        .into_iter()
        .filter(|group| *group != Group::Obsolete)
    {
        let _ = writeln!(text, "\n### {}", group.title());
        for row in rows(group) {
            text.push('\n');
            wrap(&mut text, "# ", row.help.trim());
            wrap(&mut text, "# ", &row.details());
            let _ = writeln!(text, "# {}", row.example_line());
        }
    }
    text
}

fn rows(group: Group) -> impl Iterator<Item = &'static Directive> {
    DIRECTIVES.iter().filter(move |row| row.group == group)
}

impl Directive {
    /// The default, as an operator would write it, or how it is found.
    pub fn default_text(&self) -> String {
        let constant = || format!("`{}`", self.default_line());
        let computed = self.computed.as_ref();
        computed.map_or_else(constant, |found| found.words.to_owned())
    }

    /// The directive with a value, as a line of a file.
    pub(super) fn example_line(&self) -> String {
        let value = self.computed.as_ref().map(|found| found.sample.to_owned());
        format!(
            "{} {}",
            self.name,
            value.unwrap_or_else(|| self.default_line())
        )
    }

    fn default_line(&self) -> String {
        let default = self.words(&Config::default());
        match (&self.allowed, &default[..]) {
            (Allowed::Size { .. }, [bytes]) => shown_size(digits(bytes).unwrap_or_default()),
            (_, default) => words::join(default.iter().map(String::as_str)),
        }
    }

    /// Values, default, and when it may change, in one paragraph.
    fn details(&self) -> String {
        let mut text = format!("Takes {}; default: {}.", self.allowed, self.default_text());
        if self.change == Change::AtRunTime {
            text.push_str(" CONFIG SET can change it.");
        }
        match self.standing {
            Standing::Obsolete(reason) => {
                let _ = write!(text, " No effect: {reason}.");
            }
            Standing::Ours => text.push_str(" Not in Disque."),
            Standing::Disque => {}
        }
        text
    }
}

/// Appends a paragraph, each line opened by `margin` and none wider than [`WIDTH`].
fn wrap(text: &mut String, margin: &str, paragraph: &str) {
    let mut width = 0;
    for word in paragraph.split_ascii_whitespace() {
        let length = word.chars().count();
        if width > 0 && width + 1 + length <= WIDTH {
            text.push(' ');
            width += 1;
        } else {
            if width > 0 {
                text.push('\n');
            }
            text.push_str(margin);
            width = margin.len();
        }
        text.push_str(word);
        width += length;
    }
    text.push('\n');
}
