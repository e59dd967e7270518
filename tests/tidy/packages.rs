//! What is depended on: licences, banned crates, and how little the core and gossip need.

use std::collections::BTreeSet;
use std::process::Command;

use crate::{assert_none, root};

/// Licences that may come in, as SPDX names them.
const LICENCES: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    // Asks that changes to its own files be published; we change none.
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

/// Crates that nothing may bring in: unmaintained, unsound or archived.
const BANNED: [&str; 6] = [
    "serde_yaml",
    "tempdir",
    "rustls-pemfile",
    "backoff",
    "structopt",
    "remove_dir_all",
];

/// Crates that others bring in, and that are not to be used here.
const BANNED_HERE: [&str; 4] = ["fxhash", "instant", "lazy_static", "bincode"];

/// All that the core may use: nothing that reads a clock, a disk or a socket.
const CORE_MAY_USE: [&str; 10] = [
    "bytes",
    "foldhash",
    "hashbrown",
    "itoa",
    "postcard",
    "rand",
    "serde",
    "sha2",
    "thiserror",
    "triomphe",
];

/// All that gossip may use: it is driven like the core, and knows its nouns.
const GOSSIP_MAY_USE: [&str; 8] = [
    "foca",
    "hmac",
    "postcard",
    "rand",
    "serde",
    "sha2",
    "shoalmq-core",
    "thiserror",
];

/// What cargo knows of the packages that this machine builds, without a network.
fn metadata() -> serde_json::Value {
    let version = Command::new("rustc")
        .arg("-vV")
        .output()
        .expect("run rustc");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("rustc tells its host");
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--offline",
            "--locked",
            "--format-version",
            "1",
            "--filter-platform",
            host,
        ])
        .current_dir(root())
        .output()
        .expect("run cargo");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

fn packages(metadata: &serde_json::Value) -> &[serde_json::Value] {
    metadata["packages"]
        .as_array()
        .expect("cargo lists packages")
}

fn text_of<'a>(value: &'a serde_json::Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Whether a licence expression of SPDX can be met: OR binds weaker than AND.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    split_outside_brackets(&expression, " OR ")
        .iter()
        .any(|choice| {
            split_outside_brackets(choice, " AND ").iter().all(|part| {
                let part = part.trim();
                let inner = part
                    .strip_prefix('(')
                    .and_then(|part| part.strip_suffix(')'));
                inner.map_or_else(|| LICENCES.contains(&part), is_allowed)
            })
        })
}

fn split_outside_brackets<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && at >= start && text[at..].starts_with(separator) => {
                parts.push(&text[start..at]);
                start = at + separator.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[test]
fn licences_are_read_as_spdx_means_them() {
    for good in [
        "MIT",
        "MIT OR GPL-3.0",
        "MIT/Apache-2.0",
        "(MIT OR GPL-3.0) AND Unicode-3.0",
        "(MIT)",
    ] {
        assert!(is_allowed(good), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR Apache-2.0) AND GPL-3.0",
        "MITX",
    ] {
        assert!(!is_allowed(bad), "{bad}");
    }
}

#[test]
fn dependencies_have_licences_that_we_can_take() {
    let metadata = metadata();
    let used: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .expect("cargo resolves packages")
        .iter()
        .map(|node| text_of(node, "id"))
        .collect();
    let found: Vec<_> = packages(&metadata)
        .iter()
        .filter(|package| {
            used.contains(text_of(package, "id")) && !is_allowed(text_of(package, "license"))
        })
        .map(|package| {
            format!(
                "{} {}: {}",
                package["name"], package["version"], package["license"]
            )
        })
        .collect();
    assert_none("a licence that is not on the list", &found);
}

#[test]
fn no_banned_crate_comes_in() {
    let metadata = metadata();
    let mut found = Vec::new();
    for package in packages(&metadata) {
        let name = text_of(package, "name");
        if BANNED.contains(&name)
            || (name == "bincode" && text_of(package, "version").starts_with('1'))
        {
            found.push(name.to_owned());
        }
        // A package without a source is one of ours.
        if package["source"].is_null() {
            let dependencies = package["dependencies"]
                .as_array()
                .expect("packages list dependencies");
            let here = dependencies
                .iter()
                .map(|dependency| text_of(dependency, "name"));
            found.extend(
                here.filter(|used| BANNED_HERE.contains(used))
                    .map(|used| format!("{used}, used by {name}")),
            );
        }
    }
    assert_none("banned crates", &found);
}

#[test]
fn the_core_and_gossip_depend_on_little() {
    let metadata = metadata();
    for (name, may_use) in [
        ("shoalmq-core", &CORE_MAY_USE[..]),
        ("shoalmq-gossip", &GOSSIP_MAY_USE[..]),
    ] {
        let package = packages(&metadata)
            .iter()
            .find(|package| package["name"] == name)
            .expect("there is one");
        let dependencies = package["dependencies"]
            .as_array()
            .expect("packages list dependencies");
        let found: Vec<_> = dependencies
            .iter()
            .filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| text_of(dependency, "name").to_owned())
            .filter(|used| !may_use.contains(&used.as_str()))
            .collect();
        assert_none(&format!("{name} may not use"), &found);
    }
}
