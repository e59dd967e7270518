use proptest::collection::vec;
use proptest::prelude::*;

use super::table::{self, lookup};
use super::*;

/// Words that lead the parsers into all their branches.
const WORDS: [&str; 78] = [
    "ADDJOB",
    "GETJOB",
    "q",
    "",
    "0",
    "1",
    "-1",
    "10",
    "65536",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "01",
    "+1",
    "1.5",
    "x",
    "REPLICATE",
    "DELAY",
    "RETRY",
    "TTL",
    "MAXLEN",
    "ASYNC",
    "NOHANG",
    "TIMEOUT",
    "COUNT",
    "WITHCOUNTERS",
    "FROM",
    "BUSYLOOP",
    "MINLEN",
    "IMPORTRATE",
    "QUEUE",
    "STATE",
    "REPLY",
    "all",
    "id",
    "active",
    "wait-repl",
    "none",
    "in",
    "out",
    "state",
    "bcast",
    "MEET",
    "FORGET",
    "RESET",
    "LEAVING",
    "yes",
    "SOFT",
    "HARD",
    "KILL",
    "ID",
    "ADDR",
    "TYPE",
    "normal",
    "SKIPME",
    "no",
    "SETNAME",
    "SETINFO",
    "LIB-NAME",
    "PAUSE",
    "OFF",
    "GET",
    "SET",
    "LEN",
    "HISTORY",
    "GRAPH",
    "SLEEP",
    "ERROR",
    "RESTART",
    "AUTH",
    "2",
    "3",
    "INFO",
    "DOCS",
    "127.0.0.1",
    "::1",
    "D-dcb833cf-8YAH1b2K1b2K1b2K1b2K1b2K-05a1",
    "D-dcb833cf-8YAH1b2K1b2K1b2K1b2K1b2!-05a1",
];

fn argument() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(&WORDS[..]).prop_map(|word| word.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..45),
    ]
}

#[test]
fn every_arity_error_names_its_command() {
    for spec in table::all() {
        for count in 1..8 {
            let has_options = spec.flags.contains(Flags::OPTIONS) && count > 2;
            if spec.accepts(count) || has_options {
                continue;
            }
            let mut args = vec![spec.name.as_bytes()];
            args.resize(count, b"1");
            let error = resolve(&args).expect_err("a wrong number of arguments");
            let line = format!("ERR wrong number of arguments for '{}' command", spec.name);
            assert_eq!(error.line(), line);
            // The parsers look after themselves too, so that no order of checks can make one panic.
            assert!(
                (spec.parse)(&args[1..]).is_err(),
                "{} with {count}",
                spec.name
            );
        }
    }
}

#[test]
fn commands_on_ids_refuse_binary_and_malformed_ones() {
    for name in [
        "ackjob", "fastack", "deljob", "enqueue", "nack", "dequeue", "show", "working",
    ] {
        let parse = lookup(name.as_bytes()).expect(name).parse;
        for id in [&b""[..], b"\xff", b"D-", &[b'D'; 40], &[0; 40], &[b'-'; 40]] {
            assert_eq!(parse(&[id]), Err(ParseError::InvalidJobId), "{name}");
        }
    }
}

#[test]
fn queue_names_may_be_any_bytes() {
    for name in ["qlen", "qstat"] {
        let parse = lookup(name.as_bytes()).expect(name).parse;
        for queue in [&b""[..], b"\xff\0\r\n", b"FROM"] {
            assert!(parse(&[queue]).is_ok(), "{name}");
        }
    }
}

#[test]
fn commands_of_redis_alone_are_unknown() {
    for name in [
        "MULTI", "XADD", "DBSIZE", "ROLE", "ACL", "SCAN", "MEMORY", "GET", "LPUSH", "EVAL",
        "FLUSHALL",
    ] {
        let error = resolve(&[name.as_bytes()]).expect_err(name);
        assert_eq!(error.line(), format!("ERR unknown command '{name}'"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn no_arguments_make_a_parser_panic_and_the_same_give_the_same(
        name in 0..table::COUNT,
        args in vec(argument(), 0..10),
    ) {
        let spec = &table::all()[name];
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let parsed = (spec.parse)(&args);
        prop_assert_eq!(&parsed, &(spec.parse)(&args));
        if let Err(error) = parsed {
            let mut out = Vec::new();
            Failure::from(error).encode(&mut out);
            prop_assert!(out.starts_with(b"-") && out.ends_with(b"\r\n"));
            let end = out.iter().position(|&byte| byte == b'\n');
            prop_assert_eq!(end, Some(out.len() - 1));
        }
    }

    #[test]
    fn any_name_resolves_or_is_unknown(args in vec(argument(), 0..4)) {
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        if let Ok(spec) = resolve(&args) {
            prop_assert!(args[0].eq_ignore_ascii_case(spec.name.as_bytes()));
        }
    }
}
