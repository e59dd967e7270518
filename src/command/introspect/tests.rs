use super::*;
use crate::command::Parser;
use crate::resp::{Frame, ReplyDecoder};

fn parse<'a>(words: &[&'a str]) -> Result<Commands<'a>, ParseError<'a>> {
    let args: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let parser: Parser = command;
    match parser(&args)? {
        Request::Admin(Admin::Commands(commands)) => Ok(commands),
        other => panic!("not COMMAND: {other:?}"),
    }
}

fn frame(commands: &Commands<'_>, protocol: Protocol) -> Frame {
    let mut out = Vec::new();
    encode(commands, protocol, &mut out);
    let mut input = &out[..];
    let frame = ReplyDecoder::new().decode(&mut input);
    assert!(input.is_empty(), "one whole reply");
    frame.expect("RESP").expect("a whole reply")
}

/// The pairs of a map, or of the flat array that RESP2 has for it. Keys are bulks, as redis-cli asserts.
fn pairs(frame: &Frame) -> Vec<(&str, &Frame)> {
    let flat: Vec<&Frame> = match frame {
        Frame::Map(pairs) => pairs.iter().flat_map(|(key, value)| [key, value]).collect(),
        Frame::Array(items) => items.iter().collect(),
        other => panic!("not a map: {other:?}"),
    };
    let (pairs, odd) = flat.as_chunks::<2>();
    assert!(odd.is_empty(), "a value for each key");
    pairs
        .iter()
        .map(|&[key, value]| (bulk(key), value))
        .collect()
}

fn bulk(frame: &Frame) -> &str {
    assert!(matches!(frame, Frame::Bulk(_)), "a bulk: {frame:?}");
    frame.as_str().expect("UTF-8")
}

fn get<'a>(frame: &'a Frame, key: &str) -> Option<&'a Frame> {
    let found = pairs(frame).into_iter().find(|(name, _)| *name == key);
    found.map(|(_, value)| value)
}

#[test]
fn subcommands_are_told_apart() {
    assert_eq!(parse(&[]), Ok(Commands::All));
    assert_eq!(parse(&["count"]), Ok(Commands::Count));
    assert_eq!(parse(&["LIST"]), Ok(Commands::List));
    assert_eq!(parse(&["info"]), Ok(Commands::Info(vec![])));
    assert_eq!(
        parse(&["info", "a", "b"]),
        Ok(Commands::Info(vec![b"a", b"b"]))
    );
    assert_eq!(parse(&["Docs"]), Ok(Commands::Docs(vec![])));
    assert_eq!(parse(&["docs", "a"]), Ok(Commands::Docs(vec![b"a"])));
    for words in [
        &["getkeys", "a"][..],
        &["count", "x"],
        &["list", "x"],
        &[""],
    ] {
        let refused = ParseError::CommandUsage(words[0].as_bytes());
        assert_eq!(parse(words), Err(refused), "{words:?}");
    }
}

#[test]
fn rows_have_six_elements_and_simple_flags() {
    let all = frame(&Commands::All, Protocol::Resp2);
    let rows = all.as_array().expect("an array");
    assert_eq!(rows.len(), 37);
    let integer = Frame::Integer;
    let simple = |text: &str| Frame::Simple(text.into());
    let addjob = Frame::Array(vec![
        Frame::Bulk(b"addjob".into()),
        integer(-4),
        Frame::Array(vec![simple("write"), simple("denyoom"), simple("fast")]),
        integer(0),
        integer(0),
        integer(0),
    ]);
    assert!(rows.contains(&addjob));
    for row in rows {
        assert_eq!(row.as_array().expect("an array").len(), 6);
    }
}

#[test]
fn info_answers_every_name_and_an_unknown_one_by_nil() {
    let info = Commands::Info(vec![b"GETJOB", b"get", b"ping"]);
    let Frame::Array(rows) = frame(&info, Protocol::Resp2) else {
        panic!("an array");
    };
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[1], Frame::NilBulk);
    let Frame::Array(rows) = frame(&info, Protocol::Resp3) else {
        panic!("an array");
    };
    assert_eq!(rows[1], Frame::Null);
    assert_eq!(
        frame(&Commands::Info(vec![]), Protocol::Resp2),
        Frame::Array(vec![])
    );
}

#[test]
fn count_and_list_agree() {
    assert_eq!(frame(&Commands::Count, Protocol::Resp2), Frame::Integer(37));
    let list = frame(&Commands::List, Protocol::Resp2);
    let names: Vec<_> = list
        .as_array()
        .expect("an array")
        .iter()
        .map(bulk)
        .collect();
    assert_eq!(names.len(), 37);
    assert!(names.contains(&"addjob"));
}

/// Checks what redis-cli 7 asserts of an argument.
fn check_argument(argument: &Frame) {
    let kind = bulk(get(argument, "type").expect("a type"));
    assert!(!bulk(get(argument, "name").expect("a name")).is_empty());
    let token = get(argument, "token").map(bulk);
    let parts = get(argument, "arguments").and_then(Frame::as_array);
    match kind {
        "pure-token" => assert!(token.is_some_and(|token| !token.is_empty()) && parts.is_none()),
        "string" => assert!(parts.is_none()),
        "oneof" | "block" => assert!(parts.is_some_and(|parts| parts.len() > 1)),
        other => panic!("unknown type {other}"),
    }
    for flag in get(argument, "flags")
        .and_then(Frame::as_array)
        .unwrap_or_default()
    {
        assert!(
            matches!(flag, Frame::Simple(_)),
            "a simple string: {flag:?}"
        );
    }
    parts.unwrap_or_default().iter().for_each(check_argument);
}

fn check_entry(entry: &Frame) {
    for key in ["summary", "since", "group"] {
        assert!(!bulk(get(entry, key).expect(key)).is_empty());
    }
    let arguments = get(entry, "arguments").and_then(Frame::as_array);
    arguments
        .unwrap_or_default()
        .iter()
        .for_each(check_argument);
}

#[test]
fn docs_have_the_shape_that_redis_cli_reads() {
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let docs = frame(&Commands::Docs(vec![]), protocol);
        assert_eq!(pairs(&docs).len(), 37);
        for (name, entry) in pairs(&docs) {
            check_entry(entry);
            let Some(subcommands) = get(entry, "subcommands") else {
                continue;
            };
            for (subcommand, entry) in pairs(subcommands) {
                assert!(subcommand.starts_with(&format!("{name}|")), "{subcommand}");
                check_entry(entry);
            }
        }
    }
    let docs = Commands::Docs(vec![b"AddJob", b"get"]);
    assert!(matches!(frame(&docs, Protocol::Resp3), Frame::Map(pairs) if pairs.len() == 1));
}

#[test]
fn docs_name_the_arguments_of_addjob_in_order() {
    let docs = frame(&Commands::Docs(vec![b"addjob"]), Protocol::Resp2);
    let arguments = get(pairs(&docs)[0].1, "arguments").and_then(Frame::as_array);
    let hint: Vec<&str> = arguments
        .expect("arguments")
        .iter()
        .map(|argument| {
            bulk(
                get(argument, "token")
                    .or(get(argument, "name"))
                    .expect("a name"),
            )
        })
        .collect();
    assert_eq!(
        hint,
        [
            "queue",
            "body",
            "ms-timeout",
            "REPLICATE",
            "DELAY",
            "RETRY",
            "TTL",
            "MAXLEN",
            "ASYNC"
        ]
    );
}
