use proptest::prelude::*;

use super::*;

/// Feeds `reads` one after the other, as a client does.
fn receive<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Frame>, ReplyError> {
    let mut decoder = ReplyDecoder::new();
    let mut buf = Vec::new();
    let mut frames = Vec::new();
    for read in reads {
        buf.extend_from_slice(read);
        let mut input = buf.as_slice();
        while let Some(frame) = decoder.decode(&mut input)? {
            frames.push(frame);
        }
        buf = input.to_vec();
    }
    Ok(frames)
}

fn one(input: &[u8]) -> Result<Frame, ReplyError> {
    receive([input]).map(|mut frames| {
        assert_eq!(frames.len(), 1);
        frames.remove(0)
    })
}

#[test]
fn every_kind_of_scalar_is_read() {
    let cases: [(&[u8], Frame); 15] = [
        (b"+OK\r\n", Frame::Simple(b"OK".to_vec())),
        (b"-ERR a\rb\r\n", Frame::Error(b"ERR a\rb".to_vec())),
        (b":-12\r\n", Frame::Integer(-12)),
        (b"$5\r\na\r\nbc\r\n", Frame::Bulk(b"a\r\nbc".to_vec())),
        (b"$0\r\n\r\n", Frame::Bulk(Vec::new())),
        (b"$-1\r\n", Frame::NilBulk),
        (b"*-1\r\n", Frame::NilArray),
        (b"_\r\n", Frame::Null),
        (b"#t\r\n", Frame::Boolean(true)),
        (b"#f\r\n", Frame::Boolean(false)),
        (b",1.5\r\n", Frame::Double(1.5)),
        (b",-inf\r\n", Frame::Double(f64::NEG_INFINITY)),
        (
            b"(123456789012345678901\r\n",
            Frame::BigNumber(b"123456789012345678901".to_vec()),
        ),
        (b"!3\r\nERR\r\n", Frame::BlobError(b"ERR".to_vec())),
        (
            b"=6\r\ntxt:ab\r\n",
            Frame::Verbatim(*b"txt", b"ab".to_vec()),
        ),
    ];
    for (input, frame) in cases {
        assert_eq!(one(input), Ok(frame));
    }
}

#[test]
fn lists_nest_and_may_be_empty() {
    let nested = one(b"*2\r\n*1\r\n:1\r\n%1\r\n+a\r\n~0\r\n");
    let map = Frame::Map(vec![(Frame::Simple(b"a".to_vec()), Frame::Set(Vec::new()))]);
    let expected = Frame::Array(vec![Frame::Array(vec![Frame::Integer(1)]), map]);
    assert_eq!(nested, Ok(expected));
    assert_eq!(one(b"*0\r\n"), Ok(Frame::Array(Vec::new())));
    assert_eq!(
        one(b">1\r\n:1\r\n"),
        Ok(Frame::Push(vec![Frame::Integer(1)]))
    );
}

#[test]
fn attributes_are_left_out() {
    let frame = one(b"*2\r\n|1\r\n+ttl\r\n:3600\r\n:1\r\n|0\r\n:2\r\n");
    assert_eq!(
        frame,
        Ok(Frame::Array(vec![Frame::Integer(1), Frame::Integer(2)]))
    );
}

#[test]
fn what_is_no_reply_is_refused() {
    let cases: [(&[u8], ReplyError); 11] = [
        (b"hello", ReplyError::UnknownType(b'h')),
        (b":1x\r\n", ReplyError::BadNumber),
        (b"#x\r\n", ReplyError::BadNumber),
        (b",x\r\n", ReplyError::BadNumber),
        (b"_x\r\n", ReplyError::BadNumber),
        (b"$-2\r\n", ReplyError::BadNumber),
        (b"$2\r\nabcd", ReplyError::BadString),
        (b"=2\r\nab\r\n", ReplyError::BadString),
        (b"$536870913\r\n", ReplyError::TooLong),
        (b"%99999999\r\n", ReplyError::TooLong),
        (b"*11111111111111111111111111111111111", ReplyError::TooLong),
    ];
    for (input, error) in cases {
        assert_eq!(receive([input]), Err(error), "{}", input.escape_ascii());
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = |depth| [b"*1\r\n".repeat(depth), b":1\r\n".to_vec()].concat();
    assert!(one(&deep(DEPTH_MAX)).is_ok());
    assert_eq!(one(&deep(DEPTH_MAX + 1)), Err(ReplyError::TooDeep));
}

#[test]
fn an_announced_length_makes_no_room_by_itself() {
    let mut decoder = ReplyDecoder::new();
    let mut input = &b"*100000000\r\n"[..];
    assert_eq!(decoder.decode(&mut input), Ok(None));
    assert!(input.is_empty());
    assert!(
        decoder
            .open
            .iter()
            .all(|list| list.items.capacity() <= AHEAD_MAX)
    );
}

fn frame() -> impl Strategy<Value = Frame> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
    let text = || "[ -~é]{0,20}".prop_map(String::into_bytes);
    let leaf = prop_oneof![
        text().prop_map(Frame::Simple),
        text().prop_map(Frame::Error),
        any::<i64>().prop_map(Frame::Integer),
        bytes().prop_map(Frame::Bulk),
        Just(Frame::NilBulk),
        Just(Frame::NilArray),
        Just(Frame::Null),
        any::<f64>()
            .prop_filter("NaN is unlike itself", |value| !value.is_nan())
            .prop_map(Frame::Double),
        any::<bool>().prop_map(Frame::Boolean),
        "-?[0-9]{1,40}".prop_map(|digits| Frame::BigNumber(digits.into_bytes())),
        bytes().prop_map(Frame::BlobError),
        (any::<[u8; 3]>(), bytes()).prop_map(|(format, text)| Frame::Verbatim(format, text)),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let items = || proptest::collection::vec(inner.clone(), 0..6);
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            items().prop_map(Frame::Array),
            items().prop_map(Frame::Set),
            items().prop_map(Frame::Push),
            proptest::collection::vec(pair, 0..3).prop_map(Frame::Map),
        ]
    })
}

proptest! {
    #[test]
    fn frames_survive_the_wire_however_it_is_cut(
        frames in proptest::collection::vec(frame(), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut wire = Vec::new();
        for frame in &frames {
            frame.encode(&mut wire);
        }
        let (head, tail) = wire.split_at(cut.index(wire.len() + 1));
        prop_assert_eq!(&receive([head, tail]), &Ok(frames.clone()));
        prop_assert_eq!(&receive(wire.chunks(1)), &Ok(frames));
    }

    #[test]
    fn garbage_never_panics(mut input in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = receive([input.as_slice()]);
        // The same as the inside of a list, where more of it is read.
        input.splice(..0, b"*9\r\n+".iter().copied());
        let _ = receive([input.as_slice()]);
    }
}
