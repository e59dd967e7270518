//! The integers on RESP's lines.

/// Reads a line of `mark`, one to three digits, CR and any byte, which most lines are; answers the
/// number and where the line ends. `None` for everything else: the strict way then sorts it out.
#[inline]
pub(super) fn short_number(buf: &[u8], mark: u8, at: usize) -> Option<(u32, usize)> {
    let line = buf.get(at..)?;
    if *line.first()? != mark {
        return None;
    }
    match *line {
        [_, a @ b'0'..=b'9', b'\r', _, ..] => Some((digit(a), at + 4)),
        [_, a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _, ..] => {
            Some((digit(a) * 10 + digit(b), at + 5))
        }
        [
            _,
            a @ b'1'..=b'9',
            b @ b'0'..=b'9',
            c @ b'0'..=b'9',
            b'\r',
            _,
            ..,
        ] => Some((digit(a) * 100 + digit(b) * 10 + digit(c), at + 6)),
        _ => None,
    }
}

/// The value of a digit that a pattern has let through.
fn digit(byte: u8) -> u32 {
    u32::from(byte - b'0')
}

/// Reads an integer as strictly as Redis does: no sign but `-`, no leading zero, no blank; what does not fit 64 bits is
/// refused.
pub fn strict_integer(digits: &[u8]) -> Option<i64> {
    let (sign, unsigned) = match digits {
        [b'-', rest @ ..] => (-1, rest),
        _ => (1, digits),
    };
    match unsigned {
        [b'0'] => (sign == 1).then_some(0),
        [b'1'..=b'9', ..] => unsigned.iter().try_fold(0_i64, |value, digit| {
            let digit = digit
                .is_ascii_digit()
                .then(|| i64::from(digit - b'0') * sign)?;
            value.checked_mul(10)?.checked_add(digit)
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_way_reads_what_the_strict_way_reads() {
        for text in ["0", "7", "10", "99", "100", "999"] {
            let line = format!("${text}\r\n");
            let (value, end) = short_number(line.as_bytes(), b'$', 0).expect("a short number");
            assert_eq!(strict_integer(text.as_bytes()), Some(i64::from(value)));
            assert_eq!(end, line.len());
        }
    }

    #[test]
    fn the_quick_way_leaves_all_else_to_the_strict_way() {
        let lines = [
            "", "$", "$1", "$1\r", "$\r\n", "$01\r\n", "$012\r\n", "$-1\r\n", "$1x\r\n",
        ];
        for line in lines.into_iter().chain(["$1x3\r\n", "$1234\r\n", "*1\r\n"]) {
            assert_eq!(short_number(line.as_bytes(), b'$', 0), None, "{line:?}");
        }
        assert_eq!(short_number(b"$1\r\n", b'$', 7), None);
    }

    #[test]
    fn integers_are_canonical_and_fit() {
        assert_eq!(strict_integer(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(strict_integer(b"9223372036854775807"), Some(i64::MAX));
        for text in [
            "",
            "-",
            "+1",
            "-0",
            "00",
            "01",
            "-01",
            " 1",
            "1 ",
            "9223372036854775808",
        ] {
            assert_eq!(strict_integer(text.as_bytes()), None, "{text:?}");
        }
    }
}
