//! The RESP decoders against any bytes: no panic, the same commands however the reads cut them, the
//! same arguments as redis-protocol sees, and replies that survive being written again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redis_protocol::resp2::{decode::decode as decode_elsewhere, types::OwnedFrame};
use shoalmq_fuzz::resp::{BULK_MAX, Decoder, Frame, ReplyDecoder, ReplyError, Status};

type Command = Vec<Vec<u8>>;

// The first byte says where and how often the rest is cut.
fuzz_target!(|data: &[u8]| {
    let Some((&cut, input)) = data.split_first() else {
        return;
    };
    let whole = commands([input]);
    let (head, tail) = input.split_at(usize::from(cut).min(input.len()));
    assert_eq!(commands([head, tail]), whole);
    assert_eq!(commands(input.chunks(usize::from(cut % 16) + 1)), whole);
    compare_with_redis_protocol(input, &whole.0);

    let replies = frames([input]);
    assert!(alike(&frames([head, tail]), &replies));
    survives_the_wire(&replies.0);
});

/// Reads commands as a connection does: all of them, and how it ended.
fn commands<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Command>, Option<String>) {
    let mut decoder = Decoder::new();
    let mut buf = Vec::new();
    let mut found = Vec::new();
    for read in reads {
        buf.extend_from_slice(read);
        loop {
            let batch = decoder.decode(&buf);
            let mut args = Vec::new();
            for index in 0..batch.commands {
                decoder.args(index, &buf, &mut args);
                assert!(!args.is_empty());
                found.push(args.iter().map(|arg| arg.to_vec()).collect());
            }
            buf.drain(..batch.consumed);
            match batch.status {
                Status::Full => {}
                Status::Starved => break,
                Status::Broken(error) => return (found, Some(error.to_string())),
            }
        }
        assert!(decoder.wanted() <= buf.len());
    }
    (found, None)
}

/// Where redis-protocol sees arrays of bulks at the front of `input`, so must we.
fn compare_with_redis_protocol(input: &[u8], ours: &[Command]) {
    let mut rest = input;
    let mut ours = ours.iter();
    while let Ok(Some((OwnedFrame::Array(items), length))) = decode_elsewhere(rest) {
        let (frame, after) = rest.split_at(length);
        // It takes lengths that Redis does not: signs and leading zeros.
        if !canonical(frame, &items) {
            return;
        }
        if !items.is_empty() {
            let theirs: Command = items.into_iter().filter_map(bulk).collect();
            assert_eq!(ours.next(), Some(&theirs));
        }
        rest = after;
    }
}

fn bulk(item: OwnedFrame) -> Option<Vec<u8>> {
    match item {
        OwnedFrame::BulkString(bytes) if bytes.len() <= BULK_MAX => Some(bytes),
        _ => None,
    }
}

/// Whether `frame` is just what a client writes for `items`.
fn canonical(frame: &[u8], items: &[OwnedFrame]) -> bool {
    let bulks: Option<Command> = items.iter().cloned().map(bulk).collect();
    bulks.is_some_and(|bulks| {
        let mut written = Vec::new();
        shoalmq_fuzz::resp::encode::command(&mut written, &bulks);
        written == frame
    })
}

type Replies = (Vec<Frame>, Result<(), ReplyError>);

fn frames<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> Replies {
    let mut decoder = ReplyDecoder::new();
    let mut buf = Vec::new();
    let mut found = Vec::new();
    for read in reads {
        buf.extend_from_slice(read);
        let mut input = buf.as_slice();
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(error) => return (found, Err(error)),
            }
        }
        buf = input.to_vec();
    }
    (found, Ok(()))
}

/// Equal, where NaN equals NaN.
fn alike(one: &Replies, other: &Replies) -> bool {
    one == other || format!("{one:?}") == format!("{other:?}")
}

fn survives_the_wire(frames_read: &[Frame]) {
    let mut wire = Vec::new();
    for frame in frames_read {
        frame.encode(&mut wire);
    }
    let again = frames([wire.as_slice()]);
    assert_eq!(again.1, Ok(()));
    assert_eq!(again.0.len(), frames_read.len());
    let mut twice = Vec::new();
    for frame in &again.0 {
        frame.encode(&mut twice);
    }
    assert_eq!(twice, wire);
}
