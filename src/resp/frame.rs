//! One reply as a value, for programs that read replies: the CLI, benches and tests.

use super::encode::{self, count_line, line};

/// A reply of any shape that RESP2 or RESP3 has.
///
/// The three ways to say nil are kept apart, because clients of Disque can tell them apart.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// `+`: a short text, without line endings.
    Simple(Vec<u8>),
    /// `-`: a refusal; its first word is a code.
    Error(Vec<u8>),
    /// `:`: an integer.
    Integer(i64),
    /// `$`: any bytes.
    Bulk(Vec<u8>),
    /// `$-1`: no such value, RESP2.
    NilBulk,
    /// `*-1`: no such list, RESP2.
    NilArray,
    /// `_`: nil, RESP3.
    Null,
    /// `*`: a list.
    Array(Vec<Frame>),
    /// `%`: keys, each with its value, RESP3.
    Map(Vec<(Frame, Frame)>),
    /// `~`: a list without order, RESP3.
    Set(Vec<Frame>),
    /// `>`: sent without being asked for, RESP3.
    Push(Vec<Frame>),
    /// `,`: a floating-point number, RESP3.
    Double(f64),
    /// `#`: true or false, RESP3.
    Boolean(bool),
    /// `(`: the digits of an integer of any size, RESP3.
    BigNumber(Vec<u8>),
    /// `!`: a refusal that may have many lines, RESP3.
    BlobError(Vec<u8>),
    /// `=`: text with a format of three letters such as `txt`, RESP3.
    Verbatim([u8; 3], Vec<u8>),
}

impl Frame {
    /// The bytes of a text of any kind, errors aside.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Frame::Simple(bytes)
            | Frame::Bulk(bytes)
            | Frame::BigNumber(bytes)
            | Frame::Verbatim(_, bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The same, when it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The integer.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Frame::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// The elements of a list of any kind.
    pub fn as_array(&self) -> Option<&[Frame]> {
        match self {
            Frame::Array(items) | Frame::Set(items) | Frame::Push(items) => Some(items),
            _ => None,
        }
    }

    /// The text of a refusal, code word included.
    pub fn as_error(&self) -> Option<&[u8]> {
        match self {
            Frame::Error(text) | Frame::BlobError(text) => Some(text),
            _ => None,
        }
    }

    /// Whether this is any of the nils.
    pub fn is_nil(&self) -> bool {
        matches!(self, Frame::NilBulk | Frame::NilArray | Frame::Null)
    }

    /// Appends the frame as a server would send it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Frame::Simple(text) => encode::simple(out, text),
            Frame::Error(text) => encode::error(out, text),
            Frame::Integer(value) => encode::integer(out, *value),
            Frame::Bulk(bytes) => encode::bulk(out, bytes),
            Frame::NilBulk => out.extend_from_slice(encode::NIL_BULK),
            Frame::NilArray => out.extend_from_slice(encode::NIL_ARRAY),
            Frame::Null => out.extend_from_slice(encode::NULL),
            Frame::Array(items) => encode_list(out, b'*', items),
            Frame::Set(items) => encode_list(out, b'~', items),
            Frame::Push(items) => encode_list(out, b'>', items),
            Frame::Map(pairs) => {
                count_line(out, b'%', pairs.len());
                for (key, value) in pairs {
                    key.encode(out);
                    value.encode(out);
                }
            }
            Frame::Double(value) if value.is_nan() => line(out, b',', b"nan"),
            Frame::Double(value) => line(out, b',', value.to_string().as_bytes()),
            Frame::Boolean(value) => line(out, b'#', if *value { b"t" } else { b"f" }),
            Frame::BigNumber(digits) => line(out, b'(', digits),
            Frame::BlobError(text) => encode_blob(out, b'!', b"", text),
            Frame::Verbatim(format, text) => {
                let [a, b, c] = *format;
                encode_blob(out, b'=', &[a, b, c, b':'], text);
            }
        }
    }
}

fn encode_list(out: &mut Vec<u8>, mark: u8, items: &[Frame]) {
    count_line(out, mark, items.len());
    for item in items {
        item.encode(out);
    }
}

fn encode_blob(out: &mut Vec<u8>, mark: u8, prefix: &[u8], bytes: &[u8]) {
    count_line(out, mark, prefix.len() + bytes.len());
    out.extend_from_slice(prefix);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}
