//! Names of queues as text: they are any bytes, and labels are not.

use std::borrow::Cow;
use std::fmt::Write;

/// Stands for all queues without series of their own.
pub(super) const OTHER: &str = "__other__";

/// The name as it is, where it is text. Bytes that are none are written as `\xFF`; so is the backslash before an `x`, and
/// the first byte of a name that stands for something else: no two queues are named alike.
pub(crate) fn queue_label(name: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(name) {
        Ok(text) if text != OTHER && !text.contains("\\x") => return Cow::Borrowed(text),
        Ok(_) | Err(_) => {}
    }
    let mut label = String::with_capacity(name.len() + 3);
    let mut rest = name;
    if name == OTHER.as_bytes() {
        label.push_str("\\x5F");
        rest = &name[1..];
    }
    for chunk in rest.utf8_chunks() {
        label.push_str(&chunk.valid().replace("\\x", "\\x5Cx"));
        for byte in chunk.invalid() {
            write!(label, "\\x{byte:02X}").expect("a string takes all");
        }
    }
    Cow::Owned(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_label_of_its_own() {
        let names: [(&[u8], &str); 8] = [
            (b"mail", "mail"),
            ("größe".as_bytes(), "größe"),
            (b"back\\slash", "back\\slash"),
            (b"a\xff", "a\\xFF"),
            (b"a\xfe", "a\\xFE"),
            (b"a\\xFF", "a\\x5CxFF"),
            (b"__other__", "\\x5F_other__"),
            (b"\\x5F_other__", "\\x5Cx5F_other__"),
        ];
        for (name, label) in names {
            assert_eq!(queue_label(name), label);
        }
    }
}
