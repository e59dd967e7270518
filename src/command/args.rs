//! A cursor over the arguments of one command, and how numbers in them are read.

use std::slice;
use std::time::Duration;

use super::error::ParseError;
pub(super) use shoalmq_resp::strict_integer as integer;

/// The arguments that are still to be read, in order.
pub(super) struct Args<'s, 'a> {
    rest: slice::Iter<'s, &'a [u8]>,
    /// The one that was read last.
    last: &'a [u8],
}

impl<'s, 'a> Args<'s, 'a> {
    /// Starts before the first of `args`.
    pub(super) fn new(args: &'s [&'a [u8]]) -> Self {
        Args {
            rest: args.iter(),
            last: b"",
        }
    }

    /// The next argument.
    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        let next = self.rest.next().copied();
        self.last = next.unwrap_or(self.last);
        next
    }

    /// The next argument, which stays the next.
    pub(super) fn peek(&self) -> Option<&'a [u8]> {
        self.rest.as_slice().first().copied()
    }

    /// The argument that was read last; empty before the first.
    pub(super) fn last(&self) -> &'a [u8] {
        self.last
    }

    /// The value of the option just read; an option at the very end is a syntax error.
    pub(super) fn value(&mut self) -> Result<&'a [u8], ParseError<'a>> {
        self.next().ok_or(ParseError::NoValue(self.last))
    }

    /// The two values of the option just read.
    pub(super) fn pair(&mut self) -> Result<(&'a [u8], &'a [u8]), ParseError<'a>> {
        let option = self.last;
        let missing = ParseError::NoValue(option);
        Ok((self.next().ok_or(missing)?, self.next().ok_or(missing)?))
    }

    /// Whether nothing follows.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.len() == 0
    }

    /// All that follows; nothing is left after it.
    pub(super) fn rest(&mut self) -> &'s [&'a [u8]] {
        let rest = self.rest.as_slice();
        self.rest = [].iter();
        rest
    }
}

/// Whether `word` is this option or subcommand, in any case.
#[inline]
pub(super) fn is(word: &[u8], name: &str) -> bool {
    // Two letters that differ in bit 5 alone are one letter in two cases. With a constant name this is a step per byte.
    let is_same = |(one, other): (&u8, &u8)| {
        let case = u8::from(other.is_ascii_alphabetic()) << 5;
        one | case == other | case
    };
    word.len() == name.len() && word.iter().zip(name.as_bytes()).all(is_same)
}

/// Reads a whole number that must be above zero.
pub(super) fn positive(text: &[u8]) -> Option<u64> {
    integer(text)
        .and_then(|n| u64::try_from(n).ok())
        .filter(|&n| n > 0)
}

/// Reads whole seconds, not negative; more than we store (136 years) counts as the most that we store.
pub(super) fn seconds(text: &[u8]) -> Option<u32> {
    let seconds = u64::try_from(integer(text)?).ok()?;
    Some(u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// Reads any whole number, or says that it is none.
pub(super) fn any_integer(text: &[u8]) -> Result<i64, ParseError<'_>> {
    integer(text).ok_or(ParseError::NotInteger)
}

/// Reads a timeout in milliseconds; 0 is `None`, which is for ever.
pub(super) fn timeout(text: &[u8]) -> Result<Option<Duration>, ParseError<'_>> {
    let ms = integer(text).ok_or(ParseError::TimeoutNotInteger)?;
    let ms = u64::try_from(ms).map_err(|_| ParseError::TimeoutNegative)?;
    Ok((ms > 0).then(|| Duration::from_millis(ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_redis_reads_them() {
        for (text, number) in [
            ("0", 0),
            ("7", 7),
            ("-7", -7),
            ("10", 10),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(integer(text.as_bytes()), Some(number), "{text}");
        }
        for text in [
            "",
            "-",
            "--1",
            "+1",
            " 1",
            "1 ",
            "01",
            "-0",
            "-01",
            "00",
            "1.0",
            "1e3",
            "0x1",
            "x",
            "1x",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999999",
        ] {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
        assert_eq!(integer(b"1\xff"), None);
    }

    #[test]
    fn seconds_beyond_what_is_stored_are_the_most_that_is_stored() {
        assert_eq!(seconds(b"4294967296"), Some(u32::MAX));
        assert_eq!(seconds(b"-1"), None);
        assert_eq!(seconds(b"9223372036854775808"), None);
    }

    #[test]
    fn a_timeout_of_zero_is_for_ever() {
        assert_eq!(timeout(b"0"), Ok(None));
        assert_eq!(timeout(b"15"), Ok(Some(Duration::from_millis(15))));
        assert_eq!(timeout(b"-1"), Err(ParseError::TimeoutNegative));
        assert_eq!(timeout(b"1.5"), Err(ParseError::TimeoutNotInteger));
    }

    proptest::proptest! {
        #[test]
        fn every_integer_survives_its_text(number: i64) {
            proptest::prop_assert_eq!(integer(number.to_string().as_bytes()), Some(number));
        }

        #[test]
        fn what_is_read_is_written_the_same(text in "[-+ 0-9]{0,21}") {
            let back = integer(text.as_bytes()).map(|number| number.to_string());
            proptest::prop_assert_eq!(
                back,
                text.parse::<i64>().ok().map(|n| n.to_string()).filter(|canonical| *canonical == text)
            );
        }
    }
}
