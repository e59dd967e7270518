//! What text may say: no links that lead nowhere, no names of one machine, plain English.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::{assert_none, has_extension, places, root, stands_alone, tracked};

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

/// Words that a native speaker would not write here, put together so that this file does not find itself.
const NOT_ENGLISH: [[&str; 2]; 6] = [
    ["who", "ever"],
    ["a", "new"],
    ["told", " of"],
    ["so ma", "ny"],
    ["so oft", "en"],
    ["which there", " are"],
];

/// Where words stand in prose, also across the end of a line, as `file:line`.
fn prose_places(name: &str, text: &str, words: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let begins_in = |number: usize| {
        let next = lines.get(number + 1).unwrap_or(&"");
        let next = next.trim_start_matches(['/', '!', '#', '*', '>', ' ']);
        let pair = format!("{} {next}", lines[number]);
        let begins = |(at, _)| at < lines[number].len() && stands_alone(&pair, at, words);
        pair.match_indices(words).any(begins)
    };
    (0..lines.len())
        .filter(|&number| begins_in(number))
        .map(|number| format!("{name}:{}: {words}", number + 1))
        .collect()
}

#[test]
fn text_is_plain_english() {
    let words = NOT_ENGLISH.map(|word| word.concat());
    let found: Vec<_> = tracked()
        .into_iter()
        .flat_map(|(name, text)| {
            words
                .iter()
                .flat_map(|words| prose_places(&name, &text, words))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_none("words that read as translated; say who does what", &found);
}

#[test]
fn words_are_found_across_lines() {
    let text = "/// One is\n/// Here, but not thereis.\n# one\n";
    assert_eq!(prose_places("f", text, "is here"), ["f:1: is here"]);
    assert_eq!(prose_places("f", text, "one"), ["f:1: one", "f:3: one"]);
}
