//! Words of a line typed by a person: quotes, escapes, blanks.
//!
//! The rules are those of Redis and Disque: `"` quotes with escapes, `'` quotes with `\'` only, and a
//! closing quote must end its word. The server reads inline commands with them, the CLI its prompt.

use thiserror::Error;

/// A quote was left open, or something follows a closing quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("unbalanced quotes in request")]
pub struct UnbalancedQuotes;

/// Walks the words of one line.
#[derive(Debug, Clone)]
pub struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    /// Starts at the front of `line`, which has no line ending.
    pub fn new(line: &'a [u8]) -> Self {
        Words { rest: line }
    }

    /// Appends the next word, unquoted, to `out`. `false` when the line has no more.
    ///
    /// A word may be empty (`""`): then `true` is answered and nothing is appended.
    pub fn next_into(&mut self, out: &mut Vec<u8>) -> Result<bool, UnbalancedQuotes> {
        while self.rest.first().is_some_and(|byte| is_space(*byte)) {
            self.advance(1);
        }
        if self.rest.is_empty() {
            return Ok(false);
        }
        while let Some(&byte) = self.rest.first() {
            self.advance(1);
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' => break,
                b'"' => {
                    self.double_quoted(out)?;
                    break;
                }
                b'\'' => {
                    self.single_quoted(out)?;
                    break;
                }
                other => out.push(other),
            }
        }
        Ok(true)
    }

    fn double_quoted(&mut self, out: &mut Vec<u8>) -> Result<(), UnbalancedQuotes> {
        loop {
            match *self.rest {
                [b'\\', b'x', high, low, ..]
                    if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
                {
                    out.push(hex(high) << 4 | hex(low));
                    self.advance(4);
                }
                [b'\\', escaped, ..] => {
                    out.push(match escaped {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'b' => 0x08,
                        b'a' => 0x07,
                        other => other,
                    });
                    self.advance(2);
                }
                [b'"', ..] => return self.close_quote(),
                [other, ..] => {
                    out.push(other);
                    self.advance(1);
                }
                [] => return Err(UnbalancedQuotes),
            }
        }
    }

    fn single_quoted(&mut self, out: &mut Vec<u8>) -> Result<(), UnbalancedQuotes> {
        loop {
            match *self.rest {
                [b'\\', b'\'', ..] => {
                    out.push(b'\'');
                    self.advance(2);
                }
                [b'\'', ..] => return self.close_quote(),
                [other, ..] => {
                    out.push(other);
                    self.advance(1);
                }
                [] => return Err(UnbalancedQuotes),
            }
        }
    }

    fn close_quote(&mut self) -> Result<(), UnbalancedQuotes> {
        self.advance(1);
        match self.rest.first() {
            Some(byte) if !is_space(*byte) => Err(UnbalancedQuotes),
            _ => Ok(()),
        }
    }

    fn advance(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }
}

/// What C's `isspace` takes for a blank: vertical tab and form feed too.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// The value of a digit that `is_ascii_hexdigit` has let through.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<String>, UnbalancedQuotes> {
        let mut walk = Words::new(line.as_bytes());
        let mut found = Vec::new();
        loop {
            let mut word = Vec::new();
            if !walk.next_into(&mut word)? {
                return Ok(found);
            }
            found.push(word.iter().map(|byte| char::from(*byte)).collect());
        }
    }

    #[test]
    fn blanks_separate_words_and_are_dropped_at_both_ends() {
        assert_eq!(words("  a \t bc  "), Ok(vec!["a".into(), "bc".into()]));
        assert_eq!(words(""), Ok(vec![]));
        assert_eq!(words(" \x0b\x0c "), Ok(vec![]));
    }

    #[test]
    fn quotes_hold_a_word_together_even_in_its_middle() {
        assert_eq!(
            words(r#""hi there" 'a b'"#),
            Ok(vec!["hi there".into(), "a b".into()])
        );
        assert_eq!(words(r#"ab"c d""#), Ok(vec!["abc d".into()]));
        assert_eq!(words(r#""" ''"#), Ok(vec![String::new(), String::new()]));
    }

    #[test]
    fn escapes_count_inside_double_quotes_only() {
        assert_eq!(
            words(r#""\x41\n\r\t\b\a\"\\\q""#),
            Ok(vec!["A\n\r\t\x08\x07\"\\q".into()])
        );
        assert_eq!(words(r#""\xfF\xZZ""#), Ok(vec!["\u{ff}xZZ".into()]));
        assert_eq!(words(r"'\n\'' \n"), Ok(vec![r"\n'".into(), r"\n".into()]));
    }

    #[test]
    fn an_open_quote_or_text_after_a_closing_one_is_refused() {
        for line in [
            r#"""#,
            "'",
            r#""a\"#,
            r#""a"b"#,
            "'a'b",
            r#""a"'b'"#,
            r#"a "b"#,
        ] {
            assert_eq!(words(line), Err(UnbalancedQuotes), "{line}");
        }
    }
}
