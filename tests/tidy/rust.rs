//! Reading Rust: what is code, what is a test, and where functions end.

use std::ops::Range;

use crate::places;

/// What ships: the file with its modules of tests made blank, so that the lines keep their numbers.
pub(crate) fn without_tests(text: &str) -> String {
    let mut shipped = text.to_owned();
    for module in test_modules(text) {
        let blank = blank(&text[module.clone()]);
        shipped.replace_range(module, &blank);
    }
    shipped
}

/// How many lines ship.
pub(crate) fn shipped_lines(text: &str) -> usize {
    let tests = test_modules(text).into_iter();
    let in_tests: usize = tests
        .map(|module| text[module].matches('\n').count() + 1)
        .sum();
    text.lines().count() - in_tests
}

/// The modules for tests alone, from their attribute to their closing brace or semicolon.
fn test_modules(text: &str) -> Vec<Range<usize>> {
    let code = code_only(text);
    let is_module = |&(at, attribute): &(usize, &str)| {
        let item = code[at + attribute.len()..].trim_start();
        let item = item.strip_prefix("pub(crate) ").unwrap_or(item);
        item.starts_with("mod ")
    };
    code.match_indices("#[cfg(test)]")
        .filter(is_module)
        .map(|(at, _)| at..end_of_item(&code, at))
        .collect()
}

/// Where the item that begins at `at` ends: behind its body in braces, or behind its semicolon.
fn end_of_item(code: &str, at: usize) -> usize {
    let mut depth = 0;
    for (index, c) in code[at..].char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' => depth -= 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return at + index + 1;
                }
            }
            ';' if depth == 0 => return at + index + 1,
            _ => {}
        }
    }
    code.len()
}

/// A function.
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    /// The line of its `fn`, counted from 1.
    pub(crate) line: usize,
    /// From that line to its closing brace.
    pub(crate) lines: usize,
}

/// The functions in what [`code_only`] leaves.
pub(crate) fn functions(code: &str) -> Vec<Function<'_>> {
    let function = |(at, keyword): (usize, &str)| {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let rest = &code[at + keyword.len()..];
        let name = &rest[..rest.find(|c| !is_word(c))?];
        let stands_alone = !code[..at].ends_with(is_word);
        (stands_alone && !name.is_empty()).then(|| Function {
            name,
            line: code[..at].matches('\n').count() + 1,
            lines: code[at..end_of_item(code, at)].lines().count(),
        })
    };
    code.match_indices("fn ").filter_map(function).collect()
}

/// The same text with comments, strings and characters made blank, so that only code is left to look at. It is as long.
pub(crate) fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = not_code(rest).unwrap_or(0);
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.push_str(&blank(&rest[..length]));
            rest = &rest[length..];
        }
    }
    code
}

/// As many bytes of spaces; line ends stay.
fn blank(text: &str) -> String {
    let blank = |byte| if byte == b'\n' { '\n' } else { ' ' };
    text.bytes().map(blank).collect()
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

#[test]
fn code_is_told_from_what_is_not() {
    let text = "let a = \"unsafe \\\" unsafe\"; // unsafe\nlet b: &'static str = r#\"unsafe \" \"#; /* unsafe */ 'x' '\\'' unsafe";
    let code = code_only(text);
    assert_eq!(places("f", &code, "unsafe"), ["f:2: unsafe"]);
    assert_eq!(code.matches("unsafe").count(), 1);
    assert!(code.contains("'static"));
}

#[test]
fn only_modules_of_tests_are_cut_out() {
    let text = "#[cfg(test)]\nmod tests;\n\nfn a() { 'x'.unwrap() }\n\n#[cfg(test)]\nmod more {\n    // }\n    fn b() {}\n}\n\nfn c() {}\n";
    let shipped = without_tests(text);
    assert_eq!(shipped.len(), text.len());
    assert_eq!(places("f", &shipped, ".unwrap()"), ["f:4: .unwrap()"]);
    assert!(!shipped.contains("fn b"));
    assert!(shipped.contains("fn c"));
    assert_eq!(shipped_lines(text), 12 - 2 - 5);
}

#[test]
fn functions_end_with_their_bodies() {
    let code = "trait T {\n    fn a(&self, _: [u8; 2]);\n}\nfn b() -> fn(u8) {\n    if x {\n        y\n    }\n}\nfn c() {}\n";
    let found: Vec<_> = functions(code)
        .iter()
        .map(|function| (function.name, function.line, function.lines))
        .collect();
    assert_eq!(found, [("a", 2, 1), ("b", 4, 5), ("c", 9, 1)]);
}
