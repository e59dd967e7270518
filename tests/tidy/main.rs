//! The rules of the house that a machine can check.
//!
//! | module | checks |
//! |---|---|
//! | `code` | what code may hold; how long files and functions are; names |
//! | `rooms` | what the core may name, who awaits, and that a room of the core has one door |
//! | `packages` | licences, banned crates, what the core and gossip depend on |
//! | `documents` | links, machine names, plain English |
//! | `rust` | reading Rust: what is code, what is a test, where functions end |

mod code;
mod documents;
mod packages;
mod rooms;
mod rust;

use std::fs;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every tracked text file with its text, its path relative to the root.
fn tracked() -> Vec<(String, String)> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .expect("run git");
    assert!(
        output.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names = String::from_utf8(output.stdout).expect("paths are UTF-8");
    let text = |name: &str| Some((name.to_owned(), fs::read_to_string(root().join(name)).ok()?));
    let files: Vec<_> = names.split_terminator('\0').filter_map(text).collect();
    assert!(files.len() > 20, "the repository has files");
    files
}

/// Every tracked file of Rust.
fn sources() -> Vec<(String, String)> {
    tracked()
        .into_iter()
        .filter(|(name, _)| has_extension(name, "rs"))
        .collect()
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|found| found == extension)
}

/// Whether a file is there for tests and measurements alone.
fn is_test(name: &str) -> bool {
    name.contains("tests/")
        || name.contains("core/examples/")
        || name.ends_with("/tests.rs")
        || name.starts_with("benches/")
}

/// Whether the word found at `at` is not part of a longer one.
fn stands_alone(line: &str, at: usize, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let before = line[..at].chars().next_back();
    let after = line[at + word.len()..].chars().next();
    let open_start = !word.starts_with(is_word) || !before.is_some_and(is_word);
    let open_end = !word.ends_with(is_word) || !after.is_some_and(is_word);
    open_start && open_end
}

/// Where a word stands by itself, as `file:line`.
fn places(name: &str, text: &str, word: &str) -> Vec<String> {
    let holds = |line: &str| {
        line.match_indices(word)
            .any(|(at, _)| stands_alone(line, at, word))
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| holds(line))
        .map(|(number, _)| format!("{name}:{}: {word}", number + 1))
        .collect()
}

#[track_caller]
fn assert_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}
