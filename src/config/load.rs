//! Loading: one pass over file, environment and flags, each directive through its row of the table.

use super::directive::{Directive, Known, closest};
use super::error::{ConfigError, Place, Warning};
use super::source::{self, FileSource, Given, Sources};
use super::table::Config;
use super::value::YES_OR_NO;
use super::words;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A configuration, and what to tell the operator about it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Directives that were accepted and do nothing: to be logged as warnings.
    pub warnings: Vec<Warning>,
    /// Variables of the environment that look like directives and are none: to be logged for debugging.
    pub notes: Vec<String>,
}

impl Config {
    /// Loads a configuration: defaults, then file, environment and flags.
    pub fn load(sources: Sources) -> Result<Loaded, ConfigError> {
        let mut loader = Loader::default();
        match sources.file {
            None => {}
            Some(FileSource::Text(text)) => loader.text(&text, &|line| Place::Stdin { line })?,
            Some(FileSource::Path(path)) => {
                let text = source::read(&path)?;
                loader.main_file(&path, &text)?;
                loader.config.file = Some(std::path::absolute(&path).unwrap_or(path));
            }
        }
        for (key, value) in &sources.env {
            match source::from_variable(key, value).transpose()? {
                Some(given) if Known::find(&given.name).is_some() => loader.apply(given)?,
                Some(given) => {
                    let note = format!("{}: ignored, it names no directive", given.place);
                    loader.notes.push(note);
                }
                None => {}
            }
        }
        for given in source::from_flags(sources.flags)? {
            loader.apply(given)?;
        }
        if loader.config.bus_port(loader.config.port) == 0 {
            return Err(ConfigError::BusPort(loader.config.port));
        }
        let Loader {
            config,
            warnings,
            notes,
            ..
        } = loader;
        Ok(Loaded {
            config,
            warnings,
            notes,
        })
    }
}

/// How deep includes may nest.
const INCLUDES_MAX: usize = 16;

/// What has been loaded so far.
#[derive(Debug, Default)]
pub(super) struct Loader {
    pub(super) config: Config,
    /// Where each directive was last given.
    pub(super) places: BTreeMap<&'static str, Place>,
    warnings: Vec<Warning>,
    notes: Vec<String>,
    /// The files being read, each included by the one before it.
    open: Vec<PathBuf>,
}

impl Loader {
    /// Applies the text of the main file, known as `path`.
    pub(super) fn main_file(&mut self, path: &Path, text: &[u8]) -> Result<(), ConfigError> {
        let resolved = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.file(path, resolved, text)
    }

    fn file(&mut self, path: &Path, resolved: PathBuf, text: &[u8]) -> Result<(), ConfigError> {
        self.open.push(resolved);
        self.text(text, &|line| Place::File {
            path: path.to_owned(),
            line,
        })?;
        self.open.pop();
        Ok(())
    }

    fn text(&mut self, text: &[u8], place: &dyn Fn(usize) -> Place) -> Result<(), ConfigError> {
        for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let place = place(number);
            let mut words = match words::split(line) {
                Ok(words) => words.into_iter(),
                Err(problem) => return Err(ConfigError::Syntax { place, problem }),
            };
            let name = words.next().unwrap_or_default();
            self.apply(Given {
                place,
                name,
                words: words.collect(),
            })?;
        }
        Ok(())
    }

    fn apply(&mut self, given: Given) -> Result<(), ConfigError> {
        let Given { place, name, words } = given;
        match Known::find(&name) {
            None => {
                // What follows may be a password: `requirepass=secret`.
                let (head, rest) = name.split_at(name.find(['=', ':', ' ']).unwrap_or(name.len()));
                let cut = if rest.is_empty() { "" } else { "…" };
                Err(ConfigError::Unknown {
                    place,
                    suggestion: closest(head),
                    name: words::join([head]) + cut,
                })
            }
            Some(Known::Include) => self.include(place, &words),
            Some(Known::Directive(row)) => self.assign(row, place, &words),
            Some(Known::Ignored(ignored)) => {
                let (name, reason) = (ignored.name, ignored.reason);
                self.warnings.push(Warning {
                    place,
                    name,
                    reason,
                });
                Ok(())
            }
        }
    }

    fn assign(
        &mut self,
        row: &'static Directive,
        place: Place,
        words: &[String],
    ) -> Result<(), ConfigError> {
        if row.set(&mut self.config, words).is_none() {
            return Err(invalid(row, place, words));
        }
        if let Some(reason) = row.idle_reason(&self.config) {
            self.warnings.push(Warning {
                place: place.clone(),
                name: row.name,
                reason,
            });
        }
        self.places.insert(row.name, place);
        Ok(())
    }

    /// Reads the file that an `include` names, from the folder of the file that holds the `include`.
    fn include(&mut self, place: Place, words: &[String]) -> Result<(), ConfigError> {
        let [path] = words else {
            return Err(ConfigError::Invalid {
                place,
                name: "include",
                value: Some(words::join(words.iter().map(String::as_str))),
                allowed: "the path of one file".to_owned(),
            });
        };
        if self.open.len() >= INCLUDES_MAX {
            return Err(ConfigError::IncludeDepth {
                place,
                limit: INCLUDES_MAX,
            });
        }
        let folder = self.open.last().and_then(|file| file.parent());
        let path = folder.map_or_else(|| PathBuf::from(path), |folder| folder.join(path));
        let resolved = path.canonicalize().unwrap_or_else(|_| path.clone());
        if self.open.contains(&resolved) {
            return Err(ConfigError::IncludeLoop { place, path });
        }
        match source::read(&path) {
            Ok(text) => self.file(&path, resolved, &text),
            Err(ConfigError::Read { path, source, .. }) => Err(ConfigError::Read {
                place: Some(place),
                path,
                source,
            }),
            Err(other) => Err(other),
        }
    }
}

impl Directive {
    /// Why the present value does nothing, if so. `no` to what is not done anyway is honoured.
    fn idle_reason(&self, config: &Config) -> Option<&'static str> {
        let super::Standing::Obsolete(reason) = self.standing else {
            return None;
        };
        let honoured = self.allowed == YES_OR_NO && self.value(config) == "no";
        (!honoured).then_some(reason)
    }
}

fn invalid(row: &Directive, place: Place, words: &[String]) -> ConfigError {
    let value = words::join(words.iter().map(String::as_str));
    ConfigError::Invalid {
        place,
        name: row.name,
        value: (!row.is_secret() || value.is_empty()).then_some(value),
        allowed: row.allowed.to_string(),
    }
}
