//! Words to typed values and back: what each kind of directive takes, said once, in words too.

use super::units::{Off, Unit, digits, shown_size, size};
use std::fmt;
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

/// The values that a directive takes. Its `Display` completes “must be …”.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Allowed {
    /// One of some names, in any case; the first of each list is the one shown.
    OneOf(&'static [&'static [&'static str]]),
    /// A whole number.
    Number {
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// A number of bytes, with an optional unit: `k`, `m`, `g` are powers of 1000, `kb`, `mb`, `gb` of 1024.
    Size {
        /// The least, in bytes.
        min: u64,
        /// The greatest, in bytes.
        max: u64,
        /// Whether 0 is taken too, and means no limit.
        off: Off,
    },
    /// A span of time: a whole number of units, or with a unit of its own, such as `90s`.
    Time {
        /// What a bare number counts.
        unit: Unit,
        /// The least, in units.
        min: u64,
        /// The greatest, in units.
        max: u64,
        /// What switches it off.
        off: Off,
    },
    /// The path of a file, or nothing.
    File,
    /// The path of a folder.
    Folder,
    /// A password, or nothing. It is never shown.
    Password,
    /// Text of `min` to `max` bytes, without control characters.
    Text {
        /// The least.
        min: usize,
        /// The most.
        max: usize,
    },
    /// A host name or an IP address, or nothing.
    Host,
    /// Nodes to join.
    Seeds,
    /// A port, `auto`, or 0 for none.
    HttpPort,
    /// Access rights in octal.
    Mode,
    /// Addresses to listen on.
    Addresses,
    /// The same, or nothing.
    MoreAddresses,
    /// A class of clients and its limits.
    BufferLimit,
}

/// A field's type: made from the words of a line, and shown as words again.
pub(super) trait Setting: Sized {
    /// The value, if these words are `allowed`.
    fn parse(words: &[String], allowed: &Allowed) -> Option<Self>;

    /// Words from which [`Setting::parse`] makes an equal value.
    fn words(&self, allowed: &Allowed) -> Vec<String>;
}

pub(super) const YES_OR_NO: Allowed = Allowed::OneOf(&[&["yes"], &["no"]]);

/// The one word of a line that has just one.
pub(super) fn single(words: &[String]) -> Option<&str> {
    match words {
        [word] => Some(word),
        _ => None,
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf(names) => {
                f.write_str("one of")?;
                for (i, names) in names.iter().enumerate() {
                    write!(f, "{} `{}`", if i == 0 { "" } else { "," }, names[0])?;
                }
                Ok(())
            }
            Self::Number { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Size { min, max, off } => {
                let (low, high) = (shown_size(*min), shown_size(*max));
                write!(
                    f,
                    "a size such as 100mb, from {low} to {high} bytes{}",
                    or_off(*off)
                )
            }
            Self::Time {
                unit,
                min,
                max,
                off,
            } => {
                let (name, suffix) = (unit.name(), unit.suffix());
                write!(
                    f,
                    "a number of {name} from {min} to {max}, or such as 10{suffix}{}",
                    or_off(*off)
                )
            }
            Self::File => f.write_str("the path of a file, or \"\" for none"),
            Self::Folder => f.write_str("the path of a folder"),
            Self::Password => f.write_str("a password of at most 512 bytes, or \"\" for none"),
            Self::Text { min, max } => write!(f, "text of {min} to {max} bytes"),
            Self::Host => f.write_str("a host name or an IP address, or \"\" for none"),
            Self::Seeds => f.write_str(
                "at most 64 of `host:port` with a port up to 55535, `host:port@bus`, or a host name, or \"\" for none",
            ),
            Self::HttpPort => f.write_str("`auto`, or a port up to 65535, or 0 for none"),
            Self::Mode => {
                f.write_str("access rights in octal up to 777, or 0 for the system's own")
            }
            Self::Addresses => {
                f.write_str("1 to 16 IP addresses or host names, or `*` for every address")
            }
            Self::MoreAddresses => write!(f, "{}, or \"\" for none", Self::Addresses),
            Self::BufferLimit => f.write_str(
                "`normal HARD SOFT SECONDS`: two sizes such as 256mb and a number, 0 for no limit",
            ),
        }
    }
}

fn or_off(off: Off) -> &'static str {
    match off {
        Off::Never => "",
        Off::Zero => ", or 0 to switch it off",
        Off::No => ", or `no` to switch it off",
        Off::Negative => ", or -1 to switch it off",
    }
}

impl Setting for bool {
    fn parse(words: &[String], _: &Allowed) -> Option<Self> {
        let word = single(words)?;
        let yes = word.eq_ignore_ascii_case("yes");
        (yes || word.eq_ignore_ascii_case("no")).then_some(yes)
    }

    fn words(&self, _: &Allowed) -> Vec<String> {
        vec![if *self { "yes" } else { "no" }.to_owned()]
    }
}

macro_rules! number_setting {
    ($($number:ty => $convert:expr;)+) => {$(
        impl Setting for $number {
            fn parse(words: &[String], allowed: &Allowed) -> Option<Self> {
                let (value, min, max) = match *allowed {
                    Allowed::Size { min, max, .. } => (size(single(words)?)?, min, max),
                    Allowed::Number { min, max } => (digits(single(words)?)?, min, max),
                    _ => unreachable!("the table gives numbers the bounds of a number or a size"),
                };
                let convert: fn(u64) -> Option<Self> = $convert;
                (min..=max).contains(&value).then(|| convert(value)).flatten()
            }

            fn words(&self, _: &Allowed) -> Vec<String> {
                vec![self.to_string()]
            }
        }
    )+};
}

number_setting! {
    u16 => |value| value.try_into().ok();
    u32 => |value| value.try_into().ok();
    u64 => Some;
    NonZeroU16 => |value| value.try_into().ok().and_then(NonZeroU16::new);
    NonZeroU32 => |value| value.try_into().ok().and_then(NonZeroU32::new);
}

/// A size that can be switched off.
impl Setting for Option<NonZeroU64> {
    fn parse(words: &[String], allowed: &Allowed) -> Option<Self> {
        let &Allowed::Size { off, .. } = allowed else {
            unreachable!("the table gives sizes the bounds of a size")
        };
        if off.is(single(words)?) {
            return Some(None);
        }
        u64::parse(words, allowed)
            .and_then(NonZeroU64::new)
            .map(Some)
    }

    fn words(&self, _: &Allowed) -> Vec<String> {
        vec![self.map_or(0, NonZeroU64::get).to_string()]
    }
}

/// A span of time that can be switched off.
impl Setting for Option<Duration> {
    fn parse(words: &[String], allowed: &Allowed) -> Option<Self> {
        let &Allowed::Time {
            unit,
            min,
            max,
            off,
        } = allowed
        else {
            unreachable!("the table gives spans of time the bounds of one")
        };
        let word = single(words)?;
        if off.is(word) {
            return Some(None);
        }
        let count = unit.count(word)?;
        (min..=max)
            .contains(&count)
            .then(|| unit.duration(count))
            .flatten()
            .map(Some)
    }

    fn words(&self, allowed: &Allowed) -> Vec<String> {
        let &Allowed::Time { unit, off, .. } = allowed else {
            unreachable!("the table gives spans of time the bounds of one")
        };
        let off = || off.word().to_owned();
        vec![self.map_or_else(off, |duration| unit.units(duration).to_string())]
    }
}

impl Setting for Duration {
    fn parse(words: &[String], allowed: &Allowed) -> Option<Self> {
        Option::<Self>::parse(words, allowed).flatten()
    }

    fn words(&self, allowed: &Allowed) -> Vec<String> {
        Some(*self).words(allowed)
    }
}

/// Text as it is given.
impl Setting for String {
    fn parse(words: &[String], allowed: &Allowed) -> Option<Self> {
        let &Allowed::Text { min, max } = allowed else {
            unreachable!("the table gives text the bounds of text")
        };
        let word = single(words).filter(|word| (min..=max).contains(&word.len()))?;
        (!word.chars().any(char::is_control)).then(|| word.to_owned())
    }

    fn words(&self, _: &Allowed) -> Vec<String> {
        vec![self.clone()]
    }
}

/// A folder: made absolute, so that it stays the same one wherever the process goes.
impl Setting for PathBuf {
    fn parse(words: &[String], _: &Allowed) -> Option<Self> {
        let word = single(words).filter(|word| !word.is_empty() && !word.contains('\0'))?;
        std::path::absolute(word).ok()
    }

    fn words(&self, _: &Allowed) -> Vec<String> {
        vec![self.to_string_lossy().into_owned()]
    }
}

/// A file that need not be.
impl Setting for Option<PathBuf> {
    fn parse(words: &[String], _: &Allowed) -> Option<Self> {
        match single(words)? {
            "" => Some(None),
            word if word.contains('\0') => None,
            word => Some(Some(word.into())),
        }
    }

    fn words(&self, _: &Allowed) -> Vec<String> {
        let path = self.as_deref().unwrap_or("".as_ref());
        vec![path.to_string_lossy().into_owned()]
    }
}
