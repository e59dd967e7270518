//! What a client probably meant.

use crate::args::is;
use crate::manual::call;
use crate::suggestion::closest;
use crate::table;

/// The way out for a client that sent `word` to `command`: how the subcommand of this name is called, or what was
/// probably meant. `lead` stands before it.
pub(super) fn advice(word: &[u8], command: &str, lead: &str) -> Vec<u8> {
    let Some(spec) = table::lookup(command.as_bytes()) else {
        return Vec::new();
    };
    let subcommands = spec.manual.subcommands;
    if let Some(found) = subcommands.iter().find(|sub| is(word, sub.name)) {
        let name = spec.name.to_ascii_uppercase();
        return format!("{lead}try {}", call(&[&name, found.name, found.syntax])).into_bytes();
    }
    let meant = closest(word, spec.manual.words()).filter(|meant| !is(word, meant));
    did_you_mean(meant, lead)
}

pub(super) fn did_you_mean(meant: Option<&str>, lead: &str) -> Vec<u8> {
    let question = |meant| format!("{lead}did you mean {meant}?").into_bytes();
    meant.map_or_else(Vec::new, question)
}
