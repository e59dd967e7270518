//! Matching names against a glob, as Redis does: `*`, `?`, `[a-z]`, `[^a]`, `\` before a literal.

/// Whether `name` matches `pattern`, in any case.
///
/// Time is bounded by the product of the two lengths, whatever the pattern: only the last `*` is ever
/// tried again.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, n));
        } else if let Some(width) = one(&pattern[p..], name[n]) {
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

/// How many bytes of `pattern` match the one byte, if its head does.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', ..] => class(pattern, byte),
        [b'\\', literal, ..] => literal.eq_ignore_ascii_case(&byte).then_some(2),
        [literal, ..] => literal.eq_ignore_ascii_case(&byte).then_some(1),
    }
}

/// A class: an open one ends with the pattern, as in Redis.
fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let byte = byte.to_ascii_lowercase();
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
                found |= literal.eq_ignore_ascii_case(&byte);
                at += 2;
            }
            [low, b'-', high, ..] => {
                let (low, high) = (low.to_ascii_lowercase(), high.to_ascii_lowercase());
                found |= (low.min(high)..=low.max(high)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= literal.eq_ignore_ascii_case(&byte);
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::matches;
    use proptest::prelude::*;

    fn check(pattern: &str, name: &str) -> bool {
        matches(pattern.as_bytes(), name.as_bytes())
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
        assert!(!matches(&b"*a".repeat(500), &b"a".repeat(400)));
    }

    proptest! {
        #[test]
        fn any_pattern_is_answered(pattern: Vec<u8>, name: Vec<u8>) {
            let _ = matches(&pattern, &name);
        }

        #[test]
        fn an_escaped_name_matches_itself(name: Vec<u8>) {
            let pattern: Vec<u8> = name.iter().flat_map(|byte| [b'\\', *byte]).collect();
            prop_assert!(matches(&pattern, &name));
        }
    }
}
