use std::time::Duration;

use super::*;
use crate::Parser;

const ID: &str = "D-dcb833cf-8YAH1b2K1b2K1b2K1b2K1b2K-05a1";
const FOREIGN: &str = "D-DCB833CF-8YAH1b2K1b2K1b2K1b2K1b2K-05a1";

fn core(parse: Parser, line: &str) -> Result<Command<'_>, ParseError<'_>> {
    let args: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
    match parse(&args)? {
        Request::Core(command) => Ok(command),
        Request::Admin(admin) => panic!("not for the core: {admin:?}"),
    }
}

fn added(line: &str) -> AddJob<'_> {
    match core(add_job, line) {
        Ok(Command::AddJob(job)) => job,
        other => panic!("{line}: {other:?}"),
    }
}

fn id() -> JobId {
    JobId::parse(ID.as_bytes())
        .expect("the form of an id")
        .expect("an id that a node made")
}

#[test]
fn addjob_alone_has_the_defaults() {
    assert_eq!(
        added("q b 0"),
        AddJob {
            timeout: None,
            replicate: None,
            delay: None,
            retry: None,
            ttl: None,
            max_len: None,
            replication: Replication::Synchronous,
            ..AddJob::new(b"q", b"b")
        }
    );
}

#[test]
fn addjob_takes_its_options_in_any_order_and_case() {
    let expected = AddJob {
        timeout: Some(Duration::from_millis(500)),
        replicate: Some(3),
        delay: Some(1),
        retry: Some(0),
        ttl: Some(60),
        max_len: Some(10),
        replication: Replication::Asynchronous,
        ..AddJob::new(b"q", b"b")
    };
    for line in [
        "q b 500 REPLICATE 3 DELAY 1 RETRY 0 TTL 60 MAXLEN 10 ASYNC",
        "q b 500 async maxlen 10 ttl 60 retry 0 delay 1 replicate 3",
        "q b 500 ASYNC ASYNC TTL 1 MaxLen 7 TTL 60 RETRY 5 RETRY 0 DELAY 1 REPLICATE 3 MAXLEN 10",
    ] {
        assert_eq!(added(line), expected, "{line}");
    }
}

#[test]
fn addjob_takes_any_bytes_for_queue_and_body() {
    let args: [&[u8]; 3] = [b"\xff\0\r\n", b"", b"0"];
    let Ok(Request::Core(Command::AddJob(job))) = add_job(&args) else {
        panic!("an ADDJOB");
    };
    assert_eq!((job.queue, job.body), (&b"\xff\0\r\n"[..], &b""[..]));
    let args: [&[u8]; 3] = [b"", b"TTL", b"0"];
    assert!(add_job(&args).is_ok());
}

#[test]
fn addjob_refuses_what_is_out_of_range() {
    for (line, expected) in [
        ("q b 0 REPLICATE 0", ParseError::Replicate),
        ("q b 0 REPLICATE -1", ParseError::Replicate),
        ("q b 0 REPLICATE two", ParseError::Replicate),
        ("q b 0 REPLICATE 65536", ParseError::Replicate),
        ("q b 0 REPLICATE 4294967297", ParseError::Replicate),
        ("q b 0 REPLICATE 01", ParseError::Replicate),
        ("q b 0 TTL 0", ParseError::Ttl),
        ("q b 0 TTL -5", ParseError::Ttl),
        ("q b 0 TTL x", ParseError::Ttl),
        ("q b 0 TTL 9223372036854775808", ParseError::Ttl),
        ("q b 0 RETRY -1", ParseError::Retry),
        ("q b 0 RETRY x", ParseError::Retry),
        ("q b 0 RETRY 1.5", ParseError::Retry),
        ("q b 0 DELAY -1", ParseError::Delay),
        ("q b 0 DELAY x", ParseError::Delay),
        ("q b 0 MAXLEN 0", ParseError::MaxLen),
        ("q b 0 MAXLEN -1", ParseError::MaxLen),
        ("q b 0 MAXLEN x", ParseError::MaxLen),
        ("q b x", ParseError::TimeoutNotInteger),
        ("q b 1.5", ParseError::TimeoutNotInteger),
        ("q b 9223372036854775808", ParseError::TimeoutNotInteger),
        ("q b +1", ParseError::TimeoutNotInteger),
        ("q b -1", ParseError::TimeoutNegative),
    ] {
        assert_eq!(core(add_job, line), Err(expected), "{line}");
    }
}

#[test]
fn addjob_refuses_unknown_options_and_missing_values() {
    for (line, word) in [
        ("q b 0 BOGUS", "BOGUS"),
        ("q b 0 0", "0"),
        ("q b 0 ASYNC x", "x"),
    ] {
        let refused = ParseError::Near(word.as_bytes(), "addjob");
        assert_eq!(core(add_job, line), Err(refused), "{line}");
    }
    for (line, option) in [
        ("q b 0 REPLICATE", "REPLICATE"),
        ("q b 0 TTL 5 DELAY", "DELAY"),
        ("q b 0 RETRY", "RETRY"),
        ("q b 0 MAXLEN", "MAXLEN"),
        ("q b 0 ttl", "ttl"),
    ] {
        let refused = ParseError::NoValue(option.as_bytes());
        assert_eq!(core(add_job, line), Err(refused), "{line}");
    }
    for line in ["", "q", "q b"] {
        assert_eq!(
            core(add_job, line),
            Err(ParseError::WrongArity("addjob")),
            "{line}"
        );
    }
}

#[test]
fn addjob_checks_options_from_left_to_right_then_the_timeout() {
    assert_eq!(core(add_job, "q b x TTL 0"), Err(ParseError::Ttl));
    assert_eq!(core(add_job, "q b -1 TTL 0 DELAY -1"), Err(ParseError::Ttl));
    assert_eq!(
        core(add_job, "q b 0 DELAY -1 TTL 0"),
        Err(ParseError::Delay)
    );
    assert_eq!(core(add_job, "q b 0 TTL 0 TTL 5"), Err(ParseError::Ttl));
    assert_eq!(
        core(add_job, "q b 0 BOGUS TTL 0"),
        Err(ParseError::Near(b"BOGUS", "addjob"))
    );
}

#[test]
fn addjob_bounds_are_inclusive_and_long_times_are_cut() {
    assert_eq!(added("q b 0 REPLICATE 65535").replicate, Some(65_535));
    assert_eq!(added("q b 0 TTL 1").ttl, Some(1));
    assert_eq!(added("q b 0 MAXLEN 1").max_len, Some(1));
    let job = added("q b 0 TTL 9223372036854775807 DELAY 4294967296 RETRY 4294967295");
    assert_eq!(
        (job.ttl, job.delay, job.retry),
        (Some(u32::MAX), Some(u32::MAX), Some(u32::MAX))
    );
    let job = added("q b 9223372036854775807");
    assert_eq!(job.timeout, Some(Duration::from_millis(i64::MAX as u64)));
}

#[test]
fn getjob_reads_options_until_from_and_queues_after_it() {
    let get = |line| match core(get_job, line) {
        Ok(Command::GetJob(get)) => get,
        other => panic!("{line}: {other:?}"),
    };
    let plain = GetJob {
        queues: vec![&b"q"[..]],
        count: 1,
        wait: Wait::Forever,
        told: Told::default(),
    };
    assert_eq!(get("FROM q"), plain);
    assert_eq!(get("timeout 0 from q"), plain);
    assert_eq!(
        get("NOHANG TIMEOUT 5 COUNT 1 COUNT 20 WITHCOUNTERS FROM q FROM COUNT q"),
        GetJob {
            queues: vec![b"q", b"FROM", b"COUNT", b"q"],
            count: 20,
            wait: Wait::No,
            told: Told {
                counters: true,
                ..Told::default()
            },
        }
    );
    assert_eq!(
        get("TIMEOUT 5 FROM q").wait,
        Wait::AtMost(Duration::from_millis(5))
    );
    assert_eq!(get("TIMEOUT 5 TIMEOUT 0 FROM q").wait, Wait::Forever);
}

#[test]
fn getjob_tells_apart_what_is_wrong() {
    for (line, expected) in [
        ("", ParseError::WrongArity("getjob")),
        ("NOHANG", ParseError::NoQueue),
        ("FROM", ParseError::NoQueue),
        ("NOHANG FROM", ParseError::NoQueue),
        ("BOGUS FROM q", ParseError::Near(b"BOGUS", "getjob")),
        ("q", ParseError::Near(b"q", "getjob")),
        ("COUNT", ParseError::NoValue(b"COUNT")),
        ("TIMEOUT", ParseError::NoValue(b"TIMEOUT")),
        ("COUNT FROM q", ParseError::Count),
        ("COUNT 0 FROM q", ParseError::Count),
        ("COUNT -1 FROM q", ParseError::Count),
        ("COUNT 9223372036854775808 FROM q", ParseError::Count),
        ("TIMEOUT x FROM q", ParseError::TimeoutNotInteger),
        ("TIMEOUT 1.5 FROM q", ParseError::TimeoutNotInteger),
        ("TIMEOUT -1 FROM q", ParseError::TimeoutNegative),
        ("TIMEOUT -1 COUNT 0 FROM q", ParseError::TimeoutNegative),
        ("COUNT 0 TIMEOUT -1", ParseError::Count),
    ] {
        assert_eq!(core(get_job, line), Err(expected), "{line}");
    }
}

#[test]
fn one_malformed_id_refuses_the_whole_list() {
    type Made = fn(Vec<JobId>) -> Command<'static>;
    let commands: [(Parser, Made); 6] = [
        (ack_job, Command::ack),
        (fast_ack, Command::FastAck),
        (del_job, Command::DelJob),
        (enqueue, Command::Enqueue),
        (nack, Command::nack),
        (dequeue, Command::Dequeue),
    ];
    for (parse, command) in commands {
        assert_eq!(core(parse, ""), Ok(command(vec![])));
        let twice = format!("{ID} {ID}");
        assert_eq!(core(parse, &twice), Ok(command(vec![id(), id()])));
        let mixed = format!("{ID} {FOREIGN}");
        assert_eq!(core(parse, &mixed), Ok(command(vec![id()])));
        for bad in ["x", "D-", &ID[1..], &format!("{ID}0")] {
            let line = format!("{ID} {bad} {ID}");
            assert_eq!(core(parse, &line), Err(ParseError::InvalidJobId), "{line}");
        }
    }
}

#[test]
fn show_takes_one_id_and_working_may_tell_of_progress() {
    assert_eq!(core(show, ID), Ok(Command::Show(Some(id()))));
    assert_eq!(core(show, FOREIGN), Ok(Command::Show(None)));
    assert_eq!(core(working, ID), Ok(Command::working(Some(id()))));
    assert_eq!(core(working, FOREIGN), Ok(Command::working(None)));
    for (parse, name) in [(show as Parser, "show"), (working, "working")] {
        assert_eq!(core(parse, "x"), Err(ParseError::InvalidJobId));
        assert_eq!(core(parse, ""), Err(ParseError::WrongArity(name)));
        assert_eq!(parse(&[b""]), Err(ParseError::InvalidJobId));
    }
    assert_eq!(core(show, "x y"), Err(ParseError::WrongArity("show")));
    let told = format!("{ID} PROGRESS a progress half");
    let half = Command::Working(Some(id()), Some(b"half"));
    assert_eq!(core(working, &told), Ok(half));
    let near = Err(ParseError::Near(b"PORGRESS", "working"));
    assert_eq!(core(working, &format!("{ID} PORGRESS x")), near);
    let bare = Err(ParseError::NoValue(b"PROGRESS"));
    assert_eq!(core(working, &format!("{ID} PROGRESS")), bare);
    let long = [b'x'; 1025];
    assert!(working(&[ID.as_bytes(), b"PROGRESS", &long[..1024]]).is_ok());
    let refused = working(&[ID.as_bytes(), b"PROGRESS", &long]);
    assert_eq!(refused, Err(ParseError::Progress));
}

#[test]
fn ackjob_takes_a_result_behind_its_ids() {
    let with = |text: &str| core(ack_job, text.replace("ID", ID).leak());
    let acked = |ids: usize, result| Ok(Command::AckJob(vec![id(); ids], result));
    assert_eq!(with("ID ID RESULT 42"), acked(2, Some(b"42")));
    assert_eq!(
        with("ID result 1 RESULT 2"),
        acked(1, Some(b"2")),
        "the last counts"
    );
    assert_eq!(with("RESULT 42"), acked(0, Some(b"42")));
    assert_eq!(with("ID RESULT RESULT"), acked(1, Some(b"RESULT")));
    assert_eq!(with("ID RESULT"), Err(ParseError::NoValue(b"RESULT")));
    assert_eq!(with("ID RESULT 1 x"), Err(ParseError::Near(b"x", "ackjob")));
    assert_eq!(
        with("ID RESLUT 1"),
        Err(ParseError::Near(b"RESLUT", "ackjob"))
    );
    assert_eq!(with("x RESULT 1"), Err(ParseError::InvalidJobId));
}

#[test]
fn deljob_ends_jobs_everywhere_with_global_at_its_end() {
    let with = |text: &str| core(del_job, text.replace("ID", ID).leak());
    assert_eq!(with("ID ID global"), Ok(Command::EndJob(vec![id(); 2])));
    assert_eq!(with("ID"), Ok(Command::DelJob(vec![id()])));
    assert_eq!(with("GLOBAL"), Ok(Command::EndJob(vec![])));
    assert!(with("ID GLOBAL ID").is_err(), "it comes last");
    assert_eq!(
        with("ID GLOABL"),
        Err(ParseError::Near(b"GLOABL", "deljob"))
    );
}

#[test]
fn waitjob_takes_a_timeout_and_a_thousand_ids() {
    let with = |text: &str| core(wait_job, text.replace("ID", ID).leak());
    let wait = |timeout: Option<u64>, ids: usize| {
        let text = ID.as_bytes().try_into().expect("an id has 40 bytes");
        Ok(Command::WaitJob(WaitJob {
            timeout: timeout.map(Duration::from_millis),
            ids: vec![(text, Some(id())); ids],
        }))
    };
    assert_eq!(with("ID"), wait(None, 1));
    assert_eq!(with("TIMEOUT 0 ID ID"), wait(None, 2));
    assert_eq!(with("timeout 5 TIMEOUT 7 ID"), wait(Some(7), 1));
    assert_eq!(with(&"ID ".repeat(1000)), wait(None, 1000));
    assert_eq!(with(&"ID ".repeat(1001)), Err(ParseError::TooManyIds));
    assert_eq!(with("TIMEOUT 5"), Err(ParseError::WrongArity("waitjob")));
    assert_eq!(with("TIMEOUT"), Err(ParseError::NoValue(b"TIMEOUT")));
    assert_eq!(with("TIMEOUT x ID"), Err(ParseError::TimeoutNotInteger));
    assert_eq!(with("TIMEOUT -1 ID"), Err(ParseError::TimeoutNegative));
    assert_eq!(
        with("ID TIMEOUT 5"),
        Err(ParseError::Near(b"TIMEOUT", "waitjob"))
    );
    assert_eq!(with("x"), Err(ParseError::InvalidJobId));
}

#[test]
fn keep_takes_up_to_a_week() {
    for (text, seconds) in [("1", 1_u32), ("604800", 604_800)] {
        let Ok(Command::AddJob(add)) = core(add_job, format!("q b 0 KEEP {text}").leak()) else {
            panic!("KEEP {text} is refused");
        };
        assert_eq!(add.extras.keep(), Some(seconds));
    }
    for text in ["0", "604801", "-1", "x", ""] {
        let refused = add_job(&[b"q", b"b", b"0", b"KEEP", text.as_bytes()]);
        assert_eq!(refused, Err(ParseError::Keep), "{text}");
    }
}

#[test]
fn dedup_takes_a_key_and_a_window() {
    let key = |key: &'static [u8], window| Some(Box::new(Dedup { key, window }));
    assert_eq!(added("q b 0").dedup, None);
    assert_eq!(added("q b 0 DEDUP k").dedup, key(b"k", 0));
    assert_eq!(added("q b 0 WINDOW 60 DEDUP k").dedup, key(b"k", 60));
    assert_eq!(added("q b 0 DEDUP a DEDUP b").dedup, key(b"b", 0));
    assert_eq!(added("q b 0 DEDUP ASYNC").dedup, key(b"ASYNC", 0));
    let long = "k".repeat(256);
    let line = format!("q b 0 DEDUP {long}").leak();
    assert_eq!(added(line).dedup, key(long.leak().as_bytes(), 0));
    let refused = |key: &'static [u8]| add_job(&[b"q", b"b", b"0", b"DEDUP", key]);
    assert_eq!(refused(b""), Err(ParseError::DedupKey));
    assert_eq!(refused(&[b'k'; 257]), Err(ParseError::DedupKey));
    let with = |options: &'static str| core(add_job, options);
    assert_eq!(with("q b 0 WINDOW 5"), Err(ParseError::WindowAlone));
    assert_eq!(with("q b 0 DEDUP k WINDOW x"), Err(ParseError::Window));
    assert_eq!(with("q b 0 DEDUP k WINDOW -1"), Err(ParseError::Window));
    assert_eq!(with("q b 0 DEDUP"), Err(ParseError::NoValue(b"DEDUP")));
    assert!(added("q b 0 RECEIPT").wants_receipt);
}

#[test]
fn loadjob_is_never_for_clients() {
    assert_eq!(core(load_job, "x"), Err(ParseError::LoadJob));
}
