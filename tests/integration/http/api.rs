//! The API: queues and channels, as JSON.

use super::{get, json, node, sample};

#[test]
fn a_queue_is_told_of() {
    let (node, port) = node("");
    let mut client = node.connect();
    for _ in 0..3 {
        client.add("mail/box", "12345", "");
    }
    client.add("mail/box", "later", "DELAY 100");
    client.take("mail/box");
    let queue = json(port, "/api/v1/queues/mail%2Fbox");
    let told = ["ready", "active", "delayed", "restored", "bytes"];
    let told = told.map(|name| queue[name].as_u64());
    assert_eq!(told, [Some(2), Some(1), Some(1), Some(0), Some(20)]);
    assert!(
        queue["restored_requeue_within_seconds"].is_null(),
        "{queue}"
    );
    assert_eq!(queue["exists"], true);
    let rates = ["oldest", "in", "out"].map(|name| queue[name].as_u64().expect("a number"));
    assert!(rates[0] < 5 && rates[1..] == [1, 1], "{queue}");
    assert_eq!(
        (&queue["paused"], &queue["pause"]),
        (&false.into(), &"none".into())
    );
    let unknown = json(port, "/api/v1/queues/none");
    assert_eq!(
        (&unknown["ready"], &unknown["exists"]),
        (&0.into(), &false.into())
    );
    assert_eq!(json(port, "/api/v1/queues")["total"]["ready"], 2);
    assert_eq!(json(port, "/api/v1/cluster")["node"]["jobs"], 4);
    let text = get(port, "/metrics").body;
    let named = |name: &str| sample(&text, &format!("shoalmq_{name}{{queue=\"mail/box\"}}"));
    assert_eq!(named("queue_ready_jobs"), Some(2.0));
    assert_eq!(named("queue_active_jobs"), Some(1.0));
    assert_eq!(named("queue_delayed_jobs"), Some(1.0));
    assert_eq!(named("jobs_added_total"), Some(4.0));
    assert_eq!(named("job_wait_seconds_count"), Some(1.0));
    assert_eq!(
        sample(&text, "shoalmq_node_jobs_delivered_total"),
        Some(1.0)
    );
}

#[test]
fn queues_are_listed_as_qlist_does() {
    let (node, port) = node("");
    let mut client = node.connect();
    for n in 0..12 {
        for _ in 0..=n {
            client.add(&format!("mail-{n:02}"), "x", "");
        }
    }
    client.call("PAUSE other in");
    for scope in ["", "&global=true"] {
        let told = json(
            port,
            &format!("/api/v1/queues?match=mail-*&sort=ready&count=2{scope}"),
        );
        let queues = told["queues"].as_array().expect("a list").iter();
        let queues: Vec<_> = queues
            .map(|queue| (queue["name"].as_str(), queue["ready"].as_u64()))
            .collect();
        let longest = [(Some("mail-11"), Some(12)), (Some("mail-10"), Some(11))];
        assert_eq!(queues, longest, "{scope}");
        assert_eq!(told["total"]["ready"], 78, "{scope}: of all");
    }
    let all = json(port, "/api/v1/queues");
    let other = &all["queues"][12];
    assert_eq!(
        (&other["name"], &other["pause"]),
        (&"other".into(), &"in".into())
    );
    assert_eq!(get(port, "/api/v1/queues?sort=size").status, 400);
}

#[test]
fn queues_of_any_name_are_told_of_and_bad_requests_say_what_is_wrong() {
    let (node, port) = node("");
    let mut client = node.connect();
    for name in [&b"\xff\x00"[..], b"__other__"] {
        client.call_arguments(&[b"ADDJOB", name, b"x", b"0"]);
    }
    let queue = json(port, "/api/v1/queues/%FF%00");
    assert_eq!(
        (&queue["exists"], &queue["ready"]),
        (&true.into(), &1.into())
    );
    assert_eq!(queue["name"], "\\xFF\0");
    assert_eq!(queue["scope"], "node");
    let all = json(port, "/api/v1/queues?global=true");
    assert_eq!(
        (&all["scope"], &all["complete"]),
        (&"cluster".into(), &true.into())
    );
    assert_eq!(all["missing"], serde_json::json!([]));
    assert_eq!(
        (&all["total"]["ready"], &all["queues"][0]["name"]),
        (&2.into(), &"\\x5F_other__".into())
    );
    let text = get(port, "/metrics").body;
    let named = |label: &str| {
        sample(
            &text,
            &format!("shoalmq_queue_ready_jobs{{queue=\"{label}\"}}"),
        )
    };
    assert_eq!(named("__other__"), Some(0.0), "of those beyond the limit");
    assert_eq!(
        named("\\\\x5F_other__"),
        Some(1.0),
        "of the one that is called so"
    );
    let unknown = json(port, "/api/v1/queues/none?global=true");
    assert_eq!(
        (&unknown["exists"], &unknown["ready"]),
        (&false.into(), &0.into())
    );
    for (path, word) in [
        ("queues/%zz", "percent"),
        ("queues/q?global=maybe", "global must be"),
        ("queues?globl=true", "`globl`"),
    ] {
        let answer = get(port, &format!("/api/v1/{path}"));
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.head.contains("application/json"), "{}", answer.head);
        assert!(
            answer.body.contains("\"error\"") && answer.body.contains(word),
            "{}",
            answer.body
        );
    }
}

#[test]
fn channels_are_listed_page_by_page() {
    let (node, port) = node("");
    let mut client = node.connect();
    for number in 0..25 {
        client.call(&format!("TPUB mail.{} x", number % 5));
        client.call(&format!("TPUB other.{number} x"));
    }
    let page = json(port, "/api/v1/topics?match=mail.*&count=3");
    let channels = page["channels"].as_array().expect("a list");
    let names: Vec<_> = channels.iter().map(|c| c["name"].as_str()).collect();
    assert_eq!(names, ["mail.0", "mail.1", "mail.2"].map(Some));
    assert_eq!(
        (&channels[0]["entries"], &channels[0]["bytes"]),
        (&5.into(), &35.into())
    );
    assert_eq!(channels[0]["readers"], 0);
    let ids = ["oldest", "newest"].map(|id| channels[0][id].as_str().expect("an id"));
    assert!(ids[0] < ids[1], "{ids:?}");
    assert_eq!(page["total"]["channels"], 30);
    let rest = json(
        port,
        &format!(
            "/api/v1/topics?match=mail.*&count=3&cursor={}",
            page["next"]
        ),
    );
    assert_eq!(rest["channels"].as_array().map(Vec::len), Some(2));
    assert_eq!(rest["next"], serde_json::Value::Null);
    assert_eq!(get(port, "/api/v1/topics?global=true").status, 400);
}
