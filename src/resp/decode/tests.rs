use std::time::{Duration, Instant};

use proptest::prelude::*;
use redis_protocol::resp2::{decode::decode as other_decode, types::OwnedFrame};

use super::*;
use crate::encode;

type Command = Vec<Vec<u8>>;

/// Feeds `reads` one after the other, as a connection does; answers the commands, and the error or
/// what is left.
fn receive<'a>(
    reads: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Command>, Option<ProtocolError>, Vec<u8>) {
    let mut decoder = Decoder::new();
    let mut buf = Vec::new();
    let mut commands = Vec::new();
    for read in reads {
        buf.extend_from_slice(read);
        loop {
            let batch = decoder.decode(&buf);
            let mut args = Vec::new();
            for index in 0..batch.commands {
                decoder.args(index, &buf, &mut args);
                commands.push(args.iter().map(|arg| arg.to_vec()).collect());
            }
            assert!(decoder.wanted() <= buf.len() - batch.consumed);
            buf.drain(..batch.consumed);
            match batch.status {
                Status::Full => {}
                Status::Starved => break,
                Status::Broken(error) => return (commands, Some(error), Vec::new()),
            }
        }
    }
    (commands, None, buf)
}

fn whole(input: &[u8]) -> (Vec<Command>, Option<ProtocolError>, Vec<u8>) {
    receive([input])
}

fn command(words: &[&str]) -> Command {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

#[test]
fn a_pipeline_gives_its_commands_in_order() {
    let (commands, error, rest) =
        whole(b"*2\r\n$4\r\nQLEN\r\n$1\r\nq\r\nPING\r\n*1\r\n$4\r\nTIME\r\n*1\r\n$2\r\nH");
    let expected = [&["QLEN", "q"][..], &["PING"], &["TIME"]];
    assert_eq!(commands, expected.map(command));
    assert_eq!((error, rest.as_slice()), (None, &b"*1\r\n$2\r\nH"[..]));
}

#[test]
fn arguments_may_be_empty_and_hold_any_byte() {
    let (commands, ..) = whole(b"*3\r\n$1\r\nA\r\n$0\r\n\r\n$3\r\n\r\n\0\r\n");
    assert_eq!(commands, [command(&["A", "", "\r\n\0"])]);
}

#[test]
fn a_count_of_zero_or_less_is_no_command() {
    assert_eq!(
        whole(b"*0\r\n*-1\r\n*-12\r\nPING\n").0,
        [command(&["PING"])]
    );
}

#[test]
fn the_two_bytes_after_a_body_and_after_a_carriage_return_are_not_checked() {
    assert_eq!(
        whole(b"*1\rX$4\rXPINGxyPING\r\n").0,
        [command(&["PING"]), command(&["PING"])]
    );
    assert_eq!(whole(b"*1\r\n$4\r\nPING").0, Vec::<Command>::new());
    assert_eq!(whole(b"*1\r\n$4\r\nPINGx").0, Vec::<Command>::new());
}

#[test]
fn inline_commands_take_quotes_and_both_line_endings() {
    let (commands, error, rest) =
        whole(b"PING\n\r\n \n  QLEN \"a\\x41 b\" \r\nPING \"\"\n\"\"\r\nGET /x HTTP/1.1\r\nQ");
    assert_eq!(
        commands,
        [
            command(&["PING"]),
            command(&["QLEN", "aA b"]),
            command(&["PING"]),
            command(&["GET", "/x", "HTTP/1.1"]),
        ]
    );
    assert_eq!((error, rest.as_slice()), (None, &b"Q"[..]));
}

#[test]
fn commands_before_an_error_are_given_and_the_error_stays() {
    let mut decoder = Decoder::new();
    let buf = b"PING\r\n*1\r\nPING\r\n";
    let broken = Status::Broken(ProtocolError::ExpectedBulk(b'P'));
    let batch = decoder.decode(buf);
    assert_eq!(
        (batch.commands, batch.consumed, batch.status),
        (1, 6, broken)
    );
    let again = decoder.decode(b"PING\r\n");
    assert_eq!(
        (again.commands, again.consumed, again.status),
        (0, 0, broken)
    );
}

#[test]
fn every_refusal_has_disques_text() {
    let line = "x".repeat(LINE_MAX);
    let cases = [
        ("*x\r\n", "invalid multibulk length"),
        ("*\r\n", "invalid multibulk length"),
        ("*+1\r\n", "invalid multibulk length"),
        ("*01\r\n", "invalid multibulk length"),
        ("*1 \r\n", "invalid multibulk length"),
        ("*1048577\r\n", "invalid multibulk length"),
        ("*99999999999999999999\r\n", "invalid multibulk length"),
        ("*1\r\n$x\r\n", "invalid bulk length"),
        ("*1\r\n$\r\n", "invalid bulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$+4\r\n", "invalid bulk length"),
        ("*1\r\n$-0\r\n", "invalid bulk length"),
        ("*1\r\n$00\r\n", "invalid bulk length"),
        ("*1\r\n$536870913\r\n", "invalid bulk length"),
        ("*1\r\nPING\r\n", "expected '$', got 'P'"),
        ("*1\r\n\u{1}", "expected '$', got '\\x01'"),
        ("*1\n$4\r\nPING\r\n", "invalid multibulk length"),
        ("PING \"x\r\n", "unbalanced quotes in request"),
        ("PING 'x'y\n", "unbalanced quotes in request"),
        (&format!("{line}x"), "too big inline request"),
        (&format!("*{line}"), "too big mbulk count string"),
        (&format!("*1\r\n${line}"), "too big bulk count string"),
    ];
    for (input, text) in cases {
        let error = whole(input.as_bytes()).1.map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some(text),
            "{}",
            &input[..input.len().min(40)]
        );
    }
}

#[test]
fn the_largest_count_and_length_are_accepted_without_making_room() {
    let mut decoder = Decoder::new();
    let batch = decoder.decode(b"*1048576\r\n$536870912\r\nabc");
    assert_eq!(batch.status, Status::Starved);
    assert_eq!(decoder.wanted(), 25);
    assert!(decoder.spans.capacity() < 16);
}

#[test]
fn a_line_of_just_the_limit_is_accepted_however_it_is_cut() {
    let line = format!("{}\n", "x".repeat(LINE_MAX));
    let (commands, error, _) = whole(line.as_bytes());
    assert_eq!((commands.len(), error), (1, None));
    let longer = format!("x{line}PING\n");
    for cut in [1, LINE_MAX, LINE_MAX + 1, LINE_MAX + 2, longer.len()] {
        let (head, tail) = longer.as_bytes().split_at(cut);
        let (commands, error, _) = receive([head, tail]);
        assert_eq!(
            (commands.len(), error),
            (0, Some(ProtocolError::InlineTooBig))
        );
    }
}

#[test]
fn a_command_may_not_outgrow_the_query_buffer() {
    let mut decoder = Decoder::new();
    decoder.pending = Pending {
        position: COMMAND_MAX - 10,
        scanned: 0,
        arguments: 1,
        length: None,
    };
    let batch = decoder.bulk_length(b"$9\r\n", 0, 0);
    assert_eq!(batch, Ok(Some((9, 4))));
    let mut arrived = b"*3\r\n".to_vec();
    encode::bulk(&mut arrived, &vec![0; BULK_MAX]);
    arrived.extend_from_slice(b"$536870912\r\n");
    let batch = Decoder::new().decode(&arrived);
    assert_eq!(batch.status, Status::Broken(ProtocolError::CommandTooBig));
}

#[test]
fn a_huge_pipeline_comes_in_bounded_batches() {
    let pipeline = b"PING\n".repeat(BATCH_COMMANDS * 2 + 1);
    let mut decoder = Decoder::new();
    let first = decoder.decode(&pipeline);
    assert_eq!(
        (first.commands, first.status),
        (BATCH_COMMANDS, Status::Full)
    );
    assert_eq!(whole(&pipeline).0.len(), BATCH_COMMANDS * 2 + 1);

    let mut bodies = Vec::new();
    for _ in 0..10 {
        encode::command(&mut bodies, &[&vec![b'x'; BATCH_BYTES / 2]]);
    }
    assert_eq!(Decoder::new().decode(&bodies).commands, 2);
    assert_eq!(whole(&bodies).0.len(), 10);

    let nothing = b"*0\r\n".repeat(BATCH_BYTES / 2);
    let batch = Decoder::new().decode(&nothing);
    assert_eq!((batch.commands, batch.status), (0, Status::Full));
}

#[test]
fn room_is_asked_for_by_at_most_doubling_what_arrived() {
    let mut decoder = Decoder::new();
    let mut buf = b"*1\r\n$1000\r\n".to_vec();
    decoder.decode(&buf);
    assert_eq!(decoder.wanted(), buf.len());
    buf.resize(900, b'x');
    decoder.decode(&buf);
    assert_eq!(decoder.wanted(), 11 + 1000 + 2 - 900);
    buf.resize(11 + 1000 + 2, b'x');
    assert_eq!(decoder.decode(&buf).commands, 1);
    assert_eq!(decoder.wanted(), 0);
}

/// Feeds `input` in reads of 16 KiB; answers the time that decoding took.
fn time_to_receive(input: &[u8]) -> Duration {
    let mut decoder = Decoder::new();
    let began = Instant::now();
    let mut commands = 0;
    for end in (0..input.len()).step_by(16 << 10).chain([input.len()]) {
        let batch = decoder.decode(&input[..end]);
        commands += batch.commands;
        assert!(batch.consumed == 0 || end == input.len());
    }
    assert_eq!(commands, 1);
    began.elapsed()
}

// Looking again at what was seen would take minutes here; looking once takes milliseconds.
#[test]
fn a_half_received_command_is_never_looked_at_again() {
    let mut body = Vec::new();
    encode::command(&mut body, &[&vec![b'x'; 100 << 20]]);
    assert!(time_to_receive(&body) < Duration::from_secs(5));
    let mut many = Vec::new();
    encode::command(&mut many, &vec!["x"; ARGUMENTS_MAX]);
    assert!(time_to_receive(&many) < Duration::from_secs(5));
}

#[test]
fn room_taken_by_a_huge_command_is_given_back() {
    let mut many = Vec::new();
    encode::command(&mut many, &vec!["x"; KEPT_SPANS * 4]);
    let mut decoder = Decoder::new();
    assert_eq!(decoder.decode(&many).commands, 1);
    decoder.decode(b"");
    assert!(decoder.spans.capacity() <= KEPT_SPANS);
}

/// What a client may send, right or nearly right.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let argument = proptest::collection::vec(any::<u8>(), 0..20);
    let multibulk = proptest::collection::vec(argument, 0..5).prop_map(|args| {
        let mut out = Vec::new();
        encode::command(&mut out, &args);
        out
    });
    let inline = "[ a-c\"'\\\\x0-9]{0,12}\r?\n".prop_map(String::into_bytes);
    let broken = "[*$][-+0-9x]{0,3}\r?\n".prop_map(String::into_bytes);
    let garbage = proptest::collection::vec(any::<u8>(), 0..6);
    let part = prop_oneof![8 => multibulk, 4 => inline, 1 => broken, 1 => garbage];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

fn cut_at<'a>(input: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    ends.push(input.len());
    ends.sort_unstable();
    let mut start = 0;
    let mut reads = Vec::new();
    for end in ends {
        reads.push(&input[start..end]);
        start = end;
    }
    reads
}

proptest! {
    #[test]
    fn any_split_gives_the_same_commands(
        input in stream(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let expected = whole(&input);
        prop_assert_eq!(&receive(cut_at(&input, &cuts)), &expected);
        prop_assert_eq!(&receive(input.chunks(1)), &expected);
    }

    #[test]
    fn garbage_never_panics(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        whole(&input);
    }

    #[test]
    fn arrays_of_bulks_are_read_as_redis_protocol_reads_them(
        args in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..40), 1..10),
    ) {
        let mut input = Vec::new();
        encode::command(&mut input, &args);
        let (frame, length) = other_decode(&input).expect("valid RESP").expect("a whole frame");
        prop_assert_eq!(length, input.len());
        let OwnedFrame::Array(items) = frame else {
            panic!("a command is an array");
        };
        let theirs: Command = items
            .into_iter()
            .map(|item| match item {
                OwnedFrame::BulkString(bytes) => bytes,
                other => panic!("an argument is a bulk, not {other:?}"),
            })
            .collect();
        prop_assert_eq!(whole(&input).0, [theirs]);
    }
}
