//! The known name that a mistyped one was probably meant to be.

use strsim::osa_distance;

/// No name that is known here is longer, and comparing takes time in proportion to the length.
const LENGTH_MAX: usize = 40;
/// A word of up to this many characters is close to many others.
const SHORT: usize = 4;

/// The one of `known` that `word` probably stands for, in any case and with `_` for `-`.
///
/// A short word must be one slip away and begin with the same letter: somebody who sends `ACK` does not want `NACK`.
pub fn closest<'k>(word: &[u8], known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if word.is_empty() || word.len() > LENGTH_MAX {
        return None;
    }
    let word = std::str::from_utf8(word).ok()?;
    let word = word.to_ascii_lowercase().replace('_', "-");
    let limit = (word.len() / 3).clamp(1, 3);
    let could_be = |known: &&str| {
        let first = known.as_bytes().first().map(u8::to_ascii_lowercase);
        known.len().abs_diff(word.len()) <= limit
            && (word.len() > SHORT || first == word.bytes().next())
    };
    let candidates = known.into_iter().filter(could_be);
    candidates
        .map(|known| (osa_distance(&word, &known.to_ascii_lowercase()), known))
        .filter(|(slips, _)| *slips <= limit)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 8] = [
        "ACKJOB", "GETJOB", "NACK", "PING", "QSCAN", "RETRY", "SELECT", "TTL",
    ];

    #[test]
    fn a_slip_finds_what_was_meant() {
        for (word, meant) in [
            ("GETJBO", "GETJOB"),
            ("getjobs", "GETJOB"),
            ("RETRI", "RETRY"),
            ("NAK", "NACK"),
            ("PNIG", "PING"),
            ("TLT", "TTL"),
        ] {
            assert_eq!(closest(word.as_bytes(), KNOWN), Some(meant), "{word}");
        }
    }

    #[test]
    fn what_is_not_close_finds_nothing() {
        let long = "GETJOB".repeat(1 << 16);
        for word in ["", "ACK", "GET", "SCAN", "SET", "FOO", &long] {
            assert_eq!(closest(word.as_bytes(), KNOWN), None, "{word:.9}");
        }
        assert_eq!(closest(b"GETJ\xffB", KNOWN), None);
    }
}
