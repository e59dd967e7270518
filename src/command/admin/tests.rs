use super::*;
use crate::Parser;

fn admin(parse: Parser, line: &str) -> Result<Admin<'_>, ParseError<'_>> {
    let args: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
    match parse(&args)? {
        Request::Admin(admin) => Ok(admin),
        Request::Core(core) => panic!("for the core: {core:?}"),
    }
}

#[test]
fn info_takes_any_sections() {
    assert_eq!(admin(info, ""), Ok(Admin::Info(vec![])));
    assert_eq!(
        admin(info, "all server"),
        Ok(Admin::Info(vec![b"all", b"server"]))
    );
}

#[test]
fn commands_without_arguments_take_none() {
    for (parse, name, expected) in [
        (time as Parser, "time", Admin::Time),
        (monitor, "monitor", Admin::Monitor),
        (rewrite_log, "bgrewriteaof", Admin::RewriteLog),
    ] {
        assert_eq!(admin(parse, ""), Ok(expected));
        assert_eq!(admin(parse, "x"), Err(ParseError::WrongArity(name)));
    }
}

#[test]
fn shutdown_knows_one_word() {
    assert_eq!(admin(shutdown, ""), Ok(Admin::Shutdown(Shutdown::KeepLog)));
    let rewrite = Ok(Admin::Shutdown(Shutdown::RewriteLog));
    assert_eq!(admin(shutdown, "rewrite-aof"), rewrite);
    for word in ["SAVE", "NOSAVE"] {
        let refused = ParseError::Near(word.as_bytes(), "shutdown");
        assert_eq!(admin(shutdown, word), Err(refused));
    }
    assert_eq!(admin(shutdown, "REWRITE-AOF x"), Err(ParseError::Syntax));
}

#[test]
fn config_checks_its_subcommand_before_its_arguments() {
    let parsed = |config| Ok(Admin::Config(config));
    let (name, value) = (&b"Dir"[..], &b"/"[..]);
    assert_eq!(admin(config, "get max*"), parsed(Config::Get(b"max*")));
    assert_eq!(
        admin(config, "SET Dir /"),
        parsed(Config::Set { name, value })
    );
    assert_eq!(admin(config, "ResetStat"), parsed(Config::ResetStat));
    assert_eq!(admin(config, "rewrite"), parsed(Config::Rewrite));
    assert_eq!(config(&[b"SET", b"requirepass", b""]).map(|_| ()), Ok(()));
    for line in [
        "Get",
        "Get a b",
        "Set a",
        "Set a b c",
        "ResetStat x",
        "Rewrite x",
    ] {
        let word = line.split(' ').next().expect("a word").as_bytes();
        assert_eq!(
            admin(config, line),
            Err(ParseError::ConfigArity(word)),
            "{line}"
        );
    }
    assert_eq!(admin(config, "help"), Err(ParseError::ConfigUsage(b"help")));
    assert_eq!(admin(config, ""), Err(ParseError::WrongArity("config")));
}

#[test]
fn slowlog_returns_ten_unless_told() {
    let parsed = |slowlog| Ok(Admin::Slowlog(slowlog));
    assert_eq!(admin(slowlog, "get"), parsed(Slowlog::Get(10)));
    assert_eq!(admin(slowlog, "GET 3"), parsed(Slowlog::Get(3)));
    assert_eq!(admin(slowlog, "GET -1"), parsed(Slowlog::Get(u64::MAX)));
    assert_eq!(admin(slowlog, "len"), parsed(Slowlog::Len));
    assert_eq!(admin(slowlog, "reset"), parsed(Slowlog::Reset));
    assert_eq!(admin(slowlog, "get x"), Err(ParseError::NotInteger));
    for line in ["help", "len x", "reset x", "get 1 2"] {
        let word = line.split(' ').next().expect("a word").as_bytes();
        let refused = ParseError::SlowlogUsage(word);
        assert_eq!(admin(slowlog, line), Err(refused), "{line}");
    }
    assert_eq!(admin(slowlog, ""), Err(ParseError::WrongArity("slowlog")));
}

#[test]
fn latency_names_events() {
    let parsed = |latency| Ok(Admin::Latency(latency));
    assert_eq!(admin(latency, "latest"), parsed(Latency::Latest));
    assert_eq!(admin(latency, "doctor"), parsed(Latency::Doctor));
    assert_eq!(admin(latency, "history e"), parsed(Latency::History(b"e")));
    assert_eq!(admin(latency, "graph e"), parsed(Latency::Graph(b"e")));
    assert_eq!(admin(latency, "reset"), parsed(Latency::Reset(vec![])));
    assert_eq!(
        admin(latency, "reset a b"),
        parsed(Latency::Reset(vec![b"a", b"b"]))
    );
    for line in [
        "bogus",
        "latest x",
        "history",
        "history a b",
        "graph",
        "doctor x",
    ] {
        let word = line.split(' ').next().expect("a word").as_bytes();
        let refused = ParseError::Near(word, "latency");
        assert_eq!(admin(latency, line), Err(refused), "{line}");
    }
    assert_eq!(admin(latency, ""), Err(ParseError::WrongArity("latency")));
}

#[test]
fn debug_knows_its_subcommands() {
    let ms = Duration::from_millis;
    for (line, expected) in [
        ("flushall", Debug::FlushAll),
        ("LOADAOF", Debug::LoadLog),
        ("structsize", Debug::StructSize),
        ("segfault", Debug::Crash(Crash::Segfault)),
        ("oom", Debug::Crash(Crash::OutOfMemory)),
        ("assert", Debug::Crash(Crash::Assert)),
        ("restart", Debug::Restart(ms(0))),
        ("restart 20", Debug::Restart(ms(20))),
        ("crash-and-recover", Debug::CrashAndRecover(ms(0))),
        ("crash-and-recover -5", Debug::CrashAndRecover(ms(0))),
        ("sleep 0.25", Debug::Sleep(ms(250))),
        ("sleep 1e1", Debug::Sleep(ms(10_000))),
        ("error BROKEN", Debug::Error(b"BROKEN")),
    ] {
        assert_eq!(admin(debug, line), Ok(Admin::Debug(expected)), "{line}");
    }
    for line in [
        "sleep x",
        "sleep -1",
        "sleep inf",
        "sleep nan",
        "sleep 1e300",
    ] {
        assert_eq!(admin(debug, line), Err(ParseError::NotFloat), "{line}");
    }
    assert_eq!(admin(debug, "restart x"), Err(ParseError::NotInteger));
    for line in ["Bogus", "sleep", "error", "flushall now", "restart 1 2"] {
        let word = line.split(' ').next().expect("a word").as_bytes();
        assert_eq!(
            admin(debug, line),
            Err(ParseError::DebugUsage(word)),
            "{line}"
        );
    }
    assert_eq!(admin(debug, ""), Err(ParseError::WrongArity("debug")));
}
