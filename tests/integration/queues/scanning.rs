//! QSCAN and JSCAN: walks over queues and jobs.

use super::*;

fn ids(replies: &[Reply]) -> BTreeSet<String> {
    replies
        .iter()
        .map(|reply| reply.simple_text().to_owned())
        .collect()
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
