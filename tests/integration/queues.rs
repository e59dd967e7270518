//! Queues: their length, figures and contents, pausing them, and walking over queues and jobs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::fixture::{Node, eventually};
use crate::wire::{Connection, Reply, array, bodies, bulk, error, int, jobs, simple};

/// The names of QSTAT's fields, in their order.
const QSTAT_FIELDS: [&str; 10] = [
    "name",
    "len",
    "age",
    "idle",
    "blocked",
    "import-from",
    "import-rate",
    "jobs-in",
    "jobs-out",
    "pause",
];

/// What FULL appends to them.
const FULL_FIELDS: [&str; 6] = [
    "active",
    "delayed",
    "dead",
    "copies",
    "restored",
    "restored-requeue-within",
];

/// What QLIST tells of each queue.
const QLIST_FIELDS: [&str; 10] = [
    "name",
    "ready",
    "active",
    "delayed",
    "dead",
    "oldest",
    "consumers",
    "in",
    "out",
    "paused",
];

fn start() -> (Node, Connection) {
    let node = Node::start();
    let client = node.connect();
    (node, client)
}

fn stat(client: &mut Connection, queue: &str, field: &str) -> Reply {
    client.call(&format!("QSTAT {queue}")).field(field).clone()
}

/// All of a scan, page by page; fails when it takes more pages than there can be.
fn scan(client: &mut Connection, command: &str) -> Vec<Reply> {
    let mut found = Vec::new();
    let mut cursor = "0".to_owned();
    for _ in 0..10_000 {
        let page = client.call(&command.replace("CURSOR", &cursor));
        let [next, items] = page.items() else {
            panic!("a scan answers two elements: {page:?}")
        };
        found.extend_from_slice(items.items());
        cursor = next.text();
        if cursor == "0" {
            return found;
        }
    }
    panic!("{command} does not end");
}

fn names(replies: &[Reply]) -> BTreeSet<String> {
    replies.iter().map(Reply::text).collect()
}

fn ids(replies: &[Reply]) -> BTreeSet<String> {
    replies
        .iter()
        .map(|reply| reply.simple_text().to_owned())
        .collect()
}

#[test]
fn qlen_counts_ready_jobs() {
    let (_node, mut client) = start();
    assert_eq!(client.call("QLEN q"), int(0));
    for n in 0..3 {
        client.add("q", &n.to_string(), "");
    }
    client.add("q", "delayed", "DELAY 60");
    assert_eq!(client.call("QLEN q"), int(3));
    client.take("q");
    assert_eq!(client.call("QLEN q"), int(2));
}

#[test]
fn qpeek_looks_from_either_end_and_takes_nothing() {
    let (_node, mut client) = start();
    for n in 0..5 {
        client.add("q", &n.to_string(), "");
    }
    assert_eq!(bodies(&client.call("QPEEK q 3")), ["0", "1", "2"]);
    assert_eq!(bodies(&client.call("QPEEK q -2")), ["4", "3"]);
    assert_eq!(
        bodies(&client.call("QPEEK q 100")),
        ["0", "1", "2", "3", "4"]
    );
    assert_eq!(
        bodies(&client.call("QPEEK q -100")),
        ["4", "3", "2", "1", "0"]
    );
    assert_eq!(client.call("QPEEK q 0"), Reply::Array(vec![]));
    assert_eq!(client.call("QPEEK unknown 5"), Reply::Array(vec![]));
    assert_eq!(
        client.call("QPEEK unknown -9223372036854775808"),
        Reply::Array(vec![])
    );
    assert_eq!(bodies(&client.call("QPEEK q 9223372036854775807")).len(), 5);
    assert_eq!(
        bodies(&client.call("QPEEK q -9223372036854775808")).len(),
        5
    );
    assert_eq!(client.length("q"), 5);
    client.call("PAUSE q all");
    let peeked = client.call("QPEEK q 1");
    assert_eq!(jobs(&peeked)[0].queue, "q");
    assert_eq!(
        client.call("QPEEK q few"),
        error("ERR value is not an integer or out of range")
    );
}

#[test]
fn qstat_has_twenty_elements_in_order() {
    let (_node, mut client) = start();
    assert_eq!(client.call("QSTAT q"), Reply::NilArray);
    for n in 0..3 {
        client.add("q", &n.to_string(), "");
    }
    client.call("GETJOB COUNT 2 FROM q");
    let figures = client.call("QSTAT q");
    let found: Vec<_> = figures.items().iter().step_by(2).map(Reply::text).collect();
    assert_eq!(found, QSTAT_FIELDS);
    assert_eq!(figures.items().len(), 20);
    let expected = [
        ("name", bulk("q")),
        ("len", int(1)),
        ("blocked", int(0)),
        ("import-from", Reply::Array(vec![])),
        ("import-rate", int(0)),
        ("jobs-in", int(3)),
        ("jobs-out", int(2)),
        ("pause", bulk("none")),
    ];
    for (name, value) in expected {
        assert_eq!(*figures.field(name), value, "{name}");
    }
    assert!((0..=5).contains(&figures.field("age").int()));
    assert!((0..=5).contains(&figures.field("idle").int()));
}

/// The names of the queues of a list.
fn listed(client: &mut Connection, command: &str) -> Vec<String> {
    let reply = client.call(command);
    let [queues, missing] = reply.items() else {
        panic!("{command}: {reply:?}");
    };
    assert_eq!(*missing, Reply::Array(vec![]), "{command}");
    let names = queues.items().iter().map(|it| it.field("name").text());
    names.collect()
}

#[test]
fn qlist_lists_queues_with_their_figures() {
    let (_node, mut client) = start();
    assert_eq!(listed(&mut client, "QLIST"), [""; 0]);
    for n in 0..25 {
        client.add("mail", &n.to_string(), "");
    }
    client.add("mail", "later", "DELAY 100");
    let taken = client.take("mail");
    client.call(&format!("NACK {} DEAD", taken.id));
    client.take("mail");
    client.add("a", "x", "");
    client.call("PAUSE a out");
    let reply = client.call("QLIST MATCH mail");
    let queue = reply.items()[0].items()[0].clone();
    let found: Vec<_> = queue.items().iter().step_by(2).map(Reply::text).collect();
    assert_eq!(found, QLIST_FIELDS);
    let expected = [
        ("ready", int(23)),
        ("active", int(1)),
        ("delayed", int(1)),
        ("dead", int(0)),
        ("consumers", int(0)),
        ("in", int(3)),
        ("out", int(1)),
        ("paused", bulk("none")),
    ];
    for (name, value) in expected {
        assert_eq!(*queue.field(name), value, "{name}");
    }
    assert!((0..=5).contains(&queue.field("oldest").int()));
    let reply = client.call("QLIST LOCAL");
    let others = reply.items()[0].items();
    assert_eq!(*others[0].field("paused"), bulk("out"));
    assert_eq!(
        (others[2].field("ready"), others[2].field("dead")),
        (&int(1), &int(1))
    );
    let everything = ["a", "mail", "mail.dead"];
    assert_eq!(listed(&mut client, "QLIST"), everything);
    assert_eq!(
        listed(&mut client, "QLIST SORT ready COUNT 2"),
        ["mail", "a"]
    );
    assert_eq!(listed(&mut client, "QLIST SORT age COUNT 2").len(), 2);
    assert_eq!(
        listed(&mut client, "QLIST MATCH mail.* LOCAL"),
        ["mail.dead"]
    );
    client.call("HELLO 3");
    let reply = client.call("QLIST COUNT 1");
    assert!(
        matches!(reply.items()[0].items()[0], Reply::Map(_)),
        "{reply:?}"
    );
}

#[test]
fn qstat_full_and_info_count_the_jobs_that_are_not_ready() {
    let (_node, mut client) = start();
    assert_eq!(client.call("QSTAT q FULL"), Reply::NilArray);
    client.add("q", "later", "DELAY 100");
    assert_eq!(stat(&mut client, "q", "len"), int(0), "it is known");
    assert_eq!(
        names(&scan(&mut client, "QSCAN CURSOR")),
        ["q".to_owned()].into()
    );
    for n in 0..4 {
        client.add("q", &n.to_string(), "");
    }
    client.call("GETJOB COUNT 3 FROM q");
    let figures = client.call("QSTAT q full");
    let found: Vec<_> = figures.items().iter().step_by(2).map(Reply::text).collect();
    assert_eq!(found, [&QSTAT_FIELDS[..], &FULL_FIELDS].concat());
    let counts = FULL_FIELDS.map(|name| figures.field(name).clone());
    let expected = [int(3), int(1), int(0), int(0), int(0), Reply::NilBulk];
    assert_eq!((counts, figures.field("len")), (expected, &int(1)));
    assert_eq!(client.call("QSTAT q").items().len(), 20, "plain stays");
    let info = [
        "registered_jobs",
        "ready_jobs",
        "active_jobs",
        "delayed_jobs",
        "job_copies",
        "restored_jobs",
        "restored_requeue_within_seconds",
    ];
    let info = info.map(|name| client.info(name));
    assert_eq!(info, ["5", "1", "3", "1", "0", "0", "0"]);
    for bad in ["QSTAT q FULL FULL", "QSTAT q GLOBAL x", "QLEN q FULL"] {
        let command = bad.split(' ').next().expect("a name").to_lowercase();
        assert_eq!(
            client.call(bad),
            error(&format!(
                "ERR wrong number of arguments for '{command}' command"
            ))
        );
    }
}

#[test]
fn qstat_counts_blocked_clients_of_each_queue() {
    let (node, mut client) = start();
    let mut first = node.connect();
    let mut second = node.connect();
    first.send("GETJOB FROM a b");
    second.send("GETJOB FROM b");
    node.wait_for_blocked(2);
    assert_eq!(stat(&mut client, "a", "blocked"), int(1));
    assert_eq!(stat(&mut client, "b", "blocked"), int(2));
    client.add("a", "for the first", "");
    first.receive();
    assert_eq!(stat(&mut client, "a", "blocked"), int(0));
    assert_eq!(stat(&mut client, "b", "blocked"), int(1));
}

#[test]
fn pause_answers_the_resulting_state_as_a_simple_string() {
    let (_node, mut client) = start();
    let cases = [
        ("state", "none"),
        ("in", "in"),
        ("state", "in"),
        ("out", "out"),
        ("in out", "all"),
        ("all", "all"),
        ("STATE", "all"),
        ("none in", "in"),
        ("in none", "none"),
        ("all none out", "out"),
        ("OUT In", "all"),
        ("none", "none"),
    ];
    for (options, state) in cases {
        assert_eq!(
            client.call(&format!("PAUSE q {options}")),
            simple(state),
            "{options}"
        );
        assert_eq!(stat_or_none(&mut client), state, "{options}");
    }
    let refused = client.call("PAUSE q in sideways");
    assert!(refused.refuses("ERR syntax error"), "{refused:?}");
    assert_eq!(
        stat_or_none(&mut client),
        "none",
        "a refused PAUSE changes nothing"
    );
}

fn stat_or_none(client: &mut Connection) -> String {
    match client.call("QSTAT q") {
        Reply::NilArray => "none".to_owned(),
        figures => figures.field("pause").text(),
    }
}

#[test]
fn asking_for_the_pause_state_makes_no_queue_and_pausing_does() {
    let (_node, mut client) = start();
    assert_eq!(client.call("PAUSE q state"), simple("none"));
    assert_eq!(client.call("QSTAT q"), Reply::NilArray);
    assert_eq!(client.call("PAUSE q in"), simple("in"));
    assert_eq!(stat(&mut client, "q", "len"), int(0));
}

#[test]
fn a_queue_paused_in_input_refuses_new_jobs_and_still_delivers() {
    let (_node, mut client) = start();
    client.add("q", "before", "");
    client.call("PAUSE q in");
    let paused = error("PAUSED Queue paused in input, try later");
    assert_eq!(client.call("ADDJOB q body 0"), paused);
    assert_eq!(client.call("ADDJOB q body 0 DELAY 5"), paused);
    assert_eq!(client.call("ADDJOB q body 0 ASYNC"), paused);
    client.add("other", "body", "");
    assert_eq!(client.take("q").body, "before");
    client.call("PAUSE q none");
    client.add("q", "after", "");
    assert_eq!(client.take("q").body, "after");
}

#[test]
fn a_queue_paused_in_output_behaves_as_empty_until_it_is_resumed() {
    let (node, mut client) = start();
    client.call("PAUSE q out");
    client.add("q", "first", "");
    client.add("q", "second", "");
    assert_eq!(client.call("GETJOB NOHANG FROM q"), Reply::NilArray);
    assert_eq!(client.length("q"), 2);
    let mut blocked = node.connect();
    blocked.send("GETJOB FROM q");
    node.wait_for_blocked(1);
    client.add("q", "third", "");
    blocked.assert_silent();
    assert_eq!(client.call("PAUSE q none"), simple("none"));
    assert_eq!(bodies(&blocked.receive()), ["first"]);
    assert_eq!(client.length("q"), 2);
}

#[test]
fn resuming_output_serves_the_blocked_clients_in_their_order() {
    let (node, mut client) = start();
    client.call("PAUSE q all");
    let mut waiting: Vec<_> = (0..3).map(|_| node.connect()).collect();
    for (n, connection) in waiting.iter_mut().enumerate() {
        connection.send("GETJOB FROM q");
        node.wait_for_blocked(n + 1);
    }
    client.call("PAUSE q out");
    for n in 0..3 {
        client.add("q", &n.to_string(), "");
    }
    waiting[0].assert_silent();
    client.call("PAUSE q in");
    for (n, connection) in waiting.iter_mut().enumerate() {
        assert_eq!(bodies(&connection.receive()), [n.to_string()]);
    }
}

#[test]
fn a_retry_into_a_queue_paused_in_input_waits_another_retry() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "RETRY 1");
    client.take("q");
    let delivered = Instant::now();
    client.call("PAUSE q in");
    let mut last = i64::MAX;
    eventually("the retry comes and is put off", || {
        let left = client.show(&id).field("next-requeue-within").int();
        let put_off = left > last;
        last = left;
        put_off.then_some(())
    });
    assert!(
        delivered.elapsed() > Duration::from_millis(450),
        "{:?}",
        delivered.elapsed()
    );
    assert_eq!(client.length("q"), 0);
    assert_eq!(client.state(&id), "active");
    client.call("PAUSE q none");
    eventually("the next retry queues it", || {
        (client.length("q") == 1).then_some(())
    });
}

#[test]
fn qscan_finds_every_queue_whatever_the_count() {
    let (_node, mut client) = start();
    let expected: BTreeSet<_> = (0..250).map(|n| format!("queue-{n}")).collect();
    for queue in &expected {
        client.add(queue, "body", "");
    }
    let pages = ["", "COUNT 1", "COUNT 100000", "BUSYLOOP"]
        .map(|options| format!("QSCAN CURSOR {options}"));
    for command in pages
        .iter()
        .map(String::as_str)
        .chain(["QSCAN COUNT 7 CURSOR"])
    {
        assert_eq!(names(&scan(&mut client, command)), expected, "{command}");
    }
    let all = client.call("QSCAN BUSYLOOP");
    assert_eq!(all.items()[0], bulk("0"));
    assert_eq!(
        all.items()[1].items().len(),
        250,
        "one answer holds each queue once"
    );
}

#[test]
fn a_scan_misses_nothing_that_was_there_throughout() {
    let (_node, mut client) = start();
    let lasting: BTreeSet<_> = (0..300).map(|n| format!("lasting-{n}")).collect();
    let mut lasting_ids = BTreeSet::new();
    for queue in &lasting {
        lasting_ids.insert(client.add(queue, "body", ""));
    }
    let mut passing: Vec<_> = (0..300)
        .map(|n| client.add(&format!("passing-{n}"), "body", ""))
        .collect();
    for command in ["QSCAN CURSOR COUNT 10", "JSCAN CURSOR COUNT 10"] {
        let mut found = Vec::new();
        let mut cursor = "0".to_owned();
        for page_number in 0.. {
            let page = client.call(&command.replace("CURSOR", &cursor));
            found.extend_from_slice(page.items()[1].items());
            cursor = page.items()[0].text();
            if cursor == "0" {
                break;
            }
            assert!(page_number < 10_000, "{command} does not end");
            if let Some(id) = passing.pop() {
                client.call(&format!("DELJOB {id}"));
            }
            client.add(&format!("new-{page_number}"), "body", "");
        }
        if command.starts_with('Q') {
            assert!(names(&found).is_superset(&lasting), "{command}");
        } else {
            assert!(ids(&found).is_superset(&lasting_ids), "{command}");
        }
    }
}

#[test]
fn qscan_filters_by_length() {
    let (_node, mut client) = start();
    for length in 1..=5 {
        for _ in 0..length {
            client.add(&format!("q{length}"), "body", "");
        }
    }
    let cases: [(&str, &[&str]); 6] = [
        ("MINLEN 4", &["q4", "q5"]),
        ("MAXLEN 2", &["q1", "q2"]),
        ("MINLEN 2 MAXLEN 3", &["q2", "q3"]),
        ("MINLEN 6", &[]),
        ("IMPORTRATE 1", &[]),
        ("minlen 5 busyloop", &["q5"]),
    ];
    for (options, expected) in cases {
        let found = names(&scan(&mut client, &format!("QSCAN CURSOR {options}")));
        assert_eq!(
            found,
            expected.iter().map(ToString::to_string).collect(),
            "{options}"
        );
    }
}

#[test]
fn jscan_answers_ids_as_simple_strings_and_the_cursor_as_a_bulk() {
    let (_node, mut client) = start();
    let expected: BTreeSet<_> = (0..120)
        .map(|n| client.add(&format!("q{}", n % 3), "body", ""))
        .collect();
    for command in [
        "JSCAN CURSOR",
        "JSCAN COUNT 7 CURSOR",
        "JSCAN CURSOR REPLY id COUNT 1",
        "JSCAN BUSYLOOP",
    ] {
        assert_eq!(ids(&scan(&mut client, command)), expected, "{command}");
    }
    let empty = client.call("JSCAN BUSYLOOP QUEUE unknown");
    assert_eq!(empty, Reply::Array(vec![bulk("0"), Reply::Array(vec![])]));
}

#[test]
fn jscan_filters_by_queue_and_state() {
    let (_node, mut client) = start();
    let queued = client.add("a", "queued", "");
    let delayed = client.add("a", "delayed", "DELAY 60");
    let elsewhere = client.add("b", "queued", "");
    let cases: [(&str, &[&String]); 6] = [
        ("QUEUE a", &[&queued, &delayed]),
        ("STATE queued", &[&queued, &elsewhere]),
        ("STATE active", &[&delayed]),
        ("STATE QUEUED STATE active QUEUE a", &[&queued, &delayed]),
        ("QUEUE b STATE active", &[]),
        ("STATE acked STATE wait-repl", &[]),
    ];
    for (options, expected) in cases {
        let found = ids(&scan(&mut client, &format!("JSCAN CURSOR {options}")));
        assert_eq!(
            found,
            expected.iter().map(ToString::to_string).collect(),
            "{options}"
        );
    }
}

#[test]
fn jscan_can_show_all_of_a_job() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "RETRY 0");
    let found = scan(&mut client, "JSCAN CURSOR REPLY all");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].items().len(), 30);
    let shown = client.show(&id);
    for field in [
        "id",
        "queue",
        "state",
        "ctime",
        "retry",
        "body",
        "next-requeue-within",
    ] {
        assert_eq!(found[0].field(field), shown.field(field), "{field}");
    }
}

#[test]
fn a_scan_bears_any_cursor_and_count() {
    let (_node, mut client) = start();
    client.add("q", "body", "");
    for command in ["QSCAN", "JSCAN"] {
        for options in [
            "18446744073709551615",
            "999 COUNT 0",
            "0 COUNT -5",
            "4294967296 COUNT 9223372036854775807",
        ] {
            let page = client.call(&format!("{command} {options}"));
            assert_eq!(page.items().len(), 2, "{command} {options}");
        }
    }
}

#[test]
fn qconfig_answers_maps_and_arrays() {
    let (_node, mut client) = start();
    assert_eq!(client.call("QCONFIG"), Reply::Array(vec![]));
    assert_eq!(client.call("QCONFIG mail"), Reply::Array(vec![]));
    let set = client.call("QCONFIG mail* SET RETRY 5 maxlen 2");
    assert_eq!(set, simple("OK"));
    assert_eq!(client.call("QCONFIG mail SET pause-out yes"), simple("OK"));
    let flat = ["retry", "5", "maxlen", "2"].map(bulk);
    assert_eq!(client.call("QCONFIG mail*"), array(flat.clone()));
    let all = array([
        array([bulk("mail"), array(["pause-out", "yes"].map(bulk))]),
        array([bulk("mail*"), array(flat)]),
    ]);
    assert_eq!(client.call("QCONFIG"), all);
    client.call("HELLO 3");
    let pair = |name: &str, value: &str| (bulk(name), bulk(value));
    let map = Reply::Map(vec![
        pair("retry", "5"),
        pair("maxlen", "2"),
        pair("pause-out", "yes"),
    ]);
    assert_eq!(client.call("QCONFIG mail"), map);
    assert_eq!(client.call("QCONFIG other"), Reply::Map(vec![]));
    assert_eq!(client.call("PAUSE mail state"), simple("out"));
    client.add("mail", "1", "");
    client.add("mail", "2", "");
    let refused = client.call("ADDJOB mail 3 0");
    assert_eq!(
        refused.error_text(),
        "MAXLEN Queue is already longer than the specified MAXLEN count (QCONFIG: maxlen)"
    );
    assert_eq!(client.call("QCONFIG mail* UNSET maxlen"), simple("OK"));
    client.add("mail", "3", "");
}

#[test]
fn qpurge_deletes_what_a_queue_has() {
    let (_node, mut client) = start();
    assert_eq!(client.call("QPURGE q"), int(0));
    for n in 0..5 {
        client.add("q", &n.to_string(), "");
    }
    client.add("q", "delayed", "DELAY 60");
    client.add("q", "once", "RETRY 0");
    let taken = client.take("q");
    client.add("other", "stays", "");
    assert_eq!(client.call("QPURGE q"), int(7));
    assert_eq!(client.call("QLEN q"), int(0));
    assert_eq!(client.call("QLEN other"), int(1));
    assert_eq!(client.info("purged_jobs"), "7");
    assert_eq!(client.call(&format!("ACKJOB {}", taken.id)), int(0));
    client.add("q", "younger", "");
    assert_eq!(bodies(&client.call("QPEEK q 9")), ["younger"]);
    client.call("HELLO 3");
    assert_eq!(client.call("QPURGE q"), int(1));
}
