//! What code may hold, how long files and functions are, and what files are called.

use std::collections::BTreeSet;
use std::path::Path;

use crate::rust::{Function, code_only, functions, shipped_lines, without_tests};
use crate::{assert_none, is_test, places, sources};

/// Where a file must end. Tests do not count.
const LONGEST_FILE: usize = 600;

/// Where a function must end. Tests do not count.
const LONGEST_FUNCTION: usize = 70;

/// Functions that may be longer, as `file: name`: each is one `match` that names every variant, and a part of it could be
/// a function of its own only behind a wildcard.
const LONG_MATCHES: [&str; 6] = [
    "src/bus/codec/payload.rs: of_message",
    "src/bus/codec/payload.rs: into_frame",
    "src/command/error.rs: write_parse_error",
    "src/command/error.rs: write_server_error",
    "src/core/dispatch.rs: on_message",
    // The table of all moves of a job.
    "src/core/job/moves.rs: after",
];

/// File names that say nothing.
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "common", "helper", "helpers", "manager"];

#[test]
fn no_code_is_unsafe() {
    let files = sources()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("tests/fuzz/"));
    let found: Vec<_> = files
        .flat_map(|(name, text)| places(&name, &code_only(&text), "unsafe"))
        .collect();
    assert_none("no unsafe code", &found);
}

#[test]
fn what_ships_never_unwraps() {
    let found: Vec<_> = sources()
        .into_iter()
        .filter(|(name, _)| !is_test(name))
        .flat_map(|(name, text)| places(&name, &code_only(&without_tests(&text)), ".unwrap()"))
        .collect();
    assert_none("say why it cannot fail: expect(\"…\")", &found);
}

#[test]
fn files_are_short() {
    let lines = |(name, text): &(String, String)| (name.clone(), shipped_lines(text));
    let long: Vec<_> = sources()
        .iter()
        .filter(|(name, _)| !is_test(name))
        .map(lines)
        .filter(|(_, count)| *count > LONGEST_FILE)
        .map(|(name, count)| format!("{name}: {count} lines"))
        .collect();
    assert_none(
        &format!("at most {LONGEST_FILE} lines, look for the seam"),
        &long,
    );
}

#[test]
fn functions_are_short() {
    let mut excepted = BTreeSet::from(LONG_MATCHES);
    let mut long = Vec::new();
    for (name, text) in sources().iter().filter(|(name, _)| !is_test(name)) {
        for function in functions(&code_only(&without_tests(text))) {
            let Function {
                name: called,
                line,
                lines,
            } = function;
            if lines > LONGEST_FUNCTION && !excepted.remove(&*format!("{name}: {called}")) {
                long.push(format!("{name}:{line}: {called}, {lines} lines"));
            }
        }
    }
    assert_none(
        &format!("at most {LONGEST_FUNCTION} lines, look for the seam"),
        &long,
    );
    let excepted: Vec<_> = excepted.into_iter().map(str::to_owned).collect();
    assert_none("an exception that nothing needs", &excepted);
}

#[test]
fn every_module_says_what_it_is() {
    let silent = |(name, text): &(String, String)| {
        let described = text
            .lines()
            .next()
            .is_some_and(|line| line.len() > "//! A few words".len() && line.starts_with("//! "));
        // What is tested says what a module of tests is; libFuzzer's macro comes first in its targets.
        let is_known = name.ends_with("/tests.rs")
            || name.contains("/tests/")
            || name.contains("/fuzz_targets/");
        (!described && !is_known).then(|| name.clone())
    };
    assert_none(
        "a module opens with //!",
        &sources().iter().filter_map(silent).collect::<Vec<_>>(),
    );
}

#[test]
fn files_are_named_for_what_they_hold() {
    let empty = |name: &String| {
        let stem = Path::new(name)
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        EMPTY_NAMES.contains(&stem)
    };
    let found: Vec<_> = sources()
        .into_iter()
        .map(|(name, _)| name)
        .filter(empty)
        .collect();
    assert_none("a name that says nothing", &found);
}
