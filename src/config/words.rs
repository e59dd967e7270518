//! A line to words and back, with Redis' quoting.
//!
//! Words are parted by blanks. In `"…"`, `\n \r \t \b \a \\ \" \xHH` are escapes; in `'…'` only `\'` is. A
//! closing quote ends its word.

use super::error::SyntaxError;
use std::fmt::Write as _;

/// Splits a line into its words. An empty or blank line has none.
pub(super) fn split(line: &[u8]) -> Result<Vec<String>, SyntaxError> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let (word, after) = word(rest)?;
        words.push(String::from_utf8(word).map_err(|_| SyntaxError::NotUtf8)?);
        rest = after.trim_ascii_start();
    }
    Ok(words)
}

/// The first word, and what follows it.
fn word(mut rest: &[u8]) -> Result<(Vec<u8>, &[u8]), SyntaxError> {
    let mut word = Vec::new();
    loop {
        match *rest {
            [] => return Ok((word, rest)),
            [byte, ..] if byte.is_ascii_whitespace() => return Ok((word, rest)),
            [quote @ (b'"' | b'\''), ..] => {
                let after = quoted(quote, &rest[1..], &mut word)?;
                return match after.first() {
                    Some(byte) if !byte.is_ascii_whitespace() => Err(SyntaxError::UnbalancedQuotes),
                    _ => Ok((word, after)),
                };
            }
            [byte, ..] => {
                word.push(byte);
                rest = &rest[1..];
            }
        }
    }
}

/// Appends what stands before the closing `quote`; returns what follows it.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], SyntaxError> {
    loop {
        let (byte, width) = match *rest {
            [] => return Err(SyntaxError::UnbalancedQuotes),
            [byte, ..] if byte == quote => return Ok(&rest[1..]),
            [b'\\', b'\'', ..] if quote == b'\'' => (b'\'', 2),
            [b'\\', b'x', high, low, ..] if quote == b'"' => match (hex(high), hex(low)) {
                (Some(high), Some(low)) => (high << 4 | low, 4),
                _ => (b'x', 2),
            },
            [b'\\', escaped, ..] if quote == b'"' => (unescaped(escaped), 2),
            [byte, ..] => (byte, 1),
        };
        word.push(byte);
        rest = &rest[width..];
    }
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|digit| digit as u8)
}

/// Joins words into a line that [`split`] takes apart again.
pub(super) fn join<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        quote(word, &mut line);
    }
    line
}

fn quote(word: &str, line: &mut String) {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    if !word.is_empty() && !word.starts_with('#') && word.bytes().all(plain) {
        line.push_str(word);
        return;
    }
    line.push('"');
    for character in word.chars() {
        match character {
            '"' | '\\' => line.extend(['\\', character]),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            control if control.is_ascii_control() => {
                write!(line, "\\x{:02x}", u32::from(control)).expect("writing to a String");
            }
            other => line.push(other),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Vec<String> {
        split(line.as_bytes()).expect("a valid line")
    }

    #[test]
    fn quotes_and_escapes_are_those_of_redis() {
        assert_eq!(words(" port\t7711 \r"), ["port", "7711"]);
        assert_eq!(words(r#"a "b c" 'd e' "" ''"#), ["a", "b c", "d e", "", ""]);
        assert_eq!(words(r#""\x41\n\"\\\q\xzz""#), ["A\n\"\\qxzz"]);
        assert_eq!(words(r"'it\'s \n'"), [r"it's \n"]);
        assert_eq!(words(r#"ab"c d""#), ["abc d"]);
        assert_eq!(words(""), [""; 0]);
    }

    #[test]
    fn an_open_quote_and_a_broken_text_are_refused() {
        for line in [r#"a "b"#, "a 'b", r#"a "b"c"#, r#""\"#] {
            assert_eq!(
                split(line.as_bytes()),
                Err(SyntaxError::UnbalancedQuotes),
                "{line}"
            );
        }
        assert_eq!(split(br#"a "\xff""#), Err(SyntaxError::NotUtf8));
    }

    proptest! {
        #[test]
        fn any_words_survive_a_line(given: Vec<String>) {
            let line = join(given.iter().map(String::as_str));
            prop_assert!(!line.contains(['\n', '\r']));
            prop_assert_eq!(words(&line), given);
        }

        #[test]
        fn any_bytes_are_split_or_refused(line: Vec<u8>) {
            let _ = split(&line);
        }
    }
}
