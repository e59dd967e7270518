use super::*;
use crate::Parser;
use shoalmq_resp::{Frame, ReplyDecoder};

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
    for words in [&["getkeys"][..], &["count", "x"], &["list", "x"], &[""]] {
        let refused = ParseError::CommandUsage(words[0].as_bytes());
        assert_eq!(parse(words), Err(refused), "{words:?}");
    }
}

#[test]
fn getkeys_refuses_as_redis_refuses_a_command_without_keys() {
    for (words, refusal) in [
        (&["GETKEYS", "get", "a"][..], ParseError::KeysOfUnknown),
        (&["getkeys", "addjob", "q", "b", "0"], ParseError::NoKeys),
        (&["getkeys", "PING"], ParseError::NoKeys),
    ] {
        assert_eq!(parse(words), Err(refusal), "{words:?}");
    }
}

/// Checks that a row has the shape of Redis 7's, and those of its subcommands.
fn check_row(row: &Frame, protocol: Protocol) {
    let [
        name,
        arity,
        flags,
        first,
        last,
        step,
        categories,
        tips,
        keys,
        children,
    ] = row.as_array().expect("an array")
    else {
        panic!("not ten elements: {row:?}");
    };
    let name = bulk(name);
    assert!(
        matches!(arity, Frame::Integer(_)),
        "an integer of {name}: {arity:?}"
    );
    for zero in [first, last, step] {
        assert_eq!(*zero, Frame::Integer(0), "{name}");
    }
    for set in [flags, categories, tips, keys] {
        match protocol {
            Protocol::Resp2 => assert!(matches!(set, Frame::Array(_)), "{name}: {set:?}"),
            Protocol::Resp3 => assert!(matches!(set, Frame::Set(_)), "{name}: {set:?}"),
        }
    }
    for word in [flags, categories].into_iter().filter_map(Frame::as_array) {
        assert!(
            word.iter().all(|word| matches!(word, Frame::Simple(_))),
            "{name}: {word:?}"
        );
    }
    let rows = children.as_array().expect("a list");
    let is_set = matches!(children, Frame::Set(_));
    assert_eq!(
        is_set,
        rows.is_empty() && protocol == Protocol::Resp3,
        "{name}: {children:?}"
    );
    for child in rows {
        let child_name = bulk(&child.as_array().expect("an array")[0]);
        assert!(
            child_name.starts_with(&format!("{name}|")),
            "{child_name} of {name}"
        );
        check_row(child, protocol);
    }
}

#[test]
fn rows_have_ten_elements_and_sets_where_redis_has_them() {
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let all = frame(&Commands::All, protocol);
        let rows = all.as_array().expect("an array");
        assert_eq!(rows.len(), 64);
        for row in rows {
            check_row(row, protocol);
        }
    }
}

#[test]
fn a_subcommand_has_a_row_of_its_own_under_its_command() {
    let info = |name| frame(&Commands::Info(vec![name]), Protocol::Resp3);
    let found = info(b"Config|GET");
    let [row] = found.as_array().expect("an array") else {
        panic!("one row: {found:?}");
    };
    let elements = row.as_array().expect("an array");
    assert_eq!(bulk(&elements[0]), "config|get");
    assert_eq!(elements[1], Frame::Integer(3));
    let config = info(b"config");
    let children = &config.as_array().expect("an array")[0]
        .as_array()
        .expect("an array")[9];
    assert!(children.as_array().expect("an array").contains(row));
    for name in [&b"config|nosuch"[..], b"nosuch|get", b"config|", b"|"] {
        assert_eq!(info(name), Frame::Array(vec![Frame::Null]));
    }
}

#[test]
fn the_row_of_addjob() {
    let integer = Frame::Integer;
    let simple = |text: &str| Frame::Simple(text.into());
    let addjob = Frame::Array(vec![
        Frame::Bulk(b"addjob".into()),
        integer(-4),
        Frame::Array(vec![simple("write"), simple("denyoom"), simple("fast")]),
        integer(0),
        integer(0),
        integer(0),
        Frame::Array(vec![simple("@write"), simple("@fast")]),
        Frame::Array(vec![]),
        Frame::Array(vec![]),
        Frame::Array(vec![]),
    ]);
    assert_eq!(
        frame(&Commands::Info(vec![b"addjob"]), Protocol::Resp2),
        Frame::Array(vec![addjob])
    );
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
        frame(&Commands::All, Protocol::Resp2)
    );
}

#[test]
fn the_list_holds_what_is_counted_and_all_subcommands() {
    assert_eq!(frame(&Commands::Count, Protocol::Resp2), Frame::Integer(64));
    let list = frame(&Commands::List, Protocol::Resp2);
    let names: Vec<_> = list
        .as_array()
        .expect("an array")
        .iter()
        .map(bulk)
        .collect();
    let (children, commands): (Vec<_>, Vec<_>) = names.iter().partition(|name| name.contains('|'));
    assert_eq!(commands.len(), 64);
    assert!(commands.contains(&"addjob"));
    assert!(children.contains(&"cluster|nodes"));
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
        assert_eq!(pairs(&docs).len(), 64);
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
    let docs = frame(&Commands::Docs(vec![b"config|get"]), Protocol::Resp3);
    check_entry(get(&docs, "config|get").expect("a subcommand by its name"));
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
            "PRIORITY",
            "MAXDELIVER",
            "DEAD",
            "block",
            "block",
            "KEEP",
            "block",
            "ASYNC",
            "RECEIPT"
        ]
    );
}
