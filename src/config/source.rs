//! Where directives come from: a file or standard input, the environment, the flags.

use super::error::{ConfigError, Place, SyntaxError};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// All that a configuration is loaded from. Each source overrides the one before it.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The configuration file.
    pub file: Option<FileSource>,
    /// The environment, whole: what is not a directive is left alone.
    pub env: Vec<(OsString, OsString)>,
    /// The command line after the file: `--directive value…`.
    pub flags: Vec<String>,
}

/// The configuration file, or a text in its place.
#[derive(Clone, Debug)]
pub enum FileSource {
    /// A file. `CONFIG REWRITE` writes to it.
    Path(PathBuf),
    /// What was read from standard input.
    Text(Vec<u8>),
}

/// A longer file is refused: it is not a configuration.
const FILE_BYTES_MAX: u64 = 4 << 20;

impl Sources {
    /// Takes what follows `shoalmq server`: a file, if the first word does not begin with `-`, then flags. `-` for a
    /// file reads standard input to its end.
    pub fn from_args(
        args: impl IntoIterator<Item = OsString>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut args = args.into_iter().peekable();
        let is_file = |word: &OsString| word == "-" || !word.as_encoded_bytes().starts_with(b"-");
        let file = match args.next_if(is_file) {
            None => None,
            Some(name) if name == "-" => {
                let text = read_limited(io::stdin().lock());
                Some(FileSource::Text(
                    text.map_err(|source| unreadable(Path::new("-"), source))?,
                ))
            }
            Some(name) => Some(FileSource::Path(name.into())),
        };
        let flags = args.map(OsString::into_string).collect::<Result<_, _>>();
        let not_utf8 = |flag: OsString| ConfigError::Syntax {
            place: Place::Flag(flag.to_string_lossy().into_owned()),
            problem: SyntaxError::NotUtf8,
        };
        Ok(Self {
            file,
            env: env.into_iter().collect(),
            flags: flags.map_err(not_utf8)?,
        })
    }
}

/// A directive with its words, out of the environment or of the flags.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Given {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) words: Vec<String>,
}

const PREFIX: &str = "SHOALMQ_";

/// The variable of the environment that gives a directive.
pub(super) fn variable(directive: &str) -> String {
    let name = directive.to_ascii_uppercase().replace('-', "_");
    format!("{PREFIX}{name}")
}

/// The directive that a variable of the environment is meant to give, known or not.
///
/// Kubernetes puts `SHOALMQ_PORT=tcp://…`, `SHOALMQ_PORT_*` and `SHOALMQ_SERVICE_*` into every pod that
/// has a service named `shoalmq`; `SHOALMQ_PASSWORD` is for the command line client.
pub(super) fn from_variable(
    key: &OsString,
    value: &OsString,
) -> Option<Result<Given, ConfigError>> {
    let key = key.to_str()?;
    let name = key.strip_prefix(PREFIX)?;
    if name == "PASSWORD" || name.starts_with("PORT_") || name.starts_with("SERVICE_") {
        return None;
    }
    let place = Place::Env(key.to_owned());
    let Some(value) = value.to_str() else {
        return Some(Err(ConfigError::Syntax {
            place,
            problem: SyntaxError::NotUtf8,
        }));
    };
    if name == "PORT" && value.starts_with("tcp://") {
        return None;
    }
    let name = name.to_ascii_lowercase().replace('_', "-");
    Some(Ok(Given {
        place,
        name,
        words: vec![value.to_owned()],
    }))
}

/// The short form of `--port`, as the other subcommands have it.
const PORT: &str = "-p";

/// Takes flags apart: `--name=value`, or `--name` and the words up to the next that opens with `--` or is `-p`.
pub(super) fn from_flags(flags: Vec<String>) -> Result<Vec<Given>, ConfigError> {
    let mut found: Vec<Given> = Vec::new();
    let mut takes_more = false;
    for word in flags {
        let word = if word == PORT {
            "--port".to_owned()
        } else {
            word
        };
        if let Some(flag) = word.strip_prefix("--").filter(|flag| !flag.is_empty()) {
            let (name, value) = flag
                .split_once('=')
                .map_or((flag, None), |(n, v)| (n, Some(v)));
            found.push(Given {
                place: Place::Flag(format!("--{name}")),
                name: name.to_owned(),
                words: value.map(str::to_owned).into_iter().collect(),
            });
            takes_more = value.is_none();
        } else {
            match found.last_mut() {
                Some(given) if takes_more => given.words.push(word),
                _ => return Err(ConfigError::Stray(word)),
            }
        }
    }
    Ok(found)
}

/// Reads a configuration file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    File::open(path)
        .and_then(read_limited)
        .map_err(|source| unreadable(path, source))
}

fn read_limited(source: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    source.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

fn unreadable(path: &Path, source: io::Error) -> ConfigError {
    ConfigError::Read {
        place: None,
        path: path.to_owned(),
        source,
    }
}
