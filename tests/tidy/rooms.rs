//! The rooms of the house: what the core may name, who awaits, and that each room of the core has one door.

use crate::rust::{code_only, without_tests};
use crate::{assert_none, is_test, places, sources};

/// The room of the nouns, which all rooms and packages share: its files are open.
const NOUNS: &str = "words";

/// Files of other rooms that are open on purpose, as `room/file`.
const OPEN_FILES: [&str; 1] = [
    // Every room counts the bytes of what it keeps.
    "telling/sizes",
];

/// What the core may not even name.
const NOT_IN_CORE: [&str; 9] = [
    "std::fs",
    "std::io",
    "std::net",
    "std::thread",
    "std::process",
    "Instant",
    "SystemTime",
    "collections::HashMap",
    "collections::HashSet",
];

#[test]
fn the_core_reads_no_clock_disk_or_socket() {
    let found: Vec<_> = sources()
        .into_iter()
        .filter(|(name, _)| {
            (name.starts_with("src/core/") || name.starts_with("gossip/src/")) && !is_test(name)
        })
        // A measurement reads clocks and /proc: it is no part of the library.
        .filter(|(name, _)| !name.starts_with("src/core/examples/"))
        .flat_map(|(name, text)| {
            let code = code_only(&without_tests(&text));
            // Gossip tells addresses, and opens nothing.
            let is_core = name.starts_with("src/core/");
            NOT_IN_CORE
                .iter()
                .filter(|word| is_core || **word != "std::net")
                .flat_map(|word| places(&name, &code, word))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_none("core and gossip are pure", &found);
}

#[test]
fn only_the_server_awaits() {
    let pure = |name: &str| {
        [
            "src/core/",
            "src/resp/",
            "src/command/",
            "storage/src/",
            "gossip/src/",
        ]
        .iter()
        .any(|at| name.starts_with(at))
    };
    let found: Vec<_> = sources()
        .into_iter()
        .filter(|(name, _)| pure(name) && !is_test(name))
        .flat_map(|(name, text)| {
            let code = code_only(&without_tests(&text));
            [".await", "async", "tokio"]
                .iter()
                .flat_map(|word| places(&name, &code, word))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_none("only src/server awaits", &found);
}

/// The room that a file of the core is in, and its name there.
fn place_in_core(name: &str) -> Option<(&str, &str)> {
    let place = name.strip_prefix("src/core/")?.strip_suffix(".rs")?;
    let (room, file) = place.split_once('/')?;
    (!matches!(room, "tests" | "examples" | "agenda")).then_some((room, file))
}

fn is_open(room: &str, file: &str) -> bool {
    room == NOUNS || OPEN_FILES.contains(&&*format!("{room}/{file}"))
}

#[test]
fn a_room_of_the_core_has_one_door() {
    let sources = sources();
    let mut found = Vec::new();
    for (name, text) in &sources {
        let Some((room, "mod")) = place_in_core(name) else {
            continue;
        };
        for line in code_only(text).lines() {
            let open = line
                .strip_prefix("pub")
                .and_then(|rest| rest.split_once(" mod "));
            let file = open.map(|(_, file)| file.trim_end_matches(';').trim());
            found.extend(
                file.filter(|file| !is_open(room, file))
                    .map(|file| format!("{name}: {file} is open")),
            );
        }
    }
    assert_none(
        "the files of a room are private, its mod.rs is the door",
        &found,
    );
}

#[test]
fn no_room_reaches_past_the_door_of_another() {
    let sources = sources();
    let in_core = || {
        sources
            .iter()
            .filter(|(name, _)| name.starts_with("src/core/"))
    };
    let files: Vec<_> = in_core()
        .filter_map(|(name, _)| place_in_core(name))
        .collect();
    let mut found = Vec::new();
    for (name, text) in in_core() {
        let code = code_only(text);
        for (room, file) in &files {
            let is_inside = place_in_core(name).is_some_and(|(own, _)| own == *room);
            if !is_inside && !is_open(room, file) {
                found.extend(places(name, &code, &format!("crate::{room}::{file}::")));
            }
        }
    }
    assert_none("go through the door: crate::ROOM::NAME", &found);
}
