//! What can be wrong with a configuration, said in one line that names the place.

use super::directive::Directive;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a directive was given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// A line of a file, counted from 1.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// A line of the text from standard input, counted from 1.
    Stdin {
        /// The line.
        line: usize,
    },
    /// A variable of the environment, by its full name.
    Env(String),
    /// A flag of the command line, with its hyphens.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Stdin { line } => write!(f, "standard input:{line}"),
            Self::Env(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// Why a configuration cannot be loaded. The node does not start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No directive has this name.
    #[error("{place}: unknown directive `{name}`{}", did_you_mean(*.suggestion))]
    Unknown {
        /// Where it stands.
        place: Place,
        /// The name, as it was given.
        name: String,
        /// A directive with a name that is close.
        suggestion: Option<&'static str>,
    },
    /// The value is not one that the directive takes.
    #[error("{place}: {name} must be {allowed}{}", not(.value.as_deref()))]
    Invalid {
        /// Where it stands.
        place: Place,
        /// The directive.
        name: &'static str,
        /// What was given; `None` when it is a secret.
        value: Option<String>,
        /// What the directive takes, in words.
        allowed: String,
    },
    /// The line, variable or flag cannot be split into words.
    #[error("{place}: {problem}")]
    Syntax {
        /// Where it stands.
        place: Place,
        /// What is wrong.
        problem: SyntaxError,
    },
    /// A word on the command line that belongs to no flag.
    #[error(
        "unexpected argument `{0}`: flags are `--directive value`, and `-p` is `--port`; see shoalmq server --help"
    )]
    Stray(String),
    /// A file cannot be read.
    #[error("{}read configuration file {}: {source}", at(.place.as_ref()), .path.display())]
    Read {
        /// The `include` that names the file; `None` for the main file.
        place: Option<Place>,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file includes itself, directly or through others.
    #[error("{place}: include of {} runs in a circle", .path.display())]
    IncludeLoop {
        /// The `include` that closes the circle.
        place: Place,
        /// The file that it names.
        path: PathBuf,
    },
    /// The port for other nodes would be past the last one.
    #[error(
        "port {0} leaves no port {0} + 10000 for other nodes: choose a port up to 55535, or set cluster-port"
    )]
    BusPort(u16),
    /// Includes are nested too deeply.
    #[error("{place}: includes are nested more than {limit} deep")]
    IncludeDepth {
        /// The `include` that is one too deep.
        place: Place,
        /// How deep they may be.
        limit: usize,
    },
}

/// Why a line cannot be split into words.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SyntaxError {
    /// A quote is not closed, or something other than a space follows the closing one.
    #[error("unbalanced quotes")]
    UnbalancedQuotes,
    /// A word is not UTF-8.
    #[error("a value is not UTF-8 text")]
    NotUtf8,
}

/// A directive that was accepted and does nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    /// Where it stands.
    pub place: Place,
    /// The directive.
    pub name: &'static str,
    /// Why it does nothing, and what to use in its place.
    pub reason: &'static str,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} has no effect: {}",
            self.place, self.name, self.reason
        )
    }
}

/// Why `CONFIG SET` was refused. The configuration is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// No such directive, or one that is fixed at the start.
    #[error("{advice}")]
    Unsupported {
        /// What to do instead.
        advice: String,
    },
    /// The value is not one that the directive takes.
    #[error("{} must be {}", row.name, row.allowed)]
    Invalid {
        /// The directive.
        row: &'static Directive,
    },
    /// `dir` was to become a folder that cannot be used.
    #[error("Changing directory: {}", plain(.0))]
    Dir(#[source] io::Error),
}

/// Why `CONFIG REWRITE` failed. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The node was started without a file, or with one from standard input.
    #[error("the node runs without a configuration file")]
    NoFile,
    /// What is in the file now cannot be understood.
    #[error("the present configuration file is not valid")]
    Config(#[from] ConfigError),
    /// The new file cannot be written.
    #[error("write configuration file {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

fn not(value: Option<&str>) -> String {
    match value {
        Some("") => ", and is missing".to_owned(),
        Some(value) => format!(", not `{value}`"),
        None => String::new(),
    }
}

fn at(place: Option<&Place>) -> String {
    place.map_or_else(String::new, |place| format!("{place}: "))
}

/// The text of a system error as C programs print it, without its number.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}
