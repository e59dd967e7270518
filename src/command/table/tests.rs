use super::*;
use std::collections::BTreeSet;

/// Name, arity and flags as Disque's COMMAND gives them, AUTH's and HELLO's arity aside.
const DISQUE: [(&str, i8, &str); 32] = [
    ("addjob", -4, "write denyoom fast"),
    ("getjob", -2, "write fast"),
    ("ackjob", -1, "write fast"),
    ("fastack", -1, "write fast"),
    ("deljob", -1, "write fast"),
    ("show", 2, "readonly fast"),
    ("enqueue", -1, "write denyoom fast"),
    ("nack", -1, "write denyoom fast"),
    ("dequeue", -1, "write fast"),
    ("working", 2, "write fast"),
    ("qlen", 2, "readonly fast"),
    ("qpeek", 3, "readonly"),
    ("qstat", 2, "readonly fast"),
    ("qscan", -1, "readonly"),
    ("jscan", -1, "readonly"),
    ("pause", -3, "readonly fast"),
    ("auth", -2, "readonly loading fast"),
    ("ping", -1, "readonly fast"),
    ("info", -1, "readonly loading"),
    ("shutdown", -1, "readonly admin loading"),
    ("monitor", 1, "readonly admin"),
    ("debug", -2, "admin"),
    ("config", -2, "readonly admin"),
    ("cluster", -2, "readonly admin"),
    ("client", -2, "readonly admin"),
    ("slowlog", -2, "readonly"),
    ("time", 1, "readonly fast"),
    ("command", 0, "readonly loading"),
    ("latency", -2, "readonly admin loading"),
    ("hello", -1, "readonly fast"),
    ("loadjob", 2, "write"),
    ("bgrewriteaof", 1, "readonly admin"),
];

#[test]
fn the_rows_are_disques_and_a_few_more() {
    for (name, arity, flags) in DISQUE {
        let spec = lookup(name.as_bytes()).expect(name);
        let told: Vec<&str> = spec.flags.names().collect();
        assert_eq!(
            (spec.name, spec.arity, &*told.join(" ")),
            (name, arity, flags)
        );
    }
    let disque: BTreeSet<&str> = DISQUE.iter().map(|row| row.0).collect();
    let more: Vec<&str> = all()
        .iter()
        .map(|spec| spec.name)
        .filter(|name| !disque.contains(name))
        .collect();
    assert_eq!(
        more,
        [
            "backup",
            "echo",
            "explain",
            "promote",
            "psubscribe",
            "publish",
            "pubsub",
            "punsubscribe",
            "qconfig",
            "qlist",
            "qpurge",
            "quit",
            "redrive",
            "reset",
            "select",
            "subscribe",
            "tbind",
            "tbindings",
            "tcommit",
            "tcursor",
            "tflush",
            "tlen",
            "tpub",
            "tread",
            "tretain",
            "tscan",
            "tstat",
            "tsub",
            "tunbind",
            "tunsub",
            "unsubscribe",
            "waitjob"
        ]
    );
}

#[test]
fn categories_follow_from_the_flags() {
    for (name, categories) in [
        ("addjob", "@write @fast"),
        ("qpeek", "@read @slow"),
        ("cluster", "@read @admin @slow @dangerous"),
        ("debug", "@admin @slow @dangerous"),
    ] {
        let spec = lookup(name.as_bytes()).expect(name);
        let told: Vec<&str> = spec.flags.categories().collect();
        assert_eq!(told.join(" "), categories, "{name}");
    }
}

#[test]
fn every_command_is_found_in_any_case_and_at_its_index() {
    for (at, spec) in all().iter().enumerate() {
        assert_eq!(usize::from(spec.index.0), at);
        for name in [spec.name.to_owned(), spec.name.to_ascii_uppercase()] {
            let found = lookup(name.as_bytes()).expect("a command");
            assert_eq!(found.index, spec.index, "{name}");
        }
    }
    assert_eq!(lookup(b"AddJob").map(|spec| spec.name), Some("addjob"));
}

#[test]
fn other_names_are_not_found() {
    for name in [
        &b""[..],
        b"get",
        b"set",
        b"multi",
        b"ssubscribe",
        b"scan",
        b"acl",
        b"addjo",
        b"addjobs",
        b"ping ",
        b"ping\0",
        b"\0ping",
        b"p\x09ng",
        b"pi\x0eg",
        b"p\xe9ng",
        b"bgrewriteaofbgrewriteaof",
        b"@ddjob",
    ] {
        assert!(lookup(name).is_none(), "{}", name.escape_ascii());
    }
}

#[test]
fn misconf_and_no_auth_are_for_the_few() {
    let having = |flag| -> Vec<&str> {
        let specs = all().iter().filter(|spec| spec.flags.contains(flag));
        specs.map(|spec| spec.name).collect()
    };
    assert_eq!(
        having(Flags::MISCONF),
        ["addjob", "enqueue", "nack", "publish", "redrive", "tpub"]
    );
    assert_eq!(
        having(Flags::DENYOOM),
        ["addjob", "enqueue", "nack", "publish", "redrive", "tpub"]
    );
    assert_eq!(having(Flags::NO_AUTH), ["auth", "hello", "quit", "reset"]);
}

#[test]
fn resolve_reports_an_unknown_name_before_a_wrong_count() {
    assert_eq!(resolve(&[b"PING"]).map(|spec| spec.name), Ok("ping"));
    let unknown = |name| Some(Failure::Server(ServerError::UnknownCommand(name)));
    assert_eq!(resolve(&[b"FOO", b"x"]).err(), unknown(b"FOO"));
    assert_eq!(resolve(&[b""]).err(), unknown(b""));
    let few = resolve(&[b"ADDJOB", b"q", b"b"]).err();
    assert_eq!(few, Some(Failure::Parse(ParseError::WrongArity("addjob"))));
}

#[test]
fn arity_bounds_the_number_of_arguments() {
    let accepted = |name: &str| -> Vec<usize> {
        let spec = lookup(name.as_bytes()).expect(name);
        (1..6).filter(|&count| spec.accepts(count)).collect()
    };
    assert_eq!(accepted("addjob"), [4, 5]);
    assert_eq!(accepted("show"), [2]);
    assert_eq!(accepted("ackjob"), [1, 2, 3, 4, 5]);
    assert_eq!(accepted("command"), [1, 2, 3, 4, 5]);
}

#[test]
fn global_is_one_more_argument_where_it_is_taken() {
    let resolved = |args: &[&'static str]| {
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        resolve(&args).map(|spec| spec.name)
    };
    assert_eq!(resolved(&["QLEN", "q", "global"]), Ok("qlen"));
    assert_eq!(resolved(&["QPEEK", "q", "1", "GLOBAL"]), Ok("qpeek"));
    assert_eq!(resolved(&["QSTAT", "FULL"]), Ok("qstat"));
    assert_eq!(resolved(&["QSTAT", "q", "full"]), Ok("qstat"));
    assert_eq!(resolved(&["QSTAT", "q", "FULL", "GLOBAL"]), Ok("qstat"));
    assert_eq!(resolved(&["QSTAT", "q", "GLOBAL", "FULL"]), Ok("qstat"));
    for args in [
        &["QLEN", "q", "x"][..],
        &["QLEN", "q", "FULL"],
        &["QPEEK", "q", "1", "FULL", "GLOBAL"],
        &["QSTAT", "q", "FULL", "GLOBAL", "FULL"],
        &["QSTAT", "q", "x", "GLOBAL"],
        &["SHOW", "x", "GLOBAL"],
    ] {
        let refused = ParseError::WrongArity(lookup(args[0].as_bytes()).expect("there").name);
        assert_eq!(resolved(args), Err(refused.into()), "{args:?}");
    }
    assert_eq!(
        resolved(&["QPEEK", "GLOBAL"]),
        Err(ParseError::WrongArity("qpeek").into())
    );
}
