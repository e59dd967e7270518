//! The integers on RESP's lines.

/// Reads up to nine digits and the CR and byte that end their line. `None` for everything unusual,
/// which the slow way then sorts out.
#[inline]
pub(super) fn short_number(buf: &[u8], at: usize) -> Option<(i64, usize)> {
    let line = buf.get(at..)?;
    let mut value = 0;
    for (count, &byte) in line.iter().enumerate().take(10) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let usual = byte == b'\r' && count > 0 && count + 1 < line.len();
            let padded = count > 1 && line.first() == Some(&b'0');
            return (usual && !padded).then_some((value, at + count + 2));
        }
        value = value * 10 + i64::from(digit);
    }
    None
}

/// Reads an integer as strictly as Redis does: no sign but `-`, no leading zero, no blank.
pub(super) fn strict_integer(digits: &[u8]) -> Option<i64> {
    let unsigned = digits.strip_prefix(b"-").unwrap_or(digits);
    let canonical = match unsigned {
        [b'0'] => unsigned.len() == digits.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_way_reads_what_the_strict_way_reads() {
        for text in ["0", "7", "10", "999999999"] {
            let line = format!("${text}\r\n");
            let value = strict_integer(text.as_bytes()).expect("an integer");
            assert_eq!(short_number(line.as_bytes(), 1), Some((value, line.len())));
        }
    }

    #[test]
    fn the_quick_way_leaves_all_else_to_the_strict_way() {
        for line in [
            "",
            "1",
            "1\r",
            "\r\n",
            "01\r\n",
            "-1\r\n",
            "1x\r\n",
            "1234567890\r\n",
        ] {
            assert_eq!(short_number(line.as_bytes(), 0), None, "{line:?}");
        }
        assert_eq!(short_number(b"1", 7), None);
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
