use shoalmq_core::command::{PauseState, QueueWaits, Refusal};
use shoalmq_core::job::JobState;
use shoalmq_core::policy::{Policy, PolicySet};
use shoalmq_core::telling::{Depths, QueuesView, Recent};
use shoalmq_core::topic::{Cursor, Misread, NamedView, TopicReply};

use super::*;

const ID: &str = "D-dcb833cf-8YAH1b2K1b2K1b2K1b2K1b2K-05a1";
const NODE: &str = "dcb833cf01234567890abcdef01234567890abcd";

fn id() -> JobId {
    JobId::parse(ID.as_bytes())
        .expect("the form of an id")
        .expect("an id that a node made")
}

fn node() -> NodeId {
    NodeId::parse(NODE.as_bytes()).expect("40 hex digits")
}

fn text(reply: &Reply, protocol: Protocol) -> String {
    let mut out = Vec::new();
    super::encode(reply, protocol, &mut out);
    String::from_utf8(out).expect("the tests write ASCII")
}

/// The bytes of an answer written as its elements: `*` and `:` lines as they are, all else as bulks.
fn wire(elements: &[&str]) -> String {
    let line = |element: &&str| {
        if element.starts_with(['*', ':', '+', '$', '_']) {
            format!("{element}\r\n")
        } else {
            format!("${}\r\n{element}\r\n", element.len())
        }
    };
    elements.iter().map(line).collect::<Vec<_>>().concat()
}

fn delivery(body: &[u8]) -> Delivery {
    Delivery {
        id: id(),
        body: Body::new(body),
        nacks: 2,
        additional_deliveries: 1,
        ..Delivery::sample()
    }
}

fn view() -> JobView {
    JobView {
        id: id(),
        queue: Some(QueueName::new(b"q")),
        state: JobState::Queued,
        withdrawn: false,
        replicate: 3,
        ttl: 86_400,
        created: 1_795_305_428_437_000_001,
        delay: 4,
        retry: 300,
        nacks: 2,
        additional_deliveries: 1,
        holders: vec![node(), node()],
        confirmed: vec![],
        next_requeue: Some(Duration::from_micros(299_999_900)),
        next_awake: Some(Duration::from_millis(299_500)),
        body: Some(Body::new(b"b")),
    }
}

const SHOWN: [&str; 33] = [
    "*30",
    "id",
    ID,
    "queue",
    "q",
    "state",
    "queued",
    "repl",
    ":3",
    "ttl",
    ":86400",
    "ctime",
    ":1795305428437000001",
    "delay",
    ":4",
    "retry",
    ":300",
    "nacks",
    ":2",
    "additional-deliveries",
    ":1",
    "nodes-delivered",
    "*2",
    NODE,
    NODE,
    "nodes-confirmed",
    "*0",
    "next-requeue-within",
    ":299999",
    "next-awake-within",
    ":299500",
    "body",
    "b",
];

#[test]
fn scalars_have_disques_types() {
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        assert_eq!(text(&Reply::Added(id()), protocol), format!("+{ID}\r\n"));
        assert_eq!(text(&Reply::Count(0), protocol), ":0\r\n");
        assert_eq!(
            text(&Reply::Count(u64::MAX), protocol),
            ":9223372036854775807\r\n"
        );
        for (input, output, name) in [
            (false, false, "none"),
            (true, false, "in"),
            (false, true, "out"),
            (true, true, "all"),
        ] {
            let state = Reply::PauseState(PauseState { input, output });
            assert_eq!(text(&state, protocol), format!("+{name}\r\n"));
        }
    }
}

#[test]
fn nothing_is_a_nil_of_the_right_kind() {
    for (reply, resp2) in [
        (Reply::NothingToDeliver, "*-1\r\n"),
        (Reply::QueueStat(None), "*-1\r\n"),
        (Reply::Shown(None), "$-1\r\n"),
    ] {
        assert_eq!(text(&reply, Protocol::Resp2), resp2);
        assert_eq!(text(&reply, Protocol::Resp3), "_\r\n");
    }
    assert_eq!(
        text(&Reply::Peeked(vec![], false), Protocol::Resp3),
        "*0\r\n"
    );
}

#[test]
fn deliveries_have_three_elements_and_seven_with_counters() {
    let jobs = vec![delivery(b"one"), delivery(b"")];
    let three = wire(&["*2", "*3", "q", ID, "one", "*3", "q", ID, ""]);
    let delivered = Reply::Delivered(jobs.clone(), Told::default());
    assert_eq!(text(&delivered, Protocol::Resp2), three);
    assert_eq!(text(&Reply::Peeked(jobs, false), Protocol::Resp2), three);
    let told = Told {
        counters: true,
        meta: false,
    };
    let counted = Reply::Delivered(vec![delivery(b"one")], told);
    let seven = [
        "*1",
        "*7",
        "q",
        ID,
        "one",
        "nacks",
        ":2",
        "additional-deliveries",
        ":1",
    ];
    assert_eq!(text(&counted, Protocol::Resp3), wire(&seven));
}

#[test]
fn show_has_thirty_elements_in_their_order() {
    let shown = Reply::Shown(Some(Box::new(view())));
    assert_eq!(text(&shown, Protocol::Resp2), wire(&SHOWN));
    assert_eq!(text(&shown, Protocol::Resp3), wire(&SHOWN));
}

#[test]
fn show_tells_a_tombstone_and_missing_times_by_nils() {
    let tombstone = JobView {
        queue: None,
        state: JobState::Acked,
        holders: vec![],
        next_requeue: None,
        next_awake: None,
        body: None,
        ..view()
    };
    let shown = text(&Reply::Shown(Some(Box::new(tombstone))), Protocol::Resp2);
    for (key, value) in [
        ("queue", "$-1"),
        ("state", "acked"),
        ("nodes-delivered", "*0"),
        ("next-requeue-within", "$-1"),
        ("next-awake-within", "$-1"),
        ("body", "$-1"),
    ] {
        assert!(shown.contains(&wire(&[key, value])), "{key} in {shown}");
    }
    let states = [
        (JobState::WaitReplicas, "wait-repl"),
        (JobState::Active, "active"),
    ];
    for (state, name) in states {
        let job = JobView { state, ..view() };
        let shown = text(&Reply::Shown(Some(Box::new(job))), Protocol::Resp2);
        assert!(shown.contains(&wire(&["state", name])));
    }
    let withdrawn = JobView {
        state: JobState::Acked,
        withdrawn: true,
        ..view()
    };
    let shown = text(&Reply::Shown(Some(Box::new(withdrawn))), Protocol::Resp2);
    assert!(shown.contains(&wire(&["state", "withdrawn"])));
}

#[test]
fn qstat_has_twenty_elements_in_their_order() {
    let queue = QueueView {
        name: QueueName::new(b"q"),
        len: 5,
        age: Duration::from_millis(61_999),
        idle: Duration::from_millis(999),
        blocked: 1,
        import_from: vec![node()],
        import_rate: 7,
        jobs_in: 9,
        jobs_out: 4,
        pause: PauseState {
            input: true,
            output: true,
        },
        full: None,
    };
    let expected = wire(&[
        "*20",
        "name",
        "q",
        "len",
        ":5",
        "age",
        ":61",
        "idle",
        ":0",
        "blocked",
        ":1",
        "import-from",
        "*1",
        NODE,
        "import-rate",
        ":7",
        "jobs-in",
        ":9",
        "jobs-out",
        ":4",
        "pause",
        "all",
    ]);
    let stat = Reply::QueueStat(Some(Box::new(queue.clone())));
    assert_eq!(text(&stat, Protocol::Resp2), expected);
    assert_eq!(text(&stat, Protocol::Resp3), expected);
    let mut waits = QueueWaits {
        open: true,
        depths: Depths {
            ready: 5,
            active: 1,
            delayed: 2,
            restored: 4,
            copies: 3,
            dead: 2,
            bytes: 99,
        },
        restored_within: Some(Duration::from_millis(59_500)),
    };
    let full = |waits| {
        let queue = QueueView {
            full: Some(waits),
            ..queue.clone()
        };
        Reply::QueueStat(Some(Box::new(queue)))
    };
    let more = wire(&[
        "active", ":1", "delayed", ":2", "dead", ":2", "copies", ":3", "restored", ":4",
    ]);
    let more = expected.replacen("*20", "*32", 1) + &more;
    let within = wire(&["restored-requeue-within", ":59500"]);
    assert_eq!(text(&full(waits), Protocol::Resp2), more.clone() + &within);
    waits.restored_within = None;
    let within = wire(&["restored-requeue-within"]);
    let told = more + &within;
    assert_eq!(
        text(&full(waits), Protocol::Resp2),
        told.clone() + "$-1\r\n"
    );
    assert_eq!(text(&full(waits), Protocol::Resp3), told + "_\r\n");
}

#[test]
fn qlist_has_a_map_for_each_queue_and_the_missing_nodes() {
    let queue = QueueDepths {
        depths: Depths {
            ready: 5,
            active: 1,
            delayed: 2,
            dead: 3,
            ..Depths::default()
        },
        oldest: Duration::from_millis(4_900),
        consumers: 6,
        recent: Recent {
            jobs_in: 71,
            jobs_out: 9,
        },
        pause: PauseState {
            input: true,
            output: false,
        },
        ..QueueDepths::empty(QueueName::new(b"q"))
    };
    let view = QueuesView {
        queues: vec![queue],
        ..QueuesView::default()
    };
    let reply = Reply::Global(Box::new(Gathered {
        answer: Answer::Queues(view),
        missing: vec![node()],
    }));
    let figures = wire(&[
        "name",
        "q",
        "ready",
        ":5",
        "active",
        ":1",
        "delayed",
        ":2",
        "dead",
        ":3",
        "oldest",
        ":4",
        "consumers",
        ":6",
        "in",
        ":8",
        "out",
        ":1",
        "paused",
        "in",
    ]);
    let told = |map: &str| wire(&["*2", "*1"]) + map + &figures + &wire(&["*1", NODE]);
    assert_eq!(text(&reply, Protocol::Resp2), told("*20\r\n"));
    assert_eq!(text(&reply, Protocol::Resp3), told("%10\r\n"));
}

#[test]
fn scans_have_a_bulk_cursor_and_their_own_elements() {
    let queues = Reply::Queues(0, vec![QueueName::new(b"a"), QueueName::new(b"")]);
    assert_eq!(
        text(&queues, Protocol::Resp2),
        wire(&["*2", "0", "*2", "a", ""])
    );
    let ids = Reply::JobIds(u64::MAX, vec![id()]);
    let expected = wire(&["*2", "18446744073709551615", "*1", &format!("+{ID}")]);
    assert_eq!(text(&ids, Protocol::Resp2), expected);
    let jobs = Reply::Jobs(3, vec![view()]);
    let expected = wire(&["*2", "3", "*1"]) + &wire(&SHOWN);
    assert_eq!(text(&jobs, Protocol::Resp2), expected);
    assert_eq!(
        text(&Reply::JobIds(5, vec![]), Protocol::Resp2),
        wire(&["*2", "5", "*0"])
    );
}

#[test]
fn policies_are_maps() {
    let set: Policies = vec![
        (Policy::Ttl, b"60"[..].into()),
        (Policy::PauseIn, b"no"[..].into()),
    ];
    let entries = ["ttl", "60", "pause-in", "no"];
    let flat = wire(&["*4"]) + &wire(&entries);
    let one = Reply::Policies(set.clone());
    assert_eq!(text(&one, Protocol::Resp2), flat);
    let map = "%2\r\n".to_owned() + &wire(&entries);
    assert_eq!(text(&one, Protocol::Resp3), map);
    let all = Reply::AllPolicies(vec![(b"q*"[..].into(), set)]);
    let outer = wire(&["*1", "*2", "q*"]);
    assert_eq!(text(&all, Protocol::Resp2), outer.clone() + &flat);
    assert_eq!(text(&all, Protocol::Resp3), outer + &map);
    assert_eq!(text(&Reply::Configured, Protocol::Resp3), wire(&["+OK"]));
    let none = Reply::Policies(Vec::new());
    assert_eq!(text(&none, Protocol::Resp3), "%0\r\n");
}

#[test]
fn a_named_cursor_is_a_map_and_other_patterns_are_an_error() {
    let topic = |reply| Reply::Topic(Box::new(reply));
    let cursor = Cursor::parse(b"17-4@~9").expect("a cursor of an epoch");
    let mut view = NamedView {
        cursor,
        patterns: vec![b"a"[..].into(), b"b.*"[..].into()],
        behind: 5,
        committed_ms_ago: Some(70),
    };
    let rest = |committed| {
        wire(&[
            "cursor",
            "17-4@~9",
            "patterns",
            "*2",
            "a",
            "b.*",
            "behind",
            ":5",
            "committed",
        ]) + &wire(&[committed])
    };
    let named = topic(TopicReply::Named(Some(Box::new(view.clone()))));
    let flat = wire(&["*8"]) + &rest(":70");
    assert_eq!(text(&named, Protocol::Resp2), flat);
    view.committed_ms_ago = None;
    let named = topic(TopicReply::Named(Some(Box::new(view))));
    let map = "%4\r\n".to_owned() + &rest("_");
    assert_eq!(text(&named, Protocol::Resp3), map);
    let none = topic(TopicReply::Named(None));
    assert_eq!(text(&none, Protocol::Resp3), "_\r\n");
    let misread = topic(TopicReply::Misread(Misread {
        name: b"x"[..].into(),
        reads: vec![b"orders.*"[..].into()],
        not: vec![b"y\r"[..].into(), b"z"[..].into()],
    }));
    let line = "-ERR cursor 'x' reads 'orders.*', not 'y ' 'z'\r\n";
    assert_eq!(text(&misread, Protocol::Resp2), line);
}

#[test]
fn a_policy_that_had_a_part_in_a_refusal_is_named() {
    let set = PolicySet::of(&[Policy::Delay, Policy::Ttl]);
    let refused = Reply::Refused(Refusal::ByPolicy(&Refusal::DelayBeyondTtl, set));
    assert_eq!(
        text(&refused, Protocol::Resp2),
        "-ERR The specified DELAY is greater than TTL. Job refused since would never be delivered (QCONFIG: ttl, delay)\r\n"
    );
}

#[test]
fn refusals_are_error_lines() {
    let refused = Reply::Refused(Refusal::QueueTooLong);
    let expected = "-MAXLEN Queue is already longer than the specified MAXLEN count\r\n";
    assert_eq!(text(&refused, Protocol::Resp2), expected);
    assert_eq!(text(&refused, Protocol::Resp3), expected);
}
