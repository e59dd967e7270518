//! Replies as text: for people, for programs, and as JSON.

use std::fmt::Write;

use serde_json::Value;

use super::{explained, table};
use shoalmq_resp::Frame;

/// Who the text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// People: numbered, quoted, safe for a terminal.
    Human,
    /// Programs: the bytes alone, one element a line.
    Raw,
    /// Programs: one JSON value.
    Json,
}

/// What is known of a reply from the command that asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing.
    Plain,
    /// A flat list of names, each followed by its value.
    Pairs,
    /// An array of such a list and the ids of the nodes that are missing in it.
    GlobalPairs,
    /// An array of an array of such lists, and the ids of the missing nodes: QLIST.
    Queues,
    /// A list of pairs, of which one is an array of such lists: EXPLAIN.
    Explained,
    /// An array of lists of pairs.
    Rows,
    /// A text of many lines, made to be read as it is.
    Text,
}

impl Shape {
    /// The shape of the reply to a command.
    pub(super) fn of(words: &[Vec<u8>]) -> Shape {
        let word = |index: usize| {
            let word = words.get(index).map(Vec::as_slice).unwrap_or_default();
            String::from_utf8_lossy(word).to_ascii_uppercase()
        };
        // The queue may have any name: GLOBAL counts from the word after it on.
        let global = (2..words.len()).any(|index| word(index) == "GLOBAL");
        match (word(0).as_str(), word(1).as_str()) {
            ("QSTAT", _) if global => Shape::GlobalPairs,
            ("QLIST", _) => Shape::Queues,
            ("EXPLAIN", _) => Shape::Explained,
            ("SHOW" | "QSTAT", _) | ("CONFIG", "GET") => Shape::Pairs,
            ("INFO", _)
            | ("CLUSTER", "NODES" | "INFO")
            | ("CLIENT", "LIST")
            | ("LATENCY", "DOCTOR" | "GRAPH") => Shape::Text,
            _ => Shape::Plain,
        }
    }
}

/// The reply in a format, without a newline at its end.
pub(super) fn render(reply: &Frame, shape: Shape, format: Format) -> Vec<u8> {
    match format {
        Format::Human => human(reply, shape).into_bytes(),
        Format::Raw => {
            let mut out = Vec::new();
            raw(reply, &mut out);
            out
        }
        Format::Json => json(reply, shape).to_string().into_bytes(),
    }
}

/// The reply for people, without a newline at its end.
pub(super) fn human(reply: &Frame, shape: Shape) -> String {
    if shape == Shape::Queues
        && let Some(table) = table::of_queues(reply)
    {
        return table;
    }
    if shape == Shape::Explained
        && let Some(text) = explained::of_job(reply)
    {
        return text;
    }
    let mut out = String::new();
    match (shape, reply) {
        (Shape::Text, Frame::Bulk(text) | Frame::Verbatim(_, text)) => {
            escape(&mut out, text.trim_ascii_end(), Escape::KeepLines);
        }
        (Shape::Pairs, Frame::Array(items)) if let Some(pairs) = pairs(items) => {
            write_pairs(&mut out, &pairs, 0);
        }
        (Shape::GlobalPairs, Frame::Array(items))
            if let [Frame::Array(figures), missing] = &items[..]
                && let Some(mut pairs) = pairs(figures) =>
        {
            pairs.push(("(missing nodes)", missing));
            write_pairs(&mut out, &pairs, 0);
        }
        _ => write_human(&mut out, reply, 0),
    }
    out
}

/// Appends the reply; lines after the first are indented by `indent` columns.
fn write_human(out: &mut String, reply: &Frame, indent: usize) {
    match reply {
        Frame::Simple(text) | Frame::BigNumber(text) | Frame::Verbatim(_, text) => {
            escape(out, text, Escape::Controls);
        }
        Frame::Error(text) | Frame::BlobError(text) => {
            out.push_str("(error) ");
            escape(out, text, Escape::Controls);
        }
        Frame::Bulk(bytes) => quote(out, bytes),
        Frame::Integer(value) => put(out, format_args!("(integer) {value}")),
        Frame::Double(value) => put(out, format_args!("(double) {value}")),
        Frame::Boolean(value) => put(out, format_args!("({value})")),
        Frame::NilBulk | Frame::NilArray | Frame::Null => out.push_str("(nil)"),
        Frame::Array(items) | Frame::Push(items) => write_list(out, items, ')', indent),
        Frame::Set(items) => write_list(out, items, '~', indent),
        Frame::Map(pairs) if pairs.is_empty() => out.push_str("(empty map)"),
        Frame::Map(pairs) => {
            let digits = pairs.len().to_string().len();
            for (index, (key, value)) in pairs.iter().enumerate() {
                start_line(out, index, indent);
                let from = out.len();
                put(out, format_args!("{:>digits$}# ", index + 1));
                write_human(out, key, indent + digits + 2);
                out.push_str(" => ");
                let width = out.chars().count() - out.get(..from).map_or(0, |s| s.chars().count());
                write_human(out, value, indent + width);
            }
        }
    }
}

fn write_list(out: &mut String, items: &[Frame], mark: char, indent: usize) {
    if items.is_empty() {
        out.push_str("(empty array)");
    }
    let digits = items.len().to_string().len();
    for (index, item) in items.iter().enumerate() {
        start_line(out, index, indent);
        put(out, format_args!("{:>digits$}{mark} ", index + 1));
        write_human(out, item, indent + digits + 2);
    }
}

fn write_pairs(out: &mut String, pairs: &[(&str, &Frame)], indent: usize) {
    if pairs.is_empty() {
        out.push_str("(empty array)");
    }
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (index, (name, value)) in pairs.iter().enumerate() {
        start_line(out, index, indent);
        put(out, format_args!("{name:<width$}  "));
        write_human(out, value, indent + width + 2);
    }
}

/// The names and values of a flat list, if it is one.
pub(super) fn pairs(items: &[Frame]) -> Option<Vec<(&str, &Frame)>> {
    if !items.len().is_multiple_of(2) {
        return None;
    }
    let readable = |name: &&str| name.bytes().all(|byte| byte.is_ascii_graphic());
    items
        .chunks_exact(2)
        .map(|chunk| match chunk {
            [name, value] => Some((name.as_str().filter(readable)?, value)),
            _ => None,
        })
        .collect()
}

fn start_line(out: &mut String, index: usize, indent: usize) {
    if index > 0 {
        put(out, format_args!("\n{:indent$}", ""));
    }
}

/// Bytes as text that cannot steer a terminal and has one line.
pub(super) fn plain(bytes: &[u8]) -> String {
    let mut out = String::new();
    escape(&mut out, bytes, Escape::Controls);
    out
}

/// What of a text is shown otherwise than it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// Whatever could steer a terminal.
    Controls,
    /// The same, but line endings and tabs stay.
    KeepLines,
    /// The same as `Controls`, and what would end or bend a quoted word.
    Quoted,
}

fn quote(out: &mut String, bytes: &[u8]) {
    out.push('"');
    escape(out, bytes, Escape::Quoted);
    out.push('"');
}

fn escape(out: &mut String, bytes: &[u8], how: Escape) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' | '\t' if how == Escape::KeepLines => out.push(character),
                '\r' if how == Escape::KeepLines => {}
                '"' | '\\' if how == Escape::Quoted => put(out, format_args!("\\{character}")),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{7}' => out.push_str("\\a"),
                '\u{8}' => out.push_str("\\b"),
                // As bytes, so that the text can be typed back in.
                _ if character.is_control() => {
                    let mut encoded = [0; 4];
                    for byte in character.encode_utf8(&mut encoded).bytes() {
                        put(out, format_args!("\\x{byte:02x}"));
                    }
                }
                _ => out.push(character),
            }
        }
        for byte in chunk.invalid() {
            put(out, format_args!("\\x{byte:02x}"));
        }
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("writing to a String cannot fail");
}

/// Appends the bytes of the reply alone, nested lists flattened, a line for each element.
fn raw(reply: &Frame, out: &mut Vec<u8>) {
    match reply {
        Frame::Simple(bytes)
        | Frame::Error(bytes)
        | Frame::Bulk(bytes)
        | Frame::BigNumber(bytes)
        | Frame::BlobError(bytes)
        | Frame::Verbatim(_, bytes) => out.extend_from_slice(bytes),
        Frame::Integer(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Frame::Double(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Frame::Boolean(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Frame::NilBulk | Frame::NilArray | Frame::Null => {}
        Frame::Array(items) | Frame::Set(items) | Frame::Push(items) => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b'\n');
                }
                raw(item, out);
            }
        }
        Frame::Map(pairs) => {
            for (index, (key, value)) in pairs.iter().enumerate() {
                if index > 0 {
                    out.push(b'\n');
                }
                raw(key, out);
                out.push(b'\n');
                raw(value, out);
            }
        }
    }
}

/// The reply as JSON. Bytes that are no UTF-8 become replacement characters; names and values become
/// an object.
fn json(reply: &Frame, shape: Shape) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let plain = |item: &Frame| json(item, Shape::Plain);
    match reply {
        Frame::Simple(bytes)
        | Frame::Error(bytes)
        | Frame::Bulk(bytes)
        | Frame::BigNumber(bytes)
        | Frame::BlobError(bytes)
        | Frame::Verbatim(_, bytes) => Value::String(text(bytes)),
        Frame::Integer(value) => Value::from(*value),
        Frame::Double(value) => Value::from(*value),
        Frame::Boolean(value) => Value::Bool(*value),
        Frame::NilBulk | Frame::NilArray | Frame::Null => Value::Null,
        Frame::Array(items)
            if shape == Shape::Pairs
                && let Some(pairs) = pairs(items) =>
        {
            pairs
                .into_iter()
                .map(|(name, value)| (name.to_owned(), plain(value)))
                .collect()
        }
        Frame::Array(items)
            if shape == Shape::Explained
                && let Some(pairs) = pairs(items) =>
        {
            let shape_of = |name: &str| match name {
                "copies" => Shape::Rows,
                "held-by" => Shape::Pairs,
                _ => Shape::Plain,
            };
            pairs
                .into_iter()
                .map(|(name, value)| (name.to_owned(), json(value, shape_of(name))))
                .collect()
        }
        Frame::Array(items) if shape == Shape::GlobalPairs => {
            items.iter().map(|item| json(item, Shape::Pairs)).collect()
        }
        Frame::Array(items) if shape == Shape::Queues => {
            items.iter().map(|item| json(item, Shape::Rows)).collect()
        }
        Frame::Array(items) if shape == Shape::Rows => {
            items.iter().map(|item| json(item, Shape::Pairs)).collect()
        }
        Frame::Array(items) | Frame::Set(items) | Frame::Push(items) => {
            items.iter().map(plain).collect()
        }
        Frame::Map(pairs) => pairs
            .iter()
            .map(|(key, value)| {
                let key = key.as_bytes().map_or_else(|| plain(key).to_string(), text);
                (key, plain(value))
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;
