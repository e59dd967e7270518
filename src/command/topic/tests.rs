use super::*;

fn parse<'a>(
    parser: super::super::Parser,
    words: &[&'a str],
) -> Result<TopicCommand<'a>, ParseError<'a>> {
    let args: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    match parser(&args)? {
        Request::Core(Command::Topic(command)) => Ok(*command),
        other => panic!("{other:?} is no command on topics"),
    }
}

fn error<'a>(parser: super::super::Parser, words: &[&'a str]) -> TopicError<'a> {
    match parse(parser, words) {
        Err(ParseError::Topic(error)) => error,
        other => panic!("{other:?} is no error of topics"),
    }
}

#[test]
fn a_start_is_a_cursor_an_id_a_time_or_a_word() {
    let start = |word| match parse(read, &["FROM", word, "PATTERN", "*"]) {
        Ok(TopicCommand::Read(read)) => read.start,
        other => panic!("{word}: {other:?}"),
    };
    assert_eq!(start("0"), Start::Cursor(Box::default()));
    assert_eq!(start("$"), Start::Now);
    assert_eq!(
        start("1700000000000"),
        Start::Id(EntryId::end_of(1_700_000_000_000))
    );
    assert_eq!(start("17-4"), Start::Id(EntryId::new(17, 4)));
    let text = "17-4@";
    let cursor = Cursor::parse(text.as_bytes()).expect("a cursor without names");
    assert_eq!(start(text), Start::Cursor(Box::new(cursor)));
    for wrong in ["", "x", "-1", "17-", "17-4-1", "01"] {
        let refused = error(read, &["FROM", wrong, "PATTERN", "*"]);
        assert_eq!(refused, TopicError::Start(wrong.as_bytes(), None));
    }
    let damaged = error(read, &["FROM", "17-4@!", "PATTERN", "*"]);
    assert_eq!(
        damaged,
        TopicError::Start(b"17-4@!", Some(InvalidCursor::Damaged))
    );
}

#[test]
fn options_stand_in_any_order_and_patterns_last() {
    let words = [
        "WITHMETA", "count", "7", "BLOCK", "0", "TO", "9", "LAST", "3", "BYTES", "5", "PATTERN",
        "a", "b",
    ];
    let wanted = Read {
        start: Start::Last(3),
        patterns: vec![b"a", b"b"],
        to: Some(EntryId::end_of(9)),
        count: 7,
        bytes: 5,
        wait: Wait::Forever,
        meta: true,
    };
    assert_eq!(parse(read, &words), Ok(TopicCommand::Read(wanted)));
    assert_eq!(error(read, &["PATTERN", "a"]), TopicError::NoStart);
    assert_eq!(
        error(read, &["FROM", "0", "LAST", "1", "PATTERN", "a"]),
        TopicError::NoStart
    );
    assert_eq!(error(read, &["FROM", "0"]), TopicError::NoPattern);
    assert_eq!(
        error(read, &["FROM", "0", "PATTERN"]),
        TopicError::NoPattern
    );
    assert_eq!(error(read, &["COUNT", "10001"]), TopicError::Count("COUNT"));
    assert_eq!(error(read, &["LAST", "0"]), TopicError::Count("LAST"));
    assert_eq!(error(read, &["BYTES", "0"]), TopicError::Bytes);
}

#[test]
fn names_patterns_and_keys_are_bounded() {
    let long = "x".repeat(513);
    for name in ["", &long] {
        assert_eq!(error(publish, &[name, "b"]), TopicError::Channel);
        assert_eq!(error(publish_unwatched, &[name, "b"]), TopicError::Channel);
        assert_eq!(error(subscribe, &["a", name]), TopicError::Channel);
        assert_eq!(error(pattern_subscribe, &[name]), TopicError::Pattern);
        assert_eq!(error(length, &[name]), TopicError::Pattern);
        assert_eq!(error(flush, &[name, "BEFORE", "$"]), TopicError::Pattern);
    }
    let patterns: Vec<&str> = ["PATTERN"].into_iter().chain(["p"; 101]).collect();
    assert_eq!(error(follow, &patterns), TopicError::TooManyPatterns);
    let key = "k".repeat(257);
    assert_eq!(
        error(publish, &["c", "b", "DEDUP", &key]),
        TopicError::Dedup
    );
    assert_eq!(error(publish, &["c", "b", "DEDUP", ""]), TopicError::Dedup);
}

#[test]
fn a_key_and_meta_are_extras_of_an_entry() {
    let Ok(TopicCommand::Publish(publish)) =
        parse(publish, &["c", "b", "DEDUP", "k", "META", "n", "v"])
    else {
        panic!("it is TPUB");
    };
    assert_eq!(publish.dedup, Some(&b"k"[..]));
    assert_eq!(publish.extras.get(Tag::DEDUP), Some(&b"k"[..]));
    let meta = Meta::decode(publish.extras.get(Tag::META).expect("it was given"));
    assert_eq!(meta.pairs(), [(&b"n"[..], &b"v"[..])]);
}

#[test]
fn a_name_stands_alone_or_beside_a_start() {
    let start = |words: &[&'static str]| match parse(read, words) {
        Ok(TopicCommand::Read(read)) => read.start,
        other => panic!("{other:?}"),
    };
    let named = |first| Start::Named(b"n"[..].into(), Box::new(first));
    let zero = named(Start::Cursor(Box::default()));
    assert_eq!(start(&["AS", "n", "PATTERN", "*"]), zero);
    assert_eq!(start(&["as", "n", "FROM", "0", "PATTERN", "*"]), zero);
    let last = start(&["LAST", "3", "AS", "n", "PATTERN", "*"]);
    assert_eq!(last, named(Start::Last(3)));
    let Ok(TopicCommand::Follow(follow)) = parse(follow, &["AS", "n", "PATTERN", "*"]) else {
        panic!("it is TSUB");
    };
    assert_eq!(follow.start, zero, "not from now on");
    for words in [["AS", "n", "AS", "m"], ["FROM", "0", "LAST", "1"]] {
        assert_eq!(error(read, &words), TopicError::NoStart);
    }
    let long = "x".repeat(257);
    for name in ["", &long] {
        assert_eq!(error(read, &["AS", name]), TopicError::CursorName);
        assert_eq!(error(commit, &[name, "0-0@"]), TopicError::CursorName);
        assert_eq!(error(cursor, &[name]), TopicError::CursorName);
    }
}

#[test]
fn named_cursors_are_committed_told_set_and_deleted() {
    let name = &b"n"[..];
    let at = Cursor::parse(b"17-4@~9").expect("a cursor of an epoch");
    assert_eq!(at.epoch(), Some(9));
    let committed = TopicCommand::Commit {
        name,
        cursor: at.clone(),
    };
    assert_eq!(parse(commit, &["n", "17-4@~9"]), Ok(committed));
    assert_eq!(
        error(commit, &["n", "17-4"]),
        TopicError::Start(b"17-4", Some(InvalidCursor::NoId))
    );
    assert_eq!(parse(cursor, &[]), Ok(TopicCommand::Cursors));
    assert_eq!(parse(cursor, &["n"]), Ok(TopicCommand::NamedCursor(name)));
    assert_eq!(
        parse(cursor, &["n", "del"]),
        Ok(TopicCommand::DeleteCursor(name))
    );
    let start = Start::Cursor(Box::new(at));
    assert_eq!(
        parse(cursor, &["n", "set", "17-4@~9"]),
        Ok(TopicCommand::SetCursor { name, start })
    );
    let start = Start::Now;
    assert_eq!(
        parse(cursor, &["n", "SET", "$"]),
        Ok(TopicCommand::SetCursor { name, start })
    );
    for words in [&["n", "SET"][..], &["n", "x"], &["n", "SET", "0", "1"]] {
        assert!(matches!(parse(cursor, words), Err(ParseError::Near(..))));
    }
}

#[test]
fn a_flush_and_a_rule_say_how_far_they_go() {
    let before = |word| match parse(flush, &["*", "before", word]) {
        Ok(TopicCommand::Flush { before, .. }) => before,
        other => panic!("{other:?}"),
    };
    assert_eq!(before("$"), Before::Now);
    assert_eq!(before("7"), Before::Id(EntryId::new(7, 0)));
    assert_eq!(before("7-3"), Before::Id(EntryId::new(7, 3)));
    assert_eq!(error(flush, &["*", "BEFORE", "x"]), TopicError::Id(b"x"));
    let rule = Rule {
        age: Some(Duration::from_mins(1)),
        bytes: None,
        entries: Some(5),
        keep: false,
    };
    let pattern = &b"a"[..];
    assert_eq!(
        parse(retain, &["a", "MAXLEN", "5", "MAXAGE", "60"]),
        Ok(TopicCommand::SetRule { pattern, rule })
    );
    let kept = Rule { keep: true, ..rule };
    assert_eq!(
        parse(retain, &["a", "keep", "MAXLEN", "5", "MAXAGE", "60"]),
        Ok(TopicCommand::SetRule {
            pattern,
            rule: kept
        })
    );
    let rule = Rule {
        keep: true,
        ..Rule::default()
    };
    assert_eq!(
        parse(retain, &["a", "KEEP"]),
        Ok(TopicCommand::SetRule { pattern, rule })
    );
    assert_eq!(
        parse(retain, &["a", "del"]),
        Ok(TopicCommand::RemoveRule(pattern))
    );
    assert_eq!(parse(retain, &[]), Ok(TopicCommand::Rules));
    assert_eq!(
        error(retain, &["a", "MAXLEN", "0"]),
        TopicError::Bound("MAXLEN")
    );
}
