//! Numbers with a unit: sizes in bytes, spans of time.

use std::time::Duration;

/// Which value switches something off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Off {
    /// None does.
    Never,
    /// `0`.
    Zero,
    /// `0` or `no`, shown as `no`.
    No,
    /// Any negative number, shown as `-1`.
    Negative,
}

/// What a bare number of a span of time counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A word of digits only: no sign, no blank.
pub(super) fn digits(word: &str) -> Option<u64> {
    word.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| word.parse().ok())
        .flatten()
}

/// A number of bytes with an optional unit.
pub(super) fn size(word: &str) -> Option<u64> {
    let (number, unit) = split_unit(word);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => KIB,
        "m" => 1_000_000,
        "mb" => MIB,
        "g" => 1_000_000_000,
        "gb" => GIB,
        _ => return None,
    };
    digits(number)?.checked_mul(factor)
}

/// A number of bytes in the largest unit that divides it, for people to read.
pub(super) fn shown_size(bytes: u64) -> String {
    [(GIB, "gb"), (MIB, "mb"), (KIB, "kb")]
        .into_iter()
        .find(|(factor, _)| bytes > 0 && bytes.is_multiple_of(*factor))
        .map_or_else(
            || bytes.to_string(),
            |(factor, unit)| format!("{}{unit}", bytes / factor),
        )
}

fn split_unit(word: &str) -> (&str, &str) {
    word.split_at(
        word.find(|character: char| !character.is_ascii_digit())
            .unwrap_or(word.len()),
    )
}

impl Unit {
    fn micros(self) -> u64 {
        match self {
            Self::Seconds => 1_000_000,
            Self::Milliseconds => 1_000,
            Self::Microseconds => 1,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
        }
    }

    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
        }
    }

    /// How many of this unit the word stands for.
    pub(super) fn count(self, word: &str) -> Option<u64> {
        let (number, suffix) = split_unit(word);
        let micros = match suffix.to_ascii_lowercase().as_str() {
            "" => self.micros(),
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            _ => return None,
        };
        let total = digits(number)?.checked_mul(micros)?;
        total
            .is_multiple_of(self.micros())
            .then(|| total / self.micros())
    }

    pub(super) fn duration(self, count: u64) -> Option<Duration> {
        count.checked_mul(self.micros()).map(Duration::from_micros)
    }

    pub(super) fn units(self, duration: Duration) -> u64 {
        duration.as_micros() as u64 / self.micros()
    }
}

impl Off {
    pub(super) fn is(self, word: &str) -> bool {
        match self {
            Self::Never => false,
            Self::Zero => digits(word) == Some(0),
            Self::No => digits(word) == Some(0) || word.eq_ignore_ascii_case("no"),
            Self::Negative => word
                .strip_prefix('-')
                .and_then(digits)
                .is_some_and(|n| n > 0),
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Never | Self::Zero => "0",
            Self::No => "no",
            Self::Negative => "-1",
        }
    }
}
