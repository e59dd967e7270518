//! QLEN, QPEEK, QSTAT and QLIST: how long queues are, and what else is known about them.

use super::*;

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
