//! `CONFIG GET` and `CONFIG SET`: reading and changing the configuration of a running node.

use super::directive::{Change, Directive, Known, closest};
use super::error::SetError;
use super::table::{Config, DIRECTIVES};
use shoalmq_core::topic::{Case, matches};
use std::io;

impl Config {
    /// The directives whose names match a glob, in the order of the table, each with its value.
    pub fn get(&self, pattern: &[u8]) -> Vec<(&'static str, String)> {
        DIRECTIVES
            .iter()
            .filter(|row| matches(pattern, row.name.as_bytes(), Case::Ignored))
            .map(|row| (row.name, row.value(self)))
            .collect()
    }

    /// The directives that another configuration sets otherwise.
    pub fn changes(&self, other: &Config) -> Vec<&'static Directive> {
        let differs = |row: &&Directive| row.words(self) != row.words(other);
        DIRECTIVES.iter().filter(differs).collect()
    }

    /// Takes over what another configuration says of a directive.
    pub fn adopt(&mut self, row: &Directive, other: &Config) {
        let taken = row.set(self, &row.words(other));
        debug_assert!(taken.is_some(), "{} reads what it writes", row.name);
    }

    /// Sets a directive, and returns its row; who runs the node must carry out the change.
    ///
    /// After a refusal nothing has changed.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<&'static Directive, SetError> {
        let row = settable(&String::from_utf8_lossy(name))?;
        let invalid = || SetError::Invalid { row };
        let value = std::str::from_utf8(value).map_err(|_| invalid())?;
        let mut changed = self.clone();
        row.set(&mut changed, &[value.to_owned()])
            .ok_or_else(invalid)?;
        if changed.dir != self.dir {
            let found = std::fs::metadata(&changed.dir).map_err(SetError::Dir)?;
            if !found.is_dir() {
                return Err(SetError::Dir(io::ErrorKind::NotADirectory.into()));
            }
        }
        *self = changed;
        Ok(row)
    }
}

/// The directive of this name, if `CONFIG SET` can change it.
fn settable(name: &str) -> Result<&'static Directive, SetError> {
    let advice = match Known::find(name) {
        Some(Known::Directive(row)) if row.change == Change::AtRunTime => return Ok(row),
        Some(known) => known.advice(),
        None => closest(name).map_or_else(
            || "CONFIG GET * lists all parameters".to_owned(),
            |meant| format!("did you mean {meant}?"),
        ),
    };
    Err(SetError::Unsupported { advice })
}
