//! The rules of the house that a machine can check: what code may hold, how long files are, what is depended on,
//! and that no link leads nowhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a file must end. Tests do not count.
const LONGEST_FILE: usize = 600;

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
const CORE_MAY_USE: [&str; 7] = [
    "bytes",
    "foldhash",
    "hashbrown",
    "rand",
    "serde",
    "thiserror",
    "triomphe",
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

/// File names that say nothing.
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "common", "helper", "helpers", "manager"];

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

/// What ships: the file without its tests.
fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod ")
        .map_or(text, |start| &text[..start])
}

/// The same text with comments, strings and characters made blank, so that only code is left to look at.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = not_code(rest).unwrap_or(0);
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(
                rest[..length]
                    .chars()
                    .map(|c| if c == '\n' { '\n' } else { ' ' }),
            );
            rest = &rest[length..];
        }
    }
    code
}

/// How many bytes of comment, string or character the text begins with.
fn not_code(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(text.find("*/").map_or(text.len(), |end| end + 2));
    }
    if let Some(raw) = text.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let body = 1 + hashes + 1;
            return Some(
                text[body..]
                    .find(&close)
                    .map_or(text.len(), |end| body + end + close.len()),
            );
        }
    }
    if text.starts_with('"') {
        return Some(quoted(text, '"'));
    }
    // A quote that opens a lifetime closes nowhere near.
    let character = text.starts_with('\'').then(|| quoted(text, '\''))?;
    (text[1..].starts_with('\\') || text[..character].chars().count() == 3).then_some(character)
}

/// The length of a quoted piece, quotes included.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Where a word stands by itself, as `file:line`.
fn places(name: &str, text: &str, word: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let stands_alone = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = line[at + word.len()..].chars().next();
            let open_start = !word.starts_with(is_word) || !before.is_some_and(is_word);
            let open_end = !word.ends_with(is_word) || !after.is_some_and(is_word);
            open_start && open_end
        })
    };
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| stands_alone(line));
    lines
        .map(|(number, _)| format!("{name}:{}: {word}", number + 1))
        .collect()
}

#[track_caller]
fn assert_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

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
        .flat_map(|(name, text)| places(&name, &code_only(without_tests(&text)), ".unwrap()"))
        .collect();
    assert_none("say why it cannot fail: expect(\"…\")", &found);
}

#[test]
fn nothing_is_left_to_do() {
    // Put together here, so that this file does not find itself.
    let words = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X"],
        ["to", "do!"],
        ["un", "implemented!"],
    ]
    .map(|word| word.concat());
    let files = tracked()
        .into_iter()
        .filter(|(name, _)| !name.ends_with("package-lock.json"));
    let found: Vec<_> = files
        .flat_map(|(name, text)| {
            words
                .iter()
                .flat_map(|word| places(&name, &text, word))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_none("finish it, or open an issue", &found);
}

#[test]
fn files_are_short() {
    let lines =
        |(name, text): &(String, String)| (name.clone(), without_tests(text).lines().count());
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
            let code = code_only(without_tests(&text));
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
            let code = code_only(without_tests(&text));
            [".await", "async", "tokio"]
                .iter()
                .flat_map(|word| places(&name, &code, word))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_none("only src/server awaits", &found);
}

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

#[test]
fn no_file_names_the_machine_it_was_written_on() {
    // Put together here, so that this file does not find itself.
    let paths = [
        ["/ho", "me/"],
        ["/ro", "ot/"],
        ["/Us", "ers/"],
        ["/wo", "rk/main"],
        ["/tmp", "/wt-"],
    ];
    let hosts = [
        ["arti", "factory"],
        ["registry.npm", "js.org"],
        ["files.python", "hosted.org"],
        ["index.crates", ".io"],
    ];
    let words = paths
        .iter()
        .chain(&hosts)
        .map(|word| word.concat())
        .collect::<Vec<_>>();
    let found: Vec<_> = tracked()
        .into_iter()
        .flat_map(|(name, text)| {
            let at = |word: &String| {
                text.contains(word.as_str())
                    .then(|| format!("{name}: {word}"))
            };
            words.iter().filter_map(at).collect::<Vec<_>>()
        })
        .collect();
    assert_none("paths and hosts of one machine", &found);
}

/// The targets of the links in a text of Markdown, code aside.
fn links(text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        // Every second piece between backticks is code.
        for piece in line.split('`').step_by(2) {
            let ends = piece
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split_once(')'));
            found.extend(ends.map(|(target, _)| target.to_owned()));
        }
    }
    found
}

/// The anchors that a page has, made from its headings as Git hosts make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let anchor = |line: &str| {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(anchor)
        .collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut found = Vec::new();
    for (name, text) in tracked()
        .into_iter()
        .filter(|(name, _)| has_extension(name, "md"))
    {
        let folder = root()
            .join(&name)
            .parent()
            .map(PathBuf::from)
            .expect("a file is in a folder");
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() {
                root().join(&name)
            } else {
                folder.join(path)
            };
            let page = fs::read_to_string(&target).unwrap_or_default();
            if !target.exists() || (!anchor.is_empty() && !anchors(&page).contains(anchor)) {
                found.push(format!("{name}: {link}"));
            }
        }
    }
    assert_none("links that lead nowhere", &found);
}

#[test]
fn code_is_told_from_what_is_not() {
    let text = "let a = \"unsafe \\\" unsafe\"; // unsafe\nlet b: &'static str = r#\"unsafe \" \"#; /* unsafe */ 'x' '\\'' unsafe";
    let code = code_only(text);
    assert_eq!(places("f", &code, "unsafe"), ["f:2: unsafe"]);
    assert_eq!(code.matches("unsafe").count(), 1);
    assert!(code.contains("'static"));
}
