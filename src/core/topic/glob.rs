//! Matching names against a glob, as Redis does: `*`, `?`, `[a-z]`, `[^a]`, `\` before a literal.
//!
//! This is the only matcher of the server: topics use it for live reads, replay, flush, rules and bindings, and CONFIG GET
//! uses it for the names of directives.

/// Whether letters of the two cases are the same letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// `a` matches `a` only: channels.
    Exact,
    /// `a` matches `A` as well: names of directives.
    Ignored,
}

impl Case {
    fn fold(self, byte: u8) -> u8 {
        match self {
            Case::Exact => byte,
            Case::Ignored => byte.to_ascii_lowercase(),
        }
    }

    fn same(self, one: u8, other: u8) -> bool {
        self.fold(one) == self.fold(other)
    }
}

/// Whether `name` matches `pattern`.
///
/// Time is bounded by the product of the two lengths, whatever the pattern: only the last `*` is ever
/// tried again.
pub fn matches(pattern: &[u8], name: &[u8], case: Case) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, n));
        } else if let Some(width) = one(&pattern[p..], name[n], case) {
            p += width;
            n += 1;
        } else if let Some((after, from)) = star {
            star = Some((after, from + 1));
            (p, n) = (after, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// The bytes that each matching name begins with, without the escapes.
pub fn literal_prefix(pattern: &[u8]) -> Vec<u8> {
    let mut prefix = Vec::new();
    let mut rest = pattern;
    loop {
        rest = match *rest {
            [] | [b'*' | b'?' | b'[', ..] => return prefix,
            [b'\\', literal, ref rest @ ..] | [literal, ref rest @ ..] => {
                prefix.push(literal);
                rest
            }
        }
    }
}

/// Bytes that each matching name ends with; none if the pattern has classes or escapes.
pub(super) fn literal_suffix(pattern: &[u8]) -> &[u8] {
    let is_hard = |byte: &u8| matches!(byte, b'[' | b'\\');
    if pattern.iter().any(is_hard) {
        return &[];
    }
    let is_wild = |byte: &u8| matches!(byte, b'*' | b'?');
    let start = pattern.iter().rposition(is_wild).map_or(0, |at| at + 1);
    &pattern[start..]
}

/// Whether only one name matches: the literal prefix.
pub fn is_literal(pattern: &[u8]) -> bool {
    let mut escaped = false;
    !pattern.iter().any(|&byte| {
        let special = !escaped && matches!(byte, b'*' | b'?' | b'[');
        escaped = !escaped && byte == b'\\';
        special
    })
}

/// How many bytes of `pattern` match the one byte, if its head does.
fn one(pattern: &[u8], byte: u8, case: Case) -> Option<usize> {
    match *pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', ..] => class(pattern, byte, case),
        [b'\\', literal, ..] => case.same(literal, byte).then_some(2),
        [literal, ..] => case.same(literal, byte).then_some(1),
    }
}

/// A class: an open one ends with the pattern, as in Redis.
fn class(pattern: &[u8], byte: u8, case: Case) -> Option<usize> {
    let byte = case.fold(byte);
    let negated = pattern.get(1) == Some(&b'^');
    let mut at = 1 + usize::from(negated);
    let mut found = false;
    loop {
        match pattern[at..] {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', literal, ..] => {
                found |= case.same(literal, byte);
                at += 2;
            }
            [low, b'-', high, ..] => {
                let (low, high) = (case.fold(low), case.fold(high));
                found |= (low.min(high)..=low.max(high)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= case.same(literal, byte);
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::{Case, is_literal, literal_prefix, matches};
    use proptest::prelude::*;

    fn check(pattern: &str, name: &str) -> bool {
        matches(pattern.as_bytes(), name.as_bytes(), Case::Ignored)
    }

    #[test]
    fn stars_and_marks_match_as_in_redis() {
        assert!(check("*", "port") && check("*", "") && check("p*", "port"));
        assert!(check("*max*", "slowlog-max-len") && check("**t", "port"));
        assert!(check("PORT", "port") && check("po?t", "port"));
        assert!(!check("port?", "port") && !check("", "port") && !check("por", "port"));
    }

    #[test]
    fn classes_and_escapes_match_as_in_redis() {
        assert!(check("p[a-p]rt", "port") && check("p[z-a]rt", "port") && check("p[xo]rt", "port"));
        assert!(!check("p[^o]rt", "port") && check("p[^a-c]rt", "port"));
        assert!(check("p\\ort", "port") && check("\\*", "*") && !check("\\*", "a"));
        assert!(
            check("[", "a") == check("[]", "a"),
            "an open class is an empty one"
        );
        assert!(check("por[t", "port"));
    }

    #[test]
    fn many_stars_take_no_time() {
        let (pattern, name) = (b"*b".repeat(500), b"a".repeat(400));
        assert!(!matches(&pattern, &name, Case::Exact));
    }

    #[test]
    fn case_matters_where_it_is_asked_for() {
        for (pattern, name) in [("PORT", "port"), ("[A-Z]", "p"), ("\\P", "p")] {
            assert!(check(pattern, name));
            assert!(!matches(pattern.as_bytes(), name.as_bytes(), Case::Exact));
        }
    }

    #[test]
    fn a_pattern_begins_with_its_literal_prefix() {
        for (pattern, prefix, literal) in [
            ("orders.*", "orders.", false),
            ("a\\*b?c", "a*b", false),
            ("\\[x]", "[x]", true),
            ("[ab]c", "", false),
            ("plain", "plain", true),
            ("end\\", "end\\", true),
            ("\\\\*", "\\", false),
        ] {
            assert_eq!(literal_prefix(pattern.as_bytes()), prefix.as_bytes());
            assert_eq!(is_literal(pattern.as_bytes()), literal, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn any_pattern_is_answered(pattern: Vec<u8>, name: Vec<u8>) {
            let _ = matches(&pattern, &name, Case::Exact);
        }

        #[test]
        fn an_escaped_name_matches_itself(name: Vec<u8>) {
            let pattern: Vec<u8> = name.iter().flat_map(|byte| [b'\\', *byte]).collect();
            prop_assert!(matches(&pattern, &name, Case::Exact));
            prop_assert!(is_literal(&pattern));
            prop_assert_eq!(literal_prefix(&pattern), name);
        }

        #[test]
        fn names_that_match_begin_with_the_literal_prefix(
            pattern in "[ab*?\\\\\\[\\]]{0,6}",
            name in "[ab*]{0,6}",
        ) {
            let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
            if matches(pattern, name, Case::Exact) {
                prop_assert!(name.starts_with(&literal_prefix(pattern)));
                prop_assert!(!is_literal(pattern) || name == literal_prefix(pattern));
            }
        }
    }
}
