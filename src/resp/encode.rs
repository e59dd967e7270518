//! Replies and commands to bytes, appended to a buffer that the caller reuses.

use super::{Protocol, ProtocolError};

/// `+OK`.
pub const OK: &[u8] = b"+OK\r\n";
/// `+PONG`.
pub const PONG: &[u8] = b"+PONG\r\n";
/// `:0`.
pub const ZERO: &[u8] = b":0\r\n";
/// `:1`.
pub const ONE: &[u8] = b":1\r\n";
/// An array of no elements.
pub const EMPTY_ARRAY: &[u8] = b"*0\r\n";
/// A bulk of no bytes.
pub const EMPTY_BULK: &[u8] = b"$0\r\n\r\n";
/// RESP2: no such value.
pub const NIL_BULK: &[u8] = b"$-1\r\n";
/// RESP2: no such list.
pub const NIL_ARRAY: &[u8] = b"*-1\r\n";
/// RESP3: the one nil for both.
pub const NULL: &[u8] = b"_\r\n";

/// Appends a simple string. CR and LF, which would end it early, become spaces.
pub fn simple(out: &mut Vec<u8>, text: &[u8]) {
    line(out, b'+', text);
}

/// Appends an error: its code word, then its text. CR and LF become spaces.
pub fn error(out: &mut Vec<u8>, text: &[u8]) {
    line(out, b'-', text);
}

/// Appends the error that a connection answers before it closes.
pub fn protocol_error(out: &mut Vec<u8>, error: ProtocolError) {
    line(out, b'-', format!("ERR Protocol error: {error}").as_bytes());
}

/// Appends an integer.
pub fn integer(out: &mut Vec<u8>, value: i64) {
    number_line(out, b':', value);
}

/// Appends a bulk: any bytes.
#[inline]
pub fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 24);
    count_line(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends an integer in the shape of a bulk, as HELLO's ports and the scans' cursors are.
pub fn bulk_integer(out: &mut Vec<u8>, value: u64) {
    bulk(out, itoa::Buffer::new().format(value).as_bytes());
}

/// Opens an array: `length` elements must follow.
pub fn array(out: &mut Vec<u8>, length: usize) {
    count_line(out, b'*', length);
}

/// Opens a map: `pairs` keys, each with its value, must follow. RESP2 has a flat array for it.
pub fn map(out: &mut Vec<u8>, protocol: Protocol, pairs: usize) {
    match protocol {
        Protocol::Resp2 => count_line(out, b'*', pairs * 2),
        Protocol::Resp3 => count_line(out, b'%', pairs),
    }
}

/// Opens a set: `length` elements must follow. RESP2 has an array for it.
pub fn set(out: &mut Vec<u8>, protocol: Protocol, length: usize) {
    match protocol {
        Protocol::Resp2 => count_line(out, b'*', length),
        Protocol::Resp3 => count_line(out, b'~', length),
    }
}

/// Opens a message that answers nothing, or a confirmation of a subscription: `length` elements must follow. RESP2 has an
/// array for it.
pub fn push(out: &mut Vec<u8>, protocol: Protocol, length: usize) {
    match protocol {
        Protocol::Resp2 => count_line(out, b'*', length),
        Protocol::Resp3 => count_line(out, b'>', length),
    }
}

/// Appends the nil of a bulk.
pub fn nil_bulk(out: &mut Vec<u8>, protocol: Protocol) {
    out.extend_from_slice(match protocol {
        Protocol::Resp2 => NIL_BULK,
        Protocol::Resp3 => NULL,
    });
}

/// Appends the nil of an array.
pub fn nil_array(out: &mut Vec<u8>, protocol: Protocol) {
    out.extend_from_slice(match protocol {
        Protocol::Resp2 => NIL_ARRAY,
        Protocol::Resp3 => NULL,
    });
}

/// Appends a command: its name and arguments as an array of bulks.
pub fn command<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[A]) {
    array(out, args.len());
    for arg in args {
        bulk(out, arg.as_ref());
    }
}

/// Appends `mark`, a count and the line ending.
#[inline]
pub(super) fn count_line(out: &mut Vec<u8>, mark: u8, count: usize) {
    number_line(out, mark, count);
}

/// Appends `mark`, `text` with its CR and LF as spaces, and the line ending.
pub(super) fn line(out: &mut Vec<u8>, mark: u8, text: &[u8]) {
    out.reserve(text.len() + 3);
    out.push(mark);
    let from = out.len();
    out.extend_from_slice(text);
    if memchr::memchr2(b'\r', b'\n', text).is_some() {
        for byte in out.iter_mut().skip(from) {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn number_line<N>(out: &mut Vec<u8>, mark: u8, value: N)
where
    N: itoa::Integer + Copy,
    u8: TryFrom<N>,
{
    // Most have one digit, and most others two or three: one write instead of three.
    if let Ok(small) = u8::try_from(value) {
        if small < 10 {
            out.extend_from_slice(&[mark, b'0' + small, b'\r', b'\n']);
        } else if small < 100 {
            let [tens, ones] = [small / 10, small % 10].map(|digit| b'0' + digit);
            out.extend_from_slice(&[mark, tens, ones, b'\r', b'\n']);
        } else {
            let digits = [small / 100, small / 10 % 10, small % 10];
            let [hundreds, tens, ones] = digits.map(|digit| b'0' + digit);
            out.extend_from_slice(&[mark, hundreds, tens, ones, b'\r', b'\n']);
        }
        return;
    }
    out.push(mark);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("the tests write ASCII")
    }

    #[test]
    fn scalars_are_written_as_redis_writes_them() {
        assert_eq!(written(|out| simple(out, b"PONG")), "+PONG\r\n");
        assert_eq!(written(|out| error(out, b"ERR no")), "-ERR no\r\n");
        assert_eq!(
            written(|out| integer(out, i64::MIN)),
            ":-9223372036854775808\r\n"
        );
        assert_eq!(written(|out| bulk(out, b"a\r\nb")), "$4\r\na\r\nb\r\n");
        assert_eq!(written(|out| bulk(out, b"")), "$0\r\n\r\n");
        assert_eq!(written(|out| bulk_integer(out, 7711)), "$4\r\n7711\r\n");
    }

    #[test]
    fn line_endings_inside_a_line_become_spaces() {
        assert_eq!(
            written(|out| error(out, b"ERR 'a\r\nb'")),
            "-ERR 'a  b'\r\n"
        );
        assert_eq!(written(|out| simple(out, b"\n")), "+ \r\n");
    }

    #[test]
    fn nils_maps_and_sets_follow_the_protocol() {
        assert_eq!(written(|out| nil_bulk(out, Protocol::Resp2)), "$-1\r\n");
        assert_eq!(written(|out| nil_array(out, Protocol::Resp2)), "*-1\r\n");
        assert_eq!(written(|out| nil_bulk(out, Protocol::Resp3)), "_\r\n");
        assert_eq!(written(|out| nil_array(out, Protocol::Resp3)), "_\r\n");
        assert_eq!(written(|out| map(out, Protocol::Resp2, 7)), "*14\r\n");
        assert_eq!(written(|out| map(out, Protocol::Resp3, 7)), "%7\r\n");
        assert_eq!(written(|out| set(out, Protocol::Resp2, 2)), "*2\r\n");
        assert_eq!(written(|out| set(out, Protocol::Resp3, 2)), "~2\r\n");
    }

    #[test]
    fn a_command_is_an_array_of_bulks() {
        let ping = written(|out| command(out, &["PING", ""]));
        assert_eq!(ping, "*2\r\n$4\r\nPING\r\n$0\r\n\r\n");
    }

    #[test]
    fn a_protocol_error_says_what_was_found() {
        let text = |error| written(|out| protocol_error(out, error));
        let got_p = text(ProtocolError::ExpectedBulk(b'P'));
        assert_eq!(got_p, "-ERR Protocol error: expected '$', got 'P'\r\n");
        let got_cr = text(ProtocolError::ExpectedBulk(b'\r'));
        assert_eq!(got_cr, "-ERR Protocol error: expected '$', got ' '\r\n");
    }
}
