//! Whatever a client gets wrong is answered by one clear error, changes nothing, and leaves the connection usable.

use std::collections::BTreeMap;

use crate::fixture::Node;
use crate::jobs::UNKNOWN;
use crate::wire::{Connection, Reply, encode, error, int, simple, wrong_arity};

const SYNTAX: &str = "ERR syntax error";
const BAD_ID: &str = "BADID Invalid Job ID format.";
const NO_INTEGER: &str = "ERR value is not an integer or out of range";
const TIMEOUT: &str = "ERR timeout is not an integer or out of range";
const TIMEOUT_NEGATIVE: &str = "ERR timeout is negative";
const REPLICATE: &str = "ERR REPLICATE must be between 1 and 65535";
const TTL: &str = "ERR TTL must be a number > 0";
const RETRY: &str = "ERR RETRY time must be a non negative number";
const DELAY: &str = "ERR DELAY time must be a non negative number";
const MAXLEN: &str = "ERR MAXLEN must be a positive number";
const COUNT: &str = "ERR COUNT must be a number greater than zero";
const CURSOR: &str = "ERR invalid cursor or option name";

/// What no counting option can mean: words, fractions, padding, and numbers beyond 64 bits.
const NO_NUMBERS: [&str; 9] = [
    "x",
    "1.5",
    "",
    "0x10",
    "1e3",
    "+-1",
    "9223372036854775808",
    "-9223372036854775809",
    "1 ",
];

/// A command that must be refused, and the answer to it.
type Case<'a> = (&'a str, &'a str);

/// Sends what must be refused, and looks after each that nothing has changed.
struct Checker {
    _node: Node,
    client: Connection,
    observer: Connection,
    /// Ids of a queued, a delivered and a delayed job.
    ids: [String; 3],
    state: BTreeMap<String, Vec<Reply>>,
}

impl Checker {
    fn new() -> Self {
        let node = Node::start();
        let mut client = node.connect();
        let delivered = client.add("q", "delivered", "RETRY 600");
        client.take("q");
        let queued = client.add("q", "queued", "RETRY 600");
        let delayed = client.add("r", "delayed", "DELAY 600 RETRY 600");
        client.call("PAUSE paused in");
        let mut observer = node.connect();
        let state = fingerprint(&mut observer);
        Self {
            _node: node,
            client,
            observer,
            ids: [queued, delivered, delayed],
            state,
        }
    }

    #[track_caller]
    fn refuses(&mut self, arguments: &[impl AsRef<[u8]>], expected: &Reply) {
        let shown = encode(arguments).escape_ascii().to_string();
        let reply = self.client.call_arguments(arguments);
        let same = match expected {
            Reply::Error(text) => reply.refuses(text),
            expected => reply == *expected,
        };
        assert!(same, "{shown}: {reply:?}, not {expected:?}");
        assert_eq!(
            self.client.call("PING"),
            simple("PONG"),
            "the connection is usable after {shown}"
        );
        assert_eq!(
            fingerprint(&mut self.observer),
            self.state,
            "something changed by {shown}"
        );
    }

    #[track_caller]
    fn refuses_words(&mut self, command: &str, text: &str) {
        self.refuses(&command.split(' ').collect::<Vec<_>>(), &error(text));
    }

    #[track_caller]
    fn refuses_all(&mut self, cases: &[Case<'_>]) {
        for (command, text) in cases {
            self.refuses_words(command, text);
        }
    }

    /// Puts each of the values in place of `?`.
    #[track_caller]
    fn refuses_each(&mut self, command: &str, values: &[&str], text: &str) {
        for value in values {
            let arguments: Vec<_> = command
                .split(' ')
                .map(|word| if word == "?" { value } else { word })
                .collect();
            self.refuses(&arguments, &error(text));
        }
    }
}

/// All that a refused command could have changed: each job and each queue, without what passes by itself.
fn fingerprint(client: &mut Connection) -> BTreeMap<String, Vec<Reply>> {
    let mut state = BTreeMap::new();
    let jobs = client.call("JSCAN BUSYLOOP REPLY all");
    for job in jobs.items()[1].items() {
        let lasting = [
            "queue",
            "state",
            "repl",
            "retry",
            "delay",
            "nacks",
            "additional-deliveries",
            "ctime",
            "body",
        ];
        let values = lasting
            .iter()
            .map(|field| job.field(field).clone())
            .collect();
        state.insert(job.field("id").text(), values);
    }
    let queues = client.call("QSCAN BUSYLOOP");
    for queue in queues.items()[1].items() {
        let figures = client.call_arguments(&[b"QSTAT", queue.bytes()]);
        let values = ["len", "jobs-in", "jobs-out", "pause", "blocked"]
            .map(|field| figures.field(field).clone());
        state.insert(format!("queue {}", queue.text()), values.to_vec());
    }
    state
}

#[test]
fn wrong_numbers_of_arguments() {
    let mut checker = Checker::new();
    let too_few = [
        "ADDJOB",
        "ADDJOB q",
        "ADDJOB q body",
        "GETJOB",
        "SHOW",
        "EXPLAIN",
        "WORKING",
        "QLEN",
        "QPEEK",
        "QPEEK q",
        "QSTAT",
        "PAUSE",
        "PAUSE q",
        "QCONFIG q SET",
        "QCONFIG q UNSET",
        "QPURGE",
        "AUTH",
        "DEBUG",
        "CONFIG",
        "CLUSTER",
        "CLIENT",
        "SLOWLOG",
        "LATENCY",
        "LOADJOB",
        "ECHO",
        "SELECT",
    ];
    let too_many = [
        "SHOW a b",
        "EXPLAIN a b",
        "WORKING a b",
        "QLEN a b",
        "QPEEK q 1 2",
        "QSTAT a b",
        "MONITOR x",
        "TIME x",
        "LOADJOB a b",
        "BGREWRITEAOF x",
        "PING a b",
        "ECHO a b",
        "SELECT 0 0",
        "addjob q",
        "QlEn",
    ];
    for command in too_few.iter().chain(&too_many) {
        let name = command
            .split(' ')
            .next()
            .expect("a command has a name")
            .to_lowercase();
        let expected = wrong_arity(&name);
        checker.refuses(&command.split(' ').collect::<Vec<_>>(), &expected);
    }
}

#[test]
fn addjob_options() {
    let mut checker = Checker::new();
    checker.refuses_all(&[
        ("ADDJOB q b 0 BOGUS", SYNTAX),
        ("ADDJOB q b 0 BOGUS 5", SYNTAX),
        ("ADDJOB q b 0 RETRY", SYNTAX),
        ("ADDJOB q b 0 TTL", SYNTAX),
        ("ADDJOB q b 0 ASYNC DELAY", SYNTAX),
        ("ADDJOB q b 0 REPLICATE", SYNTAX),
        ("ADDJOB q b 0 MAXLEN", SYNTAX),
        ("ADDJOB q b 0 RETRY 1 5", SYNTAX),
        ("ADDJOB q b -1", TIMEOUT_NEGATIVE),
        ("ADDJOB q b -9223372036854775808", TIMEOUT_NEGATIVE),
        ("ADDJOB q b x TTL 0", TTL),
        ("ADDJOB q b x RETRY -1", RETRY),
        ("ADDJOB q b -1 BOGUS", SYNTAX),
        ("ADDJOB q b 0 RETRY -1 TTL 0", RETRY),
        ("ADDJOB q b 0 TTL 0 RETRY -1", TTL),
        ("ADDJOB q b 0 REPLICATE 99999", REPLICATE),
        ("ADDJOB q b 0 REPLICATE 65536", REPLICATE),
    ]);
    let with = |more: &[&'static str]| {
        NO_NUMBERS
            .iter()
            .copied()
            .chain(more.iter().copied())
            .collect::<Vec<_>>()
    };
    checker.refuses_each("ADDJOB q b ?", &NO_NUMBERS, TIMEOUT);
    checker.refuses_each(
        "ADDJOB q b 0 REPLICATE ?",
        &with(&["0", "-1", "-9223372036854775808"]),
        REPLICATE,
    );
    checker.refuses_each(
        "ADDJOB q b 0 TTL ?",
        &with(&["0", "-1", "-9223372036854775808"]),
        TTL,
    );
    checker.refuses_each(
        "ADDJOB q b 0 RETRY ?",
        &with(&["-1", "-9223372036854775808"]),
        RETRY,
    );
    checker.refuses_each(
        "ADDJOB q b 0 DELAY ?",
        &with(&["-1", "-9223372036854775808"]),
        DELAY,
    );
    checker.refuses_each(
        "ADDJOB q b 0 MAXLEN ?",
        &with(&["0", "-1", "-9223372036854775808"]),
        MAXLEN,
    );
    let too_late =
        "ERR The specified DELAY is greater than TTL. Job refused since would never be delivered";
    checker.refuses_all(&[
        ("ADDJOB q b 0 DELAY 5 TTL 5", too_late),
        ("ADDJOB q b 0 DELAY 9223372036854775807", too_late),
        (
            "ADDJOB paused b 0",
            "PAUSED Queue paused in input, try later",
        ),
        (
            "ADDJOB q b 0 MAXLEN 1",
            "MAXLEN Queue is already longer than the specified MAXLEN count",
        ),
        (
            "ADDJOB q b 0 REPLICATE 65535",
            "NOREPL Not enough reachable nodes for the requested replication level",
        ),
    ]);
}

#[test]
fn times_beyond_what_can_be_kept_do_no_harm() {
    let node = Node::start();
    let mut client = node.connect();
    for options in [
        "TTL 9223372036854775807",
        "TTL 4294967296",
        "RETRY 9223372036854775807",
        "RETRY 4294967295",
        "TTL 9223372036854775807 DELAY 9223372036854775806",
        "TTL 4294967295 DELAY 4294967294 RETRY 4294967295",
        "MAXLEN 9223372036854775807",
    ] {
        // Kept as the largest that there is, or refused: both are clear answers. Overflowing is not.
        match client.call(&format!("ADDJOB q body 9223372036854775807 {options}")) {
            Reply::Simple(id) => {
                let shown = client.show(&id);
                assert!(shown.field("ttl").int() > 80_000, "{options}: {shown:?}");
                assert!(
                    shown.field("next-requeue-within").int() > 250_000,
                    "{options}: {shown:?}"
                );
                assert_eq!(client.call(&format!("ACKJOB {id}")), int(1));
            }
            Reply::Error(text) => assert!(text.starts_with("ERR "), "{options}: {text}"),
            other => panic!("{options}: {other:?}"),
        }
    }
    assert_eq!(client.call("GETJOB TIMEOUT 1 FROM q"), Reply::NilArray);
}

#[test]
fn getjob_options() {
    let mut checker = Checker::new();
    checker.refuses_all(&[
        ("GETJOB NOHANG", SYNTAX),
        ("GETJOB FROM", SYNTAX),
        ("GETJOB q", SYNTAX),
        ("GETJOB NOHANG q", SYNTAX),
        ("GETJOB BOGUS FROM q", SYNTAX),
        ("GETJOB COUNT", SYNTAX),
        ("GETJOB TIMEOUT", SYNTAX),
        ("GETJOB COUNT 1 TIMEOUT", SYNTAX),
        ("GETJOB NOHANG COUNT 1 FROM", SYNTAX),
        ("GETJOB TIMEOUT -1 FROM q", TIMEOUT_NEGATIVE),
        ("GETJOB COUNT FROM q", COUNT),
    ]);
    checker.refuses_each("GETJOB TIMEOUT ? FROM q", &NO_NUMBERS, TIMEOUT);
    checker.refuses_each("GETJOB COUNT ? FROM q", &NO_NUMBERS, COUNT);
    checker.refuses_each(
        "GETJOB NOHANG COUNT ? FROM q",
        &["0", "-1", "-9223372036854775808"],
        COUNT,
    );
}

#[test]
fn one_bad_id_in_a_list_changes_nothing() {
    let mut checker = Checker::new();
    let [queued, delivered, delayed] = checker.ids.clone();
    let bad_ids: [&[u8]; 13] = [
        b"",
        b"x",
        b"D-",
        &UNKNOWN.as_bytes()[..39],
        b"D-dcb833cf-8YL1NT17e9+wsA/09NqxscQI-05a1x",
        b"d-dcb833cf-8YL1NT17e9+wsA/09NqxscQI-05a1",
        b"DXdcb833cf-8YL1NT17e9+wsA/09NqxscQI-05a1",
        b"D-dcb833cfX8YL1NT17e9+wsA/09NqxscQI-05a1",
        b"D-dcb833cf-8YL1NT17e9+wsA/09NqxscQIX05a1",
        b"D-dcb833cf 8YL1NT17e9+wsA/09NqxscQI 05a1",
        b"----------------------------------------",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        &[0xff; 4096],
    ];
    for command in ["ACKJOB", "FASTACK", "DELJOB", "ENQUEUE", "NACK", "DEQUEUE"] {
        for bad in bad_ids {
            let [a, b, c] = [&queued, &delivered, &delayed].map(String::as_bytes);
            checker.refuses(&[command.as_bytes(), bad], &error(BAD_ID));
            checker.refuses(&[command.as_bytes(), a, b, c, bad], &error(BAD_ID));
            checker.refuses(&[command.as_bytes(), bad, a, b, c], &error(BAD_ID));
            checker.refuses(&[command.as_bytes(), a, bad, b], &error(BAD_ID));
        }
    }
    for bad in bad_ids {
        checker.refuses(&[b"SHOW", bad], &error(BAD_ID));
        checker.refuses(&[b"EXPLAIN", bad], &error(BAD_ID));
        checker.refuses(&[b"WORKING", bad], &error(BAD_ID));
    }
}

#[test]
fn an_id_in_the_right_shape_is_valid_and_unknown() {
    let mut checker = Checker::new();
    let odd_ones: [&[u8]; 4] = [
        b"D-XXXXXXXX-????????????????????????-????",
        b"D-\xff\xff\xff\xff\xff\xff\xff\xff-........................-zzzz",
        b"D-dcb833cf-8YL1NT17e9+wsA/09NqxscQI-05A1",
        b"D-        -\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n-\0\0\0\0",
    ];
    for id in odd_ones {
        for command in ["ACKJOB", "FASTACK", "DELJOB", "ENQUEUE", "NACK", "DEQUEUE"] {
            checker.refuses(&[command.as_bytes(), id], &int(0));
        }
        checker.refuses(&[b"SHOW", id], &Reply::NilBulk);
        checker.refuses(&[b"EXPLAIN", id], &Reply::NilBulk);
        checker.refuses(
            &[b"WORKING", id],
            &error("NOJOB Job not known in the context of this node."),
        );
    }
}

#[test]
fn queue_commands() {
    let mut checker = Checker::new();
    checker.refuses_each("QPEEK q ?", &NO_NUMBERS, NO_INTEGER);
    checker.refuses_all(&[
        ("PAUSE q bogus", SYNTAX),
        ("PAUSE q in bogus", SYNTAX),
        ("PAUSE new bogus", SYNTAX),
        ("PAUSE q 1", SYNTAX),
        ("QCONFIG q SETT ttl 5", SYNTAX),
        ("QCONFIG q GET", SYNTAX),
        ("QCONFIG q SET ttl", SYNTAX),
        (
            "QCONFIG q SET ttl 5 prio 1",
            "ERR unknown policy 'prio': one of retry, ttl, delay, replicate, maxlen, priority, keep, max-deliver, dead-queue, backoff, dead-ttl, pause-in, pause-out",
        ),
        (
            "QCONFIG q UNSET bogus",
            "ERR unknown policy 'bogus': one of retry, ttl, delay, replicate, maxlen, priority, keep, max-deliver, dead-queue, backoff, dead-ttl, pause-in, pause-out",
        ),
        (
            "QCONFIG q SET pause-in maybe",
            "ERR pause-in must be yes or no",
        ),
        (
            "QCONFIG q* SET pause-out yes",
            "ERR pause-out takes the name of a queue, not a prefix",
        ),
    ]);
    checker.refuses_each("QCONFIG q SET ttl 5 retry ?", &NO_NUMBERS, RETRY);
    checker.refuses_each("QCONFIG q SET retry 5 ttl ?", &NO_NUMBERS, TTL);
    checker.refuses_each("QCONFIG q SET delay ?", &NO_NUMBERS, DELAY);
    checker.refuses_each("QCONFIG q SET replicate ?", &NO_NUMBERS, REPLICATE);
    checker.refuses_each("QCONFIG q SET maxlen ?", &NO_NUMBERS, MAXLEN);
    checker.refuses_each("QCONFIG q SET replicate ?", &["0", "65536"], REPLICATE);
    assert_eq!(checker.client.call("QCONFIG"), Reply::Array(vec![]));
    for scan in ["QSCAN", "JSCAN"] {
        checker.refuses_all(&[
            (&format!("{scan} x"), CURSOR),
            (&format!("{scan} -1"), CURSOR),
            (&format!("{scan} BOGUS"), CURSOR),
            (&format!("{scan} 0 BOGUS"), SYNTAX),
            (&format!("{scan} COUNT"), CURSOR),
            (&format!("{scan} 0 COUNT"), CURSOR),
            (&format!("{scan} 18446744073709551616"), CURSOR),
            (&format!("{scan} 0 0"), SYNTAX),
            (&format!("{scan} 5 COUNT 3 7"), SYNTAX),
        ]);
        checker.refuses_each(&format!("{scan} COUNT ?"), &NO_NUMBERS, NO_INTEGER);
    }
    for option in ["MINLEN", "MAXLEN", "IMPORTRATE"] {
        checker.refuses_each(&format!("QSCAN 0 {option} ?"), &NO_NUMBERS, NO_INTEGER);
        checker.refuses_words(&format!("QSCAN {option}"), CURSOR);
    }
    checker.refuses_each("QLIST COUNT ?", &NO_NUMBERS, COUNT);
    checker.refuses_all(&[
        ("QLIST COUNT 0", COUNT),
        ("QLIST SORT size", "ERR SORT must be name, ready or age"),
        (
            "QLIST MATHC q*",
            "ERR syntax error near 'MATHC': did you mean MATCH?",
        ),
        ("QLIST LOCAL MATCH", SYNTAX),
        ("QLIST GLOBAL", SYNTAX),
    ]);
    checker.refuses_all(&[
        ("JSCAN STATE bogus", "ERR Invalid job state name"),
        (
            "JSCAN STATE queued STATE done",
            "ERR Invalid job state name",
        ),
        ("JSCAN REPLY some", "ERR Invalid REPLY type, try ID or ALL"),
        ("JSCAN STATE", CURSOR),
        ("JSCAN QUEUE", CURSOR),
        ("JSCAN REPLY", CURSOR),
        ("QSCAN QUEUE q", CURSOR),
        ("JSCAN MINLEN 1", CURSOR),
    ]);
}

#[test]
fn commands_of_the_server() {
    let mut checker = Checker::new();
    checker.refuses_all(&[
        ("NOSUCHCOMMAND", "ERR unknown command 'NOSUCHCOMMAND'"),
        ("GET key", "ERR unknown command 'GET'"),
        ("DBSIZE", "ERR unknown command 'DBSIZE'"),
        ("MULTI", "ERR unknown command 'MULTI'"),
        ("SHUTDOWN NOW", SYNTAX),
        ("SHUTDOWN REWRITE-AOF twice", SYNTAX),
        ("SELECT 1", "ERR DB index is out of range"),
        ("HELLO 4", "NOPROTO unsupported protocol version"),
        (
            "CONFIG SET nosuch 1",
            "ERR Unsupported CONFIG parameter: nosuch",
        ),
        (
            "CONFIG SET maxclients -1",
            "ERR Invalid argument '-1' for CONFIG SET 'maxclients'",
        ),
        (
            "CONFIG SET dir /no/such/folder",
            "ERR Changing directory: No such file or directory",
        ),
        (
            "CLUSTER BOGUS",
            "ERR Wrong CLUSTER subcommand or number of arguments",
        ),
        (
            "CLUSTER MYID x",
            "ERR Wrong CLUSTER subcommand or number of arguments",
        ),
        ("CLUSTER RESET hardly", SYNTAX),
        ("CLIENT KILL 1.2.3.4:5", "ERR No such client"),
        (
            "DEBUG bogus",
            "ERR Unknown DEBUG subcommand or wrong number of arguments for 'bogus'",
        ),
        (
            "COMMAND BOGUS",
            "ERR Unknown subcommand or wrong number of arguments.",
        ),
        (
            "LOADJOB x",
            "ERR LOADJOB is a special command only processed from AOF",
        ),
        (
            "AUTH x",
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        ),
    ]);
    let refused = checker.client.call("SELECT x");
    assert!(refused.error_text().starts_with("ERR "), "{refused:?}");
    let refused = checker.client.call("DEBUG SLEEP x");
    assert!(refused.error_text().starts_with("ERR "), "{refused:?}");
    let refused = checker.client.call("CLIENT PAUSE x");
    assert!(refused.error_text().starts_with("ERR "), "{refused:?}");
    checker.refuses_words(
        "SLOWLOG NOSUCH",
        "ERR Unknown SLOWLOG subcommand or wrong # of args. Try GET, RESET, LEN.",
    );
}

#[test]
fn garbage_of_every_kind_leaves_the_server_up() {
    let node = Node::start();
    let mut client = node.connect();
    client.add("q", "body", "");
    let state = fingerprint(&mut client);
    // A small generator, so that a failure comes again.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..300 {
        let mut connection = node.connect();
        let length = next() % 200;
        let mut bytes: Vec<u8> = (0..length).map(|_| (next() >> 32) as u8).collect();
        if round % 3 == 0 {
            bytes.splice(0..0, *b"*3\r\n$6\r\nNOSUCH\r\n$");
        }
        connection.send_raw(&bytes);
        connection.finish_sending();
        connection.rest();
    }
    assert_eq!(client.call("PING"), simple("PONG"));
    assert_eq!(fingerprint(&mut client), state);
}
