use super::*;
use crate::Parser;

fn core(parse: Parser, line: &str) -> Result<Command<'_>, ParseError<'_>> {
    let args: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
    match parse(&args)? {
        Request::Core(command) => Ok(command),
        Request::Admin(admin) => panic!("not for the core: {admin:?}"),
    }
}

#[test]
fn qlen_qstat_and_qpeek_name_a_queue() {
    assert_eq!(core(length, "q"), Ok(Command::QueueLength(b"q")));
    let stat_of = |detail| {
        Ok(Command::QueueStat {
            queue: b"q",
            detail,
        })
    };
    assert_eq!(core(stat, "q"), stat_of(Detail::Plain));
    assert_eq!(core(stat, "q full"), stat_of(Detail::Full));
    let peeked = |count| {
        Ok(Command::QueuePeek {
            queue: b"q",
            count,
            is_meta: false,
        })
    };
    assert_eq!(core(peek, "q 5"), peeked(5));
    assert_eq!(core(peek, "q -5"), peeked(-5));
    assert_eq!(core(peek, "q 0"), peeked(0));
    for bad in ["q x", "q 1.0", "q 9223372036854775808"] {
        assert_eq!(core(peek, bad), Err(ParseError::NotInteger), "{bad}");
    }
    assert_eq!(core(length, ""), Err(ParseError::WrongArity("qlen")));
    for bad in ["", "q x", "q FULL x", "q FULL FULL"] {
        let refused = Err(ParseError::WrongArity("qstat"));
        assert_eq!(core(stat, bad), refused, "{bad}");
    }
    assert_eq!(core(peek, "q"), Err(ParseError::WrongArity("qpeek")));
}

#[test]
fn with_global_at_the_end_the_whole_cluster_is_asked() {
    let queue = QueueName::new(b"q");
    let global = |question| Ok(Command::Global(question));
    let length_of = Question::QueueLength(queue.clone());
    assert_eq!(core(length, "q GLOBAL"), global(length_of));
    let stat_of = |detail| {
        let queue = queue.clone();
        global(Question::QueueStat { queue, detail })
    };
    assert_eq!(core(stat, "q global"), stat_of(Detail::Plain));
    assert_eq!(core(stat, "q GLOBAL FULL"), stat_of(Detail::Full));
    assert_eq!(core(stat, "q Full Global"), stat_of(Detail::Full));
    let peeked = Question::QueuePeek {
        queue: queue.clone(),
        count: -3,
        is_meta: false,
    };
    assert_eq!(core(peek, "q -3 Global"), global(peeked));
    let scan = Question::JobScan {
        cursor: 7,
        count: None,
        queue: Some(queue),
        states: vec![JobState::Queued],
        reply: ScanReply::All,
    };
    let line = "7 QUEUE q BUSYLOOP STATE queued REPLY all GLOBAL";
    assert_eq!(core(job_scan, line), global(scan));
    let scan = Question::QueueScan(QueueScan {
        cursor: 7,
        count: Some(5),
        min_len: Some(1),
        max_len: None,
        import_rate: None,
    });
    assert_eq!(core(queue_scan, "MINLEN 1 7 COUNT 5 GLOBAL"), global(scan));
}

#[test]
fn qlist_takes_its_options_in_any_order() {
    let list = |pattern: Option<&[u8]>, order, count| QueueList {
        pattern: pattern.map(Into::into),
        order,
        count,
    };
    let of_all = |list| Ok(Command::Global(Question::Queues(QueuesWanted::First(list))));
    let usual = list(None, QueueOrder::Name, 1000);
    assert_eq!(core(super::list, ""), of_all(usual.clone()));
    assert_eq!(core(super::list, "local"), Ok(Command::QueueList(usual)));
    let some = list(Some(b"m*"), QueueOrder::Ready, 7);
    for line in [
        "MATCH m* SORT ready COUNT 7",
        "count 7 sort READY match m*",
        "COUNT 1 MATCH x SORT name COUNT 7 MATCH m* SORT Ready",
    ] {
        assert_eq!(core(super::list, line), of_all(some.clone()), "{line}");
    }
    let named = list(Some(b"LOCAL"), QueueOrder::Age, 1000);
    assert_eq!(core(super::list, "MATCH LOCAL SORT age"), of_all(named));
}

#[test]
fn qlist_says_what_is_wrong() {
    for (line, expected) in [
        ("SORT size", ParseError::ListOrder),
        ("COUNT 0", ParseError::Count),
        ("COUNT -1", ParseError::Count),
        ("COUNT x", ParseError::Count),
        ("MATCH", ParseError::NoValue(b"MATCH")),
        ("LOCAL SORT", ParseError::NoValue(b"SORT")),
        ("GLOBAL", ParseError::Near(b"GLOBAL", "qlist")),
    ] {
        assert_eq!(core(list, line), Err(expected), "{line}");
    }
}

#[test]
fn global_elsewhere_is_what_it_was() {
    let named = Command::QueueLength(b"GLOBAL");
    assert_eq!(core(length, "GLOBAL"), Ok(named));
    let Ok(Command::JobScan(scan)) = core(job_scan, "QUEUE GLOBAL") else {
        panic!("a scan of a queue")
    };
    assert_eq!(scan.queue, Some(&b"GLOBAL"[..]));
    for (scan, name) in [(job_scan as Parser, "jscan"), (queue_scan, "qscan")] {
        let early = core(scan, "GLOBAL COUNT 5");
        let refused = ParseError::CursorOrOption(b"GLOBAL", name);
        assert_eq!(early, Err(refused));
    }
    let (queue, detail) = (&b"GLOBAL"[..], Detail::Plain);
    let named = Command::QueueStat { queue, detail };
    assert_eq!(core(stat, "GLOBAL"), Ok(named));
    assert_eq!(
        core(length, "q GLOBAL GLOBAL"),
        Err(ParseError::WrongArity("qlen"))
    );
    assert_eq!(core(peek, "q x GLOBAL"), Err(ParseError::NotInteger));
}

#[test]
fn pause_options_add_up_and_none_clears_them() {
    let both = |input, output| Some(PauseState { input, output });
    for (line, set, broadcast) in [
        ("q none", both(false, false), false),
        ("q in", both(true, false), false),
        ("q OUT", both(false, true), false),
        ("q all", both(true, true), false),
        ("q in out", both(true, true), false),
        ("q in none", both(false, false), false),
        ("q in none out", both(false, true), false),
        ("q state", None, false),
        ("q state state", None, false),
        ("q state in", both(true, false), false),
        ("q in state bcast", both(true, false), true),
        ("q bcast", None, true),
    ] {
        let queue = b"q";
        let expected = Command::Pause(Pause {
            queue,
            set,
            broadcast,
        });
        assert_eq!(core(pause, line), Ok(expected), "{line}");
    }
    assert_eq!(
        core(pause, "q in bogus"),
        Err(ParseError::Near(b"bogus", "pause"))
    );
    assert_eq!(core(pause, "q"), Err(ParseError::WrongArity("pause")));
    assert_eq!(core(pause, ""), Err(ParseError::WrongArity("pause")));
}

#[test]
fn qscan_takes_the_cursor_anywhere_or_not_at_all() {
    let plain = QueueScan {
        cursor: 0,
        count: Some(100),
        min_len: None,
        max_len: None,
        import_rate: None,
    };
    for (line, expected) in [
        ("", plain.clone()),
        ("0", plain.clone()),
        ("7", QueueScan { cursor: 7, ..plain }),
        (
            "count 5 18446744073709551615",
            QueueScan {
                cursor: u64::MAX,
                count: Some(5),
                ..plain
            },
        ),
        (
            "MINLEN -1 7 MAXLEN 9",
            QueueScan {
                cursor: 7,
                min_len: Some(-1),
                max_len: Some(9),
                ..plain
            },
        ),
        (
            "IMPORTRATE 3 BUSYLOOP",
            QueueScan {
                count: None,
                import_rate: Some(3),
                ..plain
            },
        ),
        (
            "BUSYLOOP COUNT 5",
            QueueScan {
                count: None,
                ..plain
            },
        ),
        (
            "COUNT 5 COUNT 6",
            QueueScan {
                count: Some(6),
                ..plain
            },
        ),
        (
            "COUNT 0",
            QueueScan {
                count: Some(1),
                ..plain
            },
        ),
        (
            "COUNT -3",
            QueueScan {
                count: Some(1),
                ..plain
            },
        ),
    ] {
        assert_eq!(
            core(queue_scan, line),
            Ok(Command::QueueScan(expected)),
            "{line}"
        );
    }
}

#[test]
fn both_scans_tell_apart_what_is_wrong() {
    fn neither<'a>(word: &'a str, scan: &'static str) -> ParseError<'a> {
        ParseError::CursorOrOption(word.as_bytes(), scan)
    }
    for (parse, scan) in [(queue_scan as Parser, "qscan"), (job_scan, "jscan")] {
        for (line, expected) in [
            ("x", neither("x", scan)),
            ("-1", neither("-1", scan)),
            ("+1", neither("+1", scan)),
            (
                "18446744073709551616",
                neither("18446744073709551616", scan),
            ),
            ("COUNT", neither("COUNT", scan)),
            ("0 COUNT", neither("COUNT", scan)),
            ("0 0", ParseError::Near(b"0", scan)),
            ("0 x", ParseError::Near(b"x", scan)),
            ("COUNT x", ParseError::NotInteger),
            ("COUNT 1.5", ParseError::NotInteger),
        ] {
            assert_eq!(core(parse, line), Err(expected), "{scan} {line}");
        }
    }
    for option in ["MINLEN", "MAXLEN", "IMPORTRATE"] {
        let line = format!("{option} x");
        assert_eq!(core(queue_scan, &line), Err(ParseError::NotInteger));
        assert_eq!(core(queue_scan, option), Err(neither(option, "qscan")));
    }
    for option in ["QUEUE", "STATE", "REPLY"] {
        assert_eq!(core(job_scan, option), Err(neither(option, "jscan")));
    }
    assert_eq!(
        core(queue_scan, "STATE active"),
        Err(neither("STATE", "qscan"))
    );
    assert_eq!(core(job_scan, "MINLEN 5"), Err(neither("MINLEN", "jscan")));
    assert_eq!(core(job_scan, "STATE bogus"), Err(ParseError::JobState));
    assert_eq!(core(job_scan, "REPLY bogus"), Err(ParseError::ScanReply));
}

#[test]
fn jscan_gathers_states_and_filters() {
    let plain = JobScan {
        cursor: 0,
        count: Some(100),
        queue: None,
        states: vec![],
        reply: ScanReply::Id,
    };
    assert_eq!(core(job_scan, ""), Ok(Command::JobScan(plain)));
    let line = "BUSYLOOP QUEUE 5 STATE wait-repl STATE ACTIVE REPLY All state queued STATE active state acked 7";
    let all = JobScan {
        cursor: 7,
        count: None,
        queue: Some(b"5"),
        states: vec![
            JobState::WaitReplicas,
            JobState::Active,
            JobState::Queued,
            JobState::Acked,
        ],
        reply: ScanReply::All,
    };
    assert_eq!(core(job_scan, line), Ok(Command::JobScan(all)));
    let Ok(Command::JobScan(scan)) = core(job_scan, "REPLY all REPLY id") else {
        panic!("a JSCAN");
    };
    assert_eq!(scan.reply, ScanReply::Id);
}
